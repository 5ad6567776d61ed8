//! The probe `postgres` against servers that do not keep to the rules.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{
    Identity, Incarnation, Mark, NotWritten, Order, Phase, Reason, Role, Withheld,
};
use hotspare::net::Stopwatch;
use hotspare::probe::Probe;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::postgres::{EPOCH, Outcome, probe, run};
use crate::postgres_server::{Authority, PostgresServer};
use crate::scripted::{Scripted, read_rest, reset};

/// No run here should come near it.
const GUARD: Duration = Duration::from_mins(1);

async fn probed(server: Scripted, settings: &Value) -> Outcome {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    let probe = probe(settings, &server.address, folder.path(), GUARD).expect("prepared");
    server.visited(&*probe).await
}

fn plain() -> Value {
    json!({ "user": "probe", "password_file": "pw", "tls": "disable", "replication": false })
}

fn over_tls() -> Value {
    json!({ "user": "probe", "password_file": "pw", "tls": "require", "replication": false })
}

/// A message of the server.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn login_request(number: u32, body: &[u8]) -> Vec<u8> {
    message(b'R', &[&number.to_be_bytes()[..], body].concat())
}

/// The first message of a session, which has no type: all but its length.
fn read_first(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("length");
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body).expect("body");
    body
}

/// A later message of the client.
fn read_message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut tag = [0];
    stream.read_exact(&mut tag).expect("type");
    (tag[0], read_first(stream))
}

/// Lets the client in, as a server with `trust` does.
fn let_in(stream: &mut TcpStream) {
    read_first(stream);
    let ready = [
        login_request(0, b""),
        message(b'S', b"server_version\x0099.1\0"),
        message(b'K', &[0; 8]),
        message(b'Z', b"I"),
    ];
    stream.write_all(&ready.concat()).expect("write");
}

/// The answer to `SELECT 1`, if the row is right.
fn rows(row: &[u8]) -> Vec<u8> {
    let column = [&b"\0\x01c\0"[..], &[0; 18]].concat();
    let all = [
        message(b'T', &column),
        message(b'D', row),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ];
    all.concat()
}

type Script = fn(&mut TcpStream);

const ONE: &[u8] = b"\0\x01\0\0\0\x011";

/// Answers the client's first message, then waits for its end.
async fn answered(settings: Value, answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        read_first(stream);
        // The client may refuse it before it is complete.
        let _ = stream.write_all(&answer);
        read_rest(stream);
    });
    probed(server, &settings).await
}

/// Answers the client's query, then waits for its end.
async fn queried(answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        let_in(stream);
        assert_eq!(read_message(stream), (b'Q', b"SELECT 1\0".to_vec()));
        let _ = stream.write_all(&answer);
        read_rest(stream);
    });
    probed(server, &plain()).await
}

#[tokio::test]
async fn a_run_given_up_closes_its_socket_and_knows_its_phase() {
    let rows: [(Value, Script, Phase, Reason); 4] = [
        (
            over_tls(),
            |stream| assert_eq!(read_first(stream), [4, 0xd2, 0x16, 0x2f]),
            Phase::Tls,
            Reason::TimeoutTls,
        ),
        (
            over_tls(),
            |stream| {
                read_first(stream);
                stream.write_all(b"S").expect("write");
                stream.read_exact(&mut [0; 5]).expect("hello");
            },
            Phase::Tls,
            Reason::TimeoutTls,
        ),
        (
            plain(),
            |stream| drop(read_first(stream)),
            Phase::Auth,
            Reason::TimeoutAuth,
        ),
        (
            plain(),
            |stream| {
                let_in(stream);
                assert_eq!(read_message(stream).0, b'Q');
            },
            Phase::QueryRead,
            Reason::TimeoutQuery,
        ),
    ];
    for (settings, script, phase, reason) in rows {
        let (silent, is_silent) = oneshot::channel();
        let server = Scripted::new(move |stream| {
            script(stream);
            silent.send(()).expect("the run is under way");
            read_rest(stream);
        });
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("pw"), "right").expect("write");
        let probe = probe(&settings, &server.address, folder.path(), GUARD).expect("prepared");
        let mut watch = Stopwatch::start();
        tokio::select! {
            outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
            silence = is_silent => silence.expect("the script went on"),
        }
        assert_eq!(watch.current(), Some(phase), "{settings}");
        assert_eq!(Reason::timeout_in(watch.current()), reason);
        assert!(watch.laps().get(Phase::Connect).is_some());
        assert_eq!(watch.laps().get(phase), None);
        // The script waits for the end of the connection.
        server.end();
    }
}

#[tokio::test]
async fn the_answer_to_the_request_for_tls_is_taken_at_its_word_only() {
    for (answer, reason) in [
        (&b"N"[..], Reason::TlsRefused),
        (b"E\0\0\0\x05\0", Reason::NotAccepting),
        (b"\0", Reason::Protocol),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason::Protocol),
        // Words that someone put behind the consent are not taken for the server's.
        (b"SR\0\0\0\x08\0\0\0\0", Reason::TlsHandshake),
        (b"SHTTP/1.1 400 Bad Request", Reason::TlsHandshake),
    ] {
        let outcome = answered(over_tls(), answer.to_vec()).await;
        assert_eq!(outcome.reason(), Some(reason), "{:?}", outcome.result);
        assert_eq!(outcome.watch.current(), Some(Phase::Tls));
    }
}

#[tokio::test]
async fn prefer_goes_on_without_tls_but_keeps_the_password() {
    let server = Scripted::new(|stream| {
        read_first(stream);
        stream.write_all(b"N").expect("write");
        read_first(stream);
        let request = login_request(3, b"");
        stream.write_all(&request).expect("write");
        assert_eq!(read_rest(stream), b"", "the password");
    });
    let mut settings = over_tls();
    settings["tls"] = json!("prefer");
    let outcome = probed(server, &settings).await;
    assert_eq!(outcome.reason(), Some(Reason::Auth), "{:?}", outcome.result);
}

#[tokio::test]
async fn a_login_that_breaks_the_rules_ends_at_once() {
    let challenge = |rounds: &str| login_request(11, format!("r=x,s=eA==,i={rounds}").as_bytes());
    for (what, answer, reason) in [
        ("garbage", b"HTTP/1.1 400\r\n".to_vec(), Reason::Protocol),
        ("2 GiB", b"E\x7f\xff\xff\xff".to_vec(), Reason::TooLarge),
        ("no length", b"R\0\0\0\0\0\0\0\0".to_vec(), Reason::Protocol),
        ("no request", message(b'R', b""), Reason::Protocol),
        ("MD5", login_request(5, b"salt"), Reason::Auth),
        ("GSS", login_request(7, b""), Reason::Auth),
        ("no SCRAM", login_request(10, b"PLAIN\0\0"), Reason::Auth),
        ("rounds first", challenge("4096"), Reason::Protocol),
        ("no error", message(b'E', b"\xff\0\0"), Reason::Protocol),
        ("unasked", message(b'Z', b"I"), Reason::Protocol),
    ] {
        let outcome = answered(plain(), answer).await;
        assert_eq!(
            outcome.reason(),
            Some(reason),
            "{what}: {:?}",
            outcome.result
        );
        assert_eq!(outcome.watch.current(), Some(Phase::Auth), "{what}");
    }
}

/// Challenges the client with so many rounds, and hands over what it does then.
async fn challenged(rounds: &'static str, then: Script) -> Outcome {
    let server = Scripted::new(move |stream| {
        read_first(stream);
        let offer = login_request(10, b"SCRAM-SHA-256\0\0");
        stream.write_all(&offer).expect("write");
        let (_, response) = read_message(stream);
        let text = String::from_utf8_lossy(&response);
        let (_, nonce) = text.split_once("r=").expect("nonce");
        let challenge = format!("r={nonce}more,s=c2FsdA==,i={rounds}");
        let request = login_request(11, challenge.as_bytes());
        // In two pieces, so that the screen has to put them together.
        let (start, end) = request.split_at(request.len() - 3);
        stream.write_all(start).expect("write");
        stream.write_all(end).expect("write");
        then(stream);
        read_rest(stream);
    });
    probed(server, &plain()).await
}

#[tokio::test]
async fn no_server_can_keep_the_thread_hashing() {
    for rounds in ["2147483648", "4294967295", "20001", "99999999999"] {
        let outcome = challenged(rounds, |_| {}).await;
        let failure = outcome.result.as_ref().expect_err(rounds);
        assert!(
            [Reason::Protocol, Reason::Auth].contains(&failure.reason),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_the_password_is_found_out() {
    let outcome = challenged("4096", |stream| {
        assert_eq!(read_message(stream).0, b'p');
        let signature = format!("v={}=", "A".repeat(43));
        let granted = [
            login_request(12, signature.as_bytes()),
            login_request(0, b""),
        ];
        stream.write_all(&granted.concat()).expect("write");
    })
    .await;
    assert_eq!(outcome.reason(), Some(Reason::Auth), "{:?}", outcome.result);
}

#[tokio::test]
async fn connections_that_end_early_are_told_from_those_that_are_reset() {
    let rows: [(&str, Script, Phase); 2] = [
        ("login", |stream| drop(read_first(stream)), Phase::Auth),
        (
            "query",
            |stream| {
                let_in(stream);
                read_message(stream);
                stream.write_all(&rows(ONE)[..9]).expect("write");
            },
            Phase::QueryRead,
        ),
    ];
    for (what, script, phase) in rows {
        let eof = Scripted::new(script);
        let outcome = probed(eof, &plain()).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::Eof),
            "{what}: {:?}",
            outcome.result
        );
        assert_eq!(outcome.watch.current(), Some(phase));
        let broken = Scripted::new(move |stream| {
            script(stream);
            reset(stream);
        });
        let outcome = probed(broken, &plain()).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::Reset),
            "{what}: {:?}",
            outcome.result
        );
    }
}

#[tokio::test]
async fn answers_that_break_the_rules_are_never_taken_for_good() {
    let error = message(b'E', b"SERROR\0C42501\0Mno\x1b[31m\nway\0\0");
    for (what, answer, reason) in [
        ("right", rows(ONE), None),
        (
            "other value",
            rows(b"\0\x01\0\0\0\x012"),
            Some(Reason::Answer),
        ),
        (
            "no value",
            rows(b"\0\x01\xff\xff\xff\xff"),
            Some(Reason::Answer),
        ),
        ("no fields", rows(b"\0\0"), Some(Reason::Protocol)),
        (
            "more fields",
            rows(b"\0\x02\0\0\0\x011\0\0\0\x011"),
            Some(Reason::Protocol),
        ),
        (
            "cut field",
            rows(b"\0\x01\0\0\0\x091"),
            Some(Reason::Protocol),
        ),
        (
            "no text",
            rows(b"\0\x01\0\0\0\x01\xff"),
            Some(Reason::Protocol),
        ),
        ("row alone", message(b'D', ONE), Some(Reason::Protocol)),
        ("nothing", message(b'Z', b"I"), Some(Reason::Answer)),
        ("unknown", message(b'?', b""), Some(Reason::Protocol)),
        (
            "2 GiB",
            b"D\x7f\xff\xff\xff".to_vec(),
            Some(Reason::TooLarge),
        ),
        (
            "error",
            [error, message(b'Z', b"I")].concat(),
            Some(Reason::Query),
        ),
    ] {
        let outcome = queried(answer).await;
        assert_eq!(outcome.reason(), reason, "{what}: {:?}", outcome.result);
        if let Err(failure) = &outcome.result {
            assert!(!failure.detail.contains('\x1b'), "{failure}");
        }
    }
}

#[tokio::test]
async fn endless_talk_ends_at_the_cap() {
    let notice = message(b'N', b"SNOTICE\0C00000\0Mhello\0\0");
    let parameter = message(b'S', b"name\0value\0");
    for (what, endless) in [("notices", notice), ("parameters", parameter)] {
        let talk = endless.repeat((2 << 20) / endless.len());
        let login = [login_request(0, b""), talk.clone()].concat();
        let outcome = answered(plain(), login).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::TooLarge),
            "{what}: {:?}",
            outcome.result
        );
        let outcome = queried(talk).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::TooLarge),
            "{what}: {:?}",
            outcome.result
        );
    }
}

#[tokio::test]
async fn the_client_says_good_bye_and_does_not_wait_for_an_answer() {
    let server = Scripted::new(|stream| {
        let_in(stream);
        read_message(stream);
        stream.write_all(&rows(ONE)).expect("write");
        assert_eq!(read_message(stream), (b'X', vec![]));
        assert_eq!(read_rest(stream), b"");
    });
    let outcome = probed(server, &plain()).await;
    let reply = outcome.result.expect("reply");
    assert_eq!(&*reply.facts.database.expect("database").version, "99.1");
}

/// A table, as a server sends it.
fn table(rows: &[&[Option<&str>]]) -> Vec<u8> {
    let columns = rows.first().map_or(0, |row| row.len());
    let count = u16::try_from(columns).expect("few").to_be_bytes();
    let column = [&b"c\0"[..], &[0; 18]].concat();
    let mut all = message(b'T', &[&count[..], &column.repeat(columns)].concat());
    for row in rows {
        let count = u16::try_from(row.len()).expect("few").to_be_bytes();
        let mut body = count.to_vec();
        for value in *row {
            match value {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(text) => {
                    body.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
                    body.extend(text.as_bytes());
                }
            }
        }
        all.extend(message(b'D', &body));
    }
    all.extend(message(b'C', b"SELECT 1\0"));
    all.extend(message(b'Z', b"I"));
    all
}

/// More rows than a run reads.
fn endless() -> Vec<u8> {
    let text = "x".repeat(500);
    let row: &[_] = &[Some(&*text); 2];
    table(&vec![row; 2000])
}

/// What a primary says of its replication.
const PRIMARY: [Option<&str>; 14] = [
    Some("f"),
    Some("off"),
    Some("7"),
    Some("1"),
    Some("0/1000"),
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    Some("100 8 10 0 64"),
];

fn error(code: &str) -> Vec<u8> {
    let body = format!("SERROR\0VERROR\0C{code}\0Mno\x1b[31m\nway\0\0");
    [message(b'E', body.as_bytes()), message(b'Z', b"I")].concat()
}

/// Answers that are none, and what is made of them.
fn answers_to_nothing() -> Vec<(&'static str, Vec<u8>, Withheld)> {
    vec![
        ("permission", error("42501"), Withheld::Permission),
        ("function", error("42883"), Withheld::Unsupported),
        ("feature", error("0A000"), Withheld::Unsupported),
        ("timeout", error("57014"), Withheld::Error),
        ("transaction", error("25P02"), Withheld::Error),
        ("no code", error(""), Withheld::Error),
        ("no row", table(&[]), Withheld::Error),
        ("a column", table(&[&[Some("1")]]), Withheld::Error),
        ("15 columns", table(&[&[Some("f"); 15]]), Withheld::Error),
        (
            "14 garbled",
            table(&[&[Some("\u{1b}[31m"); 14]]),
            Withheld::Error,
        ),
        ("14 missing", table(&[&[None; 14]]), Withheld::Error),
    ]
}

/// Words after which there is nothing more to be said.
fn last_words() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a row alone", message(b'D', ONE)),
        ("half an answer", table(&[&[Some("3")]])[..30].to_vec()),
        ("endless rows", endless()),
        ("2 GiB", b"D\x7f\xff\xff\xff".to_vec()),
        ("garbage", b"HTTP/1.1 400 Bad Request".to_vec()),
        ("none", Vec::new()),
    ]
}

/// The settings with everything that can be asked.
fn curious() -> Value {
    json!({ "user": "probe", "tls": "disable", "canary": true })
}

/// Answers the query, and then both of what is asked together.
async fn asked(facts: Vec<u8>, canary: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        answer_query(stream);
        // The client may refuse one before it is complete.
        let _ = stream
            .write_all(&facts)
            .and_then(|()| stream.write_all(&canary));
        let _ = stream.shutdown(Shutdown::Write);
        read_rest(stream);
    });
    probed(server, &curious()).await
}

/// Lets the client in, and answers its query but not what it asks then.
fn answer_query(stream: &mut TcpStream) {
    let_in(stream);
    assert_eq!(read_message(stream).1, b"SELECT 1\0");
    stream.write_all(&rows(ONE)).expect("write");
    for words in ["pg_is_in_recovery", "FROM hotspare.canary"] {
        let (tag, text) = read_message(stream);
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(tag == b'Q' && text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn whatever_is_said_of_replication_the_query_was_answered() {
    let broken = last_words().into_iter();
    let broken = broken.map(|(what, words)| (what, words, Withheld::Error));
    for (what, answer, withheld) in answers_to_nothing().into_iter().chain(broken) {
        let outcome = asked(answer, table(&[])).await;
        assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
        let told = outcome.database();
        assert_eq!(told.withheld, Some(withheld), "{what}");
        assert_eq!(told.replication, None, "{what}");
        assert_eq!(outcome.watch.laps().total(), latency(&outcome), "{what}");
    }
}

fn latency(outcome: &Outcome) -> Duration {
    outcome.result.as_ref().expect("reply").latencies[0]
}

#[tokio::test]
async fn whatever_is_said_of_the_canary_the_rest_is_known() {
    let epoch = format!("{EPOCH}");
    let wrong = |row: &[Option<&str>]| table(&[row]);
    let more = vec![
        ("no epoch", wrong(&[None, Some("1")]), Withheld::Error),
        (
            "negative",
            wrong(&[Some(&epoch), Some("-1")]),
            Withheld::Error,
        ),
        (
            "too large",
            wrong(&[Some(&epoch), Some("18446744073709551616")]),
            Withheld::Error,
        ),
        ("one value", wrong(&[Some(&epoch)]), Withheld::Error),
        ("no table", error("42P01"), Withheld::Unsupported),
        ("no schema", error("3F000"), Withheld::Unsupported),
        ("no column", error("42703"), Withheld::Unsupported),
    ];
    let general = answers_to_nothing().into_iter();
    // No row is an answer here: there is no canary.
    let general = general.filter(|(what, ..)| *what != "no row");
    for (what, answer, withheld) in general.chain(more) {
        let outcome = asked(table(&[&PRIMARY]), answer).await;
        assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
        assert_eq!(outcome.replication().role, Role::Primary, "{what}");
        assert_eq!(outcome.database().withheld, Some(withheld), "{what}");
        let canary = outcome.database().canary.as_ref().expect("looked for");
        assert_eq!(
            (canary.seen.mark, &canary.write),
            (Err(withheld), &None),
            "{what}"
        );
    }
    for (what, words) in last_words() {
        let outcome = asked(table(&[&PRIMARY]), words).await;
        assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
        assert_eq!(outcome.database().withheld, Some(Withheld::Error), "{what}");
    }
    let outcome = asked(table(&[&PRIMARY]), wrong(&[Some(&epoch), Some("7")])).await;
    let canary = outcome.database().canary.as_ref().expect("looked for");
    let mark = Mark {
        epoch: EPOCH,
        seq: 7,
    };
    assert_eq!(canary.seen.mark, Ok(Some(mark)));
}

/// A probe with the order for the server that says it is [`PRIMARY`].
fn ordered(address: &str) -> Arc<dyn Probe> {
    let folder = tempfile::tempdir().expect("folder");
    let probe = probe(&curious(), address, folder.path(), GUARD).expect("prepared");
    let to = Incarnation {
        identity: Some(Identity::System(7)),
        timeline: Some(1),
    };
    let pen = probe.pen().expect("a pen");
    pen.order(Some(Order { seq: 3, to }));
    probe
}

/// Lets the client write its canary.
fn answer_questions(stream: &mut TcpStream) {
    answer_query(stream);
    let answers = [table(&[&PRIMARY]), table(&[])];
    stream.write_all(&answers.concat()).expect("write");
    let (tag, text) = read_message(stream);
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        tag == b'Q' && text.contains("INSERT INTO hotspare.canary"),
        "{text}"
    );
}

#[tokio::test]
async fn a_kept_session_that_ends_over_the_canary_fails_the_run() {
    let server = Scripted::new(|stream| {
        let told = || [table(&[&PRIMARY]), table(&[])].concat();
        answer_query(stream);
        stream.write_all(&told()).expect("write");
        assert_eq!(read_message(stream).1, b"SELECT 1\0");
        stream.write_all(&rows(ONE)).expect("write");
        for _ in 0..2 {
            read_message(stream);
        }
        stream.write_all(&told()).expect("write");
        read_message(stream);
    });
    let mut settings = curious();
    settings["connection"] = json!("reuse");
    let folder = tempfile::tempdir().expect("folder");
    let probe = probe(&settings, &server.address, folder.path(), GUARD).expect("prepared");
    let first = run(&*probe, GUARD).await;
    assert_eq!(first.reason(), None, "{:?}", first.result);
    let to = first.replication().incarnation();
    probe
        .pen()
        .expect("a pen")
        .order(Some(Order { seq: 3, to }));
    let outcome = run(&*probe, GUARD).await;
    // Of a session that was asked anew, nothing listens any more.
    assert_eq!(outcome.reason(), Some(Reason::Eof), "{:?}", outcome.result);
    assert_eq!(outcome.watch.current(), Some(Phase::QueryWrite));
    server.end();
}

async fn wrote(answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        answer_questions(stream);
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(Shutdown::Write);
        read_rest(stream);
    });
    let outcome = run(&*ordered(&server.address), GUARD).await;
    server.end();
    outcome
}

#[tokio::test]
async fn a_refused_canary_is_told_from_one_that_nobody_answered() {
    for (what, answer, outcome) in [
        ("written", table(&[&[Some("3")]]), Ok(())),
        ("not this server", table(&[]), Err(NotWritten::Changed)),
        ("read-only", error("25006"), Err(NotWritten::Changed)),
        ("permission", error("42501"), Err(NotWritten::Permission)),
        ("no table", error("42P01"), Err(NotWritten::NoTable)),
        ("no schema", error("3F000"), Err(NotWritten::NoTable)),
        ("no column", error("42703"), Err(NotWritten::NoTable)),
        ("locked", error("55P03"), Err(NotWritten::Error)),
        ("full", error("53100"), Err(NotWritten::Error)),
    ] {
        let run = wrote(answer).await;
        assert_eq!(run.reason(), None, "{what}: {:?}", run.result);
        let canary = run.database().canary.as_ref().expect("looked for");
        let write = canary.write.as_ref().expect("ordered");
        assert_eq!(write.outcome.map(|_| ()), outcome, "{what}");
    }
    let fatal = message(b'E', b"SFATAL\0C08P01\0Mserver conn crashed?\0\0");
    for (what, answer) in last_words().into_iter().chain([("fatal", fatal)]) {
        let reason = match what {
            "fatal" => Reason::NotAccepting,
            "a row alone" => Reason::Protocol,
            "half an answer" | "none" => Reason::Eof,
            _ => Reason::TooLarge,
        };
        let run = wrote(answer).await;
        assert_eq!(run.reason(), Some(reason), "{what}: {:?}", run.result);
        assert_eq!(run.watch.laps().get(Phase::QueryWrite), None, "{what}");
        // What is not known is not told: the server may have written it.
        let canary = run.database().canary.as_ref().expect("looked for");
        assert_eq!(canary.write, None, "{what}");
        assert_eq!(run.replication().role, Role::Primary, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_after_the_query_is_given_up_in_that_phase() {
    let rows: [(Script, Phase); 4] = [
        (answer_query, Phase::QueryRead),
        (
            |stream| {
                answer_query(stream);
                stream.write_all(&table(&[&PRIMARY])).expect("write");
            },
            Phase::QueryRead,
        ),
        (
            |stream| {
                answer_query(stream);
                let half = &table(&[&PRIMARY])[..40];
                stream.write_all(half).expect("write");
            },
            Phase::QueryRead,
        ),
        (answer_questions, Phase::QueryWrite),
    ];
    for (script, phase) in rows {
        let (silent, is_silent) = oneshot::channel();
        let server = Scripted::new(move |stream| {
            script(stream);
            silent.send(()).expect("the run is under way");
            read_rest(stream);
        });
        let probe = ordered(&server.address);
        let mut watch = Stopwatch::start();
        tokio::select! {
            outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
            silence = is_silent => silence.expect("the script went on"),
        }
        assert_eq!(watch.current(), Some(phase));
        assert_eq!(Reason::timeout_in(watch.current()), Reason::TimeoutQuery);
        assert!(
            watch.laps().get(Phase::QueryRead).is_some(),
            "that was answered"
        );
        assert_eq!(watch.laps().get(Phase::QueryWrite), None);
        server.end();
    }
}

#[tokio::test]
async fn a_session_that_ends_with_the_answer_is_no_answer() {
    for (severity, code) in [("FATAL", "08P01"), ("FATAL", "57P05"), ("PANIC", "XX000")] {
        // In the server's language, and in the one of the protocol.
        for fields in [format!("S{severity}\0"), format!("SFATAAL\0V{severity}\0")] {
            let body = format!("{fields}C{code}\0Mgone\0\0");
            let answer = message(b'E', body.as_bytes());
            let outcome = queried(answer).await;
            assert_eq!(
                outcome.reason(),
                Some(Reason::NotAccepting),
                "{fields}{code}"
            );
        }
    }
}

/// Passes a client's session on to the server, over TLS to both, under a certificate of its own.
async fn pass_on(listener: tokio::net::TcpListener, server: String, authority: &Authority) {
    let identity = authority.identity(&["127.0.0.1"]);
    let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
    roots.add(root).expect("authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let to_client = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("identity");
    let to_server = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();

    let mut request = [0; 8];
    let (mut client, _) = listener.accept().await.expect("accepted");
    client.read_exact(&mut request).await.expect("request");
    client.write_all(b"S").await.expect("write");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(to_client));
    let mut client = acceptor.accept(client).await.expect("client's session");

    let mut server = tokio::net::TcpStream::connect(server)
        .await
        .expect("connect");
    server.write_all(&request).await.expect("write");
    assert_eq!(server.read_u8().await.expect("answer"), b'S');
    let name = std::net::IpAddr::from([127, 0, 0, 1]).into();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(to_server));
    let mut server = connector
        .connect(name, server)
        .await
        .expect("server's session");
    // Ends with an error when one side goes without a word, as they do here.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_login_passed_on_by_someone_in_the_middle_does_not_work() {
    let authority = Authority::new("authority");
    let mut server = PostgresServer::init();
    server.use_tls(&authority, &authority.identity(&["127.0.0.1"]));
    server.allow("hostssl all all 127.0.0.1/32 scram-sha-256");
    server.start();
    server.sql("CREATE ROLE probe LOGIN PASSWORD 'right'");
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    let mut settings = over_tls();
    settings["database"] = json!("postgres");

    let direct = probe(&settings, &server.address(), folder.path(), GUARD).expect("prepared");
    let outcome = run(&*direct, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);

    // Even a certificate that the client would trust does not help: it is not the server's.
    let middle = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let address = middle.local_addr().expect("bound").to_string();
    let passed_on = probe(&settings, &address, folder.path(), GUARD).expect("prepared");
    let (outcome, ()) = tokio::join!(
        run(&*passed_on, GUARD),
        pass_on(middle, server.address(), &authority)
    );
    let failure = outcome.result.as_ref().expect_err("refused");
    assert_eq!(failure.reason, Reason::Auth, "{failure}");
    assert!(failure.detail.contains("channel binding"), "{failure}");
}
