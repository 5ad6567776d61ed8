//! One standby: its checks, and what they are judged by.

mod report;
mod succession;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::database::Database;
use super::history::History;
use super::question::Question;
use super::seen::{self, Since};
use super::{Brief, Compared, compared, estimate};
use crate::evaluate::past::Past;
use crate::model::{CheckKind, CheckReason, PairFigures, PlannedCheck, Sample, Sight};
use crate::readiness::rank::Standing;
use crate::readiness::{Disorder, Jolt, Look, Outcome, Standby};

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
    /// The time to live that its DNS server last told, and by which probe.
    ttl: Option<(usize, Duration)>,
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
                let interval = brief.probes[question.probe?].interval;
                let targets = 0..question.targets();
                Some(targets.map(move |nth| ((at, nth), History::new(over, interval))))
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

    /// The time to live that its DNS server last told.
    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl.map(|(_, ttl)| ttl)
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
            self.ttl = Some((probe, Duration::from_secs(ttl.into())));
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
        seen::beyond(question.planned.bound, differs, CheckReason::Mismatch, now)
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
            let look = self.known(&self.questions[at].planned, brief, past, now, today);
            self.answer(at, 0, look, today);
        }
        self.standby.tick(now);
    }

    /// What is known of a check without a run; `None`: it needs one.
    fn known(
        &self,
        check: &PlannedCheck,
        brief: &Brief,
        past: &Past,
        now: Instant,
        today: SystemTime,
    ) -> Option<Look> {
        let bad_if = |bad, reason| Look::new(Outcome::bad_if(bad, reason), now);
        let figure = |figure: Option<f64>| {
            figure.map_or_else(
                || seen::unknown(CheckReason::NoValue, now),
                |figure| seen::bounded(check.bound, figure, now),
            )
        };
        let look = match &check.kind {
            CheckKind::Jurisdiction { outside } => {
                bad_if(outside.contains(&self.region), CheckReason::Jurisdiction)
            }
            CheckKind::Hold => {
                let held = !self.holds(brief, past, today).is_empty();
                bad_if(held, CheckReason::Hold)
            }
            CheckKind::DrillAge => figure(past.drill_age(today)),
            CheckKind::Rto => {
                let rto = estimate::rto(brief, past, self, now).total().known();
                figure(rto.map(|rto| rto.as_secs_f64()))
            }
            _ => return None,
        };
        Some(look)
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
}
