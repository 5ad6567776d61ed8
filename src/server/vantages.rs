//! What the daemons of other regions say, to be shown beside what this one says. No verdict is made of
//! both: whoever looks sees where they differ.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use super::configured::Configured;
use crate::model::{ReadyState, one_line};

/// They are asked only while somebody has looked for so long at most.
const LOOKED: Duration = Duration::from_secs(30);

/// Values that a line may have. Those of this version have 60.
const VALUES: usize = 1_000;

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

/// What a daemon says, as far as it is about what this configuration has.
#[derive(Debug)]
pub struct Said {
    /// Of the standbys, by group and region.
    pub(super) groups: HashMap<String, HashMap<String, SaidStandby>>,
    /// Of the regions, by probe and name.
    pub(super) matrix: HashMap<String, HashMap<String, SaidRegion>>,
}

/// What it says of a standby.
#[derive(Debug)]
pub(super) struct SaidStandby {
    pub(super) state: ReadyState,
    /// Why, if it is not ready.
    pub(super) why: Option<Box<str>>,
}

/// What it says of a region.
#[derive(Debug, Deserialize)]
pub(super) struct SaidRegion {
    region: String,
    pub(super) down: usize,
    pub(super) unknown: usize,
    pub(super) targets: usize,
    pub(super) median_seconds: Option<f64>,
    pub(super) failure_ratio: Option<f64>,
    pub(super) packet_loss_ratio: Option<f64>,
    #[serde(default, deserialize_with = "line")]
    pub(super) line: Box<[Option<f32>]>,
}

// Of what they answer, what is read. It is as small as what it is read from, about: an answer is one of
// whoever is there, and another daemon's answer may be large.

#[derive(Deserialize)]
struct TheirGroups {
    groups: Vec<TheirGroup>,
}

#[derive(Deserialize)]
struct TheirGroup {
    group: String,
    source_region: String,
    standbys: Vec<TheirStandby>,
}

#[derive(Deserialize)]
struct TheirStandby {
    standby: String,
    #[serde(deserialize_with = "state")]
    state: ReadyState,
    #[serde(default, deserialize_with = "first")]
    reasons: Option<Box<TheirReason>>,
}

#[derive(Deserialize)]
struct TheirReason {
    check: String,
    probe: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct TheirMatrix {
    source_region: String,
    probes: Vec<TheirProbe>,
}

#[derive(Deserialize)]
struct TheirProbe {
    probe: String,
    regions: Vec<SaidRegion>,
}

/// A state that this version does not know is none to rely on.
fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ReadyState, D::Error> {
    let text = String::deserialize(deserializer)?;
    let state = ReadyState::ALL.into_iter().find(|of| of.as_str() == text);
    Ok(state.unwrap_or(ReadyState::Unknown))
}

/// Of a list, the first one.
fn first<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<TheirReason>>, D::Error> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Option<Box<TheirReason>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let first = list.next_element()?;
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    deserializer.deserialize_seq(First)
}

/// The values of a line, of which there are [`VALUES`] at most.
fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[Option<f32>]>, D::Error> {
    struct Line;
    impl<'de> Visitor<'de> for Line {
        type Value = Box<[Option<f32>]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {VALUES} numbers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut line = Vec::new();
            while let Some(value) = list.next_element()? {
                line.push(value);
                if line.len() > VALUES {
                    return Err(A::Error::invalid_length(line.len(), &self));
                }
            }
            Ok(line.into())
        }
    }
    deserializer.deserialize_seq(Line)
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

    /// Nobody looks: what they said by then is nothing to show to whoever looks next.
    pub fn forget(&self) {
        self.lock().all = Arc::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// Reads the answers of `/api/v1/groups` and `/api/v1/matrix`, if there is one, of the daemon of
    /// `region`. The error says what is wrong.
    ///
    /// What this configuration does not have is not kept: it would have no place on a page, and there is
    /// no end to what may be told.
    pub fn read(
        region: &str,
        (groups, matrix): (&[u8], Option<&[u8]>),
        known: &Configured,
    ) -> Result<Self, String> {
        let unread = |error: serde_json::Error| format!("its answer cannot be read: {error}");
        let regions = known.regions.iter().map(|of| &*of.region).collect();
        Ok(Self {
            groups: {
                let groups = serde_json::from_slice(groups).map_err(unread)?;
                said_of_groups(groups, region, known, &regions)?
            },
            matrix: match matrix.map(serde_json::from_slice).transpose() {
                Ok(None) => HashMap::new(),
                Ok(Some(matrix)) => said_of_probes(matrix, region, known, &regions)?,
                Err(error) => return Err(unread(error)),
            },
        })
    }
}

fn said_of_groups(
    said: TheirGroups,
    region: &str,
    known: &Configured,
    regions: &HashSet<&str>,
) -> Result<HashMap<String, HashMap<String, SaidStandby>>, String> {
    let names: HashSet<&str> = known.groups.iter().map(|name| &**name).collect();
    let mut groups = HashMap::new();
    for group in said.groups {
        is_of(region, &group.source_region)?;
        if !names.contains(&*group.group) {
            continue;
        }
        let standbys = group.standbys.into_iter();
        let standbys = standbys.filter(|of| regions.contains(&*of.standby));
        let standbys = standbys.map(|of| {
            let why = of.reasons.map(|first| {
                let reason = first.reason.as_deref().unwrap_or("not known");
                let reason = reason.replace('_', " ");
                one_line(&format!("{} {}: {reason}", first.probe, first.check))
            });
            (
                of.standby,
                SaidStandby {
                    state: of.state,
                    why,
                },
            )
        });
        groups.insert(group.group, standbys.collect());
    }
    Ok(groups)
}

fn said_of_probes(
    said: TheirMatrix,
    region: &str,
    known: &Configured,
    regions: &HashSet<&str>,
) -> Result<HashMap<String, HashMap<String, SaidRegion>>, String> {
    is_of(region, &said.source_region)?;
    let names: HashSet<&str> = known.probes.iter().map(|name| &**name).collect();
    let probes = said.probes.into_iter();
    let probes = probes.filter(|of| names.contains(&*of.probe)).map(|of| {
        let of_regions = of.regions.into_iter();
        let of_regions = of_regions.filter(|of| regions.contains(&*of.region));
        let of_regions = of_regions.map(|of| (of.region.clone(), of));
        (of.probe, of_regions.collect())
    });
    Ok(probes.collect())
}

/// Whether who answers is the daemon of the region: this one, or that of a third region, would be
/// shown as one more that sees the same.
fn is_of(region: &str, source_region: &str) -> Result<(), String> {
    if source_region == region {
        return Ok(());
    }
    let told = one_line(source_region);
    Err(format!("the daemon there is that of the region {told}"))
}

#[cfg(test)]
mod tests {
    use super::super::config::Masked;
    use super::super::configured::RegionReport;
    use super::*;

    fn read(groups: &str, matrix: Option<&str>) -> Result<Said, String> {
        let region = |name: &str| RegionReport {
            region: name.into(),
            daemon: None,
        };
        let known = Configured {
            hash: String::new(),
            regions: ["a", "b", "there"].map(region).to_vec(),
            probes: vec!["p".into()],
            groups: vec!["g".into()],
            targets: Vec::new(),
            config: Masked::new(|| Ok(String::new())),
        };
        let answers = (groups.as_bytes(), matrix.map(str::as_bytes));
        Said::read("there", answers, &known)
    }

    fn groups(groups: &str) -> String {
        format!(r#"{{"groups":[{groups}]}}"#)
    }

    #[test]
    fn what_a_daemon_says_is_read_and_an_unknown_state_is_unknown() {
        let said = groups(
            r#"{"group":"g","source_region":"there","standbys":[
            {"standby":"a","state":"ready"},
            {"standby":"b","state":"splendid","reasons":[
                {"check":"lag","probe":"db","reason":"not_seen"},{"later":1}]}]}"#,
        );
        let said = read(&said, None).expect("good");
        assert_eq!(said.groups["g"]["a"].state, ReadyState::Ready);
        let other = &said.groups["g"]["b"];
        assert_eq!(other.state, ReadyState::Unknown);
        assert_eq!(other.why.as_deref(), Some("db lag: not seen"));
        assert!(read("<html>", None).is_err());
    }

    #[test]
    fn what_this_configuration_does_not_have_is_not_kept() {
        let said = groups(
            r#"{"group":"x","source_region":"there","standbys":[]},
            {"group":"g","source_region":"there","standbys":[
                {"standby":"a","state":"ready"},{"standby":"x","state":"ready"}]}"#,
        );
        let cell = |region: &str| {
            format!(r#"{{"region":"{region}","down":1,"unknown":2,"targets":3,"line":[null,0.5]}}"#)
        };
        let regions = [cell("a"), cell("x"), cell("a")].join(",");
        let matrix = format!(
            r#"{{"source_region":"there","probes":[{{"probe":"p","regions":[{regions}]}},
            {{"probe":"x","regions":[]}}]}}"#
        );
        let said = read(&said, Some(&matrix)).expect("good");
        assert_eq!((said.groups.len(), said.groups["g"].len()), (1, 1));
        assert_eq!((said.matrix.len(), said.matrix["p"].len()), (1, 1));
        assert_eq!(*said.matrix["p"]["a"].line, [None, Some(0.5)]);
    }

    #[test]
    fn what_another_daemon_says_is_refused() {
        let of_this_one = groups(r#"{"group":"x","source_region":"here\u0000","standbys":[]}"#);
        let why = read(&of_this_one, None).expect_err("refused");
        assert_eq!(why, "the daemon there is that of the region here ");
        let matrix = r#"{"source_region":"a","probes":[]}"#;
        assert!(read(&groups(""), Some(matrix)).is_err());
    }

    #[test]
    fn what_a_hostile_daemon_says_is_short_or_refused() {
        let long = "x".repeat(1 << 20);
        let said = groups(&format!(
            r#"{{"group":"g","source_region":"there","standbys":[{{"standby":"a","state":"{long}",
            "reasons":[{{"check":"\u0007\n","probe":"{long}","reason":null}}]}}]}}"#
        ));
        let said = read(&said, None).expect("good");
        let why = said.groups["g"]["a"].why.as_deref().expect("a reason");
        assert!(why.len() <= 256 && !why.contains(char::is_control), "{why}");
        let matrix = |cell: &str| {
            format!(
                r#"{{"source_region":"there","probes":[{{"probe":"p","regions":[{{"region":"a",{cell}}}]}}]}}"#
            )
        };
        let line = vec!["0"; VALUES + 1].join(",");
        let counts = r#""down":0,"unknown":0,"targets":1"#;
        assert!(read(&groups(""), Some(&matrix(counts))).is_ok());
        for wrong in [
            format!(r#"{counts},"line":[{line}]"#),
            format!(r#"{counts},"median_seconds":1e999"#),
            r#""down":-1,"unknown":0,"targets":1"#.to_owned(),
            r#""down":99999999999999999999,"unknown":0,"targets":1"#.to_owned(),
            format!(r#"{counts},"more":{}"#, "[".repeat(1 << 20)),
        ] {
            assert!(read(&groups(""), Some(&matrix(&wrong))).is_err());
        }
        assert!(read(&"[".repeat(1 << 20), None).is_err());
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

    #[test]
    fn what_was_said_is_forgotten_with_whoever_looked() {
        let vantages = Vantages::default();
        vantages.put(vec![Vantage {
            region: "a".into(),
            said: Err("refused".to_owned()),
            timestamp_seconds: 1.0,
        }]);
        vantages.forget();
        assert!(vantages.look().is_empty());
    }
}
