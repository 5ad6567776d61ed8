//! The canary of the probe `postgres`: written once, and only where it was ordered.

use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{
    Identity, Incarnation, Mark, NotWritten, Order, Pen, Phase, Reason, Withheld, Write,
};
use hotspare::probe::Probe;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::postgres::{EPOCH, Outcome, probe, run};
use crate::postgres_replication::{GUARD, Pair, lone, set_up, with};
use crate::postgres_server::PostgresServer;

/// The table's rows, and when they were written.
const ROWS: &str = "SELECT * FROM hotspare.canary";

/// A probe with a canary, and its pen.
struct Writer {
    probe: Arc<dyn Probe>,
    pen: Arc<Pen>,
    _folder: TempDir,
}

impl Writer {
    fn new(address: &str, changes: &Value, deadline: Duration) -> Self {
        let mut settings = with(changes);
        settings["canary"] = json!(true);
        let folder = tempfile::tempdir().expect("folder");
        let probe = probe(&settings, address, folder.path(), deadline).expect("prepared");
        let pen = probe.pen().expect("a pen");
        Self {
            probe,
            pen,
            _folder: folder,
        }
    }

    fn of(server: &PostgresServer) -> Self {
        Self::new(&server.address(), &json!({}), GUARD)
    }

    async fn look(&self) -> Outcome {
        run(&*self.probe, GUARD).await
    }

    /// Runs with an order.
    async fn ordered(&self, seq: u64, to: &Incarnation) -> Outcome {
        let to = to.clone();
        self.pen.settle();
        self.pen.order(Some(Order { seq, to }));
        let outcome = self.look().await;
        assert_eq!(self.pen.take(), None, "it is used up");
        outcome
    }

    /// What becomes of an order for the server that answers.
    async fn write(&self, seq: u64) -> Result<(), NotWritten> {
        let to = self.look().await.replication().incarnation();
        let outcome = self.ordered(seq, &to).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        written(&outcome).expect("ordered").outcome.map(|_| ())
    }
}

fn written(outcome: &Outcome) -> Option<&Write> {
    outcome
        .database()
        .canary
        .as_ref()
        .expect("looked for")
        .write
        .as_ref()
}

/// The number of the canary that the run found.
fn seen(outcome: &Outcome) -> Result<Option<u64>, Withheld> {
    let canary = outcome.database().canary.as_ref().expect("looked for");
    assert!(canary.seen.asked < canary.seen.answered);
    canary.seen.mark.map(|mark| {
        mark.map(|Mark { epoch, seq }| {
            assert_eq!(epoch, EPOCH);
            seq
        })
    })
}

/// Makes the table, which the role may write.
fn prepare(server: &PostgresServer) {
    let [_, table, grants] = set_up();
    server.sql(&table);
    server.sql(&grants);
}

pub(crate) fn server() -> PostgresServer {
    let server = lone();
    prepare(&server);
    server
}

#[tokio::test]
async fn an_order_is_carried_out_once_and_seen_on_both_sides() {
    let pair = Pair::set();
    prepare(&pair.primary);
    pair.standby.catch_up_with(&pair.primary);
    let writer = Writer::of(&pair.primary);
    let first = writer.look().await;
    assert_eq!((seen(&first), written(&first)), (Ok(None), None));
    let primary = first.replication().incarnation();

    let outcome = writer.ordered(1, &primary).await;
    let write = written(&outcome).expect("ordered");
    let acknowledged = write.outcome.expect("written");
    assert_eq!((write.seq, seen(&outcome)), (1, Ok(None)));
    assert!(outcome.replication().answered <= write.sent && write.sent < acknowledged);
    assert!(outcome.watch.laps().get(Phase::QueryWrite).is_some());
    assert_eq!(outcome.watch.current(), None);
    let row = pair.primary.sql(ROWS);
    let text = format!("eu-west|orders-1.db|{EPOCH}|1|");
    assert!(row.starts_with(&text), "{row}");

    let next = writer.look().await;
    assert_eq!((seen(&next), written(&next)), (Ok(Some(1)), None));
    assert_eq!(next.watch.laps().get(Phase::QueryWrite), None);
    assert_eq!(pair.primary.sql(ROWS), row, "it was written once");

    pair.standby.catch_up_with(&pair.primary);
    let reader = Writer::of(&pair.standby);
    assert_eq!(seen(&reader.look().await), Ok(Some(1)));
    assert_eq!(writer.write(2).await, Ok(()));
    assert_eq!(pair.primary.sql("SELECT seq FROM hotspare.canary"), "2");

    // Whoever orders it, and for whom: nothing is written to a standby.
    pair.standby.catch_up_with(&pair.primary);
    let standby = reader.look().await.replication().incarnation();
    for to in [&primary, &standby] {
        let outcome = reader.ordered(3, to).await;
        assert_eq!(outcome.reason(), None);
        let write = written(&outcome).expect("ordered");
        assert_eq!(write.outcome, Err(NotWritten::Changed));
    }
    assert!(!pair.standby.log().contains("INSERT"), "nothing was sent");
}

#[tokio::test]
async fn an_order_for_another_server_is_not_carried_out() {
    let server = server();
    let writer = Writer::of(&server);
    assert_eq!(writer.write(1).await, Ok(()));
    let row = server.sql(ROWS);
    let right = writer.look().await.replication().incarnation();
    let wrong = [
        Incarnation {
            timeline: Some(2),
            ..right.clone()
        },
        Incarnation {
            timeline: None,
            ..right.clone()
        },
        Incarnation {
            identity: Some(Identity::System(7)),
            ..right.clone()
        },
        Incarnation::default(),
    ];
    for to in wrong {
        let outcome = writer.ordered(2, &to).await;
        assert_eq!(outcome.reason(), None);
        let write = written(&outcome).expect("ordered");
        assert_eq!(write.outcome, Err(NotWritten::Changed), "{to:?}");
        assert_eq!(outcome.watch.current(), None, "nothing was sent");
    }
    for switch in [
        "ALTER DATABASE postgres SET default_transaction_read_only = on",
        "ALTER ROLE hotspare_probe SET default_transaction_read_only = on",
    ] {
        server.sql(switch);
        let outcome = writer.ordered(2, &right).await;
        assert_eq!(outcome.replication().writable, Some(false));
        let write = written(&outcome).expect("ordered");
        assert_eq!(write.outcome, Err(NotWritten::Changed), "{switch}");
        assert_eq!(outcome.watch.current(), None, "nothing was sent");
        let back = switch.replace("= on", "= off");
        server.sql(&format!("SET transaction_read_only = off; {back}"));
    }
    assert_eq!(server.sql(ROWS), row);
    // A query that leaves its transaction open would take the canary with it when it ends.
    let open = json!({ "query": "BEGIN; SELECT 1", "read_only": false });
    let in_transaction = Writer::new(&server.address(), &open, GUARD);
    assert_eq!(in_transaction.write(2).await, Err(NotWritten::Changed));
    assert_eq!(server.sql(ROWS), row);
    // One that fails keeps no canary from its way.
    let failing = json!({ "query": "SELEC 1" });
    let failing = Writer::new(&server.address(), &failing, GUARD);
    let outcome = failing.ordered(2, &right).await;
    assert_eq!(outcome.reason(), Some(Reason::Query));
    assert!(written(&outcome).expect("ordered").outcome.is_ok());
    assert_eq!(seen(&writer.look().await), Ok(Some(2)));
}

#[tokio::test]
async fn what_the_operator_did_not_set_up_is_told() {
    let server = lone();
    let [_, table, grants] = set_up();
    let writer = Writer::of(&server);
    let seen_and_written = async |seq| {
        let result = writer.write(seq).await;
        let outcome = writer.look().await;
        assert_eq!(outcome.database().withheld, seen(&outcome).err());
        (seen(&outcome), result)
    };
    let absent = (Err(Withheld::Unsupported), Err(NotWritten::NoTable));
    let forbidden = (Err(Withheld::Permission), Err(NotWritten::Permission));
    assert_eq!(seen_and_written(1).await, absent);
    server.sql("CREATE SCHEMA hotspare; GRANT USAGE ON SCHEMA hotspare TO hotspare_probe");
    assert_eq!(seen_and_written(2).await, absent);
    server.sql("DROP SCHEMA hotspare");
    server.sql(&table);
    assert_eq!(seen_and_written(3).await, forbidden);
    server.sql(
        "GRANT USAGE ON SCHEMA hotspare TO hotspare_probe; GRANT SELECT ON hotspare.canary TO hotspare_probe",
    );
    let only_looking = (Ok(None), Err(NotWritten::Permission));
    assert_eq!(seen_and_written(4).await, only_looking);
    server.sql(&grants);
    assert_eq!(seen_and_written(5).await, (Ok(Some(5)), Ok(())));
    // A row that someone else wrote, or a life before, is read as it is or not at all.
    server.sql("UPDATE hotspare.canary SET epoch = 'none'");
    assert_eq!(seen(&writer.look().await), Err(Withheld::Error));
    server.sql("ALTER TABLE hotspare.canary DROP CONSTRAINT canary_pkey");
    assert_eq!(writer.write(6).await, Err(NotWritten::Error));
}

#[tokio::test]
async fn a_row_that_is_locked_costs_the_order_and_not_the_run() {
    let server = server();
    let writer = Writer::of(&server);
    assert_eq!(writer.write(1).await, Ok(()));
    // A transaction that nobody has to keep a session for.
    server.sql("BEGIN; UPDATE hotspare.canary SET seq = 9; PREPARE TRANSACTION 'held'");
    assert_eq!(writer.write(2).await, Err(NotWritten::Error));
    server.sql("ROLLBACK PREPARED 'held'");
    assert_eq!(writer.write(3).await, Ok(()));
}

const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'hotspare_probe'";

#[tokio::test]
async fn a_missing_synchronous_standby_costs_one_session_and_no_facts() {
    let server = server();
    let writer = Writer::new(&server.address(), &json!({}), Duration::from_secs(2));
    let to = writer.look().await.replication().incarnation();
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("SELECT pg_reload_conf()");
    server.wait_for("SHOW synchronous_standby_names", "nobody");
    // Nobody gives the run up: it ends by itself, before its deadline.
    let outcome = writer.ordered(1, &to).await;
    let failure = outcome.result.as_ref().expect_err("not acknowledged");
    assert_eq!(failure.reason, Reason::TimeoutQuery, "{failure}");
    assert_eq!(outcome.watch.current(), Some(Phase::QueryWrite));
    assert_eq!(outcome.watch.laps().get(Phase::QueryWrite), None);
    assert_eq!(outcome.replication().incarnation(), to);
    assert_eq!((seen(&outcome), written(&outcome)), (Ok(None), None));

    for seq in 2..5 {
        let outcome = writer.ordered(seq, &to).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        let write = written(&outcome).expect("ordered");
        assert_eq!(write.outcome, Err(NotWritten::Error));
    }
    server.wait_for(SESSIONS, "1");
    server.sql("ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("SELECT pg_reload_conf()");
    server.wait_for(SESSIONS, "0");
    assert_eq!(seen(&writer.look().await), Ok(Some(1)));
    assert_eq!(writer.write(5).await, Ok(()));
}

/// Stands before two servers as a pooler does that has taken the one for the other: what writes goes
/// to the second. It serves one client.
fn stand_before(one: &PostgresServer, other: &PostgresServer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("bound").to_string();
    let servers = [one.address(), other.address()];
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("accepted");
        let mut servers = servers.map(|server| TcpStream::connect(server).expect("connected"));
        let startup = packet(&mut client, false).expect("startup");
        let answers = servers.each_mut().map(|server| {
            server.write_all(&startup).expect("sent");
            answer(server)
        });
        client.write_all(&answers[0]).expect("sent");
        while let Some(message) = packet(&mut client, true) {
            let text = String::from_utf8_lossy(&message);
            let server = &mut servers[usize::from(text.contains("INSERT"))];
            server.write_all(&message).expect("sent");
            if message[0] == b'X' {
                return;
            }
            client.write_all(&answer(server)).expect("sent");
        }
    });
    address
}

/// A message as it is, if there is one more.
fn packet(stream: &mut TcpStream, has_type: bool) -> Option<Vec<u8>> {
    let at = usize::from(has_type);
    let mut message = vec![0; at + 4];
    stream.read_exact(&mut message).ok()?;
    let length = message[at..]
        .try_into()
        .map(u32::from_be_bytes)
        .expect("four bytes");
    message.resize(at + length as usize, 0);
    stream.read_exact(&mut message[at + 4..]).expect("body");
    Some(message)
}

/// Everything up to the server's being ready for the next question.
fn answer(server: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let message = packet(server, true).expect("an answer");
        all.extend_from_slice(&message);
        if message[0] == b'Z' {
            return all;
        }
    }
}

#[tokio::test]
async fn the_server_itself_looks_whether_the_order_is_for_it() {
    let pair = Pair::set();
    prepare(&pair.primary);
    pair.standby.catch_up_with(&pair.primary);
    let writer = Writer::of(&pair.primary);
    assert_eq!(writer.write(1).await, Ok(()));
    pair.standby.catch_up_with(&pair.primary);
    let primary = writer.look().await.replication().incarnation();
    let row = pair.primary.sql(ROWS);

    // A standby, then the same server promoted, then one of another cluster.
    let stranger = server();
    for other in [&pair.standby, &pair.standby, &stranger] {
        let before = other.sql(ROWS);
        let between = stand_before(&pair.primary, other);
        let confused = Writer::new(&between, &json!({}), GUARD);
        let outcome = confused.ordered(2, &primary).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        assert_eq!(outcome.replication().incarnation(), primary);
        let write = written(&outcome).expect("ordered");
        assert_eq!(write.outcome, Err(NotWritten::Changed));
        assert_eq!(other.sql(ROWS), before);
        if other.sql("SELECT pg_is_in_recovery()") == "t" {
            other.promote();
        }
    }
    assert_eq!(pair.primary.sql(ROWS), row);
    // The one between would have let it through.
    let between = stand_before(&pair.primary, &pair.primary);
    let through = Writer::new(&between, &json!({}), GUARD);
    let outcome = through.ordered(2, &primary).await;
    assert!(written(&outcome).expect("ordered").outcome.is_ok());
}
