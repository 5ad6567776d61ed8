//! The one answer to what several daemons say: a pure function.

use std::process::ExitCode;

use serde::Serialize;

use super::answer::{Answer, Standby};
use crate::model::ReadyState;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Of which group.
    pub(super) group: String,
    /// Of which standby; `None`: whether there is one.
    pub(super) standby: Option<String>,
    /// The score below which a standby is not ready, 0 to 1.
    pub(super) min_score: Option<f64>,
}

/// The answer. Of several that all have to be ready the first in this order counts, of several of
/// which one has to be the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It cannot take over.
    NotReady,
    /// It is not known.
    Unknown,
    /// It can take over.
    Ready,
}

impl Verdict {
    /// How the process ends.
    pub(super) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Ready => 0,
            Self::NotReady => 1,
            Self::Unknown => 2,
        })
    }

    /// The verdict in words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NotReady => "not ready",
            Self::Unknown => "unknown",
            Self::Ready => "ready",
        }
    }
}

/// The answer to the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The answer.
    pub(super) verdict: Verdict,
    /// What all daemons together say of each standby that was asked about.
    pub(super) standbys: Vec<(String, Verdict)>,
}

impl Decision {
    /// The standbys that are ready.
    pub(super) fn ready(&self) -> impl Iterator<Item = &str> {
        let ready = |(_, verdict): &&(String, Verdict)| *verdict == Verdict::Ready;
        self.standbys.iter().filter(ready).map(|(name, _)| &**name)
    }
}

/// Decides by what the daemons answered, or failed to.
///
/// A standby is ready if every daemon says so; without one in the question, one standby of which
/// every daemon says so is enough.
pub(super) fn decide(question: &Question, answers: &[Result<Answer, String>]) -> Decision {
    let regions = regions(question, answers);
    let standbys: Vec<_> = regions
        .into_iter()
        .map(|region| {
            let said = answers.iter().map(|answer| match answer {
                Ok(answer) => said(question, answer.standby(&region).ok()),
                Err(_) => Verdict::Unknown,
            });
            let worst = said.min().unwrap_or(Verdict::Unknown);
            (region, worst)
        })
        .collect();
    let best = standbys.iter().map(|(_, verdict)| *verdict).max();
    Decision {
        verdict: best.unwrap_or(Verdict::Unknown),
        standbys,
    }
}

/// The standbys that are asked about: that one, or all that any daemon tells of.
fn regions(question: &Question, answers: &[Result<Answer, String>]) -> Vec<String> {
    if let Some(region) = &question.standby {
        return vec![region.clone()];
    }
    let mut regions: Vec<String> = Vec::new();
    for standby in answers.iter().flatten().flat_map(|answer| &answer.standbys) {
        if !regions.contains(&standby.region) {
            regions.push(standby.region.clone());
        }
    }
    regions
}

/// What one daemon says of a standby that it may not know.
pub(super) fn said(question: &Question, standby: Option<&Standby>) -> Verdict {
    let Some(standby) = standby else {
        return Verdict::Unknown;
    };
    match standby.state() {
        ReadyState::NotReady | ReadyState::PrimaryLost => Verdict::NotReady,
        ReadyState::Unknown => Verdict::Unknown,
        ReadyState::Ready => match (question.min_score, standby.score_ratio) {
            (None, _) => Verdict::Ready,
            (Some(least), Some(score)) if score >= least => Verdict::Ready,
            (Some(_), Some(_)) => Verdict::NotReady,
            (Some(_), None) => Verdict::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_000_000;

    /// Standbys `s0`, `s1` and so on in these states.
    fn answer(
        question: &Question,
        states: &[&str],
        score: Option<f64>,
        age: f64,
    ) -> Result<Answer, String> {
        let standbys = states.iter().enumerate().map(|(place, state)| {
            json!({ "standby": format!("s{place}"), "state": state, "reasons": [], "score_ratio": score })
        });
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let now = NOW as f64;
        let report = json!({
            "group": "g",
            "source_region": "v",
            "timestamp_seconds": now - age,
            "standbys": standbys.collect::<Vec<_>>(),
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        Answer::read(report.to_string().as_bytes(), question, now)
    }

    fn question(standby: Option<&str>, min_score: Option<f64>) -> Question {
        Question {
            group: "g".to_owned(),
            standby: standby.map(ToOwned::to_owned),
            min_score,
        }
    }

    /// The verdict on what daemons say of `standby`; one that says nothing does not answer.
    fn verdict(standby: Option<&str>, said: &[&[&str]]) -> Verdict {
        let question = question(standby, None);
        let answers: Vec<_> = said
            .iter()
            .map(|states| match states {
                ["silent"] => Err("silent".to_owned()),
                states => answer(&question, states, None, 0.0),
            })
            .collect();
        decide(&question, &answers).verdict
    }

    #[test]
    fn all_daemons_have_to_say_ready_of_the_standby() {
        use Verdict::{NotReady, Ready, Unknown};
        let silent: &[&str] = &["silent"];
        for (said, expected) in [
            (&[] as &[&[&str]], Unknown),
            (&[&["ready"]], Ready),
            (&[&["not_ready"]], NotReady),
            (&[&["primary_lost"]], NotReady),
            (&[&["unknown"]], Unknown),
            (&[&["some_day"]], Unknown),
            (&[silent], Unknown),
            // It does not know the standby.
            (&[&[]], Unknown),
            (&[&["ready"], &["ready"]], Ready),
            (&[&["ready"], &["not_ready"]], NotReady),
            (&[&["ready"], &["unknown"]], Unknown),
            (&[&["ready"], silent], Unknown),
            (&[&["ready"], &[]], Unknown),
            (&[silent, &["not_ready"], &["ready"]], NotReady),
        ] {
            assert_eq!(verdict(Some("s0"), said), expected, "{said:?}");
        }
    }

    #[test]
    fn without_a_standby_one_that_all_daemons_call_ready_is_enough() {
        use Verdict::{NotReady, Ready, Unknown};
        for (said, expected) in [
            (&[&["not_ready", "ready"] as &[&str]] as &[&[&str]], Ready),
            (&[&["not_ready", "primary_lost"]], NotReady),
            (&[&["not_ready", "unknown"]], Unknown),
            (&[&[]], Unknown),
            (&[&["ready", "not_ready"], &["ready", "not_ready"]], Ready),
            // Each has one, and there is none that both have.
            (
                &[&["ready", "not_ready"], &["not_ready", "ready"]],
                NotReady,
            ),
            (&[&["ready", "ready"], &["not_ready", "unknown"]], Unknown),
            (&[&["ready"], &["silent"]], Unknown),
        ] {
            assert_eq!(verdict(None, said), expected, "{said:?}");
        }
        let question = question(None, None);
        let answers = [answer(&question, &["not_ready", "ready"], None, 0.0)];
        let decision = decide(&question, &answers);
        assert_eq!(decision.ready().collect::<Vec<_>>(), ["s1"]);
    }

    #[test]
    fn a_ready_standby_needs_the_score_that_is_asked_for() {
        for (state, score, expected) in [
            ("ready", Some(0.8), Verdict::Ready),
            ("ready", Some(0.79), Verdict::NotReady),
            ("ready", None, Verdict::Unknown),
            ("not_ready", Some(1.0), Verdict::NotReady),
            ("unknown", Some(1.0), Verdict::Unknown),
            ("unknown", Some(0.0), Verdict::Unknown),
        ] {
            let question = question(Some("s0"), Some(0.8));
            let answers = [answer(&question, &[state], score, 0.0)];
            let decision = decide(&question, &answers);
            assert_eq!(decision.verdict, expected, "{state} {score:?}");
        }
    }

    #[test]
    fn each_verdict_has_a_code_of_its_own_and_none_is_that_of_a_wrong_command_line() {
        for (verdict, code) in [
            (Verdict::Ready, 0),
            (Verdict::NotReady, 1),
            (Verdict::Unknown, 2),
        ] {
            assert_eq!(verdict.exit_code(), ExitCode::from(code));
            assert_ne!(verdict.exit_code(), ExitCode::from(crate::cli::USAGE));
        }
    }

    proptest! {
        #[test]
        fn ready_is_never_said_unless_all_daemons_say_it_of_one_standby_now(
            named in any::<bool>(),
            least in proptest::option::of(0.0..=1.0),
            said in proptest::collection::vec(
                (
                    proptest::collection::vec(
                        prop_oneof![
                            4 => Just("ready"),
                            1 => Just("not_ready"),
                            1 => Just("unknown"),
                            1 => Just("primary_lost"),
                            1 => Just(""),
                        ],
                        0..3,
                    ),
                    proptest::option::of(0.0..=1.0),
                    prop_oneof![8 => -30.0..30.0, 1 => 31.0..1e9, 1 => -1e9..-31.0],
                    prop_oneof![8 => Just(true), 1 => Just(false)],
                ),
                0..4,
            ),
        ) {
            let question = question(named.then_some("s0"), least);
            let answers: Vec<_> = said
                .iter()
                .map(|(states, score, age, answers)| match answers {
                    true => answer(&question, states, *score, *age),
                    false => Err("silent".to_owned()),
                })
                .collect();
            let good = |place: usize| {
                !said.is_empty() && said.iter().all(|(states, score, age, answers)| {
                    let enough = least.is_none_or(|least| score.is_some_and(|s| s >= least));
                    *answers && age.abs() <= 30.0 && enough && states.get(place) == Some(&"ready")
                })
            };
            let expected = if named { good(0) } else { (0..3).any(good) };
            let decision = decide(&question, &answers);
            prop_assert_eq!(decision.verdict == Verdict::Ready, expected);
            prop_assert_eq!(decision.ready().count() > 0, expected);
        }
    }
}
