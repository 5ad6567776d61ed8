//! Whether the names of a DNS message are cheap to read.
//!
//! A name may end in a pointer to an earlier one, which may be another pointer. The library follows
//! as many as there are, for every name again: 64 KiB of nothing else keep a core busy for a good
//! part of a second, within which no other run on it goes on. So they are counted first.

/// Labels and pointers of all names together. The largest honest answers (thousands of records, all
/// with a name of a few labels) have a quarter of it.
const MAX_STEPS: u32 = 1 << 17;
const HEADER: usize = 12;

/// Whether reading all names takes few enough steps. A message that breaks the rules is left to the
/// library, up to where it would break it off.
pub(super) fn is_cheap(message: &[u8]) -> bool {
    let mut steps = Steps {
        message,
        left: MAX_STEPS,
    };
    // What cannot be read ends the library's reading there, too.
    let _ = steps.message();
    steps.left > 0
}

struct Steps<'a> {
    message: &'a [u8],
    left: u32,
}

impl Steps<'_> {
    fn message(&mut self) -> Option<()> {
        let questions = self.number(4)?;
        let records = [6, 8, 10].map(|at| self.number(at));
        let mut at = HEADER;
        for _ in 0..questions {
            at = self.name(at)? + 4;
        }
        for _ in 0..records.into_iter().flatten().sum() {
            at = self.record(at)?;
        }
        Some(())
    }

    /// The number in two bytes.
    fn number(&self, at: usize) -> Option<usize> {
        let bytes = self.message.get(at..at + 2)?;
        Some(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }

    /// Where the record ends.
    fn record(&mut self, at: usize) -> Option<usize> {
        let head = self.name(at)?;
        let kind = self.number(head)?;
        let data = head + 10;
        let length = self.number(head + 8)?;
        if length > 0 {
            // Should one be no name, the library may read on all the same: so do we.
            let _ = self.names_in(kind, data);
        }
        Some(data + length)
    }

    /// The names in the data of the types that the library knows.
    fn names_in(&mut self, kind: usize, data: usize) -> Option<()> {
        let first = match kind {
            // NS, CNAME, SOA, PTR, TSIG, ANAME.
            2 | 5 | 6 | 12 | 250 | 65_305 => data,
            // MX, SVCB, HTTPS.
            15 | 64 | 65 => data + 2,
            // SRV.
            33 => data + 6,
            // NAPTR: behind three texts.
            35 => (0..3).try_fold(data + 4, |at, _| {
                Some(at + 1 + usize::from(*self.message.get(at)?))
            })?,
            _ => return Some(()),
        };
        let second = self.name(first)?;
        // SOA has two.
        if kind == 6 {
            self.name(second)?;
        }
        Some(())
    }

    /// Where the name ends that begins here; `None` also when there are no steps left.
    fn name(&mut self, start: usize) -> Option<usize> {
        let mut end = None;
        let (mut at, mut before) = (start, start);
        loop {
            self.left = self.left.checked_sub(1)?;
            match *self.message.get(at)? {
                0 => return Some(end.unwrap_or(at + 1)),
                length @ 1..=63 => at += 1 + usize::from(length),
                192.. => {
                    let to = self.number(at)? & 0x3fff;
                    end.get_or_insert(at + 2);
                    // Only ever back, so that a circle ends.
                    if to >= before {
                        return None;
                    }
                    (at, before) = (to, to);
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Message;

    /// A header with that many questions and answers.
    fn header(questions: u8, answers: u16) -> Vec<u8> {
        let mut message = vec![0; HEADER];
        message[5] = questions;
        message[6..8].copy_from_slice(&answers.to_be_bytes());
        message
    }

    /// Answers of which every owner, and every name inside them, is a long chain of pointers.
    fn chains(kind: u16, before: &[u8], count: u16) -> Vec<u8> {
        let mut message = header(0, count + 1);
        // A record of no known type with the chain as its data, the root at its beginning.
        message.extend([0, 0xff, 0xf0, 0, 1, 0, 0, 0, 0]);
        let links = 8_000_u16;
        message.extend((links * 2 + 1).to_be_bytes());
        let mut to = u16::try_from(message.len()).expect("short");
        message.push(0);
        for _ in 0..links {
            let here = u16::try_from(message.len()).expect("short");
            message.extend((0xc000 | to).to_be_bytes());
            to = here;
        }
        for _ in 0..count {
            message.push(0);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 0]);
            let length = u16::try_from(before.len() + 2).expect("short");
            message.extend(length.to_be_bytes());
            message.extend(before);
            message.extend((0xc000 | to).to_be_bytes());
        }
        message
    }

    #[test]
    fn chains_of_pointers_are_dear_wherever_the_library_follows_them() {
        for (kind, before) in [
            (2, &[][..]),
            (5, &[]),
            (12, &[]),
            (65_305, &[]),
            (6, &[0]),
            (15, &[0; 2]),
            (64, &[0; 2]),
            (65, &[0; 2]),
            (33, &[0; 6]),
            (35, &[0, 0, 0, 0, 1, b'a', 0, 0]),
        ] {
            assert!(!is_cheap(&chains(kind, before, 1000)), "type {kind}");
            assert!(is_cheap(&chains(kind, before, 1)), "type {kind}");
        }
        let one = Message::from_vec(&chains(5, &[], 1)).expect("the library takes them");
        assert_eq!(one.answers.len(), 2);
    }

    #[test]
    fn what_is_no_message_is_cheap() {
        for message in [&[][..], &[0; 11], &[0xff; 700], &header(1, 1)] {
            assert!(is_cheap(message));
        }
        let mut circle = header(1, 0);
        circle.extend([0xc0, 12, 0, 1, 0, 1]);
        assert!(is_cheap(&circle));
    }
}
