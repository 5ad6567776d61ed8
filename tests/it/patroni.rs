//! The `patroni` probe against real Patronis, and against answers that they seldom give.

use std::path::Path;
use std::time::Duration;

use hotspare::model::{FactSet, ManagerFacts, Objection, Phase, Reason, Role};
use serde_json::json;

use crate::http::server::Server;
use crate::http::{Ran, context, hosts, prepare_kind, run};
use crate::patroni_cluster::{Etcd, Patroni};
use crate::process::wait_for;

async fn ask(url: &str) -> Ran {
    let context = context(hosts(), Path::new("/"));
    let template = prepare_kind("patroni", json!({}), &context).expect("valid settings");
    let probe = template.target(url).expect("a valid address");
    let FactSet {
        manager, version, ..
    } = probe.shape().facts;
    assert!(manager && version);
    run(&probe).await
}

/// What a real one says now.
fn told(patroni: &Patroni) -> ManagerFacts {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ran = runtime.expect("runtime").block_on(ask(&patroni.url()));
    ran.reply().facts.manager.expect("facts")
}

#[test]
fn a_real_one_says_whether_it_would_promote_its_server() {
    let mut etcd = Etcd::start();
    let primary = Patroni::start("one", &etcd);
    let standby = Patroni::start("two", &etcd);
    let facts = wait_for(|| told(&primary), |facts| facts.role == Role::Primary);
    assert_eq!((facts.timeline, facts.objection()), (Some(1), None));
    let facts = wait_for(|| told(&standby), |facts| facts.timeline == Some(1));
    assert_eq!((facts.role, facts.objection()), (Role::Standby, None));

    standby.control(&["pause", "--wait"]);
    let objects = |facts: &ManagerFacts, why| facts.objection() == Some(why);
    wait_for(|| told(&primary), |f| objects(f, Objection::Paused));
    wait_for(|| told(&standby), |f| objects(f, Objection::Paused));
    // While it is paused, it does not start its server again.
    standby.stop_server();
    wait_for(|| told(&standby), |f| objects(f, Objection::NotRunning));
    standby.control(&["resume", "--wait"]);
    wait_for(|| told(&standby), |facts| facts.objection().is_none());

    standby.tag("nofailover: true");
    let facts = wait_for(|| told(&standby), |f| objects(f, Objection::NotAllowed));
    assert!(facts.running && !facts.paused, "{facts:?}");

    etcd.kill();
    let silent = |facts: &ManagerFacts| facts.store_silence > Some(Duration::from_secs(3));
    wait_for(|| told(&standby), silent);
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}")
}

#[tokio::test]
async fn what_is_asked_for_is_below_the_address() {
    let answer = http(
        "200 OK\r\nDate: Sat, 21 Nov 2026 12:50:39 GMT",
        "{\"state\": \"running\", \"role\": \"primary\", \"timeline\": 7, \"pause\": true, \
         \"dcs_last_seen\": 1795265349, \"tags\": {\"clonefrom\": true}, \
         \"patroni\": {\"version\": \"4.0.0\", \"scope\": \"demo\", \"name\": \"one\"}}",
    );
    let server = Server::answering(answer).await;
    let ran = ask(&server.url("/ha/")).await;
    assert!(ran.laps.get(Phase::Transfer).is_some());
    let facts = ran.reply().facts;
    assert_eq!(facts.version.as_deref(), Some("4.0.0"));
    assert_eq!(
        facts.manager,
        Some(ManagerFacts {
            role: Role::Primary,
            running: true,
            timeline: Some(7),
            paused: true,
            failover_allowed: true,
            store_silence: Some(Duration::from_secs(90)),
        })
    );
    let seen = server.seen();
    assert!(
        seen[0].starts_with("GET /ha/patroni HTTP/1.1\r\n"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_patronis_is_a_failure() {
    let large = format!("{{\"state\":\"{}\"", "x".repeat(1 << 20));
    for (answer, reason, detail) in [
        (http("503 Service Unavailable", "{}"), Reason::Status, "503"),
        (http("403 Forbidden", ""), Reason::Auth, "403"),
        (http("200 OK", "<html>"), Reason::Answer, "line 1"),
        (http("200 OK", "{}"), Reason::Answer, "state"),
        (http("200 OK", "[1, 2]"), Reason::Answer, "Patroni"),
        (
            http("200 OK", "{\"state\": \"running\", \"role\": 5}"),
            Reason::Answer,
            "integer `5`",
        ),
        (http("200 OK", &large), Reason::TooLarge, "1048576"),
        (
            "nothing of the kind\r\n\r\n".to_owned(),
            Reason::Protocol,
            "",
        ),
    ] {
        let server = Server::answering(answer).await;
        let failure = ask(&server.url("")).await.failed(reason, detail);
        assert_eq!(failure.facts.expect("facts").manager, None);
    }
}
