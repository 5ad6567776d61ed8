//! Commands and replies as they go over the wire (RESP2).
//!
//! Replies are held to a cap before anything is put aside for what they announce, every byte is
//! looked at once however the replies are cut, and nothing nests: nobody asks for the elements of a
//! list, so they are counted and forgotten.

use bytes::{Bytes, BytesMut};

use crate::model::{Failure, Reason};

/// Bytes of one reply. `INFO replication` has some hundred, and a hundred more for each replica.
const MAX_REPLY: usize = 256 << 10;
/// Bytes of the shortest element of a list.
const MIN_ELEMENT: usize = 3;
const LINE_END: &[u8] = b"\r\n";

/// A command with its arguments, ready to be sent.
pub(super) fn packed(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(LINE_END);
    }
    bytes
}

/// One reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A line or a block of bytes.
    Text(Bytes),
    Integer(i64),
    /// The server's refusal: a code and words, only the first of which mean something.
    Error(Bytes),
    /// There is no value.
    Nil,
    /// Several replies, whatever they were.
    List,
}

/// Puts replies together from the pieces that arrive.
#[derive(Debug, Default)]
pub(super) struct Replies {
    buffer: BytesMut,
    /// Bytes of the buffer in which no line ends.
    scanned: usize,
    /// Bytes of the reply under way that have left the buffer.
    used: usize,
    /// The length of the block of bytes under way.
    block: Option<usize>,
    /// Elements that the list under way still lacks.
    missing: Option<usize>,
}

enum Part {
    Whole(Reply),
    /// A block of bytes with this length follows.
    Block(usize),
    /// So many elements follow.
    Elements(usize),
}

impl Replies {
    /// Where the bytes that arrive are put.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether everything that arrived belongs to replies that have been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.used == 0
    }

    /// Takes the next reply; `None` until it is complete. A reply that breaks the rules or its cap
    /// does so as soon as it can be told.
    pub(super) fn take(&mut self) -> Result<Option<Reply>, Failure> {
        while let Some(part) = self.part()? {
            match (part, self.missing) {
                (Part::Block(length), _) => self.block = Some(length),
                (Part::Whole(reply), None) => return Ok(Some(self.completed(reply))),
                (Part::Whole(_), Some(missing)) => self.missing = Some(missing - 1),
                (Part::Elements(count), missing) => {
                    let all = missing.map_or(0, |missing| missing - 1) + count;
                    self.afford(all.saturating_mul(MIN_ELEMENT))?;
                    self.missing = Some(all);
                }
            }
            if self.missing == Some(0) {
                return Ok(Some(self.completed(Reply::List)));
            }
        }
        Ok(None)
    }

    fn completed(&mut self, reply: Reply) -> Reply {
        self.used = 0;
        self.missing = None;
        reply
    }

    fn part(&mut self) -> Result<Option<Part>, Failure> {
        if let Some(length) = self.block {
            return Ok(self.rest_of_block(length)?.map(Part::Whole));
        }
        let Some((kind, line)) = self.line()? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            b'+' => Part::Whole(Reply::Text(line)),
            b'-' => Part::Whole(Reply::Error(line)),
            b':' => Part::Whole(Reply::Integer(number(&line)?)),
            b'$' => match self.length(&line)? {
                Some(length) => Part::Block(length),
                None => Part::Whole(Reply::Nil),
            },
            _ => match self.length(&line)? {
                Some(count) => Part::Elements(count),
                None => Part::Whole(Reply::Nil),
            },
        }))
    }

    /// The next line: its first byte, and the rest without the line's end.
    fn line(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some(&kind) = self.buffer.first() else {
            return Ok(None);
        };
        if !b"+-:$*".contains(&kind) {
            let why = format_args!("no reply begins with the byte {kind:#04x}");
            return Err(Failure::new(Reason::Protocol, why));
        }
        let end = self.buffer[self.scanned..].iter().position(|b| *b == b'\n');
        let length = end.map(|end| self.scanned + end + 1);
        self.scanned = self.buffer.len();
        self.afford(length.unwrap_or(self.scanned))?;
        let Some(length) = length else {
            return Ok(None);
        };
        let line = self.cut(length);
        match line.strip_suffix(LINE_END) {
            Some(text) => Ok(Some((kind, line.slice(1..text.len())))),
            None => Err(Failure::new(Reason::Protocol, "a line ends without CR")),
        }
    }

    fn rest_of_block(&mut self, length: usize) -> Result<Option<Reply>, Failure> {
        let whole = length + LINE_END.len();
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let block = self.cut(whole);
        if !block.ends_with(LINE_END) {
            let why = format_args!("a block is not {length} bytes long, as announced");
            return Err(Failure::new(Reason::Protocol, why));
        }
        self.block = None;
        Ok(Some(Reply::Text(block.slice(..length))))
    }

    /// Takes bytes of the reply under way out of the buffer.
    fn cut(&mut self, length: usize) -> Bytes {
        self.scanned = 0;
        self.used += length;
        self.buffer.split_to(length).freeze()
    }

    /// A length or count that is announced; `None`: there is no value.
    fn length(&self, line: &[u8]) -> Result<Option<usize>, Failure> {
        match number(line)? {
            -1 => Ok(None),
            announced => {
                let length = usize::try_from(announced).map_err(|_| unreadable(line))?;
                self.afford(length)?;
                Ok(Some(length))
            }
        }
    }

    /// Whether so many more bytes of the reply under way are below the cap.
    fn afford(&self, bytes: usize) -> Result<(), Failure> {
        if bytes <= MAX_REPLY.saturating_sub(self.used) {
            return Ok(());
        }
        let why = format_args!("a reply is longer than {MAX_REPLY} bytes");
        Err(Failure::new(Reason::TooLarge, why))
    }
}

fn number(line: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(line).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| unreadable(line))
}

fn unreadable(line: &[u8]) -> Failure {
    let start = line[..line.len().min(20)].escape_ascii();
    Failure::new(
        Reason::Protocol,
        format_args!("`{start}` is no number here"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The replies of the pieces, and how it ended.
    fn taken<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, Result<bool, Reason>) {
        let mut replies = Replies::default();
        let mut all = Vec::new();
        for piece in pieces {
            replies.buffer().extend_from_slice(piece);
            loop {
                match replies.take() {
                    Ok(Some(reply)) => all.push(reply),
                    Ok(None) => break,
                    Err(failure) => return (all, Err(failure.reason)),
                }
            }
        }
        (all, Ok(replies.is_empty()))
    }

    fn text(text: &'static str) -> Reply {
        Reply::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn replies_are_read_as_they_are_written() {
        let wire = b"+PONG\r\n$5\r\na\r\nb\n\r\n:-42\r\n-ERR no\r\n$-1\r\n*-1\r\n$0\r\n\r\n\
            *2\r\n*3\r\n:1\r\n$-1\r\n*0\r\n$3\r\nabc\r\n*0\r\n+\r\n";
        let error = Reply::Error(Bytes::from_static(b"ERR no"));
        let expected = [
            text("PONG"),
            text("a\r\nb\n"),
            Reply::Integer(-42),
            error,
            Reply::Nil,
            Reply::Nil,
            text(""),
            Reply::List,
            Reply::List,
            text(""),
        ];
        assert_eq!(taken([&wire[..]]), (expected.to_vec(), Ok(true)));
        assert_eq!(taken([&wire[..wire.len() - 1]]).1, Ok(false));
    }

    #[test]
    fn what_no_server_says_is_refused_as_soon_as_it_can_be_told() {
        let long = [&b"+"[..], &vec![b'x'; MAX_REPLY]].concat();
        let nested = b"*1\r\n".repeat(MAX_REPLY);
        for (wire, reason) in [
            (&b"HTTP/1.1 400 Bad Request"[..], Reason::Protocol),
            (b"%1\r\n", Reason::Protocol),
            (b"\r\n", Reason::Protocol),
            (b"+OK\n", Reason::Protocol),
            (b":12x\r\n", Reason::Protocol),
            (b":\r\n", Reason::Protocol),
            (b":9223372036854775808\r\n", Reason::Protocol),
            (b"$-2\r\n", Reason::Protocol),
            (b"*-2\r\n", Reason::Protocol),
            (b"$2\r\nabcd", Reason::Protocol),
            (b"$2147483648\r\n", Reason::TooLarge),
            (b"$9223372036854775807\r\n", Reason::TooLarge),
            (b"*2147483648\r\n", Reason::TooLarge),
            (b"*100000\r\n", Reason::TooLarge),
            (b"*50000\r\n*50000\r\n", Reason::TooLarge),
            (&long, Reason::TooLarge),
            (&nested, Reason::TooLarge),
        ] {
            let start = wire[..wire.len().min(30)].escape_ascii();
            assert_eq!(taken([wire]).1, Err(reason), "{start}");
        }
    }

    #[test]
    fn a_reply_at_its_cap_is_whole_and_the_next_one_starts_anew() {
        let length = MAX_REPLY - 10;
        let block = [
            format!("${length}\r\n").as_bytes(),
            &vec![b'x'; length],
            LINE_END,
        ]
        .concat();
        let (replies, end) = taken([&block[..], &block[..]]);
        assert_eq!((replies.len(), end), (2, Ok(true)));
    }

    #[test]
    fn a_command_is_packed_with_the_length_of_each_word() {
        assert_eq!(
            packed(&[b"GET", b"a b\r\n"]),
            b"*2\r\n$3\r\nGET\r\n$5\r\na b\r\n\r\n"
        );
    }

    /// Replies and what looks like them.
    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"+OK\r\n".to_vec()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*2\r\n".to_vec()),
            Just(b"*0\r\n".to_vec()),
            any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
            (0usize..20).prop_map(|n| format!("${n}\r\n{}\r\n", "y".repeat(n)).into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(wire in wire(), size in 1usize..9) {
            let cut = taken(wire.chunks(size));
            let whole = taken([&wire[..]]);
            prop_assert_eq!(cut, whole);
        }

        #[test]
        fn garbage_ends_without_a_panic(wire in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (replies, _) = taken([&wire[..]]);
            prop_assert!(replies.len() <= wire.len() / MIN_ELEMENT);
        }
    }
}
