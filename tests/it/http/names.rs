//! Targets that are names, and proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use hotspare::model::{Phase, Reason};
use hotspare::net::Resolver;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::pki::{Authority, Tls};
use super::server::{Server, answer_one, read_request};
use super::{context, hosts, probe, probe_in, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A name server that has the same addresses for every name.
struct Dns {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dns {
    async fn start(addresses: &'static [Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let address = socket.local_addr().expect("bound");
        let serve = async move {
            let mut packet = [0; 1500];
            loop {
                let (length, client) = socket.recv_from(&mut packet).await.expect("question");
                let mut answer = Message::from_vec(&packet[..length])
                    .expect("question")
                    .into_response();
                let question = answer.queries[0].clone();
                if question.query_type() == RecordType::A {
                    for ip in addresses {
                        let data = RData::A((*ip).into());
                        let name = question.name().clone();
                        answer.add_answer(Record::from_rdata(name, 60, data));
                    }
                }
                let bytes = answer.to_vec().expect("answer");
                socket.send_to(&bytes, client).await.expect("sent");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the test's own server")]
        let task = tokio::spawn(serve);
        Self { address, task }
    }

    fn resolver(&self) -> Resolver {
        Resolver::at(self.address)
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_are_told() {
    let server = Server::answering(OK).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let probe = probe(json!({ "ip_version": "4" }), &url);
    assert!(probe.shape().facts.addresses);
    let ran = run(&probe).await;
    assert_eq!(
        ran.phases(),
        [
            Phase::Resolve,
            Phase::Connect,
            Phase::Processing,
            Phase::Transfer
        ]
    );
    let reply = ran.reply();
    assert_eq!(reply.facts.addresses[..], [IpAddr::from([127, 0, 0, 1])]);
    let host = format!("host: localhost:{}\r\n", server.address.port());
    assert!(server.seen()[0].contains(&host), "{:?}", server.seen());
}

const TWO: &[Ipv4Addr] = &[Ipv4Addr::new(127, 0, 0, 21), Ipv4Addr::new(127, 0, 0, 22)];

#[tokio::test]
async fn all_addresses_are_probed_and_all_must_be_good() {
    let dns = Dns::start(TWO).await;
    let context = context(dns.resolver(), std::path::Path::new("/"));
    let one = Server::start_on("127.0.0.21:0", |stream, seen| async move {
        answer_one(stream, &seen, OK.as_bytes()).await;
    })
    .await;
    let port = one.address.port();
    let url = format!("http://two.example:{port}/");
    let all = probe_in(
        json!({ "addresses": "all", "ip_version": "4" }),
        &url,
        &context,
    );
    let first = probe_in(json!({ "ip_version": "4" }), &url, &context);

    // Which of the two comes first is the resolver's choice; one of them does not listen.
    let failure = run(&all)
        .await
        .failed(Reason::Refused, "connect to 127.0.0.22");
    assert_eq!(failure.facts.expect("facts").addresses.len(), 2);

    let two = Server::start_on(&format!("127.0.0.22:{port}"), |stream, seen| async move {
        answer_one(stream, &seen, OK.as_bytes()).await;
    })
    .await;
    let reply = run(&all).await.reply();
    assert_eq!(reply.latencies.len(), 2);
    assert_eq!(two.seen().len(), 1);
    assert_eq!(run(&first).await.reply().latencies.len(), 1);
}

const METADATA: &[Ipv4Addr] = &[Ipv4Addr::new(169, 254, 169, 254)];

#[tokio::test]
async fn a_name_cannot_lead_a_redirect_to_the_metadata_service() {
    let dns = Dns::start(METADATA).await;
    let context = context(dns.resolver(), std::path::Path::new("/"));
    let server =
        Server::answering("HTTP/1.1 302 Found\r\nLocation: http://kind.example/\r\n\r\n").await;
    let probe = probe_in(json!({ "follow_redirects": 3 }), &server.url("/"), &context);
    run(&probe).await.failed(
        Reason::Redirect,
        "a redirect to 169.254.169.254, which is not a public or private address",
    );
}

/// A proxy that notes what it is asked, and connects to wherever CONNECT says.
async fn proxy() -> Server {
    Server::start(|mut stream, seen| async move {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        seen.lock().expect("unpoisoned").push(request.clone());
        let Some(authority) = request
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next())
        else {
            let _ = stream.write_all(OK.as_bytes()).await;
            return super::server::finish(stream).await;
        };
        let Ok(mut target) = TcpStream::connect(authority).await else {
            let refused = b"HTTP/1.1 502 Bad Gateway\r\n\r\n";
            let _ = stream.write_all(refused).await;
            return super::server::finish(stream).await;
        };
        let _ = stream
            .write_all(b"HTTP/1.1 200 Go on\r\nX: y\r\n\r\n")
            .await;
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
    })
    .await
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_url_or_for_a_tunnel() {
    let proxy = proxy().await;
    let through = json!({
        "proxy": proxy.url(""),
        "tls": { "insecure_skip_verify": true },
    });
    run(&probe(through.clone(), "http://shop.example/x?y"))
        .await
        .reply();
    let request = &proxy.seen()[0];
    assert!(
        request.starts_with("GET http://shop.example/x?y HTTP/1.1\r\nhost: shop.example\r\n"),
        "{request}"
    );

    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&identity).answering("ok").await;
    let url = format!("https://{}/", server.address);
    let ran = run(&probe(through.clone(), &url)).await;
    assert!(ran.phases().contains(&Phase::Tls));
    assert_eq!(ran.reply().facts.http.expect("facts").version, "2");
    let tunnel = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", server.address);
    assert_eq!(proxy.seen()[1], tunnel);

    drop(server);
    let ran = run(&probe(through, &url)).await;
    ran.failed(Reason::Unreachable, "the proxy answered 502 to CONNECT");
}

#[tokio::test]
async fn credentials_for_the_proxy_are_for_the_proxy_alone() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("key"), "Basic cHJveHk6cHc=").expect("written");
    let context = context(hosts(), folder.path());
    let proxy = proxy().await;
    let through = json!({
        "proxy": proxy.url(""),
        "secret_headers": { "Proxy-Authorization": { "file": "key" } },
        "tls": { "insecure_skip_verify": true },
    });
    let credentials = "proxy-authorization: basic chjvehk6chc=\r\n";
    let told = |text: &str| text.to_lowercase().contains(credentials);
    run(&probe_in(through.clone(), "http://shop.example/", &context))
        .await
        .reply();
    assert!(told(&proxy.seen()[0]), "{:?}", proxy.seen());

    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&identity).answering("ok").await;
    let url = format!("https://{}/", server.address);
    for http2 in [true, false] {
        let mut settings = through.clone();
        settings["http2"] = json!(http2);
        run(&probe_in(settings, &url, &context)).await.reply();
        let asked = proxy.seen().pop().expect("a request");
        assert!(asked.starts_with("CONNECT ") && told(&asked), "{asked}");
    }
    let seen = server.seen().concat().to_lowercase();
    assert!(
        seen.contains("get https") && !seen.contains("proxy-authorization"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_proxy_that_talks_nonsense_is_a_protocol_failure() {
    for (answer, reason, detail) in [
        ("garbage\r\n\r\n", Reason::Protocol, "does not speak HTTP"),
        ("", Reason::Eof, "the proxy closed"),
        (
            "HTTP/1.1 200 OK\r\n\r\nx",
            Reason::Protocol,
            "more than headers",
        ),
        ("HTTP/1.1 407 No\r\n\r\n", Reason::Auth, "answered 407"),
    ] {
        let proxy = Server::answering(answer).await;
        let settings = json!({ "proxy": proxy.url(""), "tls": { "insecure_skip_verify": true } });
        run(&probe(settings, "https://127.0.0.1:1/"))
            .await
            .failed(reason, detail);
    }
}
