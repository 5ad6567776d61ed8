//! A hash that is the same everywhere and for ever.

/// A stable hash of an identity (FNV-1a, 64 bits, then mixed as in SplitMix64): the same
/// over restarts, versions and machines.
pub fn stable_hash(identity: &str) -> u64 {
    let mut hash = identity
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
