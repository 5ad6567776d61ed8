//! Samples as the schedule would make them.

use std::time::{Duration, Instant, SystemTime};

use smallvec::smallvec;

use crate::model::{Facts, Failure, Laps, PingFacts, Reason, Reply, Sample, TargetKey};

/// An instant so many seconds after the first one that a test uses.
pub(super) fn at(seconds: u32) -> Instant {
    static START: std::sync::LazyLock<Instant> =
        std::sync::LazyLock::new(|| tokio::time::Instant::now().into_std());
    *START + Duration::from_hours(1) + Duration::from_secs(seconds.into())
}

/// The wall clock at that instant.
pub(super) fn wall(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + u64::from(seconds))
}

fn sample(ended: Instant, outcome: Result<Reply, Failure>) -> Sample {
    let since = ended.saturating_duration_since(at(0)).as_secs();
    Sample {
        target: TargetKey(0),
        due: ended,
        started: ended,
        ended,
        at: wall(u32::try_from(since).expect("a test of less than a century")),
        laps: Laps::default(),
        outcome,
    }
}

pub(super) fn with_facts(ended: Instant, facts: Facts) -> Sample {
    let reply = Reply {
        latencies: smallvec![Duration::from_millis(1)],
        facts,
    };
    sample(ended, Ok(reply))
}

pub(super) fn ok(ended: Instant, millis: u64) -> Sample {
    let reply = Reply {
        latencies: smallvec![Duration::from_millis(millis)],
        facts: Facts::default(),
    };
    sample(ended, Ok(reply))
}

pub(super) fn failed(ended: Instant, reason: Reason) -> Sample {
    sample(ended, Err(Failure::new(reason, "as the test wants it")))
}

pub(super) fn ping(ended: Instant, sent: u32, received: u32, errors: u32) -> Sample {
    let facts = PingFacts {
        sent,
        received,
        errors,
        lost: sent - received - errors,
        ..PingFacts::default()
    };
    with_facts(
        ended,
        Facts {
            ping: Some(facts),
            ..Facts::default()
        },
    )
}
