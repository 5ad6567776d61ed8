//! Services in DNS: the hosts and ports of SRV records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::settings::{DnsSettings, interval};
use super::{Answer, At, Found, list};
use crate::model::Problem;
use crate::net::{Endpoint, Host, Resolver};
use crate::notify::Context;

/// How often to ask, unless set; Prometheus has the same.
const INTERVAL: Duration = Duration::from_secs(30);
/// Names that one source may have.
const MAX_NAMES: usize = 64;

/// Asks for the records of some names.
#[derive(Debug)]
pub(super) struct Services {
    resolver: Arc<Resolver>,
    names: Vec<Name>,
    pub(super) interval: Duration,
}

#[derive(Debug)]
struct Name {
    name: Arc<str>,
    /// Where its service was last.
    last: Option<Arc<[Found]>>,
}

impl DnsSettings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Services, Vec<Problem>> {
        let mut problems = Vec::new();
        for (at, name) in self.names.iter().enumerate() {
            if !matches!(Host::parse(name), Ok(Host::Name(_))) {
                let message = "expected a name like _postgresql._tcp.orders.internal";
                problems.push(Problem::new(format!("names[{at}]"), message));
            }
        }
        if !(1..=MAX_NAMES).contains(&self.names.len()) {
            let message = format!("expected 1 to {MAX_NAMES} names");
            problems.push(Problem::new("names", message));
        }
        let interval = interval(self.refresh_interval, INTERVAL, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let names = self.names.iter().map(|name| Name {
            name: name.as_str().into(),
            last: None,
        });
        Ok(Services {
            resolver: Arc::clone(&context.resolver),
            names: names.collect(),
            interval,
        })
    }
}

impl Services {
    /// Each name has so long to be answered: the others do not wait for one whose servers are silent.
    pub(super) async fn ask(&mut self, patience: Duration) -> Answer {
        let resolver = &self.resolver;
        let asked = self.names.iter_mut().map(async |name| {
            match timeout(patience, resolver.services(&name.name)).await {
                Ok(Ok(endpoints)) => {
                    name.last = Some(found(&endpoints, &name.name));
                    None
                }
                Ok(Err(failure)) => Some(failure.detail.to_string()),
                Err(_) => Some(format!("resolve {}: no answer in time", name.name)),
            }
        });
        let faults: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let known = || self.names.iter().filter_map(|name| name.last.as_ref());
        Answer {
            targets: known().next().map(|_| list::all(known())),
            faults,
            read: true,
        }
    }
}

fn found(endpoints: &[Endpoint], name: &Arc<str>) -> Arc<[Found]> {
    let labels = Arc::new(BTreeMap::from([(
        "__meta_dns_name".to_owned(),
        name.to_string(),
    )]));
    let found = endpoints
        .iter()
        .enumerate()
        .map(|(target, endpoint)| Found {
            address: endpoint.to_string().into(),
            labels: Arc::clone(&labels),
            at: At {
                list: Arc::clone(name),
                group: 0,
                target,
            },
        });
    found.collect()
}
