//! Why a run failed: a closed set, because it becomes a label.

/// Declares the reasons with their label values, once.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a run did not succeed. The set is closed: free text goes to logs and the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, the targets' faults first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The value of the label `reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

reasons! {
    /// The name does not exist, or has no address of the asked family.
    DnsNotFound = "dns_not_found",
    /// The resolver answered with an error, or with something unreadable.
    DnsFailed = "dns_failed",
    /// No answer to the name in time.
    TimeoutResolve = "timeout_resolve",
    /// The target refused the connection.
    Refused = "refused",
    /// The network says that the target cannot be reached.
    Unreachable = "unreachable",
    /// No connection in time.
    TimeoutConnect = "timeout_connect",
    /// The target reset the connection.
    Reset = "reset",
    /// The target closed the connection before the answer was complete.
    Eof = "eof",
    /// The target's certificate is not valid for the name, the time or the authority.
    TlsCertificate = "tls_certificate",
    /// The TLS handshake failed for another reason than the certificate.
    TlsHandshake = "tls_handshake",
    /// The server does not offer TLS although the settings ask for it.
    TlsRefused = "tls_refused",
    /// No TLS session in time.
    TimeoutTls = "timeout_tls",
    /// The server refused the credentials.
    Auth = "auth",
    /// No end of the login in time.
    TimeoutAuth = "timeout_auth",
    /// The server is there but takes no session now, for another reason than the credentials:
    /// starting up, shutting down, a standby closed to queries, out of connections.
    NotAccepting = "not_accepting",
    /// The answer broke the rules of its protocol.
    Protocol = "protocol",
    /// The answer was larger than its cap.
    TooLarge = "too_large",
    /// No first byte of the answer in time.
    TimeoutProcessing = "timeout_processing",
    /// The answer did not end in time.
    TimeoutTransfer = "timeout_transfer",
    /// The query had no answer in time.
    TimeoutQuery = "timeout_query",
    /// The status was not one of the valid ones.
    Status = "status",
    /// A header was not as expected.
    Header = "header",
    /// The body was not as expected.
    Body = "body",
    /// Too many redirects, or one to where the probe may not go.
    Redirect = "redirect",
    /// The server answered the query with an error.
    Query = "query",
    /// The answer (of a query, a DNS question or a dialogue) was not the expected one.
    Answer = "answer",
    /// None of the packets came back in time.
    Lost = "lost",
    /// The packet's time to live ended on the way.
    TtlExceeded = "ttl_exceeded",

    // From here on: our own faults. They make a result unknown, never down.
    /// This process may not open the socket that the probe needs.
    NoPermission = "no_permission",
    /// This host ran out of file descriptors, buffers or memory.
    LocalResources = "local_resources",
    /// This host cannot send from the configured source address, or has no such address family.
    LocalAddress = "local_address",
    /// The runtime was held up for longer than the run could bear.
    Stalled = "stalled",
    /// The probe's own code failed; the daemon caught it.
    Panic = "panic",
}

impl Reason {
    /// Whether the fault is this daemon's or this host's own, so that nothing is known of the target.
    pub const fn is_own(self) -> bool {
        self as u8 >= Self::NoPermission as u8
    }

    /// Our own faults.
    pub fn own() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|r| r.is_own())
    }

    /// The phase in which a run with these laps failed so; `None` where the reason does not tell.
    pub fn phase(self, laps: &super::Laps) -> Option<super::Phase> {
        use super::Phase;
        match self {
            Self::DnsNotFound | Self::DnsFailed | Self::TimeoutResolve => Some(Phase::Resolve),
            Self::Refused | Self::TimeoutConnect => Some(Phase::Connect),
            Self::TlsCertificate | Self::TlsHandshake | Self::TlsRefused | Self::TimeoutTls => {
                Some(Phase::Tls)
            }
            Self::Auth | Self::TimeoutAuth | Self::NotAccepting => Some(Phase::Auth),
            Self::TimeoutProcessing | Self::Status | Self::Header | Self::Redirect => {
                Some(Phase::Processing)
            }
            Self::TooLarge | Self::Body | Self::TimeoutTransfer => Some(Phase::Transfer),
            // A canary is written once it was read.
            Self::Query | Self::TimeoutQuery if laps.get(Phase::QueryRead).is_some() => {
                Some(Phase::QueryWrite)
            }
            Self::Query | Self::TimeoutQuery => Some(Phase::QueryRead),
            Self::Unreachable
            | Self::Reset
            | Self::Eof
            | Self::Protocol
            | Self::Answer
            | Self::Lost
            | Self::TtlExceeded
            | Self::NoPermission
            | Self::LocalResources
            | Self::LocalAddress
            | Self::Stalled
            | Self::Panic => None,
        }
    }

    /// The reason for a deadline that passed in the given phase. A run that was in none was not
    /// waiting for its target: it is this daemon that was late.
    pub const fn timeout_in(phase: Option<super::Phase>) -> Self {
        use super::Phase;
        match phase {
            None => Self::Stalled,
            Some(Phase::Resolve) => Self::TimeoutResolve,
            Some(Phase::Connect) => Self::TimeoutConnect,
            Some(Phase::Tls) => Self::TimeoutTls,
            Some(Phase::Auth) => Self::TimeoutAuth,
            Some(Phase::Processing) => Self::TimeoutProcessing,
            Some(Phase::Transfer) => Self::TimeoutTransfer,
            Some(Phase::QueryRead | Phase::QueryWrite) => Self::TimeoutQuery,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// Which reasons a target's runs can end with; what its failure counters start with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonSet(u64);

impl ReasonSet {
    /// A name that has to be resolved first.
    pub const RESOLVE: Self = Self::of(&[
        Reason::DnsNotFound,
        Reason::DnsFailed,
        Reason::TimeoutResolve,
    ]);
    /// A stream connection.
    pub const CONNECT: Self = Self::of(&[
        Reason::Refused,
        Reason::Unreachable,
        Reason::TimeoutConnect,
        Reason::Reset,
        Reason::Eof,
    ]);
    /// A TLS session on top of it.
    pub const TLS: Self = Self::of(&[
        Reason::TlsCertificate,
        Reason::TlsHandshake,
        Reason::TimeoutTls,
    ]);
    /// One exchange over HTTP.
    pub const HTTP: Self = Self::of(&[
        Reason::Protocol,
        Reason::TooLarge,
        Reason::TimeoutProcessing,
        Reason::TimeoutTransfer,
        Reason::Status,
    ]);
    /// What a database says to someone who logs in and asks.
    pub const DATABASE: Self = Self::of(&[
        Reason::Auth,
        Reason::NotAccepting,
        Reason::Protocol,
        Reason::TooLarge,
        Reason::Query,
        Reason::TimeoutQuery,
    ]);

    /// The set of the given reasons.
    pub const fn of(reasons: &[Reason]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < reasons.len() {
            bits |= reasons[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set and the other, if `included`.
    #[must_use]
    pub const fn and_if(self, included: bool, other: Self) -> Self {
        if included { self.and(other) } else { self }
    }

    /// Whether the reason is in the set.
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// The targets' faults of this set, without our own.
    #[must_use]
    pub const fn without_own(self) -> Self {
        Self(self.0 & (Reason::NoPermission.bit() - 1))
    }

    /// How many reasons of the set come before the given one.
    pub const fn rank(self, reason: Reason) -> usize {
        (self.0 & (reason.bit() - 1)).count_ones() as usize
    }

    /// The reasons in order.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL
            .iter()
            .copied()
            .filter(move |r| self.contains(*r))
    }

    /// How many reasons there are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set has no reason.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_fit_a_set() {
        let labels: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        assert!(Reason::ALL.len() <= 64, "ReasonSet is a u64");
    }

    #[test]
    fn a_set_knows_the_place_of_a_reason_and_leaves_own_faults_out() {
        let set = ReasonSet::of(&[Reason::Refused, Reason::Auth, Reason::Panic]);
        let places: Vec<_> = set.iter().map(|reason| set.rank(reason)).collect();
        assert_eq!(places, [0, 1, 2]);
        let kept: Vec<_> = set.without_own().iter().collect();
        assert_eq!(kept, [Reason::Refused, Reason::Auth]);
    }

    #[test]
    fn own_faults_are_the_last_ones() {
        let own: Vec<_> = Reason::own().map(Reason::as_str).collect();
        assert_eq!(
            own,
            [
                "no_permission",
                "local_resources",
                "local_address",
                "stalled",
                "panic"
            ]
        );
    }
}
