//! A target's page: how long its runs took over time, in which phases, and why they failed.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::super::State;
use super::draw::{WIDTH, share};
use super::words;
use crate::model::{NoSuch, Outcome, PastRun, PastStep, Phase, PhaseSeconds, SamplesReport, Span};

/// Columns of a picture: longer steps are taken where there would be more.
const COLUMNS: u64 = 96;
/// The longest past that is shown, in seconds: two days.
const SHOWN: u64 = 2 * 86_400;
/// Runs and failures that are listed.
const RUNS: usize = 30;

/// What is told of a target.
#[derive(Serialize)]
pub(super) struct Target {
    probe: Arc<str>,
    kind: &'static str,
    name: Arc<str>,
    source_region: Arc<str>,
    region: Arc<str>,
    class: &'static str,
    says: &'static str,
    last: Option<Run>,
    step: String,
    /// From when on there is something.
    since: Option<f64>,
    /// Those that tell something of the target.
    runs: u64,
    /// None before the first of them.
    failed: Option<f64>,
    failed_class: &'static str,
    lost: Option<f64>,
    heat: Option<Heat>,
    stack: Option<Stack>,
    /// The phases that come up, with what they are drawn with.
    keys: Vec<Key>,
    /// The last runs as bars, oldest first.
    bars: Vec<Bar>,
    bars_top: f64,
    recent: Vec<Run>,
    failures: Vec<Failure>,
    settings: Option<Settings>,
}

/// What the configuration says of it.
#[derive(Serialize)]
struct Settings {
    address: Arc<str>,
    interval: f64,
    timeout: f64,
    groups: Vec<Arc<str>>,
    labels: Vec<(String, String)>,
    /// Its probe as it is configured, without what may be a secret.
    probe: Option<String>,
}

impl Settings {
    fn of(state: &State, probe: &str, target: &str) -> Option<Self> {
        let configured = Arc::clone(&state.configured.borrow());
        let mut targets = configured.targets.iter();
        let of = targets.find(|of| *of.probe == *probe && *of.target == *target)?;
        let config = configured.config.write().ok();
        let config = config.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let probes = config
            .as_ref()
            .and_then(|config| config.get("probes")?.as_array());
        let probe = probes
            .into_iter()
            .flatten()
            .find(|of| of["name"] == probe)
            .cloned();
        // Those of all others of the probe have no place here.
        let probe = probe.map(|mut probe| {
            if let Some(fields) = probe.as_object_mut() {
                fields.remove("targets");
            }
            probe
        });
        Some(Self {
            address: Arc::clone(&of.address),
            interval: of.interval_seconds,
            timeout: of.timeout_seconds,
            groups: of.groups.clone(),
            labels: of.labels.clone().into_iter().collect(),
            probe: probe.and_then(|probe| serde_json::to_string_pretty(&probe).ok()),
        })
    }
}

#[derive(Serialize)]
struct Run {
    at: f64,
    class: &'static str,
    says: &'static str,
    reason: Option<String>,
    duration: f64,
    phases: Vec<(&'static str, f64)>,
}

#[derive(Serialize)]
struct Failure {
    at: f64,
    reason: String,
    phase: Option<String>,
    detail: Box<str>,
    duration: f64,
}

/// Runs by their duration over time: a column for each step, a row for each pair of bounds.
#[derive(Serialize)]
struct Heat {
    rows: usize,
    cells: Vec<Cell>,
    /// Where runs failed.
    failed: Vec<Cell>,
    low: String,
    high: String,
}

#[derive(Serialize)]
struct Cell {
    x: f64,
    y: usize,
    width: f64,
    opacity: f64,
    title: String,
}

/// The mean time in each phase over time.
#[derive(Serialize)]
struct Stack {
    bars: Vec<Bar>,
    high: String,
}

/// Parts on top of each other.
#[derive(Serialize)]
struct Bar {
    x: f64,
    width: f64,
    title: String,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    class: String,
    y: f64,
    height: f64,
}

#[derive(Serialize)]
struct Key {
    class: String,
    name: String,
}

impl Target {
    /// The page of this target at `now`, in seconds since 1970.
    pub(super) fn of(state: &State, probe: &str, target: &str, now: f64) -> Result<Self, NoSuch> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a moment"
        )]
        let from = (now as u64).saturating_sub(SHOWN);
        let span = |step| Span {
            from: Some(from),
            to: None,
            step,
        };
        let mut report = state.history.samples(probe, target, span(None))?;
        let long = report
            .steps
            .first()
            .zip(report.steps.last())
            .map(|(first, last)| last.start_timestamp_seconds - first.start_timestamp_seconds);
        let columns = long.unwrap_or(0) / report.step_seconds.max(1) + 1;
        if columns > COLUMNS {
            let wider = report.step_seconds * columns.div_ceil(COLUMNS);
            report = state.history.samples(probe, target, span(Some(wider)))?;
        }
        let settings = Settings::of(state, probe, target);
        Ok(Self::new(&report, settings, now))
    }

    fn new(report: &SamplesReport, settings: Option<Settings>, now: f64) -> Self {
        let steps = &report.steps;
        let sum = |of: fn(&PastStep) -> u64| steps.iter().map(of).sum::<u64>();
        // What a fault of this host ended tells nothing of the target.
        let (runs, failures) = (
            sum(|step| step.runs.saturating_sub(step.unknown)),
            sum(|step| step.failures),
        );
        let (packets, lost) = (sum(|step| step.packets), sum(|step| step.packets_lost));
        let newest = report.recent.last();
        let past = newest.map(|run| (run.run.outcome, now - run.run.timestamp_seconds));
        let (class, says) = match &settings {
            Some(of) => words::state_now(past, of.interval, of.timeout),
            None => words::state(past.map(|(outcome, _)| outcome)),
        };
        let of_steps = steps.iter().map(|step| &step.phases);
        let of_runs = report.recent.iter().map(|run| &run.phases);
        let keys = keys(of_steps.chain(of_runs));
        let bars_top = report.recent.iter().map(|run| run.run.duration_seconds);
        let bars_top = bars_top.fold(0.0, f64::max);
        Self {
            probe: Arc::clone(&report.probe),
            kind: report.kind,
            name: Arc::clone(&report.target),
            source_region: Arc::clone(&report.source_region),
            region: Arc::clone(&report.target_region),
            class,
            says,
            last: newest.map(Run::of),
            step: words::span(seconds(report.step_seconds)),
            since: steps
                .first()
                .map(|step| seconds(step.start_timestamp_seconds)),
            runs,
            failed: (runs > 0).then(|| seconds(failures) / seconds(runs)),
            failed_class: match (runs, failures) {
                (0, _) => "unknown",
                (_, 0) => "ready",
                _ => "not-ready",
            },
            lost: (packets > 0).then(|| seconds(lost) / seconds(packets)),
            heat: Heat::of(report),
            stack: Stack::of(report),
            keys,
            bars: bars(&report.recent, bars_top),
            bars_top,
            recent: report.recent.iter().rev().take(RUNS).map(Run::of).collect(),
            failures: failures_of(report),
            settings,
        }
    }

    /// What the page's title says.
    pub(super) fn title(&self) -> String {
        format!("{}/{}: {}", self.probe, self.name, self.says)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and moments are far below 2^53"
)]
const fn seconds(whole: u64) -> f64 {
    whole as f64
}

fn failures_of(report: &SamplesReport) -> Vec<Failure> {
    let newest = report.failures.iter().rev().take(RUNS);
    let words = |label: &str| label.replace('_', " ");
    newest
        .map(|of| Failure {
            at: of.timestamp_seconds,
            reason: words(of.reason),
            phase: of.phase.map(words),
            detail: of.detail.clone(),
            duration: of.duration_seconds,
        })
        .collect()
}

impl Run {
    fn of(past: &PastRun) -> Self {
        let (class, says) = match past.run.outcome {
            Outcome::Success => ("ready", "success"),
            Outcome::Failure => ("not-ready", "failure"),
            Outcome::Unknown => ("unknown", "unknown"),
        };
        let phases = past.phases.0.iter();
        Self {
            at: past.run.timestamp_seconds,
            class,
            says,
            reason: past.run.reason.map(|reason| reason.replace('_', " ")),
            duration: past.run.duration_seconds,
            phases: phases
                .map(|(phase, seconds)| (phase.as_str(), *seconds))
                .collect(),
        }
    }
}

/// What draws a phase.
fn class(phase: Phase) -> String {
    format!("p{}", phase as u8)
}

fn keys<'a>(all: impl Iterator<Item = &'a PhaseSeconds>) -> Vec<Key> {
    let mut phases: Vec<_> = all.flat_map(|of| &of.0).map(|(phase, _)| *phase).collect();
    phases.sort_unstable();
    phases.dedup();
    let key = |phase: Phase| Key {
        class: class(phase),
        name: phase.as_str().replace('_', " "),
    };
    phases.into_iter().map(key).collect()
}

/// Where each step is on the picture's width.
struct Columns {
    first: f64,
    step: f64,
    all: f64,
}

impl Columns {
    fn of(report: &SamplesReport) -> Option<Self> {
        let (first, last) = report.steps.first().zip(report.steps.last())?;
        let step = seconds(report.step_seconds.max(1));
        let first = seconds(first.start_timestamp_seconds);
        Some(Self {
            first,
            step,
            all: seconds(last.start_timestamp_seconds) - first + step,
        })
    }

    /// Its left edge and its width.
    fn place(&self, step: &PastStep) -> (f64, f64) {
        let at = seconds(step.start_timestamp_seconds) - self.first;
        // A little wider, so that no seams are seen.
        (share(at, self.all), self.step / self.all * WIDTH + 0.05)
    }
}

impl Heat {
    fn of(report: &SamplesReport) -> Option<Self> {
        let columns = Columns::of(report)?;
        let used = |row: usize| {
            report
                .steps
                .iter()
                .any(|step| step.counts.get(row) > Some(&0))
        };
        let rows: Vec<_> = (0..=report.bounds_seconds.len())
            .filter(|row| used(*row))
            .collect();
        let (low, high) = (*rows.first()?, *rows.last()?);
        let most = report.steps.iter().flat_map(|step| &step.counts).max();
        let most = seconds(*most?).max(1.0);
        let bound = |row: Option<usize>| row.and_then(|row| report.bounds_seconds.get(row));
        let upper = |row| bound(Some(row)).map_or("more".to_owned(), |of| words::latency(*of));
        let lower = |row: usize| {
            bound(row.checked_sub(1)).map_or("0 ms".to_owned(), |of| words::latency(*of))
        };
        let mut cells = Vec::new();
        let mut failed = Vec::new();
        for step in &report.steps {
            let (x, width) = columns.place(step);
            let at = words::iso(seconds(step.start_timestamp_seconds));
            for row in low..=high {
                let count = step.counts.get(row).copied().unwrap_or(0);
                if count > 0 {
                    cells.push(Cell {
                        x,
                        y: high - row,
                        width,
                        // By its root, so that what is rare is seen, too.
                        opacity: 0.12 + 0.88 * (seconds(count) / most).sqrt(),
                        title: format!("{at}: {count} from {} to {}", lower(row), upper(row)),
                    });
                }
            }
            let part = seconds(step.failures) / seconds(step.runs.max(1));
            if step.failures > 0 {
                failed.push(Cell {
                    x,
                    y: 0,
                    width,
                    opacity: 0.3 + 0.7 * part,
                    title: format!("{at}: {} of {} runs failed", step.failures, step.runs),
                });
            }
        }
        Some(Self {
            rows: high - low + 1,
            cells,
            failed,
            low: lower(low),
            high: upper(high),
        })
    }
}

impl Stack {
    fn of(report: &SamplesReport) -> Option<Self> {
        let columns = Columns::of(report)?;
        let total = |of: &PhaseSeconds| of.0.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let top = report
            .steps
            .iter()
            .map(|step| total(&step.phases))
            .fold(0.0, f64::max);
        if top <= 0.0 {
            return None;
        }
        let bar = |step: &PastStep| {
            let (x, width) = columns.place(step);
            let at = words::iso(seconds(step.start_timestamp_seconds));
            Bar::of(x, width, at, &step.phases, top)
        };
        Some(Self {
            bars: report.steps.iter().map(bar).collect(),
            high: words::latency(top),
        })
    }
}

fn bars(recent: &[PastRun], top: f64) -> Vec<Bar> {
    let count = u32::try_from(recent.len().max(20)).unwrap_or(u32::MAX);
    let width = WIDTH / f64::from(count);
    let places = (0_u32..).zip(recent);
    let bar = |(place, past): (u32, &PastRun)| {
        let x = f64::from(place) * width;
        let at = words::iso(past.run.timestamp_seconds);
        let at = format!("{at}: {}", past.run.reason.unwrap_or("success"));
        let mut bar = Bar::of(x, width * 0.85, at, &past.phases, top);
        if past.run.outcome != Outcome::Success {
            let class = if past.run.outcome == Outcome::Failure {
                "bad"
            } else {
                "odd"
            };
            let height = share(past.run.duration_seconds, top).max(4.0);
            let whole = Part {
                class: class.to_owned(),
                y: WIDTH - height,
                height,
            };
            bar.parts.insert(0, whole);
        }
        bar
    };
    places.map(bar).collect()
}

impl Bar {
    fn of(x: f64, width: f64, at: String, phases: &PhaseSeconds, top: f64) -> Self {
        let mut y = WIDTH;
        let mut title = at;
        let parts = phases.0.iter().map(|(phase, seconds)| {
            let height = share(*seconds, top);
            y -= height;
            let name = phase.as_str().replace('_', " ");
            let _ = write!(title, "; {name} {}", words::latency(*seconds));
            Part {
                class: class(*phase),
                y: y.max(0.0),
                height,
            }
        });
        let parts = parts.collect();
        Self {
            x,
            width,
            title,
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Page, STATUS};
    use super::*;

    fn report(steps: Vec<PastStep>) -> SamplesReport {
        SamplesReport {
            probe: "web".into(),
            kind: "http",
            target: "there".into(),
            source_region: "here".into(),
            target_region: "there".into(),
            timestamp_seconds: 100.0,
            step_seconds: 60,
            bounds_seconds: Vec::new(),
            steps,
            recent: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// What the page says of the runs that failed, with the class that it is drawn in.
    fn chip(steps: Vec<PastStep>) -> String {
        let view = Target::new(&report(steps), None, 100.0);
        let page = Page::new("here", "1").expect("good templates");
        let made = page.make(&Asked::default(), "target.html", "", &view, 100.0, &STATUS);
        let (_, chip) = made.part.read().split_once("<li class=\"").expect("a chip");
        let (class, rest) = chip.split_once('"').expect("a class");
        let (_, text) = rest.split_once("</svg>").expect("a shape");
        let (text, _) = text.split_once("</a>").expect("ended");
        format!("{class}: {text}")
    }

    #[test]
    fn runs_that_tell_nothing_are_not_drawn_as_good_ones() {
        let step = |runs, failures, unknown| PastStep {
            start_timestamp_seconds: 60,
            runs,
            failures,
            unknown,
            packets: 0,
            packets_lost: 0,
            counts: Vec::new(),
            minimum_seconds: None,
            median_seconds: None,
            maximum_seconds: None,
            phases: PhaseSeconds(Vec::new()),
        };
        for (steps, expected) in [
            (Vec::new(), "unknown: no run has told anything yet"),
            (vec![step(4, 0, 4)], "unknown: no run has told anything yet"),
            (vec![step(5, 0, 1)], "ready: 0 % of 4 runs failed"),
            (vec![step(5, 2, 1)], "not-ready: 50 % of 4 runs failed"),
        ] {
            assert_eq!(chip(steps), expected);
        }
    }
}
