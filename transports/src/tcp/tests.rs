//! Claims about TCP endpoints: how they are read, what they mean here, how listeners are named.

use super::*;
use crate::endpoint::tests::has_ipv6;

fn place(host: Host, port: Option<u16>) -> Place {
    Place { host, port }
}

fn name_host(name: &str) -> Host {
    Host::Name(name.to_owned())
}

fn v6(ip: &str, zone: Option<&str>) -> Host {
    Host::V6(ip.parse().unwrap(), zone.map(str::to_owned))
}

fn endpoint(text: &str) -> TcpEndpoint {
    TcpEndpoint::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
}

fn tuning(ipv6: bool) -> Tuning {
    Tuning { ipv6, ..Tuning::default() }
}

#[test]
fn well_formed_places_are_read() {
    for (text, expected) in [
        ("127.0.0.1:5555", place(Host::V4(Ipv4Addr::LOCALHOST), Some(5555))),
        ("[127.0.0.1]:1", place(Host::V4(Ipv4Addr::LOCALHOST), Some(1))),
        ("*:5555", place(Host::Any, Some(5555))),
        ("*:*", place(Host::Any, None)),
        ("*:0", place(Host::Any, Some(0))),
        ("*:65535", place(Host::Any, Some(65535))),
        ("[::1]:5", place(v6("::1", None), Some(5))),
        ("::1:5", place(v6("::1", None), Some(5))),
        ("[fe80::1%eth0]:5", place(v6("fe80::1", Some("eth0")), Some(5))),
        ("[fe80::1%2]:5", place(v6("fe80::1", Some("2")), Some(5))),
        ("fe80::1%eth0.7:5", place(v6("fe80::1", Some("eth0.7")), Some(5))),
        ("eth0:*", place(name_host("eth0"), None)),
        ("veth@1:*", place(name_host("veth@1"), None)),
        ("a-b_c.example.com:80", place(name_host("a-b_c.example.com"), Some(80))),
    ] {
        let read = endpoint(text);
        assert_eq!((read.source, read.place), (None, expected), "{text}");
    }
}

#[test]
fn a_source_is_read_before_the_semicolon() {
    let read = endpoint("eth0:*;example.com:80");
    assert_eq!(read.source, Some(place(name_host("eth0"), None)));
    assert_eq!(read.place, place(name_host("example.com"), Some(80)));
}

#[test]
fn malformed_places_are_refused_with_the_reason() {
    const PORT: &str = "the port is neither a number up to 65535 nor *";
    const HOST: &str = "the host has a character that no host has";
    for (text, reason) in [
        ("127.0.0.1", "there is no port"),
        ("127.0.0.1:", PORT),
        ("127.0.0.1:65536", PORT),
        ("127.0.0.1:99999", PORT),
        ("127.0.0.1:-1", PORT),
        ("127.0.0.1:+1", PORT),
        ("127.0.0.1:5x", PORT),
        ("127.0.0.1:!", PORT),
        ("127.0.0.1: 5", PORT),
        ("127.0.0.1:http", PORT),
        ("127.0.0.1:5/path", PORT),
        (":5", "there is no host"),
        ("[::1]", "there is no port"),
        ("[::1:5", "a bracket is not closed"),
        ("[]:5", "between brackets is no address"),
        ("[lo]:5", "between brackets is no address"),
        ("[fe80::1%]:5", "there is no zone behind %"),
        ("[fe80::1%0]:5", "there is no zone behind %"),
        ("1.2.3.4:5:6", "there is a colon too many, or the IPv6 address is malformed"),
        ("a b:5", HOST),
        ("a/b:5", HOST),
        ("**:5", HOST),
        ("127.0.0.1%lo:5", HOST),
        ("b\u{fc}cher:5", HOST),
        ("a\0:5", HOST),
        ("lo;127.0.0.1:5", "there is no port"),
        (";127.0.0.1:5", "there is no port"),
        ("lo:0;", "there is no port"),
        ("lo:0;lo:0;a:5", "there is more than one semicolon"),
    ] {
        assert_eq!(TcpEndpoint::parse(text), Err(reason), "{text}");
    }
}

#[test]
fn listeners_are_named_as_libzmq_names_them() {
    for (ipv6, text, expected) in [
        (false, "127.0.0.1:*", "tcp://127.0.0.1:"),
        (false, "*:*", "tcp://0.0.0.0:"),
        (false, "*:0", "tcp://0.0.0.0:"),
        (false, "lo:*", "tcp://127.0.0.1:"),
        (false, "[::1]:*", "tcp://[::1]:"),
        (false, "[0:0::1]:*", "tcp://[::1]:"),
        (false, "[::]:*", "tcp://[::]:"),
        (true, "127.0.0.1:*", "tcp://[::ffff:127.0.0.1]:"),
        (true, "*:*", "tcp://[::]:"),
        (true, "::1:*", "tcp://[::1]:"),
        (true, "lo:*", "tcp://[::1]:"),
    ] {
        if expected.contains("::") && !has_ipv6() {
            continue;
        }
        let endpoint = endpoint(text);
        let listening = listen(&endpoint, &tuning(ipv6)).unwrap_or_else(|error| panic!("{error}"));
        let port = listening.endpoint.strip_prefix(expected);
        assert!(port.is_some_and(|port| port != "0"), "{text}: {}", listening.endpoint);
        assert_eq!(listening.socket_file, None);
        assert_eq!(listener_name(&endpoint, &tuning(ipv6)), Ok(format!("{expected}0")));
    }
}

#[test]
fn a_zone_is_printed_by_name_where_an_address_is_of_one_link() {
    let loopback = netdevice::name_to_index(control_socket().unwrap(), "lo").unwrap();
    for (ip, index, expected) in [
        ("fe80::1", loopback, "tcp://[fe80::1%lo]:7"),
        ("fe80::1", u32::MAX, "tcp://[fe80::1%4294967295]:7"),
        ("fd00::1", loopback, &format!("tcp://[fd00::1%{loopback}]:7")),
        ("fe80::1", 0, "tcp://[fe80::1]:7"),
    ] {
        let address = SocketAddrV6::new(ip.parse().unwrap(), 7, 0, index);
        assert_eq!(name(&address.into()), expected);
    }
}

#[test]
fn a_zone_names_an_interface_or_its_number() {
    let loopback = netdevice::name_to_index(control_socket().unwrap(), "lo").unwrap();
    for zone in [String::from("lo"), loopback.to_string()] {
        let routes = look_up(&endpoint(&format!("[fe80::1%{zone}]:5")), false).unwrap();
        let destination = routes[0].destination.as_socket_ipv6().unwrap();
        assert_eq!((destination.scope_id(), destination.port()), (loopback, 5));
    }
    let unknown = endpoint("[fe80::1%nosuchdevice]:5");
    assert_eq!(look_up(&unknown, false).unwrap_err(), no_such_device(&unknown));
}

#[test]
fn a_port_in_use_is_refused() {
    let holder = listen(&endpoint("127.0.0.1:0"), &tuning(false)).unwrap();
    let again = endpoint(holder.endpoint.strip_prefix("tcp://").unwrap());
    let refusal = listen(&again, &tuning(false)).unwrap_err();
    assert_eq!(refusal, Error::AddressInUse { endpoint: holder.endpoint });
}

#[test]
fn only_addresses_and_interfaces_of_this_machine_are_listened_at() {
    for name in ["localhost:0", "nosuchdevice:0", "[fe80::1%nosuchdevice]:0"] {
        let endpoint = endpoint(name);
        let refusal = listen(&endpoint, &tuning(false)).unwrap_err();
        assert_eq!(refusal, no_such_device(&endpoint));
    }
    // TEST-NET-1 (RFC 5737) belongs to nobody.
    let refusal = listen(&endpoint("192.0.2.1:0"), &tuning(false)).unwrap_err();
    assert_eq!(refusal, Error::AddressNotAvailable { endpoint: "tcp://192.0.2.1:0".to_owned() });
}

#[test]
fn a_listener_has_no_source() {
    let endpoint = endpoint("127.0.0.1:0;127.0.0.1:0");
    let error = endpoint.invalid("a listener has no source address");
    assert_eq!(listen(&endpoint, &tuning(false)).unwrap_err(), error);
}

#[test]
fn a_connection_needs_a_host_and_a_port() {
    for (text, reason) in [
        ("*:5", "a connection needs a host, not *"),
        ("127.0.0.1:*", "a connection needs a port, not *"),
        ("127.0.0.1:0;[::1]:5", MIXED),
        ("[fe80::1%lo]:0;127.0.0.1:5", MIXED),
    ] {
        let endpoint = endpoint(text);
        assert_eq!(routes(&endpoint).unwrap_err(), endpoint.invalid(reason));
    }
}

#[test]
fn a_source_is_of_the_family_of_its_destination() {
    for (text, expected) in [
        ("lo:7;127.0.0.1:5", "127.0.0.1:7"),
        ("lo:*;[::1]:5", "[::1]:0"),
        ("*:0;[::1]:5", "[::]:0"),
        ("*:0;127.0.0.1:5", "0.0.0.0:0"),
    ] {
        if text.starts_with("lo:*") && !has_ipv6() {
            continue;
        }
        let routes = look_up(&endpoint(text), false).unwrap();
        let source = routes[0].source.as_ref().and_then(SockAddr::as_socket).unwrap();
        assert_eq!(source.to_string(), expected);
    }
}

#[test]
fn a_source_is_no_host_name() {
    let endpoint = endpoint("localhost:0;127.0.0.1:5");
    assert_eq!(look_up(&endpoint, false).unwrap_err(), no_such_device(&endpoint));
}

#[test]
fn names_are_looked_up_later() {
    let names = ["localhost:5", "[fe80::1%lo]:5", "lo:0;127.0.0.1:5", "[fe80::1%lo]:0;[::1]:5"];
    for (text, is_named) in
        names.map(|name| (name, true)).into_iter().chain([("[fe80::1%1]:5", false)])
    {
        assert_eq!(routes(&endpoint(text)).unwrap().is_empty(), is_named, "{text}");
    }
}

#[test]
fn host_names_mean_ipv4_only_unless_ipv6_is_on() {
    let endpoint = endpoint("localhost:5");
    let routes = look_up(&endpoint, false).unwrap();
    assert!(!routes.is_empty());
    assert!(routes.iter().all(|route| route.destination.is_ipv4()));
}

#[test]
fn to_a_host_name_without_an_address_there_is_no_way() {
    // A label has up to 63 bytes (RFC 1035, section 2.3.4), so that no server is asked.
    for source in ["", "lo:0;"] {
        let endpoint = endpoint(&format!("{source}{}.invalid:5", "h".repeat(64)));
        assert!(look_up(&endpoint, false).unwrap().is_empty());
    }
}
