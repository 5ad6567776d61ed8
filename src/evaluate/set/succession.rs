//! How a set goes on with another configuration.

use super::super::figures;
use super::{Changes, Seat, Set};
use crate::model::{PairFigures, SetFigures, TargetKey};

impl Set {
    /// Takes over from the set as it was before the configuration was loaded anew.
    ///
    /// What was seen of a target goes on, and what was concluded as long as the primary is the one that
    /// it was concluded of. With other members only, it is another set.
    pub(in crate::evaluate) fn succeed(&mut self, former: Self) {
        let places: Vec<_> = former.targets().map(|target| self.place(target)).collect();
        if places.iter().all(Option::is_none) {
            return former.withdraw();
        }
        let primary = former.watch.place();
        let goes_on = primary.is_none_or(|primary| places[primary].is_some());
        let mut lost = false;
        for (seat, place) in former.members.into_iter().zip(&places) {
            if let Some(place) = place {
                self.members[*place].succeed(seat);
            } else {
                lost |= seat.withdraw();
            }
        }
        self.seen = former.seen;
        self.figures = SetFigures {
            canary_acked_seq: former.figures.canary_acked_seq.filter(|_| goes_on),
            ..former.figures
        };
        if goes_on {
            self.primary = former.primary.moved(&places);
            self.watch.succeed(former.watch, &places);
            self.ring = former.ring;
            self.writes = former.writes;
            if let (Some(canary), Some(former)) = (&mut self.canary, former.canary) {
                canary.succeed(former, &places);
                if lost {
                    canary.skip();
                }
            }
        } else {
            self.members.iter_mut().for_each(Seat::begin_anew);
        }
        self.count(&mut Changes::default());
        self.orders();
    }

    /// The first number that none of its canaries may have had. One may be on its way.
    pub(in crate::evaluate) fn next_number(&self) -> u64 {
        let next = self.canary.as_ref().map(|canary| canary.next() + 1);
        next.unwrap_or_default()
    }

    /// Its canaries have this number and higher ones.
    pub(in crate::evaluate) fn number_from(&mut self, number: u64) {
        if let Some(canary) = &mut self.canary {
            canary.number_from(number);
        }
    }

    /// Nobody writes a canary for it any more.
    pub(in crate::evaluate) fn withdraw(&self) {
        for seat in &self.members {
            seat.withdraw();
        }
    }

    /// All its figures as they are, for whoever has not shown them yet.
    pub(in crate::evaluate) fn told(&self) -> Changes {
        let mut changes = Changes {
            set: self.seen.then(|| self.figures.clone()),
            ..Changes::default()
        };
        for place in 0..self.members.len() {
            self.tell(place, &mut changes);
        }
        changes
    }

    /// The target of the last confirmed primary.
    pub(in crate::evaluate) fn primary_target(&self) -> Option<TargetKey> {
        Some(self.members[self.watch.place()?].member.target)
    }

    fn place(&self, target: TargetKey) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|seat| seat.member.target == target)
    }
}

impl Seat {
    fn succeed(&mut self, former: Self) {
        if let (Some(pen), Some(former)) = (&self.member.pen, &former.member.pen) {
            pen.succeed(former);
        }
        self.look = former.look;
        self.before = former.before;
        self.figures = former.figures;
    }

    /// Takes back the order that it has; whether it may have had one.
    fn withdraw(&self) -> bool {
        let pen = self.member.pen.as_ref();
        pen.is_some_and(|pen| {
            pen.order(None);
            true
        })
    }

    /// What it is beside the primary is not known any more.
    fn begin_anew(&mut self) {
        self.before = None;
        self.figures = PairFigures::default();
        if let Some(look) = &self.look {
            figures::one_side(&mut self.figures, look);
        }
    }
}
