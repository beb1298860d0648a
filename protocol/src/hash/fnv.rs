//! Hashes that are the same on all nodes.

/// FNV-1a, 64 bits, of some texts one after the other.
pub(crate) fn fnv1a<const TEXTS: usize>(texts: [&str; TEXTS]) -> u64 {
    let bytes = texts.into_iter().flat_map(str::bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a, 32 bits, which nats-server takes where servers must agree.
pub(crate) fn fnv1a_32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(2_166_136_261, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        assert_eq!(fnv1a([""]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(["foobar"]), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a(["foo", "bar"]), fnv1a(["foobar"]));
        assert_eq!(fnv1a_32(*b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(*b"foobar"), 0xbf9c_f968);
    }
}
