//! The groups: which regions and probes they join, and which target of a database is whose.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ::config::{Map, ValueKind};

use super::super::load::Element;
use super::super::place::{Path, Place};
use super::super::problem::{Problem, choices, nearest};
use super::super::{Group, GroupProbe, Probe, Region, schema, strict};
use super::checks::Asked;
use super::promises::{Standbys, assumed};
use super::targets::is_empty;
use super::{Check, find};

/// For how long after a failover every other one is held back, where the group does not say.
const BLOCK: Duration = Duration::from_hours(1);

/// The most names that an error lists.
const MAX_LISTED: usize = 20;

/// The names in a list of elements, of good ones and bad ones.
pub(in super::super) fn names(elements: &[Element]) -> Vec<String> {
    let names = elements.iter().filter_map(|element| {
        let path = Path::root("name");
        match &path.deepest(&element.value).kind {
            ValueKind::String(name) => Some(name.clone()),
            _ => None,
        }
    });
    names.collect()
}

/// The probes that a group can have.
struct Probes<'a> {
    /// All that there are, also those that could not be read.
    names: &'a [String],
    read: HashMap<&'a str, &'a Probe>,
}

impl<'a> Probes<'a> {
    fn member(&self, member: &GroupProbe) -> (Arc<str>, Option<&'a Probe>) {
        let read = self.read.get(&*member.probe).copied();
        (Arc::clone(&member.probe), read)
    }
}

/// One entry of a group's `probes`.
struct Entry<'a> {
    element: &'a Element,
    path: Path,
    /// The group's regions, the primary first.
    regions: &'a [Arc<str>],
    /// Whether they are all known.
    sound: bool,
}

impl Check<'_> {
    /// `named` are the names of all probes, `probes` those that could be read.
    pub(in super::super) fn groups(
        &mut self,
        elements: &[Element],
        regions: &[Region],
        named: &[String],
        probes: &[Probe],
    ) -> Vec<Group> {
        let known = Probes {
            names: named,
            read: probes.iter().map(|probe| (&*probe.name, probe)).collect(),
        };
        let mut taken = HashMap::new();
        let groups = elements
            .iter()
            .filter_map(|element| self.group(element, regions, &known, &mut taken));
        let groups: Vec<_> = groups.collect();
        // One without a good name may be in any group.
        let named = probes.iter().filter(|probe| !probe.name.is_empty());
        for probe in named.filter(|probe| probe.check.canary()) {
            self.canary(probe, &groups);
        }
        groups
    }

    fn group(
        &mut self,
        element: &Element,
        regions: &[Region],
        probes: &Probes<'_>,
        taken: &mut HashMap<String, Place>,
    ) -> Option<Group> {
        let before = self.problems.len();
        let mut read: schema::Group =
            strict::read(&element.value, &element.path, self.places, self.problems)?;
        let name = self.name(element, read.name.as_deref(), taken);
        let primary = self.primary(element, read.primary.as_deref(), regions);
        let names = read.standbys.as_deref();
        let standbys = self.standbys(element, names, primary.as_ref(), regions);
        let faulty = |key| self.problems.names(before, &element.path.key(key));
        let sound = primary.is_some() && !standbys.is_empty() && !faulty("standbys");
        let all: Vec<_> = primary.iter().chain(&standbys).cloned().collect();
        let listed = read.probes.take();
        let members = self.group_probes(element, listed, probes, &all, sound);
        let outside = self.outside(element, &read, &standbys, regions);
        let known = Standbys {
            regions: &standbys,
            sound: !self.problems.names(before, &element.path.key("standbys")),
        };
        let preference = self.preference(element, read.preference.as_deref(), known);
        let holds = self.holds(element, known);
        let objectives = self.objectives(element, &read.objectives);
        let asked = Asked {
            element,
            probes: members.iter().map(|member| probes.member(member)).collect(),
            sound: !self.problems.names(before, &element.path.key("probes")),
            standbys: &standbys,
            objectives,
            outside,
        };
        let ranking = self.ranking(&asked, &read.ranking);
        let checks = self.checks(&asked);
        let user_path = self.user_path(element, read.user_path.as_deref(), probes);
        Some(Group {
            name: name.unwrap_or_default(),
            primary: primary.unwrap_or_default(),
            probes: members,
            objectives,
            preference,
            ranking,
            holds,
            assumed: assumed(&read.assume),
            block: read.block_after_failover.unwrap_or(BLOCK),
            user_path,
            checks,
            standbys,
        })
    }

    /// The probe of the path that users take. It need not be one of the group's.
    fn user_path(
        &mut self,
        element: &Element,
        name: Option<&str>,
        probes: &Probes<'_>,
    ) -> Option<Arc<str>> {
        let name = name?;
        if probes.names.iter().any(|known| known == name) {
            return Some(name.into());
        }
        self.no_probe(element, &Path::root("user_path"), name, probes);
        None
    }

    fn no_probe(&mut self, element: &Element, path: &Path, name: &str, probes: &Probes<'_>) {
        let message = format!("there is no probe `{name}`");
        let mut problem = element.problem(self.places, path, message);
        let names = probes.names.iter().map(String::as_str);
        problem.help = if probes.names.len() > MAX_LISTED {
            nearest(name, names).map(|name| format!("did you mean `{name}`?"))
        } else {
            choices(name, names)
        };
        self.problems.push(problem);
    }

    fn primary(
        &mut self,
        element: &Element,
        name: Option<&str>,
        regions: &[Region],
    ) -> Option<Arc<str>> {
        let Some(name) = name else {
            self.missing(element, "primary");
            return None;
        };
        let region = find(regions, name);
        if region.is_none() {
            self.unknown_region(element, &Path::root("primary"), name, regions);
        }
        region
    }

    fn standbys(
        &mut self,
        element: &Element,
        names: Option<&[String]>,
        primary: Option<&Arc<str>>,
        regions: &[Region],
    ) -> Vec<Arc<str>> {
        let Some(names) = names else {
            self.missing(element, "standbys");
            return Vec::new();
        };
        let path = Path::root("standbys");
        if names.is_empty() && is_empty(path.deepest(&element.value)) {
            self.add(
                element,
                &path,
                "no region: a group has at least one standby",
            );
        }
        for (i, name) in names.iter().enumerate() {
            if primary.is_some_and(|primary| **primary == **name) {
                let message = format!("the region `{name}` is the group's primary");
                self.add(element, &path.index(i), message);
            }
        }
        self.regions_once(element, &path, names, regions)
    }

    fn group_probes(
        &mut self,
        element: &Element,
        read: Option<Vec<schema::GroupProbe>>,
        probes: &Probes<'_>,
        regions: &[Arc<str>],
        sound: bool,
    ) -> Vec<GroupProbe> {
        let Some(read) = read else {
            self.missing(element, "probes");
            return Vec::new();
        };
        let list = Path::root("probes");
        if read.is_empty() && is_empty(list.deepest(&element.value)) {
            self.add(
                element,
                &list,
                "no probe: nothing would be known of the group",
            );
        }
        let mut members: Vec<GroupProbe> = Vec::new();
        for (i, probe) in read.into_iter().enumerate() {
            let entry = Entry {
                element,
                path: list.index(i),
                regions,
                sound,
            };
            let Some(name) = self.group_probe(&entry, &probe, probes) else {
                continue;
            };
            if members.iter().any(|member| *member.probe == *name) {
                let message = format!("the probe `{name}` is listed twice");
                self.add(element, &entry.path, message);
                continue;
            }
            let targets = match probes.read.get(&*name) {
                Some(known) => self.group_targets(&entry, known, &probe.entry.targets),
                None => BTreeMap::new(),
            };
            members.push(GroupProbe {
                probe: name,
                targets,
            });
        }
        members
    }

    /// The name of a probe that there is.
    fn group_probe(
        &mut self,
        entry: &Entry<'_>,
        read: &schema::GroupProbe,
        probes: &Probes<'_>,
    ) -> Option<Arc<str>> {
        let Entry { element, path, .. } = entry;
        let Some(name) = read.entry.name.as_deref() else {
            if let ValueKind::Table(table) = &path.deepest(&element.value).kind
                && !table.contains_key("name")
            {
                self.add(element, path, "the key `name` is missing");
            }
            return None;
        };
        if probes.names.iter().any(|known| known == name) {
            return Some(name.into());
        }
        let path = if read.plain {
            path.clone()
        } else {
            path.key("name")
        };
        self.no_probe(element, &path, name, probes);
        None
    }

    /// The targets that belong to the group: those that it names and, of a database, the only one
    /// of each other region.
    fn group_targets(
        &mut self,
        entry: &Entry<'_>,
        probe: &Probe,
        chosen: &Map<String, String>,
    ) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut targets = BTreeMap::new();
        for (region, target) in chosen {
            if let Some((region, target)) = self.group_target(entry, probe, region, target) {
                targets.insert(region, target);
            }
        }
        if !probe.check.is_database() {
            return targets;
        }
        for region in entry.regions {
            if chosen.contains_key(&**region) || lacks_some(probe, region) {
                continue;
            }
            match targets_in(probe, region).as_slice() {
                [only] => {
                    targets.insert(Arc::clone(region), Arc::clone(only));
                }
                names => self.undecided(entry, probe, region, names),
            }
        }
        targets
    }

    /// A region of the group and a target that the probe has there.
    fn group_target(
        &mut self,
        entry: &Entry<'_>,
        probe: &Probe,
        region: &str,
        target: &str,
    ) -> Option<(Arc<str>, Arc<str>)> {
        let Entry { element, path, .. } = entry;
        let path = path.key("targets").key(region);
        let Some(region) = entry.regions.iter().find(|known| ***known == *region) else {
            if entry.sound {
                let place = self.places.of_key(path.deepest(&element.value));
                let message = format!("the group has no region `{region}`");
                let mut problem = Problem::new(place, &element.path.join(&path), message);
                problem.help = choices(region, entry.regions.iter().map(|region| &**region));
                self.problems.push(problem);
            }
            return None;
        };
        let names = targets_in(probe, region);
        if let Some(name) = names.iter().find(|name| ***name == *target) {
            return Some((Arc::clone(region), Arc::clone(name)));
        }
        if probe.discovers() {
            let message = format!(
                "the probe `{}` has no target `{target}` in {region} yet",
                probe.name
            );
            self.not_yet(entry, probe, message);
            return Some((Arc::clone(region), target.into()));
        }
        if !lacks_some(probe, region) {
            let message = format!(
                "the probe `{}` has no target `{target}` in {region}",
                probe.name
            );
            let mut problem = element.problem(self.places, &path, message);
            problem.help = choices(target, names.iter().map(|name| &**name));
            self.problems.push(problem);
        }
        None
    }

    /// Says that nobody can tell which target of a database is the group's in a region.
    fn undecided(
        &mut self,
        entry: &Entry<'_>,
        probe: &Probe,
        region: &Arc<str>,
        names: &[Arc<str>],
    ) {
        let name = &probe.name;
        if probe.discovers() {
            let count = names.len();
            let message = format!(
                "the database `{name}` has {count} targets in {region} now, where it has to have one"
            );
            self.not_yet(entry, probe, message);
            return;
        }
        let problem = |message: String| entry.element.problem(self.places, &entry.path, message);
        self.problems.push(match names {
            [] => problem(format!(
                "the database `{name}` has no target in {region}, a region of the group"
            )),
            [first, ..] => problem(format!(
                "the database `{name}` has {} targets in {region}: say which one is the group's",
                names.len()
            ))
            .help(format!(
                "write {{ name: {name}, targets: {{ {region}: {first} }} }} with one of: {}",
                names.join(", ")
            )),
        });
    }

    /// Warns of what the targets lack that were discovered: they come and go, and what they answer is
    /// unknown until there are the right ones.
    fn not_yet(&mut self, entry: &Entry<'_>, probe: &Probe, message: String) {
        if probe.asks {
            let problem = entry.element.problem(self.places, &entry.path, message);
            self.warnings
                .push(problem.help("what it would answer is unknown until then"));
        }
    }

    /// A canary is written to the primary only: one group has to say which target that is.
    fn canary(&mut self, probe: &Probe, groups: &[Group]) {
        let has = |group: &&Group| group.probes.iter().any(|member| member.probe == probe.name);
        let of: Vec<_> = groups
            .iter()
            .filter(has)
            .map(|group| &*group.name)
            .collect();
        let message = match of.as_slice() {
            [_] => return,
            // A group that could not be read may have it.
            [] if self.problems.names(0, &Path::root("groups")) => return,
            [] => {
                "the probe is in no group, so that nobody knows which target is the primary that \
                   the canary is to be written to"
                    .to_owned()
            }
            names => format!(
                "the probe is in {} groups ({}), which may differ in the primary that its one \
                 canary is to be written to",
                names.len(),
                names.join(", ")
            ),
        };
        let path = Path::root("check").key(probe.check.kind()).key("canary");
        let help = match of.as_slice() {
            [] => "add it to the `probes` of a group",
            _ => "give each group a probe of its own",
        };
        let problem = probe.element.problem(self.places, &path, message);
        self.problems.push(problem.help(help));
    }
}

/// The names of a probe's targets in a region.
pub(super) fn targets_in(probe: &Probe, region: &Arc<str>) -> Vec<Arc<str>> {
    let targets = probe.targets.iter();
    let targets = targets.filter(|target| target.region == *region);
    targets.map(|target| Arc::clone(&target.name)).collect()
}

/// Whether a target of a region could not be read, which was reported.
pub(super) fn lacks_some(probe: &Probe, region: &Arc<str>) -> bool {
    let list = Path::root("targets").key(region);
    let written = match &list.deepest(&probe.element.value).kind {
        ValueKind::Array(list) => list.len(),
        ValueKind::Table(_) => 0,
        _ => 1,
    };
    written > targets_in(probe, region).len()
}
