//! The `http` probe against servers of every kind, good and bad.

mod answers;
mod faults;
mod names;
pub(crate) mod pki;
mod redirects;
pub(crate) mod server;
mod settings;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotspare::files::Files;
use hotspare::model::{Failure, Laps, Phase, Problem, Reason, Reply};
use hotspare::net::{Icmp, Resolver, Roots, Stopwatch};
use hotspare::probe::{CanaryName, Check, Context, Probe, Template};
use serde_json::Value;

/// How long a test waits for what must happen at once: a guard against hanging, never a measure.
const GUARD: Duration = Duration::from_mins(1);

pub(crate) fn context(resolver: Resolver, folder: &Path) -> Context {
    Context {
        resolver: Arc::new(resolver),
        icmp: Arc::new(Icmp::new()),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, folder.to_owned()),
        timeout: GUARD,
        canary: CanaryName::default(),
    }
}

/// The host's own resolver; only names of `/etc/hosts` are asked of it.
pub(crate) fn hosts() -> Resolver {
    Resolver::from_system().expect("the host's files")
}

fn prepare(settings: Value, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
    prepare_kind("http", settings, context)
}

pub(crate) fn prepare_kind(
    kind: &str,
    settings: Value,
    context: &Context,
) -> Result<Box<dyn Template>, Vec<Problem>> {
    let check = Value::from_iter([(kind, settings)]);
    let check: Check = serde_json::from_value(check).expect("settings");
    check.prepare(context)
}

fn probe_in(settings: Value, address: &str, context: &Context) -> Arc<dyn Probe> {
    prepare(settings, context)
        .expect("valid settings")
        .target(address)
        .expect("valid address")
}

fn probe(settings: Value, address: &str) -> Arc<dyn Probe> {
    probe_in(settings, address, &context(hosts(), Path::new("/")))
}

/// What one run came to.
pub(crate) struct Ran {
    pub(crate) result: Result<Reply, Failure>,
    pub(crate) laps: Laps,
}

impl Ran {
    pub(crate) fn reply(self) -> Reply {
        self.result.expect("a good answer")
    }

    pub(crate) fn failure(self) -> Failure {
        self.result.expect_err("a failure")
    }

    /// Asserts the failure's reason and a part of its detail.
    #[track_caller]
    pub(crate) fn failed(self, reason: Reason, detail: &str) -> Failure {
        let failure = self.failure();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(detail), "{failure}");
        failure
    }

    fn phases(&self) -> Vec<Phase> {
        self.laps.iter().map(|(phase, _)| phase).collect()
    }
}

pub(crate) async fn run(probe: &Arc<dyn Probe>) -> Ran {
    let mut watch = Stopwatch::start();
    let result = tokio::time::timeout(GUARD, probe.run(&mut watch))
        .await
        .expect("the run ends");
    let shape = probe.shape();
    for (phase, _) in watch.laps().iter() {
        assert!(shape.phases.contains(phase), "{phase:?} is in the shape");
    }
    match &result {
        Ok(reply) => assert_eq!(watch.current(), None, "{reply:?}"),
        Err(failure) => assert!(
            failure.reason.is_own() || shape.reasons.contains(failure.reason),
            "{failure} is in the shape"
        ),
    }
    Ran {
        result,
        laps: watch.laps(),
    }
}

/// Drops runs at later and later times until one was in the phase.
async fn reaches(probe: &Arc<dyn Probe>, phase: Phase) {
    let mut deadline = Duration::from_millis(20);
    loop {
        let mut watch = Stopwatch::start();
        let ended = tokio::time::timeout(deadline, probe.run(&mut watch)).await;
        assert!(ended.is_err(), "{ended:?} instead of waiting");
        if watch.current() == Some(phase) {
            return;
        }
        deadline *= 2;
        assert!(deadline < GUARD, "in {:?}, not {phase:?}", watch.current());
    }
}
