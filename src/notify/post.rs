//! One HTTP request to a receiver, or to whoever has a list of targets: a fresh connection, no redirect
//! followed, nothing tried twice.
//!
//! What the settings name is read again for each request, so that a password, a certificate or a URL
//! in a file can change while the daemon runs.

mod answer;
mod redact;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

pub(crate) use self::answer::Answer;
use super::{Context, Refusal, RefusalReason, reach};
use crate::files::SecretSource;
use crate::model::{Failure, Problem, Reason, Secret};
use crate::net::http::{
    self as exchange, Destination, Exchange, Names, authorization, header_name, header_value,
    is_of_connection, own_headers, tunnel, wire_cap,
};
use crate::net::{Endpoint, Stopwatch, TlsClient, TlsSettings};

/// Bytes of an answer that are read. It is only for people.
const MAX_ANSWER_BYTES: u64 = 16 << 10;
/// How long the rest of an answer is waited for whose status is known.
const REST: Duration = Duration::from_secs(1);
const HTTP1: &[u8] = b"http/1.1";

/// What settings say of the way to a receiver, and of who we are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) tls: TlsSettings,
    pub(crate) proxy: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) secret_headers: BTreeMap<String, SecretSource>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) password_env: Option<String>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    pub(crate) bearer_token_env: Option<String>,
}

/// Where the settings say that a URL is, which may be a secret.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UrlSettings<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) file: Option<&'a Path>,
    pub(crate) env: Option<&'a str>,
}

/// A URL, or where to read it.
#[derive(Clone)]
pub(crate) enum Address {
    Known(Box<Destination>),
    Named(SecretSource),
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(destination) => f.write_str(&place(destination)),
            Self::Named(source) => write!(f, "{source:?}"),
        }
    }
}

/// Sends requests on one way.
#[derive(Debug)]
pub(crate) struct Post {
    way: Way,
    names: Names,
    proxy: Option<Endpoint>,
    headers: HeaderMap,
    context: Context,
}

/// What to send, beside what the way brings.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What of the body is a secret.
    pub(crate) secret: Option<Secret>,
}

impl Message {
    /// A POST of JSON.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(::http::header::CONTENT_TYPE, json);
        Self {
            method: Method::POST,
            headers,
            body: body.into(),
            secret: None,
        }
    }
}

/// What of an answer is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// The status, and what comes soon of the rest.
    Status,
    /// All of it.
    Whole { max_bytes: u64 },
}

impl Wanted {
    const fn max_bytes(self) -> u64 {
        match self {
            Self::Status => MAX_ANSWER_BYTES,
            Self::Whole { max_bytes } => max_bytes,
        }
    }

    async fn of<S>(
        self,
        exchange: Exchange,
        stream: S,
        watch: &mut Stopwatch,
    ) -> Result<exchange::Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self {
            Self::Status => exchange.http1_status(stream, REST, watch).await,
            Self::Whole { .. } => exchange.http1(stream, watch).await,
        }
    }
}

/// The headers that may not be known to others, as they are now.
#[derive(Default)]
struct Credentials {
    receiver: HeaderMap,
    proxy: Option<HeaderValue>,
}

impl Post {
    /// Checks the way, and reads what it names to see whether it can be read.
    pub(crate) fn new(way: Way, context: &Context, problems: &mut Vec<Problem>) -> Self {
        let names = Names::new(None, way.tls.server_name.as_deref(), problems);
        let proxy = way.proxy.as_deref().and_then(|text| {
            let proxy = proxy_of(text);
            let proxy = proxy.map_err(|why| problems.push(Problem::new("proxy", why)));
            proxy.ok()
        });
        let mut headers = own_headers("identity");
        for (name, text) in &way.headers {
            let allowed = allowed_name(name, false);
            match allowed.and_then(|name| Ok((name, header_value(text)?))) {
                Ok((name, value)) => drop(headers.insert(name, value)),
                Err(why) => problems.push(Problem::new(format!("headers.{name}"), why)),
            }
        }
        let post = Self {
            way,
            names,
            proxy,
            headers,
            context: context.clone(),
        };
        post.credentials()
            .map_or_else(|problem| problems.push(problem), drop);
        // Without any of these, the system's authorities are not needed for every URL.
        if post.way.tls != TlsSettings::default() {
            post.tls()
                .map_or_else(|problem| problems.push(problem), drop);
        }
        post
    }

    /// Where a receiver is. What is wrong is added to the problems, in the fields `url`, `url_file`
    /// and `url_env`.
    pub(crate) fn address(
        &self,
        settings: UrlSettings<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Address> {
        let read = self.read_address(settings).and_then(|address| {
            let destination = self.destination(&address);
            let field = match settings.env {
                Some(_) => "url_env",
                None => "url_file",
            };
            let destination = destination.map_err(|why| Problem::of_host(field, why))?;
            if destination.tls.is_some() && self.way.tls == TlsSettings::default() {
                self.tls()?;
            }
            Ok(address)
        });
        read.map_err(|problem| problems.push(problem)).ok()
    }

    fn read_address(&self, settings: UrlSettings<'_>) -> Result<Address, Problem> {
        match (settings.url, settings.file, settings.env) {
            (Some(url), None, None) => Destination::parse(url, &self.names)
                .map(|destination| Address::Known(Box::new(destination)))
                .map_err(|why| Problem::new("url", why)),
            (None, Some(path), None) => Ok(Address::Named(SecretSource::File(path.to_owned()))),
            (None, None, Some(name)) => Ok(Address::Named(SecretSource::Env(name.to_owned()))),
            (None, None, None) => Err(Problem::new("url", "set url, url_file or url_env")),
            _ => Err(Problem::new(
                "url",
                "set only one of url, url_file, url_env",
            )),
        }
    }

    /// The URL as it is now. The error does not repeat what was read.
    fn destination<'a>(&self, address: &'a Address) -> Result<Cow<'a, Destination>, String> {
        let source = match address {
            Address::Known(destination) => return Ok(Cow::Borrowed(destination)),
            Address::Named(source) => source,
        };
        let text = self.context.files.secret_from(source)?;
        Destination::parse(text.expose().trim(), &self.names)
            .map(Cow::Owned)
            .map_err(|_| "what it has is not an http or https URL without credentials".to_owned())
    }

    /// Sends the message and waits for an answer that means that it was taken.
    pub(crate) async fn deliver(&self, to: &Address, message: Message) -> Result<Answer, Refusal> {
        self.send(to, message).await?.taken()
    }

    /// Sends the message and waits for an answer, good or bad.
    pub(crate) async fn send(&self, to: &Address, message: Message) -> Result<Answer, Refusal> {
        let secret = message.secret.clone();
        let (answer, destination, credentials) = self.ask(to, message, Wanted::Status).await?;
        let private = redact::Private::new(&destination, &credentials, secret.as_ref());
        Ok(Answer::new(place(&destination), &answer, &private))
    }

    /// Asks for something, and waits for the whole answer: one with the status 200, whose body has
    /// at most so many bytes.
    pub(crate) async fn fetch(
        &self,
        from: &Address,
        headers: HeaderMap,
        max_bytes: u64,
    ) -> Result<exchange::Answer, Refusal> {
        let message = Message {
            method: Method::GET,
            headers,
            body: Bytes::new(),
            secret: None,
        };
        let asked = self.ask(from, message, Wanted::Whole { max_bytes });
        let (answer, destination, credentials) = asked.await?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        let private = redact::Private::new(&destination, &credentials, None);
        let answer = Answer::new(place(&destination), &answer, &private);
        let text = answer.text();
        answer.taken()?;
        let why = format!("{text}: expected the status 200");
        Err(Refusal::new(RefusalReason::Protocol, why))
    }

    /// The answer, and who was asked with what, for what may be told of it.
    async fn ask<'a>(
        &self,
        to: &'a Address,
        message: Message,
        wanted: Wanted,
    ) -> Result<(exchange::Answer, Cow<'a, Destination>, Credentials), Refusal> {
        let local = |why: String| Refusal::new(RefusalReason::Local, why);
        let destination = self.destination(to).map_err(local)?;
        let credentials = self.credentials().map_err(|p| local(p.message))?;
        let mut watch = Stopwatch::start();
        let sent = self.exchange(&destination, message, &credentials, wanted, &mut watch);
        match Box::pin(sent).await {
            Ok(answer) => Ok((answer, destination, credentials)),
            Err(failure) => Err(reach::refusal(&place(&destination), &failure)),
        }
    }

    async fn exchange(
        &self,
        to: &Destination,
        message: Message,
        credentials: &Credentials,
        wanted: Wanted,
        watch: &mut Stopwatch,
    ) -> Result<exchange::Answer, Failure> {
        let max_body_bytes = wanted.max_bytes();
        let (dial, cap) = (
            self.proxy.as_ref().unwrap_or(&to.dial),
            wire_cap(max_body_bytes),
        );
        let mut wire = reach::connect(dial, cap, &self.context, watch).await?;
        let exchange = Exchange {
            request: self.request(to, message, credentials),
            max_body_bytes,
            keep_body: true,
        };
        let Some(name) = &to.tls else {
            return wanted.of(exchange, wire, watch).await;
        };
        let client = self.tls();
        let client = client.map_err(|why| Failure::new(Reason::LocalResources, why.message))?;
        if self.proxy.is_some() {
            let authority = to.dial.to_string();
            tunnel(&mut wire, &authority, credentials.proxy.as_ref(), watch).await?;
        }
        let mut seen = None;
        let stream = client
            .handshake(wire, name, &[HTTP1], &mut seen, watch)
            .await?;
        wanted.of(exchange, stream, watch).await
    }

    fn request(
        &self,
        to: &Destination,
        message: Message,
        credentials: &Credentials,
    ) -> Request<Full<Bytes>> {
        let mut headers = self.headers.clone();
        headers.extend(message.headers);
        headers.extend(credentials.receiver.clone());
        headers.insert(HOST, to.host.clone());
        let mut uri = &to.path;
        if self.proxy.is_some() && to.tls.is_none() {
            uri = &to.uri;
            if let Some(value) = &credentials.proxy {
                headers.insert(PROXY_AUTHORIZATION, value.clone());
            }
        }
        let mut request = Request::new(Full::new(message.body));
        *request.method_mut() = message.method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        request
    }

    fn tls(&self) -> Result<TlsClient, Problem> {
        reach::tls(&self.way.tls, &self.context)
    }

    /// Reads the secrets.
    fn credentials(&self) -> Result<Credentials, Problem> {
        let (way, files) = (&self.way, &self.context.files);
        let mut credentials = Credentials::default();
        for (name, source) in &way.secret_headers {
            let field = || format!("secret_headers.{name}");
            let header = allowed_name(name, true).map_err(|why| Problem::new(field(), why))?;
            let value = files.secret_from(source);
            let value = value.and_then(|secret| header_value(secret.expose()));
            let mut value = value.map_err(|why| Problem::of_host(field(), why))?;
            value.set_sensitive(true);
            if header == PROXY_AUTHORIZATION {
                credentials.proxy = Some(value);
            } else {
                credentials.receiver.insert(header, value);
            }
        }
        let (file, env) = (way.password_file.as_deref(), way.password_env.as_deref());
        let password = files.secret_of("password", file, env)?;
        let (file, env) = (
            way.bearer_token_file.as_deref(),
            way.bearer_token_env.as_deref(),
        );
        let token = files.secret_of("bearer_token", file, env)?;
        let login = authorization(way.username.as_deref(), password.as_ref(), token.as_ref())?;
        if let Some(login) = login
            && credentials.receiver.insert(AUTHORIZATION, login).is_some()
        {
            let message = "set either this header or username or bearer_token_file";
            return Err(Problem::new("secret_headers.authorization", message));
        }
        if credentials.proxy.is_some() && way.proxy.is_none() {
            let message = "there is no `proxy` that it could be for";
            return Err(Problem::new("secret_headers.proxy-authorization", message));
        }
        Ok(credentials)
    }
}

fn proxy_of(text: &str) -> Result<Endpoint, String> {
    let proxy = Url::parse(text)
        .map_err(|why| format!("not a URL: {why}"))
        .and_then(|url| Destination::new(&url, &Names::default()));
    let why = match proxy {
        Ok(proxy) if proxy.tls.is_none() && proxy.path == "/" => return Ok(proxy.dial),
        Ok(_) => "it has more or other parts".to_owned(),
        Err(why) => why,
    };
    Err(format!("{why}; expected http://host:port"))
}

fn allowed_name(name: &str, secret: bool) -> Result<HeaderName, String> {
    let name = header_name(name)?;
    let instead = match &name {
        n if n == HOST => "the receiver is asked under the name in its URL",
        n if n == AUTHORIZATION && !secret => {
            "use username and password_file, bearer_token_file, or secret_headers"
        }
        n if n == PROXY_AUTHORIZATION && !secret => "use secret_headers",
        n if is_of_connection(n) || n.as_str().starts_with("webhook-") => "hotspare sets it itself",
        _ => return Ok(name),
    };
    Err(format!("this header cannot be set here: {instead}"))
}

/// What may be told of where a URL leads: `https://hooks.example.com:443`.
pub(crate) fn place(to: &Destination) -> String {
    let scheme = if to.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", to.dial)
}
