//! `ping`: ICMP echo requests, several in each run.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Context, Lane, Probe, Problem, Run, Template};
use crate::model::{
    FactSet, Facts, Failure, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape, duration,
};
use crate::net::{EchoPlan, Echoes, Family, Host, Icmp, IcmpOptions, IpVersion, Resolver, Stopwatch};

/// Packets that one run may send.
const MAX_COUNT: u32 = 1_000;

/// A run that came to its end this much too late cannot tell late replies from late reading.
const STALL: Duration = Duration::from_millis(50);

/// The settings of `check: { ping: … }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Packets in each run, 1 to 1,000.
    pub count: u32,
    /// The time from one packet of a run to the next.
    #[serde(deserialize_with = "duration::deserialize")]
    pub spacing: Duration,
    /// Bytes of payload in each packet, 24 to 65,000.
    pub size: u16,
    /// Whether packets must not be fragmented, so that those too large for the path fail.
    pub df: bool,
    /// The packets' time to live (hop limit), from 1; the system's if not set.
    pub ttl: Option<u8>,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point of the packets, 0 to 63.
    pub dscp: Option<u8>,
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            count: 3,
            spacing: Duration::from_millis(20),
            size: 56,
            df: false,
            ttl: None,
            source_address: None,
            dscp: None,
            ip_version: IpVersion::Any,
        }
    }
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = self.range_problems();
        problems.extend(self.time_problem(context.timeout));
        problems.extend(self.family_problem());
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Ping {
            settings: Arc::new(self.clone()),
            timeout: context.timeout,
            resolver: Arc::clone(&context.resolver),
            icmp: Arc::clone(&context.icmp),
        }))
    }

    fn range_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                problems.push(Problem::new(field, message));
            }
        };
        require(
            (1..=MAX_COUNT).contains(&self.count),
            "count",
            format!("{} is not between 1 and {MAX_COUNT}", self.count),
        );
        let sizes = EchoPlan::MIN_SIZE..=EchoPlan::MAX_SIZE;
        require(
            sizes.contains(&self.size),
            "size",
            format!("{} is not between {} and {}", self.size, sizes.start(), sizes.end()),
        );
        require(
            self.ttl != Some(0),
            "ttl",
            "0 would not leave this host; set 1 to 255".to_owned(),
        );
        let dscp = self.dscp.unwrap_or_default();
        require(dscp <= 63, "dscp", format!("{dscp} is not between 0 and 63"));
        problems
    }

    fn time_problem(&self, timeout: Duration) -> Option<Problem> {
        let needed = self.spacing.saturating_mul(self.count) + guard(timeout);
        if needed < timeout {
            return None;
        }
        let field = if self.count > 1 { "spacing" } else { "count" };
        Some(Problem::new(
            field,
            format!(
                "{} packets {:?} apart take {needed:?}, and no time is left to wait for the last \
                 one within the timeout of {timeout:?}: send fewer or closer together, or raise \
                 the timeout",
                self.count, self.spacing
            ),
        ))
    }

    fn family_problem(&self) -> Option<Problem> {
        let source = self.source_address?;
        if source.is_multicast() {
            return Some(Problem::new(
                "source_address",
                format!("nothing can be sent from the multicast address {source}"),
            ));
        }
        let fits = match self.ip_version {
            IpVersion::Any => true,
            IpVersion::V4 => source.is_ipv4(),
            IpVersion::V6 => source.is_ipv6(),
        };
        (!fits).then(|| {
            Problem::new(
                "source_address",
                format!("{source} is not an address of the `ip_version`"),
            )
        })
    }

    /// The time from the first packet of a run to its last.
    fn span(&self) -> Duration {
        self.spacing.saturating_mul(self.count.saturating_sub(1))
    }

    /// The family that the settings ask for.
    fn version(&self) -> IpVersion {
        match (self.ip_version, self.source_address) {
            (IpVersion::Any, Some(IpAddr::V4(_))) => IpVersion::V4,
            (IpVersion::Any, Some(IpAddr::V6(_))) => IpVersion::V6,
            (version, _) => version,
        }
    }

    fn options(&self, address: IpAddr) -> IcmpOptions {
        IcmpOptions {
            family: Family::of(address),
            source_address: self.source_address,
            dont_fragment: self.df,
            ttl: self.ttl,
            dscp: self.dscp,
        }
    }
}

/// The time between the end of a run and its deadline, so that the run always ends by itself.
fn guard(timeout: Duration) -> Duration {
    (timeout / 20).clamp(Duration::from_millis(5), Duration::from_millis(50))
}

struct Ping {
    settings: Arc<Settings>,
    timeout: Duration,
    resolver: Arc<Resolver>,
    icmp: Arc<Icmp>,
}

impl Template for Ping {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let host = Host::parse(address)?;
        if let Host::Ip(address) = host {
            self.check_address(address)?;
        }
        let length = self.timeout.saturating_sub(guard(self.timeout));
        Ok(Arc::new(Target {
            host,
            settings: Arc::clone(&self.settings),
            length,
            wait: length.saturating_sub(self.settings.span()),
            resolver: Arc::clone(&self.resolver),
            icmp: Arc::clone(&self.icmp),
        }))
    }
}

impl Ping {
    fn check_address(&self, address: IpAddr) -> Result<(), String> {
        if address.is_unspecified()
            || address.is_multicast()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST)
        {
            return Err(format!(
                "`{address}` is not the address of one host, and a ping is answered by one"
            ));
        }
        match (self.settings.version(), address) {
            (IpVersion::V4, IpAddr::V6(_)) => Err(format!(
                "`{address}` is not an IPv4 address, which `ip_version` or `source_address` ask for"
            )),
            (IpVersion::V6, IpAddr::V4(_)) => Err(format!(
                "`{address}` is not an IPv6 address, which `ip_version` or `source_address` ask for"
            )),
            _ => Ok(()),
        }
    }
}

struct Target {
    host: Host,
    settings: Arc<Settings>,
    /// From the start of a run to its end.
    length: Duration,
    /// How long each packet is waited for.
    wait: Duration,
    resolver: Arc<Resolver>,
    icmp: Arc<Icmp>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let addresses = self
            .resolver
            .resolve(&self.host, self.settings.version(), watch)
            .await?;
        let address = addresses[0];
        let facts = Facts {
            addresses: if self.host.is_name() {
                addresses
            } else {
                SmallVec::new()
            },
            ..Facts::default()
        };
        let plan = match self.plan(address, watch.started()) {
            Ok(plan) => plan,
            Err(failure) => return Err(failure.with_facts(facts)),
        };
        match self.icmp.exchange(&self.settings.options(address), &plan).await {
            Ok(echoes) => judge(echoes, &plan, facts),
            Err(failure) => Err(failure.with_facts(facts)),
        }
    }

    /// The packets of a run that started at `started`. What its name took is missing in the wait
    /// for the packets; were it more than half, replies on their way would count as lost.
    fn plan(&self, address: IpAddr, started: Instant) -> Result<EchoPlan, Failure> {
        let end = started + self.length;
        let spent = started.elapsed();
        let wait = self.wait.saturating_sub(spent);
        if wait < self.wait / 2 {
            let reason = if self.host.is_name() {
                Reason::TimeoutResolve
            } else {
                Reason::Stalled
            };
            return Err(Failure::new(
                reason,
                format_args!("{spent:?} had passed before the first packet could be sent"),
            ));
        }
        Ok(EchoPlan {
            address,
            count: self.settings.count,
            spacing: self.settings.spacing,
            size: self.settings.size,
            wait,
            end,
        })
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn shape(&self) -> Shape {
        let named = self.host.is_name();
        Shape {
            phases: PhaseSet::default().with_if(named, Phase::Resolve),
            reasons: ReasonSet::of(&[Reason::Unreachable, Reason::Lost, Reason::TtlExceeded])
                .and_if(named, ReasonSet::RESOLVE),
            facts: FactSet {
                addresses: named,
                ping: true,
                ..FactSet::default()
            },
        }
    }

    fn lane(&self) -> Lane {
        Lane::Packet
    }
}

/// One packet received in time is a reply.
fn judge(echoes: Echoes, plan: &EchoPlan, facts: Facts) -> Result<Reply, Failure> {
    let packets = echoes.facts;
    let facts = Facts {
        ping: Some(packets),
        ..facts
    };
    if packets.received > 0 {
        return Ok(Reply {
            latencies: echoes.latencies,
            facts,
        });
    }
    let failure = if packets.errors == packets.sent {
        of_errors(echoes.failures)
    } else {
        None
    };
    let failure = failure.unwrap_or_else(|| {
        // What was read late may have come in time.
        let stalled = packets.late > 0 && echoes.overslept > STALL;
        Failure::new(
            if stalled { Reason::Stalled } else { Reason::Lost },
            format_args!(
                "ping {}: of {} packets {} lost, {} late, {} failed, {:?} waited for each",
                plan.address, packets.sent, packets.lost, packets.late, packets.errors, plan.wait
            ),
        )
    });
    Err(failure.with_facts(facts))
}

/// The failure that stands for all: a fault of our own if there was one, as the target may be well.
fn of_errors(failures: Vec<Failure>) -> Option<Failure> {
    let own = failures.iter().position(|f| f.reason.is_own()).unwrap_or(0);
    failures.into_iter().nth(own)
}
