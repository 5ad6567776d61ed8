//! One DNS question, asked once: no cache, no second server, no hidden retry.

use std::io;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UdpSocket;

use super::names_cost;

/// The largest datagram that we say we take: what crosses every usual path in one piece.
const UDP_PAYLOAD: u16 = 1232;

/// Packets that are not the answer, after which the run is given up: who sends that many floods.
const MAX_FOREIGN: u32 = 64;
/// The bytes before the question.
const HEADER: usize = 12;

/// What the question asks for besides its name and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Ask the server to find the answer elsewhere if it does not have it.
    pub recursion_desired: bool,
    /// Write the name in letters of random case and take no answer that does not repeat them: 16
    /// more or less bits that an attacker who does not see the question has to guess.
    pub random_case: bool,
    /// Say that we take datagrams of more than 512 bytes.
    pub edns: bool,
}

/// A question with its random id, ready for the wire.
#[derive(Clone, Debug)]
pub struct Question {
    id: u16,
    query: Query,
    random_case: bool,
    bytes: Vec<u8>,
    /// Bytes of the name, the type and the class, behind the header.
    length: usize,
}

/// What a packet from the asked server is.
#[derive(Debug)]
pub enum Packet {
    /// The answer to the question.
    Answer(Box<Message>),
    /// The answer to another question, or none at all: to be ignored.
    Foreign,
    /// It has the question's id but cannot be read, or asks back in letters of another case.
    Broken(String),
}

impl Question {
    /// A question for the records of a type that a name has. The error says what is wrong with it.
    pub fn new(name: &Name, kind: RecordType, manner: Manner) -> Result<Self, String> {
        let mut message = Message::query();
        message.metadata.recursion_desired = manner.recursion_desired;
        let mut name = name.clone();
        name.set_fqdn(true);
        if manner.random_case {
            name.randomize_label_case();
        }
        let query = Query::query(name, kind);
        message.add_query(query.clone());
        let length = message.to_vec().map_err(|e| e.to_string())?.len() - HEADER;
        if manner.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_PAYLOAD);
            message.set_edns(edns);
        }
        Ok(Self {
            id: message.metadata.id,
            query,
            random_case: manner.random_case,
            bytes: message.to_vec().map_err(|e| e.to_string())?,
            length,
        })
    }

    /// The question as a datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the packet is to this question.
    ///
    /// An error answer may leave the question out: servers that could not read it do.
    pub fn judge(&self, packet: &[u8]) -> Packet {
        let ours = packet.len() >= HEADER
            && packet[..2] == self.id.to_be_bytes()
            && packet[2] & 0x80 != 0
            && packet[2] >> 3 & 0xf == u8::from(OpCode::Query);
        // By its bytes first: what is foreign is not worth reading.
        if !ours || (packet[4..6] != [0, 0] && !self.is_repeated_in(packet)) {
            return Packet::Foreign;
        }
        if !names_cost::is_cheap(packet) {
            return Packet::Broken("the answer's names are a maze of pointers".to_owned());
        }
        let message = match Message::from_vec(packet) {
            Ok(message) => message,
            Err(error) => return Packet::Broken(format!("the answer cannot be read: {error}")),
        };
        debug_assert_eq!(message.metadata.message_type, MessageType::Response);
        match message.queries.as_slice() {
            [query] if *query != self.query => Packet::Foreign,
            [query] if self.random_case && !query.name.eq_case(&self.query.name) => Packet::Broken(
                "the answer repeats the name in other letters than asked (0x20)".to_owned(),
            ),
            [_] => Packet::Answer(Box::new(message)),
            [] if message.metadata.response_code != ResponseCode::NoError => {
                Packet::Answer(Box::new(message))
            }
            _ => Packet::Foreign,
        }
    }

    /// Whether the packet has one question, which may be ours in letters of any case.
    fn is_repeated_in(&self, packet: &[u8]) -> bool {
        let end = HEADER + self.length;
        let (Some(ours), Some(theirs)) = (self.bytes.get(HEADER..end), packet.get(HEADER..end))
        else {
            // Cut within the question; what there is says whether it is broken or foreign.
            let seen = packet.len().min(end);
            return self
                .bytes
                .get(HEADER..seen)
                .is_some_and(|ours| ours.eq_ignore_ascii_case(&packet[HEADER..seen]));
        };
        // Lengths of labels are below the letters: they have no case.
        packet[4..6] == [0, 1] && ours.eq_ignore_ascii_case(theirs)
    }

    /// Waits for the answer on a connected socket over which the question was sent. The kernel
    /// drops what is not from the asked server; what is not the answer is counted in `ignored`.
    ///
    /// The outer error is the socket's, the inner one says what was broken.
    pub async fn receive(
        &self,
        socket: &UdpSocket,
        ignored: &mut u32,
    ) -> io::Result<Result<Box<Message>, String>> {
        loop {
            let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
            match self.try_receive(socket) {
                Ok(Packet::Answer(message)) => return Ok(Ok(message)),
                Ok(Packet::Broken(why)) => return Ok(Err(why)),
                Ok(Packet::Foreign) => {
                    *ignored = ignored.saturating_add(1);
                    if *ignored >= MAX_FOREIGN {
                        return Ok(Err("nothing but packets that are no answer".to_owned()));
                    }
                    // A socket that is never empty would let no other run go on, nor the deadline.
                    tokio::task::yield_now().await;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            // That nothing listens there makes a socket faulty, not readable.
            if ready.is_error() {
                if let Some(error) = socket.take_error()? {
                    return Err(error);
                }
                let forget = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = socket.try_io(Interest::ERROR, forget);
            }
        }
    }

    /// Not async, so that the buffer is no part of every waiting run.
    fn try_receive(&self, socket: &UdpSocket) -> io::Result<Packet> {
        let mut packet = Vec::with_capacity(usize::from(u16::MAX));
        socket.try_recv_buf(&mut packet)?;
        Ok(self.judge(&packet))
    }

    /// Asks over a stream, where each message has its length before it. A stream has one answer:
    /// what is foreign on it is broken.
    pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> io::Result<Result<Box<Message>, String>> {
        let length = u16::try_from(self.bytes.len()).map_err(io::Error::other)?;
        let mut framed = Vec::with_capacity(2 + self.bytes.len());
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&self.bytes);
        stream.write_all(&framed).await?;
        let mut packet = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut packet).await?;
        Ok(match self.judge(&packet) {
            Packet::Answer(message) => Ok(message),
            Packet::Broken(why) => Err(why),
            Packet::Foreign => Err("the message is not an answer to the question".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    const MANNER: Manner = Manner {
        recursion_desired: true,
        random_case: true,
        edns: true,
    };

    fn question(manner: Manner) -> Question {
        let name = Name::from_str("a-rather-long-name.example.com").expect("name");
        Question::new(&name, RecordType::A, manner).expect("question")
    }

    /// The answer that an honest server gives, after `change`.
    fn answer(question: &Question, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::from_vec(question.bytes())
            .expect("our own question")
            .into_response();
        change(&mut message);
        message.to_vec().expect("encodes")
    }

    #[test]
    fn the_honest_answer_is_taken_whatever_its_code() {
        let question = question(MANNER);
        let honest = answer(&question, |_| {});
        assert!(matches!(question.judge(&honest), Packet::Answer(_)));
        let without_question = answer(&question, |m| {
            m.queries.clear();
            m.metadata.response_code = ResponseCode::FormErr;
        });
        assert!(matches!(
            question.judge(&without_question),
            Packet::Answer(_)
        ));
    }

    #[test]
    fn what_is_not_the_answer_is_foreign() {
        let question = question(MANNER);
        let others: [(&str, Vec<u8>); 7] = [
            ("empty", vec![]),
            ("short", question.id.to_be_bytes().to_vec()),
            ("our own question", question.bytes().to_vec()),
            (
                "another id",
                answer(&question, |m| m.metadata.id = !m.metadata.id),
            ),
            (
                "another name",
                answer(&question, |m| m.queries[0].name = Name::root()),
            ),
            (
                "another type",
                answer(&question, |m| m.queries[0].query_type = RecordType::AAAA),
            ),
            (
                "no question",
                answer(&question, |m| {
                    m.queries.clear();
                }),
            ),
        ];
        for (what, packet) in others {
            assert!(matches!(question.judge(&packet), Packet::Foreign), "{what}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_foreign_packets_ends_the_run_and_holds_up_no_other() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let ours = socket.local_addr().expect("bound");
        socket
            .connect(server.local_addr().expect("bound"))
            .await
            .expect("connect");
        for _ in 0..MAX_FOREIGN {
            server.send_to(b"garbage", ours).await.expect("sent");
        }
        let question = question(MANNER);
        let mut ignored = 0;
        let mut turns = 0;
        let flooded = question.receive(&socket, &mut ignored);
        let other = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            result = flooded => {
                result.expect("the socket is well").expect_err("no answer");
            }
            () = other => {}
        }
        assert_eq!(ignored, MAX_FOREIGN);
        assert!(turns >= MAX_FOREIGN - 1, "{turns}");
    }

    #[test]
    fn letters_of_another_case_count_only_where_they_were_random() {
        let lower = |m: &mut Message| {
            let name = m.queries[0].name.to_lowercase();
            m.queries[0].name = name;
        };
        let strict = question(MANNER);
        assert!(
            !strict.query.name.eq_case(&strict.query.name.to_lowercase()),
            "26 random letters are not all small"
        );
        assert!(matches!(
            strict.judge(&answer(&strict, lower)),
            Packet::Broken(_)
        ));
        let lax = question(Manner {
            random_case: false,
            ..MANNER
        });
        assert!(matches!(lax.judge(&answer(&lax, lower)), Packet::Answer(_)));
    }

    #[test]
    fn an_answer_cut_anywhere_is_never_taken_nor_a_panic() {
        let question = question(MANNER);
        let whole = answer(&question, |_| {});
        for end in 0..whole.len() {
            assert!(
                !matches!(question.judge(&whole[..end]), Packet::Answer(_)),
                "cut at {end}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(0u8.., 0..600)) {
            let question = question(MANNER);
            let mut packet = question.id.to_be_bytes().to_vec();
            packet.push(0x80);
            packet.extend(tail);
            question.judge(&packet);
        }
    }
}
