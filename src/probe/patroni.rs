//! `patroni`: what the HA manager Patroni says of the `PostgreSQL` server that it manages, and
//! whether it would promote it: `GET /patroni` of its REST API.

mod status;

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use serde::Deserialize;
use smallvec::smallvec;

use self::status::Status;
use super::api::{Api, Base, Way, expect_ok};
use super::{Context, Probe, Problem, Run, Template};
use crate::model::{FactSet, Facts, Failure, Reply, Shape};
use crate::net::http::own_headers;
use crate::net::{IpVersion, Stopwatch, TlsSettings};

/// The settings of `check: { patroni: … }`. The target is the URL of the REST API.
///
/// There are no credentials: Patroni asks for them only where something would be changed. A client
/// certificate it may ask of everyone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name under which the API is asked, instead of the URL's host.
    pub host: Option<String>,
    /// How to speak TLS, for `https` addresses.
    pub tls: TlsSettings,
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
    /// The local address to send from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point of what is sent, 0 to 63.
    pub dscp: Option<u8>,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = Vec::new();
        let way = Way {
            host: self.host.as_deref(),
            tls: &self.tls,
            ip_version: self.ip_version,
            source_address: self.source_address,
            dscp: self.dscp,
        };
        let api = Api::new(&way, own_headers("identity"), context, &mut problems);
        if problems.is_empty() {
            Ok(Box::new(Arc::new(api)))
        } else {
            Err(problems)
        }
    }
}

struct Target {
    base: Base,
    path: Uri,
    api: Arc<Api>,
}

impl Template for Arc<Api> {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let base = self.base(address)?;
        Ok(Arc::new(Target {
            path: base.below("patroni", &[])?,
            api: Self::clone(self),
            base,
        }))
    }
}

impl Target {
    async fn measure(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let mut facts = Facts::default();
        match self.ask(watch, &mut facts).await {
            Ok(()) => Ok(Reply {
                latencies: smallvec![watch.laps().total()],
                facts,
            }),
            Err(failure) => Err(failure.with_facts(facts)),
        }
    }

    async fn ask(&self, watch: &mut Stopwatch, facts: &mut Facts) -> Result<(), Failure> {
        let address = self.api.resolve(&self.base, watch, facts).await?;
        let answer = self.api.get(&self.base, &self.path, address, watch, facts);
        let answer = answer.await?;
        expect_ok(&answer)?;
        let status = Status::read(&answer.body)?;
        facts.version = status.version();
        facts.manager = Some(status.facts(&answer.headers));
        Ok(())
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.measure(watch))
    }

    fn shape(&self) -> Shape {
        let shape = self.api.shape(&self.base);
        Shape {
            facts: FactSet {
                manager: true,
                version: true,
                ..shape.facts
            },
            ..shape
        }
    }
}
