//! Errors: what a call can answer.
//!
//! Deliberately absent: what happens to a peer. A peer that breaks the protocol loses its
//! connection; no call fails for it. [`Socket::rejections`](crate::Socket::rejections) says why.

use zring_transports::Error as TransportError;

/// Why a call did not do what it was asked to (`zmq_errno(3)`). Nothing has changed then, but for
/// what a failing ring leaves done, see below.
///
/// # Of every call
/// Every call on a socket that can fail, but `flush`, and every poll of one may answer these. The
/// first three stay.
///
/// * [`Terminated`](Self::Terminated) once the context was shut down, which a
///   [`LocalContext`](crate::LocalContext) never is.
/// * [`NoThread`](Self::NoThread) once an I/O thread of the context has ended, on a socket that was
///   bound or connected over tcp or ipc. Whichever of the two came first stays.
/// * [`Transport`](Self::Transport) with [`Engine`](TransportError::Engine) and
///   [`Forked`](crate::EngineError::Forked) in the child of a process that forked after it made the
///   context.
/// * With a [`LocalContext`](crate::LocalContext), [`Transport`](Self::Transport) with
///   [`Engine`](TransportError::Engine) if the kernel refuses the context's ring. The calls turn
///   it, some once their own work is done: the message, subscription or endpoint is accepted then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No peer has room, or nothing has come, and the call may not wait any longer, or nobody could
    /// end its wait (`EAGAIN`).
    #[error("would block")]
    WouldBlock,
    /// The socket's pattern does not allow this now: REQ and REP send and receive in turn (`EFSM`,
    /// RFC 28/REQREP).
    #[error("not allowed in the current state of the pattern")]
    State,
    /// A signal was handled while the call slept (`EINTR`); or, caller-driven, the process was
    /// stopped and goes on.
    #[error("interrupted by a signal")]
    Interrupted,
    /// The context was shut down (`ETERM`, `zmq_ctx_shutdown(3)`).
    #[error("the context was shut down")]
    Terminated,
    /// An option is out of its range, or not one of the pattern's (`EINVAL`, `zmq_setsockopt(3)`).
    #[error("option {option}: {reason}")]
    InvalidOption {
        /// The builder method.
        option: &'static str,
        /// What is wrong with the value.
        reason: &'static str,
    },
    /// An I/O thread could not be started, or has ended (`EMTHREAD`, `zmq_bind(3)`).
    #[error("an I/O thread is missing: {reason}")]
    NoThread {
        /// What happened to it.
        reason: String,
    },
    /// A caller-driven socket is polled through another context than its own (`EINVAL`).
    #[error("the socket belongs to another context than the poller")]
    OtherContext,
    /// An endpoint cannot be used as asked, or the kernel refused (`zmq_bind(3)`,
    /// `zmq_connect(3)`).
    #[error(transparent)]
    Transport(TransportError),
}

impl Error {
    pub(crate) fn no_thread(reason: impl ToString) -> Self {
        Self::NoThread { reason: reason.to_string() }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Engine(zring_engine::Error::Interrupted) => Self::Interrupted,
            error => Self::Transport(error),
        }
    }
}

impl From<zring_engine::Error> for Error {
    fn from(error: zring_engine::Error) -> Self {
        TransportError::Engine(error).into()
    }
}
