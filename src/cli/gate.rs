//! `hotspare gate`: holds a pipeline until a standby can take over.
//!
//! Exit codes: 0 ready, 1 not ready, 2 unknown, which is also whatever goes wrong here.

mod answer;
mod report;
mod verdict;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::time::Instant;

use self::answer::Answer;
use self::verdict::{Decision, Question, Verdict, decide};
use super::ask::{Client, Daemon};
use super::daemons::{Daemons, ask};
use super::terminal::Ink;
use super::written::{Format, Written, say};
use crate::model::duration;

/// From one answer to the next question.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The group.
    #[arg(long, value_name = "NAME")]
    group: String,

    /// The standby that has to be ready; without it, one of the group's.
    #[arg(long, value_name = "REGION")]
    standby: Option<String>,

    /// The score, 0 to 1, below which a standby counts as not ready.
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    min_score: Option<f64>,

    /// Ask once a second until it is ready, for so long at most.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "0")]
    wait: Duration,

    #[command(flatten)]
    daemons: Daemons,

    #[command(flatten)]
    written: Written,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Asks, and says what the answer is.
pub(super) fn gate(arguments: &Arguments, ink: Ink) -> ExitCode {
    let daemons = match arguments.daemons.parse() {
        Ok(daemons) => daemons,
        Err(failed) => return failed.tell(),
    };
    let question = Question {
        group: arguments.group.clone(),
        standby: arguments.standby.clone(),
        min_score: arguments.min_score,
    };
    let asked = ask(async |client| poll(client, &question, &daemons, arguments.wait).await);
    let (answers, decision) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "unknown: {why}");
            return Verdict::Unknown.exit_code();
        }
    };
    let text = match arguments.written.format() {
        Format::Text => report::text(&question, &daemons, &answers, &decision, ink),
        Format::Json => report::json(&question, &daemons, &answers, &decision),
    };
    say(&text);
    decision.verdict.exit_code()
}

/// What each daemon answered, or why nothing is known from it.
type Answers = Vec<Result<Answer, String>>;

/// Asks until the answer is ready or the time is over.
async fn poll(
    client: &Client,
    question: &Question,
    daemons: &[Daemon],
    wait: Duration,
) -> (Answers, Decision) {
    let started = Instant::now();
    loop {
        let asked = daemons.iter().map(|daemon| async {
            let body = client.ask(daemon, &["groups", &question.group]).await?;
            Answer::read(&body, question, SystemTime::now())
        });
        let answers = futures_util::future::join_all(asked).await;
        let decision = decide(question, &answers);
        let left = wait.saturating_sub(started.elapsed());
        if decision.verdict == Verdict::Ready || left.is_zero() {
            return (answers, decision);
        }
        tokio::time::sleep(left.min(POLL)).await;
    }
}
