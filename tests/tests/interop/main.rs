//! Interop: our sockets and libzmq's, in one conversation.
//!
//! A [`Duo`](duo::Duo) is two patterns that talk to each other; ours may be either, either may
//! bind, and the other is libzmq's. Ours stays on the test's thread, and libzmq's gets one of its
//! own, so that both may wait.
//!
//! Deliberately absent: what one side does alone. That is in `conformance`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed there")]

mod addresses;
mod duo;
mod files;
mod heartbeats;
mod messages;
mod party;
mod reconnecting;
mod relay;
mod routing;
mod subscriptions;
