//! A DNS server for tests, over UDP and TCP on one port: what it answers is up to the test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// A server that ends when it is dropped.
pub(crate) struct TestDns {
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

/// What is asked, and over TCP or not; back come the packets to send.
type Answer = dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync;

impl TestDns {
    pub(crate) async fn start(
        answer: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let answer: Arc<Answer> = Arc::new(answer);
        // The port that UDP gets is nearly always free for TCP; else another is tried.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            let address = udp.local_addr().expect("bound");
            if let Ok(tcp) = TcpListener::bind(address).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&answer)));
        tasks.spawn(serve_tcp(tcp, answer));
        Self { address, tasks }
    }

    /// Ends the server at once; at its address nothing listens any more.
    pub(crate) async fn stop(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.address
    }

    /// A server that changes the right answer (NOERROR, empty) to each question.
    pub(crate) async fn replying(change: impl Fn(&mut Message) + Send + Sync + 'static) -> Self {
        Self::start(move |question, _| vec![reply(question, &change)]).await
    }

    /// A server that says nothing.
    pub(crate) async fn silent() -> Self {
        Self::start(|_, _| vec![]).await
    }
}

/// The bytes of an answer to the question.
pub(crate) fn reply(question: &Message, change: impl Fn(&mut Message)) -> Vec<u8> {
    let mut message = question.clone().into_response();
    change(&mut message);
    message.to_vec().expect("encodes")
}

/// Answers a question for IPv4 addresses with one, and others with nothing.
pub(crate) fn with_a(ip: [u8; 4], ttl: u32) -> impl Fn(&mut Message) {
    move |message| {
        let query = message.queries[0].clone();
        if query.query_type == RecordType::A {
            let data = RData::A(Ipv4Addr::from(ip).into());
            message.add_answer(Record::from_rdata(query.name, ttl, data));
        }
    }
}

/// Answers with a code and nothing else.
pub(crate) fn with_code(code: ResponseCode) -> impl Fn(&mut Message) {
    move |message| message.metadata.response_code = code
}

/// A record that leads from one name to another.
pub(crate) fn alias(from: &str, to: &str, ttl: u32) -> Record {
    let name = |text| Name::from_ascii(text).expect("name");
    let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(name(to)));
    Record::from_rdata(name(from), ttl, data)
}

/// A record with an address.
pub(crate) fn address(name: &str, ip: &str, ttl: u32) -> Record {
    let name = Name::from_ascii(name).expect("name");
    let data = RData::from(ip.parse::<IpAddr>().expect("address"));
    Record::from_rdata(name, ttl, data)
}

async fn serve_udp(socket: UdpSocket, answer: Arc<Answer>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).expect("a question");
        for packet in answer(&question, false) {
            socket.send_to(&packet, from).await.expect("sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, answer: Arc<Answer>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut bytes = vec![0; length.into()];
                if stream.read_exact(&mut bytes).await.is_err() {
                    return;
                }
                let question = Message::from_vec(&bytes).expect("a question");
                for packet in answer(&question, true) {
                    let length = u16::try_from(packet.len()).expect("fits");
                    let framed = [&length.to_be_bytes(), &*packet].concat();
                    if stream.write_all(&framed).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}
