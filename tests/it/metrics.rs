//! Pages of metrics, read back by an independent parser and by Prometheus' own.
#![expect(
    clippy::float_cmp,
    reason = "what is written must read back as exactly the same"
)]

use futures_util::FutureExt as _;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use hotspare::metrics::{
    Exposition, Format, Own, Snapshot, Store, Terms, check_label, encode, raise_to,
};
use hotspare::model::{
    FactSet, Facts, Failure, HttpFacts, Observation, PhaseSet, Reason, ReasonSet, Shape, TargetKey,
    TlsFacts,
};
use proptest::prelude::*;

use crate::page::{
    FULL, Labels, Parsed, facts, filled, insert, insert_with, parse, promtool_accepts, reply, run,
    target,
};

fn text(store: &Store, own: &Own, format: Format) -> String {
    let parts = encode(store, own, format, false, Vec::new()).expect("encoded");
    String::from_utf8(parts.concat()).expect("UTF-8")
}

fn page(store: &Store, own: &Own) -> Parsed {
    let pages = Format::ALL.map(|format| parse(&text(store, own, format), format));
    let [text, _open] = pages;
    text
}

fn own() -> Own {
    filled().1
}

/// What the families of one row per target show of `filled`.
const FILLED: &[(&str, f64)] = &[
    ("hotspare_probe_attempts_total", 2.0),
    ("hotspare_probe_unknown_total", 0.0),
    ("hotspare_probe_missed_slots_total", 4.0),
    ("hotspare_probe_duration_seconds_count", 2.0),
    ("hotspare_probe_duration_seconds_sum", 0.703),
    ("hotspare_probe_up", 0.0),
    ("hotspare_probe_last_run_timestamp_seconds", 2_000.0),
    ("hotspare_probe_last_success_timestamp_seconds", 1_000.0),
    ("hotspare_probe_interval_seconds", 10.0),
    ("hotspare_probe_timeout_seconds", 2.5),
    ("hotspare_probe_objective_ratio", 0.999),
    ("hotspare_probe_info", 1.0),
    ("hotspare_probe_address_changes_total", 0.0),
    ("hotspare_ping_packets_sent_total", 10.0),
    ("hotspare_ping_packets_received_total", 4.0),
    ("hotspare_ping_packets_lost_total", 2.0),
    ("hotspare_ping_packets_late_total", 2.0),
    ("hotspare_ping_packet_errors_total", 2.0),
    ("hotspare_ping_duplicates_total", 6.0),
    ("hotspare_ping_jitter_seconds", 0.000_25),
    ("hotspare_http_status_code", 200.0),
    ("hotspare_http_body_bytes", 1_234.0),
    ("hotspare_http_redirects", 1.0),
    ("hotspare_http_info", 1.0),
    ("hotspare_tls_verified", 1.0),
    ("hotspare_tls_verification_disabled", 1.0),
    ("hotspare_tls_info", 1.0),
    ("hotspare_dns_ttl_seconds", 60.0),
    ("hotspare_dns_answers", 2.0),
    ("hotspare_dns_rcode", 3.0),
    ("hotspare_dns_authoritative", 1.0),
    ("hotspare_db_info", 1.0),
    ("hotspare_db_writable", 0.0),
    ("hotspare_db_timeline", 3.0),
    ("hotspare_db_role_changes_total", 0.0),
    ("hotspare_db_keys", 42.0),
    ("hotspare_replication_link_up", 1.0),
    ("hotspare_replication_receiver_silence_seconds", 1.5),
    ("hotspare_replication_replay_paused", 1.0),
    ("hotspare_replication_initial_sync", 1.0),
];

#[test]
fn every_family_is_filled_in_both_formats() {
    let (store, own) = filled();
    let page = page(&store, &own);
    let us_east = ("target", "us-east");
    for (name, expected) in FILLED {
        assert_eq!(page.one(name, &[us_east]), *expected, "{name}");
    }
    for (name, label, expected) in [
        ("hotspare_probe_failures_total", ("reason", "refused"), 1.0),
        ("hotspare_probe_failures_total", ("reason", "eof"), 0.0),
        (
            "hotspare_probe_duration_seconds_bucket",
            ("le", "0.001"),
            0.0,
        ),
        ("hotspare_probe_duration_seconds_bucket", ("le", "1.0"), 2.0),
        (
            "hotspare_probe_phase_duration_seconds_count",
            ("phase", "connect"),
            1.0,
        ),
        (
            "hotspare_probe_phase_duration_seconds_count",
            ("phase", "tls"),
            0.0,
        ),
        (
            "hotspare_tls_cert_not_after_timestamp_seconds",
            ("position", "leaf"),
            1.9e9,
        ),
        (
            "hotspare_tls_cert_not_after_timestamp_seconds",
            ("position", "chain_min"),
            1.8e9,
        ),
        (
            "hotspare_db_info",
            ("version", "15.3 (\"Debian\" \\ x)"),
            1.0,
        ),
        ("hotspare_db_role", ("role", "standby"), 1.0),
        ("hotspare_db_role", ("role", "primary"), 0.0),
        ("hotspare_db_facts_withheld", ("reason", "permission"), 1.0),
        ("hotspare_db_facts_withheld", ("reason", "error"), 0.0),
    ] {
        assert_eq!(page.one(name, &[label]), expected, "{name} {label:?}");
    }
}

#[test]
fn own_metrics_are_there_from_the_start() {
    let (store, own) = filled();
    let page = page(&store, &own);
    for (name, labels, expected) in [
        (
            "hotspare_build_info",
            &[("version", "1.2.3"), ("revision", "abcdef0")][..],
            1.0,
        ),
        ("hotspare_schedule_lateness_seconds_count", &[], 2.0),
        (
            "hotspare_schedule_missed_slots_total",
            &[("cause", "busy")],
            4.0,
        ),
        (
            "hotspare_schedule_missed_slots_total",
            &[("cause", "late")],
            0.0,
        ),
        (
            "hotspare_own_faults_total",
            &[("reason", "no_permission")],
            0.0,
        ),
        (
            "hotspare_event_loop_lag_seconds_count",
            &[("thread", "stream")],
            1.0,
        ),
        (
            "hotspare_icmp_socket_info",
            &[("family", "ipv4"), ("type", "dgram")],
            1.0,
        ),
        (
            "hotspare_http_connections_rejected_total",
            &[("cause", "address")],
            0.0,
        ),
        ("hotspare_targets", &[], 1.0),
    ] {
        assert_eq!(page.one(name, labels), expected, "{name}");
    }
    assert!(page.one("process_cpu_seconds_total", &[]) > 0.0);
    let targets = page.0.values().flat_map(|family| &family.samples);
    let subject = |name: &str, labels: &Labels| {
        let of = ["target", "group", "receiver"];
        of.iter().any(|label| labels.contains_key(*label))
            // It is the daemon's own, although it has a receiver.
            && !name.starts_with("hotspare_notification_duration_seconds")
    };
    let series = targets.filter(|(name, labels, _)| subject(name, labels));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let series = series.count() as f64;
    assert_eq!(page.one("hotspare_series", &[]), series);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let counted = store.series() as f64;
    assert_eq!(counted, series);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let (store, own) = filled();
    promtool_accepts(text(&store, &own, Format::Text).as_bytes());
}

#[test]
fn what_is_not_known_is_nan_and_never_a_zero() {
    let store = Store::new();
    let key = insert(&store, &target("p", "http", "t"), &FULL);
    let own = own();
    let before = page(&store, &own);
    for name in [
        "hotspare_probe_up",
        "hotspare_probe_last_run_timestamp_seconds",
        "hotspare_probe_last_success_timestamp_seconds",
        "hotspare_ping_jitter_seconds",
        "hotspare_http_status_code",
        "hotspare_http_body_bytes",
        "hotspare_http_redirects",
        "hotspare_tls_verified",
        "hotspare_dns_ttl_seconds",
        "hotspare_dns_answers",
        "hotspare_dns_rcode",
        "hotspare_db_writable",
        "hotspare_db_timeline",
        "hotspare_db_keys",
        "hotspare_replication_link_up",
        "hotspare_replication_receiver_silence_seconds",
        "hotspare_replication_replay_paused",
        "hotspare_replication_initial_sync",
    ] {
        assert!(before.one(name, &[]).is_nan(), "{name}");
    }
    assert_eq!(before.one("hotspare_probe_attempts_total", &[]), 0.0);
    assert!(before.find("hotspare_http_info", &[]).is_empty());

    assert!(store.observe_sample(&run(key, 1_000, reply(&[3], facts()))));
    let own_fault = Failure::new(Reason::NoPermission, "no socket");
    let blind = Observation::Sample(Box::new(run(key, 2_000, Err(own_fault))));
    own.observe(&blind);
    assert!(store.observe(&blind));
    let after = page(&store, &own);
    assert!(after.one("hotspare_probe_up", &[]).is_nan());
    assert!(after.one("hotspare_http_status_code", &[]).is_nan());
    assert_eq!(after.one("hotspare_probe_unknown_total", &[]), 1.0);
    assert_eq!(after.one("hotspare_probe_attempts_total", &[]), 1.0);
    assert_eq!(
        after.one("hotspare_own_faults_total", &[("reason", "no_permission")]),
        1.0
    );
    assert!(
        after
            .find("hotspare_probe_failures_total", &[])
            .iter()
            .all(|n| *n == 0.0)
    );
    // A certificate keeps its date while nobody answers.
    let expiry = "hotspare_tls_cert_not_after_timestamp_seconds";
    assert_eq!(after.one(expiry, &[("position", "leaf")]), 1.9e9);
}

#[test]
fn a_handshake_refused_over_the_certificate_keeps_the_session_last_seen() {
    let store = Store::new();
    let key = insert(&store, &target("p", "http", "t"), &FULL);
    assert!(store.observe_sample(&run(key, 1_000, reply(&[3], facts()))));
    let own = own();
    let info = |page: &Parsed| page.find("hotspare_tls_info", &[("version", "1.3")]).len();
    assert_eq!(info(&page(&store, &own)), 1);
    let expired = TlsFacts {
        leaf_not_after: Some(1_000_000_000),
        verified: Some(false),
        ..TlsFacts::default()
    };
    let refused = Failure::new(Reason::TlsCertificate, "expired").with_facts(Facts {
        tls: Some(Box::new(expired)),
        ..Facts::default()
    });
    assert!(store.observe_sample(&run(key, 2_000, Err(refused))));
    let after = page(&store, &own);
    assert_eq!(info(&after), 1);
    assert_eq!(after.one("hotspare_tls_verified", &[]), 0.0);
    let expiry = "hotspare_tls_cert_not_after_timestamp_seconds";
    assert_eq!(after.one(expiry, &[("position", "leaf")]), 1e9);
}

#[test]
fn what_the_shape_did_not_announce_gets_a_row_when_it_is_seen() {
    let store = Store::new();
    let shape = Shape {
        phases: PhaseSet::default(),
        reasons: ReasonSet::of(&[Reason::Eof]),
        facts: FactSet::default(),
    };
    let key = insert(&store, &target("p", "tcp", "t"), &shape);
    let own = own();
    let reasons = |page: &Parsed| page.find("hotspare_probe_failures_total", &[]).len();
    let before = page(&store, &own);
    assert_eq!(reasons(&before), 1);
    assert!(before.find("hotspare_http_status_code", &[]).is_empty());
    assert!(
        before
            .find("hotspare_probe_phase_duration_seconds_count", &[])
            .is_empty()
    );

    for reason in [Reason::Body, Reason::Refused, Reason::Eof, Reason::Body] {
        assert!(store.observe_sample(&run(key, 1, Err(Failure::new(reason, "")))));
    }
    let http = HttpFacts {
        status: 204,
        version: "2",
        body_bytes: 0,
        redirects: 0,
    };
    let facts = Facts {
        http: Some(http),
        ..Facts::default()
    };
    assert!(store.observe_sample(&run(key, 2, reply(&[1], facts))));
    let after = page(&store, &own);
    assert_eq!(reasons(&after), 3);
    for (reason, count) in [("body", 2.0), ("refused", 1.0), ("eof", 1.0)] {
        let found = after.one("hotspare_probe_failures_total", &[("reason", reason)]);
        assert_eq!(found, count, "{reason}");
    }
    assert_eq!(after.one("hotspare_http_status_code", &[]), 204.0);
    let connects = after.one("hotspare_probe_phase_duration_seconds_count", &[]);
    assert_eq!(connects, 1.0);
}

#[test]
fn phases_of_failed_runs_are_not_timed() {
    let store = Store::new();
    let key = insert(&store, &target("p", "tcp", "t"), &FULL);
    let failure = Failure::new(Reason::Eof, "gone");
    assert!(store.observe_sample(&run(key, 1, Err(failure))));
    let page = page(&store, &own());
    let counts = page.find("hotspare_probe_phase_duration_seconds_count", &[]);
    assert_eq!(counts, [0.0, 0.0, 0.0]);
    assert_eq!(page.one("hotspare_probe_duration_seconds_count", &[]), 0.0);
}

#[test]
fn only_another_set_of_addresses_is_a_change() {
    let store = Store::new();
    let key = insert(&store, &target("p", "tcp", "t"), &FULL);
    let own = own();
    for (addresses, changes) in [
        (&["10.0.0.1", "10.0.0.2"][..], 0.0),
        (&["10.0.0.2", "10.0.0.1"], 0.0),
        (&[], 0.0),
        (&["10.0.0.2"], 1.0),
        (&["10.0.0.2", "::1"], 2.0),
    ] {
        let addresses = addresses
            .iter()
            .map(|a| a.parse().expect("address"))
            .collect();
        let facts = Facts {
            addresses,
            ..Facts::default()
        };
        assert!(store.observe_sample(&run(key, 1, reply(&[1], facts))));
        let counted = page(&store, &own).one("hotspare_probe_address_changes_total", &[]);
        assert_eq!(counted, changes);
    }
}

#[test]
fn only_a_target_with_an_objective_has_the_series() {
    let store = Store::new();
    insert_with(&store, &target("p", "tcp", "with"), &FULL, Some(0.5));
    insert_with(&store, &target("p", "tcp", "without"), &FULL, None);
    let page = page(&store, &own());
    let objectives = &page.0["hotspare_probe_objective_ratio"].samples;
    let [(_, labels, value)] = objectives.as_slice() else {
        panic!("{objectives:?}");
    };
    assert_eq!((labels["target"].as_str(), *value), ("with", 0.5));
}

#[test]
fn a_sample_of_no_target_is_told() {
    let store = Store::new();
    assert!(!store.observe_sample(&run(TargetKey(0), 1, reply(&[1], Facts::default()))));
    assert!(!store.missed(TargetKey(7), 1));
}

#[test]
fn what_would_spoil_the_page_is_refused() {
    let store = Store::new();
    let first = target("p", "tcp", "t");
    assert_eq!(insert(&store, &first, &FULL), TargetKey(0));
    let again = |target| {
        let buckets = Arc::new(hotspare::metrics::Buckets::new(&[1.0]).expect("valid"));
        let terms = Terms {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            objective: None,
        };
        let key = TargetKey(store.targets().try_into().expect("few"));
        store.insert(key, target, &FULL, Arc::clone(&buckets), buckets, terms)
    };
    let twice = again(&first).expect_err("twice");
    assert!(twice.contains("p/t is there twice"), "{twice}");
    let mut labelled = target("p", "tcp", "u");
    labelled.labels.insert("address".into(), "x".into());
    let taken = again(&labelled).expect_err("taken");
    assert!(taken.contains("p/u: the label `address` is"), "{taken}");
    assert_eq!(store.targets(), 1);
    assert_eq!(again(&target("p", "tcp", "v")), Ok(()));

    for good in ["team", "_x", "a1"] {
        assert_eq!(check_label(good), Ok(()), "{good}");
    }
    for bad in [
        "", "1a", "Team", "a-b", "a b", "__name__", "target", "le", "é",
    ] {
        assert!(check_label(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_counter_kept_elsewhere_only_rises() {
    let own = own();
    for (value, shown) in [(5, 5), (5, 5), (3, 5), (9, 9)] {
        raise_to(&own.resolver_lookups_total, value);
        assert_eq!(own.resolver_lookups_total.get(), shown);
    }
}

#[test]
fn a_page_of_many_parts_is_whole_and_so_is_its_gzip() {
    let store = Store::new();
    for i in 0..300 {
        insert(&store, &target("p", "tcp", &format!("t{i}")), &FULL);
    }
    let own = own();
    let plain = encode(&store, &own, Format::OpenMetrics, false, Vec::new()).expect("encoded");
    assert!(plain.len() > 5, "{} parts", plain.len());
    let page = String::from_utf8(plain.concat()).expect("UTF-8");
    let parsed = parse(&page, Format::OpenMetrics);
    assert_eq!(parsed.find("hotspare_probe_attempts_total", &[]).len(), 300);

    // The memory of an old page leaves no trace of what it held.
    let mut lines: Vec<_> = page
        .lines()
        .filter(|line| line.contains("target=\""))
        .collect();
    lines.push("# EOF");
    let old = plain
        .iter()
        .map(|part| bytes::Bytes::from(part.to_vec()))
        .collect();
    let again = encode(&store, &own, Format::OpenMetrics, false, old).expect("encoded");
    let again = String::from_utf8(again.concat()).expect("UTF-8");
    let kept = |line: &&str| line.contains("target=\"") || *line == "# EOF";
    assert!(again.lines().filter(kept).eq(lines));
    parse(&again, Format::OpenMetrics);

    let packed = encode(&store, &own, Format::OpenMetrics, true, Vec::new()).expect("encoded");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.concat()[..])
        .read_to_string(&mut unpacked)
        .expect("valid gzip");
    let series = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("target=\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(series(&unpacked), series(&page));
    parse(&unpacked, Format::OpenMetrics);
}

fn exposition(own: &Arc<Own>, max_age: Duration) -> Arc<Exposition> {
    let (store, _) = filled();
    let refresh = Box::new(|own: &Own| raise_to(&own.resolver_lookups_total, 42));
    Arc::new(Exposition::new(
        Arc::new(store),
        Arc::clone(own),
        refresh,
        max_age,
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_scrapes_at_once_cost_one_encoding() {
    let own = Arc::new(own());
    let exposition = exposition(&own, Duration::from_hours(1));
    let mut scrapes = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let exposition = Arc::clone(&exposition);
        scrapes.spawn(async move { exposition.page(Format::Text, true).await });
    }
    let pages: Vec<Snapshot> = scrapes
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(own.scrape_duration_seconds.get_sample_count(), 1);
    assert!(
        pages
            .iter()
            .all(|page| Arc::ptr_eq(&page.parts, &pages[0].parts))
    );
    assert_eq!(own.resolver_lookups_total.get(), 42);
}

#[tokio::test]
async fn a_scraper_that_leaves_does_not_make_the_next_one_start_over() {
    let own = Arc::new(own());
    let exposition = exposition(&own, Duration::from_hours(1));
    {
        // Polled once, so that the work has begun, and dropped.
        let mut left = std::pin::pin!(exposition.page(Format::Text, false));
        assert!(left.as_mut().now_or_never().is_none());
    }
    let page = exposition.page(Format::Text, false).await.expect("made");
    assert!(!page.is_empty());
    assert_eq!(own.scrape_duration_seconds.get_sample_count(), 1);
}

#[tokio::test]
async fn a_page_that_is_still_being_sent_is_not_written_over() {
    let exposition = exposition(&Arc::new(own()), Duration::ZERO);
    let sent = exposition.page(Format::Text, false).await.expect("made");
    let before = sent.parts.concat();
    for _ in 0..3 {
        exposition.page(Format::Text, false).await.expect("made");
    }
    assert_eq!(sent.parts.concat(), before);
}

#[tokio::test]
async fn a_page_too_old_is_made_anew_and_each_kind_is_its_own() {
    let own = Arc::new(own());
    let exposition = exposition(&own, Duration::ZERO);
    for made in 1..=3 {
        exposition.page(Format::Text, false).await.expect("made");
        assert_eq!(own.scrape_duration_seconds.get_sample_count(), made);
    }
    let open = exposition
        .page(Format::OpenMetrics, true)
        .await
        .expect("made");
    assert_eq!((open.format, open.gzip), (Format::OpenMetrics, true));
}

proptest! {
    #[test]
    fn any_text_in_a_label_reads_back_as_itself(
        probe in ".*",
        name in any::<String>(),
        address in r#"[\\"\n\r,{}= a]*"#,
        team in any::<String>(),
    ) {
        let store = Store::new();
        let mut target = target(&probe, "tcp", &name);
        target.address = address.as_str().into();
        target.labels.insert("team".into(), team.clone());
        insert(&store, &target, &FULL);
        let own = own();
        for format in Format::ALL {
            let parsed = parse(&text(&store, &own, format), format);
            let labels = [
                ("probe", probe.as_str()),
                ("target", &name),
                ("address", &address),
                ("team", &team),
            ];
            prop_assert_eq!(parsed.one("hotspare_probe_info", &labels), 1.0);
            let count = parsed.one("hotspare_probe_duration_seconds_count", &labels[..2]);
            prop_assert_eq!(count, 0.0);
        }
    }

    #[test]
    fn a_histogram_counts_every_duration_once(millis in prop::collection::vec(0u64..3_000, 0..50)) {
        let store = Store::new();
        let key = insert(&store, &target("p", "tcp", "t"), &FULL);
        prop_assert!(store.observe_sample(&run(key, 1, reply(&millis, Facts::default()))));
        let page = page(&store, &own());
        for (le, bound) in [("0.001", 1), ("0.01", 10), ("0.1", 100), ("1.0", 1_000)] {
            let below = millis.iter().filter(|ms| **ms <= bound).count();
            let found = page.one("hotspare_probe_duration_seconds_bucket", &[("le", le)]);
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let expected = below as f64;
            prop_assert_eq!(found, expected);
        }
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let sum = millis.iter().sum::<u64>() as f64 / 1_000.0;
        let found = page.one("hotspare_probe_duration_seconds_sum", &[]);
        prop_assert!((found - sum).abs() < 1e-9);
    }
}

#[tokio::test]
async fn a_page_that_nobody_asks_for_is_let_go() {
    let own = Arc::new(own());
    let exposition = exposition(&own, Duration::from_hours(1));
    exposition.page(Format::Text, false).await.expect("made");
    exposition.forget(Duration::from_hours(1));
    exposition.page(Format::Text, false).await.expect("kept");
    assert_eq!(own.scrape_duration_seconds.get_sample_count(), 1);
    exposition.forget(Duration::ZERO);
    exposition
        .page(Format::Text, false)
        .await
        .expect("made anew");
    assert_eq!(own.scrape_duration_seconds.get_sample_count(), 2);
}
