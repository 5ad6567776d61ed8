//! `hotspare probe`: runs a probe of the configuration now, from here, without a daemon.
//!
//! Exit codes: 0 every run succeeded, 1 one failed, 2 none failed and of one nothing is known, since the
//! fault was this host's own.

mod advice;
mod bar;
mod facts;
mod json;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use super::daemons::to_json;
use super::terminal::Ink;
use super::waiting::waiting;
use super::written::{Format, Written, say};
use super::{ConfigArguments, fail, misused};
use crate::config::{Plan, PlannedTarget};
use crate::model::{Sample, duration};
use crate::schedule::{Single, once};

/// No run failed, and of one nothing is known.
const UNKNOWN: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The probe.
    #[arg(value_name = "NAME")]
    name: String,

    /// Only its targets in this region; may be given more than once.
    #[arg(long, value_name = "REGION")]
    to: Vec<String>,

    /// Only the target of this name; may be given more than once.
    #[arg(long, value_name = "TARGET")]
    target: Vec<String>,

    /// How often each target is run.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// From the start of one round to the start of the next.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1s")]
    interval: Duration,

    #[command(flatten)]
    written: Written,

    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) fn probe(arguments: &Arguments, ink: Ink) -> ExitCode {
    let plan = match super::whole_plan(&arguments.config) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let targets = match targets(&plan, arguments) {
        Ok(targets) => targets,
        Err(why) => return misused(&why),
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(&why),
    };
    let one_by_one = arguments.count > 1 && arguments.written.format() == Format::Text;
    let ended = |sample: &Sample| {
        if let Some(target) = plan.target(sample.target).filter(|_| one_by_one) {
            say(&report::line(target, sample, ink));
        }
    };
    let samples = runtime.block_on(Box::pin(run(&targets, arguments, ended)));
    tell(&plan, &targets, &samples, arguments, ink)
}

/// The targets that are asked for. The error says what there is instead.
fn targets<'a>(plan: &'a Plan, arguments: &Arguments) -> Result<Vec<&'a PlannedTarget>, String> {
    let name = &*arguments.name;
    let Some(probe) = plan.probes.iter().find(|probe| *probe.name == *name) else {
        let known: Vec<_> = plan.probes.iter().map(|probe| &*probe.name).collect();
        return Err(none("probe", name, &known));
    };
    if !probe.from.contains(&plan.region) {
        let (from, here) = (probe.from.join(", "), &plan.region);
        return Err(format!(
            "the probe {name} runs from {from} only, and this is {here}: with --region it is run as if \
             from there"
        ));
    }
    let targets = plan.targets.iter().filter(|of| *of.target.probe == *name);
    let all: Vec<_> = targets.collect();
    let regions: Vec<_> = all.iter().map(|of| &*of.target.target_region).collect();
    let names: Vec<_> = all.iter().map(|of| &*of.target.name).collect();
    for (what, asked, known) in [
        ("region with a target", &arguments.to, &regions),
        ("target", &arguments.target, &names),
    ] {
        if let Some(unknown) = asked.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(none(what, unknown, known));
        }
    }
    let chosen =
        |asked: &[String], name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let chosen: Vec<_> = all
        .iter()
        .copied()
        .filter(|of| chosen(&arguments.to, &of.target.target_region))
        .filter(|of| chosen(&arguments.target, &of.target.name))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no target of the probe {name} is asked for"));
    }
    Ok(chosen)
}

fn none(what: &str, name: &str, known: &[&str]) -> String {
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    match &*known {
        [] => format!("there is no {what} {name}, and no other"),
        known => format!("there is no {what} {name}; there are: {}", known.join(", ")),
    }
}

/// Runs the targets, as often as asked for or until an interrupt. The samples are in the order in which
/// they came.
async fn run(
    targets: &[&PlannedTarget],
    arguments: &Arguments,
    ended: impl Fn(&Sample),
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let rounds = async {
        let mut next = Instant::now();
        for _ in 0..arguments.count {
            sleep_until(next).await;
            next = Instant::now() + arguments.interval;
            let singles = targets
                .iter()
                .map(|of| -> Single { (of.key, Arc::clone(&of.probe), of.timeout) });
            let round = once(singles.collect(), |sample| {
                ended(&sample);
                samples.push(sample);
            });
            round.await;
        }
    };
    if arguments.count == 1 {
        waiting("probing", rounds).await;
    } else {
        tokio::select! {
            () = rounds => {}
            // What there is by then is told.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    samples
}

fn tell(
    plan: &Plan,
    targets: &[&PlannedTarget],
    samples: &[Sample],
    arguments: &Arguments,
    ink: Ink,
) -> ExitCode {
    match arguments.written.format() {
        Format::Json => match to_json(&json::runs(plan, &arguments.name, samples)) {
            Ok(text) => say(&text),
            Err(failed) => return failed.tell(),
        },
        Format::Text if arguments.count == 1 => {
            let blocks = targets.iter().filter_map(|target| {
                let mut samples = samples.iter();
                let sample = samples.find(|sample| sample.target == target.key)?;
                Some(report::block(target, sample, ink))
            });
            say(&blocks.collect::<Vec<_>>().join("\n"));
        }
        Format::Text => say(&report::summary(targets, samples, ink)),
    }
    code(samples)
}

/// A failure wins over what is not known.
fn code(samples: &[Sample]) -> ExitCode {
    let failures = samples.iter().filter_map(|s| s.outcome.as_ref().err());
    let mut own: Vec<_> = failures.map(|failure| failure.reason.is_own()).collect();
    own.sort_unstable();
    match own.first() {
        None if samples.is_empty() => ExitCode::from(UNKNOWN),
        None => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        Some(true) => ExitCode::from(UNKNOWN),
    }
}
