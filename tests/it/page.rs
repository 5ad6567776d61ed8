//! A strict reader of both text formats, written against their specifications and not against the
//! writer, and targets that fill every family.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotspare::metrics::{Buckets, Discovered, Format, Own, Store, Terms};
use hotspare::model::ranking::{Difference, Quantile, Rows, Table, Verdict};
use hotspare::model::{
    CheckReason, CheckReport, CheckState, DatabaseFacts, DatabaseSet, DnsFacts, FactSet, Facts,
    Failure, GateKind, GroupMember, GroupReport, HoldReport, HttpFacts, Laps, Link, ManagerFacts,
    Missed, Objectives, Observation, PairFigures, PastFigures, Phase, PhaseSet, PingFacts,
    Promotability, RankingReport, ReadyState, Reason, ReasonSet, ReceiverFigures, ReplicationFacts,
    Reply, Role, Sample, SetFigures, Shape, Sight, SightReport, StageReport, StandbyPlace,
    StandbyReport, Target, TargetKey, TlsFacts, TlsVersion, Unit, ValueFacts, Withheld,
};
use tokio::time::Instant;

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    /// Name as written, labels, value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Parsed(pub(crate) BTreeMap<String, Family>);

impl Parsed {
    /// The samples with this name that have the given labels among theirs.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples
            .filter(|(n, l, _)| {
                n == name
                    && labels
                        .iter()
                        .all(|(k, v)| l.get(*k).is_some_and(|x| x == v))
            })
            .map(|(_, _, value)| *value)
            .collect()
    }

    /// The one sample with this name and these labels.
    pub(crate) fn one(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.find(name, labels);
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0]
    }
}

/// Reads a page; panics with the line where it breaks a rule of its format.
pub(crate) fn parse(text: &str, format: Format) -> Parsed {
    let body = match format {
        Format::Text => {
            assert!(!text.contains("# EOF"), "EOF in the text format");
            text
        }
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends with EOF"),
    };
    assert!(body.ends_with('\n'), "the last line is not ended");
    let mut parsed = Parsed::default();
    let mut current = String::new();
    let mut seen = HashSet::new();
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_else(|| panic!("short: {line}"));
            let (keyword, name, rest) = (word(), word(), word());
            if name != current {
                assert!(!parsed.0.contains_key(name), "family split: {line}");
                parsed.0.insert(name.to_owned(), Family::default());
                name.clone_into(&mut current);
            }
            let family = parsed.0.get_mut(name).expect("just made");
            assert!(family.samples.is_empty(), "metadata after samples: {line}");
            match keyword {
                "TYPE" => rest.clone_into(&mut family.kind),
                "HELP" => rest.clone_into(&mut family.help),
                "UNIT" if format == Format::OpenMetrics => {
                    assert!(name.ends_with(&format!("_{rest}")), "unit: {line}");
                    family.unit = Some(rest.to_owned());
                }
                _ => panic!("unknown keyword: {line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        let family = parsed.0.get_mut(&current).expect("a family before samples");
        let endings: &[&str] = match (family.kind.as_str(), format) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", Format::OpenMetrics) => &["_total"],
            ("info", Format::OpenMetrics) => &["_info"],
            ("gauge" | "counter", _) => &[""],
            (kind, _) => panic!("kind {kind:?}: {line}"),
        };
        let fits = |end: &&str| name == format!("{current}{end}");
        assert!(endings.iter().any(fits), "not of {current}: {line}");
        if family.kind == "counter" {
            assert!(value >= 0.0, "counter: {line}");
        }
        family.samples.push((name, labels, value));
    }
    check(&parsed, format);
    parsed
}

fn check(parsed: &Parsed, format: Format) {
    for (name, family) in &parsed.0 {
        assert!(valid_name(name), "{name}");
        assert!(!family.help.is_empty(), "{name} has no help");
        assert!(!family.samples.is_empty(), "{name} has no samples");
        let total = name.ends_with("_total");
        match format {
            Format::Text => assert_eq!(total, family.kind == "counter", "{name}"),
            Format::OpenMetrics => {
                assert!(!total && !name.ends_with("_info"), "{name}");
                let unit = ["seconds", "bytes"]
                    .into_iter()
                    .find(|u| name.ends_with(&format!("_{u}")));
                assert_eq!(family.unit.as_deref(), unit, "{name}");
            }
        }
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
}

fn check_histogram(name: &str, family: &Family) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let mut sums = HashSet::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let le = labels.remove("le");
        if sample.ends_with("_bucket") {
            let le = le.expect("a bucket has le");
            assert!(le == "+Inf" || le.contains(['.', 'e']), "{name}: le={le}");
            let bound = le.parse::<f64>().expect("le is a number");
            buckets.entry(labels).or_default().push((bound, *value));
        } else if sample.ends_with("_count") {
            counts.insert(labels, *value);
        } else {
            assert!(value.is_finite() && *value >= 0.0, "{sample} {value}");
            sums.insert(labels);
        }
    }
    assert_eq!(buckets.len(), counts.len(), "{name}");
    assert_eq!(buckets.len(), sums.len(), "{name}");
    for (labels, rows) in buckets {
        assert!(
            rows.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
            "{name} {labels:?} {rows:?}"
        );
        let last = rows.last().expect("a bucket");
        assert!(last.0.is_infinite(), "{name} {labels:?}");
        assert_eq!(Some(&last.1), counts.get(&labels), "{name} {labels:?}");
    }
}

fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line
        .find(['{', ' '])
        .unwrap_or_else(|| panic!("no value: {line}"));
    let name = &line[..end];
    assert!(valid_name(name), "{line}");
    let mut labels = Labels::new();
    let mut rest = &line[end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(valid_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            if let Some(next) = after.strip_prefix(',') {
                rest = next;
            } else {
                rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(!value.contains(' '), "a time stamp: {line}");
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    (name.to_owned(), labels, value)
}

/// The value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                other => panic!("unknown escape {other:?}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}");
}

/// A target's name is all that matters to most tests.
pub(crate) fn target(probe: &str, kind: &'static str, name: &str) -> Target {
    Target {
        probe: probe.into(),
        kind,
        source_region: "eu-west".into(),
        target_region: "us-east".into(),
        name: name.into(),
        address: "10.3.0.10".into(),
        labels: BTreeMap::new(),
    }
}

pub(crate) fn insert(store: &Store, target: &Target, shape: &Shape) -> TargetKey {
    insert_with(store, target, shape, Some(0.999))
}

/// The same with an objective of the test's own.
pub(crate) fn insert_with(
    store: &Store,
    target: &Target,
    shape: &Shape,
    objective: Option<f64>,
) -> TargetKey {
    let buckets = |bounds| Arc::new(Buckets::new(bounds).expect("valid"));
    let key = TargetKey(store.targets().try_into().expect("few"));
    store
        .insert(
            key,
            target,
            shape,
            buckets(&[0.001, 0.01, 0.1, 1.0]),
            buckets(&[0.01, 1.0]),
            Terms {
                interval: Duration::from_secs(10),
                timeout: Duration::from_millis(2_500),
                objective,
            },
        )
        .expect("inserted");
    key
}

/// A run that ended at the given second since 1970.
pub(crate) fn run(key: TargetKey, at: u64, outcome: Result<Reply, Failure>) -> Sample {
    let due = Instant::now().into_std();
    let mut laps = Laps::default();
    laps.add(Phase::Connect, Duration::from_millis(4));
    Sample {
        target: key,
        due,
        started: due + Duration::from_micros(200),
        ended: due + Duration::from_millis(5),
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
        laps,
        outcome,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the outcome of a run")]
pub(crate) fn reply(millis: &[u64], facts: Facts) -> Result<Reply, Failure> {
    Ok(Reply {
        latencies: millis.iter().map(|ms| Duration::from_millis(*ms)).collect(),
        facts,
    })
}

pub(crate) const FULL: Shape = Shape {
    phases: PhaseSet::of(&[Phase::Resolve, Phase::Connect, Phase::Tls]),
    reasons: ReasonSet::RESOLVE.and(ReasonSet::CONNECT),
    facts: FactSet {
        addresses: true,
        ping: true,
        http: true,
        tls: true,
        dns: true,
        database: true,
        replication: true,
        tls_unverified: true,
        version: true,
        value: true,
        manager: true,
    },
};

pub(crate) fn facts() -> Facts {
    Facts {
        addresses: ["10.0.0.1".parse::<IpAddr>().expect("address")]
            .into_iter()
            .collect(),
        ping: Some(PingFacts {
            sent: 5,
            received: 2,
            lost: 1,
            late: 1,
            errors: 1,
            duplicates: 3,
            jitter_seconds: Some(0.000_25),
        }),
        http: Some(HttpFacts {
            status: 200,
            version: "1.1",
            body_bytes: 1_234,
            redirects: 1,
        }),
        version: Some("abc123".into()),
        tls: Some(Box::new(TlsFacts {
            version: Some(TlsVersion::Tls13),
            cipher: Some("TLS13_AES_256_GCM_SHA384"),
            leaf_not_after: Some(1_900_000_000),
            chain_min_not_after: Some(1_800_000_000),
            verified: Some(true),
        })),
        dns: Some(DnsFacts {
            rcode: 3,
            answers: 2,
            min_ttl_seconds: Some(60),
            authoritative: true,
        }),
        database: Some(Box::new(DatabaseFacts {
            engine: "postgresql",
            version: "15.3 (\"Debian\" \\ x)".into(),
            replication: Some(Box::new(replication(Role::Standby))),
            withheld: Some(Withheld::Permission),
            canary: None,
        })),
        value: Some(ValueFacts::Known(1.25)),
        manager: Some(ManagerFacts {
            role: Role::Standby,
            running: true,
            timeline: Some(3),
            paused: false,
            failover_allowed: true,
            store_silence: Some(Duration::from_secs(7)),
        }),
    }
}

/// A database in this role that tells everything that can be told.
pub(crate) fn replication(role: Role) -> ReplicationFacts {
    let now = Instant::now().into_std();
    ReplicationFacts {
        role,
        writable: Some(role == Role::Primary),
        timeline: Some(3),
        link: Some(Link {
            up: Some(true),
            silence: Some(Duration::from_millis(1_500)),
            initial_sync: true,
        }),
        replay_paused: Some(true),
        keys: Some(42),
        ..ReplicationFacts::new(now, now)
    }
}

/// The set of a group's members under a probe of this kind, which has its name.
pub(crate) fn set(kind: &'static str, canary: bool) -> DatabaseSet {
    DatabaseSet {
        group: "orders".into(),
        probe: kind.into(),
        kind,
        source_region: "eu-west".into(),
        canary,
    }
}

pub(crate) const SET_FIGURES: SetFigures = SetFigures {
    writable: 1,
    canary_acked_seq: Some(70),
    canary_writes: 69,
    canary_failures: [1, 2, 3, 4],
    canary_suppressed: [5, 6, 7, 8],
};

pub(crate) const PAIR_FIGURES: PairFigures = PairFigures {
    loss_bytes: Some(1_000),
    apply_bytes: Some(2_000),
    missing_transactions: Some(11),
    errant_transactions: Some(12),
    unrecoverable_transactions: Some(13),
    lag_ring: Some(Duration::from_millis(2_500)),
    lag_ring_at_least: false,
    lag_canary: Some(Duration::from_secs(3)),
    lag_native: Some(Duration::ZERO),
    identity_mismatch: Some(false),
    slot_retained_bytes: Some(5_000),
    slot_lost: Some(true),
    canary_seen_seq: Some(68),
    lower_limits: None,
    keys_ratio: Some(0.75),
    rpo_seconds: Some(Duration::from_millis(4_250)),
};

/// A target's part in a group.
pub(crate) fn member() -> GroupMember {
    GroupMember {
        group: "shop".into(),
        probe: "orders".into(),
        source_region: "eu-west".into(),
        target_region: "us-east".into(),
        target: "us-east".into(),
        role: Role::Standby,
    }
}

/// A standby.
pub(crate) fn standby() -> StandbyPlace {
    StandbyPlace {
        group: "shop".into(),
        standby: "us-east".into(),
        source_region: "eu-west".into(),
        vantages: 3,
        objectives: Objectives {
            rpo: Some(Duration::from_secs(5)),
            rto: Some(Duration::from_mins(5)),
        },
    }
}

fn answer(check: &str, probe: &str, state: CheckState) -> CheckReport {
    CheckReport {
        check: check.into(),
        probe: probe.into(),
        gate: GateKind::Hard,
        state,
        reason: (state == CheckState::Fail).then_some(CheckReason::Threshold),
        value: Some(7.5),
        threshold: Some(5.0),
        unit: Some(Unit::Seconds),
        age_seconds: Some(2.0),
        last_conclusive_timestamp_seconds: Some(1_700_000_000.5),
        transitions: [1, 2, 3, 4, 5],
    }
}

fn ranking() -> RankingReport {
    let table = Table {
        rows_are: Rows::Standby,
        probe: Some("web".into()),
        quantile: Quantile::Median,
        batch_seconds: 300.0,
        batches_needed: 24,
        lasting: true,
        rows: Vec::new(),
        differences: vec![Difference {
            name: "us-east".into(),
            other: "eu-central".into(),
            batches: 72,
            low_seconds: Some(0.01),
            median_seconds: Some(0.02),
            high_seconds: Some(0.03),
            verdict: Verdict::After,
        }],
    };
    RankingReport {
        changes: 1,
        table: table.into(),
    }
}

/// What is said of that standby: everything that can be.
pub(crate) fn judged() -> GroupReport {
    let place = standby();
    let report = StandbyReport {
        standby: place.standby,
        state: ReadyState::NotReady,
        primary_sight: Sight::Seen,
        promotion: Promotability::NotAsked,
        reasons: Vec::new(),
        more_reasons: 0,
        score_ratio: Some(0.75),
        score_coverage_ratio: Some(0.5),
        lag_seconds: None,
        lag_at_least: false,
        rpo_seconds: Some(7.5),
        rpo_bytes: Some(1_000),
        rto_seconds: Some(330.0),
        rto_stages: vec![
            StageReport {
                stage: "decide",
                seconds: Some(300.0),
                basis: Some("assumed"),
            },
            StageReport {
                stage: "apply",
                seconds: None,
                basis: None,
            },
        ],
        rank: Some(2),
        holds: vec![HoldReport {
            kind: "maintenance",
            reason: "disk swap".into(),
            expiry_timestamp_seconds: 1_800_000_000.0,
        }],
        last_sight: Some(SightReport {
            timestamp_seconds: 1_700_000_000.25,
            rpo_seconds: Some(2.5),
            loss_bytes: Some(100),
        }),
        checks: vec![
            answer("lag", "orders", CheckState::Fail),
            answer("hold", "", CheckState::Pass),
            answer("certificate", "web", CheckState::NotApplicable),
        ],
    };
    GroupReport {
        group: place.group,
        source_region: place.source_region,
        timestamp_seconds: 1_700_000_001.0,
        primary: "eu-west".into(),
        standbys: vec![report],
        ranking: Some(ranking()),
    }
}

fn add_alertmanager(store: &Store) {
    let all = [("am", "http://am-1:9093")];
    let alertmanagers = store.change().set_alertmanagers(&all);
    let alertmanager = &alertmanagers.expect("set")[0];
    alertmanager.request(Duration::from_millis(30));
    alertmanager.sent(2);
    alertmanager.queue(1);
}

/// Own metrics of which every family has a row.
fn own() -> Own {
    let own = Own::new("1.2.3", "abcdef0", SystemTime::UNIX_EPOCH).expect("declared right");
    own.configured("e3b0c44298fc1c14", SystemTime::UNIX_EPOCH);
    own.event_loop_lag_seconds
        .with_label_values(&["stream"])
        .observe(0.000_3);
    own.notification_duration_seconds
        .with_label_values(&["ops"])
        .observe(0.3);
    own.icmp_socket_info
        .with_label_values(&["ipv4", "dgram"])
        .set(1);
    own.evaluation_timestamp_seconds
        .with_label_values(&["eu-west"])
        .set(1);
    own.descriptors_limit.with_label_values(&["runs"]).set(0);
    own.tilt.with_label_values(&["eu-west"]).set(0);
    own.tilts_total
        .with_label_values(&["eu-west", "stall"])
        .inc();
    own.alerts("eu-west", &[]);
    for unit in Unit::ALL {
        own.rule_threshold("eu-west", "Slow", unit, 0.5);
    }
    own.heartbeat_failures_total
        .with_label_values(&["timeout"])
        .inc();
    own
}

/// Own metrics and a store in which every family has a row.
pub(crate) fn filled() -> (Store, Own) {
    let own = own();
    own.discovered([Discovered {
        probe: "all",
        source: "targets_http[0]",
        targets: 3,
        failures: 1,
        good: true,
        last_good_timestamp_seconds: Some(1_800_000_000.5),
    }]);
    own.refused_targets([(["all", "targets_http[0]", "region"], 1)]);
    let store = Store::new();
    add_alertmanager(&store);
    let key = insert(&store, &target("all", "http", "us-east"), &FULL);
    let failure = Failure::new(Reason::Refused, "no one listens").with_facts(facts());
    for observation in [
        Observation::Sample(Box::new(run(key, 1_000, reply(&[3, 700], facts())))),
        Observation::Sample(Box::new(run(key, 2_000, Err(failure)))),
        Observation::Missed {
            target: key,
            slots: 4,
            cause: Missed::Busy,
        },
    ] {
        own.observe(&observation);
        assert!(store.observe(&observation));
    }
    store.insert_member(&member()).expect("inserted");
    for kind in ["postgres", "mysql", "redis"] {
        let set = store.insert_set(&set(kind, true)).expect("inserted");
        let pair = store.insert_pair(set, "us-east").expect("inserted");
        assert!(store.set_figures(set, SET_FIGURES));
        assert!(store.pair_figures(pair, PAIR_FIGURES));
        assert!(store.visible(pair, Duration::from_millis(300)));
    }
    store.insert_standby(&standby()).expect("inserted");
    assert!(store.judged(vec![judged()]));
    store.insert_group("checkout", "eu-west").expect("inserted");
    assert!(store.happened(vec![PastFigures::default()]));
    let figures = || ReceiverFigures {
        receiver: "on \"call\"".into(),
        attempts: 3,
        failures: vec![("timeout", 2), ("auth", 0)],
        dropped: vec![("age", 1)],
        oldest_timestamp_seconds: Some(1.5),
        rejecting: true,
        ..ReceiverFigures::default()
    };
    let receivers = store.change().set_receivers(vec![figures()]);
    receivers.expect("set");
    store.notified(vec![figures()]);
    (store, own)
}

/// `promtool check metrics` has nothing to say of the page.
pub(crate) fn promtool_accepts(page: &[u8]) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian: apt-get install prometheus) runs");
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(page).expect("read");
    drop(stdin);
    let output = promtool.wait_with_output().expect("ends");
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}
