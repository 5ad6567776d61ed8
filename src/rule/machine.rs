//! What becomes of a condition that holds: an alert that is pending, fires, and is over.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The longest time that is believed to have passed while the daemon did not run: a clock that was
/// set meanwhile must not fire or end an alert, and Prometheus restores its `for` after an hour at
/// most, too. What has to be remembered is kept anew each time that it grew by so much.
const AWAY: Duration = Duration::from_hours(1);

/// For how long a condition has to hold, and to be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// For how long it has to be seen to hold before the alert fires (`for`); zero: it fires at once.
    pub pending: Duration,
    /// For how long it has to be over before the alert is, counted from when it was last seen to
    /// hold (`keep_firing_for`).
    pub keep_firing: Duration,
}

/// One alert, from one look at its condition to the next.
///
/// Where nothing can be said (`None`), nothing changes. A pending alert stays pending, and the time
/// does not count towards `for`: what fires an alert is only time in which the condition was seen to
/// hold at both ends, or the silence of a probe would fire it. A firing alert goes on, also beyond
/// `keep_firing_for`: what ends it is only a look that finds the condition over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// There is no alert.
    #[default]
    Inactive,
    /// The condition holds, but not for long enough yet.
    Pending {
        /// For how long it was seen to hold.
        held: Duration,
        /// The last look, if the condition held then.
        seen: Option<Instant>,
    },
    /// It has held for long enough, and may be over for not long enough.
    Firing {
        /// When the condition was last seen to hold.
        last: Instant,
        /// Whether it was at the last look.
        seen: bool,
    },
}

/// What a look changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alert is pending from now on.
    Pending,
    /// It fires from now on.
    Firing,
    /// It was pending and came to nothing.
    Withdrawn,
    /// It fired and is over.
    Over,
}

/// What a machine has to remember beyond where its alert stands, as of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Timer {
    /// Of a pending alert.
    Pending {
        /// For how long its condition had been seen to hold.
        held_seconds: f64,
        /// Whether it held at the last look.
        seen: bool,
    },
    /// Of a firing alert.
    Firing {
        /// How long ago its condition had been seen to hold.
        last_seconds: f64,
        /// Whether it held at the last look.
        seen: bool,
    },
}

impl Machine {
    /// Takes in a look at the condition, made at `now`, which is not before the last one.
    pub fn step(&mut self, timing: Timing, holds: Option<bool>, now: Instant) -> Option<Change> {
        let firing = Self::Firing {
            last: now,
            seen: true,
        };
        let (next, change) = match (*self, holds) {
            (Self::Inactive, Some(true)) if timing.pending.is_zero() => {
                (firing, Some(Change::Firing))
            }
            (Self::Inactive, Some(true)) => {
                let held = Duration::ZERO;
                let seen = Some(now);
                (Self::Pending { held, seen }, Some(Change::Pending))
            }
            (Self::Inactive, _) => (Self::Inactive, None),
            (Self::Pending { held, seen }, Some(true)) => {
                let more = seen.map(|seen| now.saturating_duration_since(seen));
                let held = held.saturating_add(more.unwrap_or_default());
                if held >= timing.pending {
                    (firing, Some(Change::Firing))
                } else {
                    let seen = Some(now);
                    (Self::Pending { held, seen }, None)
                }
            }
            (Self::Pending { held, .. }, None) => (Self::Pending { held, seen: None }, None),
            (Self::Pending { .. }, Some(false)) => (Self::Inactive, Some(Change::Withdrawn)),
            (Self::Firing { .. }, Some(true)) => (firing, None),
            (Self::Firing { last, .. }, Some(false))
                if now.saturating_duration_since(last) >= timing.keep_firing =>
            {
                (Self::Inactive, Some(Change::Over))
            }
            (Self::Firing { last, .. }, _) => (Self::Firing { last, seen: false }, None),
        };
        *self = next;
        change
    }

    /// Whether the condition held at the last look.
    pub const fn is_seen(&self) -> bool {
        matches!(
            self,
            Self::Pending { seen: Some(_), .. } | Self::Firing { seen: true, .. }
        )
    }

    /// What it has to remember at `now`; `None`: there is no alert.
    pub fn timer(&self, now: Instant) -> Option<Timer> {
        match *self {
            Self::Inactive => None,
            Self::Pending { held, seen } => {
                let more = seen.map(|seen| now.saturating_duration_since(seen));
                Some(Timer::Pending {
                    held_seconds: (held + more.unwrap_or_default()).as_secs_f64(),
                    seen: seen.is_some(),
                })
            }
            Self::Firing { last, seen } => Some(Timer::Firing {
                last_seconds: now.saturating_duration_since(last).as_secs_f64(),
                seen,
            }),
        }
    }

    /// Whether what it has to remember has grown, since a look at `looked`, to another hour: more than
    /// that would not be believed to have passed since it was kept.
    pub fn is_long(&self, before: &Self, looked: Instant, now: Instant) -> bool {
        self.hours(now) > before.hours(looked)
    }

    fn hours(&self, now: Instant) -> u64 {
        let time = match *self {
            Self::Pending { held, .. } => held,
            Self::Firing { last, seen: false } => now.saturating_duration_since(last),
            Self::Inactive | Self::Firing { seen: true, .. } => Duration::ZERO,
        };
        time.as_secs() / AWAY.as_secs()
    }

    /// Whether the daemon was away for longer than is believed.
    pub fn is_away_for_long(away_seconds: f64) -> bool {
        duration(away_seconds) > AWAY
    }

    /// The machine that remembers this, at `now`, after so many seconds by the wall clock.
    ///
    /// While the daemon did not run, a condition that held goes on to be seen to hold, up to an hour:
    /// else one that is restarted again and again would never fire an alert. A look that finds it
    /// still there has to come first. What was over goes on to be over, up to an hour too.
    pub fn restored(timer: Timer, away_seconds: f64, now: Instant) -> Self {
        let away = duration(away_seconds).min(AWAY);
        match timer {
            Timer::Pending { held_seconds, seen } => {
                let away = if seen { away } else { Duration::ZERO };
                Self::Pending {
                    held: duration(held_seconds).saturating_add(away),
                    seen: seen.then_some(now),
                }
            }
            Timer::Firing { last_seconds, seen } => {
                let away = if seen { Duration::ZERO } else { away };
                let ago = duration(last_seconds).saturating_add(away);
                Self::Firing {
                    // No clock goes back further than to the host's start.
                    last: now.checked_sub(ago).unwrap_or(now),
                    seen,
                }
            }
        }
    }
}

/// Nothing for what is no time: negative, or no number.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
