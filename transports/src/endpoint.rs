//! Endpoints: `tcp://*:5555` to a typed place, to a descriptor that listens or may connect, and to
//! the text that names it afterwards.
//!
//! [`Endpoint::parse`] looks at the text alone, and [`listen`] at the machine: its interfaces, its
//! files. Names that a connection needs, of hosts and of interfaces, are looked up for each attempt
//! to connect: that may take its time, and what they name changes. Names of listeners follow
//! libzmq, so that what one prints the other can be given. `tcp` and `ipc` hold what is particular
//! to each.
//!
//! Invariant: every descriptor that leaves here is non-blocking and closes on exec.
//!
//! Deliberately absent: connecting and accepting, which the ring does; retries; and the names of
//! inproc, which belong to a context.

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use zring_engine::Errno;

use crate::error::Error;
use crate::{ipc, tcp};

pub use crate::ipc::{IpcEndpoint, remove_socket_file};
pub use crate::tcp::TcpEndpoint;

/// A place to listen at or to connect to, read from text and not yet looked up.
///
/// Displays as what was parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `tcp://host:port`.
    Tcp(TcpEndpoint),
    /// `ipc://path`, `ipc://@name` or `ipc://*`.
    Ipc(IpcEndpoint),
    /// The name after `inproc://`: 1 to 256 bytes.
    Inproc(String),
}

impl Endpoint {
    /// Reads an endpoint. Whether it fits a listener or a connection is for [`listen`] and
    /// [`resolve`] to say.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEndpoint`] with the reason, or [`Error::UnknownTransport`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::invalid(text, reason);
        let Some((transport, address)) = text.split_once("://") else {
            return Err(invalid("there is no :// behind a transport"));
        };
        if transport.is_empty() {
            return Err(invalid("there is no transport before ://"));
        }
        if address.is_empty() {
            return Err(invalid("there is no address behind ://"));
        }
        match transport {
            "tcp" => TcpEndpoint::parse(address).map(Self::Tcp).map_err(invalid),
            "ipc" => IpcEndpoint::parse(address).map(Self::Ipc).map_err(invalid),
            "inproc" if address.len() > INPROC_NAME_LEN_MAX => {
                Err(invalid("the name is longer than 256 bytes"))
            }
            "inproc" => Ok(Self::Inproc(address.to_owned())),
            _ => Err(Error::UnknownTransport { endpoint: text.to_owned() }),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(out),
            Self::Ipc(endpoint) => endpoint.fmt(out),
            Self::Inproc(name) => write!(out, "inproc://{name}"),
        }
    }
}

/// What a socket's options say about its descriptors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tuning {
    /// `SO_SNDBUF` in bytes, which the kernel doubles. `None` leaves its own tuning on.
    pub send_buffer: Option<usize>,
    /// `SO_RCVBUF` in bytes, which the kernel doubles. `None` leaves its own tuning on.
    pub receive_buffer: Option<usize>,
    /// `TCP_NOTSENT_LOWAT` in bytes: how much may wait in the kernel that TCP has not sent yet.
    /// `None` leaves it to `SO_SNDBUF`.
    pub unsent_max: Option<u32>,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
    /// Whether `*`, interfaces and host names mean IPv6 before IPv4. A listener at `*` then takes
    /// both. IPv6 addresses work either way.
    pub ipv6: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            send_buffer: None,
            receive_buffer: None,
            unsent_max: None,
            backlog: 100,
            ipv6: false,
        }
    }
}

/// A descriptor that listens.
#[derive(Debug)]
pub struct Listening {
    /// Ready for the ring's accept.
    pub fd: OwnedFd,
    /// Where it listens, wildcards filled in: the text by which it is connected to and unbound.
    pub endpoint: String,
    /// What [`remove_socket_file`] must take away when the listener
    /// ends: `ipc://*` only. Other socket files stay, as libzmq leaves them.
    pub socket_file: Option<PathBuf>,
}

/// Listens at a tcp or ipc endpoint.
///
/// An IPv6 socket that the kernel does not have falls back to IPv4 where the endpoint allows it.
///
/// # Errors
///
/// [`Error::InvalidEndpoint`] where only a connection makes sense of the endpoint, or for inproc;
/// [`Error::NoSuchDevice`] for a name that is no interface, host names included; and what the
/// kernel refuses: [`Error::AddressInUse`], [`Error::AddressNotAvailable`],
/// [`Error::PermissionDenied`], [`Error::TooManyOpenFiles`], [`Error::Kernel`].
pub fn listen(endpoint: &Endpoint, tuning: &Tuning) -> Result<Listening, Error> {
    match endpoint {
        Endpoint::Tcp(endpoint) => tcp::listen(endpoint, tuning),
        Endpoint::Ipc(endpoint) => ipc::listen(endpoint, tuning),
        Endpoint::Inproc(_) => Err(Error::invalid(&endpoint.to_string(), INPROC_HAS_NO_FD)),
    }
}

/// The text under which [`listen`] would have announced this endpoint, with port 0 for any port.
///
/// For unbinding by another spelling, as libzmq allows for tcp: `tcp://lo:5555` or
/// `tcp://[0:0::1]:5555`.
///
/// # Errors
///
/// As [`listen`], except for what only a socket of its own finds out.
pub fn listener_name(endpoint: &Endpoint, tuning: &Tuning) -> Result<String, Error> {
    match endpoint {
        Endpoint::Tcp(endpoint) => tcp::listener_name(endpoint, tuning),
        Endpoint::Ipc(_) | Endpoint::Inproc(_) => Ok(endpoint.to_string()),
    }
}

/// A peer's address, and the address to come from if the endpoint has one.
#[derive(Clone, Debug)]
pub struct Target {
    endpoint: Endpoint,
    /// The ways there, best first. The next is for a kernel without the family of the one before.
    /// None: there is a name in it, to be looked up for each attempt.
    routes: Vec<Route>,
}

/// One way to a peer.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) destination: SockAddr,
    /// Of the same family as `destination`.
    pub(crate) source: Option<SockAddr>,
}

/// Finds out where a tcp or ipc endpoint connects to. Names are not looked up yet.
///
/// # Errors
///
/// [`Error::InvalidEndpoint`] where only a listener makes sense of the endpoint, where addresses of
/// source and destination have no family in common, or for inproc.
pub fn resolve(endpoint: &Endpoint) -> Result<Target, Error> {
    let routes = match endpoint {
        Endpoint::Tcp(endpoint) => tcp::routes(endpoint)?,
        Endpoint::Ipc(endpoint) => vec![ipc::route(endpoint)?],
        Endpoint::Inproc(_) => {
            return Err(Error::invalid(&endpoint.to_string(), INPROC_HAS_NO_FD));
        }
    };
    Ok(Target { endpoint: endpoint.clone(), routes })
}

impl Target {
    /// What was asked to be connected to.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it has to be looked up before each attempt.
    pub(crate) fn is_named(&self) -> bool {
        self.routes.is_empty()
    }

    /// Whether that takes its time.
    pub(crate) fn has_host_name(&self) -> bool {
        matches!(&self.endpoint, Endpoint::Tcp(endpoint) if endpoint.has_host_name())
    }

    /// The same with the addresses that its names have now. Blocks while a host is looked up, which
    /// can take many seconds.
    ///
    /// # Errors
    ///
    /// As [`resolve`]; [`Error::NoSuchDevice`] for a source or zone that is no interface;
    /// [`Error::TooManyOpenFiles`] and [`Error::Kernel`] if that could not be found out. A host
    /// without an address is a target that does not open.
    pub(crate) fn look_up(&self, tuning: &Tuning) -> Result<Self, Error> {
        let Endpoint::Tcp(endpoint) = &self.endpoint else { return Ok(self.clone()) };
        let routes = tcp::look_up(endpoint, tuning.ipv6)?;
        Ok(Self { endpoint: self.endpoint.clone(), routes })
    }

    /// Opens a socket for one attempt to connect, bound to the source if there is one, and the
    /// address to connect it to.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`] or [`Error::AddressNotAvailable`] for the source,
    /// [`Error::TooManyOpenFiles`], [`Error::Kernel`].
    pub fn open(&self, tuning: &Tuning) -> Result<(OwnedFd, SockAddr), Error> {
        let routes = self.routes.iter();
        let (socket, route) = first_of_supported_family(routes, |route| open_route(route, tuning))
            .map_err(|error| Error::refused_io(&self.endpoint.to_string(), &error))?;
        Ok((socket.into(), route.destination.clone()))
    }
}

fn open_route(route: &Route, tuning: &Tuning) -> io::Result<Socket> {
    let domain = route.destination.domain();
    let socket = open_stream(domain)?;
    tune(&socket, tuning, domain != Domain::UNIX)?;
    if let Some(source) = &route.source {
        // One source port may serve connections to several peers.
        socket.set_reuse_address(true)?;
        socket.bind(source)?;
    }
    Ok(socket)
}

/// Sets up an accepted descriptor: `TCP_NODELAY` for tcp, the buffers that `tuning` asks for, and
/// what may wait unsent.
///
/// # Errors
///
/// [`Error::Kernel`] and its like, with the local name of the connection as endpoint.
pub fn tune_accepted(fd: BorrowedFd<'_>, tuning: &Tuning, is_tcp: bool) -> Result<(), Error> {
    let socket = SockRef::from(&fd);
    tune(&socket, tuning, is_tcp).map_err(|error| {
        let name = socket.local_addr().ok().and_then(|address| address.as_socket());
        let endpoint = name.map_or_else(|| String::from("ipc://"), |name| tcp::name(&name));
        Error::refused_io(&endpoint, &error)
    })
}

/// Where the peer of a connection is; `None` for ipc, and for one that is gone.
pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> Option<SocketAddr> {
    SockRef::from(&fd).peer_addr().ok()?.as_socket()
}

/// A stream socket: non-blocking, closed on exec.
pub(crate) fn open_stream(domain: Domain) -> io::Result<Socket> {
    // `Socket::new` adds `SOCK_CLOEXEC`, and no protocol means the only one: TCP, or none.
    Socket::new(domain, Type::STREAM.nonblocking(), None)
}

/// Sets what is the same for listeners, connections and accepted connections. Before `listen` and
/// `connect`, because the TCP window scale is settled by the first packet.
pub(crate) fn tune(socket: &Socket, tuning: &Tuning, is_tcp: bool) -> io::Result<()> {
    if is_tcp {
        // Messages are gathered before they get here; Nagle's wait would only be added to ours.
        socket.set_tcp_nodelay(true)?;
        if let Some(unsent) = tuning.unsent_max {
            socket.set_tcp_notsent_lowat(unsent)?;
        }
    }
    if let Some(size) = tuning.send_buffer {
        socket.set_send_buffer_size(size.min(INT_MAX))?;
    }
    if let Some(size) = tuning.receive_buffer {
        socket.set_recv_buffer_size(size.min(INT_MAX))?;
    }
    Ok(())
}

/// Tries one candidate after the other, as long as the kernel does not have their family.
pub(crate) fn first_of_supported_family<C, T>(
    candidates: impl IntoIterator<Item = C>,
    mut attempt: impl FnMut(&C) -> io::Result<T>,
) -> io::Result<(T, C)> {
    for candidate in candidates {
        match attempt(&candidate) {
            Ok(done) => return Ok((done, candidate)),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::AFNOSUPPORT.into())
}

/// The backlog as `listen` takes it.
pub(crate) fn backlog(tuning: &Tuning) -> i32 {
    i32::try_from(tuning.backlog).unwrap_or(i32::MAX)
}

/// The limit in zmq_inproc(7).
const INPROC_NAME_LEN_MAX: usize = 256;

const INPROC_HAS_NO_FD: &str = "inproc has no descriptor";

/// The largest buffer size that fits the option's C `int`.
const INT_MAX: usize = i32::MAX as usize;
