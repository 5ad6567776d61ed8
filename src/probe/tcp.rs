//! `tcp`: a connection is opened; with `tls`, a session on top of it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
use smallvec::smallvec;

use super::{Context, Probe, Problem, Run, Template};
use crate::model::{Facts, FactSet, Failure, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape};
use crate::net::{Dial, Endpoint, IpVersion, Resolver, Stopwatch};

/// The settings of `check: { tcp: … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
        Ok(Box::new(Tcp {
            settings: Arc::new(self.clone()),
            resolver: Arc::clone(&context.resolver),
        }))
    }
}

struct Tcp {
    settings: Arc<Settings>,
    resolver: Arc<Resolver>,
}

impl Template for Tcp {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        Ok(Arc::new(Target {
            endpoint: Endpoint::parse(address, None)?,
            settings: Arc::clone(&self.settings),
            resolver: Arc::clone(&self.resolver),
        }))
    }
}

struct Target {
    endpoint: Endpoint,
    settings: Arc<Settings>,
    resolver: Arc<Resolver>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let host = &self.endpoint.host;
        let addresses = self
            .resolver
            .resolve(host, self.settings.ip_version, watch)
            .await?;
        let address = SocketAddr::new(addresses[0], self.endpoint.port);
        let facts = Facts {
            addresses: if host.is_name() { addresses } else { smallvec![] },
            ..Facts::default()
        };
        Dial::default()
            .connect(address, 1 << 20, watch)
            .await
            .map_err(|failure| failure.with_facts(facts.clone()))?;
        Ok(Reply {
            latencies: smallvec![watch.laps().total()],
            facts,
        })
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn shape(&self) -> Shape {
        let named = self.endpoint.host.is_name();
        Shape {
            phases: PhaseSet::of(&[Phase::Connect]).with_if(named, Phase::Resolve),
            reasons: ReasonSet::of(&[Reason::Refused, Reason::Unreachable, Reason::TimeoutConnect])
                .and_if(named, ReasonSet::RESOLVE),
            facts: FactSet {
                addresses: named,
                ..FactSet::default()
            },
        }
    }
}
