//! One run: every address in turn, every redirect of it, and the verdict.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::Method;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::request::Form;
use super::settings::Decompress;
use super::{Http, Target, decode, redirect};
use crate::model::{Facts, Failure, Latencies, Reason, Reply, TlsFacts};
use crate::net::http::{Answer, Destination, Exchange, tunnel, wire_cap};
use crate::net::{Host, Stopwatch, TlsClient, Wire};

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// One request of a run.
struct Hop<'a> {
    to: Cow<'a, Destination>,
    method: Method,
    /// Whether the destination may see what is meant for the target: it is the target still.
    trusted: bool,
    redirects: u32,
}

impl Target {
    /// Measures the target.
    pub(super) async fn measure(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let http = &*self.http;
        let host = &http.proxy.as_ref().unwrap_or(&self.destination.dial).host;
        let addresses = http.resolver.resolve(host, http.ip_version, watch).await?;
        let mut begun = Instant::now();
        let resolved = begun - watch.started();
        let mut facts = Facts::default();
        if host.is_name() {
            facts.addresses.clone_from(&addresses);
        }
        let mut latencies = Latencies::new();
        for address in http.addresses.of(&addresses) {
            match self.visit(*address, watch, &mut facts).await {
                Ok(ended) => latencies.push(resolved + (ended - begun)),
                Err(failure) => return Err(complete(failure, facts)),
            }
            begun = Instant::now();
        }
        Ok(Reply { latencies, facts })
    }

    /// Asks the target at one address; tells when the last byte had come.
    async fn visit(
        &self,
        address: IpAddr,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<Instant, Failure> {
        let http = &*self.http;
        let mut hop = Hop {
            to: Cow::Borrowed(&self.destination),
            method: http.prototype.method.clone(),
            trusted: true,
            redirects: 0,
        };
        loop {
            let mut answer = match self.ask(&hop, address, watch, facts).await {
                Ok(answer) => answer,
                Err(failure) => return Err(redirected(failure, hop.redirects)),
            };
            let ended = Instant::now();
            answer.facts.redirects = hop.redirects;
            facts.http = Some(answer.facts);
            let leads_on = http.follow_redirects > 0
                && redirect::is_redirect(answer.status)
                && !http.expectations.accepts(answer.status.as_u16());
            if !leads_on {
                http.judge(&answer, facts)?;
                return Ok(ended);
            }
            hop = self.next(&hop, &answer)?;
            answer.facts.redirects = hop.redirects;
            facts.http = Some(answer.facts);
        }
    }

    fn next(&self, hop: &Hop<'_>, answer: &Answer) -> Result<Hop<'static>, Failure> {
        let http = &*self.http;
        if hop.redirects >= u32::from(http.follow_redirects) {
            return Err(Failure::new(
                Reason::Redirect,
                format_args!("more than {} redirects", http.follow_redirects),
            ));
        }
        let to = redirect::next(&self.destination, &hop.to, &http.names, &answer.headers)?;
        let method = redirect::method_after(answer.status, &hop.method);
        // Once away, never trusted again: whoever led back chose the path.
        let trusted = hop.trusted && to.is_same_origin(&self.destination);
        if !trusted && method == http.prototype.method && http.prototype.has_body() {
            return Err(Failure::new(
                Reason::Redirect,
                "a redirect of a request with a body to another origin",
            ));
        }
        Ok(Hop {
            to: Cow::Owned(to),
            method,
            trusted,
            redirects: hop.redirects + 1,
        })
    }

    /// Does one exchange with the hop's destination.
    async fn ask(
        &self,
        hop: &Hop<'_>,
        first: IpAddr,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<Answer, Failure> {
        let http = &*self.http;
        let address = self.address(hop, first, watch).await?;
        let mut wire = http
            .dial
            .connect(address, wire_cap(http.max_body_bytes), watch)
            .await?;
        let Some(name) = &hop.to.tls else {
            let form = match http.proxy {
                Some(_) => Form::Proxied,
                None => Form::Path,
            };
            return http.exchange(hop, form).http1(wire, watch).await;
        };
        // Apart, so that a run without TLS does not carry the room for it.
        Box::pin(async move {
            if http.proxy.is_some() {
                let credentials = http.prototype.proxy_authorization();
                tunnel(&mut wire, &hop.to.dial.to_string(), credentials, watch).await?;
            }
            http.ask_tls(hop, name, wire, watch, facts).await
        })
        .await
    }

    /// Where to dial for a hop: the target's own address, as long as the target is meant.
    async fn address(
        &self,
        hop: &Hop<'_>,
        first: IpAddr,
        watch: &mut Stopwatch,
    ) -> Result<SocketAddr, Failure> {
        let http = &*self.http;
        let dial = &hop.to.dial;
        let own = dial.host == self.destination.dial.host;
        if let Some(proxy) = &http.proxy {
            // The proxy dials; what can be known here are literal addresses.
            if let (false, Host::Ip(ip)) = (own, &dial.host) {
                redirect::check(None, *ip)?;
            }
            return Ok(SocketAddr::new(first, proxy.port));
        }
        if own {
            return Ok(SocketAddr::new(first, dial.port));
        }
        let addresses = http
            .resolver
            .resolve(&dial.host, http.ip_version, watch)
            .await?;
        redirect::check(Some(first), addresses[0])?;
        Ok(SocketAddr::new(addresses[0], dial.port))
    }
}

impl Http {
    async fn ask_tls(
        &self,
        hop: &Hop<'_>,
        name: &ServerName<'static>,
        wire: Wire,
        watch: &mut Stopwatch,
        facts: &mut Facts,
    ) -> Result<Answer, Failure> {
        let client = self.tls_for(hop)?;
        let alpn = if self.http2 {
            &[H2, HTTP1][..]
        } else {
            &[HTTP1]
        };
        let (before, mut seen) = (facts.tls.take(), None);
        let stream = client.handshake(wire, name, alpn, &mut seen, watch).await;
        facts.tls = match &stream {
            Ok(_) => first_to_expire(before, seen),
            // The one that was refused.
            Err(_) => seen.or(before),
        };
        let stream = stream?;
        if stream.get_ref().1.alpn_protocol() == Some(H2) {
            let exchange = self.exchange(hop, Form::Http2);
            exchange.http2(stream, watch).await
        } else {
            let exchange = self.exchange(hop, Form::Path);
            exchange.http1(stream, watch).await
        }
    }

    /// The client certificate is for the target alone.
    fn tls_for(&self, hop: &Hop<'_>) -> Result<Cow<'_, TlsClient>, Failure> {
        let client = self
            .tls
            .client()
            .map_err(|why| Failure::new(Reason::LocalResources, why))?;
        Ok(if hop.trusted {
            Cow::Borrowed(client)
        } else {
            Cow::Owned(client.without_identity())
        })
    }

    fn exchange(&self, hop: &Hop<'_>, form: Form) -> Exchange {
        Exchange {
            request: self
                .prototype
                .request(&hop.to, form, &hop.method, hop.trusted),
            max_body_bytes: self.max_body_bytes,
            keep_body: self.decompress == Decompress::Gzip || self.expectations.reads_body(),
        }
    }

    fn judge(&self, answer: &Answer, facts: &mut Facts) -> Result<(), Failure> {
        let rules = &self.expectations;
        let body = if self.decompress == Decompress::Gzip {
            decode::decoded(&answer.headers, &answer.body, self.max_body_bytes)
        } else {
            Ok(Cow::Borrowed(&answer.body[..]))
        };
        let json = body.as_ref().ok().and_then(|body| rules.parse(body));
        // Known of a bad answer too: which version gave it.
        facts.version = rules.version(&answer.headers, json.as_ref());
        rules.judge_status(answer.status.as_u16())?;
        rules.judge_headers(&answer.headers)?;
        rules.judge_body(&body?, json.as_ref())
    }
}

/// Of several sessions in one run, the one that is told of.
fn first_to_expire(
    before: Option<Box<TlsFacts>>,
    new: Option<Box<TlsFacts>>,
) -> Option<Box<TlsFacts>> {
    match (&before, &new) {
        (Some(first), Some(last)) if first.leaf_not_after < last.leaf_not_after => before,
        _ => new,
    }
}

/// The failure of an answer that redirects led to.
fn redirected(mut failure: Failure, redirects: u32) -> Failure {
    let http = failure.facts.as_mut().and_then(|facts| facts.http.as_mut());
    if let Some(http) = http {
        http.redirects = redirects;
    }
    failure
}

/// The failure with all that the run has learned; what the failed part itself learned is newer.
fn complete(mut failure: Failure, mut facts: Facts) -> Failure {
    if let Some(newer) = failure.facts.take() {
        facts.http = newer.http.or(facts.http);
    }
    failure.with_facts(facts)
}
