//! The configuration: files, environment and flags in, a plan out.
//!
//! A [`Document`] is what the files say, and can be planned again as other targets are discovered.
//! [`load()`] reads the main file and those that it includes, lays the environment and the flags over
//! it, and checks everything; [`plan()`] prepares the probes and makes those of this region's
//! targets. [`load_and_plan`] does both. All say everything that is wrong at once, each [`Problem`]
//! with its place and the path in its file. Nothing is started before nothing is wrong.
//!
//! The `config` crate lays the layers over each other. The YAML is read here ([`document`]), so
//! that every value knows its line, and turned into types here ([`strict`]), so that nothing is
//! converted in silence.

pub mod buckets;
pub mod checks;
mod discovery;
mod document;
mod environment;
pub mod host;
mod include;
mod likeness;
mod load;
mod masked;
mod place;
mod plan;
mod problem;
mod schema;
mod strict;
pub mod summary;
mod validate;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use discovery::target_groups;
pub use environment::{Overrides, RESERVED};
pub use load::Document;
pub use masked::Masked;
pub use place::Place;
pub use plan::{
    Plan, PlannedHeartbeat, PlannedProbe, PlannedReceiver, PlannedSet, PlannedSource,
    PlannedTarget, Shared,
};
pub use problem::{Problem, Problems};
pub use web::WebFile;

use url::Url;

use crate::discover::{self, At, Discovered, Taking};
use crate::model::ranking::Quantile;
use crate::model::{Assumed, Digest, HistoryTerms, Hold, Objectives, PlannedCheck};
use crate::notify::{self, HeartbeatSettings, PeerSettings};
use crate::probe::Check;
use crate::rule::{Maintenance, PlannedRule};

/// A configuration that was read and found good, as far as it can be told without the files that
/// its probes name.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region of this daemon.
    pub region: Arc<str>,
    /// Every region, in the file's order.
    pub regions: Vec<Region>,
    /// What the daemon may use.
    pub limits: Limits,
    /// The folder of what the daemon must not forget, an absolute path.
    pub state_dir: Option<PathBuf>,
    /// How much of the past of the targets is kept.
    pub history: HistoryTerms,
    /// Where this daemon says that it goes on.
    pub heartbeat: Option<Heartbeat>,
    /// How the daemons of other regions are asked.
    pub peers: Peers,
    /// Every probe, in the files' order.
    pub probes: Vec<Probe>,
    /// Every group, in the files' order.
    pub groups: Vec<Group>,
    /// When nobody is told of alerts, in the files' order.
    pub maintenance: Vec<Maintenance>,
    /// Every rule, in the files' order.
    pub rules: Vec<PlannedRule>,
    /// Who is told of alerts, in the files' order.
    pub receivers: Vec<Receiver>,
    /// When they are told.
    pub alerting: Alerting,
    /// Every source of targets, in the files' order, with what became of what it gave.
    pub discovered: Vec<PlannedSource>,
    /// The files it was read from, the main one first.
    pub files: Vec<PathBuf>,
    /// Of the text of these files.
    pub hash: Digest,
    /// What is allowed but probably not meant.
    pub warnings: Problems,
    places: Arc<place::Places>,
}

/// A place where the service can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: Arc<str>,
    /// Whose law holds there.
    pub jurisdiction: Option<Arc<str>>,
    /// Where its daemon is: http or https, at most with a path that the daemon's own pages are below.
    pub daemon: Option<Url>,
}

/// What the daemon may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs under way at once; a run beyond it is skipped and counted.
    pub max_in_flight: usize,
    /// Threads that connections are probed on.
    pub probe_threads: usize,
    /// Targets that may be probed from one region.
    pub max_targets: usize,
}

/// Where this daemon says that it goes on.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Where, and how often.
    pub settings: HeartbeatSettings,
    element: load::Element,
}

/// How the daemons of other regions are asked.
#[derive(Clone, Debug)]
pub struct Peers {
    /// As whom, and whom to trust.
    pub settings: PeerSettings,
    element: load::Element,
}

/// A named kind of measurement, its schedule and its targets.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub check: Check,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run; not longer than the interval.
    pub timeout: Duration,
    /// Which part of the attempts is to succeed, above 0 and below 1, if anything is said of it.
    pub objective: Option<f64>,
    /// The regions it runs from.
    pub from: Vec<Arc<str>>,
    /// Bounds of the histogram of durations, in seconds.
    pub buckets: Arc<[f64]>,
    /// Bounds of the histograms of phases, in seconds.
    pub phase_buckets: Arc<[f64]>,
    /// The operator's own labels of all its targets.
    pub labels: BTreeMap<String, String>,
    /// Its targets in every region, those that were discovered last.
    pub targets: Vec<Target>,
    /// Where more of them are found.
    pub sources: Vec<TargetSource>,
    /// Whether they are asked from this region.
    asks: bool,
    /// Whether nothing of the check had to be left out.
    complete: bool,
    element: load::Element,
}

/// The endpoint of a probe in one region.
#[derive(Clone, Debug)]
pub struct Target {
    /// The region it is in.
    pub region: Arc<str>,
    /// Its name, unique within its probe.
    pub name: Arc<str>,
    /// The address as configured. It has no user or password, but its query may be private.
    pub address: Arc<str>,
    /// The operator's own labels, the probe's and its own.
    pub labels: BTreeMap<String, String>,
    /// Where its address is, below the probe.
    path: place::Path,
    /// Where it is, below the probe.
    entry: place::Path,
    /// The place of the source that it is from, and where it is in its answer.
    source: Option<(usize, At)>,
}

impl Probe {
    /// Whether targets that nobody wrote down may come and go.
    fn discovers(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Whether targets of it that come may speak TLS.
    fn may_discover_tls(&self) -> bool {
        self.discovers() && self.check.speaks_tls("https://any")
    }
}

/// A source of a probe's targets.
#[derive(Clone, Debug)]
pub struct TargetSource {
    /// Where it is below the probe: `targets_http[0]`.
    pub name: Arc<str>,
    /// How it is asked.
    pub settings: discover::Settings,
    /// What becomes of its targets.
    pub taking: Taking,
    /// Where it is, below the probe.
    path: place::Path,
    /// Whether nothing of the settings had to be left out.
    complete: bool,
}

/// Who is told of alerts.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// How it is told.
    pub settings: notify::Settings,
    /// Whether nothing of the settings had to be left out.
    complete: bool,
    element: load::Element,
}

/// When receivers are told of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerting {
    /// From the first news of a group to its notification, so that they come together.
    pub group_wait: Duration,
    /// Between two notifications of news of a group.
    pub group_interval: Duration,
    /// After so long without news, it is told again that alerts of a group fire.
    pub repeat_interval: Duration,
    /// A delivery that is not taken for so long is given up.
    pub max_age: Duration,
    /// Where people find this daemon, without a slash at the end.
    pub external_url: Option<Arc<str>>,
    /// The receivers of the alert that always fires; `None`: every Alertmanager.
    pub watchdog: Option<Vec<Arc<str>>>,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_secs(10),
            group_interval: Duration::from_mins(5),
            repeat_interval: Duration::from_hours(4),
            max_age: Duration::from_hours(24),
            external_url: None,
            watchdog: None,
        }
    }
}

/// What fails over together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// The region that serves.
    pub primary: Arc<str>,
    /// The regions that can take over, in the file's order.
    pub standbys: Vec<Arc<str>>,
    /// The probes that measure it, in the file's order.
    pub probes: Vec<GroupProbe>,
    /// What it promises.
    pub objectives: Objectives,
    /// Its standbys in the order in which they are preferred where nothing else tells them apart;
    /// those that are not named come last, and none before another.
    pub preference: Vec<Arc<str>>,
    /// Which latency ranks its standbys.
    pub ranking: Ranking,
    /// What holds its standbys back, in the file's order, also what has expired.
    pub holds: Vec<Hold>,
    /// What is taken for granted in the estimate of how long a failover takes.
    pub assumed: Assumed,
    /// For how long after a failover every other one is held back.
    pub block: Duration,
    /// The probe of the path that users take.
    pub user_path: Option<Arc<str>>,
    /// The questions that are asked about each standby, each after those that it builds on.
    pub checks: Vec<PlannedCheck>,
}

/// Which latency ranks the standbys of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The probe that the file names, one of the group's.
    pub probe: Option<Arc<str>>,
    /// What is taken of its runs.
    pub quantile: Quantile,
}

/// A probe's part in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProbe {
    /// The probe's name.
    pub probe: Arc<str>,
    /// The names of the targets that belong to the group, by region: for a database one in each of
    /// the group's regions, otherwise those that the group names.
    pub targets: BTreeMap<Arc<str>, Arc<str>>,
}

/// Reads the configuration in `path` and checks everything that can be checked without the files
/// that its probes name. Nothing is discovered.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, Problems> {
    let (config, problems) = Document::read(path, overrides).config(&Discovered::default());
    problems.or(config)
}

/// The regions of the configuration in `path`, in the files' order. Nothing else of it is checked, and
/// neither the environment nor a region of this host's own is needed.
pub fn regions(path: &Path) -> Result<Vec<Region>, Problems> {
    let (regions, problems) = load::regions(path);
    problems.or(regions)
}

/// Prepares every probe, wherever it runs, and makes the probes of the targets that are measured
/// from this region.
///
/// Where this configuration takes the place of one that was planned `before`, what is the same in both
/// is the same: targets keep their keys and their probes.
pub fn plan(config: &Config, shared: &Shared, before: Option<&Plan>) -> Result<Plan, Problems> {
    let (plan, problems) = plan::build(config, shared, before);
    problems.or(plan)
}

/// [`load()`] and [`plan()`]: a fault that the first finds hides none that the second finds elsewhere.
pub fn load_and_plan(
    path: &Path,
    overrides: &Overrides,
    shared: &Shared,
    before: Option<&Plan>,
) -> Result<Plan, Problems> {
    Document::read(path, overrides).plan(shared, &Discovered::default(), before)
}

impl Document {
    /// The sources of targets that are asked from this region, as far as nothing is wrong with them;
    /// [`Self::plan`] says what is.
    pub fn sources(&self, shared: &Shared) -> Vec<discover::Source> {
        let (config, _) = self.config(&Discovered::default());
        plan::sources(&config, shared)
    }

    /// The plan with what was discovered: every such target is as if it were written down. Those that
    /// cannot be are refused one by one; what is written has to be good.
    ///
    /// Where this takes the place of what was planned `before`, what is the same in both is the same.
    pub fn plan(
        &self,
        shared: &Shared,
        discovered: &Discovered,
        before: Option<&Plan>,
    ) -> Result<Plan, Problems> {
        let (config, mut problems) = self.config(discovered);
        let (plan, more) = plan::build(&config, shared, before);
        problems.extend(more);
        problems.or(plan)
    }
}
