//! What kinds have in common that ask a service's API: requests over HTTP/1.1 below the URL that is
//! the target's address, each over a fresh connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use url::{Position, Url};

use super::{Context, Problem};
use crate::model::{FactSet, Facts, Failure, Phase, PhaseSet, Reason, ReasonSet, Shape};
use crate::net::http::{Answer, Destination, Exchange, Names, wire_cap};
use crate::net::{Dial, Https, IpVersion, Resolver, Stopwatch, TlsSettings};

/// Bytes that the body of an answer may have.
const MAX_BODY_BYTES: u64 = 1 << 20;
const HTTP1: &[u8] = b"http/1.1";

/// What settings say of the way to an API.
pub(super) struct Way<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) tls: &'a TlsSettings,
    pub(super) ip_version: IpVersion,
    pub(super) source_address: Option<IpAddr>,
    pub(super) dscp: Option<u8>,
}

/// The way to the APIs of a probe's targets.
pub(super) struct Api {
    headers: HeaderMap,
    names: Names,
    https: Https,
    verifies: bool,
    resolver: Arc<Resolver>,
    dial: Dial,
    ip_version: IpVersion,
}

/// Where one target's API is.
pub(super) struct Base {
    url: Url,
    destination: Destination,
}

impl Api {
    pub(super) fn new(
        way: &Way<'_>,
        headers: HeaderMap,
        context: &Context,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let names = Names::new(way.host, way.tls.server_name.as_deref(), problems);
        let https = Https::new(
            way.tls,
            &context.roots,
            |path| context.files.read(path),
            problems,
        );
        let (dial, ip_version) = Dial::from_settings(way.source_address, way.dscp, way.ip_version)
            .map_err(|(field, why)| problems.push(Problem::new(field, why)))
            .unwrap_or_default();
        Self {
            headers,
            names,
            https,
            verifies: !way.tls.insecure_skip_verify,
            resolver: Arc::clone(&context.resolver),
            dial,
            ip_version,
        }
    }

    /// Reads a target's address.
    pub(super) fn base(&self, address: &str) -> Result<Base, String> {
        let destination = Destination::parse(address, &self.names)?;
        let url = Url::parse(address).map_err(|why| why.to_string())?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the address is where the API is, without `?` and `#`".to_owned());
        }
        self.ip_version.check(&destination.dial.host)?;
        if destination.tls.is_some() {
            self.https.client()?;
        }
        Ok(Base { url, destination })
    }

    /// What every run can bring, beside what its kind makes of the answers.
    pub(super) fn shape(&self, base: &Base) -> Shape {
        let resolves = base.destination.dial.host.is_name();
        let encrypts = base.destination.tls.is_some();
        Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::Processing, Phase::Transfer])
                .with_if(resolves, Phase::Resolve)
                .with_if(encrypts, Phase::Tls),
            reasons: ReasonSet::CONNECT
                .and(ReasonSet::HTTP)
                .and(ReasonSet::of(&[Reason::Auth, Reason::Answer]))
                .and_if(resolves, ReasonSet::RESOLVE)
                .and_if(encrypts, ReasonSet::TLS),
            facts: FactSet {
                addresses: resolves,
                http: true,
                tls: encrypts,
                tls_unverified: encrypts && !self.verifies,
                ..FactSet::default()
            },
        }
    }

    /// The address that a run dials.
    pub(super) async fn resolve(
        &self,
        base: &Base,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<SocketAddr, Failure> {
        let dial = &base.destination.dial;
        let addresses = self.resolver.resolve(&dial.host, self.ip_version, watch);
        let addresses = addresses.await?;
        let first = addresses[0];
        if dial.host.is_name() {
            facts.addresses = addresses;
        }
        Ok(SocketAddr::new(first, dial.port))
    }

    /// Asks for a path at the address. What was learned is added to the facts, also when it fails.
    pub(super) async fn get(
        &self,
        base: &Base,
        path: &Uri,
        address: SocketAddr,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<Answer, Failure> {
        let result = self.exchange(base, path, address, watch, facts).await;
        match result {
            Ok(answer) => {
                facts.http = Some(answer.facts);
                Ok(answer)
            }
            Err(mut failure) => {
                if let Some(seen) = failure.facts.take() {
                    facts.http = seen.http;
                }
                Err(failure)
            }
        }
    }

    async fn exchange(
        &self,
        base: &Base,
        path: &Uri,
        address: SocketAddr,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<Answer, Failure> {
        let exchange = Exchange {
            request: self.request(base, path),
            max_body_bytes: MAX_BODY_BYTES,
            keep_body: true,
        };
        let cap = wire_cap(MAX_BODY_BYTES);
        let wire = self.dial.connect(address, cap, watch).await?;
        let Some(name) = &base.destination.tls else {
            return exchange.http1(wire, watch).await;
        };
        let client = self.https.client();
        let client = client.map_err(|why| Failure::new(Reason::LocalResources, why))?;
        let stream = client
            .handshake(wire, name, &[HTTP1], &mut facts.tls, watch)
            .await?;
        exchange.http1(stream, watch).await
    }

    fn request(&self, base: &Base, path: &Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = path.clone();
        *request.headers_mut() = self.headers.clone();
        let host = base.destination.host.clone();
        request.headers_mut().insert(http::header::HOST, host);
        request
    }
}

impl Base {
    /// A path below this one, with what is asked.
    pub(super) fn below(&self, path: &str, query: &[(&str, &str)]) -> Result<Uri, String> {
        let mut url = self.url.clone();
        let prefix = url.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        PathAndQuery::try_from(&url[Position::BeforePath..Position::AfterQuery])
            .map(Uri::from)
            .map_err(|why| why.to_string())
    }
}

/// The body of an answer whose status is good.
pub(super) fn expect_ok(answer: &Answer) -> Result<(), Failure> {
    let reason = match answer.status.as_u16() {
        200 => return Ok(()),
        401 | 403 => Reason::Auth,
        _ => Reason::Status,
    };
    let status = answer.status;
    Err(Failure::new(
        reason,
        format_args!("the status is {status}, expected 200"),
    ))
}
