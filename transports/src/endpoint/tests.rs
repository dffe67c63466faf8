//! Claims about endpoints: what is refused, and that what listens can be talked to.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};

use super::*;

fn refusal(text: &str) -> Error {
    Endpoint::parse(text).expect_err("the endpoint is refused")
}

/// Whether this machine has `::1`; says so if not.
pub(crate) fn has_ipv6() -> bool {
    let found = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !found {
        eprintln!("SKIPPED: a case that needs IPv6 on the loopback interface");
    }
    found
}

/// Listens, connects by the name that came back, sends a byte each way.
fn check_conversation(text: &str, tuning: &Tuning) -> Listening {
    let endpoint = Endpoint::parse(text).unwrap();
    let listening = listen(&endpoint, tuning).unwrap_or_else(|error| panic!("{error}"));
    converse(&listening, &Endpoint::parse(&listening.endpoint).unwrap(), tuning);
    listening
}

fn open(endpoint: &Endpoint, tuning: &Tuning) -> (OwnedFd, SockAddr) {
    let target = resolve(endpoint).and_then(|target| target.look_up(tuning));
    target.and_then(|target| target.open(tuning)).unwrap_or_else(|error| panic!("{error}"))
}

fn converse(listening: &Listening, endpoint: &Endpoint, tuning: &Tuning) {
    let (fd, address) = open(endpoint, tuning);
    check_flags(&fd);
    check_flags(&listening.fd);

    let mut near = Socket::from(fd);
    near.set_nonblocking(false).unwrap();
    near.connect(&address).unwrap_or_else(|error| panic!("{endpoint}: {error}"));
    poll(&mut [PollFd::new(&listening.fd, PollFlags::IN)], None).unwrap();
    let (mut far, _) = SockRef::from(&listening.fd).accept().unwrap();
    let is_tcp = matches!(endpoint, Endpoint::Tcp(_));
    tune_accepted(far.as_fd(), tuning, is_tcp).unwrap();
    for socket in [&near, &far] {
        assert!(!is_tcp || socket.tcp_nodelay().unwrap());
    }
    let mut byte = [0];
    near.write_all(b"a").unwrap();
    far.read_exact(&mut byte).unwrap();
    far.write_all(b"b").unwrap();
    near.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
}

fn check_flags(fd: &OwnedFd) {
    assert!(fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
    assert!(fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC));
}

#[test]
fn endpoints_display_as_what_was_parsed() {
    for text in ["tcp://lo:0;[::1%lo]:5", "ipc://./a b", "ipc://@a", "ipc://*", "inproc://a://b"] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
    }
}

#[test]
fn a_refusal_names_the_endpoint_and_the_reason() {
    for (text, reason) in [
        ("", "there is no :// behind a transport"),
        ("tcp:127.0.0.1:1", "there is no :// behind a transport"),
        ("://a:1", "there is no transport before ://"),
        ("tcp://", "there is no address behind ://"),
        ("ipc://", "there is no address behind ://"),
        ("inproc://", "there is no address behind ://"),
        ("tcp://a", "there is no port"),
        ("ipc://@", "there is no name behind @"),
    ] {
        assert_eq!(refusal(text), Error::invalid(text, reason));
    }
    assert_eq!(refusal("tcp://a").to_string(), "tcp://a: there is no port");
}

#[test]
fn transports_are_tcp_ipc_and_inproc_in_small_letters() {
    for text in ["udp://a:1", "TCP://a:1", " tcp://a:1", "ws://a:1"] {
        assert_eq!(refusal(text), Error::UnknownTransport { endpoint: text.to_owned() });
    }
}

#[test]
fn an_inproc_name_has_up_to_256_bytes() {
    let name = "n".repeat(256);
    let endpoint = Endpoint::parse(&format!("inproc://{name}")).unwrap();
    assert_eq!(endpoint, Endpoint::Inproc(name.clone()));
    let long = format!("inproc://{name}n");
    assert_eq!(refusal(&long), Error::invalid(&long, "the name is longer than 256 bytes"));
}

#[test]
fn inproc_has_no_descriptor() {
    let endpoint = Endpoint::parse("inproc://a").unwrap();
    let error = Error::invalid("inproc://a", INPROC_HAS_NO_FD);
    assert_eq!(listen(&endpoint, &Tuning::default()).unwrap_err(), error);
    assert_eq!(resolve(&endpoint).unwrap_err(), error);
}

#[test]
fn what_listens_can_be_connected_to_by_its_name() {
    for ipv6 in [false, true] {
        let tuning = Tuning { ipv6, ..Tuning::default() };
        for text in ["tcp://127.0.0.1:*", "tcp://[::1]:0", "tcp://*:*", "tcp://lo:*", "ipc://*"] {
            if (ipv6 || text.contains("::")) && !has_ipv6() {
                continue;
            }
            let listening = check_conversation(text, &tuning);
            listening.socket_file.as_deref().map(remove_socket_file);
        }
    }
}

#[test]
fn a_listener_at_any_address_takes_ipv4_too_when_ipv6_is_on() {
    if !has_ipv6() {
        return;
    }
    let tuning = Tuning { ipv6: true, ..Tuning::default() };
    let listening = listen(&Endpoint::parse("tcp://*:0").unwrap(), &tuning).unwrap();
    let port = listening.endpoint.strip_prefix("tcp://[::]:").unwrap();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let endpoint = Endpoint::parse(&format!("tcp://{host}:{port}")).unwrap();
        converse(&listening, &endpoint, &tuning);
    }
}

#[test]
fn a_connection_comes_from_the_source_it_was_given() {
    let tuning = Tuning::default();
    let listening = listen(&Endpoint::parse("tcp://127.0.0.1:0").unwrap(), &tuning).unwrap();
    let to = listening.endpoint.strip_prefix("tcp://").unwrap();
    for (source, from) in [("127.0.0.2:0", "127.0.0.2"), ("lo:*", "127.0.0.1"), ("*:0", "0.0.0.0")]
    {
        let endpoint = Endpoint::parse(&format!("tcp://{source};{to}")).unwrap();
        let (fd, _) = open(&endpoint, &tuning);
        let bound = SockRef::from(&fd).local_addr().unwrap().as_socket().unwrap();
        assert_eq!(bound.ip().to_string(), from);
        converse(&listening, &endpoint, &tuning);
    }
}

#[test]
fn buffers_are_set_only_if_asked_for() {
    let asked =
        Tuning { send_buffer: Some(20_000), receive_buffer: Some(30_000), ..Tuning::default() };
    for text in ["tcp://127.0.0.1:1", "ipc://@a"] {
        let target = resolve(&Endpoint::parse(text).unwrap()).unwrap();
        let sizes = |tuning| {
            let (fd, _) = target.open(tuning).unwrap();
            let socket = SockRef::from(&fd);
            (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap())
        };
        assert_eq!(sizes(&asked), (40_000, 60_000));
        let untouched = Socket::new(
            if text.starts_with("tcp") { Domain::IPV4 } else { Domain::UNIX },
            Type::STREAM,
            None,
        )
        .unwrap();
        assert_eq!(
            sizes(&Tuning::default()),
            (untouched.send_buffer_size().unwrap(), untouched.recv_buffer_size().unwrap())
        );
    }
}

#[test]
fn what_waits_unsent_is_limited_only_if_asked_for_and_for_tcp() {
    let asked = Tuning { unsent_max: Some(70_000), ..Tuning::default() };
    let target = |text| resolve(&Endpoint::parse(text).unwrap()).unwrap();
    let limit = |tuning| {
        let (fd, _) = target("tcp://127.0.0.1:1").open(tuning).unwrap();
        SockRef::from(&fd).tcp_notsent_lowat().unwrap()
    };
    let untouched = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    assert_eq!(limit(&asked), 70_000);
    assert_eq!(limit(&Tuning::default()), untouched.tcp_notsent_lowat().unwrap());
    assert!(target("ipc://@a").open(&asked).is_ok());
}

#[test]
fn a_family_that_the_kernel_lacks_is_passed_over_and_other_refusals_are_not() {
    let attempt = |errno: &Option<Errno>| errno.map_or(Ok(()), |errno| Err(errno.into()));
    let lacking = Some(Errno::AFNOSUPPORT);
    let check = |candidates: &[Option<Errno>], expected: Option<Errno>| {
        let outcome = first_of_supported_family(candidates.iter().copied(), attempt);
        let refusal = outcome.err().and_then(|error| Errno::from_io_error(&error));
        assert_eq!(refusal, expected);
    };
    check(&[lacking, None], None);
    check(&[lacking, lacking], lacking);
    check(&[lacking, Some(Errno::ADDRINUSE), None], Some(Errno::ADDRINUSE));
}

#[test]
fn a_backlog_beyond_an_int_is_the_largest_int() {
    assert_eq!(backlog(&Tuning::default()), 100);
    assert_eq!(backlog(&Tuning { backlog: u32::MAX, ..Tuning::default() }), i32::MAX);
}
