//! Claims about the end of a worker.

use zring_zmtp::SocketType;

use super::super::*;

#[test]
fn a_socket_that_was_not_read_of_is_told_of_the_end() {
    let crew = Crew::new(1);
    let worker = Worker::new(crew.clone(), 0).unwrap();
    let mut options = super::options(SocketType::Pull);
    options.joint.is_local = false;
    let inbox = options.joint.inbox.clone();
    let open = OpenPort { port: PortId::fresh(), options, feed: None };
    crew.mailbox(0).post(Notice::Open(Box::new(open)));
    drop(worker);
    assert_eq!(crew.failure(), Some(Failure::Panic));
    let mut events = Vec::new();
    drop(inbox.take_into(&mut events));
    assert!(matches!(events[..], [Event::Failed(Failure::Panic)]));
}
