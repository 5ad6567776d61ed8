//! Who is the primary, and whether a canary may be written to it.

use super::set::Seat;
use crate::model::{Identity, Incarnation, ReplicationFacts, Role, Suppressed};

/// Looks in a row that make a writable member the primary in place of the known one.
const CONFIRMED: u32 = 2;

/// The member that was found to be the primary.
#[derive(Debug, Default)]
pub(super) struct Primary {
    known: Option<Known>,
    candidate: Option<Candidate>,
}

#[derive(Debug)]
struct Known {
    place: usize,
    as_seen: Incarnation,
    identity: Option<Identity>,
}

/// A writable member that is not the known primary as it was known.
#[derive(Debug)]
struct Candidate {
    place: usize,
    as_seen: Incarnation,
    looks: u32,
}

/// What the look at one member means for the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is no writable primary.
    NotWritable,
    /// It is the primary.
    Primary,
    /// It is writable and must not have a canary.
    Refused(Suppressed),
}

impl Primary {
    /// The place of the known primary.
    pub(super) fn known(&self) -> Option<usize> {
        self.known.as_ref().map(|known| known.place)
    }

    /// Takes in the newest look at the member in `place`.
    ///
    /// The configured primary (place 0) is believed at its first look. Any other, and one that was
    /// seen otherwise since, is the primary after two looks in a row that agree, at which nobody
    /// else was writable.
    pub(super) fn judge(&mut self, place: usize, members: &[Seat]) -> Verdict {
        let Some(look) = members[place].look.as_deref() else {
            self.withdraw(place);
            return Verdict::NotWritable;
        };
        if look.role != Role::Primary || look.writable != Some(true) {
            self.withdraw(place);
            self.depose(place);
            return Verdict::NotWritable;
        }
        if members.iter().filter(|seat| seat.writable()).count() > 1 {
            self.withdraw(place);
            return Verdict::Refused(Suppressed::TwoWritable);
        }
        if self.is_stranger(place, look, members) {
            self.withdraw(place);
            return Verdict::Refused(Suppressed::Identity);
        }
        self.confirm(place, look)
    }

    fn confirm(&mut self, place: usize, look: &ReplicationFacts) -> Verdict {
        let as_seen = look.incarnation();
        let looks = match (&self.known, &mut self.candidate) {
            (Some(known), _) if known.place == place && known.as_seen == as_seen => CONFIRMED,
            (None, None) if place == 0 => CONFIRMED,
            (_, Some(candidate)) if candidate.place == place && candidate.as_seen == as_seen => {
                candidate.looks += 1;
                candidate.looks
            }
            (_, candidate) => {
                *candidate = Some(Candidate {
                    place,
                    as_seen: as_seen.clone(),
                    looks: 1,
                });
                1
            }
        };
        if looks < CONFIRMED {
            return Verdict::Refused(Suppressed::Unconfirmed);
        }
        self.candidate = None;
        self.known = Some(Known {
            place,
            as_seen,
            identity: look.identity.clone(),
        });
        Verdict::Primary
    }

    /// Whether the member contradicts what is known of the cluster: unless the others agree with
    /// it, in which case the whole cluster is another one now.
    fn is_stranger(&self, place: usize, look: &ReplicationFacts, members: &[Seat]) -> bool {
        let others = members
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place);
        let opinions: Vec<bool> = others
            .filter_map(|(_, seat)| super::figures::same_cluster(seat.look.as_deref()?, look))
            .collect();
        if opinions.contains(&false) {
            return !opinions.contains(&true);
        }
        let known = self
            .known
            .as_ref()
            .and_then(|known| known.identity.as_ref());
        let other_system = matches!(
            (known, &look.identity),
            (Some(Identity::System(known)), Some(Identity::System(seen))) if known != seen
        );
        other_system && opinions.is_empty()
    }

    /// The known primary was seen not to be one: from now on it has to be confirmed like any other.
    fn depose(&mut self, place: usize) {
        if self.known() == Some(place) {
            self.candidate = Some(Candidate {
                place,
                as_seen: self
                    .known
                    .take()
                    .map_or_else(Incarnation::default, |known| known.as_seen),
                looks: 0,
            });
        }
    }

    /// The same where the members have these places now, if they are still there.
    pub(super) fn moved(self, places: &[Option<usize>]) -> Self {
        let known = self.known.and_then(|known| {
            let place = places[known.place]?;
            Some(Known { place, ..known })
        });
        let candidate = self.candidate.and_then(|candidate| {
            let place = places[candidate.place]?;
            Some(Candidate { place, ..candidate })
        });
        Self { known, candidate }
    }

    /// A row of looks at the candidate is broken.
    fn withdraw(&mut self, place: usize) {
        if let Some(candidate) = &mut self.candidate
            && candidate.place == place
        {
            candidate.looks = 0;
        }
    }

    /// Whom a canary may be written to, and as whom.
    pub(super) fn may_be_written(&self, members: &[Seat]) -> Option<(usize, Incarnation)> {
        let known = self.known.as_ref()?;
        let look = members[known.place].look.as_deref()?;
        let sole = members.iter().filter(|seat| seat.writable()).count() == 1;
        let as_known = look.writable == Some(true) && look.incarnation() == known.as_seen;
        let stranger = self.is_stranger(known.place, look, members);
        (sole && as_known && !stranger).then(|| (known.place, known.as_seen.clone()))
    }
}
