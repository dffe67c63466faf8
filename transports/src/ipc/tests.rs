//! Claims about IPC endpoints: lengths, files that stay, go or are left alone.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(create_directory(&env::temp_dir()).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn endpoint(&self, name: &str) -> IpcEndpoint {
        endpoint(self.path(name).to_str().unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn endpoint(text: &str) -> IpcEndpoint {
    IpcEndpoint::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
}

fn check_connects(endpoint: &IpcEndpoint) {
    let socket = open_stream(Domain::UNIX).unwrap();
    socket.connect(&route(endpoint).unwrap().destination).unwrap();
}

#[test]
fn a_path_has_up_to_107_bytes() {
    let longest = "p".repeat(107);
    assert_eq!(endpoint(&longest).place, Place::Path(longest.clone()));
    let reason = "the path is longer than 107 bytes";
    assert_eq!(IpcEndpoint::parse(&format!("{longest}p")), Err(reason));
    assert_eq!(IpcEndpoint::parse(&format!("@{longest}")), Err(reason));
}

#[test]
fn what_is_no_path_is_refused() {
    for (text, reason) in [
        ("@", "there is no name behind @"),
        ("*a", "a wildcard stands alone"),
        ("a\0b", "the path has a NUL byte"),
        ("@a\0b", "the path has a NUL byte"),
    ] {
        assert_eq!(IpcEndpoint::parse(text), Err(reason));
    }
}

#[test]
fn a_path_that_fills_the_address_can_be_used() {
    let directory = Directory::new();
    let room = PATH_LEN_MAX - directory.0.as_os_str().len() - 1;
    let endpoint = directory.endpoint(&"p".repeat(room));
    let _listening = listen(&endpoint, &Tuning::default()).unwrap();
    check_connects(&endpoint);
}

#[test]
fn a_listener_at_a_path_leaves_its_file() {
    let directory = Directory::new();
    let endpoint = directory.endpoint("s");
    let listening = listen(&endpoint, &Tuning::default()).unwrap();
    assert_eq!((listening.endpoint, listening.socket_file), (endpoint.to_string(), None));
    check_connects(&endpoint);
    drop(listening.fd);
    assert!(directory.path("s").exists());
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let directory = Directory::new();
    drop(UnixListener::bind(directory.path("s")).unwrap());
    assert!(directory.path("s").exists());
    let _listening = listen(&directory.endpoint("s"), &Tuning::default()).unwrap();
    check_connects(&directory.endpoint("s"));
}

#[test]
fn a_second_listener_takes_the_path_over() {
    let directory = Directory::new();
    let first = listen(&directory.endpoint("s"), &Tuning::default()).unwrap();
    let second = listen(&directory.endpoint("s"), &Tuning::default()).unwrap();
    check_connects(&directory.endpoint("s"));
    assert!(Socket::from(second.fd).accept().is_ok());
    assert!(Socket::from(first.fd).accept().is_err());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = Directory::new();
    fs::write(directory.path("s"), "precious").unwrap();
    let endpoint = directory.endpoint("s");
    let refusal = listen(&endpoint, &Tuning::default()).unwrap_err();
    assert_eq!(refusal, Error::AddressInUse { endpoint: endpoint.to_string() });
    assert_eq!(fs::read_to_string(directory.path("s")).unwrap(), "precious");
}

#[test]
fn an_abstract_name_has_no_file_and_one_holder() {
    let name = format!("@{}", Directory::new().0.display());
    let endpoint = endpoint(&name);
    let listening = listen(&endpoint, &Tuning::default()).unwrap();
    assert_eq!(listening.endpoint, format!("ipc://{name}"));
    check_connects(&endpoint);
    let refusal = listen(&endpoint, &Tuning::default()).unwrap_err();
    assert_eq!(refusal, Error::AddressInUse { endpoint: endpoint.to_string() });
}

#[test]
fn a_wildcard_is_a_private_directory_that_can_be_removed() {
    let listening = listen(&endpoint("*"), &Tuning::default()).unwrap();
    let path = listening.socket_file.unwrap();
    assert_eq!(listening.endpoint, format!("ipc://{}", path.display()));
    check_connects(&endpoint(path.to_str().unwrap()));
    let directory = path.parent().unwrap();
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    remove_socket_file(&path);
    assert!(!directory.exists());
    remove_socket_file(&path);
}

#[test]
fn a_connection_needs_a_path() {
    let error = Error::invalid("ipc://*", "a connection needs a path, not *");
    assert_eq!(route(&endpoint("*")).unwrap_err(), error);
}

#[test]
fn a_directory_that_is_not_there_is_the_kernels_refusal() {
    let directory = Directory::new();
    let endpoint = directory.endpoint("absent/s");
    let errno = zring_engine::Errno::NOENT;
    let refusal = listen(&endpoint, &Tuning::default()).unwrap_err();
    assert_eq!(refusal, Error::Kernel { endpoint: endpoint.to_string(), errno });
}
