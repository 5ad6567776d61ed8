//! What the host lacks for a plan, and the lines that fix it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, getrlimit};

use super::{Plan, PlannedTarget};
use crate::net::{Endpoint, Family, Host, IpVersion, Resolver, Stopwatch};

/// File descriptors that the daemon needs beside those of its runs: its listeners and their
/// connections, logs, state, and some to spare.
const RESERVE: usize = 512;
/// Names that are asked for at once.
const QUESTIONS: usize = 256;

/// Something that the host lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What, and what comes of it.
    pub what: String,
    /// A line to run or to write, if one would do.
    pub fix: Option<String>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.fix
            .iter()
            .try_for_each(|fix| write!(f, "\n  fix: {fix}"))
    }
}

/// The protocol of a ping's target; of a name it is not known, and mostly this.
fn family(address: &str) -> Family {
    match Host::parse(address) {
        Ok(Host::Ip(IpAddr::V6(_))) => Family::V6,
        _ => Family::V4,
    }
}

/// The permission to ping, if the plan needs it. `open` tries to open a socket and says why not.
pub fn icmp(plan: &Plan, mut open: impl FnMut(Family) -> Result<(), String>) -> Option<Lack> {
    let pings = plan.targets.iter().filter(|t| t.target.kind == "ping");
    let families: BTreeSet<Family> = pings.map(|ping| family(&ping.target.address)).collect();
    let why = families.into_iter().find_map(|family| open(family).err())?;
    Some(Lack {
        what: format!(
            "no permission to ping ({why}): every ping would be unknown, reason no_permission"
        ),
        fix: Some(
            "sysctl -w net.ipv4.ping_group_range='0 2147483647', or in the unit's [Service]: \
             AmbientCapabilities=CAP_NET_RAW"
                .to_owned(),
        ),
    })
}

/// How many files this process may have open; `None` without a limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether the limit of open files is enough for the runs that may be under way at once.
pub fn file_descriptors(plan: &Plan, limit: Option<u64>) -> Option<Lack> {
    let runs = plan.limits.max_in_flight.min(plan.targets.len());
    let needed = (runs + RESERVE) as u64;
    let limit = limit.filter(|limit| *limit < needed)?;
    let round = needed.next_power_of_two();
    Some(Lack {
        what: format!(
            "this process may open {limit} files, but up to {runs} runs at once and the daemon \
             itself need {needed}: runs would fail with reason local_resources"
        ),
        fix: Some(format!(
            "in the unit's [Service]: LimitNOFILE={round} (in a shell: ulimit -n {round})"
        )),
    })
}

/// How long names may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One of them.
    pub each: Duration,
    /// All together.
    pub all: Duration,
}

/// The names of the plan's targets that do not resolve within the patience.
///
/// It is not an error: a name may come and go. That is what is measured.
pub async fn names(plan: &Plan, resolver: &Resolver, patience: Patience) -> Vec<Lack> {
    let mut asked: BTreeMap<String, (Host, &PlannedTarget)> = BTreeMap::new();
    for target in &plan.targets {
        if let Some(host) = host(&target.target.address).filter(Host::is_name) {
            asked.entry(host.to_string()).or_insert((host, target));
        }
    }
    let mut left = asked.len();
    let mut answers = pin!(
        stream::iter(asked.into_values())
            .map(|(host, target)| name(host, target, resolver, patience.each))
            .buffered(QUESTIONS)
            .take_until(tokio::time::sleep(patience.all))
    );
    let mut lacks = Vec::new();
    while let Some(lack) = answers.next().await {
        left -= 1;
        lacks.extend(lack);
    }
    if left > 0 {
        lacks.push(Lack {
            what: format!(
                "not every name was looked up within {:?}: {left} left",
                patience.all
            ),
            fix: None,
        });
    }
    lacks
}

async fn name(
    host: Host,
    target: &PlannedTarget,
    resolver: &Resolver,
    patience: Duration,
) -> Option<Lack> {
    let mut watch = Stopwatch::start();
    let answer = resolver.resolve(&host, IpVersion::Any, &mut watch);
    let why = match tokio::time::timeout(patience, answer).await {
        Ok(Ok(_)) => return None,
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => format!("no answer within {patience:?}"),
    };
    Some(Lack {
        what: format!(
            "the name {host} of the target {} does not resolve: {why}",
            target.target
        ),
        fix: None,
    })
}

/// The host in an address of any kind.
fn host(address: &str) -> Option<Host> {
    if address.contains("://") {
        let url = url::Url::parse(address).ok()?;
        return Host::parse(url.host_str()?).ok();
    }
    // The port does not matter, so that any will do where there is none.
    Endpoint::parse(address, Some(1)).ok().map(|e| e.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_in_addresses_of_every_form() {
        for (address, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("db.internal:5432", "db.internal"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("https://web.internal:8443/healthz", "web.internal"),
            ("http://[::1]/", "::1"),
        ] {
            assert_eq!(host(address).expect(address).to_string(), expected);
        }
        assert_eq!(host("not a host"), None);
    }
}
