//! Whether two things are the same, without keeping them.

use aws_lc_rs::digest::{Context, SHA256};

/// The SHA-256 of some parts. Equal digests are of equal parts; a secret that went in does not come
/// out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these parts, in this order. Each counts with its length: what moves from one part to the
    /// next makes a difference.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest of this one and more parts.
    #[must_use]
    pub fn and(self, parts: &[&[u8]]) -> Self {
        let mut all = vec![&self.0[..]];
        all.extend(parts);
        Self::of(&all)
    }

    /// The digest of this one and another.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        Self::of(&[&self.0, &other.0])
    }

    /// The first 64 bits, in hexadecimal digits: enough to tell the few of a fleet apart.
    pub fn short(&self) -> String {
        self.0[..8].iter().fold(String::new(), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_with_their_bounds_and_order() {
        let of = |parts: &[&str]| {
            let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
            Digest::of(&parts)
        };
        let all = [
            of(&[]),
            of(&[""]),
            of(&["ab", "c"]),
            of(&["a", "bc"]),
            of(&["c", "ab"]),
            of(&["abc"]),
            of(&["ab"]).and(&[b"c"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }

    #[test]
    fn the_short_form_is_the_beginning_of_the_sum() {
        // The SHA-256 of nothing.
        assert_eq!(Digest::of(&[]).short(), "e3b0c44298fc1c14");
    }
}
