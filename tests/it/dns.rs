//! The probe of DNS and the resolver against a real server.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hotspare::files::Files;
use hotspare::model::{Failure, Reason, Reply};
use hotspare::net::{Host, Icmp, IpVersion, Resolver, Roots, Stopwatch};
use hotspare::probe::{CanaryName, Check, Context};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::fault::soon;

/// dnsmasq with records of its own; killed on drop.
pub(crate) struct Dnsmasq {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Dnsmasq {
    pub(crate) async fn start() -> Self {
        // The port can be taken between our closing and its opening: then the next one.
        for _ in 0..5 {
            let address = free_port();
            let child = Self::spawn(address);
            let mut server = Self { address, child };
            if server.answers().await {
                return server;
            }
        }
        panic!("dnsmasq does not start: is /usr/sbin/dnsmasq of dnsmasq-base there?");
    }

    fn spawn(address: SocketAddr) -> Child {
        Command::new("/usr/sbin/dnsmasq")
            .args(["--no-daemon", "--conf-file=/dev/null", "--pid-file="])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces"])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(["--local=/example/", "--local-ttl=60"])
            .arg("--host-record=db.example,10.0.0.1,fd00::1")
            .args([
                "--host-record=two.example,10.0.0.1",
                "--host-record=two.example,10.0.0.2",
            ])
            .arg("--cname=alias.example,db.example")
            .args([
                "--mx-host=example,mail.example,10",
                "--txt-record=example,v=1 Yes",
            ])
            .arg("--srv-host=_pg._tcp.example,db.example,5432,1,2")
            .arg("--caa-record=example,0,issue,ca.example")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("/usr/sbin/dnsmasq of dnsmasq-base")
    }

    /// Whether it has come up; not when it has ended.
    async fn answers(&mut self) -> bool {
        loop {
            if self.child.try_wait().expect("our child").is_some() {
                return false;
            }
            if self.ask(json!({"name": "db.example"})).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, settings: Value) -> Result<Reply, Failure> {
        let context = Context {
            icmp: Arc::new(Icmp::new()),
            resolver: Arc::new(Resolver::at(self.address)),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, std::env::temp_dir()),
            timeout: Duration::from_secs(20),
            canary: CanaryName::default(),
        };
        let check = json!({"dns": settings});
        let check: Check = serde_json::from_value(check).expect("settings");
        let template = check.prepare(&context).map_err(|p| format!("{p:?}"));
        let target = template.expect("good settings");
        let probe = target.target(&self.address.to_string()).expect("address");
        soon(probe.run(&mut Stopwatch::start())).await
    }
}

fn free_port() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = udp.local_addr().expect("bound");
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[tokio::test]
async fn a_real_server_answers_every_type_over_both_transports() {
    let server = Dnsmasq::start().await;
    for transport in ["udp", "tcp"] {
        for (name, kind, answers) in [
            ("db.example", "A", json!(["10.0.0.1"])),
            ("two.example", "A", json!(["10.0.0.2", "10.0.0.1"])),
            ("db.example", "AAAA", json!(["FD00::1"])),
            ("alias.example", "A", json!(["10.0.0.1"])),
            ("alias.example", "CNAME", json!(["db.example."])),
            ("example", "MX", json!(["10 mail.example"])),
            ("example", "TXT", json!(["\"v=1 Yes\""])),
            ("_pg._tcp.example", "SRV", json!(["1 2 5432 db.example."])),
            ("example", "CAA", json!(["0 issue \"ca.example\""])),
            ("10.0.0.2", "PTR", json!(["two.example"])),
        ] {
            let settings = json!({
                "name": name, "type": kind, "answers": answers, "transport": transport,
                "authoritative": true,
            });
            let reply = server.ask(settings).await;
            let reply = reply.unwrap_or_else(|why| panic!("{transport} {name} {kind}: {why}"));
            let facts = reply.facts.dns.expect("facts");
            assert_eq!(facts.rcode, 0);
            assert!(facts.min_ttl_seconds <= Some(60), "{facts:?}");
        }
    }
}

#[tokio::test]
async fn a_real_server_refuses_and_knows_what_is_not_there() {
    let server = Dnsmasq::start().await;
    for (name, kind, valid, detail) in [
        ("no.example", "A", "NOERROR", "rcode NXDOMAIN"),
        // It has nobody to ask.
        ("elsewhere.test", "A", "NOERROR", "rcode REFUSED"),
        (
            "two.example",
            "AAAA",
            "NOERROR",
            "0 records of type AAAA with rcode NOERROR, at least 1 expected",
        ),
        ("db.example", "A", "NXDOMAIN", "rcode NOERROR"),
    ] {
        let settings = json!({"name": name, "type": kind, "valid_rcodes": [valid]});
        let failure = server.ask(settings).await.expect_err(name);
        assert_eq!((failure.reason, &*failure.detail), (Reason::Answer, detail));
    }
    let absent = json!({"name": "no.example", "valid_rcodes": ["NXDOMAIN"]});
    server.ask(absent).await.expect("as it should be");
}

#[tokio::test]
async fn the_resolver_keeps_what_a_real_server_said_beyond_its_end() {
    let mut server = Dnsmasq::start().await;
    let resolver = Resolver::at(server.address);
    let resolve = async |name: &str| {
        let host = Host::parse(name).expect("a host");
        let mut watch = Stopwatch::start();
        let found = soon(resolver.resolve(&host, IpVersion::Any, &mut watch)).await;
        found
            .map(|ips| ips.to_vec())
            .map_err(|failure| failure.reason)
    };
    let both: [IpAddr; 2] = [
        "10.0.0.1".parse().expect("v4"),
        "fd00::1".parse().expect("v6"),
    ];
    assert_eq!(resolve("alias.example").await, Ok(both.to_vec()));
    assert_eq!(resolve("no.example").await, Err(Reason::DnsNotFound));
    assert_eq!(resolve("elsewhere.test").await, Err(Reason::DnsFailed));
    server.child.kill().await.expect("killed");
    assert_eq!(resolve("alias.example").await, Ok(both.to_vec()));
    assert_eq!(resolve("db.example").await, Err(Reason::DnsFailed));
    let refused = server.ask(json!({"name": "db.example"})).await;
    assert_eq!(refused.expect_err("gone").reason, Reason::Refused);
}
