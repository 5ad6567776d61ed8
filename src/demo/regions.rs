//! The three regions, and how far they are from each other.

use std::time::Duration;

/// A region of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Region {
    EuWest,
    EuCentral,
    UsEast,
}

/// What is the same for each region, in the order of [`Region::ALL`].
pub(super) type Each<T> = [T; Region::ALL.len()];

impl Region {
    /// The one that serves first.
    pub(super) const ALL: [Self; 3] = [Self::EuWest, Self::EuCentral, Self::UsEast];

    /// Its name in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::EuWest => "eu-west",
            Self::EuCentral => "eu-central",
            Self::UsEast => "us-east",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) const fn place(self) -> usize {
        self as usize
    }

    /// How long a packet takes to another region, as between Ireland, Frankfurt and Virginia; within a
    /// region, as between two of its zones.
    pub(super) fn one_way_to(self, other: Self) -> Duration {
        let micros = match (self.min(other), self.max(other)) {
            (one, other) if one == other => 250,
            (Self::EuWest, Self::EuCentral) => 8_000,
            (Self::EuWest, _) => 38_000,
            _ => 45_000,
        };
        Duration::from_micros(micros)
    }
}

impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// How much later than the shortest time packets come: the same of the same seed.
#[derive(Clone)]
pub(super) struct Jitter(fastrand::Rng);

impl Jitter {
    pub(super) fn of(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// What the next packet takes over a path that takes that long: up to a tenth more, and one in
    /// fifty up to half as much again.
    pub(super) fn next(&mut self, shortest: Duration) -> Duration {
        let most = if self.0.u8(..50) == 0 { 0.5 } else { 0.1 };
        shortest.mul_f64(1.0 + most * self.0.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_as_long_back_and_is_short_within_a_region() {
        for one in Region::ALL {
            for other in Region::ALL {
                assert_eq!(one.one_way_to(other), other.one_way_to(one));
                assert_eq!(
                    one == other,
                    one.one_way_to(other) < Duration::from_millis(1)
                );
            }
            assert_eq!(Region::ALL[one.place()], one);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_delays_and_none_is_shorter_than_the_path() {
        let shortest = Duration::from_millis(40);
        let delays = |seed| {
            let mut jitter = Jitter::of(seed);
            (0..500).map(|_| jitter.next(shortest)).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
        assert!(
            delays(7)
                .iter()
                .all(|d| (shortest..=shortest * 3 / 2).contains(d))
        );
        assert!(delays(7).iter().any(|d| *d > shortest * 11 / 10));
    }
}
