//! TLS: what a certificate must be like, and what is learned of it either way.

use hotspare::model::{FactSet, Facts, Phase, Reason, TlsFacts, TlsVersion};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::pki::{Authority, Identity, Tls};
use super::server::{Server, finish};
use super::{Ran, context, hosts, probe, probe_in, run};

/// The first of January 2100 and 2001.
const Y2100: i64 = 4_102_444_800;
const Y2001: i64 = 978_307_200;

static ONLY_TLS_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// A folder with the authority's certificate, and settings that trust it.
struct Client {
    folder: TempDir,
}

impl Client {
    fn trusting(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        Self { folder }
    }

    async fn run(&self, mut settings: Value, server: &Server) -> Ran {
        let tls = settings
            .as_object_mut()
            .expect("an object")
            .entry("tls")
            .or_insert_with(|| json!({}));
        tls["ca_file"] = json!("ca.pem");
        let context = context(hosts(), self.folder.path());
        let url = format!("https://{}/", server.address);
        run(&probe_in(settings, &url, &context)).await
    }

    fn save(&self, identity: &Identity) {
        let write = |name, pem| std::fs::write(self.folder.path().join(name), pem);
        write("client.pem", identity.certificate.pem()).expect("written");
        write("client.key", identity.key.serialize_pem()).expect("written");
    }
}

fn tls_of(facts: Option<Box<Facts>>) -> TlsFacts {
    *facts.and_then(|facts| facts.tls).expect("facts of TLS")
}

#[tokio::test]
async fn a_good_certificate_and_http_2() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let server = Tls::new(&identity).answering("hello").await;
    let client = Client::trusting(&authority);
    let ran = client
        .run(json!({ "body_matches": ["^hello$"] }), &server)
        .await;
    assert_eq!(
        ran.phases(),
        [
            Phase::Connect,
            Phase::Tls,
            Phase::Processing,
            Phase::Transfer
        ]
    );
    let reply = ran.reply();
    let http = reply.facts.http.expect("facts");
    assert_eq!((http.status, http.version, http.body_bytes), (200, "2", 5));
    let tls = reply.facts.tls.expect("facts");
    assert_eq!(tls.version, Some(TlsVersion::Tls13));
    assert_eq!(tls.verified, Some(true));
    assert_eq!(tls.leaf_not_after, Some(Y2100));
    assert_eq!(tls.chain_min_not_after, Some(Y2100));
    assert!(tls.cipher.is_some_and(|name| name.starts_with("TLS13_")));
    let request = &server.seen()[1];
    let line = format!("GET https://{}/ ", server.address);
    assert!(request.starts_with(&line), "{request}");
    assert!(
        !request.contains("connection") && !request.contains("\"host\""),
        "{request}"
    );
}

#[tokio::test]
async fn http_1_where_http_2_is_not_wanted_or_not_there() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let client = Client::trusting(&authority);
    let both = Tls::new(&identity).answering("hello").await;
    let mut old = Tls::new(&identity);
    old.alpn = &[];
    old.versions = ONLY_TLS_1_2;
    let old = old.answering("hello").await;
    for (settings, server, version) in [
        (json!({ "http2": false }), &both, TlsVersion::Tls13),
        (json!({}), &old, TlsVersion::Tls12),
    ] {
        let reply = client.run(settings, server).await.reply();
        assert_eq!(reply.facts.http.expect("facts").version, "1.1");
        assert_eq!(reply.facts.tls.expect("facts").version, Some(version));
    }
}

#[tokio::test]
async fn a_standby_is_asked_under_the_production_name() {
    let authority = Authority::new();
    let identity = authority.issue(&["shop.example.com", "tls.example.com"]);
    let server = Tls::new(&identity).answering("hello").await;
    let client = Client::trusting(&authority);
    for (settings, name, authority) in [
        (
            json!({ "host": "shop.example.com" }),
            "shop.example.com",
            "shop.example.com",
        ),
        (
            json!({ "host": "shop.example.com", "tls": { "server_name": "tls.example.com" } }),
            "tls.example.com",
            "shop.example.com",
        ),
    ] {
        let before = server.seen().len();
        client.run(settings, &server).await.reply();
        let seen = &server.seen()[before..];
        assert_eq!(seen[0], name);
        let line = format!("GET https://{authority}/ ");
        assert!(seen[1].starts_with(&line), "{seen:?}");
    }
    let one = json!({ "host": "shop.example.com", "http2": false });
    client.run(one, &server).await.reply();
    let request = server.seen().pop().expect("a request");
    assert!(
        request.contains("\r\nhost: shop.example.com\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn bad_certificates_are_refused_but_told_of() {
    let authority = Authority::new();
    let impostor = Authority::new();
    let stranger = Authority::named("somebody else's authority");
    let client = Client::trusting(&authority);
    for (identity, detail, not_after) in [
        (
            authority.issue(&["other.example.com"]),
            "not valid for name",
            Y2100,
        ),
        (
            authority.issue_until(&["127.0.0.1"], 2001),
            "expired",
            Y2001,
        ),
        (
            stranger.issue(&["127.0.0.1"]),
            "not from a trusted authority",
            Y2100,
        ),
        (
            impostor.issue(&["127.0.0.1"]),
            "another key than that of the trusted authority",
            Y2100,
        ),
        (
            Identity::own_authority(&["127.0.0.1"]),
            "is marked as an authority",
            67_090_118_400,
        ),
    ] {
        let server = Tls::new(&identity).answering("hello").await;
        let ran = client.run(json!({}), &server).await;
        assert_eq!(ran.phases(), [Phase::Connect]);
        let failure = ran.failed(Reason::TlsCertificate, detail);
        let tls = tls_of(failure.facts);
        assert_eq!(tls.verified, Some(false), "{detail}");
        assert_eq!(tls.leaf_not_after, Some(not_after), "{detail}");
        assert_eq!(tls.version, None);

        // The same with verification off: measured, and marked.
        let off = json!({ "tls": { "insecure_skip_verify": true } });
        let tls = *client
            .run(off, &server)
            .await
            .reply()
            .facts
            .tls
            .expect("facts");
        assert_eq!(tls.verified, Some(false), "{detail}");
        assert_eq!(tls.leaf_not_after, Some(not_after), "{detail}");
    }
}

#[tokio::test]
async fn a_trusted_appliance_certificate_marked_as_an_authority_is_explained() {
    let appliance = Identity::own_authority(&["127.0.0.1"]);
    let server = Tls::new(&appliance).answering("hello").await;
    let client = Client::trusting(&Authority::new());
    let ca = client.folder.path().join("ca.pem");
    std::fs::write(ca, appliance.certificate.pem()).expect("written");
    client.run(json!({}), &server).await.failed(
        Reason::TlsCertificate,
        "is marked as an authority; issue one that is not, or leave its verification out",
    );
}

#[test]
fn unverified_sessions_show_in_the_shape() {
    let off = json!({ "tls": { "insecure_skip_verify": true } });
    let facts = probe(off.clone(), "https://127.0.0.1/").shape().facts;
    assert_eq!(
        facts,
        FactSet {
            http: true,
            tls: true,
            tls_unverified: true,
            ..FactSet::default()
        }
    );
    let facts = probe(off, "http://127.0.0.1/").shape().facts;
    assert!(!facts.tls && !facts.tls_unverified);
}

#[tokio::test]
async fn a_server_may_ask_for_the_clients_certificate() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    for (alpn, versions) in [
        (&[&b"h2"[..]][..], rustls::ALL_VERSIONS),
        (&[], rustls::ALL_VERSIONS),
        (&[], ONLY_TLS_1_2),
    ] {
        let mut asking = Tls::new(&identity);
        asking.alpn = alpn;
        asking.clients = Some(&authority);
        asking.versions = versions;
        let server = asking.answering("hello").await;
        let client = Client::trusting(&authority);
        let ran = client.run(json!({}), &server).await;
        ran.failed(Reason::TlsHandshake, "received fatal alert");

        client.save(&authority.issue(&["client"]));
        let own = json!({ "tls": { "cert_file": "client.pem", "key_file": "client.key" } });
        client.run(own.clone(), &server).await.reply();

        client.save(&Authority::new().issue(&["client"]));
        let ran = client.run(own, &server).await;
        ran.failed(Reason::TlsHandshake, "received fatal alert");
    }
}

#[tokio::test]
async fn the_clients_certificate_is_for_the_target_alone() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let mut asking = Tls::new(&identity);
    asking.clients = Some(&authority);
    let other = asking.answering("hello").await;
    let mut leading = Tls::new(&identity);
    leading.alpn = &[b"http/1.1"];
    let server = leading
        .sending(format!(
            "HTTP/1.1 302 Found\r\nLocation: https://{}/\r\nContent-Length: 0\r\n\r\n",
            other.address
        ))
        .await;
    let client = Client::trusting(&authority);
    client.save(&authority.issue(&["client"]));
    let own = json!({
        "follow_redirects": 1,
        "tls": { "cert_file": "client.pem", "key_file": "client.key" },
    });
    client.run(own.clone(), &other).await.reply();
    let ran = client.run(own, &server).await;
    ran.failed(Reason::TlsHandshake, "received fatal alert");
}

#[tokio::test]
async fn what_is_no_tls_is_a_failed_handshake() {
    for (bytes, reason, detail) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            Reason::TlsHandshake,
            "the server does not speak TLS",
        ),
        (
            b"\x16\x03\x03\x00\x04\xff\x00\x00\x00",
            Reason::TlsHandshake,
            "",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            Reason::TlsHandshake,
            "alert",
        ),
        (b"", Reason::Eof, ""),
    ] {
        let server = Server::start(move |mut stream, _| async move {
            let _ = stream.write_all(bytes).await;
            finish(stream).await;
        })
        .await;
        let settings = json!({ "tls": { "insecure_skip_verify": true } });
        let ran = run(&probe(settings, &format!("https://{}/", server.address))).await;
        assert_eq!(ran.phases(), [Phase::Connect]);
        let failure = ran.failed(reason, detail);
        // No certificate was seen: nothing that could replace the date of the last one.
        assert!(failure.facts.is_none_or(|facts| facts.tls.is_none()));
    }
}

#[tokio::test]
async fn a_session_cut_off_without_its_end_is_eof() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let mut cut = Tls::new(&identity);
    cut.alpn = &[b"http/1.1"];
    let server = cut.cutting("HTTP/1.1 200 OK\r\n\r\nuntil the e").await;
    let ran = Client::trusting(&authority).run(json!({}), &server).await;
    ran.failed(Reason::Eof, "read the body");
}
