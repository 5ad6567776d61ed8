//! The probe `mysql` against servers that do not keep to the rules, and what a MySQL would say.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{
    DatabaseFacts, GtidSet, Identity, Link, Order, Phase, Position, Reason, ReplicationFacts, Role,
    Withheld,
};
use hotspare::net::Stopwatch;
use hotspare::probe::Probe;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::authority::Authority;
use crate::mysql::{GUARD, probe};
use crate::postgres::{Outcome, run};
use crate::scripted::{Script, Scripted, read_rest, reset};

/// Everything that a server can offer, except TLS.
const CAPABILITIES: u32 = !TLS;
const TLS: u32 = 0x0800;
const QUIT: &[u8] = b"\x01";
const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";

fn prepared(server: &Scripted, settings: &Value) -> Arc<dyn Probe> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    probe(settings, &server.address, folder.path(), GUARD).expect("prepared")
}

async fn probed(server: Scripted, settings: &Value) -> Outcome {
    let probe = prepared(&server, settings);
    server.visited(&*probe).await
}

fn plain() -> Value {
    json!({ "user": "probe", "password_file": "pw", "tls": "disable", "read_only": false })
}

fn over_tls() -> Value {
    json!({ "user": "probe", "password_file": "pw", "tls": "require", "read_only": false })
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
    [&length[..3], &[number], payload].concat()
}

fn greeting(version: &str, capabilities: u32, plugin: &str) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let payload = [
        &[10],
        version.as_bytes(),
        b"\0\x01\0\0\0challeng\0",
        &[a, b, 45, 2, 0, c, d, 21],
        &[0; 10],
        b"e of twenty!\0",
        plugin.as_bytes(),
        b"\0",
    ];
    packet(0, &payload.concat())
}

const DONE: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
/// What ends columns and rows.
const END: &[u8] = &[0xfe, 0, 0, 2, 0];

fn error(number: u8, code: u16) -> Vec<u8> {
    let text = b"#HY000no\x1b[31m\nway";
    packet(number, &[&[0xff], &code.to_le_bytes()[..], text].concat())
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short").to_le_bytes();
    [&[0xfc], &length[..], text.as_bytes()].concat()
}

fn column(name: &str) -> Vec<u8> {
    let parts = ["def", "", "", "", name, ""].map(text).concat();
    [&parts[..], b"\x0c-\0\xff\0\0\0\xfd\0\0\0\0\0"].concat()
}

/// An answer with rows.
fn table(columns: &[&str], rows: &[&[Option<&str>]]) -> Vec<u8> {
    let mut payloads = vec![vec![u8::try_from(columns.len()).expect("few")]];
    payloads.extend(columns.iter().map(|name| column(name)));
    payloads.push(END.to_vec());
    for row in rows {
        let values = row.iter().copied();
        let values = values.map(|value| value.map_or_else(|| vec![0xfb], text));
        payloads.push(values.collect::<Vec<_>>().concat());
    }
    payloads.push(END.to_vec());
    packets(&payloads.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn one() -> Vec<u8> {
    table(&["1"], &[&[Some("1")]])
}

/// The next packet of the client; none when it is gone.
fn read_packet(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).ok()?;
    let [a, b, c, number] = header;
    let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((number, payload))
}

/// Greets, and reads the client's response.
fn greeted(stream: &mut TcpStream, plugin: &str) -> Vec<u8> {
    let greeting = greeting("8.0.99", CAPABILITIES, plugin);
    stream.write_all(&greeting).expect("write");
    let (number, response) = read_packet(stream).expect("a response");
    assert_eq!(number, 1);
    let capabilities = u32::from_le_bytes(response[..4].try_into().expect("four"));
    assert_eq!(
        capabilities & 0x01_00a0,
        0,
        "files, compression, many statements"
    );
    response
}

/// Lets the client in, whatever its password.
fn let_in(stream: &mut TcpStream) {
    greeted(stream, NATIVE);
    stream.write_all(&packet(2, DONE)).expect("write");
}

/// The client's next question; none when it says good-bye or is gone.
fn question(stream: &mut TcpStream) -> Option<String> {
    let (number, command) = read_packet(stream)?;
    assert_eq!(number, 0);
    if command == QUIT {
        return None;
    }
    Some(String::from_utf8(command.strip_prefix(b"\x03")?.to_vec()).expect("UTF-8"))
}

/// Answers every question as the table says, and those that are not in it with an error.
fn answering(stream: &mut TcpStream, answers: &BTreeMap<&str, Vec<u8>>) {
    while let Some(asked) = question(stream) {
        let known = answers.iter().find(|(start, _)| asked.starts_with(**start));
        let answer = known.map_or_else(|| error(1, 1064), |(_, answer)| answer.clone());
        stream.write_all(&answer).expect("write");
    }
}

/// Sends the bytes instead of a greeting.
async fn greeting_of(settings: Value, bytes: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        let _ = stream.write_all(&bytes);
        read_rest(stream);
    });
    probed(server, &settings).await
}

/// Answers the client's response to the greeting; what the client sends then must be nothing of its
/// password.
async fn answered(plugin: &'static str, answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        greeted(stream, plugin);
        // The client may refuse it before it is complete.
        let _ = stream.write_all(&answer);
        let rest = read_rest(stream);
        assert!(
            !rest.windows(5).any(|part| part == b"right"),
            "the password"
        );
    });
    probed(server, &plain()).await
}

/// Answers the client's query and nothing after it.
async fn queried(answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        let_in(stream);
        assert_eq!(question(stream).as_deref(), Some("SELECT 1"));
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let rest = read_rest(stream);
        assert!(!rest.windows(4).any(|part| part == b"root"), "a file");
    });
    probed(server, &plain()).await
}

/// Servers that fall silent, and the phase in which the client waits then.
fn silences() -> Vec<(Value, Phase, Script)> {
    let mut bounded = plain();
    bounded["read_only"] = json!(true);
    let handshake = |stream: &mut TcpStream| {
        let offer = greeting("8.0.99", CAPABILITIES | TLS, NATIVE);
        stream.write_all(&offer).expect("write");
        assert_eq!(read_packet(stream).expect("a request").1.len(), 32);
        stream.read_exact(&mut [0; 5]).expect("hello");
    };
    let half_a_packet = |stream: &mut TcpStream| {
        greeted(stream, NATIVE);
        let switch = packet(2, &[&b"\xfe"[..], SHA2.as_bytes(), b"\0challenge"].concat());
        stream.write_all(&switch[..20]).expect("write");
    };
    let bounds = |stream: &mut TcpStream| {
        let_in(stream);
        assert!(question(stream).expect("bounds").starts_with("SET SESSION"));
    };
    let query = |stream: &mut TcpStream| {
        let_in(stream);
        assert_eq!(question(stream).expect("a query"), "SELECT 1");
    };
    let facts = move |stream: &mut TcpStream| {
        query(stream);
        stream.write_all(&one()).expect("write");
        assert!(question(stream).expect("more").contains("@@global"));
    };
    vec![
        (over_tls(), Phase::Tls, Box::new(handshake)),
        (
            plain(),
            Phase::Auth,
            Box::new(|stream| drop(greeted(stream, NATIVE))),
        ),
        (plain(), Phase::Auth, Box::new(half_a_packet)),
        (bounded, Phase::QueryRead, Box::new(bounds)),
        (plain(), Phase::QueryRead, Box::new(query)),
        (plain(), Phase::QueryRead, Box::new(facts)),
    ]
}

#[tokio::test]
async fn a_run_given_up_closes_its_socket_and_knows_its_phase() {
    let answered = silences().len() - 1;
    for (place, (settings, phase, script)) in silences().into_iter().enumerate() {
        let (silent, is_silent) = oneshot::channel();
        let server = Scripted::new(move |stream| {
            script(stream);
            silent.send(()).expect("the run is under way");
            read_rest(stream);
        });
        let probe = prepared(&server, &settings);
        let mut watch = Stopwatch::start();
        tokio::select! {
            outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
            silence = is_silent => silence.expect("the script went on"),
        }
        assert_eq!(watch.current(), Some(phase), "{place}");
        assert!(watch.laps().get(Phase::Connect).is_some());
        // What is asked after the answer has no time of its own.
        let timed = watch.laps().get(phase).is_some();
        assert_eq!(timed, place == answered, "{place}");
        drop(probe);
        // The script waits for the end of the connection.
        server.end();
    }
}

#[tokio::test]
async fn a_greeting_is_taken_at_its_word_only() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let huge = [&[0xff, 0xff, 0xff, 0], &[0; 1000][..]].concat();
    let old = greeting("4.0.30", 0x8200, NATIVE);
    let behind = [
        greeting("8.0.99", CAPABILITIES | TLS, NATIVE),
        packet(2, DONE),
    ]
    .concat();
    for (settings, bytes, reason) in [
        (plain(), http.clone(), Reason::TooLarge),
        (over_tls(), http, Reason::TooLarge),
        (plain(), packet(0, b""), Reason::Protocol),
        (plain(), packet(0, b"\x09old"), Reason::Protocol),
        (plain(), packet(0, b"\xff"), Reason::Protocol),
        (plain(), old, Reason::Protocol),
        (plain(), huge, Reason::TooLarge),
        (plain(), error(0, 1040), Reason::NotAccepting),
        (over_tls(), error(0, 1040), Reason::NotAccepting),
        (plain(), error(1, 1129), Reason::NotAccepting),
        (plain(), error(0, 1130), Reason::Auth),
        (
            over_tls(),
            greeting("8.0.99", CAPABILITIES, NATIVE),
            Reason::TlsRefused,
        ),
        // Words that someone put behind the greeting are not taken for the server's.
        (over_tls(), behind, Reason::TlsHandshake),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let outcome = greeting_of(settings, bytes).await;
        assert_eq!(
            outcome.reason(),
            Some(reason),
            "{shown}: {:?}",
            outcome.result
        );
    }
}

#[tokio::test]
async fn prefer_goes_on_without_tls_but_keeps_the_password() {
    let server = Scripted::new(|stream| {
        greeted(stream, SHA2);
        stream.write_all(&packet(2, b"\x01\x04")).expect("write");
        assert_eq!(read_rest(stream), b"", "the password");
    });
    let mut settings = over_tls();
    settings["tls"] = json!("prefer");
    let outcome = probed(server, &settings).await;
    assert_eq!(outcome.reason(), Some(Reason::Auth), "{:?}", outcome.result);
}

#[tokio::test]
async fn a_login_that_breaks_the_rules_ends_at_once() {
    use Reason::{Auth, Protocol};
    let switch = |plugin: &str, challenge: &str| format!("\u{fe}{plugin}\0{challenge}");
    let twenty_one = "another of twenty....\0";
    let rows = [
        (NATIVE, "\u{fb}/etc/passwd".to_owned(), Protocol, "login"),
        (NATIVE, String::new(), Protocol, "login"),
        (NATIVE, "\u{ff}\u{15}".to_owned(), Protocol, "login"),
        (
            NATIVE,
            "\u{ff}\u{15}\u{4}#28000no\u{1b}[31m\nway".to_owned(),
            Auth,
            "no [31m way",
        ),
        (NATIVE, "\u{1}\u{4}".to_owned(), Protocol, "known way"),
        (SHA2, "\u{1}\u{4}".to_owned(), Auth, "nobody vouches"),
        (SHA2, "\u{1}\u{5}".to_owned(), Protocol, "known way"),
        (
            SHA2,
            "\u{1}-----BEGIN PUBLIC KEY".to_owned(),
            Protocol,
            "known way",
        ),
        (
            SHA2,
            switch("mysql_clear_password", ""),
            Auth,
            "nobody vouches",
        ),
        (NATIVE, "\u{fe}".to_owned(), Auth, "mysql_old_password"),
        (NATIVE, switch("\u{1b}[2Jkrb5", ""), Auth, "` [2Jkrb5`"),
        (NATIVE, "\u{fe}no end".to_owned(), Protocol, "login"),
        (NATIVE, switch(NATIVE, "short"), Protocol, "20 bytes"),
        (SHA2, switch(NATIVE, twenty_one), Protocol, "20 bytes"),
        (
            NATIVE,
            switch("client_ed25519", twenty_one),
            Protocol,
            "client_ed25519",
        ),
    ];
    for (plugin, payload, reason, words) in rows {
        // One byte for each character.
        let bytes: Vec<_> = payload
            .chars()
            .map(|c| u8::try_from(c).expect("a byte"))
            .collect();
        ends_in_login(plugin, packet(2, &bytes), reason, words).await;
    }
    ends_in_login(NATIVE, packet(3, DONE), Protocol, "packet 3 came").await;
    let endless = b"\xff\xff\xff\x02".to_vec();
    ends_in_login(NATIVE, endless, Reason::TooLarge, "16777215").await;
}

async fn ends_in_login(plugin: &'static str, answer: Vec<u8>, reason: Reason, words: &str) {
    let outcome = answered(plugin, answer).await;
    let failure = outcome.result.as_ref().expect_err(words);
    assert_eq!(failure.reason, reason, "{words}: {failure}");
    assert!(failure.detail.contains(words), "{words}: {failure}");
    assert_eq!(outcome.watch.current(), Some(Phase::Auth), "{words}");
}

#[tokio::test]
async fn a_login_without_end_is_ended() {
    let rows: [fn(u8) -> Vec<u8>; 2] = [
        |_| [b"\xfe", NATIVE.as_bytes(), b"\0another of twenty...\0"].concat(),
        |_| b"\x01\x03".to_vec(),
    ];
    for payload in rows {
        let server = Scripted::new(move |stream| {
            greeted(stream, SHA2);
            let mut number = 2_u8;
            loop {
                let payload = payload(number);
                if stream.write_all(&packet(number, &payload)).is_err() {
                    return;
                }
                number = number.wrapping_add(1);
                if payload[0] == 0xfe {
                    if read_packet(stream).is_none() {
                        return;
                    }
                    number = number.wrapping_add(1);
                }
            }
        });
        let outcome = probed(server, &plain()).await;
        let failure = outcome.result.expect_err("ended");
        assert_eq!(failure.reason, Reason::Protocol, "{failure}");
        assert!(
            failure.detail.contains("does not come to an end"),
            "{failure}"
        );
    }
}

/// A server's side of a TLS session, after the greeting.
fn tls_session(
    stream: &mut TcpStream,
    authority: &Authority,
) -> rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    let identity = authority.identity(&["127.0.0.1"]);
    let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("identity");
    let greeting = greeting("8.0.99", CAPABILITIES | TLS, SHA2);
    stream.write_all(&greeting).expect("write");
    let (number, request) = read_packet(stream).expect("a request");
    assert_eq!((number, request.len()), (1, 32));
    let session = rustls::ServerConnection::new(Arc::new(config)).expect("session");
    rustls::StreamOwned::new(session, stream.try_clone().expect("socket"))
}

#[tokio::test]
async fn inside_tls_a_server_that_is_verified_gets_the_password_and_no_other() {
    for (verified, allowed) in [(true, false), (false, false), (false, true)] {
        let authority = Authority::new("authority");
        let pem = authority.pem.clone();
        let server = Scripted::new(move |stream| {
            let mut session = tls_session(stream, &authority);
            let (number, response) = read_packet(&mut session).expect("a response");
            assert_eq!(number, 2);
            assert!(
                response
                    .windows(SHA2.len())
                    .any(|part| part == SHA2.as_bytes())
            );
            session.write_all(&packet(3, b"\x01\x04")).expect("write");
            let password = read_packet(&mut session);
            if verified || allowed {
                assert_eq!(password, Some((4, b"right\0".to_vec())));
                session.write_all(&packet(5, DONE)).expect("write");
                assert_eq!(
                    read_packet(&mut session),
                    Some((0, b"\x03SELECT 1".to_vec()))
                );
                session.write_all(&one()).expect("write");
            } else {
                assert_eq!(password, None);
            }
        });
        let mut settings = over_tls();
        if verified {
            settings["tls"] = json!("verify-full");
            settings["ca_file"] = json!("ca.pem");
        }
        settings["allow_cleartext"] = json!(allowed);
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("pw"), "right").expect("write");
        std::fs::write(folder.path().join("ca.pem"), pem).expect("write");
        let probe = probe(&settings, &server.address, folder.path(), GUARD).expect("prepared");
        let outcome = run(&*probe, GUARD).await;
        server.end();
        let expected = (!verified && !allowed).then_some(Reason::Auth);
        assert_eq!(outcome.reason(), expected, "{:?}", outcome.result);
    }
}

/// Packets with these payloads, from number 1 on.
fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    let numbered = (1..).zip(payloads);
    let packets = numbered.map(|(number, payload)| packet(number, payload));
    packets.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn an_answer_is_good_or_its_reason_is_told() {
    let column = column("1");
    let rows = |row: &[u8]| packets(&[b"\x01", &column, END, row, END]);
    for (what, answer, reason) in [
        ("right", one(), None),
        ("other value", rows(b"\x012"), Some(Reason::Answer)),
        ("no value", rows(b"\xfb"), Some(Reason::Answer)),
        ("no row", table(&["1"], &[]), Some(Reason::Answer)),
        ("done", packet(1, DONE), Some(Reason::Answer)),
        ("error", error(1, 1064), Some(Reason::Query)),
        ("going down", error(1, 1053), Some(Reason::NotAccepting)),
        ("in rows", rows(&error(0, 1317)[4..]), Some(Reason::Query)),
        (
            "16 MiB",
            b"\xff\xff\xff\x01".to_vec(),
            Some(Reason::TooLarge),
        ),
        ("number 0", packet(0, DONE), Some(Reason::Protocol)),
        ("number 2", packet(2, DONE), Some(Reason::Protocol)),
    ] {
        let outcome = queried(answer).await;
        assert_eq!(outcome.reason(), reason, "{what}: {:?}", outcome.result);
        assert!(outcome.facts().database.is_some(), "{what}");
        if let Err(failure) = &outcome.result {
            assert!(!failure.detail.contains('\x1b'), "{failure}");
        }
    }
}

#[tokio::test]
async fn answers_that_break_the_rules_are_never_taken_for_good() {
    let column = column("1");
    let rows: [&[&[u8]]; 13] = [
        &[b"\xfb/etc/passwd"],
        &[b""],
        &[b"\0\0"],
        &[b"\xff\x01"],
        &[b"\xfe\0\0\0\0\0\0\0\x10"],
        &[b"\xfc\0\0"],
        &[b"\x01", &column[..5]],
        &[b"\x01", b"\xff\x25"],
        &[b"\x01", &column, b"\x011"],
        &[b"\x01", &column, END, b"\x011\x011", END],
        &[b"\x01", &column, END, b"\x091", END],
        &[b"\x01", &column, END, b"", END],
        &[
            b"\x01",
            &column,
            END,
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff1",
            END,
        ],
    ];
    for payloads in rows {
        let outcome = queried(packets(payloads)).await;
        let what = String::from_utf8_lossy(&payloads.concat()).into_owned();
        let reason = outcome.reason();
        assert_eq!(
            reason,
            Some(Reason::Protocol),
            "{what}: {:?}",
            outcome.result
        );
    }
}

#[tokio::test]
async fn endless_talk_ends_at_the_cap() {
    let numbered = |payload: &[u8], first: u8| {
        let mut talk = Vec::new();
        let mut number = first;
        while talk.len() < 2 << 20 {
            talk.extend(packet(number, payload));
            number = number.wrapping_add(1);
        }
        talk
    };
    let head = |columns: u8| [packet(1, &[columns]), packet(2, &column("1"))].concat();
    let rows = [head(1), packet(3, END), numbered(b"\x011", 4)].concat();
    let wide = [
        packet(1, b"\xfc\0\x10"),
        numbered(&column(&"x".repeat(250)), 2),
    ]
    .concat();
    let results = numbered(&[0, 0, 0, 10, 0, 0, 0], 1);
    for (what, talk, reason) in [
        ("rows", rows, Reason::TooLarge),
        ("columns", wide, Reason::TooLarge),
        ("results", results, Reason::TooLarge),
    ] {
        let outcome = queried(talk).await;
        assert_eq!(
            outcome.reason(),
            Some(reason),
            "{what}: {:?}",
            outcome.result
        );
    }
}

/// What a good server says up to the answer, and how much of it the client takes before it asks on.
fn good_talk() -> [Vec<u8>; 3] {
    let switch = [b"\xfe", SHA2.as_bytes(), b"\0another of twenty...\0"].concat();
    let granted = [packet(4, b"\x01\x03"), packet(5, DONE)].concat();
    [
        [greeting("8.0.99", CAPABILITIES, NATIVE), packet(2, &switch)].concat(),
        granted,
        one(),
    ]
}

/// Says what a good server says, changed, without waiting for the client.
async fn said(change: impl Fn(usize, &mut Vec<u8>), outcome: impl Fn(usize, Outcome)) {
    let whole = good_talk().concat();
    for place in 0..whole.len() {
        let mut talk = whole.clone();
        change(place, &mut talk);
        let server = Scripted::new(move |stream| {
            let _ = stream.write_all(&talk);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            read_rest(stream);
        });
        outcome(place, probed(server, &plain()).await);
    }
}

#[tokio::test]
async fn a_session_cut_anywhere_ends_as_cut() {
    let cut = |place: usize, talk: &mut Vec<u8>| talk.truncate(place);
    said(cut, |place, outcome| {
        assert_eq!(
            outcome.reason(),
            Some(Reason::Eof),
            "{place}: {:?}",
            outcome.result
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_with_any_byte_changed_ends() {
    for mask in [0x01, 0x80, 0xff] {
        let flip = |place: usize, talk: &mut Vec<u8>| talk[place] ^= mask;
        // A change of what nobody looks at may pass; of the value, it never does.
        said(flip, |place, outcome| {
            let value = good_talk().concat().len() - 10;
            assert!(place != value || outcome.result.is_err(), "{place}");
        })
        .await;
    }
}

#[tokio::test]
async fn connections_that_end_early_are_told_from_those_that_are_reset() {
    let login: fn(&mut TcpStream) = |stream| drop(greeted(stream, NATIVE));
    let query: fn(&mut TcpStream) = |stream| {
        let_in(stream);
        question(stream);
        stream.write_all(&one()[..9]).expect("write");
    };
    for (script, phase) in [(login, Phase::Auth), (query, Phase::QueryRead)] {
        let outcome = probed(Scripted::new(script), &plain()).await;
        assert_eq!(outcome.reason(), Some(Reason::Eof), "{:?}", outcome.result);
        assert_eq!(outcome.watch.current(), Some(phase));
        let broken = Scripted::new(move |stream| {
            script(stream);
            reset(stream);
        });
        let outcome = probed(broken, &plain()).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::Reset),
            "{:?}",
            outcome.result
        );
    }
}

/// What the server says of itself after the answer, to a client with these settings.
async fn told(version: &'static str, answers: &[(&'static str, Vec<u8>)]) -> DatabaseFacts {
    let mut answers: BTreeMap<_, _> = answers.iter().cloned().collect();
    answers.insert("SELECT 1", one());
    let server = Scripted::new(move |stream| {
        let greeting = greeting(version, CAPABILITIES, NATIVE);
        stream.write_all(&greeting).expect("write");
        read_packet(stream).expect("a response");
        stream.write_all(&packet(2, DONE)).expect("write");
        answering(stream, &answers);
    });
    let outcome = probed(server, &plain()).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    assert_eq!(outcome.watch.current(), None);
    *outcome.facts().database.clone().expect("database")
}

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

fn variables(read_only: &str, mode: &str, executed: &str, purged: &str) -> Vec<u8> {
    let columns = [
        "read_only",
        "super_read_only",
        "server_uuid",
        "gtid_mode",
        "executed",
        "purged",
    ];
    let values = [read_only, "0", UUID, mode, executed, purged].map(Some);
    table(&columns, &[&values])
}

fn gtids(text: &str) -> Position {
    Position::Gtids(GtidSet::parse(text).expect("a set"))
}

fn status(io: &str, sql: &str, lag: Option<&str>, retrieved: &str) -> Vec<u8> {
    // The order of columns is another in every version.
    let columns = [
        "Seconds_Behind_Source",
        "Retrieved_Gtid_Set",
        "Replica_SQL_Running",
        "Replica_IO_Running",
    ];
    table(&columns, &[&[lag, Some(retrieved), Some(sql), Some(io)]])
}

#[tokio::test]
async fn a_mysql_standby_tells_where_it_stands() {
    let executed =
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,\n3e11fa47-71ca-11e1-9e33-c80aa9429563:tag:1";
    let retrieved = "3e11fa47-71ca-11e1-9e33-c80aa9429562:5-9";
    let purged = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-2";
    let heard = table(
        &["now", "heartbeat", "queued"],
        &[&[Some("100.500000"), Some("90.000000"), Some("98.250000")]],
    );
    let facts = told(
        "8.4.3",
        &[
            ("SELECT @@global", variables("1", "ON", executed, purged)),
            ("SHOW REPLICA STATUS", status("Yes", "No", None, retrieved)),
            ("SELECT UNIX_TIMESTAMP", heard),
        ],
    )
    .await;
    assert_eq!((facts.engine, &*facts.version), ("mysql", "8.4.3"));
    assert_eq!(facts.withheld, None);
    let told = facts.replication.expect("told");
    assert_eq!((told.role, told.writable), (Role::Standby, Some(false)));
    assert_eq!(told.identity, Some(Identity::Server(UUID.into())));
    assert_eq!(told.position, Some(gtids(executed)));
    assert_eq!(told.purged, Some(gtids(purged)));
    let both =
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9,3e11fa47-71ca-11e1-9e33-c80aa9429563:tag:1";
    assert_eq!(told.received, Some(gtids(both)));
    let link = Link {
        up: Some(true),
        silence: Some(Duration::from_millis(2250)),
        initial_sync: false,
    };
    assert_eq!(told.link, Some(link));
    assert_eq!((told.replay_paused, told.native_lag), (Some(true), None));
}

#[tokio::test]
async fn a_mysql_says_what_it_can_and_no_more() {
    let primary = ("SELECT @@global", variables("0", "ON", "", ""));
    let none = table(&["Replica_IO_Running"], &[]);
    let refused = || error(1, 1227);

    let facts = told("8.0.36", &[primary.clone(), ("SHOW REPLICA STATUS", none)]).await;
    let replication = facts.replication.expect("told");
    assert_eq!(
        (replication.role, replication.writable),
        (Role::Primary, Some(true))
    );
    assert_eq!((facts.withheld, replication.link), (None, None));
    assert_eq!(replication.position, Some(gtids("")));

    // Without the grant it is not known whether there is a source.
    let facts = told(
        "8.0.36",
        &[primary.clone(), ("SHOW REPLICA STATUS", refused())],
    )
    .await;
    let replication = facts.replication.expect("told");
    assert_eq!((replication.role, replication.link), (Role::Unknown, None));
    assert_eq!(facts.withheld, Some(Withheld::Permission));

    // An older one has other words; silence needs a grant of its own.
    let columns = [
        "Slave_IO_Running",
        "Slave_SQL_Running",
        "Seconds_Behind_Master",
        "Retrieved_Gtid_Set",
    ];
    let row = ["Connecting", "Yes", "3", ""].map(Some);
    let slave = table(&columns, &[&row]);
    let off = ("SELECT @@global", variables("1", "OFF_PERMISSIVE", "", ""));
    let answers = [
        off,
        ("SHOW SLAVE STATUS", slave),
        ("SELECT UNIX_TIMESTAMP", error(1, 1142)),
    ];
    let facts = told("8.0.21", &answers).await;
    let replication = facts.replication.expect("told");
    assert_eq!(facts.withheld, Some(Withheld::Permission));
    let link = replication.link.expect("a link");
    assert_eq!((link.up, link.silence), (Some(false), None));
    assert_eq!(replication.replay_paused, Some(false));
    assert_eq!(replication.native_lag, Some(Duration::from_secs(3)));
    assert_eq!((replication.position, replication.received), (None, None));

    // What is no set of transactions is no position, and what is unknown is not guessed.
    let odd = variables("0", "ON", "everything", "");
    let facts = told("9.1.0", &[("SELECT @@global", odd)]).await;
    assert_eq!(facts.withheld, Some(Withheld::Error));
    assert_eq!(facts.replication.expect("told").position, None);
    let facts = told("8.0.36", &[]).await;
    assert_eq!(facts.withheld, Some(Withheld::Unsupported));
    let replication = facts.replication.expect("told");
    assert_eq!(
        (replication.role, replication.writable),
        (Role::Unknown, None)
    );
}

#[tokio::test]
async fn a_server_that_breaks_off_after_the_answer_has_still_answered() {
    for answer in [
        b"".to_vec(),
        one()[..9].to_vec(),
        packet(7, DONE),
        packet(1, b"\xfb/etc/passwd"),
    ] {
        let server = Scripted::new(move |stream| {
            let_in(stream);
            question(stream);
            stream.write_all(&one()).expect("write");
            question(stream);
            stream.write_all(&answer).expect("write");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            read_rest(stream);
        });
        let outcome = probed(server, &plain()).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        let facts = outcome.facts().database.as_ref().expect("database");
        assert_eq!(facts.withheld, Some(Withheld::Error));
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_server_that_does_not_bound_the_session() {
    let mut settings = plain();
    settings["read_only"] = json!(true);
    let server = Scripted::new(|stream| {
        let_in(stream);
        assert!(
            question(stream)
                .expect("bounds")
                .contains("transaction_read_only = 1")
        );
        stream.write_all(&error(1, 1193)).expect("write");
        assert_eq!(question(stream), None);
    });
    let outcome = probed(server, &settings).await;
    let failure = outcome.result.as_ref().expect_err("refused");
    assert_eq!(failure.reason, Reason::Query);
    assert!(
        failure.detail.contains("see read_only: ERROR 1193"),
        "{failure}"
    );
    assert!(outcome.facts().database.is_some());
}

#[tokio::test]
async fn a_canary_without_an_answer_is_told_by_its_phase() {
    let mut settings = plain();
    settings["canary"] = json!(true);
    let answers = || {
        BTreeMap::from([
            ("SET SESSION", packet(1, DONE)),
            ("SELECT 1", one()),
            ("SELECT @@global", variables("0", "ON", "", "")),
            ("SHOW REPLICA STATUS", table(&["Replica_IO_Running"], &[])),
            ("SELECT epoch, seq", table(&["epoch", "seq"], &[])),
            ("SET TRANSACTION READ WRITE", packet(1, DONE)),
        ])
    };
    let (silent, is_silent) = oneshot::channel();
    let scripts: Vec<Script> = vec![
        Box::new(move |stream| {
            let_in(stream);
            answering(stream, &answers());
        }),
        Box::new(move |stream| {
            let_in(stream);
            let answers = answers();
            while let Some(asked) = question(stream) {
                if asked.starts_with("INSERT INTO hotspare.canary") {
                    silent.send(()).expect("the run is under way");
                    read_rest(stream);
                    return;
                }
                let (_, answer) = answers
                    .iter()
                    .find(|(start, _)| asked.starts_with(**start))
                    .expect(&asked);
                stream.write_all(answer).expect("write");
            }
        }),
    ];
    let server = Scripted::in_turn(scripts);
    let probe = prepared(&server, &settings);
    let outcome = run(&*probe, GUARD).await;
    let told = outcome
        .facts()
        .database
        .clone()
        .expect("database")
        .replication
        .expect("told");
    let to = told.incarnation();
    probe
        .pen()
        .expect("a pen")
        .order(Some(Order { seq: 1, to }));
    let mut watch = Stopwatch::start();
    tokio::select! {
        outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
        silence = is_silent => silence.expect("the script went on"),
    }
    assert_eq!(watch.current(), Some(Phase::QueryWrite));
    assert!(watch.laps().get(Phase::QueryWrite).is_none());
    assert_eq!(probe.pen().expect("a pen").take(), None);
    drop(probe);
    server.end();
}

#[tokio::test]
async fn a_canary_that_hangs_is_given_up_before_the_deadline() {
    let mut settings = plain();
    settings["canary"] = json!(true);
    let server = Scripted::new(|stream| {
        let_in(stream);
        let answers = [
            ("SET SESSION", packet(1, DONE)),
            ("SELECT 1", one()),
            ("SELECT @@global", variables("0", "ON", "", "")),
            ("SHOW REPLICA STATUS", table(&["Replica_IO_Running"], &[])),
            ("SELECT epoch, seq", table(&["epoch", "seq"], &[])),
            ("SET TRANSACTION READ WRITE", packet(1, DONE)),
        ];
        for (start, answer) in answers {
            let asked = question(stream).expect("asked");
            assert!(asked.starts_with(start), "{asked}");
            stream.write_all(&answer).expect("write");
        }
        read_rest(stream);
    });
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    let timeout = Duration::from_secs(1);
    let probe = probe(&settings, &server.address, folder.path(), timeout).expect("prepared");
    let now = tokio::time::Instant::now().into_std();
    let mut told = ReplicationFacts::new(now, now);
    told.identity = Some(Identity::Server(UUID.into()));
    let to = told.incarnation();
    let pen = probe.pen().expect("a pen");
    pen.order(Some(Order { seq: 1, to }));
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("no answer");
    assert_eq!(failure.reason, Reason::TimeoutQuery);
    assert!(failure.detail.contains("canary"), "{failure}");
    let database = outcome.facts().database.clone().expect("database");
    assert_eq!(database.replication.expect("told").role, Role::Primary);
    server.end();
}

#[tokio::test]
async fn a_connection_that_is_half_read_or_gone_is_not_used_again() {
    let mut settings = plain();
    settings["connection"] = json!("reuse");
    let answers = || BTreeMap::from([("SELECT 1", one())]);
    let exchange = move |stream: &mut TcpStream| {
        for answer in [one(), error(1, 1064), error(1, 1064)] {
            question(stream).expect("a question");
            stream.write_all(&answer).expect("write");
        }
    };
    let (silent, is_silent) = oneshot::channel();
    let scripts: Vec<Script> = vec![
        // Answers one run; the next one is given up half-way.
        Box::new(move |stream| {
            let_in(stream);
            exchange(stream);
            question(stream);
            stream.write_all(&one()[..20]).expect("write");
            silent.send(()).expect("the run is under way");
            read_rest(stream);
        }),
        // Says something unasked between two runs, as a server does that ends the session.
        Box::new(move |stream| {
            let_in(stream);
            exchange(stream);
            stream.write_all(&error(0, 4031)).expect("write");
        }),
        Box::new(move |stream| {
            let_in(stream);
            answering(stream, &answers());
        }),
    ];
    let server = Scripted::in_turn(scripts);
    let probe = prepared(&server, &settings);
    let connected = |outcome: &Outcome| {
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        outcome.watch.laps().get(Phase::Connect).is_some()
    };
    assert!(connected(&run(&*probe, GUARD).await));
    let mut watch = Stopwatch::start();
    tokio::select! {
        outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
        silence = is_silent => silence.expect("the script went on"),
    }
    assert_eq!(watch.laps().iter().count(), 0);
    for _ in 0..2 {
        assert!(connected(&run(&*probe, GUARD).await));
    }
    assert!(!connected(&run(&*probe, GUARD).await));
    drop(probe);
    server.end();
}
