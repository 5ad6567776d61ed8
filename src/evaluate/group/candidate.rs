//! One standby: its checks, and what they are judged by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::database::Database;
use super::history::History;
use super::question::Question;
use super::seen::{self, Since};
use super::{Brief, Compared, compared, estimate, seconds};
use crate::evaluate::past::Past;
use crate::model::{
    CheckKind, CheckReason, CheckReport, HoldReport, PairFigures, Sample, Sight, SightReport,
    StandbyReport,
};
use crate::readiness::rank::Standing;
use crate::readiness::{Disorder, Jolt, LastSight, Look, Outcome, Standby, Verdict};

/// A standby of a group, as judged.
#[derive(Debug)]
pub(super) struct Candidate {
    region: Arc<str>,
    standby: Standby,
    questions: Vec<Question>,
    /// When each question was last answered, on the wall clock: for people.
    answered: Vec<Option<SystemTime>>,
    /// Of each question that looks back, for each target.
    histories: HashMap<(usize, usize), History>,
    /// The version that each probe last read at the primary, and when.
    versions: HashMap<usize, (Box<str>, Instant)>,
    /// For how long each target of the standby has had another, for each question.
    differs: HashMap<(usize, usize), Since>,
    pub(super) databases: Vec<Database>,
    /// The time to live that its DNS server last told.
    pub(super) ttl: Option<Duration>,
}

impl Candidate {
    pub(super) fn new(brief: &Brief, place: usize, now: Instant) -> Result<Self, Disorder> {
        let mut questions: Vec<Question> = Vec::with_capacity(brief.group.checks.len());
        let mut checks = Vec::with_capacity(brief.group.checks.len());
        for planned in &brief.group.checks {
            let question = Question::new(planned, brief, place);
            checks.push(question.check(&questions, brief, place));
            questions.push(question);
        }
        let histories = questions.iter().enumerate();
        let histories = histories.filter_map(|(at, question)| match question.planned.kind {
            CheckKind::PacketLoss { over } | CheckKind::Latency { over, .. } => {
                let targets = 0..question.targets();
                Some(targets.map(move |nth| ((at, nth), History::new(over))))
            }
            _ => None,
        });
        let probes = brief.probes.iter().enumerate();
        let databases = probes.filter(|(_, probe)| !probe.standbys[place].is_empty());
        Ok(Self {
            region: Arc::clone(&brief.group.standbys[place]),
            standby: Standby::new(checks, now)?,
            answered: vec![None; questions.len()],
            histories: histories.flatten().collect(),
            versions: HashMap::new(),
            differs: HashMap::new(),
            databases: databases
                .filter_map(|(at, probe)| Database::new(at, probe))
                .collect(),
            ttl: None,
            questions,
        })
    }

    /// Takes in a run of a probe against the primary.
    pub(super) fn primary_seen(&mut self, probe: usize, sample: &Sample) {
        let version = sample.facts().and_then(|facts| facts.version.clone());
        if let Some(version) = version {
            self.versions.insert(probe, (version, sample.ended));
        }
    }

    /// Takes in a run of a probe against the standby's `nth` target.
    pub(super) fn observe(&mut self, probe: usize, nth: usize, sample: &Sample) {
        for database in self.databases.iter_mut().filter(|of| of.probe == probe) {
            database.observe(sample);
        }
        let dns = sample.facts().and_then(|facts| facts.dns);
        if let Some(ttl) = dns.and_then(|dns| dns.min_ttl_seconds) {
            self.ttl = Some(Duration::from_secs(ttl.into()));
        }
        for at in 0..self.questions.len() {
            if self.questions[at].probe != Some(probe) {
                continue;
            }
            let history = self.histories.get_mut(&(at, nth));
            let history = history.map(|history| {
                history.record(sample);
                &*history
            });
            let look = match self.questions[at].planned.kind {
                CheckKind::Version => Some(self.version((at, nth), probe, sample)),
                _ => seen::look(&self.questions[at].planned, sample, history),
            };
            self.answer(at, nth, look, sample.at);
        }
    }

    /// For how long the standby's `nth` target has run another version than the primary.
    fn version(&mut self, (at, nth): (usize, usize), probe: usize, sample: &Sample) -> Look {
        let question = &self.questions[at];
        let now = sample.ended;
        let Some(ours) = sample.facts().and_then(|facts| facts.version.as_deref()) else {
            return seen::unknown(CheckReason::NoValue, now);
        };
        let theirs = self.versions.get(&probe);
        let Some((theirs, _)) = theirs.filter(|(_, read)| question.is_fresh(*read, now)) else {
            return seen::unknown(CheckReason::NoPrimary, now);
        };
        let since = self.differs.entry((at, nth)).or_default();
        let differs = since.note(**theirs != *ours, now).as_secs_f64();
        seen::beyond(&question.planned, differs, CheckReason::Mismatch, now)
    }

    /// Takes in what a look at a database brought of this standby beside the primary.
    pub(super) fn compare(&mut self, probe: usize, figures: &PairFigures, seen: Compared<'_>) {
        for database in self.databases.iter_mut().filter(|of| of.probe == probe) {
            database.compare(figures, seen);
        }
        for at in 0..self.questions.len() {
            let question = &self.questions[at];
            if question.probe != Some(probe) {
                continue;
            }
            let check = &question.planned;
            let look = match check.kind {
                CheckKind::SinglePrimary => compared::single_primary(seen),
                _ if seen.of_primary => compared::both(check, figures, seen),
                _ => compared::against_before(check, figures, seen.sample),
            };
            self.answer(at, 0, look, seen.sample.at);
        }
    }

    /// Takes in what is known without a run, and counts what time alone has changed.
    pub(super) fn tick(&mut self, brief: &Brief, past: &Past, now: Instant, today: SystemTime) {
        for at in 0..self.questions.len() {
            let check = &self.questions[at].planned;
            let outcome = match &check.kind {
                CheckKind::Jurisdiction { outside } => {
                    let outside = outside.contains(&self.region);
                    bad_if(outside, CheckReason::Jurisdiction)
                }
                CheckKind::Hold => {
                    let held = brief
                        .group
                        .holds
                        .iter()
                        .any(|hold| hold.holds(&self.region, today));
                    let recent = past.hold(&self.region, brief.group.block, today);
                    bad_if(held || recent.is_some(), CheckReason::Hold)
                }
                CheckKind::DrillAge => {
                    let look = past.drill_age(today).map_or_else(
                        || seen::unknown(CheckReason::NoValue, now),
                        |age| seen::bounded(check, age, now),
                    );
                    self.answer(at, 0, Some(look), today);
                    continue;
                }
                CheckKind::Rto => {
                    let rto = estimate::rto(brief, past, self, now).total().known();
                    let look = rto.map_or_else(
                        || seen::unknown(CheckReason::NoValue, now),
                        |rto| seen::bounded(check, rto.as_secs_f64(), now),
                    );
                    self.answer(at, 0, Some(look), today);
                    continue;
                }
                _ => continue,
            };
            self.answer(at, 0, Some(Look::new(outcome, now)), today);
        }
        self.standby.tick(now);
    }

    fn answer(&mut self, at: usize, nth: usize, look: Option<Look>, today: SystemTime) {
        let Some(look) = look.and_then(|look| self.questions[at].answer(nth, look)) else {
            return;
        };
        if !matches!(look.outcome, Outcome::Error(_)) {
            self.answered[at] = Some(today);
        }
        self.standby.observe(at, look, look.seen);
    }

    /// Takes in that this daemon's clocks cannot be trusted.
    pub(super) fn tilt(&mut self, jolt: Jolt, now: Instant) {
        self.standby.tilt(jolt.until, jolt.slept, now);
    }

    /// How it stands beside the other standbys, where the primary is seen like that.
    pub(super) fn standing(
        &self,
        brief: &Brief,
        past: &Past,
        sight: Sight,
        now: Instant,
    ) -> Standing {
        Standing {
            state: self.standby.verdict(sight, now).state,
            rpo: self.rpo(now),
            rto: estimate::rto(brief, past, self, now).total().known(),
            preference: None,
            score: self.standby.score(now).map(|score| score.ratio),
        }
    }

    /// What is to be said of it at `now`.
    pub(super) fn report(
        &self,
        brief: &Brief,
        past: &Past,
        sight: Sight,
        now: Instant,
        today: SystemTime,
    ) -> StandbyReport {
        let Verdict { state, causes } = self.standby.verdict(sight, now);
        let checks = self.checks(now);
        let reasons = causes.told.iter().map(|cause| CheckReport {
            state: cause.state.label(),
            reason: cause.state.reason(),
            ..checks[cause.check].clone()
        });
        let last_sight = self.last_sight();
        let objective = brief.group.objectives.rpo.unwrap_or(Duration::MAX);
        let judged = self.judged_by(last_sight, objective);
        let promotion = self
            .standby
            .promotion(sight, judged.as_ref(), objective, now);
        let score = self.standby.score(now);
        let rto = estimate::rto(brief, past, self, now);
        let (lag, lag_at_least) = self.lag(now);
        StandbyReport {
            standby: Arc::clone(&self.region),
            state,
            primary_sight: sight,
            promotion: promotion.state,
            reasons: reasons.collect(),
            more_reasons: causes.more,
            score_ratio: score.map(|score| score.ratio),
            score_coverage_ratio: score.map(|score| score.coverage),
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            lag_at_least,
            rpo_seconds: self.rpo(now).map(|rpo| rpo.as_secs_f64()),
            rpo_bytes: self.loss_bytes(now),
            rto_seconds: rto.total().known().map(|rto| rto.as_secs_f64()),
            rto_stages: estimate::stages(&rto),
            rank: None,
            holds: self.holds(brief, past, today),
            last_sight: last_sight.map(|last| SightReport {
                timestamp_seconds: seconds(last.at),
                rpo_seconds: last.rpo.map(|rpo| rpo.as_secs_f64()),
                loss_bytes: last.loss_bytes,
            }),
            checks,
        }
    }

    fn checks(&self, now: Instant) -> Vec<CheckReport> {
        let states = self.standby.states(now).enumerate();
        states
            .map(|(at, state)| {
                let (value, threshold) = self.standby.figures(at);
                let planned = &self.questions[at].planned;
                let last = self.standby.last_conclusive(at);
                let age = last.map(|last| now.saturating_duration_since(last).as_secs_f64());
                CheckReport {
                    check: Arc::clone(&planned.name),
                    probe: Arc::clone(&planned.probe),
                    gate: planned.gate,
                    state: state.label(),
                    reason: state.reason(),
                    value,
                    threshold,
                    unit: planned.bound.map(|bound| bound.unit),
                    age_seconds: age,
                    last_conclusive_timestamp_seconds: self.answered[at].map(seconds),
                    transitions: self.standby.transitions(at),
                }
            })
            .collect()
    }

    /// Seconds of writes that would be lost: of the database that would lose most. `None`: of one of
    /// them it is not known.
    fn rpo(&self, now: Instant) -> Option<Duration> {
        let each = self.databases.iter().map(|database| database.rpo(now));
        each.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How far it is behind by the database that is furthest, and whether that is only the least that
    /// it can be. `None`: of none of them it is known.
    fn lag(&self, now: Instant) -> (Option<Duration>, bool) {
        let figures = self.databases.iter().map(|database| database.figures(now));
        let each = figures.map(|figures| {
            let figures = figures?;
            Some((figures.lag_ring?, figures.lag_ring_at_least))
        });
        each.fold((None, false), |(longest, at_least), lag| match lag {
            Some((lag, more)) => (longest.max(Some(lag)), at_least || more),
            None => (longest, true),
        })
    }

    fn loss_bytes(&self, now: Instant) -> Option<u64> {
        let databases = self.databases.iter().filter(|of| of.in_bytes);
        let each = databases.map(|of| of.figures(now)?.loss_bytes);
        let each: Option<Vec<u64>> = each.collect();
        each.filter(|each| !each.is_empty())
            .map(|each| each.into_iter().sum())
    }

    /// When all databases were last seen from both sides, and what would have been lost: the oldest
    /// of these times, the longest of these losses, the sum of bytes.
    fn last_sight(&self) -> Option<LastSight> {
        let each = self.databases.iter().map(|database| database.last_sight);
        each.reduce(|one, other| {
            let (one, other) = (one?, other?);
            let bytes = match (one.loss_bytes, other.loss_bytes) {
                (Some(one), Some(other)) => Some(one.saturating_add(other)),
                (one, other) => one.or(other),
            };
            Some(LastSight {
                seen: one.seen.min(other.seen),
                at: one.at.min(other.at),
                rpo: one.rpo.zip(other.rpo).map(|(one, other)| one.max(other)),
                loss_bytes: bytes,
            })
        })
        .flatten()
    }

    /// What a promotion is judged by: the last sight, whose loss is not known to be within the
    /// objective where the primary went on for too long without the standby.
    fn judged_by(&self, last: Option<LastSight>, objective: Duration) -> Option<LastSight> {
        let unpaired = self.databases.iter().map(Database::unpaired).max();
        let unpaired = unpaired.unwrap_or_default();
        let tells = |rpo: &Duration| *rpo > objective || rpo.saturating_add(unpaired) <= objective;
        last.map(|last| LastSight {
            rpo: last.rpo.filter(tells),
            ..last
        })
    }

    fn holds(&self, brief: &Brief, past: &Past, today: SystemTime) -> Vec<HoldReport> {
        let holds = brief.group.holds.iter();
        holds
            .filter(|hold| hold.holds(&self.region, today))
            .map(|hold| HoldReport {
                kind: "maintenance",
                reason: Arc::clone(&hold.reason),
                expiry_timestamp_seconds: seconds(hold.until),
            })
            .chain(past.hold(&self.region, brief.group.block, today))
            .collect()
    }
}

fn bad_if(bad: bool, reason: CheckReason) -> Outcome {
    if bad {
        Outcome::Bad(reason)
    } else {
        Outcome::Ok
    }
}
