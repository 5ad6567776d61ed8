//! The probe `mysql` at both ends of a real replication: where each server stands, the canary, and
//! what an account with the documented grants can do.

use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{
    DatabaseFacts, Identity, Mark, NotWritten, Order, Phase, Position, Reason, ReplicationFacts,
    Role, Withheld, Write,
};
use hotspare::probe::{Probe, setup};
use serde_json::{Value, json};

use crate::link::Link;
use crate::mariadb_server::MariadbServer;
use crate::mysql::{EPOCH, GUARD, probe};
use crate::postgres::{Outcome, eventually, run};

/// Runs what `hotspare sql mysql` prints.
fn set_up(server: &MariadbServer) {
    server.sql(setup::MYSQL);
    server.sql("ALTER USER hotspare_probe IDENTIFIED BY 'right' ACCOUNT UNLOCK");
}

fn server(id: u32) -> MariadbServer {
    let mut server = MariadbServer::init(id);
    // A link that is silent must not be found out, however long the test takes.
    server.configure("slave_net_timeout = 3600");
    server.start();
    server
}

/// A primary set up as the documentation says, and its standby at the end of the link.
fn pair() -> (MariadbServer, Link, MariadbServer) {
    let (primary, standby) = (server(1), server(2));
    set_up(&primary);
    primary.sql("CREATE DATABASE orders; CREATE TABLE orders.t (n INT)");
    let link = Link::to(primary.address());
    standby.replicate_from(link.address());
    standby.catch_up_with(&primary);
    standby.sql("SET GLOBAL read_only = 1");
    (primary, link, standby)
}

/// A probe as the account of the set-up, with changed settings.
fn of(server: &MariadbServer, changes: &Value) -> Arc<dyn Probe> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    let mut settings = json!({
        "user": "hotspare_probe", "password_file": "pw", "tls": "disable", "canary": true,
    });
    let all = settings.as_object_mut().expect("object");
    all.extend(changes.as_object().expect("object").clone());
    let address = server.address().to_string();
    probe(&settings, &address, folder.path(), GUARD).expect("prepared")
}

fn database(outcome: &Outcome) -> &DatabaseFacts {
    outcome.facts().database.as_ref().expect("database")
}

async fn look(probe: &dyn Probe) -> DatabaseFacts {
    let outcome = run(probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    database(&outcome).clone()
}

async fn told(probe: &dyn Probe) -> ReplicationFacts {
    let facts = look(probe).await;
    assert_eq!(facts.withheld, None);
    *facts.replication.expect("told")
}

/// How many transactions of the primary the position lacks.
fn missing(primary: &ReplicationFacts, position: Option<&Position>) -> Option<u64> {
    primary.position.as_ref()?.transactions_beyond(position?)
}

#[tokio::test]
async fn both_sides_of_a_link_tell_where_they_stand() {
    let (primary, link, standby) = pair();
    let (at_primary, at_standby) = (of(&primary, &json!({})), of(&standby, &json!({})));

    let one = told(&*at_primary).await;
    assert_eq!((one.role, one.writable), (Role::Primary, Some(true)));
    assert_eq!(one.identity, Some(Identity::Number(1)));
    assert!(one.link.is_none() && one.received.is_none());
    assert!(one.asked < one.answered);
    let two = told(&*at_standby).await;
    assert_eq!((two.role, two.writable), (Role::Standby, Some(false)));
    assert_eq!(two.identity, Some(Identity::Number(2)));
    assert_eq!(missing(&one, two.position.as_ref()), Some(0));
    assert_eq!(missing(&one, two.received.as_ref()), Some(0));
    assert_eq!(two.link.expect("a link").up, Some(true));
    assert_eq!(two.link.expect("a link").silence, None);
    assert_eq!(
        (two.replay_paused, two.native_lag),
        (Some(false), Some(Duration::ZERO))
    );

    // What arrives and is not applied is received.
    standby.sql("STOP SLAVE SQL_THREAD");
    primary.sql("INSERT INTO orders.t VALUES (1); INSERT INTO orders.t VALUES (2)");
    let one = told(&*at_primary).await;
    let two = eventually(async || {
        let two = told(&*at_standby).await;
        (missing(&one, two.received.as_ref()) == Some(0)).then_some(two)
    })
    .await;
    assert_eq!(missing(&one, two.position.as_ref()), Some(2));
    assert_eq!((two.replay_paused, two.native_lag), (Some(true), None));
    standby.sql("START SLAVE SQL_THREAD");
    standby.catch_up_with(&primary);

    // In a black hole the standby says that all is well; only the primary knows better.
    link.black_hole();
    primary.sql("INSERT INTO orders.t VALUES (3)");
    let two = told(&*at_standby).await;
    let one = told(&*at_primary).await;
    assert_eq!(two.link.expect("a link").up, Some(true));
    assert_eq!(two.native_lag, Some(Duration::ZERO));
    assert_eq!(missing(&one, two.received.as_ref()), Some(1));

    link.cut();
    eventually(async || {
        let two = told(&*at_standby).await;
        (two.link?.up == Some(false)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_told_is_not_guessed() {
    let (primary, _link, standby) = pair();
    let refuse = "REVOKE SLAVE MONITOR ON *.* FROM hotspare_probe@'%'";
    primary.sql(refuse);
    standby.catch_up_with(&primary);
    for server in [&primary, &standby] {
        let facts = look(&*of(server, &json!({ "canary": false }))).await;
        assert_eq!(facts.withheld, Some(Withheld::Permission));
        assert_eq!(facts.canary, None);
        let told = facts.replication.expect("told");
        assert_eq!((told.role, told.link), (Role::Unknown, None));
        assert_eq!((told.replay_paused, told.native_lag), (None, None));
        assert!(told.writable.is_some() && told.position.is_some() && told.identity.is_some());
    }

    // A server that logs nothing numbers nothing: it is not at transaction 0.
    let mut alone = MariadbServer::init(3);
    alone.configure("skip_log_bin\nlog_slave_updates = off");
    alone.start();
    set_up(&alone);
    let told = told(&*of(&alone, &json!({}))).await;
    assert_eq!((told.role, told.position), (Role::Primary, None));
}

/// The order to write that canary to the server as it was seen.
fn order(seq: u64, seen: &ReplicationFacts) -> Order {
    let to = seen.incarnation();
    Order { seq, to }
}

/// Has the canary written to the server, and how that went.
async fn write(probe: &dyn Probe, order: Order) -> (Outcome, Option<Write>) {
    let pen = probe.pen().expect("a pen");
    pen.settle();
    pen.order(Some(order));
    let outcome = run(probe, GUARD).await;
    let canary = database(&outcome).canary.clone().expect("a canary");
    (outcome, canary.write)
}

#[tokio::test]
async fn a_canary_goes_from_the_primary_to_the_standby() {
    for (format, connection) in [("ROW", "fresh"), ("STATEMENT", "reuse")] {
        let (primary, _link, standby) = pair();
        primary.sql(&format!("SET GLOBAL binlog_format = {format}"));
        let changes = json!({ "connection": connection });
        let (at_primary, at_standby) = (of(&primary, &changes), of(&standby, &changes));
        let before = run(&*at_primary, GUARD).await;
        let seen = database(&before).canary.clone().expect("a canary");
        assert_eq!((seen.seen.mark, seen.write), (Ok(None), None));
        assert_eq!(before.watch.laps().get(Phase::QueryWrite), None);
        let server = told(&*at_primary).await;
        for seq in [1, 2] {
            let (outcome, written) = write(&*at_primary, order(seq, &server)).await;
            let written = written.expect("a write");
            assert_eq!(written.seq, seq);
            assert!(written.outcome.expect("acknowledged") > written.sent);
            // The write is measured, and no part of how long the query took.
            let laps = outcome.watch.laps();
            let write = laps.get(Phase::QueryWrite).expect("measured");
            let latencies = &outcome.result.expect("reply").latencies;
            assert_eq!(latencies[0] + write, laps.total());
            standby.catch_up_with(&primary);
            for probe in [&at_primary, &at_standby] {
                let seen = look(&**probe).await.canary.expect("a canary").seen;
                assert_eq!(seen.mark, Ok(Some(Mark { epoch: EPOCH, seq })));
                assert!(seen.asked < seen.answered);
            }
        }
        let rows = "SELECT vantage, probe, seq FROM hotspare.canary";
        assert_eq!(standby.sql(rows), "eu-west\torders\t2");
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_meant_gets_no_canary() {
    let (primary, _link, standby) = pair();
    let (at_primary, at_standby) = (of(&primary, &json!({})), of(&standby, &json!({})));
    let (one, two) = (told(&*at_primary).await, told(&*at_standby).await);
    let changed = Err(NotWritten::Changed);
    // To another server, to a standby, to one that became read-only since.
    let (_, written) = write(&*at_primary, order(1, &two)).await;
    assert_eq!(written.expect("a write").outcome, changed);
    standby.sql("SET GLOBAL read_only = 0");
    let (_, written) = write(&*at_standby, order(2, &two)).await;
    assert_eq!(written.expect("a write").outcome, changed);
    primary.sql("SET GLOBAL read_only = 1");
    let (outcome, written) = write(&*at_primary, order(3, &one)).await;
    assert_eq!(written.expect("a write").outcome, changed);
    assert_eq!(outcome.watch.laps().get(Phase::QueryWrite), None);
    primary.sql("SET GLOBAL read_only = 0");
    for server in [&primary, &standby] {
        assert!(!server.binlog_text().contains("INSERT INTO hotspare.canary"));
    }
}

#[tokio::test]
async fn a_canary_does_not_depend_on_the_query() {
    let (primary, _link, _standby) = pair();
    let server = told(&*of(&primary, &json!({}))).await;
    for (seq, changes, reason) in [
        (1, json!({ "query": "SELEC" }), Reason::Query),
        (
            2,
            json!({ "query": "SELECT 1", "expect": "2" }),
            Reason::Answer,
        ),
    ] {
        let (outcome, written) = write(&*of(&primary, &changes), order(seq, &server)).await;
        assert_eq!(outcome.reason(), Some(reason), "{:?}", outcome.result);
        assert!(written.expect("a write").outcome.is_ok(), "{changes}");
    }
    // What is left uncommitted would be acknowledged and lost.
    let open = json!({ "query": "START TRANSACTION READ WRITE" });
    let (_, written) = write(&*of(&primary, &open), order(3, &server)).await;
    assert_eq!(written.expect("a write").outcome, Err(NotWritten::Error));
}

#[tokio::test]
async fn a_canary_that_cannot_be_written_says_why_and_harms_nothing() {
    let (primary, _link, _standby) = pair();
    let at_primary = of(&primary, &json!({ "connection": "reuse" }));
    let server = told(&*at_primary).await;
    let why = async |seq| {
        let (outcome, written) = write(&*at_primary, order(seq, &server)).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        assert_eq!(outcome.watch.laps().get(Phase::QueryWrite), None);
        let seen = database(&outcome)
            .canary
            .clone()
            .expect("a canary")
            .seen
            .mark;
        (
            seen,
            written.expect("a write").outcome.expect_err("refused"),
        )
    };
    // Someone else has the row locked.
    primary.sql("INSERT INTO hotspare.canary (vantage, probe, epoch, seq) VALUES ('eu-west', 'orders', '0', 9)");
    let old = Ok(Some(Mark {
        epoch: hotspare::model::Epoch(0),
        seq: 9,
    }));
    let holder = "SET GLOBAL event_scheduler = 1; CREATE EVENT orders.hold ON SCHEDULE AT NOW()
        DO UPDATE hotspare.canary SET seq = seq + SLEEP(3600)";
    primary.sql(holder);
    let holding = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE%'";
    primary.wait_for(holding, "1");
    assert_eq!(why(1).await, (old, NotWritten::Error));
    let id = primary.sql("SELECT id FROM information_schema.processlist WHERE info LIKE 'UPDATE%'");
    primary.sql(&format!("KILL {id}"));
    primary.wait_for(holding, "0");

    primary.sql("REVOKE INSERT ON hotspare.canary FROM hotspare_probe@'%'");
    assert_eq!(why(2).await, (old, NotWritten::Permission));
    primary.sql("REVOKE ALL ON hotspare.canary FROM hotspare_probe@'%'");
    assert_eq!(
        why(3).await,
        (Err(Withheld::Permission), NotWritten::Permission)
    );
    primary.sql("GRANT ALL ON hotspare.* TO hotspare_probe@'%'; DROP TABLE hotspare.canary");
    assert_eq!(why(4).await, (Err(Withheld::Error), NotWritten::NoTable));
    primary.sql(
        "CREATE TABLE hotspare.canary (epoch INT, seq INT, vantage TEXT, probe TEXT);
        INSERT INTO hotspare.canary VALUES (-1, -1, 'eu-west', 'orders')",
    );
    let seen = look(&*at_primary).await.canary.expect("a canary").seen;
    assert_eq!(seen.mark, Err(Withheld::Error));
}

#[tokio::test]
async fn the_documented_grants_are_enough_and_no_more() {
    let (primary, _link, _standby) = pair();
    primary.sql("INSERT INTO orders.t VALUES (7)");
    let facts = look(&*of(&primary, &json!({}))).await;
    assert_eq!(facts.withheld, None);
    assert_eq!(facts.canary.expect("a canary").seen.mark, Ok(None));
    for (query, code) in [
        ("SELECT n FROM orders.t", "1142"),
        ("INSERT INTO orders.t VALUES (1)", "1142"),
        ("DELETE FROM hotspare.canary", "1142"),
        ("DROP TABLE hotspare.canary", "1142"),
        ("ALTER TABLE hotspare.canary ADD n INT", "1142"),
        ("CREATE TABLE hotspare.more (n INT)", "1142"),
        ("CREATE DATABASE more", "1044"),
        ("SELECT 1 INTO OUTFILE '/tmp/hotspare-test'", "1227"),
        ("SET GLOBAL read_only = 0", "1227"),
        ("SET GLOBAL max_connections = 1", "1227"),
        ("STOP SLAVE", "1227"),
        ("SHOW BINARY LOGS", "1227"),
        ("KILL 1", "109"),
        ("GRANT SELECT ON orders.* TO hotspare_probe@'%'", "1044"),
        ("SELECT * FROM mysql.global_priv", "1142"),
    ] {
        let probe = of(&primary, &json!({ "query": query, "read_only": false }));
        let outcome = run(&*probe, GUARD).await;
        let failure = outcome.result.as_ref().expect_err(query);
        assert_eq!(failure.reason, Reason::Query, "{query}: {failure}");
        assert!(failure.detail.contains(code), "{query}: {failure}");
    }
    // Whoever may set a server read-only may write to one that is.
    primary.sql("SET GLOBAL read_only = 1");
    let write =
        "INSERT INTO hotspare.canary (vantage, probe, epoch, seq) VALUES ('a', 'b', '0', 1)";
    let probe = of(&primary, &json!({ "query": write, "read_only": false }));
    let failure = run(&*probe, GUARD).await.result.expect_err("read-only");
    assert!(failure.detail.contains("1290"), "{failure}");
}
