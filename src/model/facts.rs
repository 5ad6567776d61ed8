//! What a reply tells beyond time, typed.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::{DatabaseFacts, ManagerFacts};

/// Everything that a run learned about its target beside how long it took.
///
/// A failed run has facts too: an expired certificate still has its date.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The addresses that the target's name had; empty for a literal address.
    pub addresses: SmallVec<[IpAddr; 2]>,
    /// What the packets of a ping did.
    pub ping: Option<PingFacts>,
    /// What an HTTP answer was like.
    pub http: Option<HttpFacts>,
    /// The version that a service says it runs, cut to 64 characters.
    pub version: Option<Box<str>>,
    /// What the TLS session was like.
    pub tls: Option<Box<TlsFacts>>,
    /// What a DNS answer held.
    pub dns: Option<DnsFacts>,
    /// What a database said of itself.
    pub database: Option<Box<DatabaseFacts>>,
    /// What a query came to whose answer is a number.
    pub value: Option<ValueFacts>,
    /// What an HA manager said of the server that it manages.
    pub manager: Option<ManagerFacts>,
}

/// Which groups of facts a target's runs can bring: what its fact series start with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set: one flag for each group of facts"
)]
pub struct FactSet {
    /// The target is a name, so that its addresses can change.
    pub addresses: bool,
    /// [`PingFacts`].
    pub ping: bool,
    /// [`HttpFacts`].
    pub http: bool,
    /// The version that the service says it runs.
    pub version: bool,
    /// [`TlsFacts`].
    pub tls: bool,
    /// [`DnsFacts`].
    pub dns: bool,
    /// [`DatabaseFacts`].
    pub database: bool,
    /// What a database tells of replication.
    pub replication: bool,
    /// [`ValueFacts`].
    pub value: bool,
    /// [`ManagerFacts`].
    pub manager: bool,
    /// The session is encrypted but the certificate is not verified, by configuration.
    pub tls_unverified: bool,
}

/// How the packets of one run ended. `sent` is the sum of `received`, `lost`, `late` and `errors`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PingFacts {
    /// Packets that the run tried to send.
    pub sent: u32,
    /// Packets answered before their deadline.
    pub received: u32,
    /// Packets not answered when the run ended.
    pub lost: u32,
    /// Packets answered after their deadline but before the run ended.
    pub late: u32,
    /// Packets that could not be sent or that the network sent back with an error.
    pub errors: u32,
    /// Replies to a packet that had been answered already.
    pub duplicates: u32,
    /// Mean absolute difference of consecutive round-trip times, in seconds; `None` below two.
    pub jitter_seconds: Option<f64>,
}

/// What an HTTP answer was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpFacts {
    /// The status of the final answer.
    pub status: u16,
    /// The protocol version: `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// Bytes of the body as received, before decompression.
    pub body_bytes: u64,
    /// Redirects followed.
    pub redirects: u32,
}

/// A TLS protocol version, as the label shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// The value of the label `version`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// What a TLS session was like. The session's parts are missing when the handshake failed after
/// the certificates had been seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsFacts {
    /// The negotiated version.
    pub version: Option<TlsVersion>,
    /// The negotiated cipher suite, by its IANA name.
    pub cipher: Option<&'static str>,
    /// When the server's own certificate expires, in seconds since 1970.
    pub leaf_not_after: Option<i64>,
    /// When the first certificate of the sent chain expires, in seconds since 1970.
    pub chain_min_not_after: Option<i64>,
    /// Whether the certificate was found valid; also known when verification is not enforced.
    pub verified: Option<bool>,
}

/// What a DNS answer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsFacts {
    /// The response code's number (RFC 1035, RFC 6895).
    pub rcode: u16,
    /// Records of the asked type in the answer section.
    pub answers: u32,
    /// The smallest time to live among them, in seconds.
    pub min_ttl_seconds: Option<u32>,
    /// Whether the server said that it is an authority for the name.
    pub authoritative: bool,
}

/// What a query came to whose answer is a number. A server that answers without one works: the run
/// succeeds, and it is the number that is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueFacts {
    /// The number, which is finite.
    Known(f64),
    /// Why there is none.
    Unknown(NoValue),
}

impl ValueFacts {
    /// The number, if it is known.
    pub const fn known(self) -> Option<f64> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Why the answer to a query has no number that could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoValue {
    /// It has no sample: there is no such series, or none that is new enough.
    Empty,
    /// Its one sample is not a finite number.
    NotANumber,
    /// Its one sample is older than it may be.
    Old,
    /// It has several samples: the query should say which one, or aggregate them.
    Many,
}

impl NoValue {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Empty, Self::NotANumber, Self::Old, Self::Many];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotANumber => "not_a_number",
            Self::Old => "old",
            Self::Many => "many",
        }
    }
}
