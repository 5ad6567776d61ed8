//! `tcp`: a connection is opened; on top of it, if asked, a TLS session and a dialogue.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt;
use regex::bytes::{Regex, RegexBuilder};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Context, Probe, Problem, Run, Template, tls_client};
use crate::model::{
    FactSet, Facts, Failure, Latencies, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape,
};
use crate::net::{
    Addresses, Dial, Endpoint, Host, IpVersion, Resolver, StartTls, Stopwatch, TlsClient,
    TlsSettings, Wire, failure_of,
};

/// Bytes that a dialogue may hold while it waits for one expectation.
const MAX_HEARD: usize = 64 << 10;
/// Bytes that a connection may bring in all, certificates and records of TLS included.
const MAX_READ: u64 = 1 << 20;

/// The settings of `check: { tcp: … }`. The target is `host:port`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which addresses of a name are used.
    pub ip_version: IpVersion,
    /// How many of them. With all, a run has a latency for each, and its phases hold the sums.
    pub addresses: Addresses,
    /// The local address to connect from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
    /// Speak TLS on the connection.
    pub tls: Option<TlsSettings>,
    /// Ask for TLS in the clear first, as this protocol does. Needs `tls`.
    pub starttls: Option<StartTls>,
    /// What to say and what to wait for, in order. Its time is the phase `processing`.
    pub dialogue: Vec<Step>,
}

/// A step of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Send these bytes.
    Send(String),
    /// Wait until this regular expression matches what has come since the last match.
    Expect(String),
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
        let mut problems = Vec::new();
        let (dial, ip_version) =
            Dial::from_settings(self.source_address, self.dscp, self.ip_version).unwrap_or_else(
                |(field, why)| {
                    problems.push(Problem::new(field, why));
                    Default::default()
                },
            );
        if self.starttls.is_some() && self.tls.is_none() {
            problems.push(Problem::new(
                "starttls",
                "asks for TLS, which is not configured: add `tls: {}`",
            ));
        }
        let tls = self.tls.as_ref().and_then(|settings| {
            tls_client(settings, context)
                .map_err(|problem| problems.push(problem.below("tls")))
                .ok()
        });
        let server_name = self.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let name = server_name.as_deref().map(Host::parse);
        if let Some(Err(why)) = name.map(|host| host?.certified_name(None)) {
            problems.push(Problem::new("tls.server_name", why));
        }
        let dialogue = compile(&self.dialogue, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Tcp {
            resolver: Arc::clone(&context.resolver),
            manner: Arc::new(Manner {
                ip_version,
                addresses: self.addresses,
                dial,
                tls,
                starttls: self.starttls,
                dialogue,
            }),
            server_name,
        }))
    }
}

fn compile(steps: &[Step], problems: &mut Vec<Problem>) -> Vec<Move> {
    let mut moves = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Send(text) => moves.push(Move::Send(text.as_bytes().into())),
            Step::Expect(pattern) => match RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                Ok(regex) => moves.push(Move::Expect(regex)),
                Err(e) => {
                    problems.push(Problem::new(format!("dialogue[{i}].expect"), e.to_string()));
                }
            },
        }
    }
    moves
}

struct Tcp {
    resolver: Arc<Resolver>,
    manner: Arc<Manner>,
    server_name: Option<String>,
}

impl Template for Tcp {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let endpoint = Endpoint::parse(address, None)?;
        let name = self.server_name.as_deref();
        let server_name = match self.manner.tls {
            Some(_) => Some(endpoint.host.certified_name(name)?),
            None => None,
        };
        Ok(Arc::new(Target {
            endpoint,
            server_name,
            manner: Arc::clone(&self.manner),
            resolver: Arc::clone(&self.resolver),
        }))
    }
}

/// What all targets of a probe share.
struct Manner {
    ip_version: IpVersion,
    addresses: Addresses,
    dial: Dial,
    tls: Option<TlsClient>,
    starttls: Option<StartTls>,
    dialogue: Vec<Move>,
}

enum Move {
    Send(Box<[u8]>),
    Expect(Regex),
}

struct Target {
    endpoint: Endpoint,
    /// Set when there is TLS.
    server_name: Option<ServerName<'static>>,
    manner: Arc<Manner>,
    resolver: Arc<Resolver>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let host = &self.endpoint.host;
        let addresses = self
            .resolver
            .resolve(host, self.manner.ip_version, watch)
            .await?;
        let resolved = watch.laps().total();
        let mut facts = Facts::default();
        let mut latencies = Latencies::new();
        for ip in self.manner.addresses.of(&addresses) {
            let before = watch.laps().total();
            let result = self.exchange_with(*ip, &mut facts, watch).await;
            if let Err(failure) = result {
                return Err(failure.with_facts(self.complete(facts, addresses)));
            }
            latencies.push(resolved + watch.laps().total().saturating_sub(before));
        }
        Ok(Reply {
            latencies,
            facts: self.complete(facts, addresses),
        })
    }

    fn complete(&self, facts: Facts, addresses: SmallVec<[IpAddr; 2]>) -> Facts {
        if !self.endpoint.host.is_name() {
            return facts;
        }
        Facts { addresses, ..facts }
    }

    async fn exchange_with(
        &self,
        ip: IpAddr,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        let address = SocketAddr::new(ip, self.endpoint.port);
        let mut wire = self.manner.dial.connect(address, MAX_READ, watch).await?;
        match (&self.manner.tls, &self.server_name) {
            (Some(client), Some(name)) => {
                self.converse_over_tls(wire, client, name, facts, watch)
                    .await
            }
            _ => converse(&mut wire, &self.manner.dialogue, watch).await,
        }
    }

    async fn converse_over_tls(
        &self,
        mut wire: Wire,
        client: &TlsClient,
        name: &ServerName<'static>,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        if let Some(starttls) = self.manner.starttls {
            let local = wire.get_ref().local_addr();
            let local = local.map_err(|e| failure_of(&e, "ask for TLS"))?;
            starttls.ask(&mut wire, local.ip(), watch).await?;
        }
        let mut stream = client
            .handshake(wire, name, &[], &mut facts.tls, watch)
            .await?;
        converse(&mut stream, &self.manner.dialogue, watch).await?;
        // The server's log would call a session without an end an attack. The result stands, and
        // nobody waits for a server that makes no room for it.
        let _ = stream.shutdown().now_or_never();
        Ok(())
    }
}

/// Goes through the dialogue, in the phase [`Phase::Processing`], which a dialogue without steps
/// does not enter.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    dialogue: &[Move],
    watch: &mut Stopwatch,
) -> Result<(), Failure> {
    if dialogue.is_empty() {
        return Ok(());
    }
    watch.enter(Phase::Processing);
    let mut heard = Vec::new();
    for step in dialogue {
        match step {
            Move::Send(bytes) => {
                let sent = stream.write_all(bytes).await;
                sent.map_err(|e| failure_of(&e, "send"))?;
                let flushed = stream.flush().await;
                flushed.map_err(|e| failure_of(&e, "send"))?;
            }
            Move::Expect(regex) => expect(stream, regex, &mut heard).await?,
        }
    }
    watch.leave();
    Ok(())
}

/// Reads until the expression matches, and forgets what is before the end of the match.
async fn expect<S: AsyncRead + Unpin>(
    stream: &mut S,
    regex: &Regex,
    heard: &mut Vec<u8>,
) -> Result<(), Failure> {
    loop {
        if let Some(found) = regex.find(heard) {
            heard.drain(..found.end());
            return Ok(());
        }
        if heard.len() >= MAX_HEARD {
            return Err(Failure::new(
                Reason::TooLarge,
                format_args!("{MAX_HEARD} bytes came and none matched `{regex}`"),
            ));
        }
        heard.reserve(1024);
        let room = MAX_HEARD - heard.len();
        let read = stream.take(room as u64).read_buf(heard).await;
        if read.map_err(|e| failure_of(&e, "read"))? == 0 {
            return Err(closed(regex, heard));
        }
    }
}

fn closed(regex: &Regex, heard: &[u8]) -> Failure {
    if heard.is_empty() {
        let why = format_args!("the server closed before it said anything that `{regex}` matches");
        return Failure::new(Reason::Eof, why);
    }
    let start = heard[..heard.len().min(100)].escape_ascii();
    Failure::new(
        Reason::Answer,
        format_args!("the server closed and `{regex}` does not match what it said: {start}"),
    )
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn shape(&self) -> Shape {
        let named = self.endpoint.host.is_name();
        let Manner {
            tls,
            starttls,
            dialogue,
            ..
        } = &*self.manner;
        let talks = !dialogue.is_empty();
        let asks = ReasonSet::of(&[
            Reason::TlsRefused,
            Reason::Answer,
            Reason::Protocol,
            Reason::TooLarge,
        ]);
        let answers = ReasonSet::of(&[
            Reason::Answer,
            Reason::TooLarge,
            Reason::TimeoutProcessing,
            Reason::Eof,
            Reason::Reset,
        ]);
        let connects = [Reason::Refused, Reason::Unreachable, Reason::TimeoutConnect];
        Shape {
            phases: PhaseSet::of(&[Phase::Connect])
                .with_if(named, Phase::Resolve)
                .with_if(tls.is_some(), Phase::Tls)
                .with_if(talks, Phase::Processing),
            reasons: ReasonSet::of(&connects)
                .and_if(named, ReasonSet::RESOLVE)
                .and_if(tls.is_some(), ReasonSet::CONNECT.and(ReasonSet::TLS))
                .and_if(starttls.is_some(), asks)
                .and_if(talks, answers),
            facts: FactSet {
                addresses: named,
                tls: tls.is_some(),
                tls_unverified: tls.as_ref().is_some_and(|client| !client.verifies()),
                ..FactSet::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::files::Files;
    use crate::net::{Icmp, Names, Roots};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    /// Longer than any run takes: a test that gets here hangs.
    const HANG: Duration = Duration::from_secs(20);

    fn context(hosts: &[(&str, &[[u8; 4]])]) -> Context {
        let listed = hosts.iter().map(|(name, ips)| {
            let ips = ips.iter().map(|ip| IpAddr::from(*ip)).collect();
            ((*name).into(), ips)
        });
        Context {
            icmp: Arc::new(Icmp::new()),
            resolver: Arc::new(Resolver::new(Names {
                hosts: listed.collect(),
                ..Names::default()
            })),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, std::env::temp_dir()),
            timeout: HANG,
            canary: crate::probe::CanaryName::default(),
        }
    }

    fn settings(json: serde_json::Value) -> Settings {
        serde_json::from_value(json).expect("settings")
    }

    fn probe(json: serde_json::Value, context: &Context, address: &str) -> Arc<dyn Probe> {
        let template = settings(json).prepare(context).expect("good settings");
        template.target(address).expect("good address")
    }

    async fn run(probe: &dyn Probe) -> (Result<Reply, Failure>, Stopwatch) {
        let mut watch = Stopwatch::start();
        let result = tokio::time::timeout(HANG, probe.run(&mut watch)).await;
        let result = result.expect("an end");
        if let Err(failure) = &result {
            let known = failure.reason.is_own() || probe.shape().reasons.contains(failure.reason);
            assert!(known, "{failure} is not in the shape");
        }
        (result, watch)
    }

    /// A server that does the same with every connection; ends when dropped.
    struct Server {
        address: SocketAddr,
        _task: JoinSet<()>,
    }

    impl Server {
        async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = listener.local_addr().expect("bound");
            let mut task = JoinSet::new();
            task.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream));
                }
            });
            Self {
                address,
                _task: task,
            }
        }

        /// Says the text and then listens until the other end closes.
        async fn saying(text: &'static [u8]) -> Self {
            Self::start(move |mut stream| async move {
                let _ = stream.write_all(text).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            })
            .await
        }
    }

    fn phases(watch: &Stopwatch) -> Vec<Phase> {
        watch.laps().iter().map(|(phase, _)| phase).collect()
    }

    #[tokio::test]
    async fn a_connection_alone_is_resolve_and_connect() {
        let server = Server::saying(b"").await;
        let context = context(&[("db", &[[127, 0, 0, 1]])]);
        let address = format!("db:{}", server.address.port());
        let probe = probe(serde_json::json!({}), &context, &address);
        let (result, watch) = run(&*probe).await;
        let reply = result.expect("connected");
        assert_eq!(phases(&watch), [Phase::Resolve, Phase::Connect]);
        assert_eq!(reply.latencies[..], [watch.laps().total()]);
        assert_eq!(reply.facts.addresses[..], [IpAddr::from([127, 0, 0, 1])]);
        assert!(probe.shape().phases.contains(Phase::Resolve));
    }

    #[tokio::test]
    async fn all_addresses_must_answer_where_asked_and_else_the_first() {
        // Only 127.0.0.1 listens; 127.0.0.2 refuses.
        let server = Server::saying(b"").await;
        let context = context(&[("db", &[[127, 0, 0, 1], [127, 0, 0, 2]])]);
        let address = format!("db:{}", server.address.port());
        let first = probe(serde_json::json!({}), &context, &address);
        run(&*first).await.0.expect("the first listens");
        let all = probe(serde_json::json!({"addresses": "all"}), &context, &address);
        let failure = run(&*all).await.0.expect_err("the second refuses");
        assert_eq!(failure.reason, Reason::Refused);
        assert!(failure.detail.contains("127.0.0.2"), "{failure}");
        assert_eq!(failure.facts.expect("known").addresses.len(), 2);

        let twice = [[127, 0, 0, 1], [127, 0, 0, 1]];
        let context = self::context(&[("db", &twice)]);
        let all = probe(serde_json::json!({"addresses": "all"}), &context, &address);
        let (result, watch) = run(&*all).await;
        let latencies = result.expect("both listen").latencies;
        let resolved = watch.laps().get(Phase::Resolve).expect("a name");
        let sum: Duration = latencies.iter().sum();
        assert_eq!((latencies.len(), sum), (2, watch.laps().total() + resolved));
    }

    #[tokio::test]
    async fn a_dialogue_goes_step_by_step() {
        let server = Server::start(|mut stream| async move {
            let _ = stream.write_all(b"220 hel").await;
            tokio::task::yield_now().await;
            let _ = stream.write_all(b"lo\r\n").await;
            let mut heard = [0; 6];
            let _ = stream.read_exact(&mut heard).await;
            assert_eq!(&heard, b"NOOP\r\n");
            let _ = stream.write_all(b"250 fine\r\n").await;
        })
        .await;
        let dialogue = serde_json::json!({"dialogue": [
            {"expect": "^220 hello\r\n"},
            {"send": "NOOP\r\n"},
            {"expect": "^250 "},
        ]});
        let probe = probe(dialogue, &context(&[]), &server.address.to_string());
        let (result, watch) = run(&*probe).await;
        result.expect("as expected");
        assert_eq!(phases(&watch), [Phase::Connect, Phase::Processing]);
    }

    #[tokio::test]
    async fn what_does_not_match_says_why() {
        static FLOOD: [u8; MAX_HEARD + 1] = [b'x'; MAX_HEARD + 1];
        let closing = |text: &'static [u8]| {
            Server::start(move |mut stream| async move {
                let _ = stream.write_all(text).await;
            })
        };
        let resetting = Server::start(|stream| async move {
            stream.set_zero_linger().expect("set");
            drop(stream);
        });
        for (server, reason) in [
            (closing(b"421 busy\r\n").await, Reason::Answer),
            (closing(b"").await, Reason::Eof),
            (resetting.await, Reason::Reset),
            (Server::saying(&FLOOD).await, Reason::TooLarge),
        ] {
            let dialogue = serde_json::json!({"dialogue": [{"expect": "^220"}]});
            let probe = probe(dialogue, &context(&[]), &server.address.to_string());
            let failure = run(&*probe).await.0.expect_err("no match");
            assert_eq!(failure.reason, reason, "{failure}");
        }
    }

    #[tokio::test]
    async fn silence_is_a_timeout_of_the_phase_that_it_is_in() {
        let server = Server::saying(b"").await;
        let context = context(&[]);
        for (json, phase) in [
            (
                serde_json::json!({"dialogue": [{"expect": "x"}]}),
                Phase::Processing,
            ),
            (
                serde_json::json!({"tls": {"insecure_skip_verify": true}}),
                Phase::Tls,
            ),
            (
                serde_json::json!({"tls": {"insecure_skip_verify": true}, "starttls": "smtp"}),
                Phase::Tls,
            ),
        ] {
            let probe = probe(json, &context, &server.address.to_string());
            let mut watch = Stopwatch::start();
            let cut = tokio::time::timeout(Duration::from_secs(1), probe.run(&mut watch));
            assert!(cut.await.is_err());
            assert_eq!(watch.current(), Some(phase));
            let timeout = Reason::timeout_in(watch.current());
            assert!(probe.shape().reasons.contains(timeout), "{timeout:?}");
        }
    }

    /// A TLS server for the name `db.test` that says `hello` first, behind what it says in the
    /// clear; and its certificate.
    async fn tls_server(clear: &'static [u8], hears: usize) -> (Server, String) {
        let key = rcgen::generate_simple_self_signed(["db.test".to_owned()]).expect("certificate");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der())
                .expect("key"),
        )
        .expect("config");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Server::start(move |mut stream| {
            let acceptor = acceptor.clone();
            async move {
                let _ = stream.read_exact(&mut vec![0; hears]).await;
                let _ = stream.write_all(clear).await;
                if let Ok(mut session) = acceptor.accept(stream).await {
                    let _ = session.write_all(b"hello").await;
                    let _ = session.read_to_end(&mut Vec::new()).await;
                }
            }
        })
        .await;
        (server, key.cert.pem())
    }

    #[tokio::test]
    async fn a_session_is_verified_and_its_dates_are_known_also_when_it_is_refused() {
        let (server, pem) = tls_server(b"", 0).await;
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("ca.pem"), pem).expect("write");
        let mut context = context(&[("db.test", &[[127, 0, 0, 1]])]);
        context.files = Files::new(None, folder.path().to_owned());
        let hello = serde_json::json!([{"expect": "hello"}]);
        let tls = serde_json::json!({"ca_file": "ca.pem"});
        let named = format!("db.test:{}", server.address.port());
        let json = serde_json::json!({"tls": tls, "dialogue": hello});
        let probe_named = probe(json.clone(), &context, &named);
        let (result, watch) = run(&*probe_named).await;
        let facts = result.expect("verified").facts;
        assert_eq!(
            phases(&watch),
            [
                Phase::Resolve,
                Phase::Connect,
                Phase::Tls,
                Phase::Processing
            ]
        );
        assert_eq!(facts.tls.expect("session").verified, Some(true));

        let by_address = probe(json, &context, &server.address.to_string());
        let failure = run(&*by_address).await.0.expect_err("another name");
        assert_eq!(failure.reason, Reason::TlsCertificate);
        let facts = failure.facts.expect("facts").tls.expect("seen");
        assert!(facts.leaf_not_after.is_some());

        let json = serde_json::json!({"tls": {"ca_file": "ca.pem", "server_name": "db.test"}});
        let renamed = probe(json, &context, &server.address.to_string());
        run(&*renamed).await.0.expect("the name is overridden");
    }

    #[tokio::test]
    async fn tls_is_asked_for_in_the_clear_first() {
        // An SSLRequest has 8 bytes.
        let (server, _) = tls_server(b"S", 8).await;
        let json = serde_json::json!({
            "tls": {"insecure_skip_verify": true},
            "starttls": "postgres",
            "dialogue": [{"expect": "hello"}],
        });
        let context = context(&[]);
        let encrypted = probe(json.clone(), &context, &server.address.to_string());
        let (result, watch) = run(&*encrypted).await;
        assert!(result.expect("session").facts.tls.is_some());
        assert_eq!(
            phases(&watch),
            [Phase::Connect, Phase::Tls, Phase::Processing]
        );
        assert!(encrypted.shape().facts.tls_unverified);

        for (clear, reason) in [
            (&b"N"[..], Reason::TlsRefused),
            (&b"Sinjected"[..], Reason::TlsHandshake),
        ] {
            let (server, _) = tls_server(clear, 8).await;
            let probe = probe(json.clone(), &context, &server.address.to_string());
            let failure = run(&*probe).await.0.expect_err("no session");
            assert_eq!(failure.reason, reason, "{failure}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let bad = settings(serde_json::json!({
            "starttls": "smtp",
            "dscp": 64,
            "dialogue": [{"send": "x"}, {"expect": "("}],
        }));
        let problems = bad.prepare(&context(&[])).err().expect("refused");
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["dscp", "starttls", "dialogue[1].expect"]);
        let family = settings(serde_json::json!({"source_address": "::1", "ip_version": "4"}));
        let problems = family.prepare(&context(&[])).err().expect("refused");
        assert_eq!(problems[0].field, "source_address");
        let missing = settings(serde_json::json!({"tls": {"ca_file": "/no/such"}}));
        let problems = missing.prepare(&context(&[])).err().expect("refused");
        assert_eq!(problems[0].field, "tls.ca_file");
        for unknown in [
            serde_json::json!({"tsl": {}}),
            serde_json::json!({"dialogue": [{"wait": "x"}]}),
            serde_json::json!({"starttls": "imap"}),
        ] {
            assert!(serde_json::from_value::<Settings>(unknown).is_err());
        }
        let good = Settings::default().prepare(&context(&[])).expect("good");
        assert!(good.target("db").is_err(), "a port is needed");
    }
}
