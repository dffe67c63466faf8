//! Socket types: their names on the wire, and which may talk to which.
//!
//! Follows the table in 37/ZMTP, "The Socket-Type Property", which is libzmq's
//! `check_socket_type` as well. The relation is symmetric.
//!
//! Deliberately absent: the draft types (CLIENT, SERVER, RADIO, DISH and so on), and STREAM, which
//! does not speak ZMTP.

use std::fmt;

/// One of the eleven socket types of ZMTP 3.0 (37/ZMTP, "The Socket-Type Property").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SocketType {
    /// Exclusive pair (31/EXPAIR).
    Pair,
    /// Publisher (29/PUBSUB).
    Pub,
    /// Subscriber (29/PUBSUB).
    Sub,
    /// Requester (28/REQREP).
    Req,
    /// Replier (28/REQREP).
    Rep,
    /// Asynchronous requester (28/REQREP).
    Dealer,
    /// Asynchronous replier that addresses its peers (28/REQREP).
    Router,
    /// End of a pipeline (30/PIPELINE).
    Pull,
    /// Start of a pipeline (30/PIPELINE).
    Push,
    /// Publisher that sees subscriptions (29/PUBSUB).
    XPub,
    /// Subscriber that sends subscriptions as messages (29/PUBSUB).
    XSub,
}

impl SocketType {
    /// Every type once, in the order of libzmq's numbers.
    pub const ALL: [Self; 11] = [
        Self::Pair,
        Self::Pub,
        Self::Sub,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
        Self::Pull,
        Self::Push,
        Self::XPub,
        Self::XSub,
    ];

    /// The value of the Socket-Type property (37/ZMTP).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "PAIR",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Pull => "PULL",
            Self::Push => "PUSH",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
        }
    }

    /// Reads the value of a Socket-Type property (37/ZMTP). `None`: no type of ours; case matters.
    pub fn parse(value: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|socket_type| socket_type.as_str().as_bytes() == value)
    }

    /// Whether a socket of this type may talk to one of type `peer` (37/ZMTP, "The Socket-Type
    /// Property").
    pub const fn accepts(self, peer: Self) -> bool {
        match self {
            Self::Pair => matches!(peer, Self::Pair),
            Self::Pub | Self::XPub => matches!(peer, Self::Sub | Self::XSub),
            Self::Sub | Self::XSub => matches!(peer, Self::Pub | Self::XPub),
            Self::Req => matches!(peer, Self::Rep | Self::Router),
            Self::Rep => matches!(peer, Self::Req | Self::Dealer),
            Self::Dealer => matches!(peer, Self::Rep | Self::Dealer | Self::Router),
            Self::Router => matches!(peer, Self::Req | Self::Dealer | Self::Router),
            Self::Pull => matches!(peer, Self::Push),
            Self::Push => matches!(peer, Self::Pull),
        }
    }

    /// Whether READY carries an Identity property, possibly empty (37/ZMTP, "The Identity
    /// Property"). libzmq sends it for these.
    pub const fn sends_identity(self) -> bool {
        matches!(self, Self::Req | Self::Dealer | Self::Router)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::SocketType;

    #[test]
    fn names_survive_the_round_trip_and_case_matters() {
        for socket_type in SocketType::ALL {
            let name = socket_type.as_str();
            assert_eq!(SocketType::parse(name.as_bytes()), Some(socket_type));
            assert_eq!(SocketType::parse(name.to_lowercase().as_bytes()), None);
        }
        assert_eq!(SocketType::parse(b""), None);
        assert_eq!(SocketType::parse(b"STREAM"), None);
    }

    #[test]
    fn acceptance_is_symmetric_and_has_the_pairs_of_the_rfc_table() {
        let mut pairs = 0;
        for local in SocketType::ALL {
            for peer in SocketType::ALL {
                assert_eq!(local.accepts(peer), peer.accepts(local), "{local} {peer}");
                pairs += usize::from(local.accepts(peer));
            }
        }
        // 10 stars in the rows REQ to ROUTER, 8 in PUB to XSUB, 2 in PUSH and PULL, 1 in PAIR.
        assert_eq!(pairs, 10 + 8 + 2 + 1);
    }
}
