//! From a configuration to probes that can run.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::discovery::target_groups;
use super::likeness::digest;
use super::load::Element;
use super::place::Path;
use super::problem::Problem;
use super::{
    Alerting, Config, Group, GroupProbe, Limits, Probe, Problems, Receiver, Region, Target,
    TargetSource,
};
use crate::discover::{At, Refusal, RefusalReason, Source, SourceId};
use crate::files::{Files, Named};
use crate::model::{
    self, DatabaseSet, Digest, Epoch, GroupMember, HistoryTerms, PlannedDatabase, PlannedGroup,
    PlannedRanking, Role, TargetGroup, TargetKey, Turn,
};
use crate::net::{Icmp, Resolver, Roots};
use crate::notify::{self, Prepared};
use crate::probe::{CanaryName, Context, Probe as Runner, Template};
use crate::rule::{Maintenance, PlannedRule};

/// What every probe shares.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Turns names into addresses.
    pub resolver: Arc<Resolver>,
    /// Sends echo requests.
    pub icmp: Arc<Icmp>,
    /// The system's certificate authorities.
    pub roots: Arc<Roots>,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// The files that the configuration names.
    pub named: Named,
    /// This life of the daemon.
    pub epoch: Epoch,
}

impl Shared {
    /// What the probes of this process share, set up as the host is.
    ///
    /// The error names what of the host cannot be used.
    pub fn from_system() -> Result<Self, String> {
        Ok(Self {
            resolver: Arc::new(Resolver::from_system()?),
            icmp: Arc::new(Icmp::new()),
            roots: Arc::new(Roots::default()),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            named: Named::default(),
            epoch: Epoch(fastrand::u128(1..)),
        })
    }

    /// What is needed to prepare a receiver.
    fn receiver(&self, element: &Element) -> notify::Context {
        notify::Context {
            resolver: Arc::clone(&self.resolver),
            roots: Arc::clone(&self.roots),
            files: Files::new(self.credentials.clone(), element.folder.clone())
                .noted_in(&self.named),
        }
    }

    fn context(&self, probe: &Probe, region: &Arc<str>) -> Context {
        Context {
            resolver: Arc::clone(&self.resolver),
            icmp: Arc::clone(&self.icmp),
            roots: Arc::clone(&self.roots),
            files: Files::new(self.credentials.clone(), probe.element.folder.clone())
                .noted_in(&self.named),
            timeout: probe.timeout,
            canary: CanaryName {
                vantage: Arc::clone(region),
                probe: Arc::clone(&probe.name),
                epoch: self.epoch,
            },
        }
    }
}

/// What the daemon will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The region of this daemon.
    pub region: Arc<str>,
    /// Every region, in the order of the file.
    pub regions: Vec<Region>,
    /// Where the daemons of those are whose URL is known.
    pub daemons: Vec<TargetGroup>,
    /// What it may use.
    pub limits: Limits,
    /// The folder of what it must not forget, an absolute path; none is set in most files, since
    /// systemd names one.
    pub state_dir: Option<PathBuf>,
    /// How much of the past of the targets is kept.
    pub history: HistoryTerms,
    /// Where this daemon says that it goes on.
    pub heartbeat: Option<PlannedHeartbeat>,
    /// Asks the daemons of other regions; none if what is said of it is wrong.
    pub peers: Option<Arc<notify::Peers>>,
    /// Tells it apart from others that were made of other files. Variables and flags have no part in
    /// it, so that a fleet with one configuration has one.
    pub hash: Digest,
    /// The targets that are probed from this region.
    pub targets: Vec<PlannedTarget>,
    /// Every probe, also those that do not run from this region.
    pub probes: Vec<PlannedProbe>,
    /// Every group's databases that are probed from this region. A set's place is its `SetKey`.
    pub sets: Vec<PlannedSet>,
    /// What of these targets belongs to which group.
    pub members: Vec<GroupMember>,
    /// Every group, also those that nothing is probed of from this region.
    pub groups: Vec<PlannedGroup>,
    /// When nobody is told of alerts.
    pub maintenance: Vec<Maintenance>,
    /// Every rule, also those that look at nothing from this region.
    pub rules: Vec<PlannedRule>,
    /// Where more targets are found, and what became of what was found.
    pub discovered: Vec<PlannedSource>,
    /// Who is told of alerts.
    pub receivers: Vec<PlannedReceiver>,
    /// When they are told.
    pub alerting: Alerting,
    /// What is allowed but probably not meant.
    pub warnings: Problems,
    /// Where each target is.
    places: HashMap<TargetKey, usize>,
    /// The key of the next target that is new.
    next_key: TargetKey,
}

impl Plan {
    /// The target with this key.
    pub fn target(&self, key: TargetKey) -> Option<&PlannedTarget> {
        self.targets.get(*self.places.get(&key)?)
    }

    fn keys(&self) -> HashSet<TargetKey> {
        self.places.keys().copied().collect()
    }

    /// The targets by their identities.
    fn by_identity(&self) -> HashMap<String, &PlannedTarget> {
        let targets = self.targets.iter();
        targets
            .map(|planned| (planned.target.identity(), planned))
            .collect()
    }
}

/// Where this daemon says that it goes on.
#[derive(Clone, Debug)]
pub struct PlannedHeartbeat {
    /// Tells it apart from one with other settings or other secrets.
    pub same: Digest,
    /// Says it.
    pub prepared: Arc<notify::Heartbeat>,
}

/// A source of targets, and what became of those that it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSource {
    /// Which one.
    pub id: SourceId,
    /// Whether it is asked from this region.
    pub asked: bool,
    /// How many targets its last good answer had; `None` if there was none.
    pub given: Option<usize>,
    /// How many of them are taken.
    pub taken: usize,
    /// The others, in the order of the answer.
    pub refused: Vec<Refusal>,
}

/// Who is told of alerts, ready to be.
#[derive(Clone)]
pub struct PlannedReceiver {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// Tells it apart from one with other settings or other secrets.
    pub same: Digest,
    /// Tells it.
    pub prepared: Prepared,
}

impl std::fmt::Debug for PlannedReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedReceiver")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A target, when it is probed, and how.
#[derive(Clone)]
pub struct PlannedTarget {
    /// What tells it from every other target, and from what it was before its settings were changed.
    pub key: TargetKey,
    /// What names its series.
    pub target: model::Target,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
    /// Which part of the attempts is to succeed, above 0 and below 1, if anything is said of it.
    pub objective: Option<f64>,
    /// When in the interval the runs start.
    pub turn: Turn,
    /// Bounds of the histogram of durations, in seconds.
    pub buckets: Arc<[f64]>,
    /// Bounds of the histograms of phases, in seconds.
    pub phase_buckets: Arc<[f64]>,
    /// Does the runs.
    pub probe: Arc<dyn Runner>,
    /// Of everything that is configured of it.
    settings: Digest,
    /// Of the files that its probe was made with.
    files: Digest,
}

impl std::fmt::Debug for PlannedTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedTarget")
            .field("target", &self.target)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A probe as a whole: what `check` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedProbe {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
    /// The regions that it runs from.
    pub from: Vec<Arc<str>>,
    /// How many targets it has in each region that it has any in.
    pub targets: Vec<(Arc<str>, usize)>,
}

/// A group's members under one database probe. They have the same slot: the standbys are looked at
/// first and the primary a little later, so that what a standby lacks is not counted too low, nor
/// too high by a whole interval of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSet {
    /// What names its series.
    pub set: DatabaseSet,
    /// From the start of one run of a member to the start of its next.
    pub interval: Duration,
    /// The deadline of a run.
    pub timeout: Duration,
    /// The group's primary region.
    pub region: Arc<str>,
    /// The target there.
    pub primary: TargetKey,
    /// The targets in its standby regions, with these.
    pub standbys: Vec<(Arc<str>, TargetKey)>,
}

/// How long after its standbys a primary is looked at: long enough for their answers, and a small
/// part of the interval.
fn behind(interval: Duration, timeout: Duration) -> Duration {
    (interval / 5).min(timeout)
}

/// Prepares everything. The plan is good only if there are no problems.
pub(super) fn build(config: &Config, shared: &Shared, before: Option<&Plan>) -> (Plan, Problems) {
    let mut planner = Planner {
        config,
        before: before.map(Plan::by_identity).unwrap_or_default(),
        taken: before.map(Plan::keys).unwrap_or_default(),
        targets: HashMap::new(),
        problems: Problems::default(),
        plan: Plan {
            region: Arc::clone(&config.region),
            regions: config.regions.clone(),
            daemons: target_groups(&config.regions),
            limits: config.limits,
            state_dir: config.state_dir.clone(),
            history: config.history,
            heartbeat: None,
            peers: None,
            hash: config.hash,
            targets: Vec::new(),
            probes: Vec::new(),
            sets: Vec::new(),
            members: Vec::new(),
            groups: Vec::new(),
            maintenance: config.maintenance.clone(),
            rules: config.rules.clone(),
            discovered: config.discovered.clone(),
            receivers: Vec::new(),
            alerting: config.alerting.clone(),
            warnings: config.warnings.clone(),
            places: HashMap::new(),
            next_key: before.map_or(TargetKey(0), |before| before.next_key),
        },
    };
    planner.heartbeat(shared);
    planner.peers(shared);
    for probe in &config.probes {
        planner.probe(probe, shared);
    }
    planner.groups();
    for receiver in &config.receivers {
        planner.receiver(receiver, shared);
    }
    planner.plan.warnings.sort();
    (planner.plan, planner.problems)
}

/// The sources that are asked from this region, as far as nothing is wrong with them.
pub(super) fn sources(config: &Config, shared: &Shared) -> Vec<Source> {
    let probes = config.probes.iter();
    let here = probes.filter(|probe| probe.from.contains(&config.region));
    let sources = here.flat_map(|probe| {
        let context = shared.receiver(&probe.element);
        let sources = probe.sources.iter().filter(|source| source.complete);
        sources.filter_map(move |source| {
            Source::new(source.id(probe), &source.settings, &context).ok()
        })
    });
    sources.collect()
}

impl TargetSource {
    /// Which one it is, of all.
    pub(super) fn id(&self, probe: &Probe) -> SourceId {
        SourceId {
            probe: Arc::clone(&probe.name),
            source: Arc::clone(&self.name),
        }
    }
}

struct Planner<'a> {
    config: &'a Config,
    /// The targets of the plan whose place this one takes, by their identities.
    before: HashMap<String, &'a PlannedTarget>,
    /// Their keys.
    taken: HashSet<TargetKey>,
    /// The targets of each probe: there may be thousands of groups, and each names its probes.
    targets: HashMap<Arc<str>, Vec<TargetKey>>,
    problems: Problems,
    plan: Plan,
}

impl Planner<'_> {
    fn heartbeat(&mut self, shared: &Shared) {
        let Some(heartbeat) = &self.config.heartbeat else {
            return;
        };
        let element = &heartbeat.element;
        let context = shared.receiver(element);
        match heartbeat.settings.prepare(&context) {
            Ok(prepared) => {
                self.plan.heartbeat = Some(PlannedHeartbeat {
                    same: digest(&element.value).with(&context.files.digest()),
                    prepared: Arc::new(prepared),
                });
            }
            Err(faults) => self.faults(element, faults),
        }
    }

    fn peers(&mut self, shared: &Shared) {
        let peers = &self.config.peers;
        match peers.settings.prepare(&shared.receiver(&peers.element)) {
            Ok(prepared) => self.plan.peers = Some(Arc::new(prepared)),
            Err(faults) => self.faults(&peers.element, faults),
        }
    }

    fn faults(&mut self, element: &Element, faults: Vec<model::Problem>) {
        for fault in faults {
            let below = Path::parse(&fault.field);
            let problem = element.problem(&self.config.places, &below, fault.message);
            self.problems.push(problem);
        }
    }

    fn probe(&mut self, probe: &Probe, shared: &Shared) {
        let here = probe.from.contains(&self.config.region);
        self.plan.probes.push(summary(probe));
        for source in probe.sources.iter().filter(|source| source.complete) {
            let context = shared.receiver(&probe.element);
            let made = Source::new(source.id(probe), &source.settings, &context);
            for fault in made.err().into_iter().flatten() {
                let path = source.path.join(&Path::parse(&fault.field));
                self.fault(probe, &path, &fault, here);
            }
        }
        let context = shared.context(probe, &self.config.region);
        let template = match probe.check.prepare(&context) {
            Ok(template) => template,
            // What is missing was left out: its fault is known, and others may come of that.
            Err(_) if !probe.complete => return,
            Err(faults) => {
                for fault in faults {
                    self.settings_fault(probe, &fault, here);
                }
                return;
            }
        };
        let first = self.plan.targets.len();
        for target in &probe.targets {
            self.target(probe, &*template, target, here);
        }
        let files = context.files.digest();
        for planned in &mut self.plan.targets[first..] {
            planned.files = files;
            let before = self.before.get(&planned.turn.identity);
            // With a reload that changes nothing of it, it goes on with what it has.
            if let Some(same) = before.filter(|of| of.key == planned.key && of.files == files) {
                planned.probe = Arc::clone(&same.probe);
            }
        }
    }

    fn settings_fault(&mut self, probe: &Probe, fault: &model::Problem, here: bool) {
        let path = Path::root("check")
            .key(probe.check.kind())
            .join(&Path::parse(&fault.field));
        self.fault(probe, &path, fault, here);
    }

    fn fault(&mut self, probe: &Probe, path: &Path, fault: &model::Problem, here: bool) {
        let problem = self.problem(probe, path, &fault.message);
        // Secrets and keys need not be on hosts that do not use them.
        if fault.of_host && !here && !self.config.region.is_empty() {
            self.plan.warnings.push(problem);
        } else {
            self.problems.push(problem);
        }
    }

    fn target(&mut self, probe: &Probe, template: &dyn Template, target: &Target, here: bool) {
        let runner = match template.target(&target.address) {
            Ok(runner) => runner,
            Err(why) => {
                if let Some((source, at)) = &target.source {
                    self.refuse(*source, at, why);
                    self.uncount(&target.region);
                } else {
                    let problem = self.problem(probe, &target.path, &why);
                    self.problems.push(problem);
                }
                return;
            }
        };
        if !here {
            return;
        }
        let settings = settings(probe, target);
        let target = model::Target {
            probe: Arc::clone(&probe.name),
            kind: probe.check.kind(),
            source_region: Arc::clone(&self.config.region),
            target_region: Arc::clone(&target.region),
            name: Arc::clone(&target.name),
            address: shown(&target.address),
            labels: target.labels.clone(),
        };
        self.add(PlannedTarget {
            key: self.plan.next_key,
            settings,
            files: Digest::default(),
            turn: Turn {
                identity: target.identity(),
                delay: Duration::ZERO,
            },
            target,
            interval: probe.interval,
            timeout: probe.timeout,
            objective: probe.objective,
            buckets: Arc::clone(&probe.buckets),
            phase_buckets: Arc::clone(&probe.phase_buckets),
            probe: runner,
        });
    }

    /// Adds a target that is new, unless it is as it was before.
    fn add(&mut self, mut planned: PlannedTarget) {
        let before = self.before.get(&planned.turn.identity);
        match before.filter(|before| before.settings == planned.settings) {
            Some(same) => planned.key = same.key,
            None => planned.key = self.new_key(),
        }
        let place = self.plan.targets.len();
        self.plan.places.insert(planned.key, place);
        self.plan.targets.push(planned);
    }

    /// A key that neither this plan nor the one before has.
    fn new_key(&mut self) -> TargetKey {
        loop {
            let key = self.plan.next_key;
            self.plan.next_key = TargetKey(key.0.wrapping_add(1));
            if !self.taken.contains(&key) && !self.plan.places.contains_key(&key) {
                return key;
            }
        }
    }

    /// Leaves a discovered target out.
    fn refuse(&mut self, source: usize, at: &At, why: String) {
        let Some(source) = self.plan.discovered.get_mut(source) else {
            return;
        };
        source.taken = source.taken.saturating_sub(1);
        source.refused.push(Refusal {
            at: at.clone(),
            reason: RefusalReason::Address,
            why,
        });
    }

    /// Takes a target of the last probe out of what is told of it.
    fn uncount(&mut self, region: &Arc<str>) {
        let Some(probe) = self.plan.probes.last_mut() else {
            return;
        };
        for (_, count) in probe.targets.iter_mut().filter(|(of, _)| of == region) {
            *count = count.saturating_sub(1);
        }
        probe.targets.retain(|(_, count)| *count > 0);
    }

    fn groups(&mut self) {
        for planned in &self.plan.targets {
            let probe = Arc::clone(&planned.target.probe);
            let of_probe = self.targets.entry(probe).or_default();
            of_probe.push(planned.key);
        }
        let probes = self.config.probes.iter();
        let probes: HashMap<_, _> = probes.map(|probe| (&probe.name, probe)).collect();
        for group in &self.config.groups {
            let mut databases = Vec::new();
            for member in &group.probes {
                let members = self.members(group, member);
                self.plan.members.extend(members);
                let probe = probes.get(&member.probe);
                let Some(probe) = probe.filter(|probe| probe.check.is_database()) else {
                    continue;
                };
                databases.push(PlannedDatabase {
                    probe: Arc::clone(&probe.name),
                    kind: probe.check.kind(),
                    canary: probe.check.canary(),
                });
                let set = self.set(group, probe, member);
                self.plan.sets.extend(set);
            }
            self.plan.groups.push(PlannedGroup {
                discovered: discovered(group, &probes),
                name: Arc::clone(&group.name),
                primary: Arc::clone(&group.primary),
                standbys: group.standbys.clone(),
                vantages: vantages(group, &probes),
                databases,
                objectives: group.objectives,
                preference: group.preference.clone(),
                ranking: self.ranking(group, &probes),
                holds: group.holds.clone(),
                assumed: group.assumed,
                block: group.block,
                user_path: group.user_path.clone(),
                checks: group.checks.clone(),
            });
        }
        self.turns();
    }

    fn receiver(&mut self, receiver: &Receiver, shared: &Shared) {
        let context = shared.receiver(&receiver.element);
        match receiver.settings.prepare(&context) {
            Some(Ok(prepared)) => self.plan.receivers.push(PlannedReceiver {
                name: Arc::clone(&receiver.name),
                kind: receiver.kind,
                same: digest(&receiver.element.value).with(&context.files.digest()),
                prepared,
            }),
            // What is missing was left out: its fault is known, and others may come of that.
            Some(Err(faults)) if receiver.complete => self.faults(&receiver.element, faults),
            _ => {}
        }
    }

    /// The probe that the group names or, if it names none, the first of the best kind with targets
    /// in every standby; either only if it runs from this region.
    fn ranking(&self, group: &Group, probes: &HashMap<&Arc<str>, &Probe>) -> PlannedRanking {
        let none = PlannedRanking {
            probe: None,
            quantile: group.ranking.quantile,
            interval: Duration::ZERO,
            targets: Vec::new(),
        };
        let rankings = group.probes.iter().filter_map(|member| {
            let probe = probes.get(&member.probe)?;
            let class = match &group.ranking.probe {
                Some(named) => (*named == probe.name).then_some(0)?,
                None => class(probe.check.kind())?,
            };
            let targets = group.standbys.iter();
            let targets: Vec<_> = targets.map(|region| self.targets(member, region)).collect();
            let everywhere = targets.iter().all(|targets| !targets.is_empty());
            let ranking = PlannedRanking {
                probe: Some(Arc::clone(&probe.name)),
                quantile: group.ranking.quantile,
                interval: probe.interval,
                targets,
            };
            everywhere.then_some((class, ranking))
        });
        let best = rankings.min_by_key(|(class, _)| *class);
        best.map_or(none, |(_, ranking)| ranking)
    }

    /// The targets of a probe that belong to a group, in whichever regions: all, or the one that it
    /// names.
    fn of(&self, member: &GroupProbe) -> impl Iterator<Item = (TargetKey, &model::Target)> {
        let keys = self.targets.get(&member.probe).into_iter().flatten();
        let targets = keys.filter_map(|key| Some((*key, &self.plan.target(*key)?.target)));
        targets.filter(|(_, target)| {
            let named = member.targets.get(&target.target_region);
            named.is_none_or(|name| *name == target.name)
        })
    }

    /// Those of them in a region.
    fn targets(&self, member: &GroupProbe, region: &Arc<str>) -> Vec<TargetKey> {
        let targets = self.of(member);
        let targets = targets.filter(|(_, target)| target.target_region == *region);
        targets.map(|(key, _)| key).collect()
    }

    /// Those of them in the group's regions.
    fn members(&self, group: &Group, member: &GroupProbe) -> Vec<GroupMember> {
        let role = |region: &Arc<str>| {
            if *region == group.primary {
                return Some(Role::Primary);
            }
            group.standbys.contains(region).then_some(Role::Standby)
        };
        let members = self.of(member).filter_map(|(_, target)| {
            Some(GroupMember {
                group: Arc::clone(&group.name),
                probe: Arc::clone(&target.probe),
                source_region: Arc::clone(&target.source_region),
                target_region: Arc::clone(&target.target_region),
                target: Arc::clone(&target.name),
                role: role(&target.target_region)?,
            })
        });
        members.collect()
    }

    /// `None` if the probe does not run from this region. A member that is missing was reported.
    fn set(&self, group: &Group, probe: &Probe, member: &GroupProbe) -> Option<PlannedSet> {
        let target = |region| match *self.targets(member, region) {
            [only] => Some(only),
            // None or several where they are discovered, else it was reported.
            _ => None,
        };
        let standbys = group.standbys.iter();
        let standbys = standbys.map(|region| Some((Arc::clone(region), target(region)?)));
        Some(PlannedSet {
            set: DatabaseSet {
                group: Arc::clone(&group.name),
                probe: Arc::clone(&probe.name),
                kind: probe.check.kind(),
                source_region: Arc::clone(&self.config.region),
                canary: probe.check.canary(),
            },
            interval: probe.interval,
            timeout: probe.timeout,
            region: Arc::clone(&group.primary),
            primary: target(&group.primary)?,
            standbys: standbys.collect::<Option<_>>()?,
        })
    }

    /// Gives the members of each set one slot. A target in several sets follows the first.
    fn turns(&mut self) {
        let mut turns = HashMap::new();
        for set in &self.plan.sets {
            let delay = behind(set.interval, set.timeout);
            let standbys = set.standbys.iter().map(|(_, key)| (*key, Duration::ZERO));
            for (key, delay) in standbys.chain([(set.primary, delay)]) {
                let identity = set.set.identity();
                turns.entry(key).or_insert(Turn { identity, delay });
            }
        }
        for planned in &mut self.plan.targets {
            if let Some(turn) = turns.remove(&planned.key) {
                planned.turn = turn;
            }
        }
    }

    fn problem(&self, probe: &Probe, below: &Path, message: &str) -> Problem {
        probe.element.problem(&self.config.places, below, message)
    }
}

/// How near what a probe of this kind takes is to what callers wait for; lowest first.
fn class(kind: &str) -> Option<u8> {
    match kind {
        "http" => Some(0),
        "postgres" | "mysql" | "redis" => Some(1),
        "tcp" => Some(2),
        "ping" => Some(3),
        _ => None,
    }
}

/// How many regions any probe of the group runs from.
fn vantages(group: &Group, probes: &HashMap<&Arc<str>, &Probe>) -> u64 {
    let of_group = group.probes.iter();
    let of_group = of_group.filter_map(|member| probes.get(&member.probe));
    let regions: HashSet<_> = of_group.flat_map(|probe| &probe.from).collect();
    regions.len() as u64
}

/// The digest of everything that is configured of a target, but for what files hold.
///
/// When its runs start is no part of it: a group that is added later may change that.
fn settings(probe: &Probe, target: &Target) -> Digest {
    let check = probe.element.inner("check");
    let check = check.map(|check| digest(&check.value)).unwrap_or_default();
    let terms = (
        probe.check.kind(),
        probe.interval,
        probe.timeout,
        probe.objective,
        &probe.buckets,
        &probe.phase_buckets,
        &target.address,
        &target.labels,
        &probe.element.folder,
    );
    check.and(&[format!("{terms:?}").as_bytes()])
}

/// The probes of the group whose targets are discovered from here.
fn discovered(group: &Group, probes: &HashMap<&Arc<str>, &Probe>) -> Vec<Arc<str>> {
    let of_group = group.probes.iter();
    let of_group = of_group.filter_map(|member| probes.get(&member.probe));
    let asking = of_group.filter(|probe| probe.discovers() && probe.asks);
    asking.map(|probe| Arc::clone(&probe.name)).collect()
}

fn summary(probe: &Probe) -> PlannedProbe {
    let mut targets: Vec<(Arc<str>, usize)> = Vec::new();
    for target in &probe.targets {
        match targets
            .iter_mut()
            .find(|(region, _)| *region == target.region)
        {
            Some((_, count)) => *count += 1,
            None => targets.push((Arc::clone(&target.region), 1)),
        }
    }
    PlannedProbe {
        name: Arc::clone(&probe.name),
        kind: probe.check.kind(),
        interval: probe.interval,
        timeout: probe.timeout,
        from: probe.from.clone(),
        targets,
    }
}

/// The address without the query of a URL, which often holds a token. It is a URL also with one slash or
/// none behind the scheme, and nothing else has such characters.
pub(super) fn shown(address: &Arc<str>) -> Arc<str> {
    match address.find(['?', '#']) {
        Some(end) => address[..end].into(),
        None => Arc::clone(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_query() {
        for (address, expected) in [
            ("https://h/a?token=x#y", "https://h/a"),
            ("https://h/a#y?z", "https://h/a"),
            ("https://h/a", "https://h/a"),
            ("https:/h/a?token=x", "https:/h/a"),
            ("https:h?token=x", "https:h"),
            (r"https:\\h\a?token=x", r"https:\\h\a"),
            ("h:80", "h:80"),
        ] {
            assert_eq!(&*shown(&address.into()), expected);
        }
    }
}
