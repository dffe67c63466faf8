//! Names of hosts that are not there yet, or have moved.

use std::process::Command;
use std::time::Duration;

use tests::child::spawn_with_mounts;
use tests::{Caller, Cell, Ground, Threads, Transport};
use zring::{Pull, Push};

use crate::{DONE, child_arguments, tell_done};

/// Says where the host `feed` is, to this process alone.
fn place(address: &str) {
    std::fs::write("/etc/hosts", format!("{address} feed\n")).unwrap();
}

fn follow_a_host<G: Ground>() {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none", "/etc"]).status();
    assert!(mounted.unwrap().success());
    std::fs::write("/etc/nsswitch.conf", "hosts: files\n").unwrap();
    let cell = Cell::<G>::new(Transport::Tcp);
    let interval = Some(Duration::from_millis(1));
    let mut push = Push::builder().reconnect_interval(interval).build(&cell.context).unwrap();
    let mut place_of_pull = None;
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let mut pull = Pull::new(&cell.context).unwrap();
        let port = place_of_pull.as_deref().unwrap_or("*");
        let endpoint = pull.bind(&format!("tcp://{address}:{port}")).unwrap();
        let port = endpoint.rsplit(':').next().unwrap().to_owned();
        if place_of_pull.is_none() {
            push.connect(&format!("tcp://feed:{port}")).unwrap();
        }
        push.send(address).unwrap();
        place(address);
        assert_eq!(pull.recv().unwrap(), address);
        place_of_pull = Some(port);
        pull.unbind(&endpoint).unwrap();
        cell.watchdog.pat();
    }
    tell_done();
}

#[test]
#[ignore = "a child's part"]
fn child_follows_a_host() {
    let arguments = child_arguments!();
    match arguments[0].as_str() {
        "threads" => follow_a_host::<Threads>(),
        _ => follow_a_host::<Caller>(),
    }
}

#[test]
fn a_host_is_looked_up_again_until_it_is_there_and_whenever_it_is_lost() {
    for driver in ["threads", "caller"] {
        match spawn_with_mounts("names::child_follows_a_host", &[driver]) {
            Some(child) => assert_eq!(child.succeed(), [DONE], "{driver}"),
            None => eprintln!("LEFT OUT: user namespaces are not allowed here"),
        }
    }
}
