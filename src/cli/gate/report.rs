//! The answer as it is printed.

use std::fmt::Write as _;

use serde_json::json;

use super::answer::{Answer, Standby};
use super::verdict::{Decision, Question, Verdict, said};
use crate::cli::ask::Daemon;
use crate::cli::terminal::{Ink, Tone, printable};
use crate::model::ReadyState;

/// A line for every standby as every daemon sees it, with its reasons; the verdict last.
pub(super) fn text(
    question: &Question,
    daemons: &[Daemon],
    answers: &[Result<Answer, String>],
    decision: &Decision,
    ink: Ink,
) -> String {
    let mut text = String::new();
    let group = printable(&question.group);
    for (daemon, answer) in daemons.iter().zip(answers) {
        match answer {
            Ok(answer) => {
                for (region, _) in &decision.standbys {
                    let (state, reasons) = sight(question, answer.standby(region));
                    let (from, region) = (printable(&answer.vantage), printable(region));
                    let state = ink.paint(tone(state), state);
                    let _ = writeln!(text, "{group}/{region}: {state} (seen from {from})");
                    write_reasons(&mut text, &reasons);
                }
            }
            Err(why) => {
                let _ = writeln!(
                    text,
                    "{group}: {} (asked {daemon})",
                    ink.paint(Tone::Doubt, "unknown")
                );
                write_reasons(&mut text, std::slice::from_ref(why));
            }
        }
    }
    let ready: Vec<_> = decision.ready().collect();
    let verdict = decision.verdict.words();
    let verdict = ink.paint(tone(verdict), verdict);
    let _ = match &*ready {
        [] => writeln!(text, "gate: {verdict}"),
        ready => writeln!(text, "gate: {verdict}: {}", printable(&ready.join(", "))),
    };
    text
}

/// What a state or a verdict says, by its words.
fn tone(words: &str) -> Tone {
    match words {
        "ready" => Tone::Good,
        "unknown" => Tone::Doubt,
        _ => Tone::Bad,
    }
}

/// One JSON object with the verdict and everything that the daemons said.
pub(super) fn json(
    question: &Question,
    daemons: &[Daemon],
    answers: &[Result<Answer, String>],
    decision: &Decision,
) -> String {
    let standbys = decision
        .standbys
        .iter()
        .map(|(region, verdict)| json!({ "standby": region, "verdict": verdict }));
    let vantages = daemons.iter().zip(answers).map(|(daemon, answer)| {
        let (report, error) = match answer {
            Ok(answer) => (Some(&answer.report), None),
            Err(why) => (None, Some(why)),
        };
        json!({ "url": daemon.to_string(), "error": error, "report": report })
    });
    let whole = json!({
        "group": question.group,
        "verdict": decision.verdict,
        "standbys": standbys.collect::<Vec<_>>(),
        "vantages": vantages.collect::<Vec<_>>(),
    });
    format!("{whole:#}\n")
}

/// How a daemon sees a standby, and why it is not ready.
fn sight(question: &Question, standby: Result<&Standby, String>) -> (&'static str, Vec<String>) {
    let standby = match standby {
        Ok(standby) => standby,
        Err(why) => return (Verdict::Unknown.words(), vec![why]),
    };
    let mut reasons: Vec<_> = standby.reasons().collect();
    if standby.more_reasons > 0 {
        reasons.push(format!("and {} more", standby.more_reasons));
    }
    let state = standby.state();
    let verdict = said(question, Some(standby));
    if state != ReadyState::Ready || verdict == Verdict::Ready {
        return (state.words(), reasons);
    }
    let least = question.min_score.unwrap_or_default();
    reasons.push(match standby.score_ratio {
        Some(score) => format!("score: {score}, at least {least} is asked for"),
        None => format!("score: not known, at least {least} is asked for"),
    });
    (verdict.words(), reasons)
}

fn write_reasons(text: &mut String, reasons: &[String]) {
    for reason in reasons {
        let _ = writeln!(text, "  {}", printable(&reason.replace('\n', " ")));
    }
}
