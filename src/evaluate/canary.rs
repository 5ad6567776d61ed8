//! The canary's book: what was ordered, written and seen. All times are of this daemon's clock.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{
    Epoch, Incarnation, LossUnknown, Mark, NotWritten, Order, Pen, SetFigures, Sighting,
    Suppressed, Write, WriteFailure,
};

/// Acknowledged canaries that are remembered while a standby has not shown them: most of a day at
/// the default interval. Beyond it the second oldest goes, so that a lag stays as long as it is.
const REMEMBERED: usize = 8192;

/// A canary that a server acknowledged.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    seq: u64,
    /// How many were acknowledged up to this one.
    nth: u64,
    sent: Instant,
    at: Instant,
}

/// What a look for the canary came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The newest canary of this life of the daemon that the member shows.
    pub(super) seq: Option<u64>,
    /// How long ago the oldest acknowledged one was acknowledged that it does not show.
    pub(super) lag: Option<Duration>,
    /// The seconds of writes that it lacks, at most.
    pub(super) rpo: Option<Duration>,
    /// How long after their acknowledgement canaries were seen that it did not show before.
    pub(super) visible: Vec<Duration>,
}

/// What a new primary lacks of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) writes: u64,
    /// From the acknowledgement of the newest that it has to that of the newest of all.
    pub(super) time: Duration,
}

/// What is known of one member.
#[derive(Debug, Default)]
struct Shown {
    /// The newest canary that it showed; 0 before the first.
    seq: u64,
    /// Whether its last run looked.
    looked: bool,
}

#[derive(Debug)]
pub(super) struct Canary {
    epoch: Epoch,
    interval: Duration,
    next: u64,
    acknowledged: VecDeque<Acknowledged>,
    newest: Option<Acknowledged>,
    /// When the primary was last seen: until then others may have written, whatever became of the
    /// canary.
    lived: Option<Instant>,
    shown: HashMap<usize, Shown>,
}

impl Canary {
    pub(super) fn new(epoch: Epoch, interval: Duration) -> Self {
        Self {
            epoch,
            interval,
            next: 1,
            acknowledged: VecDeque::new(),
            newest: None,
            lived: None,
            shown: HashMap::new(),
        }
    }

    /// The primary was seen at `at`.
    pub(super) fn lives(&mut self, at: Instant) {
        self.lived = Some(at);
    }

    /// A run of a member ended: what became of its order.
    pub(super) fn written(&mut self, pen: &Pen, write: Option<&Write>, figures: &mut SetFigures) {
        let taken = pen.settle();
        let Some(write) = write else {
            // The order was taken and the run did not live to tell. The server may have it: its
            // number is used up.
            if let Some(seq) = taken {
                self.next = self.next.max(seq + 1);
                figures.canary_failures[WriteFailure::NoAnswer as usize] += 1;
            }
            return;
        };
        let failure = match write.outcome {
            Ok(at) => return self.acknowledge(write, at, figures),
            Err(NotWritten::Changed) => {
                figures.canary_suppressed[Suppressed::Changed as usize] += 1;
                return;
            }
            Err(NotWritten::Permission) => WriteFailure::Permission,
            Err(NotWritten::NoTable) => WriteFailure::NoTable,
            Err(NotWritten::Error) => WriteFailure::Error,
        };
        figures.canary_failures[failure as usize] += 1;
    }

    fn acknowledge(&mut self, write: &Write, at: Instant, figures: &mut SetFigures) {
        let acknowledged = Acknowledged {
            seq: write.seq,
            nth: self.newest.map_or(0, |newest| newest.nth) + 1,
            sent: write.sent,
            at,
        };
        self.next = self.next.max(write.seq + 1);
        self.newest = Some(acknowledged);
        self.acknowledged.push_back(acknowledged);
        if self.acknowledged.len() > REMEMBERED {
            self.acknowledged.remove(1);
        }
        figures.canary_writes += 1;
        figures.canary_acked_seq = Some(write.seq);
    }

    /// Gives the order for the next canary, or takes it back.
    pub(super) fn order(&self, pen: &Pen, to: Option<Incarnation>) {
        pen.order(to.map(|to| Order { seq: self.next, to }));
    }

    /// A run of the member in `place` ended.
    pub(super) fn seen(&mut self, place: usize, sighting: Option<&Sighting>) -> Seen {
        let shown = self.shown.entry(place).or_default();
        let looked_before = std::mem::replace(&mut shown.looked, false);
        let Some((sighting, mark)) = sighting.and_then(|s| Some((s, s.mark.ok()?))) else {
            return Seen::default();
        };
        shown.looked = true;
        let before = shown.seq;
        let own = mark.filter(|mark| mark.epoch == self.epoch);
        shown.seq = own.map_or(0, |Mark { seq, .. }| seq);
        let now_shown = shown.seq;
        let visible = self.acknowledged.iter();
        let visible = visible
            .filter(|canary| looked_before && before < canary.seq && canary.seq <= now_shown)
            .map(|canary| sighting.answered.saturating_duration_since(canary.at));
        Seen {
            seq: own.map(|mark| mark.seq),
            lag: self.lag(now_shown, sighting),
            rpo: self.rpo(now_shown, sighting),
            visible: visible.collect(),
        }
    }

    /// A writer that is dead makes no standby late: then there is no lag to tell.
    fn lag(&self, shown: u64, sighting: &Sighting) -> Option<Duration> {
        let newest = self.newest?;
        if sighting.asked.saturating_duration_since(newest.at) > 3 * self.interval {
            return None;
        }
        let missing = self.acknowledged.iter();
        let oldest = missing
            .filter(|canary| canary.seq > shown && canary.at <= sighting.asked)
            .map(|canary| sighting.answered.saturating_duration_since(canary.at))
            .next();
        Some(oldest.unwrap_or_default())
    }

    /// What was written after the newest canary that is shown was sent may be lost: until now while
    /// canaries are acknowledged, until the primary was last seen once they are not.
    fn rpo(&self, shown: u64, sighting: &Sighting) -> Option<Duration> {
        let newest = self.newest?;
        let writing = sighting.asked.saturating_duration_since(newest.at) <= 2 * self.interval;
        let until = if writing {
            sighting.answered
        } else {
            self.lived.map_or(newest.at, |lived| lived.max(newest.at))
        };
        let seen = self
            .acknowledged
            .iter()
            .find(|canary| canary.seq == shown)?;
        Some(until.saturating_duration_since(seen.sent))
    }

    /// When the newest canary was acknowledged, if that was no longer before `until` than canaries may
    /// be apart: one that is older says nothing of what was written then.
    pub(super) fn last(&self, until: Instant) -> Option<Instant> {
        let newest = self.newest?;
        let silence = until.saturating_duration_since(newest.at);
        (silence <= 3 * self.interval).then_some(newest.at)
    }

    /// What a new primary lacks that showed `mark` before anything was written to it.
    pub(super) fn lost(&self, mark: Option<Mark>) -> Result<Lost, LossUnknown> {
        let newest = self.newest.ok_or(LossUnknown::Writer)?;
        let mark = mark.filter(|mark| mark.epoch == self.epoch);
        let mark = mark.ok_or(LossUnknown::OtherLife)?;
        let mut older = self.acknowledged.iter().rev();
        // One that was written and never acknowledged counts for the one before.
        let has = older.find(|canary| canary.seq <= mark.seq);
        let has = has.ok_or(LossUnknown::OtherLife)?;
        Ok(Lost {
            writes: newest.nth - has.nth,
            time: newest.at.saturating_duration_since(has.at),
        })
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The next one has this number, or a higher one.
    pub(super) fn number_from(&mut self, number: u64) {
        self.next = self.next.max(number);
    }

    /// Leaves out a number: whether it was written will never be known.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    /// Goes on with a book, whose members have these places now, if they are still there.
    pub(super) fn succeed(&mut self, mut former: Self, places: &[Option<usize>]) {
        let shown = former.shown.drain();
        let shown = shown.filter_map(|(place, shown)| Some((places[place]?, shown)));
        *self = Self {
            shown: shown.collect(),
            ..former
        };
    }

    /// Forgets canaries that every one of the members has shown, but for the newest of those.
    pub(super) fn forget(&mut self, members: usize) {
        let least = (0..members)
            .map(|place| self.shown.get(&place).map_or(0, |shown| shown.seq))
            .min()
            .unwrap_or_default();
        while self
            .acknowledged
            .get(1)
            .is_some_and(|canary| canary.seq <= least)
        {
            self.acknowledged.pop_front();
        }
    }
}
