//! The sources of a probe's targets, and what becomes of the targets that they give.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::super::load::Element;
use super::super::place::Path;
use super::super::plan::shown;
use super::super::{Limits, PlannedSource, Probe, Region, Target, TargetSource, strict};
use super::names::{MAX_LABELS, address_fault, target_label_fault, valid_name};
use super::{Check, find};
use crate::discover::{
    Discovered, DnsSettings, Found, HttpSettings, Refusal, RefusalReason, Settings, SourceId,
    Taking,
};
use crate::metrics::check_label;

/// Bytes of an address that is a name: it is in every series of its target.
const MAX_NAME: usize = 256;
/// The label with the name of a way to a service.
const VARIANT: &str = "variant";

impl Check<'_> {
    pub(super) fn sources(&mut self, element: &Element, regions: &[Region]) -> Vec<TargetSource> {
        let mut sources = Vec::new();
        self.sources_of(
            "targets_file",
            element,
            regions,
            &mut sources,
            Settings::File,
        );
        let http = |settings: HttpSettings| Settings::Http(Box::new(settings));
        self.sources_of("targets_http", element, regions, &mut sources, http);
        self.sources_of(
            "targets_dns",
            element,
            regions,
            &mut sources,
            |s: DnsSettings| Settings::Dns(s),
        );
        sources
    }

    fn sources_of<T: DeserializeOwned>(
        &mut self,
        key: &str,
        element: &Element,
        regions: &[Region],
        sources: &mut Vec<TargetSource>,
        settings: impl Fn(T) -> Settings,
    ) {
        for (at, source) in self.elements(element, key).into_iter().enumerate() {
            let before = self.problems.len();
            let read = strict::read(&source.value, &source.path, self.places, self.problems);
            let Some(settings) = read.map(&settings) else {
                continue;
            };
            let faulty = self.problems.len() > before;
            let mut problems = Vec::new();
            let taking = settings.taking(&mut problems);
            // Of what could not be read, not everything is known.
            for problem in problems.into_iter().filter(|_| !faulty) {
                self.add(&source, &Path::parse(&problem.field), problem.message);
            }
            if let Some(name) = &taking.region
                && find(regions, name).is_none()
            {
                self.unknown_region(&source, &Path::root("region"), name, regions);
            }
            sources.push(TargetSource {
                name: format!("{key}[{at}]").into(),
                path: Path::root(key).index(at),
                settings,
                taking,
                complete: !faulty,
            });
        }
    }
}

/// Adds what was discovered to the targets that are written down.
pub(in super::super) fn discovered(
    probes: &mut [Probe],
    discovered: &Discovered,
    (regions, limits): (&[Region], &Limits),
    here: Option<&Arc<str>>,
) -> Vec<PlannedSource> {
    let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
    for probe in &*probes {
        for from in &probe.from {
            *counts.entry(Arc::clone(from)).or_default() += probe.targets.len();
        }
    }
    let mut planned = Vec::new();
    for probe in probes {
        probe.asks = here.is_some_and(|here| probe.from.contains(here));
        for at in 0..probe.sources.len() {
            let source = &probe.sources[at];
            let id = SourceId {
                probe: Arc::clone(&probe.name),
                source: Arc::clone(&source.name),
            };
            let answer = discovered.of(&id).cloned();
            let mut of_source = PlannedSource {
                id,
                asked: probe.asks,
                given: answer.as_ref().map(|found| found.len()),
                taken: 0,
                refused: Vec::new(),
            };
            let mut merge = Merge {
                taking: source.taking.clone(),
                path: source.path.clone(),
                place: planned.len(),
                regions,
                room: room(probe, &counts, limits),
                names: names_of(probe),
                addresses: addresses_of(probe),
            };
            for found in answer.iter().flat_map(|found| found.iter()) {
                match merge.target(&probe.labels, found, of_source.taken) {
                    Ok(target) => {
                        of_source.taken += 1;
                        probe.targets.push(target);
                    }
                    Err((reason, why)) => of_source.refused.push(Refusal {
                        at: found.at.clone(),
                        reason,
                        why,
                    }),
                }
            }
            for from in &probe.from {
                *counts.entry(Arc::clone(from)).or_default() += of_source.taken;
            }
            planned.push(of_source);
        }
    }
    planned
}

/// How many more targets the probe may have.
fn room(probe: &Probe, counts: &HashMap<Arc<str>, usize>, limits: &Limits) -> usize {
    let counts = probe.from.iter().filter_map(|from| counts.get(from));
    let most = counts.max().copied().unwrap_or_default();
    limits.max_targets.saturating_sub(most)
}

fn names_of(probe: &Probe) -> HashSet<Arc<str>> {
    let targets = probe.targets.iter();
    targets.map(|of| Arc::clone(&of.name)).collect()
}

fn addresses_of(probe: &Probe) -> HashSet<Arc<str>> {
    let targets = probe.targets.iter();
    targets.map(|of| Arc::clone(&of.address)).collect()
}

/// What decides on the targets of one source.
struct Merge<'a> {
    taking: Taking,
    path: Path,
    place: usize,
    regions: &'a [Region],
    room: usize,
    names: HashSet<Arc<str>>,
    addresses: HashSet<Arc<str>>,
}

type Refused = (RefusalReason, String);

impl Merge<'_> {
    fn target(
        &mut self,
        of_probe: &BTreeMap<String, String>,
        found: &Found,
        taken: usize,
    ) -> Result<Target, Refused> {
        let region = self.region(found)?;
        let address: Arc<str> = self.taking.address.replacen("{}", &found.address, 1).into();
        if let Some(why) = address_fault(&address) {
            return Err((RefusalReason::Address, why));
        }
        let name = self.name(found, &address)?;
        let labels = self.labels(of_probe, found)?;
        if self.addresses.contains(&address) {
            let why = "the probe has a target of this address already".to_owned();
            return Err((RefusalReason::Duplicate, why));
        }
        if self.names.contains(&name) {
            let why = format!("the probe has a target `{name}` already");
            return Err((RefusalReason::Duplicate, why));
        }
        for (most, limit) in [
            (self.taking.limit, "limit"),
            (self.room, "limits.max_targets"),
        ] {
            if taken >= most {
                let why = format!("there are more targets than `{limit}` lets in");
                return Err((RefusalReason::Limit, why));
            }
        }
        self.names.insert(Arc::clone(&name));
        self.addresses.insert(Arc::clone(&address));
        Ok(Target {
            region,
            name,
            address,
            labels,
            path: self.path.clone(),
            entry: self.path.clone(),
            source: Some((self.place, found.at.clone())),
        })
    }

    fn region(&self, found: &Found) -> Result<Arc<str>, Refused> {
        let label = &self.taking.region_label;
        let name = match &self.taking.region {
            Some(name) => name,
            None => found.labels.get(label).ok_or_else(|| {
                let why = format!("it has no label `{label}`, which is to tell its region");
                (RefusalReason::Region, why)
            })?,
        };
        find(self.regions, name).ok_or_else(|| {
            let why = format!("there is no region `{}`", shortened(name));
            (RefusalReason::Region, why)
        })
    }

    /// Its label's or, without one, its address, which stays the same wherever in the list it is.
    fn name(&self, found: &Found, address: &Arc<str>) -> Result<Arc<str>, Refused> {
        let Some(label) = &self.taking.name_label else {
            let name = shown(address);
            if name.len() > MAX_NAME {
                let why = format!("its address is longer than {MAX_NAME} bytes: set `name_label`");
                return Err((RefusalReason::Name, why));
            }
            return Ok(name);
        };
        let name = found.labels.get(label).ok_or_else(|| {
            let why = format!("it has no label `{label}`, which is to tell its name");
            (RefusalReason::Name, why)
        })?;
        valid_name(name)
            .map_err(|why| (RefusalReason::Name, format!("the label `{label}`: {why}")))?;
        Ok(name.as_str().into())
    }

    /// The labels that are kept. What is for the discovery only, and what hotspare's series have
    /// themselves, is not.
    fn labels(
        &self,
        of_probe: &BTreeMap<String, String>,
        found: &Found,
    ) -> Result<BTreeMap<String, String>, Refused> {
        let mut labels = of_probe.clone();
        let names = [
            Some(&self.taking.region_label),
            self.taking.name_label.as_ref(),
        ];
        let used = |name: &String| names.contains(&Some(name));
        for (name, value) in found.labels.iter().filter(|(name, _)| !used(name)) {
            if check_label(name).is_err() {
                continue;
            }
            if let Some(why) = target_label_fault(name, value) {
                return Err((RefusalReason::Label, format!("the label `{name}`: {why}")));
            }
            labels.insert(name.clone(), value.clone());
        }
        let count = labels.keys().filter(|name| *name != VARIANT).count();
        if count > MAX_LABELS {
            let why = format!("more than {MAX_LABELS} labels with those of the probe");
            return Err((RefusalReason::Label, why));
        }
        Ok(labels)
    }
}

/// A text of somebody else's, as far as it can be told.
fn shortened(text: &str) -> String {
    let text = crate::model::one_line(text);
    text[..text.floor_char_boundary(64)].to_owned()
}
