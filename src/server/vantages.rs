//! What the daemons of other regions say, to be shown beside what this one says. No verdict is made of
//! both: whoever looks sees where they differ.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::model::ReadyState;

/// They are asked only while somebody has looked for so long at most.
const LOOKED: Duration = Duration::from_secs(30);

/// The other vantages, as they were last asked.
#[derive(Debug, Default)]
pub struct Vantages {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    looked_at: Option<Instant>,
    all: Arc<Vec<Vantage>>,
}

/// Another vantage.
#[derive(Clone, Debug)]
pub struct Vantage {
    /// Its region.
    pub region: Arc<str>,
    /// What it says, or why it is not known.
    pub said: Result<Arc<Said>, String>,
    /// Since when it cannot be reached, or when it said so, in seconds since 1970.
    pub timestamp_seconds: f64,
}

/// What a daemon says.
#[derive(Debug)]
pub struct Said {
    /// Of its groups, by name.
    pub(super) groups: HashMap<String, HashMap<String, SaidStandby>>,
    /// Of the regions, by probe.
    pub(super) matrix: HashMap<String, Vec<SaidRegion>>,
}

/// What it says of a standby.
#[derive(Debug)]
pub(super) struct SaidStandby {
    pub(super) state: ReadyState,
    /// Why, if it is not ready.
    pub(super) why: Option<String>,
}

/// What it says of a region.
#[derive(Debug, Deserialize)]
pub(super) struct SaidRegion {
    pub(super) region: String,
    pub(super) down: usize,
    pub(super) unknown: usize,
    pub(super) targets: usize,
    pub(super) median_seconds: Option<f64>,
    pub(super) failure_ratio: Option<f64>,
    pub(super) packet_loss_ratio: Option<f64>,
    #[serde(default)]
    pub(super) line: Vec<Option<f64>>,
}

// Of what they answer, what is read.

#[derive(Deserialize)]
struct TheirGroups {
    groups: Vec<TheirGroup>,
}

#[derive(Deserialize)]
struct TheirGroup {
    group: String,
    standbys: Vec<TheirStandby>,
}

#[derive(Deserialize)]
struct TheirStandby {
    standby: String,
    state: String,
    #[serde(default)]
    reasons: Vec<TheirReason>,
}

#[derive(Deserialize)]
struct TheirReason {
    check: String,
    probe: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct TheirMatrix {
    probes: Vec<TheirProbe>,
}

#[derive(Deserialize)]
struct TheirProbe {
    probe: String,
    regions: Vec<SaidRegion>,
}

impl Vantages {
    /// Somebody looks.
    pub(super) fn look(&self) -> Arc<Vec<Vantage>> {
        let mut inner = self.lock();
        inner.looked_at = Some(Instant::now());
        Arc::clone(&inner.all)
    }

    /// Whether somebody has looked lately.
    pub fn is_looked_at(&self) -> bool {
        let at = self.lock().looked_at;
        at.is_some_and(|at| at.elapsed() < LOOKED)
    }

    /// What they say now. One that could not be reached before still cannot since then.
    pub fn put(&self, mut all: Vec<Vantage>) {
        let mut inner = self.lock();
        for now in all.iter_mut().filter(|now| now.said.is_err()) {
            let before = inner.all.iter().find(|before| before.region == now.region);
            if let Some(before) = before.filter(|before| before.said.is_err()) {
                now.timestamp_seconds = before.timestamp_seconds;
            }
        }
        inner.all = Arc::new(all);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// Reads the answers of `/api/v1/groups` and `/api/v1/matrix`. The error says what is wrong.
    pub fn read(groups: &[u8], matrix: &[u8]) -> Result<Self, String> {
        let unread = |error: serde_json::Error| format!("its answer cannot be read: {error}");
        let groups: TheirGroups = serde_json::from_slice(groups).map_err(unread)?;
        // One of a version that has no such route has no matrix.
        let matrix: Option<TheirMatrix> = serde_json::from_slice(matrix).ok();
        let standby = |of: TheirStandby| {
            let why = of.reasons.first().map(|first| {
                let reason = first.reason.as_deref().unwrap_or("not known");
                format!(
                    "{} {}: {}",
                    first.probe,
                    first.check,
                    reason.replace('_', " ")
                )
            });
            // A state that this version does not know is none to rely on.
            let all = ReadyState::ALL.into_iter();
            let state = all.clone().find(|state| state.as_str() == of.state);
            let state = state.unwrap_or(ReadyState::Unknown);
            (of.standby, SaidStandby { state, why })
        };
        let groups = groups.groups.into_iter().map(|group| {
            let standbys = group.standbys.into_iter().map(standby).collect();
            (group.group, standbys)
        });
        let matrix = matrix.map(|matrix| matrix.probes).unwrap_or_default();
        Ok(Self {
            groups: groups.collect(),
            matrix: matrix
                .into_iter()
                .map(|of| (of.probe, of.regions))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_says_is_read_and_an_unknown_state_is_unknown() {
        let groups = br#"{"groups":[{"group":"g","standbys":[
            {"standby":"a","state":"ready"},
            {"standby":"b","state":"splendid","reasons":[{"check":"lag","probe":"db","reason":"not_seen"}]}]}]}"#;
        let said = Said::read(groups, b"{}").expect("good");
        assert_eq!(said.groups["g"]["a"].state, ReadyState::Ready);
        let other = &said.groups["g"]["b"];
        assert_eq!(other.state, ReadyState::Unknown);
        assert_eq!(other.why.as_deref(), Some("db lag: not seen"));
        assert!(Said::read(b"<html>", b"{}").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stays_away_is_away_since_the_first_time() {
        let vantages = Vantages::default();
        assert!(!vantages.is_looked_at());
        vantages.look();
        assert!(vantages.is_looked_at());
        tokio::time::advance(LOOKED).await;
        assert!(!vantages.is_looked_at());
        let away = |at| Vantage {
            region: "a".into(),
            said: Err("refused".to_owned()),
            timestamp_seconds: at,
        };
        vantages.put(vec![away(1.0)]);
        vantages.put(vec![away(2.0)]);
        assert_eq!(
            vantages.look()[0].timestamp_seconds.to_bits(),
            1.0_f64.to_bits()
        );
    }
}
