//! One socket with the packets under way on it, and the course of one run over it.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// Errors in one batch after which the socket is taken for broken.
const MAX_ERRORS: usize = 16;

/// A socket and the packets under way on it.
#[derive(Debug)]
pub(super) struct Port {
    socket: Socket,
    secret: Secret,
    table: Mutex<Table>,
    /// Held by the run that reads for all.
    turn: tokio::sync::Mutex<()>,
    buffer: Mutex<Box<[u8]>>,
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
        let mut run = Run::open(self);
        // What came while nobody waited must not delay the reading of what is to come.
        self.drain().map_err(|e| self.breaks(&e))?;
        let start = Instant::now();
        let mut end = start;
        for number in 0..plan.count {
            if number > 0 {
                run.wait(start + plan.spacing * number, false).await?;
            }
            end = run.send(plan).await?.max(end);
        }
        let woken = run.wait(end, true).await?;
        // A reply that is in the buffer by now has come, whoever was to read it.
        self.drain().map_err(|e| self.breaks(&e))?;
        let mut echoes = run.close();
        echoes.overslept = woken.saturating_duration_since(end);
        Ok(echoes)
    }

    /// Reads for all runs, once it is this one's turn, until the socket breaks.
    async fn listen(&self) -> io::Error {
        let _turn = self.turn.lock().await;
        loop {
            if let Err(error) = self.socket.udp.readable().await {
                return error;
            }
            match self.drain() {
                Ok(true) => {}
                Ok(false) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    }

    /// Reads what is there; `false` when there may be more.
    fn drain(&self) -> io::Result<bool> {
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
    async fn send(&mut self, plan: &EchoPlan) -> Result<Instant, Failure> {
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
        Ok(deadline)
    }

    /// Waits until `until`, or with `all` until all packets have ended, and returns when it woke.
    async fn wait(&self, until: Instant, all: bool) -> Result<Instant, Failure> {
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
            () = ended => Ok(until),
            () = sleep_until(until) => Ok(Instant::now()),
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
        // A source address that cannot send there; above all a loopback one to elsewhere.
        Some(Errno::INVAL) => Reason::LocalAddress,
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
