//! Who this node is, and where its random choices come from.

use fastrand::Rng;

use crate::nkey::{self, Purpose};

/// The nats-server release whose client protocol and routes this crate speaks; clients decide by it what they may use.
pub const NATS_VERSION: &str = "2.15.1";

/// What INFO shows in the field `go`, which any text may fill.
pub const IMPLEMENTATION: &str = concat!("onehop ", env!("CARGO_PKG_VERSION"));

/// The independent random streams of one node.
///
/// Each part draws its own, so that a change in how often one part draws changes nothing elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Identity,
    ClusterName,
    Dials,
    Services,
    Nonces,
    Requests,
    Discovery,
    Circuits,
    /// One per connection, by its number.
    Connection(u64),
}

/// The generator of one stream of the node with this seed.
pub(crate) fn stream(seed: u64, stream: Stream) -> Rng {
    let salt = match stream {
        Stream::Identity => 1,
        Stream::ClusterName => 2,
        Stream::Dials => 4,
        Stream::Services => 5,
        Stream::Nonces => 6,
        Stream::Requests => 7,
        Stream::Discovery => 8,
        Stream::Circuits => 9,
        Stream::Connection(number) => number.wrapping_add(1 << 32),
    };
    // Two steps, so that neighbouring seeds and neighbouring salts do not give related streams.
    let mut seeded = Rng::with_seed(seed);
    let base = seeded.u64(..);
    Rng::with_seed(base ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A new server id: 56 characters, an nkey of kind "server" (base 32 of prefix, 32 bytes, CRC-16).
///
/// The bytes are random and no key: nothing in the cluster protocol asks for a signature by it.
pub(crate) fn server_id(rng: &mut Rng) -> String {
    nkey::encode(Purpose::Server, &std::array::from_fn(|_| rng.u8(..)))
}

/// A generated cluster name: 22 letters and digits (wire.md 3.6).
pub(crate) fn cluster_name(rng: &mut Rng) -> String {
    unique_text(rng)
}

/// What stands in a request to move an account, and in its answer (wire.md 4.5).
pub(crate) fn move_request(rng: &mut Rng) -> String {
    unique_text(rng)
}

/// What a connection of a circuit is known by, once (wire.md 14.7).
pub(crate) fn circuit_token(rng: &mut Rng) -> String {
    unique_text(rng)
}

/// 22 letters and digits, like all that nats-server makes to be unique.
fn unique_text(rng: &mut Rng) -> String {
    std::iter::repeat_with(|| rng.alphanumeric()).take(22).collect()
}

/// What INFO on a new route gives to be signed: 11 random bytes in base 64 (wire.md 2.4). Nothing is signed on routes.
pub(crate) fn nonce(rng: &mut Rng) -> String {
    let is_whole = |at: usize| at < 14;
    // The last character has the 4 bits that are left, and two that are zero.
    let sextet = |at: usize, rng: &mut Rng| if is_whole(at) { rng.usize(..64) } else { rng.usize(..16) << 2 };
    (0..15).map(|at| char::from(BASE64_URL[sextet(at, rng)])).collect()
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_is_a_well_formed_public_server_nkey() {
        let id = server_id(&mut stream(7, Stream::Identity));
        assert_eq!(id.len(), 56);
        assert!(id.starts_with('N'));
        assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)));
        assert_eq!(id, server_id(&mut stream(7, Stream::Identity)), "the seed decides");
        assert_ne!(id, server_id(&mut stream(8, Stream::Identity)));
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = |which| stream(42, which).u64(..);
        assert_ne!(first(Stream::Dials), first(Stream::Identity));
        assert_ne!(first(Stream::Connection(0)), first(Stream::Connection(1)));
    }
}
