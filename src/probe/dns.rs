//! `dns`: one question to one server, timed: no cache, no retry, no second server.
//!
//! The target is the server, `host` or `host:port`. An answer over UDP that is cut (truncated) is a
//! failure: asking again over TCP would hide a second exchange, and half an answer cannot be judged.
//! Where answers are that large, `transport: tcp` measures what a client would do next.

mod expected;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::Name;
use serde::Deserialize;

use self::expected::{Expected, Kind, Rcode, facts_of};
use super::{Context, Probe, Problem, Run, Template, concluded};
use crate::model::{FactSet, Facts, Failure, Phase, PhaseSet, Reason, ReasonSet, Reply, Shape};
use crate::net::{Dial, Endpoint, IpVersion, Manner, Question, Resolver, Stopwatch, failure_at};

/// The settings of `check: { dns: … }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name to ask for; for `PTR` an address will do.
    pub name: String,
    /// The type of the records to ask for.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// How the question travels.
    #[serde(default)]
    pub transport: Transport,
    /// Ask the server to find the answer elsewhere if it does not have it. Off, to ask what an
    /// authoritative server itself has.
    #[serde(default = "yes")]
    pub recursion_desired: bool,
    /// The response codes that are not a failure.
    #[serde(default = "no_error")]
    pub valid_rcodes: Vec<Rcode>,
    /// The records that the answer must have, all and no other, in any order, as `dig` writes them.
    pub answers: Option<Vec<String>>,
    /// Regular expressions of which each must match a record.
    #[serde(default)]
    pub answers_match: Vec<String>,
    /// The least number of records of the type. Unless set, a NOERROR answer needs one, or as many
    /// as `answers` lists.
    pub min_answers: Option<u32>,
    /// The server must say that it is an authority for the name.
    #[serde(default)]
    pub authoritative: bool,
    /// Write the name in letters of random case and insist that the answer repeats them: it is much
    /// harder to forge. For servers that change them, off.
    #[serde(default = "yes")]
    pub random_case: bool,
    /// Which addresses of the server's name are used; the first of them is asked.
    #[serde(default)]
    pub ip_version: IpVersion,
    /// The local address to ask from.
    pub source_address: Option<IpAddr>,
    /// The differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
}

fn yes() -> bool {
    true
}

fn no_error() -> Vec<Rcode> {
    vec![Rcode::NoError]
}

/// How a question travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One datagram each way.
    #[default]
    Udp,
    /// A connection for each question.
    Tcp,
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
        let name = match question_name(&self.name, self.kind) {
            Ok(name) => name,
            Err(why) => {
                problems.push(Problem::new("name", why));
                Name::root()
            }
        };
        let expected = Expected::new(self, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Box::new(Dns {
            resolver: Arc::clone(&context.resolver),
            asking: Arc::new(Asking {
                name,
                kind: self.kind,
                manner: Manner {
                    recursion_desired: self.recursion_desired,
                    random_case: self.random_case,
                    edns: true,
                },
                transport: self.transport,
                ip_version,
                dial,
                expected,
            }),
        }))
    }
}

/// The name as asked: fully qualified, and of an address for `PTR` the name that stands for it.
fn question_name(text: &str, kind: Kind) -> Result<Name, String> {
    if let (Kind::Ptr, Ok(ip)) = (kind, text.parse::<IpAddr>()) {
        return Ok(Name::from(ip));
    }
    let mut name = Name::from_ascii(text).map_err(|e| format!("`{text}` is no name: {e}"))?;
    if text.is_empty() {
        return Err("is empty: name what to ask for, `.` for the root".to_owned());
    }
    name.set_fqdn(true);
    Ok(name)
}

struct Dns {
    resolver: Arc<Resolver>,
    asking: Arc<Asking>,
}

impl Template for Dns {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        Ok(Arc::new(Target {
            server: Endpoint::parse(address, Some(53))?,
            resolver: Arc::clone(&self.resolver),
            asking: Arc::clone(&self.asking),
        }))
    }
}

/// What all targets of a probe share.
struct Asking {
    name: Name,
    kind: Kind,
    manner: Manner,
    transport: Transport,
    ip_version: IpVersion,
    dial: Dial,
    expected: Expected,
}

struct Target {
    server: Endpoint,
    resolver: Arc<Resolver>,
    asking: Arc<Asking>,
}

impl Target {
    async fn exchange(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let host = &self.server.host;
        let version = self.asking.ip_version;
        let addresses = self.resolver.resolve(host, version, watch).await?;
        let address = SocketAddr::new(addresses[0], self.server.port);
        let mut facts = Facts::default();
        if host.is_name() {
            facts.addresses = addresses;
        }
        let result = self.ask(address, &mut facts, watch).await;
        concluded(result.map(|()| watch.laps().total()), facts)
    }

    async fn ask(
        &self,
        server: SocketAddr,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<(), Failure> {
        let asking = &*self.asking;
        let question = Question::new(&asking.name, asking.kind.theirs(), asking.manner)
            .map_err(|why| Failure::new(Reason::Protocol, why))?;
        let mut ignored = 0;
        let answer = match asking.transport {
            Transport::Udp => self.over_udp(server, &question, &mut ignored, watch).await,
            Transport::Tcp => self.over_tcp(server, &question, watch).await,
        };
        let result = answer.and_then(|answer| {
            let dns = facts_of(&answer, asking.kind);
            facts.dns = Some(dns);
            asking.expected.judge(&answer, dns, asking.kind)
        });
        result.map_err(|failure| match ignored {
            0 => failure,
            n => Failure::new(
                failure.reason,
                format_args!("{} ({n} foreign packets were ignored)", failure.detail),
            ),
        })
    }

    async fn over_udp(
        &self,
        server: SocketAddr,
        question: &Question,
        ignored: &mut u32,
        watch: &mut Stopwatch,
    ) -> Result<Box<Message>, Failure> {
        let fail = |e| failure_at(server, &e, "ask");
        let socket = self.asking.dial.datagram(server)?;
        watch.enter(Phase::Processing);
        socket.send(question.bytes()).await.map_err(fail)?;
        let answer = question.receive(&socket, ignored).await.map_err(fail)?;
        watch.leave();
        answer.map_err(|why| Failure::new(Reason::Protocol, why))
    }

    async fn over_tcp(
        &self,
        server: SocketAddr,
        question: &Question,
        watch: &mut Stopwatch,
    ) -> Result<Box<Message>, Failure> {
        let cap = 2 + u64::from(u16::MAX);
        let mut wire = self.asking.dial.connect(server, cap, watch).await?;
        watch.enter(Phase::Processing);
        let answer = question.exchange(&mut wire).await;
        let answer = answer.map_err(|e| failure_at(server, &e, "ask"))?;
        watch.leave();
        answer.map_err(|why| Failure::new(Reason::Protocol, why))
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.exchange(watch))
    }

    fn shape(&self) -> Shape {
        let named = self.server.host.is_name();
        let tcp = self.asking.transport == Transport::Tcp;
        Shape {
            phases: PhaseSet::of(&[Phase::Processing])
                .with_if(named, Phase::Resolve)
                .with_if(tcp, Phase::Connect),
            reasons: ReasonSet::of(&[
                Reason::Refused,
                Reason::Unreachable,
                Reason::TimeoutProcessing,
                Reason::Protocol,
                Reason::Answer,
            ])
            .and_if(named, ReasonSet::RESOLVE)
            .and_if(tcp, ReasonSet::CONNECT),
            facts: FactSet {
                addresses: named,
                dns: true,
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
    use crate::model::DnsFacts;
    use crate::net::test_dns::{TestDns, address, alias, reply, with_a, with_code};
    use crate::net::{Icmp, Names, Roots};
    use hickory_proto::op::ResponseCode;
    use serde_json::{Value, json};

    /// Longer than any run takes: a test that gets here hangs.
    const HANG: Duration = Duration::from_secs(20);

    fn context() -> Context {
        let local = [IpAddr::from([127, 0, 0, 1])].into_iter().collect();
        Context {
            icmp: Arc::new(Icmp::new()),
            resolver: Arc::new(Resolver::new(Names {
                hosts: [("ns".into(), local)].into(),
                ..Names::default()
            })),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, std::env::temp_dir()),
            timeout: HANG,
            canary: crate::probe::CanaryName::default(),
        }
    }

    fn probe(extra: &Value, server: &str) -> Arc<dyn Probe> {
        let mut settings = json!({"name": "db.example"});
        let extra = extra.as_object().expect("settings").clone();
        settings.as_object_mut().expect("settings").extend(extra);
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let template = settings.prepare(&context()).expect("good settings");
        template.target(server).expect("good address")
    }

    async fn run(probe: &dyn Probe) -> (Result<Reply, Failure>, Vec<Phase>) {
        let mut watch = Stopwatch::start();
        let result = tokio::time::timeout(HANG, probe.run(&mut watch)).await;
        let result = result.expect("an end");
        if let Err(failure) = &result {
            let known = probe.shape().reasons.contains(failure.reason);
            assert!(known, "{failure} is not in the shape");
        }
        let phases = watch.laps().iter().map(|(phase, _)| phase).collect();
        (result, phases)
    }

    async fn ask(server: &TestDns, extra: Value) -> Result<Reply, Failure> {
        run(&*probe(&extra, &server.address.to_string())).await.0
    }

    async fn reason(server: &TestDns, extra: Value) -> (Reason, String) {
        let failure = ask(server, extra).await.expect_err("a failure");
        (failure.reason, failure.detail.into())
    }

    #[tokio::test]
    async fn an_answer_brings_its_facts_over_udp_and_tcp() {
        let server = TestDns::replying(|message| {
            message.metadata.authoritative = true;
            message.add_answer(alias("db.example.", "b.example.", 3));
            message.add_answer(address("b.example.", "10.0.0.1", 60));
            message.add_answer(address("b.example.", "10.0.0.2", 30));
        })
        .await;
        let named = format!("ns:{}", server.address.port());
        for (transport, phases) in [
            ("udp", &[Phase::Resolve, Phase::Processing][..]),
            ("tcp", &[Phase::Resolve, Phase::Connect, Phase::Processing]),
        ] {
            let probe = probe(&json!({"transport": transport}), &named);
            let (result, reached) = run(&*probe).await;
            let reply = result.expect("an answer");
            assert_eq!(reached, phases);
            assert!(phases.iter().all(|p| probe.shape().phases.contains(*p)));
            assert_eq!(reply.facts.addresses.len(), 1);
            let facts = DnsFacts {
                rcode: 0,
                answers: 2,
                min_ttl_seconds: Some(30),
                authoritative: true,
            };
            assert_eq!(reply.facts.dns, Some(facts));
        }
    }

    #[tokio::test]
    async fn the_code_decides_unless_configured_and_stays_a_fact() {
        let server = TestDns::replying(with_code(ResponseCode::NXDomain)).await;
        let failure = ask(&server, json!({})).await.expect_err("no such name");
        assert_eq!(&*failure.detail, "rcode NXDOMAIN");
        assert_eq!(failure.reason, Reason::Answer);
        assert_eq!(failure.facts.expect("facts").dns.expect("dns").rcode, 3);
        let both = json!({"valid_rcodes": ["NOERROR", "NXDOMAIN"]});
        ask(&server, both).await.expect("a valid code");
        let servfail = TestDns::replying(with_code(ResponseCode::ServFail)).await;
        let failure = reason(&servfail, json!({})).await;
        assert_eq!(failure, (Reason::Answer, "rcode SERVFAIL".to_owned()));
    }

    #[tokio::test]
    async fn the_records_have_to_be_the_expected_ones() {
        let server = TestDns::replying(|message| {
            message.add_answer(address("db.example.", "10.0.0.2", 0));
            message.add_answer(address("db.example.", "10.0.0.1", 0));
        })
        .await;
        for good in [
            json!({"answers": ["10.0.0.1", "10.0.0.2"]}),
            json!({"answers_match": ["^10\\.0\\.0\\.1$", "2$"]}),
            json!({"min_answers": 2}),
        ] {
            let reply = ask(&server, good.clone()).await.expect("as expected");
            let facts = reply.facts.dns.expect("dns");
            assert_eq!(facts.min_ttl_seconds, Some(0), "{good}");
        }
        for bad in [
            json!({"answers": ["10.0.0.1"]}),
            json!({"answers": [], "min_answers": 0}),
            json!({"answers": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}),
            json!({"answers_match": ["1$", "3$"]}),
            json!({"min_answers": 3}),
            json!({"authoritative": true}),
            json!({"type": "AAAA"}),
        ] {
            let (reason, detail) = reason(&server, bad.clone()).await;
            assert_eq!(reason, Reason::Answer, "{bad}: {detail}");
        }
    }

    #[tokio::test]
    async fn a_circle_of_aliases_is_an_answer_without_records() {
        let server = TestDns::replying(|message| {
            message.add_answer(alias("db.example.", "b.example.", 60));
            message.add_answer(alias("b.example.", "db.example.", 60));
        })
        .await;
        let (reason, detail) = reason(&server, json!({})).await;
        assert_eq!(reason, Reason::Answer);
        assert!(detail.starts_with("0 records of type A"), "{detail}");
        let names = json!({"type": "CNAME", "answers": ["DB.example", "b.example."]});
        ask(&server, names).await.expect("both aliases");
    }

    #[tokio::test]
    async fn names_of_other_alphabets_match_in_both_forms() {
        let name = "xn--bcher-kva.example.";
        let server = TestDns::replying(move |message| {
            message.add_answer(alias("db.example.", name, 60));
        })
        .await;
        for written in [name, "XN--Bcher-kva.example", "bücher.example"] {
            let extra = json!({"type": "CNAME", "answers": [written]});
            ask(&server, extra).await.expect(written);
        }
    }

    #[tokio::test]
    async fn no_answers_can_be_what_is_expected() {
        let server = TestDns::replying(|_| {}).await;
        ask(&server, json!({"answers": []})).await.expect("none");
        let (reason, _) = reason(&server, json!({"answers": [], "min_answers": 1})).await;
        assert_eq!(reason, Reason::Answer);
    }

    #[tokio::test]
    async fn a_thousand_records_come_in_one_piece() {
        let server = TestDns::replying(|message| {
            for i in 0..1000_u32 {
                let ip = std::net::Ipv4Addr::from(0x0a00_0000 + i).to_string();
                message.add_answer(address("db.example.", &ip, 60));
            }
        })
        .await;
        for transport in ["udp", "tcp"] {
            let extra = json!({"transport": transport, "min_answers": 1000});
            ask(&server, extra).await.expect("all of them");
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_a_failure_and_tcp_is_the_way_out() {
        let server = TestDns::start(|question, tcp| {
            vec![reply(question, |message| {
                with_a([10, 0, 0, 1], 60)(message);
                message.metadata.truncation = !tcp;
            })]
        })
        .await;
        let failure = ask(&server, json!({})).await.expect_err("cut");
        assert_eq!(failure.reason, Reason::Protocol);
        assert!(failure.facts.expect("facts").dns.is_some());
        ask(&server, json!({"transport": "tcp"}))
            .await
            .expect("all");
    }

    #[tokio::test]
    async fn what_is_foreign_is_ignored_and_told_of() {
        let server = TestDns::start(|question, _| {
            let changed = |change: &dyn Fn(&mut Message)| reply(question, change);
            vec![
                b"garbage".to_vec(),
                changed(&|m| m.metadata.id = !m.metadata.id),
                changed(&|m| m.queries[0].name = "evil.example.".parse().expect("name")),
                changed(&with_code(ResponseCode::ServFail)),
            ]
        })
        .await;
        let (reason, detail) = reason(&server, json!({})).await;
        assert_eq!(reason, Reason::Answer);
        assert_eq!(detail, "rcode SERVFAIL (3 foreign packets were ignored)");
    }

    #[tokio::test]
    async fn what_cannot_be_read_breaks_the_protocol() {
        let garbage = TestDns::start(|question, _| {
            vec![reply(question, with_a([10, 0, 0, 1], 60))[..40].to_vec()]
        })
        .await;
        let lower = TestDns::replying(|message| {
            with_a([10, 0, 0, 1], 60)(message);
            let name = message.queries[0].name.to_lowercase();
            message.queries[0].name = name;
        })
        .await;
        let long = "a-name-with-so-many-letters.that-not-all-of-them-are-small.example";
        for (server, extra) in [
            (&garbage, json!({})),
            (&garbage, json!({"transport": "tcp"})),
            (&lower, json!({"name": long})),
        ] {
            assert_eq!(reason(server, extra).await.0, Reason::Protocol);
        }
        let lax = json!({"name": long, "random_case": false});
        ask(&lower, lax).await.expect("as configured");
    }

    #[tokio::test]
    async fn silence_and_absence_are_told_apart() {
        let silent = TestDns::silent().await;
        for transport in ["udp", "tcp"] {
            let extra = json!({"transport": transport});
            let probe = probe(&extra, &silent.address.to_string());
            let mut watch = Stopwatch::start();
            let cut = tokio::time::timeout(Duration::from_secs(1), probe.run(&mut watch));
            assert!(cut.await.is_err());
            let reason = Reason::timeout_in(watch.current());
            assert_eq!(reason, Reason::TimeoutProcessing);
        }
        let gone = silent.stop().await.to_string();
        for transport in ["udp", "tcp"] {
            let extra = json!({"transport": transport});
            let (result, _) = run(&*probe(&extra, &gone)).await;
            let reason = result.expect_err("nobody").reason;
            assert_eq!(reason, Reason::Refused, "{transport}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let settings: Settings = serde_json::from_value(json!({
            "name": "a..b",
            "dscp": 99,
            "valid_rcodes": [],
            "answers": ["10.0.0.1", "x"],
            "answers_match": ["("],
        }))
        .expect("settings");
        let problems = settings.prepare(&context()).err().expect("refused");
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "dscp",
                "name",
                "valid_rcodes",
                "answers[1]",
                "answers_match[0]"
            ]
        );
        for unknown in [
            json!({}),
            json!({"name": "a", "type": "ANY"}),
            json!({"name": "a", "valid_rcodes": ["OK"]}),
            json!({"name": "a", "nmae": "b"}),
        ] {
            assert!(serde_json::from_value::<Settings>(unknown).is_err());
        }
        assert!(question_name("", Kind::A).is_err());
        let of_address = question_name("10.0.0.1", Kind::Ptr).expect("an address");
        assert_eq!(of_address.to_string(), "1.0.0.10.in-addr.arpa.");
    }
}
