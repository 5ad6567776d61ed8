//! `http`: one request over a fresh connection, and what a good answer looks like.
//!
//! The address of a target is a URL. Its phases are resolve (names only), connect (through a proxy:
//! with its consent), tls, processing (from the request to the head of the answer) and transfer (to
//! the last byte of the body); redirects add to them. There is no pool, no retry and, unless asked
//! for, no redirect, so that a run shows what a new client meets.

mod decode;
mod expect;
mod redirect;
mod request;
mod run;
mod settings;
mod status;

use std::sync::Arc;

use http::Method;
use url::Url;

use self::expect::Expectations;
use self::request::Prototype;
use self::settings::Decompress;
pub(super) use self::settings::Settings;
use super::{Context, Probe, Problem, Run, Template};
use crate::model::{FactSet, Phase, PhaseSet, Reason, ReasonSet, Shape};
use crate::net::http::{Destination, Names};
use crate::net::{Addresses, Dial, Endpoint, Https, IpVersion, Resolver, Stopwatch};

/// Redirects that can be followed at most.
const MAX_REDIRECTS: u8 = 10;
/// The largest body that can be allowed where it is only counted.
const MAX_BODY_BYTES: u64 = 1 << 30;
/// The largest where it is kept: it is decompressed and judged in one piece, while the other runs of
/// the thread wait.
const MAX_KEPT_BYTES: u64 = 8 << 20;

/// What the targets of a probe share.
struct Http {
    prototype: Prototype,
    expectations: Expectations,
    names: Names,
    tls: Https,
    resolver: Arc<Resolver>,
    dial: Dial,
    proxy: Option<Endpoint>,
    ip_version: IpVersion,
    addresses: Addresses,
    max_body_bytes: u64,
    follow_redirects: u8,
    http2: bool,
    decompress: Decompress,
    skips_verification: bool,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = Vec::new();
        let expectations = Expectations::new(self, &mut problems);
        let prototype = Prototype::new(self, &context.files, &mut problems);
        let server_name = self.tls.server_name.as_deref();
        let names = Names::new(self.host.as_deref(), server_name, &mut problems);
        let proxy = self.proxy(&mut problems);
        let tls = Https::new(
            &self.tls,
            &context.roots,
            |path| context.files.read(path),
            &mut problems,
        );
        let (dial, ip_version) = self.dial(&mut problems);
        self.check(&expectations, &prototype, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Arc::new(Http {
            prototype,
            expectations,
            names,
            tls,
            resolver: Arc::clone(&context.resolver),
            dial,
            proxy,
            ip_version,
            addresses: self.addresses,
            max_body_bytes: self.max_body_bytes,
            follow_redirects: self.follow_redirects,
            http2: self.http2,
            decompress: self.decompress,
            skips_verification: self.tls.insecure_skip_verify,
        })))
    }

    fn proxy(&self, problems: &mut Vec<Problem>) -> Option<Endpoint> {
        let text = self.proxy.as_ref()?;
        let proxy = Url::parse(text)
            .map_err(|e| format!("not a URL: {e}"))
            .and_then(|url| Destination::new(&url, &Names::default()));
        let why = match proxy {
            Ok(d) if d.tls.is_none() && d.path == "/" => return Some(d.dial),
            Ok(_) => "it has more or other parts".to_owned(),
            Err(why) => why,
        };
        let message = format!("{why}; expected http://host:port");
        problems.push(Problem::new("proxy", message));
        None
    }

    fn dial(&self, problems: &mut Vec<Problem>) -> (Dial, IpVersion) {
        Dial::from_settings(self.source_address, self.dscp, self.ip_version)
            .map_err(|(field, why)| problems.push(Problem::new(field, why)))
            .unwrap_or_default()
    }

    fn check(&self, rules: &Expectations, prototype: &Prototype, problems: &mut Vec<Problem>) {
        let mut check = |good: bool, field: &str, message: &str| {
            if !good {
                problems.push(Problem::new(field, message));
            }
        };
        check(
            self.follow_redirects <= MAX_REDIRECTS,
            "follow_redirects",
            "at most 10 redirects can be followed",
        );
        check(
            (1..=MAX_BODY_BYTES).contains(&self.max_body_bytes),
            "max_body_bytes",
            "expected 1 to 1073741824 (1 GiB)",
        );
        let keeps = self.decompress == Decompress::Gzip || rules.reads_body();
        check(
            !keeps || !(MAX_KEPT_BYTES + 1..=MAX_BODY_BYTES).contains(&self.max_body_bytes),
            "max_body_bytes",
            "a body that is decompressed or looked at may have 8388608 bytes (8 MiB) at most",
        );
        check(
            prototype.method != Method::HEAD || !rules.reads_body(),
            "method",
            "the answer to HEAD has no body to look at; use GET",
        );
    }
}

impl Http {
    fn check_target(&self, destination: &Destination) -> Result<(), String> {
        if self.proxy.is_none() {
            self.ip_version.check(&destination.dial.host)?;
        }
        if destination.tls.is_some() {
            self.tls.client()?;
        } else if self.proxy.is_some() && self.names.host.is_some() {
            return Err(
                "`host` cannot be used for plain http through a proxy: it goes by the URL"
                    .to_owned(),
            );
        } else if self.follow_redirects > 0 {
            // A redirect may need it, and a run is no place to read files.
            let _ = self.tls.client();
        }
        Ok(())
    }
}

impl Template for Arc<Http> {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let destination = Destination::parse(address, &self.names)?;
        self.check_target(&destination)?;
        Ok(Arc::new(Target {
            destination,
            http: Self::clone(self),
        }))
    }
}

struct Target {
    destination: Destination,
    http: Arc<Http>,
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.measure(watch))
    }

    fn shape(&self) -> Shape {
        let http = &*self.http;
        let dialled = http.proxy.as_ref().unwrap_or(&self.destination.dial);
        let follows = http.follow_redirects > 0;
        let named = dialled.host.is_name();
        let resolves = named || (follows && http.proxy.is_none());
        let encrypts = self.destination.tls.is_some() || follows;
        let rules = &http.expectations;
        let of = |reason| ReasonSet::of(&[reason]);
        Shape {
            phases: PhaseSet::of(&[Phase::Connect, Phase::Processing, Phase::Transfer])
                .with_if(resolves, Phase::Resolve)
                .with_if(encrypts, Phase::Tls),
            reasons: ReasonSet::CONNECT
                .and(ReasonSet::HTTP)
                .and_if(resolves, ReasonSet::RESOLVE)
                .and_if(encrypts, ReasonSet::TLS)
                .and_if(encrypts && http.proxy.is_some(), of(Reason::Auth))
                .and_if(rules.judges_headers(), of(Reason::Header))
                .and_if(rules.judges_body(), of(Reason::Body))
                .and_if(follows, of(Reason::Redirect)),
            facts: FactSet {
                addresses: named,
                http: true,
                tls: encrypts,
                version: rules.tells_version(),
                tls_unverified: encrypts && http.skips_verification,
                ..FactSet::default()
            },
        }
    }
}
