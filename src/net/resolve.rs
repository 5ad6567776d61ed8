//! From names to addresses, without `getaddrinfo`: it blocks a thread that nobody can take back.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::lookup::{Found, Memory, Miss, look_up, look_up_service};
use super::names::{NameFiles, Names};
use super::{Endpoint, Host, IpVersion, Stopwatch};
use crate::model::{Failure, Phase, Reason};

/// Look-ups under way at the same time; each holds at most a socket per family and server. Others
/// wait their turn, so that a silent server cannot use up this host's descriptors.
const MAX_LOOKUPS: usize = 256;
/// How many of them may be for names of which the last look-up had no answer until its run was over:
/// so one zone without servers does not hold up the others.
const MAX_SILENT_LOOKUPS: usize = MAX_LOOKUPS / 2;
/// Names that are remembered. Those of the largest configuration fit; what redirects bring must not
/// pile up.
const MAX_NAMES: usize = 1 << 18;
/// How often what is over is thrown away.
const SWEEP: Duration = Duration::from_mins(1);
/// No answer is believed for longer, whatever it says.
const MAX_TTL: Duration = Duration::from_hours(1);
/// How often the host's files are looked at, at most.
const LOOK_AT_FILES: Duration = Duration::from_secs(5);

/// Resolves names as the host does: its `/etc/hosts` first, then the servers and search domains of
/// its `/etc/resolv.conf`; a change of either file is followed within seconds. Answers are kept for
/// their time to live, failures are not. Other sources of `/etc/nsswitch.conf` (mDNS, LDAP) are not
/// asked.
pub struct Resolver {
    state: Mutex<State>,
    lookups: Semaphore,
    silent_lookups: Semaphore,
    memory: Memory,
    counters: Counters,
}

struct State {
    names: Arc<Names>,
    /// One for each [`IpVersion`].
    answers: [HashMap<Box<str>, Kept>; 3],
    /// Names of which the last look-up had no answer until its run was over.
    silent: HashSet<Box<str>>,
    sweep_again: Instant,
    files: Option<NameFiles>,
    look_again: Instant,
}

struct Kept {
    addresses: SmallVec<[IpAddr; 2]>,
    until: Instant,
}

#[derive(Default)]
struct Counters {
    cached: AtomicU64,
    lookups: AtomicU64,
    failures: AtomicU64,
}

/// What a resolver has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResolverCounters {
    /// Names answered without asking: from memory or from the host's table.
    pub cached: u64,
    /// Names looked up at the servers.
    pub lookups: u64,
    /// Those that brought no address, or none before the run's deadline.
    pub failures: u64,
    /// Questions sent to servers: more than one for each look-up, where there are two families,
    /// search domains, silent servers.
    pub queries: u64,
}

impl Resolver {
    /// A resolver set up as the host is, also when its files change later. The error names the
    /// file that cannot be read.
    pub fn from_system() -> Result<Self, String> {
        Self::following(NameFiles::system())
    }

    /// A resolver set up by these files.
    pub(super) fn following(mut files: NameFiles) -> Result<Self, String> {
        let names = files.read()?;
        let resolver = Self::new(names);
        resolver.state().files = Some(files);
        Ok(resolver)
    }

    /// A resolver with a set-up of its own, that no file changes.
    pub fn new(names: Names) -> Self {
        Self {
            state: Mutex::new(State {
                names: Arc::new(names),
                answers: Default::default(),
                silent: HashSet::new(),
                sweep_again: Instant::now() + SWEEP,
                files: None,
                look_again: Instant::now() + LOOK_AT_FILES,
            }),
            lookups: Semaphore::new(MAX_LOOKUPS),
            silent_lookups: Semaphore::new(MAX_SILENT_LOOKUPS),
            memory: Memory::default(),
            counters: Counters::default(),
        }
    }

    /// A resolver that asks one server and knows nothing else.
    pub fn at(server: SocketAddr) -> Self {
        Self::new(Names::at([server]))
    }

    /// What it has done so far.
    pub fn counters(&self) -> ResolverCounters {
        let Counters {
            cached,
            lookups,
            failures,
        } = &self.counters;
        ResolverCounters {
            cached: cached.load(Ordering::Relaxed),
            lookups: lookups.load(Ordering::Relaxed),
            failures: failures.load(Ordering::Relaxed),
            queries: self.memory.queries.load(Ordering::Relaxed),
        }
    }

    /// The host's addresses in the order to try them, at least one; in the phase
    /// [`Phase::Resolve`], which a literal address does not enter.
    ///
    /// It has no time limit of its own: while a server is silent it waits until it is dropped.
    pub async fn resolve(
        &self,
        host: &Host,
        version: IpVersion,
        watch: &mut Stopwatch,
    ) -> Result<SmallVec<[IpAddr; 2]>, Failure> {
        let name = match host {
            Host::Ip(ip) => return Ok(SmallVec::from_elem(*ip, 1)),
            Host::Name(name) => &**name,
        };
        watch.enter(Phase::Resolve);
        let (known, names) = self.known(name, version, watch.started());
        if !known.is_empty() {
            self.counters.cached.fetch_add(1, Ordering::Relaxed);
            watch.leave();
            return Ok(known);
        }
        let found = self.ask(&names, name, version).await?;
        watch.leave();
        self.keep(&names, name, version, &found);
        Ok(found.addresses)
    }

    /// Where a service is by its SRV records (RFC 2782), in the order of the answer; none if the
    /// records say that it is nowhere. That there is no record is a failure. Nothing is kept.
    ///
    /// It has no time limit of its own, as [`Self::resolve`].
    pub async fn services(&self, name: &str) -> Result<Vec<Endpoint>, Failure> {
        let names = {
            let mut state = self.state();
            state.follow(Instant::now());
            Arc::clone(&state.names)
        };
        let mut unfinished = Unfinished::count(self, name);
        let closed = |_| Failure::new(Reason::LocalResources, "the resolver is closed");
        let _turn = self.lookups.acquire().await.map_err(closed)?;
        let result = look_up_service(&names, &self.memory, name).await;
        unfinished.succeeded = result.is_ok();
        result.map_err(|miss| match miss {
            Miss::NotFound => Failure::new(
                Reason::DnsNotFound,
                format_args!("resolve {name}: it has no SRV record"),
            ),
            other => failure(name, IpVersion::Any, other),
        })
    }

    /// Looks the name up when it is its turn.
    async fn ask(&self, names: &Names, name: &str, version: IpVersion) -> Result<Found, Failure> {
        let mut unfinished = Unfinished::count(self, name);
        let closed = |_| Failure::new(Reason::LocalResources, "the resolver is closed");
        let was_silent = self.state().silent.contains(name);
        let _share = if was_silent {
            Some(self.silent_lookups.acquire().await.map_err(closed)?)
        } else {
            None
        };
        let _turn = self.lookups.acquire().await.map_err(closed)?;
        unfinished.waits = true;
        let result = look_up(names, &self.memory, name, version).await;
        unfinished.waits = false;
        unfinished.succeeded = result.is_ok();
        if was_silent {
            self.state().silent.remove(name);
        }
        result.map_err(|miss| failure(name, version, miss))
    }

    /// What needs no server, else nothing; and the set-up to ask by.
    fn known(
        &self,
        name: &str,
        version: IpVersion,
        now: Instant,
    ) -> (SmallVec<[IpAddr; 2]>, Arc<Names>) {
        let mut state = self.state();
        state.follow(now);
        let kept = state.answers[version as usize].get(name);
        let known = match kept {
            Some(kept) if now < kept.until => kept.addresses.clone(),
            _ => state.names.known(name, version),
        };
        (known, Arc::clone(&state.names))
    }

    fn keep(&self, names: &Arc<Names>, name: &str, version: IpVersion, found: &Found) {
        if found.ttl.is_zero() {
            return;
        }
        let mut state = self.state();
        // The answer of servers that have been replaced meanwhile is used once, not kept.
        if !Arc::ptr_eq(names, &state.names) {
            return;
        }
        let now = Instant::now();
        state.sweep(now);
        let answers = &mut state.answers[version as usize];
        if answers.len() >= MAX_NAMES && !answers.contains_key(name) {
            return;
        }
        answers.insert(
            name.into(),
            Kept {
                addresses: found.addresses.clone(),
                until: now + found.ttl.min(MAX_TTL),
            },
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Throws away what is over, now and then: not at every name, even where all places are taken.
    fn sweep(&mut self, now: Instant) {
        if now < self.sweep_again {
            return;
        }
        self.sweep_again = now + SWEEP;
        for answers in &mut self.answers {
            answers.retain(|_, kept| now < kept.until);
        }
    }

    /// Takes up a change of the host's files. Two system calls every few seconds: cheaper than a
    /// task, and never later than the run that needs it.
    fn follow(&mut self, now: Instant) {
        let Some(files) = &mut self.files else {
            return;
        };
        if now < self.look_again {
            return;
        }
        self.look_again = now + LOOK_AT_FILES;
        if !files.changed() {
            return;
        }
        match files.read() {
            Ok(names) if names == *self.names => {}
            Ok(names) => {
                tracing::info!(servers = ?names.servers, "the host's name service has changed");
                self.names = Arc::new(names);
                self.answers = Default::default();
                self.silent = HashSet::new();
            }
            Err(error) => tracing::warn!(%error, "names are looked up as before"),
        }
    }
}

/// Counts a look-up as failed unless it is told otherwise: being dropped at the deadline is the
/// usual failure.
struct Unfinished<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    succeeded: bool,
    /// For servers, not for its turn.
    waits: bool,
}

impl<'a> Unfinished<'a> {
    fn count(resolver: &'a Resolver, name: &'a str) -> Self {
        resolver.counters.lookups.fetch_add(1, Ordering::Relaxed);
        Self {
            resolver,
            name,
            succeeded: false,
            waits: false,
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.succeeded {
            return;
        }
        let resolver = self.resolver;
        resolver.counters.failures.fetch_add(1, Ordering::Relaxed);
        if self.waits {
            let silent = &mut resolver.state().silent;
            if silent.len() < MAX_NAMES && !silent.contains(self.name) {
                silent.insert(self.name.into());
            }
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn failure(name: &str, version: IpVersion, miss: Miss) -> Failure {
    let kind = match version {
        IpVersion::Any => "",
        IpVersion::V4 => " IPv4",
        IpVersion::V6 => " IPv6",
    };
    match miss {
        Miss::NotFound => Failure::new(
            Reason::DnsNotFound,
            format_args!("resolve {name}: it has no{kind} address"),
        ),
        Miss::Own(reason, why) => Failure::new(reason, format_args!("resolve {name}: {why}")),
        Miss::Failed(why) => Failure::new(Reason::DnsFailed, format_args!("resolve {name}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_dns::{TestDns, address, alias, reply, with_a, with_code};
    use super::*;
    use hickory_proto::op::{Message, ResponseCode};
    use hickory_proto::rr::rdata::SRV;
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    /// Longer than any answer takes: a test that gets here hangs.
    const HANG: Duration = Duration::from_secs(20);

    async fn resolve(
        resolver: &Resolver,
        name: &str,
        version: IpVersion,
    ) -> Result<Vec<String>, Failure> {
        let host = Host::parse(name).expect("a host");
        let mut watch = Stopwatch::start();
        let result = timeout(HANG, resolver.resolve(&host, version, &mut watch))
            .await
            .expect("an end");
        result.map(|ips| ips.iter().map(ToString::to_string).collect())
    }

    async fn reason(server: &TestDns) -> Reason {
        let resolver = Resolver::at(server.address);
        let failure = resolve(&resolver, "db.example", IpVersion::Any)
            .await
            .expect_err("no address");
        assert_eq!(resolver.counters().failures, 1);
        failure.reason
    }

    #[tokio::test]
    async fn a_literal_costs_no_phase_and_no_question() {
        let resolver = Resolver::new(Names::default());
        let mut watch = Stopwatch::start();
        let host = Host::parse("::1").expect("a host");
        let ips = resolver.resolve(&host, IpVersion::Any, &mut watch).await;
        assert_eq!(ips.expect("itself")[0].to_string(), "::1");
        assert_eq!(watch.laps().iter().count(), 0);
        assert_eq!(resolver.counters(), ResolverCounters::default());
    }

    #[tokio::test]
    async fn an_answer_holds_for_its_time_to_live_and_one_of_zero_is_used_once() {
        let server = TestDns::replying(|message| {
            let ttl = u32::from(message.queries[0].name.to_string().starts_with("kept")) * 60;
            with_a([10, 0, 0, 1], ttl)(message);
        })
        .await;
        let resolver = Resolver::at(server.address);
        for (name, cached, queries) in [
            ("kept.example", 0, 2),
            ("kept.example", 1, 2),
            ("fresh.example", 1, 4),
            ("fresh.example", 1, 6),
        ] {
            let ips = resolve(&resolver, name, IpVersion::Any).await;
            assert_eq!(ips.expect(name), ["10.0.0.1"]);
            let counters = resolver.counters();
            assert_eq!(
                (counters.cached, counters.queries),
                (cached, queries),
                "{name}"
            );
            assert_eq!(counters.failures, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_forgotten_when_its_time_is_over() {
        let resolver = Resolver::new(Names::default());
        let names = resolver.known("db", IpVersion::Any, Instant::now()).1;
        let found = Found {
            addresses: SmallVec::from_elem(IpAddr::from([10, 0, 0, 1]), 1),
            ttl: Duration::from_secs(5),
        };
        resolver.keep(&names, "db", IpVersion::Any, &found);
        for (after, known) in [(0, 1), (4, 1), (1, 0)] {
            tokio::time::advance(Duration::from_secs(after)).await;
            let (addresses, _) = resolver.known("db", IpVersion::Any, Instant::now());
            assert_eq!(addresses.len(), known);
        }
        tokio::time::advance(SWEEP).await;
        resolver.keep(&names, "other", IpVersion::Any, &found);
        assert_eq!(
            resolver.state().answers[0].len(),
            1,
            "no room for what is over"
        );
    }

    #[tokio::test]
    async fn the_versions_are_asked_for_as_configured() {
        let server = TestDns::replying(|message| {
            let ip = match message.queries[0].query_type {
                RecordType::A => "10.0.0.1",
                _ => "fd00::1",
            };
            message.add_answer(address("db.example.", ip, 60));
        })
        .await;
        let resolver = Resolver::at(server.address);
        for (version, ips) in [
            (IpVersion::Any, vec!["10.0.0.1", "fd00::1"]),
            (IpVersion::V4, vec!["10.0.0.1"]),
            (IpVersion::V6, vec!["fd00::1"]),
        ] {
            let found = resolve(&resolver, "db.example", version).await;
            assert_eq!(found.expect("found"), ips);
        }
    }

    #[tokio::test]
    async fn no_address_is_not_found() {
        let empty = TestDns::replying(|_| {}).await;
        assert_eq!(reason(&empty).await, Reason::DnsNotFound);
        let nxdomain = TestDns::replying(with_code(ResponseCode::NXDomain)).await;
        assert_eq!(reason(&nxdomain).await, Reason::DnsNotFound);
        let circle = TestDns::replying(|message| {
            message.add_answer(alias("db.example.", "b.example.", 60));
            message.add_answer(alias("b.example.", "db.example.", 60));
        })
        .await;
        assert_eq!(reason(&circle).await, Reason::DnsNotFound);
        let of_another = TestDns::replying(|message| {
            message.add_answer(address("other.example.", "10.0.0.1", 60));
        })
        .await;
        assert_eq!(reason(&of_another).await, Reason::DnsNotFound);
    }

    #[tokio::test]
    async fn an_error_or_garbage_is_failed() {
        for code in [ResponseCode::ServFail, ResponseCode::Refused] {
            let server = TestDns::replying(with_code(code)).await;
            assert_eq!(reason(&server).await, Reason::DnsFailed, "{code}");
        }
        let garbage = TestDns::start(|question, _| {
            let mut packet = reply(question, |_| {});
            packet.truncate(14);
            vec![packet]
        })
        .await;
        assert_eq!(reason(&garbage).await, Reason::DnsFailed);
        let nobody = TestDns::silent().await.stop().await;
        let resolver = Resolver::at(nobody);
        let failure = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(failure.expect_err("refused").reason, Reason::DnsFailed);
        assert_eq!(
            resolver.counters().queries,
            1,
            "at once, not when asked again"
        );
    }

    #[tokio::test]
    async fn foreign_packets_are_ignored_and_the_chain_of_aliases_is_followed() {
        let server = TestDns::start(|question, _| {
            let right = reply(question, |message| {
                message.add_answer(address("c.example.", "10.0.0.3", 5));
                message.add_answer(address("c.example.", "10.0.0.4", 5));
                message.add_answer(alias("b.example.", "c.example.", 60));
                message.add_answer(alias("db.example.", "b.example.", 60));
            });
            let spoofed = with_a([6, 6, 6, 6], 60);
            let other_id = reply(question, |message| {
                spoofed(message);
                message.metadata.id = !message.metadata.id;
            });
            let other_name = reply(question, |message| {
                spoofed(message);
                message.queries[0].name = "evil.example.".parse().expect("name");
            });
            vec![
                vec![],
                other_id,
                other_name,
                question.to_vec().expect("bytes"),
                right,
            ]
        })
        .await;
        let resolver = Resolver::at(server.address);
        let found = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(found.expect("found"), ["10.0.0.3", "10.0.0.4"]);
    }

    #[tokio::test]
    async fn a_cut_answer_is_asked_for_again_over_tcp_and_many_addresses_fit() {
        let many = |message: &mut Message| {
            for i in 0..1000_u32 {
                let ip = std::net::Ipv4Addr::from(0x0a00_0000 + i).to_string();
                message.add_answer(address("db.example.", &ip, 60));
            }
        };
        let server = TestDns::start(move |question, tcp| {
            vec![reply(question, |message| {
                if tcp {
                    many(message);
                } else {
                    message.metadata.truncation = true;
                }
            })]
        })
        .await;
        let resolver = Resolver::at(server.address);
        let found = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(found.expect("found").len(), 1000);
        assert_eq!(resolver.counters().queries, 2);
    }

    #[tokio::test]
    async fn the_second_server_answers_when_the_first_fails_is_silent_or_not_there() {
        let good = TestDns::replying(with_a([10, 0, 0, 2], 0)).await;
        let failing = TestDns::replying(with_code(ResponseCode::ServFail)).await;
        let silent = TestDns::silent().await;
        let gone = TestDns::silent().await.stop().await;
        for first in [failing.address, silent.address, gone] {
            let resolver = Resolver::new(Names::at([first, good.address]));
            let found = resolve(&resolver, "db.example", IpVersion::V4).await;
            assert_eq!(found.expect("found"), ["10.0.0.2"]);
            let asked = resolver.counters().queries;
            assert!(asked >= 2, "the first was asked: {asked}");
            // From now on the one that answers is asked first, and alone: unless this host is so
            // slow that its answer looks late.
            let mut alone = false;
            for _ in 0..20 {
                let before = resolver.counters().queries;
                let found = resolve(&resolver, "db.example", IpVersion::V4).await;
                assert_eq!(found.expect("found"), ["10.0.0.2"]);
                alone |= resolver.counters().queries == before + 1;
            }
            assert!(alone);
        }
    }

    #[tokio::test]
    async fn one_family_does_not_wait_for_the_silence_of_the_other_for_ever() {
        let server = TestDns::start(|question, _| {
            if question.queries[0].query_type == RecordType::A {
                vec![reply(question, with_a([10, 0, 0, 1], 60))]
            } else {
                vec![]
            }
        })
        .await;
        let resolver = Resolver::at(server.address);
        let found = resolve(&resolver, "db.example", IpVersion::Any).await;
        assert_eq!(found.expect("found"), ["10.0.0.1"]);
    }

    fn both_families(message: &mut Message) {
        let ip = match message.queries[0].query_type {
            RecordType::A => "10.0.0.1",
            _ => "fd00::1",
        };
        message.add_answer(address("db.example.", ip, 60));
    }

    fn service(owner: &str, target: &str, port: u16) -> Record {
        let name = |text| Name::from_ascii(text).expect("name");
        let data = RData::SRV(SRV::new(0, 0, port, name(target)));
        Record::from_rdata(name(owner), 60, data)
    }

    #[tokio::test]
    async fn services_are_where_their_records_say_behind_an_alias_too() {
        let server = TestDns::replying(|message| {
            message.add_answer(alias("_pg._tcp.example.", "_db._tcp.example.", 60));
            message.add_answer(service("_db._tcp.example.", "db-1.example.", 5432));
            message.add_answer(service("_db._tcp.example.", "db-2.example.", 5433));
            message.add_answer(service("_other._tcp.example.", "db-3.example.", 5434));
        })
        .await;
        let resolver = Resolver::at(server.address);
        let found = resolver.services("_pg._tcp.example");
        let found: Vec<_> = found.await.expect("found");
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["db-1.example:5432", "db-2.example:5433"]);
    }

    #[tokio::test]
    async fn a_service_that_is_nowhere_is_not_one_without_records() {
        let nowhere = TestDns::replying(|message| {
            message.add_answer(service("_pg._tcp.example.", ".", 0));
        })
        .await;
        let resolver = Resolver::at(nowhere.address);
        let found = resolver.services("_pg._tcp.example");
        assert_eq!(found.await.expect("an answer"), []);
        let missing = TestDns::replying(with_code(ResponseCode::NXDomain)).await;
        let resolver = Resolver::at(missing.address);
        let failure = resolver.services("_pg._tcp.example");
        assert_eq!(failure.await.expect_err("none").reason, Reason::DnsNotFound);
        let odd = TestDns::replying(|message| {
            message.add_answer(service("_pg._tcp.example.", "a\\032b.example.", 1));
        })
        .await;
        let resolver = Resolver::at(odd.address);
        let failure = resolver.services("_pg._tcp.example");
        assert_eq!(
            failure.await.expect_err("no host").reason,
            Reason::DnsFailed
        );
    }

    #[tokio::test]
    async fn a_lost_answer_for_ipv4_is_asked_for_again_before_ipv6_is_taken_alone() {
        let lost = AtomicU64::new(0);
        let server = TestDns::start(move |question, _| {
            let v4 = question.queries[0].query_type == RecordType::A;
            if v4 && lost.fetch_add(1, Ordering::Relaxed) == 0 {
                return vec![];
            }
            vec![reply(question, both_families)]
        })
        .await;
        let resolver = Resolver::at(server.address);
        let found = resolve(&resolver, "db.example", IpVersion::Any).await;
        assert_eq!(found.expect("found"), ["10.0.0.1", "fd00::1"]);
    }

    #[tokio::test]
    async fn ipv6_alone_is_not_kept_where_ipv4_failed() {
        let failed = AtomicU64::new(0);
        let server = TestDns::replying(move |message| {
            let v4 = message.queries[0].query_type == RecordType::A;
            if v4 && failed.fetch_add(1, Ordering::Relaxed) == 0 {
                message.metadata.response_code = ResponseCode::ServFail;
            } else {
                both_families(message);
            }
        })
        .await;
        let resolver = Resolver::at(server.address);
        for ips in [&["fd00::1"][..], &["10.0.0.1", "fd00::1"]] {
            let found = resolve(&resolver, "db.example", IpVersion::Any).await;
            assert_eq!(found.expect("found"), ips);
        }
    }

    #[tokio::test]
    async fn an_error_is_not_hidden_by_a_search_domain_that_has_nothing() {
        let server = TestDns::replying(|message| {
            let code = match message.queries[0].name.to_string().as_str() {
                "db.example." => ResponseCode::ServFail,
                _ => ResponseCode::NXDomain,
            };
            with_code(code)(message);
        })
        .await;
        let resolver = Resolver::new(Names {
            search: vec!["corp.internal.".parse().expect("name")],
            ..Names::at([server.address])
        });
        let failure = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(failure.expect_err("failed").reason, Reason::DnsFailed);
    }

    /// Sockets of this host that talk to the address, by the kernel's table.
    fn sockets_to(address: SocketAddr) -> usize {
        let table = std::fs::read_to_string("/proc/net/udp").expect("/proc");
        let remote = format!(" 0100007F:{:04X} ", address.port());
        let rows = table.lines().filter_map(|row| row.split_once(": "));
        // The local address comes first: the remote one is behind it.
        rows.filter(|(_, row)| row[13..].starts_with(&remote))
            .count()
    }

    /// Threads of this process with the name.
    fn threads(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
        let names = tasks.filter_map(|task| {
            std::fs::read_to_string(task.expect("entry").path().join("comm")).ok()
        });
        names.filter(|found| found.trim_end() == name).count()
    }

    #[test]
    fn six_hundred_names_at_a_silent_server_cost_no_thread_and_hold_up_nobody() {
        // A runtime of its own, so that the threads that it starts can be told from others.
        tokio::runtime::Builder::new_current_thread()
            .thread_name("six-hundred")
            .enable_all()
            .build()
            .expect("runtime")
            .block_on(six_hundred_names());
    }

    /// Other tests of this process need descriptors at the same time.
    fn raise_descriptors() {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit
            .maximum
            .map_or(Some(8192), |most| Some(most.min(8192)));
        setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    }

    async fn six_hundred_names() {
        raise_descriptors();
        let silent = TestDns::silent().await;
        let good = TestDns::replying(with_a([10, 0, 0, 1], 60)).await;
        let resolver = Arc::new(Resolver::new(Names {
            hosts: [(
                "listed".into(),
                SmallVec::from_elem([10, 0, 0, 9].into(), 1),
            )]
            .into(),
            ..Names::at([silent.address])
        }));
        let (cut, mut waiting) = six_hundred_runs(&resolver);
        until_sockets_to(silent.address, 2 * MAX_LOOKUPS).await;
        assert_eq!(threads("six-hundred"), 0);
        let listed = resolve(&resolver, "listed", IpVersion::Any).await;
        assert_eq!(listed.expect("known"), ["10.0.0.9"]);
        let other = Resolver::at(good.address);
        let found = resolve(&other, "db.example", IpVersion::V4).await;
        assert_eq!(found.expect("found"), ["10.0.0.1"]);
        cut.send(true).expect("all wait");
        while let Some(result) = waiting.join_next().await {
            let (ended, phase) = result.expect("no panic");
            assert!(!ended, "a silent server has no answer");
            assert_eq!(Reason::timeout_in(phase), Reason::TimeoutResolve);
        }
        assert_eq!(resolver.counters().failures, 600);
        assert_eq!(resolver.lookups.available_permits(), MAX_LOOKUPS);
        assert_eq!((sockets_to(silent.address), threads("six-hundred")), (0, 0));
        // Those that waited for their turn only are none of them.
        let found_silent = resolver.state().silent.len();
        assert!((MAX_LOOKUPS..600).contains(&found_silent), "{found_silent}");
    }

    /// Runs for `n0.example` and so on, and what cuts them all; each says whether it had ended
    /// before, and where it was.
    fn six_hundred_runs(
        resolver: &Arc<Resolver>,
    ) -> (watch::Sender<bool>, JoinSet<(bool, Option<Phase>)>) {
        let (cut, _) = watch::channel(false);
        let mut waiting = JoinSet::new();
        for i in 0..600 {
            let resolver = Arc::clone(resolver);
            let mut deadline = cut.subscribe();
            waiting.spawn(async move {
                let host = Host::parse(&format!("n{i}.example")).expect("a host");
                let mut watch = Stopwatch::start();
                let ended = tokio::select! {
                    _ = resolver.resolve(&host, IpVersion::Any, &mut watch) => true,
                    _ = deadline.wait_for(|cut| *cut) => false,
                };
                (ended, watch.current())
            });
        }
        (cut, waiting)
    }

    async fn until_sockets_to(address: SocketAddr, count: usize) {
        let hang = Instant::now() + HANG;
        while sockets_to(address) != count {
            assert!(Instant::now() < hang, "{} sockets", sockets_to(address));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn names_without_an_answer_leave_turns_for_others() {
        raise_descriptors();
        let server = TestDns::start(|question, _| {
            if question.queries[0].name.to_string() == "db.example." {
                vec![reply(question, with_a([10, 0, 0, 1], 0))]
            } else {
                vec![]
            }
        })
        .await;
        let resolver = Arc::new(Resolver::at(server.address));
        let silent = (0..600).map(|i| format!("n{i}.example").into());
        resolver.state().silent.extend(silent);
        let (_cut, _waiting) = six_hundred_runs(&resolver);
        until_sockets_to(server.address, 2 * MAX_SILENT_LOOKUPS).await;
        let found = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(found.expect("found"), ["10.0.0.1"]);
    }

    #[tokio::test]
    async fn a_name_that_answers_again_is_silent_no_longer() {
        let server = TestDns::replying(with_a([10, 0, 0, 1], 0)).await;
        let resolver = Resolver::at(server.address);
        resolver.state().silent.insert("db.example".into());
        let found = resolve(&resolver, "db.example", IpVersion::V4).await;
        assert_eq!(found.expect("found"), ["10.0.0.1"]);
        assert!(resolver.state().silent.is_empty());
    }

    #[tokio::test]
    async fn a_change_of_the_files_is_followed_and_what_was_kept_is_forgotten() {
        let folder = tempfile::tempdir().expect("folder");
        let (resolv_conf, hosts) = (folder.path().join("r"), folder.path().join("h"));
        std::fs::write(&hosts, "10.0.0.1 db").expect("write");
        let resolver = Resolver::following(NameFiles::new(resolv_conf.clone(), hosts.clone()))
            .expect("readable");
        let known = |version| {
            resolver.state().look_again = Instant::now();
            let (known, _) = resolver.known("db", version, Instant::now());
            known.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(known(IpVersion::Any), ["10.0.0.1"]);
        std::fs::write(&hosts, "10.0.0.2 db\n# moved").expect("write");
        assert_eq!(known(IpVersion::Any), ["10.0.0.2"]);

        let names = resolver.known("db", IpVersion::V6, Instant::now()).1;
        let found = Found {
            addresses: SmallVec::from_elem("fd00::1".parse().expect("address"), 1),
            ttl: HANG,
        };
        resolver.keep(&names, "db", IpVersion::V6, &found);
        assert_eq!(known(IpVersion::V6), ["fd00::1"]);
        std::fs::write(&resolv_conf, "nameserver 10.0.0.53\n").expect("write");
        assert_eq!(known(IpVersion::V6), [""; 0]);
        // An answer of the servers of before is not kept for the new ones.
        resolver.keep(&names, "db", IpVersion::V6, &found);
        assert_eq!(known(IpVersion::V6), [""; 0]);

        std::fs::remove_file(&hosts).expect("removed");
        std::fs::create_dir(&hosts).expect("folder");
        assert_eq!(known(IpVersion::Any), ["10.0.0.2"], "unreadable: as before");
    }
}
