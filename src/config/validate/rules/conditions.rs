//! What a rule looks at, and whether there is such a thing.

use super::super::super::load::Element;
use super::super::super::place::Path;
use super::super::super::problem::choices;
use super::super::super::{Group, Probe};
use super::super::Check;
use super::super::groups::{lacks_some, targets_in};
use super::super::targets::is_empty;
use super::Known;
use crate::rule::{NeedOfGroup, NeedOfProbe, Pace, Scope, When};

/// A rule's condition, and where it is.
#[derive(Clone, Copy)]
struct Asked<'a> {
    element: &'a Element,
    when: &'a When,
    path: &'a Path,
    known: &'a Known<'a>,
}

impl Check<'_> {
    /// The problems from `before` on are those of reading the rule.
    pub(super) fn condition(
        &mut self,
        element: &Element,
        when: &When,
        known: &Known<'_>,
        before: usize,
    ) {
        let path = Path::root("when").key(when.name());
        for problem in when.kind().problems() {
            let field = path.join(&Path::parse(problem.field));
            // What is there and could not be read is neither missing nor out of range.
            if !self.problems.names(before, &element.path.join(&field)) {
                let at = if problem.is_missing { &path } else { &field };
                self.add(element, at, problem.message);
            }
        }
        let asked = Asked {
            element,
            when,
            path: &path,
            known,
        };
        match when.kind().scope() {
            Scope::Targets { probe, to, needs } => {
                match probe {
                    Some(name) => self.of_probe(asked, name, needs, to),
                    None => self.of_probes(asked, needs, to),
                }
                if let Some(to) = to {
                    self.target_regions(asked, to);
                }
            }
            Scope::Groups { group, needs } => match group {
                Some(name) => self.of_group(asked, name, needs),
                None => self.of_groups(asked, needs),
            },
            Scope::Daemon => {}
        }
    }

    /// A rule on the targets of one probe.
    fn of_probe(
        &mut self,
        asked: Asked<'_>,
        name: &str,
        needs: NeedOfProbe,
        to: Option<&[String]>,
    ) {
        let path = asked.path.key("probe");
        if !asked.known.probe_names.iter().any(|known| known == name) {
            let message = format!("there is no probe `{name}`");
            let mut problem = asked.element.problem(self.places, &path, message);
            let names = asked.known.probe_names.iter().map(String::as_str);
            problem.help = choices(name, names);
            self.problems.push(problem);
            return;
        }
        let mut probes = asked.known.probes.iter();
        let Some(probe) = probes.find(|probe| *probe.name == *name) else {
            return;
        };
        if !can(probe, needs) && probe.complete {
            let kind = probe.check.kind();
            let message = match needs {
                NeedOfProbe::Nothing => return,
                NeedOfProbe::Packets => {
                    format!("`{name}` is of the kind {kind}, and only a ping loses packets")
                }
                NeedOfProbe::Tls => format!("`{name}` ({kind}) sees no certificate of any target"),
            };
            self.add(asked.element, &path, message);
        }
        self.pace(asked, probe, "");
        for (i, region) in to.into_iter().flatten().enumerate() {
            let region = asked
                .known
                .regions
                .iter()
                .find(|known| *known.name == **region);
            let Some(region) = region else { continue };
            // Where targets come and go, there may be some later.
            let missing = targets_in(probe, &region.name).is_empty() && !probe.discovers();
            if missing && !lacks_some(probe, &region.name) {
                let message = format!("the probe `{name}` has no target in {}", region.name);
                self.add(asked.element, &asked.path.key("to").index(i), message);
            }
        }
    }

    /// A rule on the targets of every probe that has what it needs.
    fn of_probes(&mut self, asked: Asked<'_>, needs: NeedOfProbe, to: Option<&[String]>) {
        let all = asked.known.probes;
        let some = all.iter().any(|probe| can(probe, needs));
        if !some && !self.problems.names(0, &Path::root("probes")) {
            let message = match needs {
                NeedOfProbe::Nothing => "there is no probe",
                NeedOfProbe::Packets => "no probe is a ping, so that no packets are counted",
                NeedOfProbe::Tls => "no probe sees a certificate",
            };
            self.add(asked.element, asked.path, message);
        }
        let before = self.problems.len();
        for probe in all.iter().filter(|probe| can(probe, needs)) {
            let name = &probe.name;
            self.pace(asked, probe, &format!("for the probe `{name}`: "));
            if self.problems.len() > before {
                break;
            }
        }
        if !some || self.problems.names(0, &Path::root("probes")) {
            return;
        }
        for (i, region) in to.into_iter().flatten().enumerate() {
            let mut regions = asked.known.regions.iter();
            let Some(region) = regions.find(|known| *known.name == **region) else {
                continue;
            };
            let mut probes = all.iter().filter(|probe| can(probe, needs));
            if probes.all(|of| targets_in(of, &region.name).is_empty() && !of.discovers()) {
                let message = format!("no probe that it is for has a target in {}", region.name);
                self.add(asked.element, &asked.path.key("to").index(i), message);
            }
        }
    }

    /// Whether the windows of the condition suit how often the probe runs.
    fn pace(&mut self, asked: Asked<'_>, probe: &Probe, of: &str) {
        let pace = Pace {
            interval: probe.interval,
            timeout: probe.timeout,
        };
        for problem in asked.when.kind().problems_at(pace) {
            // Where it is not set, it is the default that does not suit.
            let path = asked.path.key(problem.field);
            self.add(asked.element, &path, format!("{of}{}", problem.message));
        }
    }

    fn target_regions(&mut self, asked: Asked<'_>, to: &[String]) {
        let path = asked.path.key("to");
        if to.is_empty() && is_empty(path.deepest(&asked.element.value)) {
            self.add(
                asked.element,
                &path,
                "no region: leave `to` out for every region",
            );
        }
        self.regions_once(asked.element, &path, to, asked.known.regions);
    }

    /// A rule on one group, or its standbys.
    fn of_group(&mut self, asked: Asked<'_>, name: &str, needs: NeedOfGroup) {
        let path = asked.path.key("group");
        if !asked.known.group_names.iter().any(|known| known == name) {
            let message = format!("there is no group `{name}`");
            let mut problem = asked.element.problem(self.places, &path, message);
            let names = asked.known.group_names.iter().map(String::as_str);
            problem.help = choices(name, names);
            self.problems.push(problem);
            return;
        }
        let mut groups = asked.known.groups.iter();
        let Some(group) = groups.find(|group| *group.name == *name) else {
            return;
        };
        // What it lacks may be just what could not be read.
        if self.lacks(asked, group, needs) && !self.problems.names(0, &Path::root("groups")) {
            let message = match needs {
                NeedOfGroup::Rpo if has_database(asked, group) => {
                    format!("the group `{name}` has no `objectives.rpo`: set `above`")
                }
                _ => format!("the group `{name}` has no database"),
            };
            self.add(asked.element, &path, message);
        }
    }

    /// A rule on every group that has what it needs, or their standbys.
    fn of_groups(&mut self, asked: Asked<'_>, needs: NeedOfGroup) {
        let mut groups = asked.known.groups.iter();
        if groups.any(|group| !self.lacks(asked, group, needs))
            || self.problems.names(0, &Path::root("groups"))
        {
            return;
        }
        let message = match needs {
            NeedOfGroup::Nothing => "there is no group",
            NeedOfGroup::Database => "there is no group with a database",
            NeedOfGroup::Rpo => "there is no group with a database and `objectives.rpo`",
        };
        self.add(asked.element, asked.path, message);
    }

    /// Whether a group lacks what a condition needs, as far as is known.
    fn lacks(&self, asked: Asked<'_>, group: &Group, needs: NeedOfGroup) -> bool {
        let unread = self.problems.names(0, &Path::root("probes"));
        let database = unread || has_database(asked, group);
        match needs {
            NeedOfGroup::Nothing => false,
            NeedOfGroup::Database => !database,
            NeedOfGroup::Rpo => !database || group.objectives.rpo.is_none(),
        }
    }
}

fn has_database(asked: Asked<'_>, group: &Group) -> bool {
    let members = group.probes.iter();
    let mut probes = members.filter_map(|member| {
        let mut probes = asked.known.probes.iter();
        probes.find(|probe| probe.name == member.probe)
    });
    probes.any(|probe| probe.check.is_database())
}

fn can(probe: &Probe, needs: NeedOfProbe) -> bool {
    match needs {
        NeedOfProbe::Nothing => true,
        NeedOfProbe::Packets => probe.check.kind() == "ping",
        NeedOfProbe::Tls => {
            let mut targets = probe.targets.iter();
            targets.any(|target| probe.check.speaks_tls(&target.address))
                || probe.may_discover_tls()
        }
    }
}
