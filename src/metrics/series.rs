//! What is counted for one target.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::buckets::{Buckets, Histogram};
use super::database::Database;
use super::engine::Engine;
use super::page::push_label;
use super::rows::Subject;
use crate::model::{
    DatabaseFacts, DnsFacts, Facts, HttpFacts, Laps, ManagerFacts, Phase, PingFacts, Reason,
    ReasonSet, Reply, Sample, Shape, Target, TlsFacts, ValueFacts,
};

/// What the configuration says of a target's runs.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
    /// Which part of the attempts is to succeed, above 0 and below 1, if anything is said of it.
    pub objective: Option<f64>,
}

/// One target's numbers. They are written by one task; a scrape only reads.
///
/// A fact, phase or reason that the shape did not announce joins the shape when it is first seen,
/// so that nothing observed is ever left out.
#[derive(Debug)]
pub(super) struct Series {
    /// The labels of every sample, rendered: `probe="…",kind="…",…`.
    pub(super) labels: Arc<str>,
    /// The labels of the info series only, rendered, with a comma before.
    pub(super) info: Box<str>,
    pub(super) shape: Shape,
    engine: Engine,
    pub(super) buckets: Arc<Buckets>,
    pub(super) phase_buckets: Arc<Buckets>,
    pub(super) terms: Terms,

    pub(super) attempts: u64,
    pub(super) unknown: u64,
    pub(super) missed: u64,
    /// By the order of the shape's reasons.
    failures: Vec<u64>,
    pub(super) durations: Histogram,
    /// By the order of the shape's phases.
    phases: Vec<Histogram>,

    /// The state after the last run; none before the first, and after one that tells nothing.
    pub(super) up: Option<bool>,
    pub(super) last_run: Option<f64>,
    pub(super) last_success: Option<f64>,

    addresses: SmallVec<[IpAddr; 1]>,
    pub(super) address_changes: u64,
    pub(super) ping: Option<Box<PingTotals>>,
    /// Of the last run.
    pub(super) http: Option<HttpFacts>,
    /// Of the last run.
    pub(super) dns: Option<DnsFacts>,
    /// Of the last run.
    pub(super) value: Option<ValueFacts>,
    /// Of the last run.
    pub(super) manager: Option<ManagerFacts>,
    /// As last seen: a certificate keeps its date while its server is down.
    pub(super) tls: Option<Box<TlsFacts>>,
    /// Boxed, as few targets are databases.
    database: Option<Box<Database>>,
    /// As last seen.
    pub(super) version: Option<Box<str>>,
}

impl Subject for Series {
    fn labels(&self) -> &str {
        &self.labels
    }
}

/// Packets of all runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PingTotals {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) errors: u64,
    pub(super) duplicates: u64,
    /// Of the last run.
    pub(super) jitter: Option<f64>,
}

impl PingTotals {
    fn add(&mut self, facts: &PingFacts) {
        self.sent += u64::from(facts.sent);
        self.received += u64::from(facts.received);
        self.lost += u64::from(facts.lost);
        self.late += u64::from(facts.late);
        self.errors += u64::from(facts.errors);
        self.duplicates += u64::from(facts.duplicates);
        self.jitter = facts.jitter_seconds.filter(|jitter| jitter.is_finite());
    }
}

impl Series {
    pub(super) fn new(
        target: &Target,
        shape: &Shape,
        buckets: Arc<Buckets>,
        phase_buckets: Arc<Buckets>,
        terms: Terms,
    ) -> Self {
        let mut shape = *shape;
        shape.reasons = shape.reasons.without_own();
        Self {
            labels: labels(target).into(),
            info: info(target).into(),
            failures: vec![0; shape.reasons.len()],
            durations: Histogram::new(&buckets),
            phases: shape
                .phases
                .iter()
                .map(|_| Histogram::new(&phase_buckets))
                .collect(),
            shape,
            engine: Engine::of(target.kind),
            buckets,
            phase_buckets,
            terms,
            attempts: 0,
            unknown: 0,
            missed: 0,
            up: None,
            last_run: None,
            last_success: None,
            addresses: SmallVec::new(),
            address_changes: 0,
            ping: shape.facts.ping.then(Box::default),
            http: None,
            dns: None,
            value: None,
            manager: None,
            tls: None,
            database: shape.facts.replication.then(Box::default),
            version: None,
        }
    }

    /// Goes on with what was counted and seen of the same target before.
    pub(super) fn take_over(&mut self, former: &mut Self) {
        std::mem::swap(self, former);
        // They are the same, but what others have too is shared with them.
        std::mem::swap(&mut self.labels, &mut former.labels);
        for (of, newer) in [
            (&mut self.buckets, &former.buckets),
            (&mut self.phase_buckets, &former.phase_buckets),
        ] {
            if of == newer {
                *of = Arc::clone(newer);
            }
        }
    }

    /// Counts a run.
    pub(super) fn observe(&mut self, sample: &Sample) {
        let at = seconds_since_epoch(sample.at);
        self.last_run = at;
        match &sample.outcome {
            Ok(reply) => {
                self.attempts += 1;
                self.up = Some(true);
                self.last_success = at;
                self.time(reply, &sample.laps);
            }
            Err(failure) if failure.reason.is_own() => {
                self.unknown += 1;
                self.up = None;
            }
            Err(failure) => {
                self.attempts += 1;
                self.up = Some(false);
                *self.failures_of(failure.reason) += 1;
            }
        }
        self.learn(sample.facts());
    }

    /// How often each reason was met.
    pub(super) fn failures(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.shape.reasons.iter().zip(self.failures.iter().copied())
    }

    /// How long each phase took.
    pub(super) fn phases(&self) -> impl Iterator<Item = (Phase, &Histogram)> + '_ {
        self.shape.phases.iter().zip(&self.phases)
    }

    /// The engine and version of the database last seen.
    pub(super) fn product(&self) -> Option<(&'static str, &str)> {
        let (engine, version) = self.database.as_ref()?.product.as_ref()?;
        Some((engine, version))
    }

    /// What the database told, if its runs can tell of replication.
    pub(super) fn replication(&self) -> Option<&Database> {
        let replicates = self.shape.facts.replication;
        self.database.as_deref().filter(|_| replicates)
    }

    /// The same if it is one of these engines.
    pub(super) fn replication_of(&self, engines: &[Engine]) -> Option<&Database> {
        self.replication().filter(|_| self.engine.among(engines))
    }

    fn time(&mut self, reply: &Reply, laps: &Laps) {
        for latency in &reply.latencies {
            self.durations.observe(&self.buckets, *latency);
        }
        let buckets = Arc::clone(&self.phase_buckets);
        for (phase, spent) in laps.iter() {
            self.phase(phase).observe(&buckets, spent);
        }
    }

    fn phase(&mut self, phase: Phase) -> &mut Histogram {
        let place = self.shape.phases.rank(phase);
        if !self.shape.phases.contains(phase) {
            self.shape.phases = self.shape.phases.with_if(true, phase);
            self.phases
                .insert(place, Histogram::new(&self.phase_buckets));
        }
        &mut self.phases[place]
    }

    fn failures_of(&mut self, reason: Reason) -> &mut u64 {
        let place = self.shape.reasons.rank(reason);
        if !self.shape.reasons.contains(reason) {
            self.shape.reasons = self.shape.reasons.and(ReasonSet::of(&[reason]));
            self.failures.insert(place, 0);
        }
        &mut self.failures[place]
    }

    fn learn(&mut self, facts: Option<&Facts>) {
        self.http = facts.and_then(|facts| facts.http);
        self.dns = facts.and_then(|facts| facts.dns);
        self.value = facts.and_then(|facts| facts.value);
        self.manager = facts.and_then(|facts| facts.manager);
        self.told(facts.and_then(|facts| facts.database.as_deref()));
        if let Some(ping) = &mut self.ping {
            ping.jitter = None;
        }
        let Some(facts) = facts else { return };
        if let Some(ping) = &facts.ping {
            self.ping.get_or_insert_default().add(ping);
        }
        if let Some(tls) = &facts.tls {
            self.secured(tls);
        }
        if facts.version.is_some() && self.version != facts.version {
            self.version.clone_from(&facts.version);
        }
        if !facts.addresses.is_empty() {
            self.resolved(&facts.addresses);
        }
        let known = &mut self.shape.facts;
        known.http |= facts.http.is_some();
        known.dns |= facts.dns.is_some();
        known.value |= facts.value.is_some();
        known.manager |= facts.manager.is_some();
        known.tls |= facts.tls.is_some();
        known.version |= facts.version.is_some();
        known.addresses |= !facts.addresses.is_empty();
    }

    /// A run without facts of a database is told too: then there are none of the last run.
    fn told(&mut self, facts: Option<&DatabaseFacts>) {
        if let Some(facts) = facts {
            let known = &mut self.shape.facts;
            known.database = true;
            known.replication |= facts.replication.is_some() || facts.withheld.is_some();
            self.database.get_or_insert_default().observe(Some(facts));
        } else if let Some(database) = &mut self.database {
            database.observe(None);
        }
    }

    /// A handshake that fails over the certificate agrees on no session: its version and cipher stay
    /// those of the last one.
    fn secured(&mut self, new: &TlsFacts) {
        let known = self.tls.get_or_insert_default();
        let (version, cipher) = (known.version, known.cipher);
        **known = new.clone();
        known.version = new.version.or(version);
        known.cipher = new.cipher.or(cipher);
    }

    /// Compares the addresses as sets: a server that turns their order round changes nothing.
    fn resolved(&mut self, addresses: &[IpAddr]) {
        let mut set = SmallVec::<[IpAddr; 1]>::from_slice(addresses);
        set.sort_unstable();
        set.dedup();
        if set != self.addresses {
            self.address_changes += u64::from(!self.addresses.is_empty());
            self.addresses = set;
        }
    }
}

/// The labels that tell a target's series from every other's.
fn labels(target: &Target) -> String {
    let mut labels = String::new();
    push_label(&mut labels, "probe", &target.probe);
    push_label(&mut labels, "kind", target.kind);
    push_label(&mut labels, "source_region", &target.source_region);
    push_label(&mut labels, "target_region", &target.target_region);
    push_label(&mut labels, "target", &target.name);
    labels
}

/// What is told once about a target rather than on each of its series.
fn info(target: &Target) -> String {
    let mut labels = String::new();
    push_label(&mut labels, "address", &target.address);
    for (name, value) in &target.labels {
        push_label(&mut labels, name, value);
    }
    labels.insert(0, ',');
    labels
}

fn seconds_since_epoch(at: SystemTime) -> Option<f64> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    // Milliseconds: finer digits would only be noise on the page.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for 285,000 years of milliseconds"
    )]
    let seconds = since.as_millis() as f64 / 1_000.0;
    Some(seconds)
}
