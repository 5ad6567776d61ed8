//! The probe `redis` against servers that do not keep to the rules.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hotspare::model::{Order, Phase, Position, Reason, ReplicationFacts, Role, Withheld};
use hotspare::net::Stopwatch;
use hotspare::probe::Probe;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::postgres::{Outcome, run};
use crate::redis::{GUARD, database, phases, probe, probe_within, replication};
use crate::scripted::{Scripted, read_rest, reset};

/// What the client says.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const INQUIRY: &[u8] = b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n\
    *2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*1\r\n$6\r\nDBSIZE\r\n";
const LOOK: &[u8] = b"*2\r\n$3\r\nGET\r\n$27\r\nhotspare:canary:here:orders\r\n";
const WRITE: &[u8] = b"*3\r\n$3\r\nSET\r\n$27\r\nhotspare:canary:here:orders\r\n\
    $34\r\n00000000000000000000000000000007:1\r\n";
const AUTH: &[u8] = b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$5\r\nright\r\n";
const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
/// What an honest server says.
const PONG: &[u8] = b"+PONG\r\n";
const TOLD: &[u8] = b"$38\r\nrole:master\r\nmaster_repl_offset:7000\r\n\r\n\
    $21\r\nredis_version:7.0.15\n\r\n:3\r\n";

fn prepared(server: &Scripted, settings: &Value) -> Arc<dyn Probe> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    probe(settings, &server.address, folder.path()).expect("prepared")
}

async fn probed(server: Scripted, settings: &Value) -> Outcome {
    let probe = prepared(&server, settings);
    server.visited(&*probe).await
}

fn with_login() -> Value {
    json!({ "username": "app", "password_file": "pw", "allow_cleartext": true })
}

/// Reads what the client says, which must be this.
fn hear(stream: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard).expect("the client speaks");
    assert_eq!(
        heard.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

fn say(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).expect("write");
}

/// Does what an honest server does with one run.
fn serve(stream: &mut TcpStream) {
    hear(stream, PING);
    say(stream, PONG);
    hear(stream, INQUIRY);
    say(stream, TOLD);
}

/// Answers the query, and waits for the client's end.
async fn answered(answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        hear(stream, PING);
        // The client may refuse it before it is complete.
        let _ = stream.write_all(&answer);
        read_rest(stream);
    });
    probed(server, &json!({})).await
}

/// Answers what is asked beside the query, and waits for the client's end.
async fn told(answer: Vec<u8>) -> Outcome {
    let server = Scripted::new(move |stream| {
        hear(stream, PING);
        say(stream, PONG);
        hear(stream, INQUIRY);
        let _ = stream.write_all(&answer);
        read_rest(stream);
    });
    probed(server, &json!({})).await
}

#[tokio::test]
async fn an_honest_server_is_asked_nothing_but_what_is_documented() {
    let server = Scripted::new(|stream| {
        hear(stream, &[AUTH, SELECT].concat());
        say(stream, b"+OK\r\n+OK\r\n");
        hear(stream, PING);
        say(stream, PONG);
        hear(stream, &[INQUIRY, LOOK].concat());
        say(stream, &[TOLD, b"$-1\r\n"].concat());
        assert_eq!(read_rest(stream), b"");
    });
    let mut settings = with_login();
    settings["database"] = json!(3);
    settings["canary"] = json!(true);
    let outcome = probed(server, &settings).await;
    let reply = outcome.result.expect("reply");
    let facts = database(&reply.facts);
    assert_eq!((&*facts.version, facts.withheld), ("7.0.15", None));
    let told = replication(&reply.facts);
    assert_eq!(told.position, Some(Position::Offset(7000)));
}

/// Gives a run up once the script has come to its end.
async fn given_up(
    settings: Value,
    script: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> Stopwatch {
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
    let reason = Reason::timeout_in(watch.current());
    assert!(probe.shape().reasons.contains(reason), "{reason:?}");
    assert!(watch.laps().get(Phase::Connect).is_some());
    // The script waits for the end of the connection.
    server.end();
    watch
}

#[tokio::test]
async fn a_run_given_up_closes_its_socket_and_knows_its_phase() {
    type Dialogue = &'static [(&'static [u8], &'static [u8])];
    let (auth, query) = (Reason::TimeoutAuth, Reason::TimeoutQuery);
    let rows: [(Value, Dialogue, Reason); 8] = [
        (with_login(), &[(AUTH, b"")], auth),
        (with_login(), &[(AUTH, b"+O")], auth),
        (json!({}), &[(PING, b"")], query),
        (json!({}), &[(PING, b"+PONG\r")], query),
        (json!({}), &[(PING, b"$9000\r\nxxx")], query),
        (json!({}), &[(PING, b"*2\r\n+PONG\r\n")], query),
        (json!({}), &[(PING, PONG), (INQUIRY, b"")], query),
        (
            json!({}),
            &[(PING, PONG), (INQUIRY, b"$0\r\n\r\n$0\r\n\r\n:")],
            query,
        ),
    ];
    for (settings, dialogue, reason) in rows {
        let told = settings.to_string();
        let watch = given_up(settings, move |stream| {
            for (question, answer) in dialogue {
                hear(stream, question);
                say(stream, answer);
            }
        })
        .await;
        assert_eq!(Reason::timeout_in(watch.current()), reason, "{told}");
    }
}

#[tokio::test]
async fn a_server_may_be_silent_before_its_first_and_its_last_word_too() {
    let tls = json!({ "tls": { "insecure_skip_verify": true } });
    let watch = given_up(tls, |stream| {
        stream.read_exact(&mut [0; 5]).expect("hello");
    });
    assert_eq!(watch.await.current(), Some(Phase::Tls));

    let (silent, is_silent) = oneshot::channel();
    let server = Scripted::new(|stream| {
        serve_ordered(stream);
        silent.send(()).expect("the run is under way");
        read_rest(stream);
    });
    let probe = ordered(&server);
    let mut watch = Stopwatch::start();
    tokio::select! {
        outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
        silence = is_silent => silence.expect("the script went on"),
    }
    assert_eq!(watch.current(), Some(Phase::QueryWrite));
    let finished: Vec<_> = watch.laps().iter().map(|(phase, _)| phase).collect();
    assert_eq!(finished, [Phase::Connect, Phase::QueryRead]);
    server.end();
}

/// A probe with the order to write a canary to the server of [`TOLD`].
fn ordered(server: &Scripted) -> Arc<dyn Probe> {
    let probe = prepared(server, &json!({ "canary": true }));
    order(&*probe);
    probe
}

fn order(probe: &dyn Probe) {
    let now = Instant::now().into_std();
    let to = ReplicationFacts::new(now, now).incarnation();
    probe
        .pen()
        .expect("a pen")
        .order(Some(Order { seq: 1, to }));
}

/// Does what an honest server does with one run, up to the canary.
fn serve_ordered(stream: &mut TcpStream) {
    hear(stream, PING);
    say(stream, PONG);
    hear(stream, &[INQUIRY, LOOK].concat());
    say(stream, &[TOLD, b"$-1\r\n"].concat());
    hear(stream, WRITE);
}

#[tokio::test]
async fn answers_that_break_the_rules_are_never_taken_for_good() {
    for (answer, reason) in [
        (&b"+PONG\r\n"[..], None),
        (b"$4\r\nPONG\r\n", None),
        (b"+PENG\r\n", Some(Reason::Answer)),
        (b":1\r\n", Some(Reason::Answer)),
        (b"$-1\r\n", Some(Reason::Answer)),
        (b"*-1\r\n", Some(Reason::Answer)),
        (b"*1\r\n+PONG\r\n", Some(Reason::Answer)),
        (b"-ERR \x1b[31m\nno\r\n", Some(Reason::Protocol)),
        (b"-ERR \x1b[31m no\r\n", Some(Reason::Query)),
        (b"-\r\n", Some(Reason::Query)),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Some(Reason::Protocol)),
        (b"\x15\x03\x01\0\x02\x02\x46", Some(Reason::Protocol)),
        (b"\0\0\0\0", Some(Reason::Protocol)),
        (b"%1\r\n+a\r\n+b\r\n", Some(Reason::Protocol)),
        (b">2\r\n+a\r\n+b\r\n", Some(Reason::Protocol)),
        (b"$4\r\nPONGPONG", Some(Reason::Protocol)),
        (b"$-7\r\n", Some(Reason::Protocol)),
        (b"$\r\n", Some(Reason::Protocol)),
        (b"$2147483648\r\n", Some(Reason::TooLarge)),
        (b"$9999999999999999999999\r\n", Some(Reason::Protocol)),
        (b"*2147483648\r\n", Some(Reason::TooLarge)),
        (b"+PONG\r\n+PONG\r\n", Some(Reason::Protocol)),
    ] {
        let what = answer.escape_ascii();
        let is_good = reason.is_none();
        let outcome = if is_good {
            let server = Scripted::new(move |stream| {
                hear(stream, PING);
                say(stream, answer);
                hear(stream, INQUIRY);
                say(stream, TOLD);
                read_rest(stream);
            });
            probed(server, &json!({})).await
        } else {
            said_and_closed(answer).await
        };
        assert_eq!(outcome.reason(), reason, "{what}: {:?}", outcome.result);
        if let Err(failure) = &outcome.result {
            assert!(!failure.detail.contains('\x1b'), "{failure}");
        }
    }
}

/// Answers the query, and closes when something more is asked.
async fn said_and_closed(answer: &'static [u8]) -> Outcome {
    let server = Scripted::new(move |stream| {
        hear(stream, PING);
        say(stream, answer);
        // Where the answer as such is fine, the client goes on asking.
        let mut more = vec![0; INQUIRY.len()];
        let _ = stream.read(&mut more);
    });
    probed(server, &json!({})).await
}

#[tokio::test]
async fn endless_talk_ends_at_the_cap() {
    let much = 4 << 20;
    for (what, start, piece) in [
        ("line", &b"+"[..], &b"x"[..]),
        ("error", b"-", b"x"),
        ("number", b":", b"1"),
        ("list", b"*60000\r\n", b"$-1\r\n"),
        ("nested lists", b"", b"*1\r\n"),
        ("growing lists", b"", b"*2\r\n"),
    ] {
        let talk = [start, &piece.repeat(much / piece.len())].concat();
        let outcome = answered(talk.clone()).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::TooLarge),
            "{what}: {:?}",
            outcome.result
        );
        assert_nothing_told(what, &told(talk).await);
    }
    // Many small words are no better than a long one.
    let chatter = PONG.repeat(much / PONG.len());
    let outcome = answered(chatter.clone()).await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::Protocol),
        "{:?}",
        outcome.result
    );
    assert_nothing_told("chatter", &told(chatter).await);
}

/// The visit was fine, and the server then did not tell what it was asked.
fn assert_nothing_told(what: &str, outcome: &Outcome) {
    assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
    let facts = database(outcome.facts());
    assert_eq!(facts.replication, None, "{what}");
    assert_eq!(facts.withheld, Some(Withheld::Error), "{what}");
}

#[tokio::test]
async fn a_connection_that_ends_at_any_byte_is_never_taken_for_a_whole_one() {
    let whole = PONG.len() + TOLD.len();
    for at in 0..=whole {
        let server = Scripted::new(move |stream| {
            hear(stream, PING);
            say(stream, &PONG[..at.min(PONG.len())]);
            if let Some(more) = at.checked_sub(PONG.len()) {
                hear(stream, INQUIRY);
                say(stream, &TOLD[..more]);
            }
        });
        let outcome = probed(server, &json!({})).await;
        let queried = outcome.watch.laps().get(Phase::QueryRead).is_some();
        assert_eq!(queried, at >= PONG.len(), "at {at}");
        if !queried {
            let reason = outcome.reason();
            assert_eq!(reason, Some(Reason::Eof), "at {at}: {:?}", outcome.result);
        } else if at < whole {
            assert_nothing_told(&at.to_string(), &outcome);
        } else {
            assert_eq!(database(outcome.facts()).withheld, None);
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_is_told_from_one_that_ends() {
    let server = Scripted::new(move |stream| {
        hear(stream, PING);
        say(stream, b"+PO");
        reset(stream);
    });
    let outcome = probed(server, &json!({})).await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::Reset),
        "{:?}",
        outcome.result
    );
}

#[tokio::test]
async fn a_refusal_before_the_question_is_still_heard() {
    for (settings, phase) in [(json!({}), Phase::QueryRead), (with_login(), Phase::Auth)] {
        let server = Scripted::new(|stream| {
            say(stream, b"-ERR max number of clients reached\r\n");
        });
        let outcome = probed(server, &settings).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::NotAccepting),
            "{:?}",
            outcome.result
        );
        assert_eq!(outcome.watch.current(), Some(phase));
    }
}

#[tokio::test]
async fn answers_that_come_before_their_questions_are_not_believed() {
    for early in [&b"+PONG\r\n+PONG\r\n"[..], &[PONG, TOLD].concat()] {
        let early = early.to_vec();
        let server = Scripted::new(move |stream| {
            say(stream, &early);
            read_rest(stream);
        });
        let outcome = probed(server, &json!({})).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::Protocol),
            "{:?}",
            outcome.result
        );
        assert_eq!(outcome.facts().database, None);
    }
}

#[tokio::test]
async fn a_refused_login_is_told_by_its_code() {
    for (answer, reason) in [
        (
            &b"-WRONGPASS invalid username-password pair\r\n"[..],
            Reason::Auth,
        ),
        (
            b"-ERR Client sent AUTH, but no password is set\r\n",
            Reason::Auth,
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            Reason::NotAccepting,
        ),
        (
            b"-MASTERDOWN Link with MASTER is down\r\n",
            Reason::NotAccepting,
        ),
        (b"$2147483648\r\n", Reason::TooLarge),
        (b"+OK\r\n+OK\r\n", Reason::Protocol),
        (b"?", Reason::Protocol),
        (b"", Reason::Eof),
    ] {
        let server = Scripted::new(move |stream| {
            hear(stream, AUTH);
            say(stream, answer);
        });
        let outcome = probed(server, &with_login()).await;
        let what = answer.escape_ascii();
        assert_eq!(
            outcome.reason(),
            Some(reason),
            "{what}: {:?}",
            outcome.result
        );
        assert_eq!(outcome.watch.current(), Some(Phase::Auth), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_loads_its_data_still_tells_what_it_is() {
    let server = Scripted::new(|stream| {
        hear(stream, PING);
        say(
            stream,
            b"-LOADING Redis is loading the dataset in memory\r\n",
        );
        hear(stream, INQUIRY);
        let keys = TOLD.len() - b":3\r\n".len();
        say(
            stream,
            &[&TOLD[..keys], b"-LOADING Redis is loading\r\n"].concat(),
        );
    });
    let outcome = probed(server, &json!({})).await;
    assert_eq!(
        outcome.reason(),
        Some(Reason::NotAccepting),
        "{:?}",
        outcome.result
    );
    let facts = database(outcome.facts());
    assert_eq!(facts.withheld, Some(Withheld::Error));
    let told = replication(outcome.facts());
    assert_eq!((told.role, told.keys), (Role::Primary, None));
    assert_eq!(outcome.watch.laps().get(Phase::QueryRead), None);
}

#[tokio::test]
async fn what_is_told_beside_the_query_may_be_anything() {
    let text = |text: &[u8]| [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    let unread = (Role::Unknown, Some(Withheld::Error));
    for (what, answer, (role, withheld)) in [
        ("as asked", TOLD.to_vec(), (Role::Primary, None)),
        ("lists", b"*1\r\n*0\r\n*0\r\n*-1\r\n".to_vec(), unread),
        ("numbers", b":1\r\n:2\r\n:-3\r\n".to_vec(), unread),
        ("nothing", b"$-1\r\n$-1\r\n$-1\r\n".to_vec(), unread),
        (
            "unknown",
            b"-ERR unknown command\r\n-ERR unknown command\r\n:1\r\n".to_vec(),
            (Role::Unknown, Some(Withheld::Unsupported)),
        ),
        (
            "no text",
            [
                text(&[0xff; 1000]),
                text(b"\0\n:\n::\n"),
                b":1\r\n".to_vec(),
            ]
            .concat(),
            (Role::Unknown, Some(Withheld::Unsupported)),
        ),
        (
            "huge numbers",
            [
                text(b"role:slave\nslave_repl_offset:99999999999999999999\n"),
                text(b""),
                b":1\r\n".to_vec(),
            ]
            .concat(),
            (Role::Standby, Some(Withheld::Error)),
        ),
    ] {
        let outcome = told(answer).await;
        assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
        let facts = database(outcome.facts());
        let told = facts.replication.as_ref().map(|told| told.role);
        assert_eq!(told.unwrap_or_default(), role, "{what}");
        assert_eq!(facts.withheld, withheld, "{what}");
        assert!(facts.version.len() <= 64 && !facts.version.contains(char::is_control));
    }
    for (what, answer) in [
        ("garbage", b"garbage".to_vec()),
        ("2 GiB", b"$2147483648\r\n".to_vec()),
        ("one more", [TOLD, b"+OK\r\n"].concat()),
        ("half of one more", [TOLD, b"+"].concat()),
    ] {
        assert_nothing_told(what, &told(answer).await);
    }
}

#[tokio::test]
async fn a_server_that_calls_itself_a_standby_gets_no_canary() {
    let standby = b"$12\r\nrole:slave\r\n\r\n$0\r\n\r\n:1\r\n$-1\r\n";
    let server = Scripted::new(|stream| {
        hear(stream, PING);
        say(stream, PONG);
        hear(stream, &[INQUIRY, LOOK].concat());
        say(stream, standby);
        assert_eq!(read_rest(stream), b"");
    });
    let probe = ordered(&server);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    server.end();
}

#[tokio::test]
async fn a_write_without_an_answer_is_a_failure_that_keeps_what_was_seen() {
    for (answer, reason) in [
        (&b""[..], Reason::Eof),
        (b"+OK", Reason::Eof),
        (b"+FINE\r\n", Reason::Protocol),
        (b":1\r\n", Reason::Protocol),
        (b"+OK\r\n+OK\r\n", Reason::Protocol),
    ] {
        let server = Scripted::new(move |stream| {
            serve_ordered(stream);
            say(stream, answer);
        });
        let probe = ordered(&server);
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), Some(reason), "{:?}", outcome.result);
        assert_eq!(outcome.watch.current(), Some(Phase::QueryWrite));
        let canary = database(outcome.facts())
            .canary
            .as_ref()
            .expect("looked for");
        assert_eq!((canary.seen.mark, &canary.write), (Ok(None), &None));
        assert_eq!(probe.pen().expect("a pen").take(), None);
        server.end();
    }
}

#[tokio::test]
async fn a_write_that_hangs_is_given_up_before_the_deadline() {
    let server = Scripted::new(|stream| {
        serve_ordered(stream);
        read_rest(stream);
    });
    let folder = tempfile::tempdir().expect("folder");
    let settings = json!({ "canary": true });
    let timeout = Duration::from_secs(1);
    let probe = probe_within(&settings, &server.address, folder.path(), timeout).expect("prepared");
    order(&*probe);
    let outcome = run(&*probe, GUARD).await;
    let failure = outcome.result.as_ref().expect_err("no answer");
    assert_eq!(failure.reason, Reason::TimeoutQuery);
    assert!(failure.detail.contains("canary"), "{failure}");
    assert_eq!(replication(outcome.facts()).role, Role::Primary);
    server.end();
}

fn reuse() -> Value {
    json!({ "connection": "reuse" })
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_or_speaks_unasked_is_replaced_within_the_run() {
    type Row = (&'static str, &'static [u8], fn(&mut TcpStream));
    let rows: [Row; 3] = [
        ("closed at once", b"", |_| {}),
        ("closed when asked", b"", |stream| hear(stream, PING)),
        ("unasked", PONG, |stream| drop(read_rest(stream))),
    ];
    for (what, unasked, second_run) in rows {
        let (end, has_ended) = mpsc::channel();
        let (ready, is_ready) = oneshot::channel();
        let server = Scripted::in_turn(vec![
            Box::new(move |stream| {
                serve(stream);
                has_ended.recv().expect("the first run ends");
                say(stream, unasked);
                ready.send(()).expect("wanted");
                second_run(stream);
            }),
            Box::new(|stream| {
                serve(stream);
                read_rest(stream);
            }),
        ]);
        let probe = prepared(&server, &reuse());
        assert_eq!(run(&*probe, GUARD).await.reason(), None, "{what}");
        end.send(()).expect("wanted");
        is_ready.await.expect("the script went on");
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), None, "{what}: {:?}", outcome.result);
        assert_eq!(
            phases(&outcome),
            [Phase::Connect, Phase::QueryRead],
            "{what}"
        );
        drop(probe);
        server.end();
    }
}

#[tokio::test]
async fn a_kept_connection_is_replaced_once_and_its_end_is_not_timed() {
    let server = Scripted::in_turn(vec![
        Box::new(|stream| {
            serve(stream);
            hear(stream, PING);
        }),
        Box::new(|stream| hear(stream, PING)),
    ]);
    let probe = prepared(&server, &reuse());
    assert_eq!(run(&*probe, GUARD).await.reason(), None);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), Some(Reason::Eof), "{:?}", outcome.result);
    assert_eq!(phases(&outcome), [Phase::Connect]);
    server.end();
}

#[tokio::test]
async fn a_kept_connection_that_fails_within_an_answer_fails_the_run() {
    let server = Scripted::in_turn(vec![
        Box::new(|stream| {
            serve(stream);
            hear(stream, PING);
            say(stream, b"+PO");
        }),
        Box::new(|stream| {
            serve(stream);
            read_rest(stream);
        }),
    ]);
    let probe = prepared(&server, &reuse());
    assert_eq!(run(&*probe, GUARD).await.reason(), None);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), Some(Reason::Eof), "{:?}", outcome.result);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(phases(&outcome), [Phase::Connect, Phase::QueryRead]);
    drop(probe);
    server.end();
}

#[tokio::test]
async fn a_connection_is_never_kept_half_read() {
    let (silent, is_silent) = oneshot::channel();
    let server = Scripted::in_turn(vec![
        Box::new(move |stream| {
            serve(stream);
            hear(stream, PING);
            say(stream, b"+PO");
            silent.send(()).expect("the run is under way");
            assert_eq!(read_rest(stream), b"");
        }),
        Box::new(|stream| {
            serve(stream);
            read_rest(stream);
        }),
    ]);
    let probe = prepared(&server, &reuse());
    assert_eq!(run(&*probe, GUARD).await.reason(), None);
    let mut watch = Stopwatch::start();
    tokio::select! {
        outcome = probe.run(&mut watch) => panic!("it ended: {outcome:?}"),
        silence = is_silent => silence.expect("the script went on"),
    }
    assert_eq!(watch.current(), Some(Phase::QueryRead));
    assert_eq!(watch.laps().iter().count(), 0);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    assert_eq!(phases(&outcome), [Phase::Connect, Phase::QueryRead]);
    drop(probe);
    server.end();
}

#[tokio::test]
async fn a_connection_that_told_too_much_is_not_kept() {
    let server = Scripted::in_turn(vec![
        Box::new(|stream| {
            hear(stream, PING);
            say(stream, PONG);
            hear(stream, INQUIRY);
            say(stream, &[TOLD, PONG].concat());
            assert_eq!(read_rest(stream), b"");
        }),
        Box::new(|stream| {
            serve(stream);
            read_rest(stream);
        }),
    ]);
    let probe = prepared(&server, &reuse());
    assert_eq!(run(&*probe, GUARD).await.reason(), None);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(phases(&outcome), [Phase::Connect, Phase::QueryRead]);
    drop(probe);
    server.end();
}

#[tokio::test]
async fn the_cap_of_a_kept_connection_is_for_each_run() {
    // Together, the runs read more than one may.
    let padding = vec![b'#'; 200 << 10];
    let server = Scripted::new(move |stream| {
        for _ in 0..8 {
            hear(stream, PING);
            say(stream, PONG);
            hear(stream, INQUIRY);
            say(stream, format!("${}\r\n", padding.len()).as_bytes());
            say(stream, &padding);
            say(stream, b"\r\n$0\r\n\r\n:1\r\n");
        }
        read_rest(stream);
    });
    let probe = prepared(&server, &reuse());
    for _ in 0..8 {
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    }
    drop(probe);
    server.end();
}
