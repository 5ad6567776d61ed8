//! What happened to a group: its failovers and its drills.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{error, info, warn};

use super::user_path::{UserPath, Window};
use crate::model::{
    Drill, DrillKind, DrillRefusal, DrillStart, DrillState, Failover, HoldReport, Objectives,
    PastFigures, Sample, TargetKey, timestamp_seconds,
};
use crate::store::{Entry, Store};

/// Failovers and drills of a group that are kept, the newest of each.
const KEPT: usize = 100;

impl Entry for Failover {
    const TABLE: &'static str = "failovers";

    /// In the order of time. A server without GTIDs names itself alike every time.
    fn id(&self) -> String {
        let (group, at, id) = (&self.group, self.timestamp_seconds, &self.id);
        format!("{group}\u{1f}{at:020.3}\u{1f}{id}")
    }
}

impl Entry for Drill {
    const TABLE: &'static str = "drills";

    fn id(&self) -> String {
        let (group, at, id) = (&self.group, self.start_timestamp_seconds, &self.id);
        format!("{group}\u{1f}{at:020.3}\u{1f}{id}")
    }
}

/// The failovers and drills of a group.
#[derive(Debug)]
pub(super) struct Past {
    group: Arc<str>,
    store: Store,
    /// Oldest first.
    failovers: Vec<Failover>,
    /// Oldest first; only the last one may be open.
    drills: Vec<Drill>,
    /// Those seen by this run of the daemon: as in [`PastFigures`].
    seen: [[u64; 2]; 2],
    /// Where the primary of each database is, by its probe.
    primaries: HashMap<Arc<str>, Arc<str>>,
    path: UserPath,
    /// The failovers of which it is not known yet for how long users could not get through.
    open: Vec<(String, Window)>,
}

impl Past {
    /// A group of which nothing is known yet, and whose users come by these targets.
    pub(super) fn new(group: Arc<str>, path: &[TargetKey]) -> Self {
        Self {
            group,
            store: Store::in_memory(),
            failovers: Vec::new(),
            drills: Vec::new(),
            seen: [[0; 2]; 2],
            primaries: HashMap::new(),
            path: UserPath::new(path),
            open: Vec::new(),
        }
    }

    /// Remembers what the store has, and keeps there what is to come.
    pub(super) fn keep_in(&mut self, store: &Store) {
        self.store = store.clone();
        self.failovers = recall(store, &self.group);
        self.drills = recall(store, &self.group);
        self.forget();
    }

    /// Goes on with what is known, and with the users' path too if that is the same. Where the
    /// primaries are is to be told anew.
    pub(super) fn succeed(&mut self, former: Self, same_path: bool) {
        let path = std::mem::replace(&mut self.path, UserPath::new(&[]));
        *self = former;
        self.primaries.clear();
        if !same_path {
            self.path = path;
            // What the new path saw of them it did not see.
            self.open.clear();
        }
    }

    /// The targets whose runs it wants to see.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetKey> + '_ {
        self.path.targets()
    }

    /// Takes in a run.
    pub(super) fn observe(&mut self, sample: &Sample) {
        self.path.observe(sample);
        if self.open.is_empty() {
            return;
        }
        let open = std::mem::take(&mut self.open);
        for (id, around) in open {
            let longest = self.path.longest(around).map(|time| time.as_secs_f64());
            let known = self.failovers.iter_mut().find(|known| known.id() == id);
            let Some(known) = known else { continue };
            // It only grows: the path does not remember every outage for so long.
            if longest > known.rto_user_seconds {
                known.rto_user_seconds = longest;
                let known = known.clone();
                self.put(&known);
            }
            if !self.path.settled(around) {
                self.open.push((id, around));
            }
        }
    }

    /// Takes in a failover, or what more is known of one.
    pub(super) fn failed_over(&mut self, failover: &Failover, around: Window) {
        let id = failover.id();
        let mut failover = failover.clone();
        let place = self.failovers.iter().position(|known| known.id() == id);
        if let Some(place) = place {
            let known = &self.failovers[place];
            failover.rto_user_seconds = known.rto_user_seconds;
            failover.drill.clone_from(&known.drill);
        } else {
            let at = failover.timestamp_seconds;
            let drill = self.drills.iter().rev().find(|drill| drill.has(at));
            failover.drill = drill.map(|drill| drill.id.clone());
        }
        self.put(&failover);
        self.open.retain(|(open, _)| *open != id);
        if self.path.targets().next().is_some() {
            self.open.push((id, around));
        }
        match place {
            Some(place) => self.failovers[place] = failover,
            None => self.add(failover),
        }
    }

    fn add(&mut self, failover: Failover) {
        warn!(
            id = failover.id,
            group = %failover.group,
            probe = %failover.probe,
            from = %failover.from,
            to = %failover.to,
            planned = failover.planned,
            drill = failover.drill.as_deref().unwrap_or_default(),
            rpo_writes = failover.rpo_writes,
            "failover"
        );
        let drill = usize::from(failover.drill.is_some());
        self.seen[usize::from(failover.planned)][drill] += 1;
        self.failovers.push(failover);
        self.forget();
    }

    /// The primary of the probe's database is there now.
    pub(super) fn primary_is(&mut self, probe: &Arc<str>, region: &Arc<str>) {
        if self.primaries.get(probe) != Some(region) {
            self.primaries.insert(Arc::clone(probe), Arc::clone(region));
        }
    }

    /// Whether a database of the group has its primary in this region now.
    pub(super) fn is_primary(&self, region: &str) -> bool {
        self.primaries.values().any(|known| **known == *region)
    }

    /// Until when a failover to the region is held back for the last one was so short ago.
    pub(super) fn hold(
        &self,
        region: &str,
        block: Duration,
        today: SystemTime,
    ) -> Option<HoldReport> {
        let mut failovers = self.failovers.iter().rev();
        let last = failovers.find(|failover| failover.drill.is_none())?;
        let until = last.timestamp_seconds + block.as_secs_f64();
        let holds = *last.to != *region && timestamp_seconds(today) < until;
        holds.then(|| HoldReport {
            kind: "recent_failover",
            reason: format!("a failover from {} to {}", last.from, last.to).into(),
            expiry_timestamp_seconds: until,
        })
    }

    /// How long each promotion took: for how long nothing could be written where the failover was
    /// planned. In one that was not, that time is also for noticing and deciding.
    pub(super) fn promotions(&self) -> Vec<Duration> {
        let planned = self.failovers.iter().filter(|failover| failover.planned);
        let times = planned.map(|failover| Duration::try_from_secs_f64(failover.rto_write_seconds));
        times.filter_map(Result::ok).collect()
    }

    /// Seconds since a drill last succeeded; `None`: none did.
    pub(super) fn drill_age(&self, today: SystemTime) -> Option<f64> {
        let last = DrillKind::ALL.map(|kind| self.succeeded(kind));
        let last = last.into_iter().flatten().reduce(f64::max)?;
        Some((timestamp_seconds(today) - last).max(0.0))
    }

    fn succeeded(&self, kind: DrillKind) -> Option<f64> {
        let mut drills = self.drills.iter().rev();
        let last =
            drills.find(|drill| drill.kind == kind && drill.state == DrillState::Succeeded)?;
        last.end_timestamp_seconds
    }

    /// Begins a drill.
    pub(super) fn start(
        &mut self,
        order: &DrillStart,
        objectives: Objectives,
        today: SystemTime,
    ) -> Result<Drill, DrillRefusal> {
        fits(order)?;
        if let Some(open) = self.drills.iter().find(|drill| drill.is_open()) {
            // Asked again: the first answer may not have arrived.
            if open.id == order.id && open.kind == order.kind {
                return Ok(open.clone());
            }
            return Err(DrillRefusal::Open(open.id.clone()));
        }
        if self.drills.iter().any(|drill| drill.id == order.id) {
            return Err(DrillRefusal::Taken);
        }
        let start = moment(today);
        let drill = Drill {
            id: order.id.clone(),
            group: Arc::clone(&self.group),
            kind: order.kind,
            note: order.note.clone(),
            start_timestamp_seconds: start,
            deadline_timestamp_seconds: (start + order.for_seconds).round(),
            rpo_objective_seconds: objectives.rpo.map(|rpo| rpo.as_secs_f64()),
            rto_objective_seconds: objectives.rto.map(|rto| rto.as_secs_f64()),
            end_timestamp_seconds: None,
            state: DrillState::Open,
        };
        self.told(&drill);
        self.drills.push(drill.clone());
        self.forget();
        Ok(drill)
    }

    /// The drill under way.
    pub(super) fn open(&self) -> Result<&Drill, DrillRefusal> {
        let mut drills = self.drills.iter();
        drills
            .find(|drill| drill.is_open())
            .ok_or(DrillRefusal::None)
    }

    /// Whether a failover was part of the drill.
    pub(super) fn failed_over_in(&self, drill: &Drill) -> bool {
        let mut failovers = self.failovers.iter();
        failovers.any(|failover| failover.drill.as_deref() == Some(&*drill.id))
    }

    /// Ends the drill under way.
    pub(super) fn end(
        &mut self,
        state: DrillState,
        today: SystemTime,
    ) -> Result<Drill, DrillRefusal> {
        let mut drills = self.drills.iter_mut();
        let open = drills.find(|drill| drill.is_open());
        let open = open.ok_or(DrillRefusal::None)?;
        open.state = state;
        open.end_timestamp_seconds = Some(moment(today));
        let drill = open.clone();
        self.told(&drill);
        Ok(drill)
    }

    fn told(&self, drill: &Drill) {
        let state = match drill.state {
            DrillState::Open => "started",
            DrillState::Succeeded => "succeeded",
            DrillState::Aborted => "aborted",
        };
        let kind = drill.kind.as_str();
        info!(id = drill.id, group = %drill.group, kind, state, "drill");
        self.put(drill);
    }

    /// The failovers, oldest first.
    pub(super) fn failovers(&self) -> &[Failover] {
        &self.failovers
    }

    /// The drills, oldest first.
    pub(super) fn drills(&self) -> &[Drill] {
        &self.drills
    }

    pub(super) fn figures(&self) -> PastFigures {
        let open = self.drills.iter().find(|drill| drill.is_open());
        PastFigures {
            failovers: self.seen,
            last: self.failovers.last().cloned(),
            succeeded: DrillKind::ALL.map(|kind| self.succeeded(kind)),
            open: open.map(|drill| (drill.kind, drill.deadline_timestamp_seconds)),
        }
    }

    fn put<T: Entry>(&self, entry: &T) {
        if let Err(error) = self.store.put(entry) {
            error!(group = %self.group, %error, "what happened is not kept");
        }
    }

    fn forget(&mut self) {
        for old in oldest(&mut self.failovers) {
            self.remove(&old);
        }
        for old in oldest(&mut self.drills) {
            self.remove(&old);
        }
    }

    fn remove<T: Entry>(&self, old: &T) {
        if let Err(error) = self.store.remove::<T>(&old.id()) {
            error!(group = %self.group, %error, "what is old is not forgotten");
        }
    }
}

/// A moment in seconds since 1970, to the millisecond: written as JSON and read again, it is the same.
pub(super) fn moment(at: SystemTime) -> f64 {
    (timestamp_seconds(at) * 1000.0).round() / 1000.0
}

/// What the store has of a group, oldest first.
fn recall<T: Entry>(store: &Store, group: &str) -> Vec<T> {
    let found = store.entries_from::<T>(&format!("{group}\u{1f}"));
    if let Some((_, why)) = found.unreadable.first() {
        error!(
            group,
            table = T::TABLE,
            entries = found.unreadable.len(),
            why,
            "what another version kept cannot be read; it is left as it is"
        );
    }
    found.entries
}

/// Takes out what is more than is kept.
fn oldest<T>(all: &mut Vec<T>) -> Vec<T> {
    let more = all.len().saturating_sub(KEPT);
    all.drain(..more).collect()
}

/// Whether an announcement is as it should be.
fn fits(order: &DrillStart) -> Result<(), DrillRefusal> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if order.id.is_empty() || order.id.len() > Drill::MAX_ID || !order.id.chars().all(word) {
        return Err(DrillRefusal::Bad(
            "an id is 1 to 64 letters, digits, `.`, `_` or `-`",
        ));
    }
    let note = order.note.as_deref().unwrap_or_default();
    if note.len() > Drill::MAX_NOTE || note.contains(char::is_control) {
        return Err(DrillRefusal::Bad("a note is one line of at most 256 bytes"));
    }
    if order.for_seconds.is_nan()
        || order.for_seconds <= 0.0
        || order.for_seconds > Drill::MAX_SECONDS
    {
        return Err(DrillRefusal::Bad("a drill takes up to a week"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
