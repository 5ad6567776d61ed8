//! The JSON API and the probes of load balancers, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use hotspare::metrics::Exposition;
use hotspare::model::ranking::{Quantile, Row, Rows, Table};
use hotspare::model::{
    CheckReason, CheckReport, CheckState, GateKind, GroupReport, HoldReport, Promotability,
    RankingReport, ReadyState, Sight, SightReport, StageReport, StandbyReport, Unit,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Answer, Served, ask};

/// The lag of a database that is too far behind.
pub(crate) fn lag() -> CheckReport {
    CheckReport {
        check: "lag".into(),
        probe: "orders".into(),
        gate: GateKind::Hard,
        state: CheckState::Fail,
        reason: Some(CheckReason::Threshold),
        value: Some(7.2),
        threshold: Some(5.0),
        unit: Some(Unit::Seconds),
        age_seconds: Some(3.0),
        last_conclusive_timestamp_seconds: Some(1_795_261_197.0),
        transitions: [0; CheckState::ALL.len()],
    }
}

/// A standby in that state, of which nothing else is known.
pub(crate) fn standby(region: &str, state: ReadyState, reasons: Vec<CheckReport>) -> StandbyReport {
    StandbyReport {
        standby: region.into(),
        state,
        primary_sight: Sight::Seen,
        promotion: Promotability::NotAsked,
        checks: reasons.clone(),
        reasons,
        more_reasons: 0,
        score_ratio: None,
        score_coverage_ratio: None,
        lag_seconds: None,
        lag_at_least: false,
        rpo_seconds: None,
        rpo_bytes: None,
        rto_seconds: None,
        rto_stages: Vec::new(),
        rank: None,
        holds: Vec::new(),
        last_sight: None,
    }
}

/// A group judged now.
pub(crate) fn group(name: &str, vantage: &str, standbys: Vec<StandbyReport>) -> GroupReport {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    GroupReport {
        group: name.into(),
        source_region: vantage.into(),
        timestamp_seconds: now.expect("after 1970").as_secs_f64(),
        primary: "eu-west".into(),
        standbys,
        ranking: None,
    }
}

/// The group of the example in docs/api.md.
fn example() -> GroupReport {
    let stage = |stage, seconds, basis| StageReport {
        stage,
        seconds: Some(seconds),
        basis,
    };
    let us_east = StandbyReport {
        score_ratio: Some(0.9),
        score_coverage_ratio: Some(1.0),
        lag_seconds: Some(7.2),
        lag_at_least: false,
        rpo_seconds: Some(7.2),
        rpo_bytes: Some(524_288),
        rto_seconds: Some(342.0),
        rto_stages: vec![
            stage("decide", 300.0, Some("assumed")),
            stage("apply", 42.0, Some("measured")),
            stage("total", 342.0, None),
        ],
        rank: Some(1),
        holds: vec![HoldReport {
            kind: "maintenance",
            reason: "disk swap".into(),
            expiry_timestamp_seconds: 1_795_264_800.0,
        }],
        last_sight: Some(SightReport {
            timestamp_seconds: 1_795_261_197.0,
            rpo_seconds: Some(7.2),
            loss_bytes: Some(524_288),
        }),
        ..standby("us-east", ReadyState::NotReady, vec![lag()])
    };
    GroupReport {
        timestamp_seconds: 1_795_261_200.5,
        ranking: Some(RankingReport {
            changes: 0,
            table: Arc::new(ranks()),
        }),
        ..group("checkout", "eu-west", vec![us_east])
    }
}

/// The only standby is the best.
fn ranks() -> Table {
    let row = Row {
        name: "us-east".into(),
        rank: Some(1),
        state: Some(ReadyState::NotReady),
        rpo_seconds: Some(7.2),
        rto_seconds: Some(342.0),
        latency_seconds: Some(0.0952),
        loss_ratio: Some(0.0),
        batches: 72,
        score_ratio: Some(0.9),
        difference: None,
        reason: "first".to_owned(),
    };
    Table {
        rows_are: Rows::Standby,
        probe: Some("checkout".into()),
        quantile: Quantile::Median,
        batch_seconds: 300.0,
        batches_needed: 24,
        lasting: true,
        rows: vec![row],
        differences: Vec::new(),
    }
}

fn two_groups() -> Vec<GroupReport> {
    let states = [
        ("eu-central", ReadyState::Ready),
        ("ap-south", ReadyState::Unknown),
        ("sa-east", ReadyState::PrimaryLost),
    ];
    let standbys = states.map(|(region, state)| standby(region, state, Vec::new()));
    let hostile = standby("<b>\"x\"</b>", ReadyState::Ready, Vec::new());
    vec![
        example(),
        group("search", "eu-west", standbys.into()),
        group("a/<i>b</i>", "eu-west", vec![hostile]),
    ]
}

fn served() -> Served {
    Served::judging(Box::new(two_groups))
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The type of the problem that was answered, its detail, and what is known instead.
fn problem(answer: &Answer) -> (String, String, Value) {
    let of = answer.header("content-type");
    assert_eq!(of, Some("application/problem+json"));
    let mut said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(said["status"], answer.status);
    assert!(said["title"].is_string(), "{said}");
    let text = |name: &str| said[name].as_str().expect(name).to_owned();
    (text("type"), text("detail"), said["known"].take())
}

#[tokio::test]
async fn groups_one_group_and_one_standby_are_told_as_json() {
    let served = served();
    let all = served.get("/api/v1/groups", "").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.header("cache-control"), Some("no-store"));
    assert_eq!(all.header("x-content-type-options"), Some("nosniff"));
    let all = parsed(&all);
    let groups = all["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 3);
    assert_eq!(groups[0], serde_json::to_value(example()).expect("plain"));

    let one = served.get("/api/v1/groups/search", "").await;
    assert_eq!(parsed(&one), groups[1]);
    let path = "/api/v1/groups/search/standbys/ap-south";
    let mut standby = parsed(&served.get(path, "").await);
    let fields = standby.as_object_mut().expect("an object");
    for field in ["group", "source_region", "timestamp_seconds", "primary"] {
        assert_eq!(
            fields.remove(field).as_ref(),
            groups[1].get(field),
            "{field}"
        );
    }
    assert_eq!(standby, groups[1]["standbys"][1]);
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_what_is() {
    let served = served();
    let names = json!(["checkout", "search", "a/<i>b</i>"]);
    // None of them is anybody's; the last is no text.
    for name in [
        "x",
        "Checkout",
        "%3Cscript%3E",
        "..%2F..%2Fetc",
        "%00",
        "%FF",
    ] {
        let answer = served.get(&format!("/api/v1/groups/{name}"), "").await;
        assert_eq!(answer.status, 404, "{name}");
        let (kind, detail, known) = problem(&answer);
        assert_eq!((&*kind, &known), ("/problems/no-such-group", &names));
        assert_eq!(detail, "there is no such group");

        let path = format!("/api/v1/groups/checkout/standbys/{name}");
        let answer = served.get(&path, "").await;
        assert_eq!(answer.status, 404, "{name}");
        // Of a path that is no text, not even the group is known.
        let kind = if name == "%FF" { "group" } else { "standby" };
        let kind = format!("/problems/no-such-{kind}");
        assert_eq!(problem(&answer).0, kind, "{name}");

        let answer = served.get(&format!("/ready/{name}/us-east"), "").await;
        assert_eq!(answer.status, 404, "{name}");
        let known = "there is no such group; there are: checkout, search, a/<i>b</i>\n";
        assert_eq!(answer.text(), known);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    let answer = served
        .get("/api/v1/groups/checkout/standbys/eu-west", "")
        .await;
    let (kind, _, known) = problem(&answer);
    let expected = ("/problems/no-such-standby", json!(["us-east"]));
    assert_eq!((&*kind, known), expected);
    let answer = served.get("/ready/checkout/eu-west", "").await;
    let known = "the group has no such standby; there are: us-east\n";
    assert_eq!((answer.status, &*answer.text()), (404, known));
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/groups/",
        "/api/v2/%3Cscript%3E",
        "/ready",
        "/ready/checkout",
    ] {
        let answer = served.get(path, "").await;
        assert_eq!(answer.status, 404, "{path}");
        if path.starts_with("/api") {
            assert_eq!(problem(&answer).0, "/problems/no-such-route");
        }
        assert!(!answer.text().contains("script"));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_name_is_found_however_the_path_writes_it() {
    let served = served();
    let path = "/api/v1/groups/a%2F%3Ci%3Eb%3C%2Fi%3E/standbys/%3Cb%3E%22x%22%3C%2Fb%3E";
    let answer = served.get(path, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(parsed(&answer)["standby"], "<b>\"x\"</b>");
    served.stop().await;
}

#[tokio::test]
async fn a_load_balancer_is_told_ready_or_why_not() {
    let served = served();
    let why = "not ready: orders lag: threshold: 7.2s, limit 5s, seen 3s ago\n";
    for (path, status, text) in [
        ("/ready/search/eu-central", 200, "ready\n"),
        ("/ready/search/ap-south", 503, "unknown\n"),
        ("/ready/search/sa-east", 503, "primary lost\n"),
        ("/ready/checkout/us-east", 503, why),
    ] {
        let answer = served.get(path, "").await;
        assert_eq!((answer.status, &*answer.text()), (status, text), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    served.stop().await;
}

#[tokio::test]
async fn readiness_can_be_read_and_not_changed() {
    let served = served();
    for path in [
        "/api/v1/groups",
        "/api/v1/groups/checkout",
        "/api/v1/groups/checkout/standbys/us-east",
        "/ready/search/eu-central",
    ] {
        let got = served.get(path, "").await;
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let head = ask(&mut served.connect().await, &request).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "content-length"] {
            assert!(got.header(name).is_some(), "{path} {name}");
            assert_eq!(head.header(name), got.header(name), "{path} {name}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let refused = ask(&mut served.connect().await, &request).await;
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.header("allow"), Some("get,head"));
            if path.starts_with("/api/") {
                assert_eq!(problem(&refused).0, "/problems/method-not-allowed");
            }
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_storm_of_questions_costs_a_judgement_a_second() {
    let judgements = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&judgements);
    let served = Served::judging(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        two_groups()
    }));
    let started = Instant::now();
    let paths = [
        ("/api/v1/status", 200),
        ("/api/v1/groups/checkout", 200),
        ("/ready/checkout/us-east", 503),
        ("/", 200),
    ];
    let asked = (0..200u8).map(|i| {
        let (path, status) = paths[usize::from(i % 4)];
        let served = &served;
        async move {
            let from = [127, 0, 4, i / 20 + 1];
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = ask(&mut served.connect_from(from).await, &request).await;
            assert_eq!(answer.status, status, "{path}");
        }
    });
    futures_util::future::join_all(asked).await;
    let seconds = started.elapsed().div_duration_f64(Exposition::MAX_AGE);
    let made = judgements.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let few = made as f64 <= 1.0 + seconds;
    assert!(few, "{made} judgements in {seconds} of their ages");
    served.stop().await;
}

#[tokio::test]
async fn a_judgement_that_fails_is_no_ready_and_no_end_of_the_server() {
    let broken = || -> Vec<GroupReport> { panic!("a mistake") };
    let served = Served::judging(Box::new(broken));
    for path in ["/api/v1/groups", "/api/v1/groups/checkout", "/ready/a/b"] {
        let answer = served.get(path, "").await;
        assert_eq!(answer.status, 500, "{path}");
        let is_text = answer.header("content-type") == Some("text/plain; charset=utf-8");
        assert_eq!(is_text, path.starts_with("/ready"), "{path}");
        assert!(answer.text().contains("the groups could not be judged: "));
    }
    let landing = served.get("/", "").await;
    assert_eq!(landing.status, 200);
    assert!(landing.text().contains("the groups could not be judged: "));
    served.stop().await;
}

#[tokio::test]
async fn the_status_page_shows_every_standby_and_takes_no_name_for_html() {
    let served = served();
    let answer = served.get("/", "").await;
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let page = answer.text();
    for part in [
        "The primary of 1 group is lost",
        "checkout → us-east</a> <b class=\"not-ready\">not ready</b>",
        "orders lag: threshold: 7.2s, limit 5s",
        "search → sa-east</a> <b class=\"lost\">primary lost: ",
        "a&#x2f;&lt;i&gt;b&lt;&#x2f;i&gt;",
        "&lt;b&gt;&quot;x&quot;&lt;&#x2f;b&gt;",
        "<b>7.2s</b> against 5s",
        "Held back (maintenance): disk swap",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(
        !page.contains("<i>") && !page.contains("<b>\"x\""),
        "{page}"
    );
    let inline = [" style=", "<style", " onclick", "javascript:", "<script>"];
    assert!(!inline.iter().any(|inline| page.contains(inline)), "{page}");
    served.stop().await;

    let none = Served::judging(Box::new(Vec::new));
    let page = none.get("/", "").await.text();
    assert!(page.contains("There are no groups to judge"), "{page}");
    none.stop().await;
}

/// The example of a section of docs/api.md.
fn documented(section: &str) -> Value {
    let page = include_str!("../../docs/api.md");
    let section = page.split_once(&format!("\n## {section}\n"));
    let (_, text) = section.expect("a section");
    let (_, block) = text.split_once("```json\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    serde_json::from_str(block).expect("JSON")
}

#[tokio::test]
async fn the_daemon_as_a_whole_is_told_as_documented() {
    let served = Served::judging(Box::new(|| vec![example()]));
    let answer = served.get("/api/v1/status", "").await;
    let mut said = parsed(&answer);
    let mut shown = documented("Status");
    // These are of this moment and of this build.
    for name in [
        "timestamp_seconds",
        "source_region",
        "version",
        "revision",
        "targets",
    ] {
        let (said, shown) = (said[name].take(), shown[name].take());
        assert_eq!(said.is_string(), shown.is_string(), "{name}");
        assert_eq!(said.is_f64(), shown.is_f64(), "{name}");
        assert!(!said.is_null(), "{name}");
    }
    assert_eq!(said, shown, "docs/api.md");
    served.stop().await;
}

#[tokio::test]
async fn the_configuration_is_told_as_documented() {
    let served = served();
    let mut said = parsed(&served.get("/api/v1/config", "").await);
    // The test's own has a hostile name.
    assert_eq!(said["source_region"].take(), "<eu-west>");
    let mut shown = documented("Configuration");
    assert!(shown["source_region"].take().is_string());
    assert_eq!(said, shown, "docs/api.md");
    served.stop().await;
}

/// The probes and regions of the targets that are told.
fn named(list: &Value) -> Vec<(&str, &str)> {
    let targets = list["targets"].as_array().expect("a list");
    let name = |of: &'static str| {
        targets
            .iter()
            .map(move |target| target[of].as_str().expect(of))
    };
    name("probe").zip(name("target_region")).collect()
}

#[tokio::test]
async fn targets_are_told_as_documented_all_or_those_that_are_asked_for() {
    let served = served();
    let all = served.get("/api/v1/targets", "").await;
    assert_eq!(all.header("cache-control"), Some("no-store"));
    let length = all.body.len().to_string();
    assert_eq!(all.header("content-length"), Some(&*length));
    let all = parsed(&all);
    assert_eq!(all["targets"][0], documented("Targets")["targets"][0]);
    assert_eq!(all["source_region"], "<eu-west>");
    let (east, west) = (("checkout", "us-east"), ("checkout", "eu-west"));
    let search = ("search", "us-east");
    for (query, expected) in [
        ("", &[east, west, search][..]),
        ("?", &[east, west, search]),
        ("?probe=checkout", &[east, west]),
        ("?region=us-east", &[east, search]),
        ("?group=checkout&region=eu-west", &[west]),
        ("?probe=elsewhere", &[]),
    ] {
        let answer = served.get(&format!("/api/v1/targets{query}"), "").await;
        assert_eq!(named(&parsed(&answer)), expected, "{query}");
    }
    for (query, kind, known) in [
        (
            "probe=x",
            "no-such-probe",
            json!(["checkout", "search", "elsewhere"]),
        ),
        ("group=%00", "no-such-group", json!(["checkout"])),
        ("region=", "no-such-region", json!(["eu-west", "us-east"])),
        (
            "prob=checkout",
            "bad-query",
            json!(["probe", "group", "region"]),
        ),
        ("probe=checkout&probe=checkout", "bad-query", Value::Null),
    ] {
        let answer = served.get(&format!("/api/v1/targets?{query}"), "").await;
        let (of, _, names) = problem(&answer);
        assert_eq!((of, names), (format!("/problems/{kind}"), known), "{query}");
    }
    served.stop().await;
}

#[tokio::test]
async fn ranks_are_told_without_the_rest() {
    let served = served();
    let all = parsed(&served.get("/api/v1/rank", "").await);
    let whole = parsed(&served.get("/api/v1/groups", "").await);
    let (all, whole) = (&all["groups"], &whole["groups"]);
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    assert_eq!(all[0]["ranking"]["table"]["rows"][0]["name"], "us-east");
    for (rank, group) in all
        .as_array()
        .into_iter()
        .flatten()
        .zip(whole.as_array().expect("a list"))
    {
        let fields = rank.as_object().expect("an object");
        assert_eq!(fields.len(), 5, "{rank}");
        for (name, value) in fields {
            assert_eq!(group.get(name), Some(value), "{name}");
        }
    }
    let one = served.get("/api/v1/groups/checkout/rank", "").await;
    assert_eq!(parsed(&one), all[0]);
    let none = served.get("/api/v1/groups/x/rank", "").await;
    assert_eq!(problem(&none).0, "/problems/no-such-group");
    served.stop().await;
}

#[tokio::test]
async fn the_daemons_are_told_as_documented() {
    let shown = documented("Daemons for Prometheus");
    let served = served();
    let answer = served.get("/sd", "").await;
    assert_eq!(shown, parsed(&answer), "docs/api.md");
    // Prometheus takes no other.
    assert_eq!(answer.header("content-type"), Some("application/json"));
    served.stop().await;
}

#[tokio::test]
async fn the_documentation_has_every_route_and_the_answer_that_it_gets() {
    let page = include_str!("../../docs/api.md");
    let (_, block) = page.split_once("```json\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    let shown: Value = serde_json::from_str(block).expect("JSON");
    let served = served();
    let one = served.get("/api/v1/groups/checkout", "").await;
    assert_eq!(shown, parsed(&one), "docs/api.md");

    let routes = page.lines();
    let routes = routes.filter_map(|line| line.strip_prefix("| `GET ")?.split('`').next());
    // That one has no end.
    for route in routes.filter(|route| *route != "/api/v1/live") {
        let path = route
            .replace("{group}", "search")
            .replace("{standby}", "eu-central");
        let answer = served.get(&path, "").await;
        assert_ne!(answer.status, 404, "{route}");
    }
    served.stop().await;
}
