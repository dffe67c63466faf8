//! Commands: no body panics, and what is read can be written and read again.
//!
//! The input is the body of a command frame.
//!
//! Run: `cargo +nightly fuzz run commands`
//!
//! Deliberately absent: what commands do to a handshake, which is the target `greeting`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zring_zmtp::command::{self, Command, PING_CONTEXT_SIZE_MAX};
use zring_zmtp::frame;

/// Writes what was read, as a whole frame; `None` for what has no writer.
fn encode(read: &Command<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match *read {
        Command::Error { reason } => command::encode_error(reason, &mut out),
        Command::Subscribe(topic) => command::encode_subscribe(topic, &mut out),
        Command::Cancel(topic) => command::encode_cancel(topic, &mut out),
        Command::Ping { ttl, context } => command::encode_ping(ttl, context, &mut out),
        Command::Pong { context } if context.len() <= PING_CONTEXT_SIZE_MAX => {
            command::encode_pong(context, &mut out);
        }
        Command::Pong { .. } | Command::Ready(_) | Command::Unknown { .. } => return None,
    }
    Some(out)
}

fuzz_target!(|body: &[u8]| {
    let Ok(read) = command::parse(body) else { return };
    if let Command::Ready(metadata) = read {
        let mut len = b"\x05READY".len();
        for property in metadata {
            let Ok((name, value)) = property else { return };
            assert!(!name.is_empty());
            len += 1 + name.len() + 4 + value.len();
        }
        assert_eq!(len, body.len(), "properties fill the body");
    }
    if let Some(written) = encode(&read) {
        let header = frame::decode(&written, u64::MAX).expect("our own frame is valid");
        let header = header.expect("our own frame is whole");
        assert!(header.command && header.frame_len() == written.len());
        assert_eq!(command::parse(&written[header.header_len..]), Ok(read));
    }
});
