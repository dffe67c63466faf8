//! Claims about workers: their end, a socket that makes no call, and time.

mod ending;
mod passing;
mod time;

use bytes::Bytes;
use zring_zmtp::SocketType;

use crate::endpoint::Tuning;
use crate::pipe::{Joint, Marks, log_pools};
use crate::port::PortOptions;
use crate::rejections::RejectionLog;

/// Those of a socket without a limit on anything, whose worker runs on its thread.
fn options(socket_type: SocketType) -> PortOptions {
    let marks = Marks { send: 0, receive: 0 };
    PortOptions {
        socket_type,
        routing_id: Bytes::new(),
        frame_size_max: u64::MAX,
        handshake_timeout: None,
        reconnect_interval: None,
        reconnect_interval_max: None,
        reports_subscriptions: false,
        is_lossless: false,
        tuning: Tuning::default(),
        joint: Joint { pools: log_pools(), inbox: Default::default(), marks, is_local: true },
        rejections: RejectionLog::default(),
    }
}
