//! `hotspare notify test`: whether a receiver can be told.
//!
//! Exit codes: 0 it took the test, 1 it did not want it, 2 it could not be asked or did not answer.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::{Ink, Tone, printable};
use super::waiting::waiting;
use super::written::{Format, Written};
use super::{ConfigArguments, USAGE};
use crate::config::{Plan, PlannedReceiver};
use crate::discover::Which;
use crate::model::{Alert, AlertState, Labels};
use crate::notify::{
    Denial, Member, Notification, Notifier, Prepared, Refusal, RefusalReason, Stated,
};

/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a test fires for an Alertmanager.
const LASTS: Duration = Duration::from_mins(5);
/// The receiver did not say that it does not want the test.
const NOT_TOLD: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a test alert to a receiver now, and say what it answered: exit code 0 it was taken, 1 it
    /// was refused, 2 there was no answer.
    Test(TestArguments),
}

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// The receiver's name.
    #[arg(long, value_name = "NAME")]
    receiver: String,

    #[command(flatten)]
    written: Written,
}

pub(super) fn notify(command: &Command, ink: Ink) -> ExitCode {
    let Command::Test(arguments) = command;
    let plan = match super::plan(&arguments.config, Some(Which::Files)) {
        Ok(planned) => planned.plan,
        Err(code) => return code,
    };
    let receivers = &plan.receivers;
    let receiver = receivers
        .iter()
        .find(|receiver| *receiver.name == *arguments.receiver);
    let Some(receiver) = receiver else {
        let names: Vec<_> = receivers.iter().map(|receiver| &*receiver.name).collect();
        let (name, names) = (&arguments.receiver, names.join(", "));
        let _ = writeln!(
            std::io::stderr(),
            "there is no receiver `{name}`; there are: {names}"
        );
        return ExitCode::from(USAGE);
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return super::fail(&why),
    };
    let tried = waiting("waiting for the receiver", test(&plan, receiver));
    let tried = runtime.block_on(tried);
    match arguments.written.format() {
        Format::Text => report(&tried, ink),
        Format::Json => write_json(&receiver.name, &tried),
    }
    code(&tried)
}

async fn test(plan: &Plan, receiver: &PlannedReceiver) -> Result<String, Refusal> {
    let notification = notification(plan, &receiver.name);
    match &receiver.prepared {
        Prepared::Notifier(notifier) => try_out(&**notifier, &notification).await,
        Prepared::Alertmanager(members) => try_out_all(members, &notification).await,
    }
}

/// Each member is told of the alert, which is over by itself after a while.
async fn try_out_all(
    members: &[Arc<dyn Member>],
    notification: &Notification,
) -> Result<String, Refusal> {
    let end_timestamp_seconds = notification.timestamp_seconds + LASTS.as_secs_f64();
    let stated = notification.alerts.iter().map(|alert| Stated {
        fingerprint: alert.fingerprint(),
        alert: Arc::clone(alert),
        end_timestamp_seconds,
    });
    let stated: Vec<_> = stated.collect();
    let external_url = notification.external_url.as_deref();
    let mut took = Vec::new();
    for member in members {
        let told = tokio::time::timeout(PATIENCE, member.state(&stated, external_url)).await;
        match told.unwrap_or_else(|_| Err(Denial::Failed(late()))) {
            Ok(()) => took.push(member.name()),
            Err(Denial::Invalid(refusal) | Denial::Failed(refusal)) => return Err(refusal),
        }
    }
    Ok(took.join(", "))
}

async fn try_out(notifier: &dyn Notifier, notification: &Notification) -> Result<String, Refusal> {
    let tried = tokio::time::timeout(PATIENCE, notifier.try_out(notification)).await;
    tried.unwrap_or_else(|_| Err(late()))
}

fn late() -> Refusal {
    let why = format!("no answer within {PATIENCE:?}");
    Refusal::new(RefusalReason::Timeout, why)
}

fn report(tried: &Result<String, Refusal>, ink: Ink) {
    match tried {
        Ok(answer) => {
            let taken = ink.paint(Tone::Good, "taken");
            let _ = writeln!(std::io::stdout(), "{taken}: {}", printable(answer));
        }
        Err(refusal) => {
            let _ = writeln!(std::io::stderr(), "not taken: {refusal}");
            if let Some(wait) = refusal.retry_after {
                let _ = writeln!(std::io::stderr(), "it asks to wait for {wait:?}");
            }
        }
    }
}

fn write_json(receiver: &str, tried: &Result<String, Refusal>) {
    let refusal = tried.as_ref().err();
    let wait = refusal.and_then(|refusal| refusal.retry_after);
    let whole = json!({
        "receiver": receiver,
        "taken": tried.is_ok(),
        "answer": tried.as_ref().ok(),
        "reason": refusal.map(|refusal| refusal.reason.as_str()),
        "detail": refusal.map(|refusal| &refusal.detail),
        "retry_after_seconds": wait.map(|wait| wait.as_secs_f64()),
    });
    let _ = writeln!(std::io::stdout(), "{whole:#}");
}

fn code(tried: &Result<String, Refusal>) -> ExitCode {
    match tried.as_ref().map_err(|refusal| refusal.reason) {
        Ok(_) => ExitCode::SUCCESS,
        Err(
            RefusalReason::Redirect
            | RefusalReason::Auth
            | RefusalReason::Rejected
            | RefusalReason::RateLimited
            | RefusalReason::Server,
        ) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(NOT_TOLD),
    }
}

/// What nobody can take for an alert.
fn notification(plan: &Plan, receiver: &Arc<str>) -> Notification {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs_f64();
    let texts = |pairs: &[(&str, &str)]| -> Labels {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    };
    let labels = [
        ("alertname", "HotspareTest"),
        ("severity", "info"),
        ("source_region", &*plan.region),
        ("test", "true"),
    ];
    let annotations = [
        (
            "summary",
            "This is a test of hotspare: nothing is wrong, and nothing is to be done.",
        ),
        ("source_region", &*plan.region),
    ];
    let alert = Alert {
        rule: "HotspareTest".into(),
        labels: texts(&labels),
        annotations: texts(&annotations),
        state: AlertState::Firing,
        active_timestamp_seconds: now,
        start_timestamp_seconds: Some(now),
        end_timestamp_seconds: None,
        value: None,
        threshold: None,
        shared: false,
        receivers: None,
        muted: None,
    };
    Notification {
        id: format!("test-{:032x}", fastrand::u128(..)).into(),
        receiver: Arc::clone(receiver),
        group: texts(&[("alertname", "HotspareTest")]),
        alerts: vec![Arc::new(alert)],
        truncated: 0,
        firing: true,
        timestamp_seconds: now,
        source_region: Arc::clone(&plan.region),
        external_url: plan.alerting.external_url.clone(),
    }
}
