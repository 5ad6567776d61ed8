//! What a failover cost: by the daemons, and by the shop's own book.

use std::time::Duration;

use super::super::observe::Failover;
use super::super::regions::Each;
use super::super::shop::Cost;
use super::super::terminal::{Terminal, seconds};

/// How far apart the two may be by when a look and an order happen to be: two looks and a run, and as
/// much again for a host that is busy. It bounds only what is too little; how much is too much is said
/// by when everything happened.
const TOLERANCE: Duration = Duration::from_secs(6);

/// When it happened, by the script's clock.
pub(super) struct Times {
    /// For how long replication carried nothing before the primary was killed.
    pub(super) dark: Duration,
    /// From the begin of that until the daemons had seen the failover.
    pub(super) seen: Duration,
}

/// The largest figures of all daemons.
#[derive(Clone, Copy)]
struct Measured {
    /// Without writes, in seconds.
    closed: f64,
    /// Without an answer to users, in seconds.
    users: f64,
    /// Of which the writes are lost, in seconds.
    lost_time: f64,
    /// How many canaries are lost.
    canaries: u64,
}

/// Says both, and holds the one against the other.
pub(super) fn compare(
    terminal: &Terminal,
    seen: &Each<Failover>,
    cost: &Cost,
    times: &Times,
) -> Result<(), String> {
    let measured = Measured::of(seen);
    let Measured {
        closed,
        users,
        lost_time,
        canaries,
    } = measured;
    terminal.quote(
        "hotspare",
        format_args!("RTO: no writes for {closed:.1} s, users cut off for {users:.1} s"),
    );
    terminal.quote(
        "hotspare",
        format_args!("RPO: {canaries} canaries of {lost_time:.1} s are lost"),
    );
    let (no_order, of) = (seconds(cost.closed), seconds(cost.lost_time));
    terminal.quote(
        "the shop",
        format_args!(
            "no order for {no_order}; {} orders of {of} are lost",
            cost.lost
        ),
    );
    terminal.aside(
        "            (hotspare looks once a second: a time without writes is too long by two looks and a run)",
    );
    if measured.agrees(cost, times) {
        return Ok(());
    }
    let why = "what hotspare measured is not what the failover cost";
    terminal.missed(why);
    Err(why.to_owned())
}

impl Measured {
    fn of(seen: &Each<Failover>) -> Self {
        let most = |figure: fn(&Failover) -> Option<f64>| {
            seen.iter().filter_map(figure).fold(0.0, f64::max)
        };
        let canaries = seen.iter().filter_map(|seen| seen.rpo_writes).max();
        Self {
            closed: most(|seen| Some(seen.rto_write_seconds)),
            users: most(|seen| seen.rto_user_seconds),
            lost_time: most(|seen| seen.rpo_seconds),
            canaries: canaries.unwrap_or_default(),
        }
    }

    fn agrees(self, cost: &Cost, times: &Times) -> bool {
        let between = |figure: f64, least: Duration, most: Duration| {
            let least = least.saturating_sub(TOLERANCE).as_secs_f64();
            (least..=(most + TOLERANCE).as_secs_f64()).contains(&figure)
        };
        between(self.closed, cost.closed, times.seen)
            && between(self.lost_time, cost.lost_time, times.dark)
            && (self.canaries == 0) == (cost.lost == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: Cost = Cost {
        lost: 90,
        lost_time: Duration::from_secs(9),
        closed: Duration::from_secs(14),
    };
    const TIMES: Times = Times {
        dark: Duration::from_secs(9),
        seen: Duration::from_secs(30),
    };
    const MEASURED: Measured = Measured {
        closed: 16.0,
        users: 14.0,
        lost_time: 9.5,
        canaries: 9,
    };

    #[test]
    fn figures_that_are_near_the_truth_agree_with_it() {
        assert!(MEASURED.agrees(&TRUTH, &TIMES));
    }

    #[test]
    fn figures_that_cannot_be_do_not() {
        let wrong = [
            Measured {
                closed: 7.0,
                ..MEASURED
            },
            Measured {
                closed: 37.0,
                ..MEASURED
            },
            Measured {
                lost_time: 2.0,
                ..MEASURED
            },
            Measured {
                lost_time: 16.0,
                ..MEASURED
            },
            Measured {
                canaries: 0,
                ..MEASURED
            },
        ];
        for measured in wrong {
            assert!(!measured.agrees(&TRUTH, &TIMES));
        }
        let none = Cost { lost: 0, ..TRUTH };
        assert!(!MEASURED.agrees(&none, &TIMES));
    }
}
