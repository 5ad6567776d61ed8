//! Echo requests and their replies (ICMP, RFC 792 and RFC 4443) on sockets that all runs share.
//!
//! surge-ping opens the sockets and decodes what they receive. Matching is done here, because
//! replies have to be compared in full, duplicates counted and errors told from replies.
//!
//! There is no task that receives: of the runs that wait, one at a time reads for all of them, so
//! nothing can die unseen, and a lone packet is sent and received by one task. A run's future must
//! therefore be polled whenever it is woken, as that of a task is, and all runs share one runtime.

mod exchange;
#[cfg(test)]
pub(crate) mod namespace;
mod packet;
mod socket;
mod spare;
mod stamp;
mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::exchange::Port;
use self::socket::Socket;
use self::spare::Spares;
use crate::model::{Failure, Latencies, PingFacts};

/// An Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }
}

/// How the kernel lets this process send echo requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketType {
    /// A datagram socket: needs no capability, and receives nothing but replies to itself. Errors
    /// of routers do not reach it: such packets count as lost.
    Datagram,
    /// A raw socket: needs `CAP_NET_RAW`.
    Raw,
}

impl SocketType {
    /// The value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Datagram => "dgram",
            Self::Raw => "raw",
        }
    }
}

impl From<SocketType> for socket2::Type {
    fn from(kind: SocketType) -> Self {
        match kind {
            SocketType::Datagram => Self::DGRAM,
            SocketType::Raw => Self::RAW,
        }
    }
}

/// What the packets of one socket have in common. There is one socket for each set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpOptions {
    /// The protocol.
    pub family: Family,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// Packets must not be fragmented on their way.
    pub dont_fragment: bool,
    /// The time to live (hop limit); the system's if none.
    pub ttl: Option<u8>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
}

impl IcmpOptions {
    /// The options of a socket that leaves everything to the system.
    pub const fn new(family: Family) -> Self {
        Self {
            family,
            source_address: None,
            dont_fragment: false,
            ttl: None,
            dscp: None,
        }
    }
}

/// The packets of one run.
#[derive(Clone, Copy, Debug)]
pub struct EchoPlan {
    /// Where they go.
    pub address: IpAddr,
    /// How many.
    pub count: u32,
    /// The time from one to the next.
    pub spacing: Duration,
    /// Bytes of payload of each, at least [`EchoPlan::MIN_SIZE`].
    pub size: u16,
    /// How long each is waited for.
    pub wait: Duration,
    /// When the run ends in any case.
    pub end: Instant,
}

impl EchoPlan {
    /// Bytes of payload that a packet needs, so that no other packet can be taken for its reply.
    pub const MIN_SIZE: u16 = 24;
    /// Bytes of payload that a packet can have.
    pub const MAX_SIZE: u16 = 65_000;
}

/// How the packets of a run ended.
#[derive(Debug, Default)]
pub struct Echoes {
    /// The counts: their sum is `sent`.
    pub facts: PingFacts,
    /// The round-trip times of the packets received in time, in the order of sending.
    pub latencies: Latencies,
    /// Why packets ended in errors, in the order of sending.
    pub failures: Vec<Failure>,
    /// How much later than planned the run came to its end: a held-up runtime, not the network.
    pub overslept: Duration,
}

/// What the sockets saw that belongs to no run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IcmpCounters {
    /// Replies to our identifier that answer nothing that was sent: wrong in payload, source or
    /// number.
    pub foreign: u64,
    /// Replies to packets of runs that had ended.
    pub unclaimed: u64,
    /// Packets that the kernel dropped because a socket's buffer was full.
    pub socket_drops: u64,
}

/// A socket that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpSocket {
    /// What it was asked to be.
    pub options: IcmpOptions,
    /// What it became, or why there is none.
    pub state: Result<SocketType, String>,
}

#[derive(Debug, Default)]
struct Counts {
    foreign: AtomicU64,
    unclaimed: AtomicU64,
    /// Drops of sockets that have been closed.
    closed_drops: AtomicU64,
}

/// All echo requests of the daemon: its sockets, opened when first needed.
#[derive(Debug, Default)]
pub struct Icmp {
    ports: Mutex<BTreeMap<IcmpOptions, Result<Arc<Port>, Failure>>>,
    counts: Arc<Counts>,
    spares: Spares,
}

impl Icmp {
    /// No socket yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens so many raw sockets of each family for later, where only raw ones do: this process may
    /// not be permitted to open any then. A plan needs one for each set of options.
    pub fn reserve(&self, count: usize) {
        for family in [Family::V4, Family::V6] {
            self.spares.open(family, count);
        }
    }

    /// Sends the packets of a run and waits until each has ended, at most until `plan.end`.
    ///
    /// Must be called within a tokio runtime with I/O and time. The error is an own fault: no
    /// socket could be opened or it broke; the next run opens it again. When the future is dropped,
    /// its packets are forgotten.
    pub async fn exchange(
        &self,
        options: &IcmpOptions,
        plan: &EchoPlan,
    ) -> Result<Echoes, Failure> {
        self.port(options)?.exchange(plan).await
    }

    /// Opens a socket and closes it again: how this process may send echo requests.
    ///
    /// Must be called within a tokio runtime with I/O. The error says what to do.
    pub fn permission(&self, family: Family) -> Result<SocketType, String> {
        Socket::open(&IcmpOptions::new(family), &Spares::default())
            .map(|socket| socket.kind)
            .map_err(|failure| failure.detail.into())
    }

    /// The sockets that runs have asked for so far.
    pub fn sockets(&self) -> Vec<IcmpSocket> {
        lock(&self.ports)
            .iter()
            .map(|(options, port)| IcmpSocket {
                options: *options,
                state: match port {
                    Ok(port) => Ok(port.kind()),
                    Err(failure) => Err(failure.detail.to_string()),
                },
            })
            .collect()
    }

    /// What was counted since the start. Reads the kernel's drops from `/proc`: for a tick or a
    /// scrape, not for every run.
    pub fn counters(&self) -> IcmpCounters {
        let ports: Vec<_> = lock(&self.ports)
            .values()
            .filter_map(|port| port.as_ref().ok().cloned())
            .collect();
        let open_drops = ports.iter().map(|port| port.drops()).sum::<u64>();
        IcmpCounters {
            foreign: self.counts.foreign.load(Ordering::Relaxed),
            unclaimed: self.counts.unclaimed.load(Ordering::Relaxed),
            socket_drops: self.counts.closed_drops.load(Ordering::Relaxed) + open_drops,
        }
    }

    fn port(&self, options: &IcmpOptions) -> Result<Arc<Port>, Failure> {
        let mut ports = lock(&self.ports);
        if let Some(Ok(port)) = ports.get(options) {
            if !port.is_broken() {
                return Ok(Arc::clone(port));
            }
            let drops = port.drops();
            self.counts.closed_drops.fetch_add(drops, Ordering::Relaxed);
        }
        let opened = Socket::open(options, &self.spares);
        let opened = opened.map(|socket| Arc::new(Port::new(socket, &self.counts)));
        ports.insert(*options, opened.clone());
        opened
    }
}

/// Nothing behind our locks can be left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
