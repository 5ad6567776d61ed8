//! What the probe `redis` may do on a real server, and the canary that it writes there.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{
    CanaryFacts, Epoch, Facts, Mark, NotWritten, Order, Phase, Reason, ReplicationFacts, Role,
    Withheld,
};
use hotspare::probe::{Probe, setup};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::postgres::{Outcome, run};
use crate::process::PATIENCE;
use crate::redis::{GUARD, database, phases, prepared, probe, replication, started, until};
use crate::redis_server::RedisServer;

const KEY: &str = "hotspare:canary:here:orders";

/// What the server answers a user of its own, errors too.
fn answer_to(server: &RedisServer, user: &str, words: &[&str]) -> String {
    let port = server.address().port().to_string();
    let mut client = Command::new("redis-cli");
    client.args([
        "-p",
        &port,
        "--user",
        user,
        "--pass",
        "right",
        "--no-auth-warning",
    ]);
    let output = client.args(words).output().expect("redis-cli");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn canary(facts: &Facts) -> &CanaryFacts {
    database(facts).canary.as_ref().expect("looked for")
}

/// An order for the server as the run found it.
fn order(seq: u64, found: &Outcome) -> Order {
    let to = replication(found.facts()).incarnation();
    Order { seq, to }
}

fn up(told: &ReplicationFacts) -> bool {
    told.link.is_some_and(|link| link.up == Some(true))
}

fn grant(server: &RedisServer, rights: &str) {
    let command = format!("ACL SETUSER hotspare_probe {rights} >right");
    server.command(&command.split(' ').collect::<Vec<_>>());
}

/// What `hotspare sql redis` prints: the rights, and those for the canary.
fn documented() -> [&'static str; 2] {
    let lines: Vec<_> = setup::REDIS
        .lines()
        .map(|line| {
            line.strip_prefix("ACL SETUSER hotspare_probe ")
                .expect("a user")
        })
        .collect();
    lines.try_into().expect("two lines")
}

/// A probe that logs in as the user of the rights.
fn probe_with_login(server: &RedisServer, canary: bool) -> Arc<dyn Probe> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("pw"), "right").expect("write");
    let settings = json!({
        "username": "hotspare_probe", "password_file": "pw", "allow_cleartext": true, "canary": canary,
    });
    let address = server.address().to_string();
    probe(&settings, &address, folder.path()).expect("prepared")
}

#[tokio::test]
async fn the_documented_rights_are_enough() {
    let docs = include_str!("../../docs/configuration.md");
    assert!(docs.contains(setup::REDIS));
    let [rights, canary_rights] = documented();
    let server = started("");
    grant(&server, rights);
    let outcome = run(&*probe_with_login(&server, false), GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    assert_eq!(database(outcome.facts()).withheld, None);

    grant(&server, canary_rights);
    let probe = probe_with_login(&server, true);
    probe.pen().expect("a pen").order(Some(order(1, &outcome)));
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    let write = canary(outcome.facts()).write.as_ref().expect("tried");
    assert!(write.outcome.is_ok(), "{write:?}");
}

#[test]
fn with_the_documented_rights_all_else_is_refused() {
    let server = started("");
    let [rights, canary_rights] = documented();
    grant(&server, &format!("{rights} {canary_rights}"));
    for refused in [
        "GET other",
        "SET other 1",
        "DEL hotspare:canary:here:orders",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "FLUSHALL",
        "CLIENT LIST",
        "ACL LIST",
        "SELECT 1",
        "REPLICAOF NO ONE",
        "SHUTDOWN",
        "SUBSCRIBE all",
        "PUBLISH a b",
        "EVAL x 0",
        "MONITOR",
    ] {
        let words: Vec<_> = refused.split(' ').collect();
        let answer = answer_to(&server, "hotspare_probe", &words);
        assert!(answer.starts_with("NOPERM"), "{refused}: {answer}");
    }
}

#[tokio::test]
async fn the_canary_needs_a_right_to_look_and_one_to_write() {
    let server = started("");
    grant(&server, documented()[0]);
    let probe = probe_with_login(&server, true);
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    assert_eq!(canary(outcome.facts()).seen.mark, Err(Withheld::Permission));

    grant(&server, "~hotspare:canary:* +get");
    probe.pen().expect("a pen").order(Some(order(1, &outcome)));
    let outcome = run(&*probe, GUARD).await;
    assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    let facts = canary(outcome.facts());
    assert_eq!(facts.seen.mark, Ok(None));
    let write = facts.write.as_ref().expect("tried");
    assert_eq!(write.outcome, Err(NotWritten::Permission));
    assert!(!phases(&outcome).contains(&Phase::QueryWrite));
}

#[tokio::test]
async fn what_a_missing_right_hides_is_withheld() {
    let server = started("");
    for (rights, query, withheld) in [
        ("+ping +dbsize", None, Some(Withheld::Permission)),
        ("+ping +info", None, Some(Withheld::Permission)),
        ("+info +dbsize", Some(Reason::Query), None),
    ] {
        let command = format!("ACL SETUSER default reset on nopass {rights}");
        server.command(&command.split(' ').collect::<Vec<_>>());
        let outcome = run(&*prepared(&json!({}), &server), GUARD).await;
        assert_eq!(outcome.reason(), query, "{rights}: {:?}", outcome.result);
        assert_eq!(database(outcome.facts()).withheld, withheld, "{rights}");
        let told = replication(outcome.facts());
        assert_eq!(told.keys.is_some(), rights.contains("dbsize"), "{rights}");
        assert_eq!(
            told.role != Role::Unknown,
            rights.contains("info"),
            "{rights}"
        );
    }
}

#[tokio::test]
async fn a_canary_is_written_once_for_each_order() {
    let server = started("");
    let probe = prepared(&json!({ "canary": true }), &server);
    let first = run(&*probe, GUARD).await;
    let facts = canary(first.facts());
    assert_eq!((facts.seen.mark, &facts.write), (Ok(None), &None));
    assert_eq!(server.command(&["EXISTS", KEY]), "0");

    let pen = probe.pen().expect("a pen");
    pen.order(Some(order(1, &first)));
    let outcome = run(&*probe, GUARD).await;
    let facts = canary(outcome.facts());
    assert_eq!(facts.seen.mark, Ok(None), "it looks before it writes");
    let write = facts.write.as_ref().expect("written");
    assert_eq!(write.seq, 1);
    assert!(write.outcome.expect("acknowledged") >= write.sent);
    assert!(write.sent >= facts.seen.answered);
    assert_eq!(
        phases(&outcome),
        [Phase::Connect, Phase::QueryRead, Phase::QueryWrite]
    );
    let reply = outcome.result.as_ref().expect("reply");
    let laps = outcome.watch.laps();
    let write_time = laps.get(Phase::QueryWrite).expect("timed");
    let visit = laps.total().checked_sub(write_time);
    assert_eq!(
        Some(reply.latencies[0]),
        visit,
        "the write is no part of it"
    );

    // The order is used up, and the server is still the one that it was for.
    server.command(&["SET", "a", "1"]);
    let outcome = run(&*probe, GUARD).await;
    let mark = Mark {
        epoch: Epoch(7),
        seq: 1,
    };
    let facts = canary(outcome.facts());
    assert_eq!((facts.seen.mark, &facts.write), (Ok(Some(mark)), &None));
    assert_eq!(order(1, &outcome), order(1, &first));
}

#[tokio::test]
async fn a_replica_shows_the_canary_and_gets_none_itself() {
    let (primary, replica) = (started(""), started(""));
    replica.replicate_from(primary.address());
    let settings = json!({ "canary": true });
    let (here, there) = (prepared(&settings, &primary), prepared(&settings, &replica));
    let standby = until(&*there, up).await;
    here.pen()
        .expect("a pen")
        .order(Some(order(1, &run(&*here, GUARD).await)));
    run(&*here, GUARD).await;
    let begun = Instant::now();
    loop {
        let outcome = run(&*there, GUARD).await;
        let mark = canary(outcome.facts()).seen.mark;
        if mark.is_ok_and(|mark| mark.is_some_and(|mark| mark.seq == 1)) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{mark:?}");
        sleep(Duration::from_millis(20)).await;
    }

    // Neither a standby nor a primary that is not the ordered one is sent anything.
    let to = standby.incarnation();
    there
        .pen()
        .expect("a pen")
        .order(Some(Order { seq: 2, to }));
    let to = ReplicationFacts::new(standby.asked, standby.asked).incarnation();
    let pen = here.pen().expect("a pen");
    pen.settle();
    pen.order(Some(Order { seq: 2, to }));
    for probe in [there, here] {
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
        let write = canary(outcome.facts()).write.as_ref().expect("refused");
        assert_eq!(write.outcome, Err(NotWritten::Changed));
        assert!(!phases(&outcome).contains(&Phase::QueryWrite));
    }
    for server in [&primary, &replica] {
        // On the replica, the one that came from its primary.
        let statistics = server.command(&["INFO", "commandstats"]);
        let sets: Vec<_> = statistics
            .lines()
            .filter(|line| line.starts_with("cmdstat_set:"))
            .collect();
        assert!(sets[0].starts_with("cmdstat_set:calls=1,"), "{sets:?}");
        assert!(sets[0].contains(",rejected_calls=0,"), "{sets:?}");
    }
}

#[tokio::test]
async fn a_canary_that_the_server_cannot_take_is_no_failed_run() {
    let server = started("");
    let probe = prepared(&json!({ "canary": true }), &server);
    let to = replication(run(&*probe, GUARD).await.facts()).incarnation();
    let pen = probe.pen().expect("a pen");
    for (setting, value, usual) in [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")] {
        server.command(&["CONFIG", "SET", setting, value]);
        pen.settle();
        pen.order(Some(Order {
            seq: 3,
            to: to.clone(),
        }));
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), None, "{setting}: {:?}", outcome.result);
        let write = canary(outcome.facts()).write.as_ref().expect("tried");
        assert_eq!(write.outcome, Err(NotWritten::Error), "{setting}");
        server.command(&["CONFIG", "SET", setting, usual]);
    }
    for value in ["something else", ""] {
        server.command(&["SET", KEY, value]);
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(
            canary(outcome.facts()).seen.mark,
            Err(Withheld::Error),
            "{value}"
        );
    }
}

#[tokio::test]
async fn a_canary_does_not_depend_on_the_query() {
    let server = started("");
    for (query, reason) in [
        (json!(["ECHO", "a"]), Reason::Answer),
        (json!(["NONSENSE"]), Reason::Query),
    ] {
        let settings = json!({ "canary": true, "query": query, "expect": "b" });
        let probe = prepared(&settings, &server);
        let to = replication(run(&*probe, GUARD).await.facts()).incarnation();
        let pen = probe.pen().expect("a pen");
        pen.order(Some(Order { seq: 1, to }));
        let outcome = run(&*probe, GUARD).await;
        assert_eq!(outcome.reason(), Some(reason));
        let write = canary(outcome.facts()).write.as_ref().expect("tried");
        assert!(write.outcome.is_ok(), "{query}");
        assert_eq!(server.command(&["DEL", KEY]), "1");
    }
}
