//! Runs as the tests of the history need them.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::model::{Facts, Failure, Laps, Phase, PingFacts, Reason, Reply, Sample, TargetKey};

/// A run of a second that ended so many milliseconds after 1970.
fn sample(millis: u64, outcome: Result<Reply, Failure>) -> Sample {
    let started = Instant::now().into_std();
    Sample {
        target: TargetKey(0),
        due: started,
        started,
        ended: started + Duration::from_secs(1),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
        laps: Laps::default(),
        outcome,
    }
}

/// One that succeeded: two fifths of the time connecting, the rest processing.
pub(super) fn succeeded(millis: u64, took: u64) -> Sample {
    let took = Duration::from_millis(took);
    let reply = Reply {
        latencies: [took].into_iter().collect(),
        facts: Facts::default(),
    };
    let mut sample = sample(millis, Ok(reply));
    sample.laps.add(Phase::Connect, took * 2 / 5);
    sample.laps.add(Phase::Processing, took * 3 / 5);
    sample
}

/// One that failed.
pub(super) fn failed(millis: u64, reason: Reason, detail: &str) -> Sample {
    sample(millis, Err(Failure::new(reason, detail)))
}

/// A ping with packets that took so many milliseconds, and some that were lost.
pub(super) fn ping(millis: u64, took: &[u64], lost: u32) -> Sample {
    let received = u32::try_from(took.len()).expect("few");
    let facts = Facts {
        ping: Some(PingFacts {
            sent: received + lost,
            received,
            lost,
            ..PingFacts::default()
        }),
        ..Facts::default()
    };
    let latencies = took.iter().map(|ms| Duration::from_millis(*ms));
    let reply = Reply {
        latencies: latencies.collect(),
        facts,
    };
    sample(millis, Ok(reply))
}
