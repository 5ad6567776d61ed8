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
use crate::net::{
    EchoPlan, Echoes, Family, Host, Icmp, IcmpOptions, IpVersion, Resolver, Stopwatch,
};

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
            format!(
                "{} is not between {} and {}",
                self.size,
                sizes.start(),
                sizes.end()
            ),
        );
        require(
            self.ttl != Some(0),
            "ttl",
            "0 would not leave this host; set 1 to 255".to_owned(),
        );
        let dscp = self.dscp.unwrap_or_default();
        require(
            dscp <= 63,
            "dscp",
            format!("{dscp} is not between 0 and 63"),
        );
        problems
    }

    fn time_problem(&self, timeout: Duration) -> Option<Problem> {
        let needed = self
            .spacing
            .saturating_mul(self.count)
            .saturating_add(guard(timeout));
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
        match self
            .icmp
            .exchange(&self.settings.options(address), &plan)
            .await
        {
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
            if stalled {
                Reason::Stalled
            } else {
                Reason::Lost
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;
    use crate::model::PingFacts;
    use crate::net::namespace::{DATAGRAM, in_namespace, skip};
    use crate::net::{IcmpCounters, Names, Roots, SocketType};

    /// Generous: a hang guard, not a measure.
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn context(timeout: Duration) -> Context {
        Context {
            resolver: Arc::new(Resolver::new(Names::at([]))),
            icmp: Arc::new(Icmp::new()),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, ".".into()),
            timeout,
            canary: crate::probe::CanaryName::default(),
        }
    }

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).expect(json)
    }

    fn probe(context: &Context, settings: &Settings, address: &str) -> Arc<dyn Probe> {
        match settings.prepare(context) {
            Ok(template) => template.target(address).expect(address),
            Err(problems) => panic!("{problems:?}"),
        }
    }

    async fn run(probe: &Arc<dyn Probe>) -> Result<Reply, Failure> {
        let mut watch = Stopwatch::start();
        tokio::time::timeout(TIMEOUT * 2, probe.run(&mut watch))
            .await
            .expect("a run ends by itself")
    }

    fn packets(facts: &Facts) -> PingFacts {
        facts.ping.expect("a ping has facts")
    }

    fn failed(outcome: Result<Reply, Failure>) -> (Failure, PingFacts) {
        let failure = outcome.expect_err("no reply");
        let facts = packets(failure.facts.as_deref().expect("facts"));
        assert_eq!(
            facts.received + facts.lost + facts.late + facts.errors,
            facts.sent
        );
        (failure, facts)
    }

    /// What this process may not do is no failure of the code; whoever runs the tests is told.
    fn permitted(family: Family) -> bool {
        match Icmp::new().permission(family) {
            Ok(_) => true,
            Err(why) => {
                skip(&format!("a test of pings: {why}"));
                false
            }
        }
    }

    async fn answers_every_packet(address: &str) -> IcmpCounters {
        let context = context(TIMEOUT);
        let settings = settings(r#"{"count": 5, "spacing": "2ms"}"#);
        let probe = probe(&context, &settings, address);
        let reply = run(&probe).await.expect(address);
        let facts = packets(&reply.facts);
        assert_eq!((facts.sent, facts.received, facts.duplicates), (5, 5, 0));
        assert_eq!(reply.latencies.len(), 5);
        assert!(reply.latencies.iter().all(|time| !time.is_zero()));
        assert!(facts.jitter_seconds.is_some());
        assert!(reply.facts.addresses.is_empty(), "a literal address");
        context.icmp.counters()
    }

    #[tokio::test]
    async fn the_kernel_answers_over_both_families() {
        for (family, address) in [(Family::V4, "127.0.0.3"), (Family::V6, "::1")] {
            if permitted(family) {
                assert_eq!(
                    answers_every_packet(address).await,
                    IcmpCounters::default(),
                    "nothing else came"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_in_its_phase_and_its_addresses_are_facts() {
        if !permitted(Family::V4) {
            return;
        }
        // Every host's own list of hosts has this one.
        let probe = probe(
            &context(TIMEOUT),
            &settings(r#"{"ip_version": "4"}"#),
            "localhost",
        );
        let mut watch = Stopwatch::start();
        let reply = probe.run(&mut watch).await.expect("a reply");
        let addresses = reply.facts.addresses.as_slice();
        assert_eq!(addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let laps: Vec<_> = watch.laps().iter().map(|(phase, _)| phase).collect();
        assert_eq!(laps, [Phase::Resolve]);
        let shape = probe.shape();
        assert!(shape.phases.contains(Phase::Resolve) && shape.facts.addresses);
    }

    #[tokio::test]
    async fn a_run_that_starts_too_late_sends_nothing() {
        let probe = probe(
            &context(Duration::from_millis(200)),
            &settings("{}"),
            "127.0.0.1",
        );
        let mut watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(150));
        let failure = probe.run(&mut watch).await.expect_err("too late");
        assert_eq!(failure.reason, Reason::Stalled, "{failure}");
    }

    #[tokio::test]
    async fn the_kernel_answers_datagram_sockets() {
        if !in_namespace(
            "probe::ping::tests::the_kernel_answers_datagram_sockets",
            DATAGRAM,
        ) {
            return;
        }
        for (family, address) in [(Family::V4, "127.0.0.3"), (Family::V6, "::1")] {
            let permission = Icmp::new().permission(family);
            assert_eq!(permission, Ok(SocketType::Datagram));
            assert_eq!(answers_every_packet(address).await, IcmpCounters::default());
        }
        many_targets_lose_nothing().await;
        runs_to_one_address_get_their_own_replies().await;
    }

    async fn many_targets_lose_nothing() {
        let context = context(TIMEOUT);
        let settings = settings(r#"{"count": 5, "spacing": "1ms"}"#);
        let mut runs = tokio::task::JoinSet::new();
        for last in 1..=200 {
            let probe = probe(&context, &settings, &format!("127.1.0.{last}"));
            runs.spawn(async move { run(&probe).await });
        }
        let mut total = PingFacts::default();
        while let Some(outcome) = runs.join_next().await {
            let reply = outcome.expect("no panic").expect("a reply");
            let facts = packets(&reply.facts);
            total.received += facts.received;
            total.duplicates += facts.duplicates;
        }
        assert_eq!((total.received, total.duplicates), (1000, 0));
        assert_eq!(context.icmp.counters(), IcmpCounters::default());
        assert_eq!(context.icmp.sockets().len(), 1, "one socket for all");
    }

    #[tokio::test]
    async fn two_hundred_targets_at_once_lose_nothing() {
        if permitted(Family::V4) {
            many_targets_lose_nothing().await;
        }
    }

    async fn runs_to_one_address_get_their_own_replies() {
        let context = context(TIMEOUT);
        let settings = settings(r#"{"count": 20, "spacing": "0", "size": 1000}"#);
        let mut runs = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let probe = probe(&context, &settings, "127.0.0.1");
            runs.spawn(async move { run(&probe).await });
        }
        while let Some(outcome) = runs.join_next().await {
            let reply = outcome.expect("no panic").expect("a reply");
            let facts = packets(&reply.facts);
            assert_eq!((facts.received, facts.duplicates), (20, 0));
        }
        assert_eq!(context.icmp.counters(), IcmpCounters::default());
    }

    #[tokio::test]
    async fn targets_on_one_address_at_once_get_their_own_replies() {
        if permitted(Family::V4) {
            runs_to_one_address_get_their_own_replies().await;
        }
    }

    #[tokio::test]
    async fn sockets_of_other_options_see_nothing_of_each_other() {
        if !permitted(Family::V4) {
            return;
        }
        let context = context(TIMEOUT);
        let all = [
            r#"{"count": 5, "spacing": "0"}"#,
            r#"{"count": 5, "spacing": "0", "ttl": 3, "dscp": 46, "df": true}"#,
            r#"{"count": 5, "spacing": "0", "source_address": "127.0.0.77", "size": 9000}"#,
        ];
        for json in all {
            let probe = probe(&context, &settings(json), "127.0.0.1");
            let reply = run(&probe).await.expect(json);
            assert_eq!(packets(&reply.facts).received, 5, "{json}");
        }
        assert_eq!(context.icmp.counters(), IcmpCounters::default());
        assert_eq!(context.icmp.sockets().len(), 3);
    }

    #[tokio::test]
    async fn a_dropped_run_frees_what_it_held_and_hands_the_reading_over() {
        let test =
            "probe::ping::tests::a_dropped_run_frees_what_it_held_and_hands_the_reading_over";
        // Nobody is at 10.77.0.9, and the errors that say so do not reach datagram sockets.
        let script = format!(
            "{DATAGRAM}; ip link add v0 type veth peer name v1; ip link set v0 up; \
             ip link set v1 up; ip addr add 10.77.0.1/24 dev v0"
        );
        if !in_namespace(test, &script) {
            return;
        }
        let context = context(TIMEOUT);
        let silent = probe(&context, &settings(r#"{"count": 3}"#), "10.77.0.9");
        let mut runs = tokio::task::JoinSet::new();
        let reading = runs.spawn(async move { run(&silent).await });
        let slow = probe(
            &context,
            &settings(r#"{"count": 50, "spacing": "2ms"}"#),
            "127.0.0.1",
        );
        runs.spawn(async move { run(&slow).await });
        while context.icmp.sockets().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        reading.abort();
        // On a slow host the other run may have ended before.
        let mut dropped = 0;
        while let Some(ended) = runs.join_next().await {
            match ended {
                Ok(outcome) => {
                    assert_eq!(packets(&outcome.expect("a reply").facts).received, 50);
                }
                Err(error) => {
                    assert!(error.is_cancelled(), "{error}");
                    dropped += 1;
                }
            }
        }
        assert_eq!(dropped, 1);
    }

    #[tokio::test]
    async fn silence_is_lost_and_the_run_ends_before_its_deadline() {
        let test = "probe::ping::tests::silence_is_lost_and_the_run_ends_before_its_deadline";
        let script = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all";
        if !in_namespace(test, script) {
            return;
        }
        let timeout = Duration::from_secs(1);
        let context = context(timeout);
        let probe = probe(&context, &settings("{}"), "127.0.0.1");
        let (failure, facts) = failed(run(&probe).await);
        assert_eq!(failure.reason, Reason::Lost, "{failure}");
        assert_eq!((facts.sent, facts.lost), (3, 3));
    }

    #[tokio::test]
    async fn what_the_system_or_a_router_refuses_is_an_error_of_that_kind() {
        let test =
            "probe::ping::tests::what_the_system_or_a_router_refuses_is_an_error_of_that_kind";
        // A router `r` behind v0; nobody is at 10.77.0.9.
        let script = "mount -t tmpfs tmpfs /run; ip netns add r; \
            ip link add v0 type veth peer name v1 netns r; \
            ip addr add 10.77.0.1/24 dev v0; ip link set v0 up; \
            ip -n r addr add 10.77.0.2/24 dev v1; ip -n r link set v1 up; \
            ip -n r route add unreachable 10.66.0.0/24; \
            ip -n r link add v2 type veth peer name v3; ip -n r link set v2 up; \
            ip -n r link set v3 up; ip -n r route add 10.88.0.0/24 dev v2; \
            ip netns exec r sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; \
                echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'; \
            ip route add 10.88.0.0/24 via 10.77.0.2; ip route add 10.66.0.0/24 via 10.77.0.2; \
            ip route add unreachable 10.99.0.0/24; ip link set v0 mtu 1400; \
            ip -n r link set v1 mtu 1400; \
            echo 100 > /proc/sys/net/ipv4/neigh/v0/retrans_time_ms";
        if !in_namespace(test, script) {
            return;
        }
        let context = context(TIMEOUT);
        for (json, address, reason) in [
            ("{}", "10.99.0.1", Reason::Unreachable),
            ("{}", "10.66.0.1", Reason::Unreachable),
            ("{}", "10.77.0.9", Reason::Unreachable),
            (r#"{"ttl": 1}"#, "10.88.0.1", Reason::TtlExceeded),
            (
                r#"{"size": 1400, "df": true}"#,
                "10.77.0.2",
                Reason::Unreachable,
            ),
            (
                r#"{"source_address": "127.0.0.1"}"#,
                "10.77.0.2",
                Reason::LocalAddress,
            ),
        ] {
            let probe = probe(&context, &settings(json), address);
            let (failure, facts) = failed(run(&probe).await);
            assert_eq!(failure.reason, reason, "{json} {address}: {failure}");
            assert_eq!((facts.sent, facts.errors), (3, 3), "{json} {address}");
        }
        let whole = probe(&context, &settings(r#"{"size": 1400}"#), "10.77.0.2");
        let reply = run(&whole).await.expect("fragments are allowed");
        assert_eq!(packets(&reply.facts).received, 3);
    }

    #[tokio::test]
    async fn no_permission_is_an_own_fault_and_says_what_fixes_it() {
        let test = "probe::ping::tests::no_permission_is_an_own_fault_and_says_what_fixes_it";
        // Without CAP_NET_RAW, and outside the group range.
        let script = "echo 1 0 > /proc/sys/net/ipv4/ping_group_range; \
            HOTSPARE_TEST_AS='setpriv --bounding-set -net_raw'";
        if !in_namespace(test, script) {
            return;
        }
        let context = context(TIMEOUT);
        for address in ["127.0.0.1", "::1"] {
            let probe = probe(&context, &settings("{}"), address);
            let failure = run(&probe).await.expect_err("not permitted");
            assert_eq!(failure.reason, Reason::NoPermission, "{failure}");
            for fix in [
                r#"sysctl -w net.ipv4.ping_group_range="0 2147483647""#,
                "AmbientCapabilities=CAP_NET_RAW",
            ] {
                assert!(failure.detail.contains(fix), "{failure}");
            }
        }
        assert!(
            context
                .icmp
                .sockets()
                .iter()
                .all(|socket| socket.state.is_err())
        );
    }

    #[tokio::test]
    async fn a_source_address_that_is_not_ours_is_an_own_fault() {
        if !permitted(Family::V4) {
            return;
        }
        let json = r#"{"source_address": "192.0.2.1"}"#;
        let probe = probe(&context(TIMEOUT), &settings(json), "127.0.0.1");
        let failure = run(&probe).await.expect_err("not our address");
        assert_eq!(failure.reason, Reason::LocalAddress, "{failure}");
    }

    #[test]
    fn a_socket_whose_runtime_is_gone_is_opened_again() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
        };
        let first = runtime();
        if !first.block_on(async { permitted(Family::V4) }) {
            return;
        }
        let context = context(TIMEOUT);
        let probe = probe(&context, &settings("{}"), "127.0.0.1");
        first.block_on(run(&probe)).expect("a reply");
        drop(first);
        let second = runtime();
        let failure = second
            .block_on(run(&probe))
            .expect_err("the socket is dead");
        assert!(failure.reason.is_own(), "{failure}");
        second.block_on(run(&probe)).expect("another socket");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_their_field() {
        for (json, field) in [
            (r#"{"count": 0}"#, "count"),
            (r#"{"count": 1001, "spacing": "0"}"#, "count"),
            (r#"{"size": 23}"#, "size"),
            (r#"{"size": 65001}"#, "size"),
            (r#"{"ttl": 0}"#, "ttl"),
            (r#"{"dscp": 64}"#, "dscp"),
            (r#"{"count": 10, "spacing": "100ms"}"#, "spacing"),
            (r#"{"count": 4000000000, "spacing": "36500d"}"#, "count"),
            (r#"{"count": 4294967295, "spacing": "200000d"}"#, "count"),
            (
                r#"{"source_address": "::1", "ip_version": "4"}"#,
                "source_address",
            ),
        ] {
            let Err(problems) = settings(json).prepare(&context(Duration::from_secs(1))) else {
                panic!("{json} was taken");
            };
            assert_eq!(problems[0].field, field, "{json}: {problems:?}");
        }
        for json in [r#"{"counts": 1}"#, r#"{"ttl": 256}"#, r#"{"spacing": 20}"#] {
            assert!(serde_json::from_str::<Settings>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn addresses_that_are_not_one_host_of_the_family_are_refused() {
        let context = context(TIMEOUT);
        for (json, address) in [
            ("{}", "0.0.0.0"),
            ("{}", "255.255.255.255"),
            ("{}", "224.0.0.1"),
            ("{}", "ff02::1"),
            ("{}", "host:80"),
            (r#"{"ip_version": "6"}"#, "127.0.0.1"),
            (r#"{"source_address": "127.0.0.1"}"#, "::1"),
        ] {
            let template = settings(json).prepare(&context).expect("good settings");
            assert!(template.target(address).is_err(), "{json} {address}");
        }
    }

    #[test]
    fn a_fault_of_our_own_stands_for_all_errors_but_not_for_a_loss() {
        let failures = vec![
            Failure::new(Reason::Unreachable, "code 1"),
            Failure::new(Reason::LocalResources, "no buffer"),
        ];
        let plan = EchoPlan {
            address: IpAddr::from([127, 0, 0, 1]),
            count: 2,
            spacing: Duration::ZERO,
            size: 56,
            wait: TIMEOUT,
            end: Instant::now(),
        };
        let judged = |lost, late, overslept| {
            let facts = PingFacts {
                sent: 2 + lost + late,
                errors: 2,
                lost,
                late,
                ..PingFacts::default()
            };
            let echoes = Echoes {
                facts,
                failures: failures.clone(),
                overslept,
                ..Echoes::default()
            };
            judge(echoes, &plan, Facts::default())
                .expect_err("nothing received")
                .reason
        };
        assert_eq!(judged(0, 0, Duration::ZERO), Reason::LocalResources);
        assert_eq!(judged(1, 0, Duration::ZERO), Reason::Lost);
        assert_eq!(judged(0, 1, Duration::ZERO), Reason::Lost);
        assert_eq!(judged(0, 1, STALL * 2), Reason::Stalled);
        assert_eq!(judged(1, 0, STALL * 2), Reason::Lost);
    }
}
