//! Greeting and READY: no input panics, and no split of it changes the outcome.
//!
//! The first byte picks our socket type, the second the size of the pieces; the rest is what the
//! peer sends.
//!
//! Run: `cargo +nightly fuzz run greeting`
//!
//! Deliberately absent: frames behind READY, which the handshake does not touch.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use zring_zmtp::{Error, Handshake, Local, Peer, SocketType};

/// Bytes taken, the outcome, and the peer once everything of ours is sent.
type Outcome = (usize, Result<(), Error>, Option<Peer>);

fn shake_hands(socket_type: SocketType, input: &[u8], piece: usize) -> Outcome {
    let mut handshake = Handshake::new(Local { socket_type, routing_id: Bytes::new() });
    let mut used = 0;
    let mut outcome = Ok(());
    for bytes in input.chunks(piece) {
        match handshake.handle_input(bytes) {
            Ok(taken) => {
                used += taken;
                assert!(taken <= bytes.len());
                if taken < bytes.len() {
                    break;
                }
            }
            Err(error) => {
                assert_eq!(handshake.handle_input(bytes), Err(error), "an error is final");
                outcome = Err(error);
                break;
            }
        }
    }
    while handshake.poll_transmit().is_some() {}
    if outcome.is_err() {
        // How much was taken before an error depends on the split.
        used = 0;
    }
    (used, outcome, handshake.into_peer())
}

fuzz_target!(|data: &[u8]| {
    let [socket_type, piece, input @ ..] = data else { return };
    let socket_type = SocketType::ALL[usize::from(*socket_type) % SocketType::ALL.len()];
    let whole = shake_hands(socket_type, input, input.len().max(1));
    let split = shake_hands(socket_type, input, usize::from(*piece).max(1));
    assert_eq!(whole, split);

    let (used, outcome, peer) = whole;
    if let Some(peer) = &peer {
        assert!(socket_type.accepts(peer.socket_type));
        assert!(peer.minor <= 1 && peer.routing_id.len() <= 255);
    } else if outcome.is_ok() {
        assert_eq!(used, input.len(), "all is taken until the handshake ends");
    }
});
