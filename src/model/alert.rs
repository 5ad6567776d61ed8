//! An alert: the condition of a rule holds for something, and since when.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names and values that identify an alert, or a group of alerts.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// What identifies an alert: a hash of its labels. It is the one that Prometheus and Alertmanager
/// show (FNV-1a, 64 bits, over the sorted labels), written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of these labels.
    pub fn of(labels: &Labels) -> Self {
        // No label has this byte: it is in no UTF-8.
        const SEPARATOR: u8 = 0xff;
        let texts = labels.iter().flat_map(|(name, value)| [name, value]);
        let bytes = texts.flat_map(|text| text.bytes().chain([SEPARATOR]));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = u64::from_str_radix(text, 16).ok();
        let number = number.filter(|_| text.len() == 16);
        number
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no fingerprint: expected 16 hexadecimal digits"))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where an alert stands. Without an alert, the rule is inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds, but not for long enough yet.
    Pending,
    /// It has held for long enough.
    Firing,
    /// It fired, and is over. It is kept until everybody was told.
    Resolved,
}

impl AlertState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Firing, Self::Resolved];

    /// The value of the label `state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// How urgent an alert is, as the value of the label `severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody has to get up.
    Critical = 3,
    /// Somebody has to look at it, when there is time.
    Warning = 2,
    /// Good to know.
    Info = 1,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The value of the label `severity`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Why nobody is told that an alert fires. That it is over is always told to who knows that it fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "name", rename_all = "snake_case")]
pub enum Mute {
    /// A maintenance window of this name is open.
    Maintenance(Arc<str>),
    /// A silence with this id.
    Silence(Arc<str>),
    /// An alert of this rule, on which its own depends, fires for the same thing.
    Dependency(Arc<str>),
}

/// A rule's condition that holds, or held, for one thing. Moments are seconds of the wall clock since
/// 1970; which moment comes first is never judged by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The rule, also the label `alertname`.
    pub rule: Arc<str>,
    /// What identifies the alert.
    pub labels: Labels,
    /// What it says to people, as of its last change of state.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// Where it stands.
    pub state: AlertState,
    /// Since when the condition holds.
    pub active_timestamp_seconds: f64,
    /// When it began to fire; `None` while pending. Together with the fingerprint, this names one
    /// *episode*: no two of an alert begin at the same millisecond.
    pub start_timestamp_seconds: Option<f64>,
    /// When it was over; `None` before.
    pub end_timestamp_seconds: Option<f64>,
    /// What was measured when it last changed its state, in the rule's unit.
    pub value: Option<f64>,
    /// From which value on the condition holds.
    pub threshold: Option<f64>,
    /// Whether every vantage that sees the same states it with the same labels.
    pub shared: bool,
    /// The receivers that are told; `None`: all.
    pub receivers: Option<Vec<Arc<str>>>,
    /// Why nobody is told that it fires.
    #[serde(default)]
    pub muted: Option<Mute>,
}

impl Alert {
    /// What identifies it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }

    /// How urgent it is; `None` if it does not say so as rules do.
    pub fn severity(&self) -> Option<Severity> {
        let label = self.labels.get("severity")?;
        let mut all = Severity::ALL.into_iter();
        all.find(|severity| severity.as_str() == &**label)
    }

    /// Whether the receiver is one of those that are told.
    pub fn is_for(&self, receiver: &str) -> bool {
        let named = self.receivers.as_ref();
        named.is_none_or(|named| named.iter().any(|name| **name == *receiver))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value is what Alertmanager 0.25 shows for these labels.
    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            let pairs = pairs.iter();
            pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
        };
        assert_eq!(
            Fingerprint::of(&Labels::new()).to_string(),
            "cbf29ce484222325"
        );
        let one = labels(&[("alertname", "A"), ("severity", "critical")]);
        let other = labels(&[("alertname", "Aseverity"), ("", "critical")]);
        assert_ne!(Fingerprint::of(&one), Fingerprint::of(&other));
        assert_eq!(Fingerprint::of(&one).to_string(), "b807e636403824b5");
        let text = Fingerprint::of(&one).to_string();
        assert_eq!(text.parse(), Ok(Fingerprint::of(&one)));
        assert!("12".parse::<Fingerprint>().is_err());
    }
}
