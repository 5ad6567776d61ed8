//! The parts of a run's time, and how long each took.

use std::time::Duration;

/// A part of a run's time, in the order in which a run goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// From the name to its addresses.
    Resolve,
    /// From the first packet to an established transport connection.
    Connect,
    /// The TLS handshake, including the protocol's own request for it.
    Tls,
    /// From the start-up message to the server's consent.
    Auth,
    /// From the request being sent to the first byte of the answer.
    Processing,
    /// From the first byte of the answer to its last.
    Transfer,
    /// A query that reads.
    QueryRead,
    /// A statement that writes.
    QueryWrite,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 8] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Auth,
        Self::Processing,
        Self::Transfer,
        Self::QueryRead,
        Self::QueryWrite,
    ];

    /// The value of the label `phase`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Processing => "processing",
            Self::Transfer => "transfer",
            Self::QueryRead => "query_read",
            Self::QueryWrite => "query_write",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which phases a target's runs can go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseSet(u8);

impl PhaseSet {
    /// The set of the given phases.
    pub const fn of(phases: &[Phase]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < phases.len() {
            bits |= phases[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// This set and the given phase, if `included`.
    #[must_use]
    pub const fn with_if(self, included: bool, phase: Phase) -> Self {
        if included {
            Self(self.0 | phase.bit())
        } else {
            self
        }
    }

    /// Whether the phase is in the set.
    pub const fn contains(self, phase: Phase) -> bool {
        self.0 & phase.bit() != 0
    }

    /// How many phases of the set come before the given one.
    pub const fn rank(self, phase: Phase) -> usize {
        (self.0 & (phase.bit() - 1)).count_ones() as usize
    }

    /// The phases in order.
    pub fn iter(self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(move |p| self.contains(*p))
    }

    /// The set as a number, the first phase its lowest bit.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of such a number.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// How many phases there are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set has no phase.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The time that one run spent in each phase that it reached.
///
/// A phase entered twice (a redirect resolves and connects again) holds the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laps {
    spent: [Duration; 8],
    reached: PhaseSet,
}

impl Laps {
    /// Adds time to a phase and marks it reached.
    pub fn add(&mut self, phase: Phase, spent: Duration) {
        self.spent[phase as usize] += spent;
        self.reached = self.reached.with_if(true, phase);
    }

    /// The time spent in the phase; `None` when the run did not finish it.
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        self.reached
            .contains(phase)
            .then(|| self.spent[phase as usize])
    }

    /// The phases that were finished, with their times.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        self.reached.iter().map(|p| (p, self.spent[p as usize]))
    }

    /// The sum of all phases.
    pub fn total(&self) -> Duration {
        self.iter().map(|(_, spent)| spent).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_entered_twice_holds_the_sum_and_others_stay_absent() {
        let mut laps = Laps::default();
        laps.add(Phase::Connect, Duration::from_millis(2));
        laps.add(Phase::Connect, Duration::from_millis(3));
        assert_eq!(laps.get(Phase::Connect), Some(Duration::from_millis(5)));
        assert_eq!(laps.get(Phase::Tls), None);
        assert_eq!(laps.total(), Duration::from_millis(5));
    }

    #[test]
    fn every_phase_has_its_own_bit_and_name() {
        let names: std::collections::HashSet<_> = Phase::ALL.iter().map(|p| p.as_str()).collect();
        assert_eq!(names.len(), Phase::ALL.len());
        assert_eq!(PhaseSet::of(&Phase::ALL).len(), Phase::ALL.len());
    }
}
