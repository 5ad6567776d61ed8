//! Samples and reports as the daemon would make them.

use std::time::{Duration, Instant, SystemTime};

use smallvec::smallvec;

use super::Pace;
use crate::model::ranking::Quantile;
use crate::model::{
    Assumed, Facts, Failure, GroupReport, Laps, Objectives, PingFacts, PlannedDatabase,
    PlannedGroup, PlannedRanking, Promotability, ReadyState, Reason, Reply, Sample, Sight,
    StandbyReport, TargetKey,
};

/// A run each 10 s.
pub(super) const PACE: Pace = Pace {
    interval: Duration::from_secs(10),
    timeout: Duration::from_secs(3),
};

/// An instant so many seconds after the first one that a test uses.
pub(super) fn at(seconds: u32) -> Instant {
    static START: std::sync::LazyLock<Instant> =
        std::sync::LazyLock::new(|| tokio::time::Instant::now().into_std());
    *START + Duration::from_secs(seconds.into())
}

/// The wall clock then, in seconds since 1970.
pub(super) const EPOCH: f64 = 1_800_000_000.0;

fn sample(seconds: u32, outcome: Result<Reply, Failure>) -> Sample {
    let ended = at(seconds);
    Sample {
        target: TargetKey(0),
        due: ended,
        started: ended,
        ended,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + u64::from(seconds)),
        laps: Laps::default(),
        outcome,
    }
}

pub(super) fn with_facts(seconds: u32, facts: Facts) -> Sample {
    let latencies = smallvec![Duration::from_millis(1)];
    sample(seconds, Ok(Reply { latencies, facts }))
}

pub(super) fn ok(seconds: u32, millis: u64) -> Sample {
    let latencies = smallvec![Duration::from_millis(millis)];
    let facts = Facts::default();
    sample(seconds, Ok(Reply { latencies, facts }))
}

pub(super) fn failed(seconds: u32, reason: Reason) -> Sample {
    sample(seconds, Err(Failure::new(reason, "as the test wants it")))
}

pub(super) fn failed_with(seconds: u32, reason: Reason, facts: Facts) -> Sample {
    let failure = Failure::new(reason, "as the test wants it");
    sample(seconds, Err(failure.with_facts(facts)))
}

pub(super) fn packets(sent: u32, received: u32, late: u32, errors: u32) -> Facts {
    Facts {
        ping: Some(PingFacts {
            sent,
            received,
            late,
            errors,
            lost: sent - received - late - errors,
            ..PingFacts::default()
        }),
        ..Facts::default()
    }
}

pub(super) fn standby(region: &str, state: ReadyState, promotion: Promotability) -> StandbyReport {
    let primary_sight = match state {
        ReadyState::PrimaryLost => Sight::Lost,
        _ => Sight::Seen,
    };
    StandbyReport {
        standby: region.into(),
        state,
        primary_sight,
        promotion,
        reasons: Vec::new(),
        more_reasons: 0,
        score_ratio: None,
        score_coverage_ratio: None,
        lag_seconds: None,
        lag_at_least: false,
        rpo_seconds: None,
        rpo_bytes: None,
        rto_seconds: None,
        rto_stages: Vec::new(),
        rank: None,
        holds: Vec::new(),
        last_sight: None,
        checks: Vec::new(),
    }
}

pub(super) fn group(seconds: u32, standbys: Vec<StandbyReport>) -> GroupReport {
    GroupReport {
        group: "shop".into(),
        source_region: "a".into(),
        timestamp_seconds: EPOCH + f64::from(seconds),
        primary: "a".into(),
        standbys,
        ranking: None,
    }
}

/// Settings, read as strictly as the configuration does.
pub(super) fn read<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// A group with one standby, with or without a database.
pub(super) fn planned(name: &str, database: bool) -> PlannedGroup {
    let databases = database.then(|| PlannedDatabase {
        probe: "orders".into(),
        kind: "postgres",
        canary: false,
    });
    PlannedGroup {
        discovered: Vec::new(),
        name: name.into(),
        primary: "a".into(),
        standbys: vec!["b".into()],
        vantages: 1,
        databases: databases.into_iter().collect(),
        objectives: Objectives::default(),
        preference: Vec::new(),
        ranking: PlannedRanking {
            probe: None,
            quantile: Quantile::Median,
            interval: Duration::ZERO,
            targets: Vec::new(),
        },
        holds: Vec::new(),
        assumed: Assumed::default(),
        block: Duration::ZERO,
        user_path: None,
        checks: Vec::new(),
    }
}
