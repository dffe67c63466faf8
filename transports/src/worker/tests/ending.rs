//! Claims about the end of a worker.

use super::super::*;
use crate::endpoint::Tuning;
use crate::notice::SocketInbox;
use crate::pipe::{Joint, Marks, log_pools};
use crate::port::PortOptions;
use crate::rejections::RejectionLog;

#[test]
fn a_socket_that_was_not_read_of_is_told_of_the_end() {
    let crew = Crew::new(1);
    let worker = Worker::new(crew.clone(), 0).unwrap();
    let inbox = Arc::new(SocketInbox::default());
    let options = PortOptions {
        socket_type: zring_zmtp::SocketType::Pull,
        routing_id: bytes::Bytes::new(),
        frame_size_max: u64::MAX,
        handshake_timeout: None,
        reconnect_interval: None,
        reconnect_interval_max: None,
        reports_subscriptions: false,
        is_lossless: false,
        tuning: Tuning::default(),
        joint: Joint {
            pools: log_pools(),
            inbox: inbox.clone(),
            marks: Marks { send: 0, receive: 0 },
            is_local: false,
        },
        rejections: RejectionLog::default(),
    };
    let open = OpenPort { port: PortId::fresh(), options, feed: None };
    crew.mailbox(0).post(Notice::Open(Box::new(open)));
    drop(worker);
    assert!(crew.is_broken());
    let mut events = Vec::new();
    drop(inbox.take_into(&mut events));
    assert!(matches!(events[..], [Event::Failed]));
}
