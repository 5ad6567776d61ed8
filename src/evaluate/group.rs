//! A group: how its primary is seen, and what its standbys are worth.
//!
//! What is seen comes in by [`Group::observe`] and [`Group::compare`], and changes the checks. What
//! is said of it is made by [`Group::report`] when somebody asks, so that no answer is older than the
//! question.

mod candidate;
mod compared;
mod database;
mod estimate;
mod history;
mod question;
mod reach;
mod seen;
mod succession;
#[cfg(test)]
mod test_samples;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::candidate::Candidate;
use self::database::Database;
use self::reach::Reach;
use super::failover::Found;
use super::past::Past;
use super::ranking::Ranking;
use super::set::{Changes, Set};
use crate::model::{
    Drill, DrillKind, DrillOrder, DrillRefusal, DrillState, GroupReport, PairFigures, PairKey,
    PlannedGroup, ReadyState, ReplicationFacts, Sample, SetFigures, Sight, StandbyReport,
    TargetKey, timestamp_seconds,
};
use crate::readiness::{Disorder, Hearing, Jolt, sight_of};
use crate::store::Store;

/// A group as it is to be judged from here.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// What the configuration says of it.
    pub group: PlannedGroup,
    /// The region of this daemon.
    pub source_region: Arc<str>,
    /// The targets that users come by, as far as they are probed from here.
    pub user_path: Vec<TargetKey>,
    /// The probes that answer its checks, as far as they run from here.
    pub probes: Vec<Witness>,
}

/// A probe of a group, and whom it looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
    /// Its targets in the primary's region.
    pub primary: Vec<TargetKey>,
    /// Its targets in the region of each standby.
    pub standbys: Vec<Vec<TargetKey>>,
    /// Whether it speaks TLS with the targets of each standby.
    pub tls: Vec<bool>,
    /// Whether it is to have targets in the region of each standby: its questions arise there, and
    /// are unknown, also while it has none.
    pub expected: bool,
    /// Of a database: each standby beside the primary.
    pub pairs: Vec<PairKey>,
}

/// Whose run it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The primary's.
    Primary,
    /// That of a target of the standby in this place.
    Standby { place: usize, nth: usize },
}

/// What a look at a database brought, of both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared<'a> {
    /// The run.
    pub(super) sample: &'a Sample,
    /// Whether it was the primary's.
    pub(super) of_primary: bool,
    /// What the primary said, if it was seen lately.
    pub(super) primary: Option<&'a ReplicationFacts>,
    /// Bytes a second that the primary seldom exceeds.
    pub(super) write_rate: Option<f64>,
    /// The set's figures.
    pub(super) set: &'a SetFigures,
}

/// A group, as judged.
#[derive(Debug)]
pub struct Group {
    brief: Brief,
    reaches: Vec<Reach>,
    standbys: Vec<Candidate>,
    past: Past,
    ranking: Ranking,
    /// Until when this daemon's clocks cannot be trusted.
    tilted_until: Option<Instant>,
}

impl Group {
    /// A group of which nothing was seen before `now`.
    ///
    /// The error says what is wrong with the list of checks.
    pub fn new(mut brief: Brief, now: Instant) -> Result<Self, Disorder> {
        // The order of the configuration means nothing: what has only changed places is the same.
        for probe in &mut brief.probes {
            let standbys = probe.standbys.iter_mut();
            standbys
                .chain([&mut probe.primary])
                .for_each(|targets| targets.sort_unstable());
        }
        let places = 0..brief.group.standbys.len();
        let standbys = places.map(|place| Candidate::new(&brief, place, now));
        Ok(Self {
            standbys: standbys.collect::<Result<_, _>>()?,
            reaches: brief.probes.iter().map(Reach::new).collect(),
            past: Past::new(Arc::clone(&brief.group.name), &brief.user_path),
            ranking: Ranking::new(
                &brief.group.standbys,
                &brief.group.ranking,
                &brief.group.preference,
                now,
            ),
            brief,
            tilted_until: None,
        })
    }

    /// Remembers what the store has of it, and keeps there what is to come.
    #[must_use]
    pub fn kept_in(mut self, store: &Store) -> Self {
        self.past.keep_in(store);
        self
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.brief.group.name
    }

    /// What is planned of it.
    pub(super) fn planned(&self) -> &PlannedGroup {
        &self.brief.group
    }

    /// What happened to it.
    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// The targets whose runs it wants to see, each once.
    pub(super) fn targets(&self) -> HashSet<TargetKey> {
        let probes = self.brief.probes.iter().flat_map(|probe| {
            let standbys = probe.standbys.iter().flatten();
            probe.primary.iter().chain(standbys).copied()
        });
        probes.chain(self.past.targets()).collect()
    }

    /// Takes in a run.
    pub(super) fn observe(&mut self, sample: &Sample) {
        self.past.observe(sample);
        self.ranking.observe(sample);
        for (at, probe) in self.brief.probes.iter().enumerate() {
            self.reaches[at].observe(sample);
            match part(probe, sample.target) {
                Some(Part::Primary) => {
                    for standby in &mut self.standbys {
                        standby.primary_seen(at, sample);
                    }
                }
                Some(Part::Standby { place, nth }) => {
                    self.standbys[place].observe(at, nth, sample);
                }
                None => {}
            }
        }
    }

    /// Takes in what a look at a database brought of a standby beside its primary.
    pub(super) fn compare(&mut self, pair: PairKey, figures: &PairFigures, seen: Compared<'_>) {
        for (at, probe) in self.brief.probes.iter().enumerate() {
            if let Some(place) = probe.pairs.iter().position(|of| *of == pair) {
                if seen.of_primary {
                    self.reaches[at].serves(seen.sample.target);
                }
                self.standbys[place].compare(at, figures, seen);
            }
        }
    }

    /// Takes in where the primary of a database is.
    pub(super) fn primary(&mut self, set: &Set, changes: &Changes) {
        let named = set.named();
        if named.group != self.brief.group.name {
            return;
        }
        if let Some(region) = set.primary_region() {
            self.past.primary_is(&named.probe, region);
        }
        if let Some(Found::Failover(failover, around)) = &changes.found {
            self.past.failed_over(failover, *around);
        }
    }

    /// Carries out what an operator orders.
    pub(super) fn drill(
        &mut self,
        order: &DrillOrder,
        now: Instant,
        today: SystemTime,
    ) -> Result<Drill, DrillRefusal> {
        match order {
            DrillOrder::Start(start) => self.past.start(start, self.brief.group.objectives, today),
            DrillOrder::Abort(_) => self.past.end(DrillState::Aborted, today),
            DrillOrder::Finish(_) => {
                let missing = self.unfinished(self.past.open()?, now, today);
                if missing.is_empty() {
                    self.past.end(DrillState::Succeeded, today)
                } else {
                    Err(DrillRefusal::NotYet(missing))
                }
            }
        }
    }

    /// What the success of a drill lacks: what it rehearses has to be seen, and everything has to be
    /// as it should be again.
    fn unfinished(&self, drill: &Drill, now: Instant, today: SystemTime) -> Vec<String> {
        let mut missing = Vec::new();
        let databases = self
            .brief
            .probes
            .iter()
            .any(|probe| !probe.pairs.is_empty());
        let moves = drill.kind != DrillKind::ReadRoute;
        if moves && databases && !self.past.failed_over_in(drill) {
            missing.push("no failover was seen since it began".to_owned());
        }
        let report = self.report(now, today);
        let standbys = report.standbys.iter();
        let mut standbys = standbys
            .filter(|standby| !self.past.is_primary(&standby.standby))
            .peekable();
        if standbys.peek().is_none() {
            let none = "every configured standby is a primary now: fail back, or exchange the \
                        regions in the configuration";
            missing.push(none.to_owned());
        }
        let not_ready = standbys.filter(|standby| standby.state != ReadyState::Ready);
        missing
            .extend(not_ready.map(|standby| format!("{} is {}", standby.standby, standby.line())));
        missing
    }

    /// Takes in what is known without a run, and counts what time alone has changed. It is due once
    /// a second.
    pub(super) fn tick(&mut self, now: Instant, today: SystemTime) {
        for standby in &mut self.standbys {
            standby.tick(&self.brief, &self.past, now, today);
        }
        let standbys = self.standbys.iter().enumerate();
        let standings: Vec<_> = standbys
            .map(|(place, standby)| {
                standby.standing(&self.brief, &self.past, self.sight(place, now), now)
            })
            .collect();
        let objective = self.brief.group.objectives.rpo;
        self.ranking.evaluate(&standings, objective, now, today);
    }

    /// Takes in that this daemon's clocks cannot be trusted.
    pub(super) fn tilt(&mut self, jolt: Jolt, now: Instant) {
        self.tilted_until = self.tilted_until.max(Some(jolt.until));
        for standby in &mut self.standbys {
            standby.tilt(jolt, now);
        }
        for reach in &mut self.reaches {
            reach.slept(jolt.slept);
        }
    }

    /// What is to be said at `now`, which is `today` on the wall clock.
    pub fn report(&self, now: Instant, today: SystemTime) -> GroupReport {
        let standbys = self.standbys.iter().enumerate();
        let standbys = standbys.map(|(place, standby)| {
            let sight = self.sight(place, now);
            StandbyReport {
                rank: self.ranking.rank(place),
                ..standby.report(&self.brief, &self.past, sight, now, today)
            }
        });
        GroupReport {
            group: Arc::clone(&self.brief.group.name),
            source_region: Arc::clone(&self.brief.source_region),
            timestamp_seconds: timestamp_seconds(today),
            primary: Arc::clone(&self.brief.group.primary),
            standbys: standbys.collect(),
            ranking: self.ranking.report(),
        }
    }

    /// How the primary is seen, with the standbys for witnesses of which that in `place` counts
    /// most.
    ///
    /// A group fails over as one: where one of its databases is lost, the primary is. A group
    /// without databases has nobody to ask.
    fn sight(&self, place: usize, now: Instant) -> Sight {
        if self.tilted_until.is_some_and(|until| now < until) {
            return Sight::Unclear;
        }
        let databases = self.standbys[place].databases.iter();
        let of_databases = databases
            .map(|database| {
                let reaches = self.reaches[database.probe].states(now);
                sight_of(reaches, self.hearing(database, now))
            })
            .max_by_key(|sight| match sight {
                Sight::Seen => 0,
                Sight::Unclear => 1,
                Sight::OneSided => 2,
                Sight::Unwitnessed => 3,
                Sight::Lost => 4,
            });
        of_databases.unwrap_or_else(|| {
            let reaches = self.reaches.iter().flat_map(|reach| reach.states(now));
            sight_of(reaches, Hearing::Unknown)
        })
    }

    /// Whether the primary of a database is heard: any standby that hears it is enough, and for its
    /// silence the word of the one that is asked about.
    fn hearing(&self, database: &Database, now: Instant) -> Hearing {
        let others = self.standbys.iter().flat_map(|other| &other.databases);
        let mut same = others.filter(|other| other.probe == database.probe);
        if same.any(|other| other.hearing(now) == Hearing::Hears) {
            return Hearing::Hears;
        }
        database.hearing(now)
    }
}

fn part(probe: &Witness, target: TargetKey) -> Option<Part> {
    if probe.primary.contains(&target) {
        return Some(Part::Primary);
    }
    let mut standbys = probe.standbys.iter().enumerate();
    standbys.find_map(|(place, targets)| {
        let nth = targets.iter().position(|of| *of == target)?;
        Some(Part::Standby { place, nth })
    })
}
