//! Errors: what a call can answer.
//!
//! Deliberately absent: what happens to a peer. A peer that breaks the protocol loses its
//! connection; no call fails for it. [`Socket::rejections`](crate::Socket::rejections) says why.

use zring_transports::Error as TransportError;

/// Why a call did not do what it was asked to. Nothing has changed then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No peer has room, or nothing has come, and the call may not wait any longer (`EAGAIN`).
    #[error("would block")]
    WouldBlock,
    /// The socket's pattern does not allow this now: REQ and REP send and receive in turn (`EFSM`).
    #[error("not allowed in the current state of the pattern")]
    State,
    /// A signal was handled while the call waited (`EINTR`).
    #[error("interrupted by a signal")]
    Interrupted,
    /// The context was shut down (`ETERM`).
    #[error("the context was shut down")]
    Terminated,
    /// An option is out of its range (`EINVAL`).
    #[error("option {option}: {reason}")]
    InvalidOption {
        /// The builder method.
        option: &'static str,
        /// What is wrong with the value.
        reason: &'static str,
    },
    /// An I/O thread could not be started, or has ended (`EMTHREAD`).
    #[error("no I/O thread")]
    NoThread,
    /// A caller-driven socket is polled through another context than its own (`EINVAL`).
    #[error("the socket belongs to another context than the poller")]
    OtherContext,
    /// An endpoint cannot be used as asked, or the kernel refused.
    #[error(transparent)]
    Transport(TransportError),
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
