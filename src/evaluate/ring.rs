//! When the primary was first seen beyond a position: lag in seconds without writing anything.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::Position;

/// Moves of the primary that are kept. Beyond it, the older half is thinned out: a lag of hours need
/// not be known to the interval.
const CAPACITY: usize = 1024;
/// Parts of positions that are kept: some 20 MB, and more than one position can have, as an answer
/// has at most a megabyte. Only a server that sends a huge position which is all new at every look
/// comes so far.
const MAX_PARTS: usize = 1 << 18;

/// What the primary had when, on this daemon's clock.
///
/// The first entry stands for everything before it: of what was there when the daemon came, no one
/// knows since when; nor of what came while the primary was not seen.
#[derive(Debug)]
pub(super) struct Ring {
    /// The longest time between two looks at the primary in which nothing counts as missed.
    gap: Duration,
    moves: VecDeque<Move>,
    newest: Option<Position>,
    /// When the last look began.
    looked: Option<Instant>,
}

/// Something that was new in the primary at a look.
#[derive(Debug)]
struct Move {
    /// Before the question was sent.
    at: Instant,
    /// What was new.
    news: Position,
    /// Whether it came while nobody looked, nobody knows when: as what was there at first.
    unseen: bool,
}

impl Ring {
    /// Nothing seen yet. The primary is watched while its looks are at most `gap` apart.
    pub(super) fn new(gap: Duration) -> Self {
        Self {
            gap,
            moves: VecDeque::new(),
            newest: None,
            looked: None,
        }
    }

    /// Notes what the primary had at a look that began at `at`. Where nothing is new, nothing grows.
    pub(super) fn note(&mut self, at: Instant, position: &Position) {
        let last = self.looked.replace(at);
        if self.newest.as_ref() == Some(position) {
            return;
        }
        let watched = last.is_some_and(|last| at.saturating_duration_since(last) <= self.gap);
        let (news, unseen) = match &self.newest {
            Some(before) if position.covers(before) == Some(true) => {
                (position.since(before), !watched)
            }
            // Another history: what was noted of the one before says nothing any more.
            _ => {
                self.moves.clear();
                (position.clone(), true)
            }
        };
        self.newest = Some(position.clone());
        self.moves.push_back(Move { at, news, unseen });
        while self.moves.len() > CAPACITY || (self.moves.len() > 1 && self.parts() > MAX_PARTS) {
            self.thin();
        }
    }

    fn parts(&self) -> usize {
        self.moves.iter().map(|one| one.news.parts()).sum()
    }

    /// How long ago, at `now`, the primary was first seen with something that `applied` lacks; zero
    /// if that was never. `None`: the primary was not seen yet, or cannot be compared.
    pub(super) fn lag(&self, applied: &Position, now: Instant) -> Option<Duration> {
        self.newest.as_ref()?.covers(applied)?;
        for Move { at, news, .. } in &self.moves {
            if !applied.covers(news)? {
                return Some(now.saturating_duration_since(*at));
            }
        }
        Some(Duration::ZERO)
    }

    /// Whether the first thing that `applied` lacks came while nobody looked at the primary: its lag
    /// is then at least what [`Self::lag`] tells, and nobody knows how much more.
    pub(super) fn lags_since_before(&self, applied: &Position) -> bool {
        let mut moves = self.moves.iter();
        let missing = moves.find(|one| applied.covers(&one.news) == Some(false));
        missing.is_some_and(|missing| missing.unseen)
    }

    /// Forgets what every one of the standbys has, but for the newest of it: a standby may lose it
    /// again.
    pub(super) fn forget(&mut self, standbys: &[&Position]) {
        while self.moves.len() > 1
            && let Some(oldest) = self.moves.front()
        {
            if !standbys
                .iter()
                .all(|applied| applied.covers(&oldest.news) == Some(true))
            {
                return;
            }
            self.moves.pop_front();
        }
    }

    /// Joins every two moves of the older half into the earlier one's time and the later one's place,
    /// so that a lag is never told shorter than it is.
    fn thin(&mut self) {
        let old = self.moves.len() / 2;
        let mut kept = VecDeque::with_capacity(CAPACITY);
        let mut moves = std::mem::take(&mut self.moves).into_iter().enumerate();
        while let Some((index, first)) = moves.next() {
            let second = (index < old).then(|| moves.next()).flatten();
            match second {
                Some((_, second)) => kept.push_back(Move {
                    at: first.at,
                    news: joined(first.news, second.news),
                    unseen: first.unseen,
                }),
                None => kept.push_back(first),
            }
        }
        self.moves = kept;
    }
}

/// Both pieces of news as one.
fn joined(first: Position, second: Position) -> Position {
    match (first, second) {
        (Position::Gtids(first), Position::Gtids(second)) => Position::Gtids(first.union(&second)),
        // The later one covers the earlier.
        (_, second) => second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_standby_that_has_everything_has_no_lag_however_idle_the_primary_is() {
        let (mut ring, start) = (Ring::new(secs(60)), start());
        assert_eq!(ring.lag(&Position::Lsn(5), start), None, "no primary seen");
        for look in 0..1_000 {
            ring.note(start + secs(look), &Position::Lsn(100));
        }
        assert_eq!(ring.moves.len(), 1);
        assert_eq!(
            ring.lag(&Position::Lsn(100), start + secs(1_000)),
            Some(secs(0))
        );
        assert_eq!(
            ring.lag(&Position::Offset(100), start),
            None,
            "not comparable"
        );
    }

    #[test]
    fn lag_counts_from_the_first_move_that_is_missing() {
        let (mut ring, start) = (Ring::new(secs(60)), start());
        for look in 0..10 {
            ring.note(start + secs(10 * look), &Position::Lsn(100 * look));
        }
        let now = start + secs(100);
        assert_eq!(ring.lag(&Position::Lsn(250), now), Some(secs(70)));
        assert_eq!(ring.lag(&Position::Lsn(300), now), Some(secs(60)));
        assert_eq!(ring.lag(&Position::Lsn(900), now), Some(secs(0)));
        ring.forget(&[&Position::Lsn(400), &Position::Lsn(700)]);
        assert_eq!(ring.moves.len(), 5, "nobody lacks the others");
        assert_eq!(ring.lag(&Position::Lsn(400), now), Some(secs(50)));
    }

    #[test]
    fn another_history_begins_anew() {
        let (mut ring, start) = (Ring::new(secs(60)), start());
        ring.note(start, &Position::Lsn(100));
        ring.note(start + secs(10), &Position::Lsn(200));
        ring.note(start + secs(20), &Position::Lsn(50));
        assert_eq!(ring.moves.len(), 1);
        let now = start + secs(25);
        assert_eq!(ring.lag(&Position::Lsn(40), now), Some(secs(5)));
    }

    #[test]
    fn a_long_lag_is_never_told_shorter_than_it_is() {
        let (mut ring, start) = (Ring::new(secs(60)), start());
        let looks = 5_000;
        for look in 0..looks {
            ring.note(start + secs(look), &Position::Lsn(look));
        }
        assert!(ring.moves.len() <= CAPACITY);
        let now = start + secs(looks);
        for applied in [0, 1, 77, 2_500, 4_990] {
            let told = ring.lag(&Position::Lsn(applied), now).expect("a lag");
            let true_lag = secs(looks - applied - 1);
            assert!(told >= true_lag, "{applied}: {told:?} for {true_lag:?}");
            assert!(
                told <= true_lag * 2 + secs(1),
                "{applied}: {told:?} for {true_lag:?}"
            );
        }
    }
    /// A server may say that it has a hundred thousand servers' transactions, and new ones at every
    /// look.
    #[test]
    fn huge_positions_do_not_pile_up() {
        use crate::model::Domains;
        let (mut ring, start) = (Ring::new(secs(60)), start());
        let state: Vec<_> = (0..100_000).map(|server| format!("0-{server}-1")).collect();
        let state = state.join(",");
        let at = |seq: u64| {
            let domains = Domains::of_server("", &format!("0-1-{seq}"), Some(&state));
            Position::Domains(domains.expect("a position"))
        };
        for look in 1..10 {
            ring.note(start + secs(look), &at(look));
            assert!(ring.parts() <= MAX_PARTS, "{look}: {}", ring.parts());
        }
        let lag = ring.lag(&at(8), start + secs(10));
        assert!(lag >= Some(secs(1)), "{lag:?}");
    }
}
