//! What is kept of a lane: what the receiver knows, and what it is being told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Alert, AlertState, Fingerprint, Labels};
use crate::store::Entry;

/// The labels whose values make a group.
const BY: [&str; 2] = ["group", "target_region"];

/// What alerts are told together: they share these labels, so that a region that is gone is one
/// message. One that an alert has not is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Group([Arc<str>; 2]);

impl Group {
    /// The group of an alert with these labels.
    pub(super) fn of(labels: &Labels) -> Self {
        Self(BY.map(|name| labels.get(name).map_or_else(|| "".into(), Arc::clone)))
    }

    pub(super) fn labels(&self) -> Labels {
        let values = self.0.iter().map(Arc::clone);
        BY.map(Arc::from).into_iter().zip(values).collect()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([group, target_region]) = self;
        write!(f, "{{group={group:?},target_region={target_region:?}}}")
    }
}

/// When an episode of an alert began, in milliseconds since 1970: it names the episode.
pub(super) type Start = u64;

/// What a receiver knows of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// That it fires.
    Firing(Start),
    /// That it fires, perhaps: it was told, and its answer did not come, or a message of the group
    /// came after it in which nothing fires.
    Perhaps(Start),
    /// That it is over, or that it need not be told of this episode.
    Resolved(Start),
}

impl Known {
    /// What there is to be known of an alert; `None` while it is pending.
    pub(super) fn of(alert: &Alert) -> Option<Self> {
        let start = milliseconds(alert.start_timestamp_seconds?);
        match alert.state {
            AlertState::Pending => None,
            AlertState::Firing => Some(Self::Firing(start)),
            AlertState::Resolved => Some(Self::Resolved(start)),
        }
    }

    pub(super) fn fires(self) -> bool {
        matches!(self, Self::Firing(_) | Self::Perhaps(_))
    }
}

/// A moment as a whole number; before 1970 is 0.
fn milliseconds(seconds: f64) -> Start {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    // A moment of this century as a float is right to less than a microsecond.
    let rounded = (since + Duration::from_micros(500)).as_millis();
    Start::try_from(rounded).unwrap_or(Start::MAX)
}

/// What is known, or told, of many alerts. It is written with the states apart, which takes 33 bytes
/// for an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ByState", into = "ByState")]
pub(super) struct States(pub(super) BTreeMap<Fingerprint, Known>);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ByState {
    firing: BTreeMap<Fingerprint, Start>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    perhaps: BTreeMap<Fingerprint, Start>,
    resolved: BTreeMap<Fingerprint, Start>,
}

impl From<States> for ByState {
    fn from(states: States) -> Self {
        let mut by_state = Self::default();
        for (fingerprint, known) in states.0 {
            let (map, start) = match known {
                Known::Firing(start) => (&mut by_state.firing, start),
                Known::Perhaps(start) => (&mut by_state.perhaps, start),
                Known::Resolved(start) => (&mut by_state.resolved, start),
            };
            map.insert(fingerprint, start);
        }
        by_state
    }
}

impl From<ByState> for States {
    fn from(by_state: ByState) -> Self {
        let with = |map: BTreeMap<Fingerprint, Start>, known: fn(Start) -> Known| {
            map.into_iter()
                .map(move |(fingerprint, start)| (fingerprint, known(start)))
        };
        let all = with(by_state.firing, Known::Firing)
            .chain(with(by_state.perhaps, Known::Perhaps))
            .chain(with(by_state.resolved, Known::Resolved));
        Self(all.collect())
    }
}

/// Something that a receiver is being told. What the alerts say is in the book: as long as none of
/// them has another state, it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// What names it for good.
    pub(super) id: Arc<str>,
    /// When it was made.
    pub(super) made_timestamp_seconds: f64,
    /// When the first of those was made in whose place it came, one after the other.
    pub(super) waits_since_timestamp_seconds: f64,
    /// What it tells; also of alerts for which it has no room.
    pub(super) states: States,
}

/// A lane, as the store has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) receiver: Arc<str>,
    pub(super) group: Group,
    /// What the receiver knows.
    pub(super) told: States,
    /// When the last delivery was made that it took, or that was given up.
    pub(super) notified_timestamp_seconds: Option<f64>,
    /// What it is being told.
    pub(super) delivery: Option<Delivery>,
}

impl Kept {
    pub(super) fn new(receiver: Arc<str>, group: Group) -> Self {
        Self {
            receiver,
            group,
            told: States::default(),
            notified_timestamp_seconds: None,
            delivery: None,
        }
    }
}

impl Entry for Kept {
    const TABLE: &'static str = "lanes";

    fn id(&self) -> String {
        format!("{:?} {}", self.receiver, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_alerts_fit_into_an_entry_and_come_back() {
        let states = |known: fn(Start) -> Known| {
            let all = (0..10_000_u64).map(|n| {
                let fingerprint = Fingerprint(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                (fingerprint, known(1_763_740_800_123 + n))
            });
            States(all.collect())
        };
        let labels = Labels::from([("group".into(), "shop \"1\"".into())]);
        let mut kept = Kept::new("ops".into(), Group::of(&labels));
        kept.told = states(Known::Perhaps);
        kept.delivery = Some(Delivery {
            id: "0123456789abcdef0123456789abcdef".into(),
            made_timestamp_seconds: 1.5,
            waits_since_timestamp_seconds: 0.5,
            states: states(Known::Firing),
        });
        assert_eq!(kept.id(), r#""ops" {group="shop \"1\"",target_region=""}"#);
        let store = crate::store::Store::in_memory();
        store.put(&kept).expect("it fits");
        let length = serde_json::to_string(&kept).expect("JSON").len();
        assert!((600_000..700_000).contains(&length), "{length}");
        assert_eq!(store.entries::<Kept>().entries, [kept]);
    }

    #[test]
    fn an_episode_is_known_by_the_millisecond_of_its_start() {
        for (seconds, start) in [
            (1_763_740_800.123, 1_763_740_800_123),
            (1_763_740_800.999, 1_763_740_800_999),
            (0.001, 1),
            (-5.0, 0),
            (f64::NAN, 0),
        ] {
            assert_eq!(milliseconds(seconds), start, "{seconds}");
        }
    }
}
