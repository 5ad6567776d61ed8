//! The checks of a group: they come by themselves, and may be tuned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::checks::{DEFAULTS, DefaultCheck, Limit, Need};
use super::super::load::Element;
use super::super::place::Path;
use super::super::problem::choices;
use super::super::{Probe, schema, strict};
use super::Check;
use super::tuning::{Tuning, shortest_window};
use crate::model::duration::display;
use crate::model::{CheckKind, GateKind, Objectives, PlannedCheck};

/// What of a group decides about its checks.
pub(super) struct Asked<'a> {
    pub(super) element: &'a Element,
    /// The probes of the group; without a value those that could not be read.
    pub(super) probes: Vec<(Arc<str>, Option<&'a Probe>)>,
    /// Whether these are all.
    pub(super) sound: bool,
    pub(super) standbys: &'a [Arc<str>],
    pub(super) objectives: Objectives,
    pub(super) outside: Option<Vec<Arc<str>>>,
}

/// Whose check it is: a probe's, or the group's own.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Group,
    Probe(&'a Probe),
}

/// The name of the probe, empty for the group itself, and the name of the check.
type Name = (Arc<str>, &'static str);

impl Check<'_> {
    pub(super) fn checks(&mut self, asked: &Asked<'_>) -> Vec<PlannedCheck> {
        let mut tunings = BTreeMap::new();
        for element in self.elements(asked.element, "checks") {
            let read: Option<schema::GroupCheck> =
                strict::read(&element.value, &element.path, self.places, self.problems);
            let Some(read) = read else { continue };
            self.tuning(asked, element, &read, &mut tunings);
        }
        let probes = asked.probes.iter().filter_map(|(_, probe)| *probe);
        let owners = probes.map(Owner::Probe).chain([Owner::Group]);
        let mut checks = Vec::new();
        for owner in owners {
            for default in asked.defaults(owner) {
                let tuning = tunings.get(&(owner.name(), default.name));
                checks.extend(self.planned(asked, owner, default, tuning));
            }
        }
        self.pointless(asked, &checks);
        self.half_blind(asked, &checks);
        checks
    }

    /// Reads what is said of a check that comes by itself.
    fn tuning(
        &mut self,
        asked: &Asked<'_>,
        element: Element,
        read: &schema::GroupCheck,
        tunings: &mut BTreeMap<Name, Tuning>,
    ) {
        let Some(name) = read.check.as_deref() else {
            self.missing(&element, "check");
            return;
        };
        let owner = match read.probe.as_deref() {
            Some(probe) => self.member(asked, &element, probe).map(Owner::Probe),
            None => (!element.has("probe")).then_some(Owner::Group),
        };
        let Some(owner) = owner else { return };
        let Some(default) = asked.defaults(owner).find(|default| default.name == name) else {
            self.no_check(asked, &element, owner, name);
            return;
        };
        let id = (owner.name(), default.name);
        if let Some(first) = tunings.get(&id) {
            let first = self.places.of(&first.element.value);
            let message = format!("{} is listed already, at {first}", owner.check(name));
            self.add(&element, &Path::root("check"), message);
            return;
        }
        let interval = owner.probe().map(|probe| probe.interval);
        let tuning = self.tuned(element, read, default, interval);
        tunings.insert(id, tuning);
    }

    /// A probe of the group that could be read.
    fn member<'a>(
        &mut self,
        asked: &Asked<'a>,
        element: &Element,
        name: &str,
    ) -> Option<&'a Probe> {
        if let Some((_, probe)) = asked.probes.iter().find(|(known, _)| **known == *name) {
            return *probe;
        }
        // It may be one that is misspelt in the group's own list.
        if asked.sound {
            let message = format!("the group has no probe `{name}`");
            let mut problem = element.problem(self.places, &Path::root("probe"), message);
            problem.help = choices(name, asked.probes.iter().map(|(name, _)| &**name));
            self.problems.push(problem);
        }
        None
    }

    /// Says why a check is none of its owner's.
    fn no_check(&mut self, asked: &Asked<'_>, element: &Element, owner: Owner<'_>, name: &str) {
        let known = of(owner).find(|default| default.name == name);
        if let Some(default) = known {
            // What was left out of the probe's settings may be just what is needed.
            if owner.probe().is_none_or(|probe| probe.complete) {
                let message = lacking(owner, default);
                self.add(element, &Path::root("check"), message);
            }
            return;
        }
        let of_probes = DEFAULTS.iter().filter(|default| !default.of.is_empty());
        let of_a_probe = of_probes.into_iter().any(|default| default.name == name);
        let message = match owner {
            Owner::Probe(probe) => {
                let (probe, kind) = (&probe.name, probe.check.kind());
                format!("the probe `{probe}` ({kind}) brings no check `{name}`")
            }
            Owner::Group if of_a_probe => {
                format!("`{name}` is a check of probes: name the `probe`")
            }
            Owner::Group => format!("a group has no check `{name}` of its own"),
        };
        let mut problem = element.problem(self.places, &Path::root("check"), message);
        let valid: Vec<_> = asked.defaults(owner).map(|default| default.name).collect();
        problem.help = match owner {
            Owner::Group if of_a_probe => {
                let probes: Vec<_> = asked.probes.iter().map(|(name, _)| &**name).collect();
                Some(format!("the group has: {}", probes.join(", ")))
            }
            _ => choices(name, valid),
        };
        self.problems.push(problem);
    }

    /// A check that comes by itself, as it is tuned; `None` if it has no limit.
    fn planned(
        &mut self,
        asked: &Asked<'_>,
        owner: Owner<'_>,
        default: &DefaultCheck,
        tuning: Option<&Tuning>,
    ) -> Option<PlannedCheck> {
        let limit = tuning.and_then(|tuning| tuning.limit);
        let Some(mut check) = default.planned(owner.name(), limit, asked.objectives) else {
            match tuning {
                Some(tuning) => self.no_limit(asked, default, tuning),
                None if default.kind == CheckKind::Value => self.unjudged(asked, owner),
                None => {}
            }
            return None;
        };
        if let (CheckKind::Latency { over, .. } | CheckKind::PacketLoss { over }, Some(probe)) =
            (&mut check.kind, owner.probe())
        {
            *over = shortest_window(probe.interval).max(*over);
        }
        if let CheckKind::Jurisdiction { outside } = &mut check.kind {
            outside.clone_from(asked.outside.as_ref()?);
        }
        if let Some(tuning) = tuning {
            self.apply(tuning, &mut check);
        }
        if let (Some(probe), Limit::Rpo) = (owner.probe(), default.limit()) {
            self.too_fine(asked, probe, &check, tuning);
        }
        Some(check)
    }

    fn no_limit(&mut self, asked: &Asked<'_>, default: &DefaultCheck, tuning: &Tuning) {
        let objective = match default.limit() {
            Limit::Rpo => Some("objectives.rpo"),
            Limit::Rto => Some("objectives.rto"),
            _ => None,
        };
        let unread = |objective| {
            let path = Path::root("objectives").key(objective);
            self.problems.names(0, &asked.element.path.join(&path))
        };
        let reported = tuning.element.has("above")
            || tuning.element.has("below")
            || objective.is_some() && (unread("rpo") || unread("rto"));
        if reported || tuning.gate == Some(GateKind::Off) {
            return;
        }
        let name = default.name;
        let message = match objective {
            Some(objective) => {
                format!("`{name}` has no limit: set `above`, or the group's `{objective}`")
            }
            None if default.bound.is_some_and(|bound| bound.beyond.is_none()) => {
                format!("`{name}` has no limit: set `above` or `below`")
            }
            None => format!("`{name}` has no limit: set `above`"),
        };
        self.add(&tuning.element, &Path::root("check"), message);
    }

    /// Warns of a probe whose number is only shown.
    fn unjudged(&mut self, asked: &Asked<'_>, owner: Owner<'_>) {
        let name = owner.name();
        let message = format!("nothing judges what the probe `{name}` answers: it has no limit");
        let problem = asked
            .element
            .problem(self.places, &Path::root("probes"), message);
        let help = format!(
            "add {{ probe: {name}, check: value, above: … }}, or with `below`, to the group's checks"
        );
        self.warnings.push(problem.help(help));
    }

    /// Warns of regions that judge the group without one of its gates: a standby that lacks what only
    /// others look at is ready for them.
    fn half_blind(&mut self, asked: &Asked<'_>, checks: &[PlannedCheck]) {
        let probes = asked.probes.iter().filter_map(|(_, probe)| *probe);
        let vantages: BTreeSet<_> = probes.clone().flat_map(|probe| &probe.from).collect();
        let gate = |check: &PlannedCheck| check.gate == GateKind::Hard;
        let brings = |probe: &Probe| {
            let mut gates = checks.iter().filter(|check| gate(check));
            gates.any(|check| check.probe == probe.name)
        };
        for probe in probes.filter(|probe| brings(probe)) {
            let blind = vantages
                .iter()
                .filter(|region| !probe.from.contains(region));
            let blind: Vec<_> = blind.map(|region| &***region).collect();
            if blind.is_empty() {
                continue;
            }
            let message = format!(
                "the probe `{}` does not run from {}, where the group is judged without its gates",
                probe.name,
                blind.join(", ")
            );
            let path = Path::root("probes");
            let problem = asked.element.problem(self.places, &path, message);
            let help = "let all probes of a group run `from` the same regions";
            self.warnings.push(problem.help(help));
        }
    }

    /// Warns of a limit that a standby is beyond although nothing is wrong. Between two looks, a
    /// standby is not seen to catch up; and a canary that is written after one look at the standby
    /// is not seen before the next.
    fn too_fine(
        &mut self,
        asked: &Asked<'_>,
        probe: &Probe,
        check: &PlannedCheck,
        tuning: Option<&Tuning>,
    ) {
        let limit = check
            .bound
            .and_then(|bound| Duration::try_from_secs_f64(bound.limit).ok());
        let Some(limit) = limit.filter(|limit| *limit < probe.interval * 2) else {
            return;
        };
        if check.gate == GateKind::Off {
            return;
        }
        let message = format!(
            "{} is less than two intervals of the probe `{}` ({} each): a standby would be beyond \
             it with nothing wrong",
            display(limit),
            probe.name,
            display(probe.interval),
        );
        let tuned = tuning.filter(|tuning| tuning.limit.is_some());
        let (element, path) = match tuned {
            Some(tuning) => (&tuning.element, Path::root("above")),
            None => (asked.element, Path::root("objectives").key("rpo")),
        };
        let problem = element.problem(self.places, &path, message);
        let help = format!(
            "give the probe an interval of {} or less",
            display(limit / 5)
        );
        self.warnings.push(problem.help(help));
    }

    /// Warns of what is asked for and cannot be told.
    fn pointless(&mut self, asked: &Asked<'_>, checks: &[PlannedCheck]) {
        let read = || asked.probes.iter().map(|(_, probe)| *probe);
        if !asked.sound || read().any(|probe| probe.is_none()) {
            return;
        }
        let databases = read().flatten().any(|probe| probe.check.is_database());
        if asked.objectives.rpo.is_some() && !databases {
            let path = Path::root("objectives").key("rpo");
            let message = "no probe of the group tells what would be lost: it has no database";
            self.warn(asked.element, &path, message);
        }
        let looks = |check: &PlannedCheck| !check.probe.is_empty() && check.gate == GateKind::Hard;
        if !checks.iter().any(looks) && !self.problems.names(0, &asked.element.path) {
            let message = "no gate of the group measures anything: its standbys would be ready \
                           whatever state they are in";
            self.warn(asked.element, &Path::root("checks"), message);
        }
    }
}

impl Asked<'_> {
    /// The checks that come with an owner as it is configured.
    fn defaults<'s>(
        &'s self,
        owner: Owner<'s>,
    ) -> impl Iterator<Item = &'static DefaultCheck> + 's {
        of(owner).filter(move |default| self.has(owner, default.needs))
    }

    fn has(&self, owner: Owner<'_>, need: Need) -> bool {
        let Owner::Probe(probe) = owner else {
            return need != Need::Jurisdictions || self.outside.is_some();
        };
        let check = &probe.check;
        match need {
            Need::Nothing => true,
            Need::Version => check.tells_version(),
            Need::Replication => check.is_database(),
            Need::Canary => check.canary(),
            Need::Tls => {
                let of_standbys = |region| self.standbys.contains(region);
                let mut targets = probe.targets.iter();
                let of_some = targets
                    .any(|target| of_standbys(&target.region) && check.speaks_tls(&target.address));
                of_some || probe.may_discover_tls()
            }
            Need::Jurisdictions => false,
        }
    }
}

impl<'a> Owner<'a> {
    fn probe(self) -> Option<&'a Probe> {
        match self {
            Self::Group => None,
            Self::Probe(probe) => Some(probe),
        }
    }

    fn name(self) -> Arc<str> {
        self.probe()
            .map_or_else(|| "".into(), |probe| Arc::clone(&probe.name))
    }

    fn check(self, name: &str) -> String {
        match self {
            Self::Group => format!("the check `{name}`"),
            Self::Probe(probe) => format!("the check `{name}` of `{}`", probe.name),
        }
    }
}

/// The checks that can come with an owner of this kind.
fn of(owner: Owner<'_>) -> impl Iterator<Item = &'static DefaultCheck> {
    let kind = owner.probe().map(|probe| probe.check.kind());
    DEFAULTS.iter().filter(move |default| match kind {
        Some(kind) => default.of.contains(&kind),
        None => default.of.is_empty(),
    })
}

/// What an owner lacks for a check.
fn lacking(owner: Owner<'_>, default: &DefaultCheck) -> String {
    let name = default.name;
    let probe = owner.probe().map_or("", |probe| &*probe.name);
    match default.needs {
        Need::Nothing => format!("`{name}` cannot be asked here"),
        Need::Tls => {
            format!("`{name}` needs TLS, which the probe `{probe}` speaks with no standby")
        }
        Need::Version => {
            format!("`{name}` needs `version` in the check of the probe `{probe}`")
        }
        Need::Replication => {
            format!("`{name}` needs the probe `{probe}` to ask for replication, which is off")
        }
        Need::Canary => {
            format!("`{name}` needs `canary: true` in the check of the probe `{probe}`")
        }
        Need::Jurisdictions => format!("`{name}` needs the group's `jurisdictions`"),
    }
}
