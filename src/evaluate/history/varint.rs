//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first.

/// Adds a number: one byte up to 127, ten at most.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes the number at the start; `None` if there is none.
pub(super) fn take(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = bytes.next()?;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_is_none() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(take(&mut bytes.iter().copied()), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(shift in 0..64_u32, number: u64) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            prop_assert!(bytes.len() <= 10 && (number > 127 || bytes.len() == 1));
            let mut read = bytes.iter().copied();
            prop_assert_eq!(take(&mut read), Some(number));
            prop_assert_eq!(read.next(), None);
        }
    }
}
