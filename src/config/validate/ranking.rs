//! Which latency ranks the standbys of a group.

use super::super::place::Path;
use super::super::problem::choices;
use super::super::{Ranking, schema};
use super::Check;
use super::checks::Asked;
use super::groups::{lacks_some, targets_in};

impl Check<'_> {
    pub(super) fn ranking(&mut self, asked: &Asked<'_>, read: &schema::Ranking) -> Ranking {
        let path = Path::root("ranking").key("probe");
        let name = read.probe.as_deref();
        let named = name.and_then(|name| asked.probes.iter().find(|(known, _)| **known == *name));
        match (name, named) {
            // It may be one that is misspelt in the group's own list.
            (Some(name), None) if asked.sound => {
                let message = format!("the group has no probe `{name}`");
                let mut problem = asked.element.problem(self.places, &path, message);
                problem.help = choices(name, asked.probes.iter().map(|(name, _)| &**name));
                self.problems.push(problem);
            }
            (_, Some((name, Some(probe)))) => {
                let missing =
                    |region| targets_in(probe, region).is_empty() && !lacks_some(probe, region);
                // Where targets come and go, it is not ranked while there are none.
                let fixed = asked.standbys.iter().filter(|_| !probe.discovers());
                for region in fixed.filter(|region| missing(region)) {
                    let message = format!(
                        "the probe `{name}` has no target in {region}, a standby of the group, \
                         which could never be ranked"
                    );
                    self.add(asked.element, &path, message);
                }
            }
            _ => {}
        }
        Ranking {
            probe: named.map(|(name, _)| name.clone()),
            quantile: read.quantile.unwrap_or_default(),
        }
    }
}
