//! What may be written in a file. What is needed but may be missing is an `Option`, so that one
//! missing key does not hide what else is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use ::config::Map;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::Severity;
use crate::model::duration;
use crate::model::ranking::Quantile;
use crate::probe::Check;
use crate::rule::When;

/// The keys of the main file.
pub(super) const MAIN: [&str; 15] = [
    "region",
    "regions",
    "defaults",
    "limits",
    "state_dir",
    "history",
    "heartbeat",
    "peers",
    "include",
    "probes",
    "groups",
    "rules",
    "maintenance",
    "alerting",
    "receivers",
];
/// The keys of an included file.
pub(super) const INCLUDED: [&str; 6] = [
    "regions",
    "probes",
    "groups",
    "rules",
    "maintenance",
    "receivers",
];

/// The keys of a probe with sources of targets.
pub(super) const SOURCES: [&str; 3] = ["targets_file", "targets_http", "targets_dns"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Defaults {
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) interval: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) timeout: Option<Duration>,
    pub(super) objective: Option<String>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) phase_buckets: Option<Vec<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) max_in_flight: Option<i64>,
    pub(super) probe_threads: Option<i64>,
    pub(super) max_targets: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct History {
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) keep: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) step: Option<Duration>,
    pub(super) size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerting {
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) group_wait: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) group_interval: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) repeat_interval: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) max_age: Option<Duration>,
    pub(super) external_url: Option<String>,
    pub(super) watchdog: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Region {
    pub(super) name: Option<String>,
    pub(super) jurisdiction: Option<String>,
    pub(super) daemon: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Probe {
    pub(super) name: Option<String>,
    pub(super) check: Option<Check>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) interval: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) timeout: Option<Duration>,
    pub(super) objective: Option<String>,
    pub(super) from: Option<Vec<String>>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) phase_buckets: Option<Vec<f64>>,
    pub(super) labels: BTreeMap<String, String>,
    /// In the file's order: it is the order of the tables that people see.
    pub(super) targets: Map<String, Targets>,
    /// Each is read by itself, as are those of the other sources.
    pub(super) targets_file: IgnoredAny,
    pub(super) targets_http: IgnoredAny,
    pub(super) targets_dns: IgnoredAny,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) name: Option<String>,
    pub(super) primary: Option<String>,
    pub(super) standbys: Option<Vec<String>>,
    pub(super) probes: Option<Vec<GroupProbe>>,
    pub(super) objectives: Objectives,
    pub(super) jurisdictions: Option<Vec<String>>,
    pub(super) preference: Option<Vec<String>>,
    pub(super) ranking: Ranking,
    pub(super) assume: Assume,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) block_after_failover: Option<Duration>,
    pub(super) user_path: Option<String>,
    /// Each is read by itself, as a [`Hold`].
    pub(super) holds: IgnoredAny,
    /// Each is read by itself, as a [`GroupCheck`].
    pub(super) checks: IgnoredAny,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Maintenance {
    pub(super) name: Option<String>,
    pub(super) starts: Option<String>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) lasts: Option<Duration>,
    pub(super) time_zone: Option<String>,
    #[serde(rename = "match")]
    pub(super) matches: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Objectives {
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) rpo: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) rto: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Ranking {
    pub(super) probe: Option<String>,
    pub(super) quantile: Option<Quantile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Assume {
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) decide: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) promote: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) warm: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Hold {
    pub(super) standby: Option<String>,
    pub(super) reason: Option<String>,
    #[serde(deserialize_with = "moment")]
    pub(super) until: Option<SystemTime>,
}

/// The tuning of a check that comes by itself. Values are text until it is known what they are
/// measured in.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GroupCheck {
    pub(super) probe: Option<String>,
    pub(super) check: Option<String>,
    pub(super) gate: Option<Gate>,
    pub(super) rise: Option<i64>,
    pub(super) fall: Option<i64>,
    pub(super) above: Option<String>,
    pub(super) below: Option<String>,
    pub(super) warn: Option<String>,
    pub(super) quantile: Option<f64>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) over: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    pub(super) name: Option<String>,
    pub(super) when: Option<When>,
    #[serde(rename = "for", deserialize_with = "duration::deserialize_option")]
    pub(super) pending: Option<Duration>,
    #[serde(deserialize_with = "duration::deserialize_option")]
    pub(super) keep_firing_for: Option<Duration>,
    pub(super) severity: Option<Severity>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) depends_on: Option<Vec<String>>,
    pub(super) receivers: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gate {
    Hard,
    Scored,
    Off,
}

/// A moment as RFC 3339 has it: with a date, a time and the offset from UTC.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match OffsetDateTime::parse(&text, &Rfc3339) {
        Ok(moment) => Ok(Some(moment.into())),
        Err(_) => Err(de::Error::custom(format!(
            "`{text}`: expected a moment like 2026-12-01T06:00:00Z or 2026-12-01T08:00:00+02:00"
        ))),
    }
}

/// A probe's name, or a name with more to say.
#[derive(Debug, Default)]
pub(super) struct GroupProbe {
    pub(super) plain: bool,
    pub(super) entry: GroupEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GroupEntry {
    pub(super) name: Option<String>,
    /// By region.
    pub(super) targets: Map<String, String>,
}

/// The targets of one region: an address, or a list.
#[derive(Debug)]
pub(super) enum Targets {
    One(String),
    Many(Vec<Target>),
}

/// An address, or an address with more to say.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) plain: bool,
    pub(super) entry: Entry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    pub(super) variant: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Targets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of targets")
            }

            fn visit_str<E>(self, address: &str) -> Result<Targets, E> {
                Ok(Targets::One(address.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Targets, A::Error> {
                let mut targets = Vec::new();
                while let Some(target) = list.next_element()? {
                    targets.push(target);
                }
                Ok(Targets::Many(targets))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or { name, address, variant, labels }")
            }

            fn visit_str<E>(self, address: &str) -> Result<Target, E> {
                Ok(Target {
                    plain: true,
                    entry: Entry {
                        address: Some(address.to_owned()),
                        ..Entry::default()
                    },
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                Ok(Target {
                    plain: false,
                    entry: Entry::deserialize(MapAccessDeserializer::new(map))?,
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for GroupProbe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = GroupProbe;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a probe's name or { name, targets }")
            }

            fn visit_str<E>(self, name: &str) -> Result<GroupProbe, E> {
                Ok(GroupProbe {
                    plain: true,
                    entry: GroupEntry {
                        name: Some(name.to_owned()),
                        ..GroupEntry::default()
                    },
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GroupProbe, A::Error> {
                Ok(GroupProbe {
                    plain: false,
                    entry: GroupEntry::deserialize(MapAccessDeserializer::new(map))?,
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}
