//! What the host lacks for a plan, and the lines that fix it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, getrlimit};

use super::{Plan, PlannedTarget};
use crate::net::{Endpoint, Host, IpVersion, Resolver, Stopwatch};

/// File descriptors that the daemon needs beside those of its runs: its listeners and their
/// connections, logs, state, and some to spare.
const RESERVE: usize = 512;
/// Names that are asked for at once.
const QUESTIONS: usize = 32;

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

/// Whether the plan has pings, which need a permission.
pub fn needs_icmp(plan: &Plan) -> bool {
    plan.targets.iter().any(|t| t.target.kind == "ping")
}

/// The permission to ping, if the plan needs it. `open` tries to open the socket and says why not.
pub fn icmp(plan: &Plan, open: impl FnOnce() -> Result<(), String>) -> Option<Lack> {
    if !needs_icmp(plan) {
        return None;
    }
    open().err().map(|why| Lack {
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

/// The names of the plan's targets that do not resolve within `patience`.
///
/// It is not an error: a name may come and go. That is what is measured.
pub async fn names(plan: &Plan, resolver: &Resolver, patience: Duration) -> Vec<Lack> {
    let mut asked: BTreeMap<String, (Host, &PlannedTarget)> = BTreeMap::new();
    for target in &plan.targets {
        if let Some(host) = host(&target.target.address).filter(Host::is_name) {
            asked.entry(host.to_string()).or_insert((host, target));
        }
    }
    stream::iter(asked.into_values())
        .map(|(host, target)| name(host, target, resolver, patience))
        .buffered(QUESTIONS)
        .filter_map(|lack| async { lack })
        .collect()
        .await
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
