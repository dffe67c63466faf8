//! TCP endpoints: `tcp://host:port` for listeners, `tcp://source;host:port` for connections.
//!
//! A listener and a source take an address, an interface or `*`; a destination takes an address or
//! a host name. A host that is no address stays a name until it is known which of the two it is
//! for. An IPv6 address may have a zone and needs no brackets, because the port is behind the last
//! colon. Names of listeners are libzmq's, from getsockname(2): `tcp://0.0.0.0:1234`,
//! `tcp://[::1]:1234`.
//!
//! Deliberately absent: service names for ports, host names for listeners (libzmq has neither), and
//! libzmq's reading of `99999` as port 34463 or of `5555x` as 5555.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, getpeername, getsockname, netdevice, socket_with,
};
use socket2::{Domain, SockAddr, Socket};
use zring_engine::Errno;

use crate::endpoint::{
    Listening, Route, Tuning, backlog, first_of_supported_family, open_stream, tune,
};
use crate::error::Error;

/// What stands behind `tcp://`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TcpEndpoint {
    /// As given, without `tcp://`.
    text: String,
    /// Where connections come from, if that was given.
    source: Option<Place>,
    place: Place,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    host: Host,
    /// `None` is `*`.
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    /// `*`
    Any,
    V4(Ipv4Addr),
    /// The zone is the name or number of an interface (RFC 4007, section 11).
    V6(Ipv6Addr, Option<String>),
    /// An interface or a host.
    Name(String),
}

/// Refuses a new connection that is to itself: nobody listens, and it was given the very port that
/// it connects to (RFC 9293, section 3.5, "simultaneous" open). Its end will be a reset, for
/// otherwise the port would be kept for a minute from who wants to listen there.
pub(crate) fn refuse_itself(connection: &OwnedFd) -> Result<(), Errno> {
    let own = getsockname(connection)?;
    if getpeername(connection) != Ok(Some(own)) {
        return Ok(());
    }
    set_socket_linger(connection, Some(Duration::ZERO))?;
    Err(Errno::CONNREFUSED)
}

impl TcpEndpoint {
    /// Reads what stands behind `tcp://`, or says why it cannot.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (source, place) = match text.split_once(';') {
            Some((_, place)) if place.contains(';') => {
                return Err("there is more than one semicolon");
            }
            Some((source, place)) => (Some(Place::parse(source)?), place),
            None => (None, text),
        };
        Ok(Self { text: text.to_owned(), source, place: Place::parse(place)? })
    }

    /// Whether it connects to a host by its name.
    pub(crate) fn has_host_name(&self) -> bool {
        matches!(self.place.host, Host::Name(_))
    }

    fn invalid(&self, reason: &'static str) -> Error {
        Error::invalid(&self.to_string(), reason)
    }
}

impl fmt::Display for TcpEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "tcp://{}", self.text)
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self, &'static str> {
        // Within brackets, a colon is the address's.
        let behind_host = |(_, port): &(&str, &str)| !port.ends_with(']');
        let split = text.rsplit_once(':').filter(behind_host);
        let (host, port) = split.ok_or("there is no port")?;
        Ok(Self { host: Host::parse(host)?, port: parse_port(port)? })
    }
}

fn parse_port(text: &str) -> Result<Option<u16>, &'static str> {
    if text == "*" {
        return Ok(None);
    }
    // `u16` would take a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number => Ok(Some(port)),
        _ => Err("the port is neither a number up to 65535 nor *"),
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("there is no host");
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').ok_or("a bracket is not closed")?;
            return Self::parse_address(address)?.ok_or("between brackets is no address");
        }
        if let Some(address) = Self::parse_address(text)? {
            return Ok(address);
        }
        if text.contains(':') {
            return Err("there is a colon too many, or the IPv6 address is malformed");
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || b"/;%[]*".contains(&byte)) {
            return Err("the host has a character that no host has");
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// `None`: not an address, and maybe a name.
    fn parse_address(text: &str) -> Result<Option<Self>, &'static str> {
        if let Ok(ip) = text.parse() {
            return Ok(Some(Self::V4(ip)));
        }
        let (ip, zone) = match text.split_once('%') {
            Some((_, "" | "0")) => return Err("there is no zone behind %"),
            Some((ip, zone)) => (ip, Some(zone.to_owned())),
            None => (text, None),
        };
        Ok(ip.parse().ok().map(|ip| Self::V6(ip, zone)))
    }

    /// Whether another address, or interface, may have the name by the next time.
    fn has_name(&self) -> bool {
        match self {
            Self::Name(_) => true,
            Self::V6(_, Some(zone)) => zone.parse::<u32>().is_err(),
            _ => false,
        }
    }

    /// The addresses of this machine that are meant, of both families, preferred ones first in
    /// each; all of them with port 0. `ENODEV`: no such interface.
    fn local_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(match self {
            Self::Any => {
                vec![any_port(Ipv6Addr::UNSPECIFIED), any_port(Ipv4Addr::UNSPECIFIED)]
            }
            Self::V4(ip) => vec![any_port(*ip)],
            Self::V6(ip, zone) => vec![with_zone(*ip, zone.as_deref())?],
            Self::Name(name) => interface_addresses(name)?,
        })
    }
}

/// Listens on the first address of the endpoint whose family the kernel has.
pub(crate) fn listen(endpoint: &TcpEndpoint, tuning: &Tuning) -> Result<Listening, Error> {
    let candidates = listening_addresses(endpoint, tuning)?;
    let refused = |error: io::Error| Error::refused_io(&endpoint.to_string(), &error);
    let attempt = |address: &SocketAddr| listen_at(*address, tuning);
    let (socket, asked) = first_of_supported_family(candidates, attempt).map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?.as_socket().unwrap_or(asked);
    Ok(Listening { fd: socket.into(), endpoint: name(&address), socket_file: None })
}

/// The name of the address that [`listen`] would try first.
pub(crate) fn listener_name(endpoint: &TcpEndpoint, tuning: &Tuning) -> Result<String, Error> {
    let addresses = listening_addresses(endpoint, tuning)?;
    let first = addresses.first().ok_or_else(|| no_such_device(endpoint))?;
    Ok(name(first))
}

fn listen_at(address: SocketAddr, tuning: &Tuning) -> io::Result<Socket> {
    let socket = open_stream(Domain::for_address(address))?;
    tune(&socket, tuning, true)?;
    if let IpAddr::V6(ip) = address.ip() {
        // Explicit either way, because net.ipv6.bindv6only sets the default.
        socket.set_only_v6(ip.is_unspecified() && !tuning.ipv6)?;
    }
    // A restarted server must not wait for the connections of its former life.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog(tuning))?;
    Ok(socket)
}

/// Where a listener may go, best first; never empty.
fn listening_addresses(endpoint: &TcpEndpoint, tuning: &Tuning) -> Result<Vec<SocketAddr>, Error> {
    if endpoint.source.is_some() {
        return Err(endpoint.invalid("a listener has no source address"));
    }
    let Place { host, port } = &endpoint.place;
    let mut addresses =
        host.local_addresses().map_err(|error| Error::refused_io(&endpoint.to_string(), &error))?;
    if tuning.ipv6 {
        let (mut v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
        // With ipv6 on, libzmq listens at and prints `[::ffff:127.0.0.1]` for `127.0.0.1`.
        v6.extend(v4.iter().filter_map(mapped));
        v6.extend(v4);
        addresses = v6;
    } else if !matches!(host, Host::V6(..)) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    if addresses.is_empty() {
        return Err(no_such_device(endpoint));
    }
    for address in &mut addresses {
        address.set_port(port.unwrap_or(0));
    }
    Ok(addresses)
}

const MIXED: &str = "source and destination have no address family in common";

/// The way to the peer; none as long as names are to be [looked up](look_up).
pub(crate) fn routes(endpoint: &TcpEndpoint) -> Result<Vec<Route>, Error> {
    let TcpEndpoint { source, place, .. } = endpoint;
    if place.port.is_none() {
        return Err(endpoint.invalid("a connection needs a port, not *"));
    }
    if place.host == Host::Any {
        return Err(endpoint.invalid("a connection needs a host, not *"));
    }
    let source = source.as_ref().map(|source| &source.host);
    if let (Some(Host::V4(_)), Host::V6(..)) | (Some(Host::V6(..)), Host::V4(_)) =
        (source, &place.host)
    {
        return Err(endpoint.invalid(MIXED));
    }
    let is_named = place.host.has_name() || source.is_some_and(Host::has_name);
    if is_named { Ok(Vec::new()) } else { look_up(endpoint, false) }
}

/// The ways to a peer. Of a host name, IPv6 before IPv4 if `ipv6`, else IPv4 only; none, if there
/// is no such host now. Blocks while a host is looked up.
pub(crate) fn look_up(endpoint: &TcpEndpoint, ipv6: bool) -> Result<Vec<Route>, Error> {
    let Place { host, port } = &endpoint.place;
    // libzmq takes 0, and so do we: the kernel refuses each attempt.
    let port = port.unwrap_or(0);
    let mut destinations = match host {
        Host::Name(name) => {
            let found = (name.as_str(), port).to_socket_addrs().into_iter().flatten();
            let (v6, v4): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
            v6.into_iter().filter(|_| ipv6).chain(v4).collect()
        }
        address => address
            .local_addresses()
            .map_err(|error| Error::refused_io(&endpoint.to_string(), &error))?,
    };
    destinations.iter_mut().for_each(|address| address.set_port(port));
    routes_to(endpoint, destinations)
}

/// Every destination for which there is a source.
fn routes_to(endpoint: &TcpEndpoint, destinations: Vec<SocketAddr>) -> Result<Vec<Route>, Error> {
    let Some(source) = &endpoint.source else {
        let route = |to: SocketAddr| Route { destination: to.into(), source: None };
        return Ok(destinations.into_iter().map(route).collect());
    };
    let sources = source
        .host
        .local_addresses()
        .map_err(|error| Error::refused_io(&endpoint.to_string(), &error))?;
    let is_unknown = destinations.is_empty();
    let route = |to: SocketAddr| {
        let mut from = *sources.iter().find(|from| from.is_ipv4() == to.is_ipv4())?;
        from.set_port(source.port.unwrap_or(0));
        Some(Route { destination: to.into(), source: Some(SockAddr::from(from)) })
    };
    let routes: Vec<_> = destinations.into_iter().filter_map(route).collect();
    if routes.is_empty() && !is_unknown {
        return Err(endpoint.invalid(MIXED));
    }
    Ok(routes)
}

/// How libzmq prints the address of a listener: numbers, except for the zone of an address that is
/// of one link only.
pub(crate) fn name(address: &SocketAddr) -> String {
    let SocketAddr::V6(v6) = address else {
        return format!("tcp://{address}");
    };
    let (ip, port) = (v6.ip(), v6.port());
    match v6.scope_id() {
        0 => format!("tcp://[{ip}]:{port}"),
        index => {
            let interface = control_socket()
                .and_then(|socket| netdevice::index_to_name(&socket, index))
                .ok()
                .filter(|_| is_of_one_link(*ip))
                .unwrap_or_else(|| index.to_string());
            format!("tcp://[{ip}%{interface}]:{port}")
        }
    }
}

/// Whether an address means something else on every interface.
fn is_of_one_link(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || (ip.is_multicast() && ip.segments()[0] & 0xf == 2)
}

/// An IPv6 address with its zone, a name or a number, looked up. `ENODEV`: no such interface.
fn with_zone(ip: Ipv6Addr, zone: Option<&str>) -> io::Result<SocketAddr> {
    let index = match zone.map(|zone| (zone, zone.parse())) {
        None => 0,
        Some((_, Ok(index))) => index,
        Some((name, Err(_))) => netdevice::name_to_index(control_socket()?, name)?,
    };
    Ok(SocketAddrV6::new(ip, 0, 0, index).into())
}

/// The addresses of an interface, those of one link last. `ENODEV`: it has none, or is none.
fn interface_addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| interface.name == name)
        .map(|interface| match interface.ip() {
            IpAddr::V6(ip) if is_of_one_link(ip) => {
                SocketAddrV6::new(ip, 0, 0, interface.index.unwrap_or(0)).into()
            }
            ip => any_port(ip),
        })
        .collect();
    if addresses.is_empty() {
        return Err(Errno::NODEV.into());
    }
    addresses.sort_by_key(|address| match address.ip() {
        IpAddr::V6(ip) => is_of_one_link(ip),
        IpAddr::V4(_) => false,
    });
    Ok(addresses)
}

/// A socket to ask about interfaces (netdevice(7) takes one of any family).
fn control_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

fn any_port(ip: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), 0)
}

/// The IPv6 spelling of an IPv4 address.
fn mapped(address: &SocketAddr) -> Option<SocketAddr> {
    match address.ip() {
        IpAddr::V4(ip) => Some(any_port(ip.to_ipv6_mapped())),
        IpAddr::V6(_) => None,
    }
}

fn no_such_device(endpoint: &TcpEndpoint) -> Error {
    Error::NoSuchDevice { endpoint: endpoint.to_string() }
}
