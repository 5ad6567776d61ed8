//! What a daemon answered, as far as it can be believed.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::verdict::Question;
use crate::model::{self, Cause, ReadyState, Unit};

/// How far from this host's clock the moment of a judgement may be. Daemons judge when they are
/// asked: anything else comes from a cache, or the clocks differ too much to tell.
const MAX_AGE: Duration = Duration::from_secs(30);

/// A group, as one daemon sees it.
#[derive(Debug)]
pub(super) struct Answer {
    /// Everything that was said, also what this program does not know of.
    pub(super) report: Value,
    /// The daemon's region.
    pub(super) vantage: String,
    /// The group's standbys.
    pub(super) standbys: Vec<Standby>,
}

/// What is read of a group.
#[derive(Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    source_region: String,
    timestamp_seconds: f64,
    standbys: Vec<Standby>,
}

/// What is read of a standby.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Standby {
    /// Its region.
    #[serde(rename = "standby")]
    pub(super) region: String,
    state: String,
    reasons: Vec<Reason>,
    #[serde(default)]
    pub(super) more_reasons: usize,
    pub(super) score_ratio: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Reason {
    check: String,
    #[serde(default)]
    probe: String,
    state: String,
    #[serde(rename = "reason")]
    why: Option<String>,
    value: Option<f64>,
    threshold: Option<f64>,
    unit: Option<String>,
    age_seconds: Option<f64>,
}

impl Answer {
    /// Reads the body of an answer that came at `now`. The error says why nothing is known.
    pub(super) fn read(body: &[u8], question: &Question, now: SystemTime) -> Result<Self, String> {
        let bad = |error: serde_json::Error| format!("the answer is not that of a daemon: {error}");
        let report: Value = serde_json::from_slice(body).map_err(bad)?;
        let group = Group::deserialize(&report).map_err(bad)?;
        if group.name != question.group {
            return Err(format!("the answer is about another group, {}", group.name));
        }
        fresh(group.timestamp_seconds, now)?;
        Ok(Self {
            report,
            vantage: group.source_region,
            standbys: group.standbys,
        })
    }

    /// The standby in that region. One that is told of twice is not believed.
    pub(super) fn standby(&self, region: &str) -> Result<&Standby, String> {
        let mut found = self.standbys.iter().filter(|each| each.region == region);
        match (found.next(), found.next()) {
            (Some(standby), None) => Ok(standby),
            (Some(_), Some(_)) => Err("it is told of twice".to_owned()),
            (None, _) => {
                let known: Vec<_> = self.standbys.iter().map(|each| &*each.region).collect();
                Err(format!(
                    "the group has no such standby; there are: {}",
                    known.join(", ")
                ))
            }
        }
    }
}

impl Standby {
    /// Its state; unknown if it is none that this program knows.
    pub(super) fn state(&self) -> ReadyState {
        let mut known = ReadyState::ALL.into_iter();
        let known = known.find(|known| known.as_str() == self.state);
        known.unwrap_or(ReadyState::Unknown)
    }

    /// Why it is not ready, a line each.
    pub(super) fn reasons(&self) -> impl Iterator<Item = String> {
        self.reasons.iter().map(|reason| reason.cause().to_string())
    }
}

impl Reason {
    fn cause(&self) -> Cause<'_> {
        let mut units = Unit::ALL.into_iter();
        Cause {
            probe: &self.probe,
            check: &self.check,
            why: self.why.as_ref().unwrap_or(&self.state),
            value: self.value,
            threshold: self.threshold,
            unit: units.find(|unit| Some(unit.as_str()) == self.unit.as_deref()),
            age_seconds: self.age_seconds,
        }
    }
}

/// Whether a judgement is of now, give or take.
fn fresh(timestamp_seconds: f64, now: SystemTime) -> Result<(), String> {
    let age = model::timestamp_seconds(now) - timestamp_seconds;
    if age.abs() <= MAX_AGE.as_secs_f64() {
        return Ok(());
    }
    let (seconds, side) = (
        age.abs().round(),
        if age < 0.0 { "after" } else { "before" },
    );
    Err(format!(
        "it was judged {seconds}s {side} now by this host's clock: the answer is old, or a clock is \
         wrong"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn read(body: &str) -> Result<Answer, String> {
        let question = Question {
            group: "g".to_owned(),
            standby: None,
            min_score: None,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        Answer::read(body.as_bytes(), &question, now)
    }

    fn body(timestamp: &str, state: &str) -> String {
        format!(
            r#"{{"group":"g","source_region":"a","timestamp_seconds":{timestamp},"new":[1],
            "standbys":[{{"standby":"b","state":"{state}","reasons":[],"newer":null}}]}}"#
        )
    }

    #[test]
    fn an_answer_is_read_with_fields_that_are_new() {
        let answer = read(&body("1000000.5", "not_ready")).expect("good");
        assert_eq!(answer.vantage, "a");
        let standby = answer.standby("b").expect("there");
        assert_eq!(standby.state(), ReadyState::NotReady);
        assert_eq!(answer.report["new"][0], 1);
        let why = answer.standby("c").expect_err("not there");
        assert_eq!(why, "the group has no such standby; there are: b");
    }

    #[test]
    fn a_state_that_is_new_is_unknown() {
        for state in ["promoting", "Ready", ""] {
            let answer = read(&body("1000000", state)).expect("good");
            let standby = answer.standby("b").expect("there");
            assert_eq!(standby.state(), ReadyState::Unknown, "{state}");
        }
    }

    #[test]
    fn what_is_old_or_from_the_future_is_not_believed() {
        for timestamp in ["999970", "1000030"] {
            assert!(read(&body(timestamp, "ready")).is_ok(), "{timestamp}");
        }
        for (timestamp, why) in [
            ("999969", "it was judged 31s before now"),
            ("1000031", "it was judged 31s after now"),
            ("0", "it was judged 1000000s before now"),
            ("1e308", "it was judged "),
        ] {
            let error = read(&body(timestamp, "ready")).expect_err(timestamp);
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_not_believed() {
        let other = body("1000000", "ready").replace("\"g\"", "\"h\"");
        let untimed = body("null", "ready");
        let stateless = body("1000000", "ready").replace("\"state\"", "\"stat\"");
        for text in [
            "", "ready", "{}", "[]", "null", &other, &untimed, &stateless,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_standby_that_is_told_of_twice_is_not_believed() {
        let one = body("1000000", "ready");
        let standby = r#"{"standby":"b","state":"ready","reasons":[]}"#;
        let two = one.replace("}]}", &format!("}},{standby}]}}"));
        let answer = read(&two).expect("good");
        assert!(answer.standby("b").is_err());
    }
}
