//! One socket with the packets under way on it, and the course of one run over it.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::packet::{self, Bounce, Message, Request, Secret};
use super::socket::Socket;
use super::table::{Claim, Match, Table};
use super::{Counts, EchoPlan, Echoes, SocketType, lock, stamp};
use crate::model::{Failure, Reason};

/// The largest packet that there is.
const MAX_PACKET: usize = 65_535;
/// Packets read before other tasks get their turn.
const BATCH: usize = 256;
/// Bytes sent before replies are looked for, as the kernel counts them: far fewer than the smallest
/// buffer holds.
const BURST: u32 = 64 << 10;
/// What the kernel counts for a packet beside its payload.
const PACKET_COST: u32 = 768;
/// Errors in one batch after which the socket is taken for broken.
const MAX_ERRORS: usize = 16;

/// A socket and the packets under way on it.
pub(super) struct Port {
    socket: Socket,
    secret: Secret,
    table: Mutex<Table>,
    /// Held by the run that reads for all.
    turn: tokio::sync::Mutex<()>,
    buffer: Mutex<Box<[u8]>>,
    /// Bytes sent since the socket was last read.
    unread: AtomicU32,
    broken: AtomicBool,
    counts: Arc<Counts>,
}

impl Port {
    pub(super) fn new(socket: Socket, counts: &Arc<Counts>) -> Self {
        Self {
            socket,
            secret: fastrand::u128(..).to_be_bytes(),
            table: Mutex::new(Table::starting_at(fastrand::u16(..))),
            turn: tokio::sync::Mutex::new(()),
            buffer: Mutex::new(vec![0; MAX_PACKET].into()),
            unread: AtomicU32::new(0),
            broken: AtomicBool::new(false),
            counts: Arc::clone(counts),
        }
    }

    pub(super) fn kind(&self) -> SocketType {
        self.socket.kind
    }

    pub(super) fn drops(&self) -> u64 {
        self.socket.drops()
    }

    /// Whether the socket can no longer be read.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// One run from its first packet to its end.
    pub(super) async fn exchange(&self, plan: &EchoPlan) -> Result<Echoes, Failure> {
        let run = Run::open(self);
        // What came while nobody waited must leave no less room for the replies.
        self.read().map_err(|e| self.breaks(&e))?;
        let start = Instant::now();
        let mut end = start;
        for number in 0..plan.count {
            if number > 0 {
                run.wait(start + plan.spacing * number, false).await?;
            }
            end = run.send(plan).await?.max(end);
        }
        let all_ended = run.wait(end, true).await?;
        // Also where all have ended: a process that was frozen reads the replies before it looks at
        // the clock, and they look late.
        let overslept = Instant::now().saturating_duration_since(end);
        if !all_ended {
            // A reply that is in the buffer by now has come, whoever was to read it.
            self.drain().map_err(|e| self.breaks(&e))?;
        }
        Ok(Echoes {
            overslept,
            ..run.close()
        })
    }

    /// Reads for all runs, once it is this one's turn, until the socket breaks.
    async fn listen(&self) -> io::Error {
        let _turn = self.turn.lock().await;
        loop {
            if let Err(error) = self.socket.udp.readable().await {
                return error;
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    }

    /// Reads what the runtime knows to be there; `false` when there may be more.
    fn read(&self) -> io::Result<bool> {
        // Once empty, the socket is not readable until the kernel says so again.
        let read = self.socket.udp.try_io(Interest::READABLE, || {
            if self.drain()? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(false)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            other => other,
        }
    }

    /// Reads what is there; `false` when there may be more.
    fn drain(&self) -> io::Result<bool> {
        self.unread.store(0, Ordering::Relaxed);
        let mut errors = 0;
        let mut buffer = lock(&self.buffer);
        for _ in 0..BATCH {
            match stamp::receive(&self.socket.udp, &mut buffer) {
                Ok(packet) => self.accept(&buffer[..packet.bytes], packet.from, packet.at),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // The kernel reports errors of single packets here, too.
                Err(error) => {
                    errors += 1;
                    if errors > MAX_ERRORS {
                        return Err(error);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Reads after so many packets that their replies could fill the smallest buffer: whoever is to
    /// read waits behind all runs that are about to send.
    fn drain_if_sent_many(&self, size: u16) -> io::Result<()> {
        let cost = PACKET_COST + u32::from(size);
        if self.unread.fetch_add(cost, Ordering::Relaxed) + cost >= BURST {
            self.drain()?;
        }
        Ok(())
    }

    fn accept(&self, bytes: &[u8], from: IpAddr, at: Instant) {
        match packet::read(bytes, self.socket.kind, from) {
            Message::Reply {
                ident,
                seq,
                payload,
            } => self.accept_reply(from, ident, seq, payload, at),
            Message::Error {
                bounce,
                to,
                ident,
                seq,
                mark,
            } if ident == self.socket.ident => self.accept_error(bounce, from, to, seq, mark),
            Message::Error { .. } | Message::Other => {}
        }
    }

    fn accept_reply(&self, from: IpAddr, ident: u16, seq: u16, payload: &[u8], at: Instant) {
        let ticket = packet::ticket_of(payload, &self.secret);
        let addressed = self.socket.kind == SocketType::Datagram || ident == self.socket.ident;
        let outcome = match ticket {
            Some(ticket) if addressed => lock(&self.table).reply(
                &Claim {
                    from,
                    seq,
                    ticket,
                    size: payload.len(),
                },
                at,
            ),
            // Another program's, that came before the filter was in place.
            None if !addressed => return,
            _ => Match::Foreign,
        };
        match outcome {
            Match::Answer(Some(waker)) => waker.wake(),
            Match::Answer(None) | Match::Duplicate => {}
            Match::Unclaimed => {
                self.counts.unclaimed.fetch_add(1, Ordering::Relaxed);
            }
            Match::Foreign => {
                self.counts.foreign.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn accept_error(&self, bounce: Bounce, by: IpAddr, to: IpAddr, seq: u16, mark: Option<&[u8]>) {
        let mut table = lock(&self.table);
        let Some(packet) = table.find(to, seq) else {
            return;
        };
        if mark.is_some_and(|mark| packet::ticket_of(mark, &self.secret) != Some(packet.ticket)) {
            self.counts.foreign.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let waker = table.fail(packet, failure_of_bounce(bounce, by));
        drop(table);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn breaks(&self, error: &io::Error) -> Failure {
        self.broken.store(true, Ordering::Relaxed);
        Failure::new(
            Reason::LocalResources,
            format_args!("read from the ICMP socket: {error}; the next run opens another"),
        )
    }
}

/// Neither the secret nor the buffer is for logs.
impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// A run's place in the table; dropping it frees its slots.
struct Run<'a> {
    port: &'a Port,
    id: u32,
    closed: bool,
}

impl<'a> Run<'a> {
    fn open(port: &'a Port) -> Self {
        Self {
            port,
            id: lock(&port.table).open(),
            closed: false,
        }
    }

    /// Sends the next packet and returns until when its answer is in time.
    async fn send(&self, plan: &EchoPlan) -> Result<Instant, Failure> {
        let Port { socket, table, .. } = self.port;
        let packet = lock(table)
            .begin(self.id, plan.address, plan.size, Instant::now())
            .ok_or_else(|| {
                Failure::new(Reason::LocalResources, "too many echo requests under way")
            })?;
        let bytes = packet::write(
            &Request {
                ident: socket.ident,
                seq: packet.seq,
                ticket: packet.ticket,
                size: plan.size,
            },
            socket.family,
            &self.port.secret,
        );
        let mut deadline = plan.end;
        let sending = socket.udp.async_io(Interest::WRITABLE, || {
            stamp::send(&socket.udp, &bytes, plan.address, |at| {
                deadline = plan.end.min(at + plan.wait);
                lock(table).sent(packet, at, deadline);
            })
        });
        let result = match timeout_at(plan.end, sending).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        };
        if let Err(error) = result {
            lock(table).fail(packet, failure_of_send(&error, plan.address));
        }
        self.port
            .drain_if_sent_many(plan.size)
            .map_err(|e| self.port.breaks(&e))?;
        Ok(deadline)
    }

    /// Waits until `until`; with `all` at most until all packets have ended, and then returns
    /// `true`.
    async fn wait(&self, until: Instant, all: bool) -> Result<bool, Failure> {
        let ended = poll_fn(|context| {
            if all && lock(&self.port.table).has_ended(self.id, context.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            // Reading first: what it finds may be what the run waits for.
            biased;
            error = self.port.listen() => Err(self.port.breaks(&error)),
            () = ended => Ok(true),
            () = sleep_until(until) => Ok(false),
        }
    }

    fn close(mut self) -> Echoes {
        self.closed = true;
        lock(&self.port.table).close(self.id)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.closed {
            lock(&self.port.table).close(self.id);
        }
    }
}

fn failure_of_send(error: &io::Error, to: IpAddr) -> Failure {
    let failure = crate::net::failure_of(error, &format!("send to {to}"));
    let reason = match error.raw_os_error().map(Errno::from_raw_os_error) {
        // Larger than the path allows, as far as the system knows it, and not to be fragmented.
        Some(Errno::MSGSIZE) => Reason::Unreachable,
        None if error.kind() == io::ErrorKind::WouldBlock => Reason::LocalResources,
        _ if failure.reason.is_own() => failure.reason,
        _ => Reason::Unreachable,
    };
    Failure { reason, ..failure }
}

fn failure_of_bounce(bounce: Bounce, by: IpAddr) -> Failure {
    match bounce {
        Bounce::Unreachable(code) => Failure::new(
            Reason::Unreachable,
            format_args!("{by} says: destination unreachable, code {code}"),
        ),
        Bounce::TooBig => Failure::new(
            Reason::Unreachable,
            format_args!("{by} says: the packet is too big for the path"),
        ),
        Bounce::TtlExceeded => Failure::new(
            Reason::TtlExceeded,
            format_args!("{by} says: time to live exceeded"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::namespace::{DATAGRAM, in_namespace};
    use super::super::spare::Spares;
    use super::super::{Family, Icmp, IcmpCounters, IcmpOptions};
    use super::*;
    use crate::model::PingFacts;
    use socket2::{Domain, Protocol, Type};
    use std::future::Future as _;
    use std::io::Read;
    use std::net::SocketAddr;
    use std::time::Duration;

    const SILENT: &str = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all";

    fn options() -> IcmpOptions {
        IcmpOptions::new(Family::V4)
    }

    fn plan(count: u32, wait: Duration) -> EchoPlan {
        EchoPlan {
            address: IpAddr::from([127, 0, 0, 1]),
            count,
            spacing: Duration::ZERO,
            size: 56,
            wait,
            end: Instant::now() + wait,
        }
    }

    fn raw_socket(address: [u8; 4]) -> socket2::Socket {
        let socket = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))
            .expect("a raw socket");
        let address = SocketAddr::new(IpAddr::from(address), 0);
        socket.bind(&address.into()).expect("bind");
        socket
    }

    /// Answers `count` requests as a hostile, broken or merely odd network would.
    fn answer(mut requests: socket2::Socket, count: usize) {
        let elsewhere = raw_socket([127, 0, 0, 66]);
        let to = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        let mut buffer = [0; 2048];
        let mut number = 0;
        while number < count {
            let bytes = requests.read(&mut buffer).expect("read");
            let request = &buffer[20..bytes];
            if request[0] != 8 {
                continue;
            }
            let right = sealed(request.to_vec(), |_| {});
            let wrong = match number {
                0 => right.clone(),
                1 => sealed(request.to_vec(), |reply| reply[40] ^= 1),
                2 => sealed(request.to_vec(), |reply| reply.truncate(40)),
                3 => sealed(request.to_vec(), |reply| reply[7] ^= 0x80),
                // Neither the identifier of the request nor its payload: another program's.
                _ => sealed(vec![0; 64], |reply| reply[4..6].copy_from_slice(&[1, 2])),
            };
            requests.send_to(&wrong, &to).expect("send");
            if number == 4 {
                elsewhere.send_to(&right, &to).expect("send");
            }
            // The last request has no right answer.
            if number + 1 < count {
                requests.send_to(&right, &to).expect("send");
            }
            number += 1;
        }
    }

    fn sealed(mut reply: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        reply[0] = 0;
        change(&mut reply);
        reply[2..4].fill(0);
        let sum = packet::checksum(&reply);
        reply[2..4].copy_from_slice(&sum.to_be_bytes());
        reply
    }

    async fn wrong_replies_are_counted_and_never_matched(kind: SocketType) {
        let icmp = Icmp::new();
        assert_eq!(icmp.permission(Family::V4), Ok(kind));
        let requests = raw_socket([127, 0, 0, 1]);
        let responder = std::thread::spawn(move || answer(requests, 6));
        let plan = plan(6, Duration::from_secs(2));
        let echoes = icmp.exchange(&options(), &plan).await.expect("a socket");
        responder.join().expect("answered");
        assert_eq!(
            PingFacts {
                jitter_seconds: None,
                ..echoes.facts
            },
            PingFacts {
                sent: 6,
                received: 5,
                lost: 1,
                duplicates: 1,
                ..PingFacts::default()
            }
        );
        assert_eq!(
            icmp.counters(),
            IcmpCounters {
                // One byte changed, half the payload, another number, another sender.
                foreign: 4,
                ..IcmpCounters::default()
            }
        );
    }

    #[tokio::test]
    async fn wrong_replies_on_raw_sockets() {
        if in_namespace(
            "net::icmp::exchange::tests::wrong_replies_on_raw_sockets",
            SILENT,
        ) {
            wrong_replies_are_counted_and_never_matched(SocketType::Raw).await;
        }
    }

    #[tokio::test]
    async fn wrong_replies_on_datagram_sockets() {
        if in_namespace(
            "net::icmp::exchange::tests::wrong_replies_on_datagram_sockets",
            &format!("{SILENT}; {DATAGRAM}"),
        ) {
            wrong_replies_are_counted_and_never_matched(SocketType::Datagram).await;
        }
    }

    #[tokio::test]
    async fn a_reply_to_a_run_that_has_ended_is_unclaimed_and_its_slots_are_free() {
        let test = "net::icmp::exchange::tests::\
                    a_reply_to_a_run_that_has_ended_is_unclaimed_and_its_slots_are_free";
        if !in_namespace(test, SILENT) {
            return;
        }
        let mut requests = raw_socket([127, 0, 0, 1]);
        let icmp = Icmp::new();
        let run = plan(1, Duration::from_millis(20));
        let echoes = icmp.exchange(&options(), &run).await.expect("a socket");
        assert_eq!((echoes.facts.sent, echoes.facts.lost), (1, 1));
        // A dropped run leaves no more behind than one that ended.
        let dropped = plan(3, Duration::from_mins(1));
        let options = options();
        let dropped = icmp.exchange(&options, &dropped);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), dropped)
                .await
                .is_err()
        );

        let mut buffer = [0; 2048];
        let mut answered = 0;
        while answered < 4 {
            let bytes = requests.read(&mut buffer).expect("read");
            if buffer[20] == 8 {
                let to = SocketAddr::from(([127, 0, 0, 1], 0)).into();
                let reply = sealed(buffer[20..bytes].to_vec(), |_| {});
                requests.send_to(&reply, &to).expect("send");
                answered += 1;
            }
        }
        let run = plan(1, Duration::from_millis(20));
        let echoes = icmp.exchange(&options, &run).await.expect("a socket");
        assert_eq!((echoes.facts.lost, echoes.facts.duplicates), (1, 0));
        assert_eq!(
            icmp.counters(),
            IcmpCounters {
                unclaimed: 4,
                ..IcmpCounters::default()
            }
        );
    }

    #[tokio::test]
    async fn a_raw_socket_receives_nothing_of_other_programs() {
        let test = "net::icmp::exchange::tests::a_raw_socket_receives_nothing_of_other_programs";
        if !in_namespace(test, "true") {
            return;
        }
        for (family, address) in [
            (Family::V4, IpAddr::from([127, 0, 0, 1])),
            (Family::V6, IpAddr::from(std::net::Ipv6Addr::LOCALHOST)),
        ] {
            let options = IcmpOptions::new(family);
            let bystander = Socket::open(&options, &Spares::default()).expect("a socket");
            assert_eq!(bystander.kind, SocketType::Raw);
            let plan = EchoPlan {
                address,
                ..plan(5, Duration::from_secs(20))
            };
            let echoes = Icmp::new().exchange(&options, &plan).await.expect("a run");
            assert_eq!(echoes.facts.received, 5);
            let read = rustix::net::recv(
                &bystander.udp,
                &mut [0; 2048][..],
                rustix::net::RecvFlags::DONTWAIT,
            );
            assert_eq!(
                read.expect_err("nothing to read"),
                Errno::AGAIN,
                "{family:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_frozen_process_knows_that_it_read_too_late() {
        let Ok(socket) = Socket::open(&options(), &Spares::default()) else {
            return;
        };
        let port = Port::new(socket, &Arc::default());
        let wait = Duration::from_millis(100);
        let plan = plan(1, wait);
        let mut run = std::pin::pin!(port.exchange(&plan));
        let mut frozen = false;
        let echoes = poll_fn(|context| {
            let polled = run.as_mut().poll(context);
            // The packet is out, and its reply waits in the socket.
            if polled.is_pending() && !frozen && port.unread.load(Ordering::Relaxed) > 0 {
                frozen = true;
                std::thread::sleep(wait * 3);
            }
            polled
        })
        .await
        .expect("a run");
        assert!(frozen);
        assert_eq!((echoes.facts.sent, echoes.facts.late), (1, 1));
        assert!(echoes.overslept >= wait, "{:?}", echoes.overslept);
    }

    #[tokio::test]
    async fn a_burst_overflows_no_buffer() {
        let icmp = Icmp::new();
        if icmp.permission(Family::V4).is_err() {
            return;
        }
        let plan = plan(1000, Duration::from_secs(20));
        let echoes = icmp.exchange(&options(), &plan).await.expect("a socket");
        assert_eq!(echoes.facts.received, 1000);
        assert_eq!(icmp.counters(), IcmpCounters::default());
    }
}
