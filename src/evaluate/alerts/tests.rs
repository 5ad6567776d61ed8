#![expect(
    clippy::float_cmp,
    reason = "what is compared are moments as they were written"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use smallvec::smallvec;

use super::*;
use crate::model::{
    Facts, Failure, Labels, Laps, Reason, Reply, Severity, SilenceOrder, SilenceStart,
};
use crate::rule::{Annotations, Silences, Timing, WATCHDOG};

const INTERVAL: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn origin() -> Instant {
    static ORIGIN: std::sync::LazyLock<Instant> =
        std::sync::LazyLock::new(|| Instant::now() + Duration::from_secs(100_000));
    *ORIGIN
}

fn wall(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
}

/// The wall clock at that second, as alerts have it.
fn stamp(second: u64) -> f64 {
    timestamp_seconds(wall(second))
}

fn rule(name: &str, pending: u64, keep_firing: u64) -> PlannedRule {
    let when = r#"{"failures": {"fail": {"of": 1, "at_least": 1}, "recover": 1}}"#;
    PlannedRule {
        name: name.into(),
        severity: Severity::Critical,
        labels: Labels::from([("team".into(), "db".into())]),
        annotations: Annotations::new(BTreeMap::new()).expect("none"),
        timing: Timing {
            pending: Duration::from_secs(pending),
            keep_firing: Duration::from_secs(keep_firing),
        },
        depends_on: Vec::new(),
        receivers: None,
        when: serde_json::from_str(when).expect("a condition"),
    }
}

fn target(name: &str) -> Target {
    Target {
        probe: "net".into(),
        kind: "ping",
        source_region: "south".into(),
        target_region: name.into(),
        name: name.into(),
        address: "192.0.2.1".into(),
        labels: BTreeMap::new(),
    }
}

fn scope(names: &[&str]) -> Scope {
    let runs = names.iter().map(|_| Runs {
        shape: Shape::default(),
        pace: Pace {
            interval: INTERVAL,
            timeout: Duration::from_secs(3),
        },
        group: Some("shop".into()),
    });
    Scope {
        source_region: "south".into(),
        runs: runs.collect(),
        targets: (0..)
            .map(TargetKey)
            .zip(names.iter().map(|name| target(name)))
            .collect(),
        groups: Vec::new(),
    }
}

fn ruleset(rules: Vec<PlannedRule>, names: &[&str], watchdog: &[Arc<str>]) -> Ruleset {
    Ruleset {
        rules,
        scope: scope(names),
        watchdog: watchdog.to_vec(),
        maintenance: Vec::new(),
    }
}

/// A daemon with these rules that is restarted now and then.
struct Daemon {
    store: Store,
    book: Alerts,
    alerting: Alerting,
}

impl Daemon {
    fn start(store: &Store, rules: Vec<PlannedRule>, names: &[&str], second: u64) -> Self {
        let silences = Silences::kept_in(store);
        Self::with(store, rules, names, &[], silences, second)
    }

    fn with(
        store: &Store,
        rules: Vec<PlannedRule>,
        names: &[&str],
        watchdog: &[Arc<str>],
        silences: Silences,
        second: u64,
    ) -> Self {
        let book = Alerts::kept_in(store);
        let times = (origin() + Duration::from_secs(second), wall(second));
        let books = (book.clone(), store);
        let ruleset = ruleset(rules, names, watchdog);
        let alerting = Alerting::new(ruleset, books, silences, times);
        Self {
            store: store.clone(),
            book,
            alerting,
        }
    }

    /// A run against a target ends.
    fn run(&mut self, target: u32, good: bool, second: u64) {
        let ended = origin() + Duration::from_secs(second);
        let reply = Reply {
            latencies: smallvec![Duration::from_millis(1)],
            facts: Facts::default(),
        };
        let failure = || Failure::new(Reason::Refused, "as the test wants it");
        self.alerting.observe(&Sample {
            target: TargetKey(target),
            due: ended,
            started: ended,
            ended,
            at: wall(second),
            laps: Laps::default(),
            outcome: good.then_some(reply).ok_or_else(failure),
        });
    }

    fn look(&mut self, second: u64) {
        self.look_with(second, wall(second), false);
    }

    fn look_with(&mut self, second: u64, today: SystemTime, tilted: bool) {
        self.alerting.second(&View {
            now: origin() + Duration::from_secs(second),
            today,
            tilted,
            reports: &[],
            past: &[],
            health: &Health::HEALTHY,
        });
    }

    /// A run of the first target, and a look.
    fn sees(&mut self, good: bool, second: u64) {
        self.run(0, good, second);
        self.look(second);
    }

    fn find(&self, rule: &str, region: &str) -> Option<Arc<Alert>> {
        let mut alerts = self.book.all().into_iter();
        alerts.find(|alert| {
            *alert.rule == *rule
                && alert.labels.get("target_region").map(|of| &**of) == Some(region)
        })
    }

    /// Where the alert of the rule about `north` stands.
    fn state(&self, rule: &str) -> Option<AlertState> {
        self.find(rule, "north").map(|alert| alert.state)
    }

    fn timers(&self) -> usize {
        self.store.entries::<KeptTimer>().entries.len()
    }
}

use AlertState::{Firing, Pending, Resolved};

#[test]
fn an_alert_is_pending_fires_and_is_over_and_is_written_at_each_step_only() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 20, 0)], &["north"], 0);
    let mut changes = daemon.book.changes();
    let mut writes = || *changes.borrow_and_update();
    daemon.sees(true, 1);
    assert_eq!((daemon.state("A"), writes()), (None, 0));
    daemon.sees(false, 5);
    daemon.look(6);
    assert_eq!((daemon.state("A"), writes()), (Some(Pending), 1));
    daemon.sees(false, 24);
    assert_eq!((daemon.state("A"), writes()), (Some(Pending), 1));
    daemon.sees(false, 25);
    daemon.look(26);
    assert_eq!((daemon.state("A"), writes()), (Some(Firing), 2));
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.active_timestamp_seconds, stamp(5));
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(25)));
    let labels: Vec<_> = alert
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let expected = [
        "alertname=A",
        "group=shop",
        "kind=ping",
        "probe=net",
        "severity=critical",
        "target=north",
        "target_region=north",
        "team=db",
    ];
    assert_eq!(labels, expected);
    let summary = &alert.annotations["summary"];
    assert!(summary.starts_with("net to north: "), "{summary}");
    assert_eq!(&*alert.annotations["source_region"], "south");
    daemon.sees(true, 40);
    daemon.look(41);
    assert_eq!((daemon.state("A"), writes()), (Some(Resolved), 3));
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(25)));
    assert_eq!(alert.end_timestamp_seconds, Some(stamp(40)));
    assert_eq!(daemon.timers(), 0);
}

#[test]
fn what_comes_to_nothing_is_struck_out() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 20, 0)], &["north"], 0);
    daemon.sees(false, 5);
    daemon.sees(true, 15);
    assert_eq!(daemon.state("A"), None);
    assert!(store.entries::<Alert>().entries.is_empty());
}

#[test]
fn the_time_before_a_restart_counts_towards_for() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 60, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    let mut daemon = Daemon::start(&store, rules(), &["north"], 40);
    // 35 s by now. Until a target is seen again, nothing is known of it and no time counts.
    daemon.look(41);
    daemon.sees(false, 50);
    daemon.sees(false, 74);
    assert_eq!(daemon.state("A"), Some(Pending));
    daemon.sees(false, 75);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.active_timestamp_seconds, stamp(5));
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(75)));
}

#[test]
fn a_restart_is_no_second_episode_and_no_end() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 0, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    let mut daemon = Daemon::start(&store, rules(), &["north"], 4_000);
    for second in 4_001..4_010 {
        daemon.look(second);
    }
    daemon.sees(false, 4_010);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.state, Firing);
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(5)));
    daemon.sees(true, 4_020);
    let mut daemon = Daemon::start(&store, rules(), &["north"], 4_030);
    assert_eq!(daemon.state("A"), Some(Resolved));
    daemon.sees(true, 4_031);
    assert_eq!(daemon.state("A"), Some(Resolved));
}

#[test]
fn an_alert_keeps_firing_from_when_its_condition_was_last_seen_also_over_a_restart() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 0, 60)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    daemon.sees(true, 15);
    daemon.sees(true, 20);
    assert_eq!((daemon.state("A"), daemon.timers()), (Some(Firing), 1));
    let mut daemon = Daemon::start(&store, rules(), &["north"], 50);
    daemon.sees(true, 64);
    assert_eq!(daemon.state("A"), Some(Firing));
    daemon.sees(false, 65);
    assert_eq!((daemon.state("A"), daemon.timers()), (Some(Firing), 0));
    daemon.sees(true, 124);
    assert_eq!(daemon.state("A"), Some(Firing));
    daemon.sees(true, 125);
    assert_eq!((daemon.state("A"), daemon.timers()), (Some(Resolved), 0));
}

#[test]
fn a_daemon_that_is_restarted_again_and_again_comes_to_an_end_of_long_times_too() {
    const HOUR: u64 = 3600;
    let store = Store::in_memory();
    let rules = || vec![rule("A", 3 * HOUR, 0), rule("B", 0, 6 * HOUR)];
    // It runs for an hour and a half each time, but for a minute; what is `good` is seen each 10 s.
    let run_on = |daemon: &mut Daemon, good: bool, from: u64, times: u64| {
        let mut second = from;
        for _ in 0..times {
            while second % 5_400 < 5_340 {
                daemon.sees(good, second);
                second += 10;
            }
            second = second.next_multiple_of(5_400);
            *daemon = Daemon::start(&store, rules(), &["north"], second);
        }
        second
    };
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    let second = run_on(&mut daemon, false, 0, 2);
    assert_eq!(daemon.state("A"), Some(Pending));
    daemon.sees(false, second);
    daemon.sees(false, second + 10);
    assert_eq!(daemon.state("A"), Some(Firing));
    let second = run_on(&mut daemon, true, second + 20, 3);
    assert_eq!(daemon.state("B"), Some(Firing));
    let second = run_on(&mut daemon, true, second, 1);
    daemon.sees(true, second);
    daemon.sees(true, second + 20);
    assert_eq!((daemon.state("B"), daemon.timers()), (Some(Resolved), 0));
}

#[test]
fn silence_changes_nothing_and_does_not_count_also_over_a_restart() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 60, 0), rule("B", 0, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    // Nothing is known of a target once three of its runs are missing.
    for second in 6..100 {
        daemon.look(second);
    }
    assert_eq!(daemon.state("A"), Some(Pending));
    assert_eq!(daemon.state("B"), Some(Firing));
    let mut daemon = Daemon::start(&store, rules(), &["north"], 2_000);
    daemon.sees(false, 2_001);
    assert_eq!(daemon.state("A"), Some(Pending));
    for second in 2_002..2_033 {
        daemon.sees(false, second);
    }
    assert_eq!(daemon.state("A"), Some(Firing));
    assert_eq!(daemon.timers(), 0);
}

#[test]
fn while_the_clocks_are_not_trusted_nothing_fires_and_nothing_is_over() {
    let store = Store::in_memory();
    let rules = vec![rule("A", 0, 0)];
    let mut daemon = Daemon::start(&store, rules, &["north"], 0);
    daemon.run(0, false, 5);
    daemon.look_with(5, wall(5), true);
    assert_eq!(daemon.state("A"), None);
    daemon.look(6);
    assert_eq!(daemon.state("A"), Some(Firing));
    daemon.run(0, true, 7);
    daemon.look_with(7, wall(7), true);
    assert_eq!(daemon.state("A"), Some(Firing));
    daemon.look(8);
    assert_eq!(daemon.state("A"), Some(Resolved));
}

#[test]
fn an_end_is_told_until_it_fires_again_which_is_another_episode_by_any_clock() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 20, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    daemon.sees(false, 25);
    daemon.sees(true, 30);
    daemon.sees(false, 35);
    assert_eq!(daemon.state("A"), Some(Pending));
    let told = |daemon: &Daemon| -> Vec<_> {
        let told = daemon.book.to_tell().into_values();
        told.map(|alert| (alert.state, alert.start_timestamp_seconds))
            .collect()
    };
    assert_eq!(told(&daemon), [(Resolved, Some(stamp(25)))]);
    let mut daemon = Daemon::start(&store, rules(), &["north"], 45);
    assert_eq!(told(&daemon), [(Resolved, Some(stamp(25)))]);
    daemon.run(0, false, 45);
    daemon.look(45);
    daemon.run(0, false, 55);
    let set_back = wall(0);
    daemon.look_with(55, set_back, false);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!((alert.state, daemon.timers()), (Firing, 0));
    let start = alert.start_timestamp_seconds.expect("it fires");
    assert!((start - stamp(25) - 0.001).abs() < 1e-6, "{start}");
    assert_eq!(alert.active_timestamp_seconds, stamp(35));
    daemon.run(0, true, 56);
    daemon.look_with(56, set_back, false);
    let alert = daemon.find("A", "north").expect("an alert");
    assert!(alert.end_timestamp_seconds >= alert.start_timestamp_seconds);
}

#[test]
fn what_nothing_stands_for_any_more_is_over_at_once_and_says_why() {
    let store = Store::in_memory();
    let both = vec![rule("A", 0, 0), rule("B", 60, 30)];
    let mut daemon = Daemon::start(&store, both, &["north", "east"], 0);
    for target in [0, 1] {
        daemon.run(target, false, 5);
    }
    daemon.look(5);
    let daemon = Daemon::start(&store, vec![rule("A", 0, 0)], &["east"], 10);
    let gone = daemon.find("A", "north").expect("an alert");
    assert_eq!(gone.state, Resolved);
    assert_eq!(gone.end_timestamp_seconds, Some(stamp(10)));
    let why = &gone.annotations["resolved_because"];
    assert!(why.contains("configuration"), "{why}");
    assert_eq!(daemon.find("A", "east").expect("an alert").state, Firing);
    assert_eq!(daemon.state("B"), None);
    assert_eq!((daemon.book.all().len(), daemon.timers()), (2, 0));
}

#[test]
fn a_rule_that_tells_others_tells_them_of_what_fires_already() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 0, 0)], &["north"], 0);
    daemon.sees(false, 5);
    let receivers: Option<Vec<Arc<str>>> = Some(vec!["ops".into()]);
    let mut changed = rule("A", 0, 0);
    changed.receivers.clone_from(&receivers);
    let daemon = Daemon::start(&store, vec![changed], &["north"], 10);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!((alert.state, &alert.receivers), (Firing, &receivers));
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(5)));
}

#[test]
fn an_alert_is_muted_while_one_that_it_depends_on_fires_for_the_same_thing() {
    let store = Store::in_memory();
    let rules = || {
        let mut dependent = rule("A", 0, 0);
        dependent.depends_on = vec!["B".into()];
        vec![dependent, rule("B", 10, 0)]
    };
    let names = ["north", "east"];
    let mut daemon = Daemon::start(&store, rules(), &names, 0);
    let muted = |daemon: &Daemon, region| daemon.find("A", region).expect("an alert").muted.clone();
    let by = Some(Mute::Dependency("B".into()));
    daemon.sees(false, 5);
    assert_eq!(muted(&daemon, "north"), None);
    daemon.run(1, false, 15);
    daemon.sees(false, 15);
    assert_eq!(muted(&daemon, "north"), by);
    assert_eq!(muted(&daemon, "east"), None);
    assert_eq!(daemon.find("B", "north").expect("an alert").muted, None);
    // Before anything can be delivered.
    let mut daemon = Daemon::start(&store, rules(), &names, 16);
    assert_eq!(muted(&daemon, "north"), by);
    assert_eq!(muted(&daemon, "east"), None);
    // Its end is seen as ever, and whether anybody was to hear of it stays as it was.
    daemon.sees(true, 17);
    assert_eq!(daemon.state("A"), Some(Resolved));
    assert_eq!(daemon.state("B"), Some(Resolved));
    assert_eq!(muted(&daemon, "north"), by);
    daemon.sees(false, 18);
    assert_eq!(
        (daemon.state("A"), muted(&daemon, "north")),
        (Some(Firing), None)
    );
}

/// An alert of the rule that fires, with these labels.
fn firing(rule: &str, labels: &[(&str, &str)]) -> Alert {
    let labels = labels.iter();
    let mut labels: Labels = labels.map(|(k, v)| ((*k).into(), (*v).into())).collect();
    labels.insert("alertname".into(), rule.into());
    Alert {
        rule: rule.into(),
        labels,
        annotations: BTreeMap::new(),
        state: Firing,
        active_timestamp_seconds: 1.0,
        start_timestamp_seconds: Some(1.0),
        end_timestamp_seconds: None,
        value: None,
        threshold: None,
        shared: true,
        receivers: None,
        muted: None,
    }
}

#[test]
fn labels_agree_where_both_alerts_have_them() {
    let mut dependent = rule("A", 0, 0);
    dependent.depends_on = vec!["B".into(), "C".into()];
    let rules: Vec<_> = [dependent].map(Ruled::new).into();
    let dependencies = Dependencies::new(&rules);
    let about = [
        ("group", "shop"),
        ("standby", "north"),
        ("target_region", "north"),
    ];
    for (theirs, muted) in [
        (vec![("group", "shop")], true),
        (vec![("group", "other")], false),
        (
            vec![
                ("target_region", "north"),
                ("target", "x"),
                ("probe", "net"),
            ],
            true,
        ),
        (vec![("target_region", "east"), ("group", "shop")], false),
        (vec![("team", "db")], true),
        (vec![], true),
    ] {
        for other in ["B", "C"] {
            let all = [firing("A", &about), firing(other, &theirs)];
            let mutes = dependencies.mutes(&all.iter().collect::<Vec<_>>());
            let by = muted.then(|| Mute::Dependency(other.into()));
            assert_eq!(mutes.get(&all[0].fingerprint()), by.as_ref(), "{theirs:?}");
            assert_eq!(mutes.len(), usize::from(muted));
        }
        let all = [firing("A", &about), firing("D", &theirs)];
        assert!(
            dependencies
                .mutes(&all.iter().collect::<Vec<_>>())
                .is_empty()
        );
    }
}

#[test]
fn what_has_no_label_in_common_is_not_the_same_thing() {
    let mut dependent = rule("A", 0, 0);
    dependent.depends_on = vec!["B".into()];
    let rules: Vec<_> = [dependent].map(Ruled::new).into();
    let dependencies = Dependencies::new(&rules);
    // A target of a probe that is in several groups, or in none: it has no label `group`.
    let target = [
        ("probe", "net"),
        ("target_region", "east"),
        ("target", "east"),
    ];
    for (about, theirs, muted) in [
        (&[("group", "shop")][..], &target[..], false),
        (&target, &[("group", "shop")], false),
        // What is wrong with the daemon is wrong with all that it says, and the other way round.
        (&target, &[("source_region", "south")], true),
        (&[("source_region", "south")], &target, true),
    ] {
        let all = [firing("A", about), firing("B", theirs)];
        let mutes = dependencies.mutes(&all.iter().collect::<Vec<_>>());
        assert_eq!(mutes.len(), usize::from(muted), "{about:?} {theirs:?}");
    }
}

/// Silences the alerts of a rule from second 0 on.
fn silence(silences: &Silences, rule: &str, seconds: f64) {
    let start = SilenceStart {
        id: rule.to_owned(),
        matches: [("alertname".into(), rule.into())].into(),
        note: None,
        for_seconds: seconds,
    };
    let ordered = silences.order(&SilenceOrder::Start(start), stamp(0));
    ordered.expect("ordered");
}

#[test]
fn others_may_want_nobody_to_be_told_for_a_while() {
    let store = Store::in_memory();
    let silences = Silences::kept_in(&store);
    silence(&silences, "A", 20.0);
    let rules = || vec![rule("A", 0, 0)];
    let muted = |daemon: &Daemon| daemon.find("A", "north").expect("an alert").muted.clone();
    let by = Some(Mute::Silence("A".into()));
    let mut daemon = Daemon::with(&store, rules(), &["north"], &[], silences.clone(), 0);
    daemon.sees(false, 5);
    assert_eq!(muted(&daemon), by);
    let mut daemon = Daemon::with(&store, rules(), &["north"], &[], silences, 10);
    assert_eq!(muted(&daemon), by);
    daemon.look(19);
    assert_eq!(muted(&daemon), by);
    daemon.look(20);
    assert_eq!(muted(&daemon), None);
}

/// Who was not told that it fires is not to be told that it is over.
#[test]
fn what_is_over_while_it_is_muted_stays_muted_over_a_restart() {
    let store = Store::in_memory();
    let silences = Silences::kept_in(&store);
    silence(&silences, "A", 100.0);
    let start = |rules: Vec<PlannedRule>, second| {
        Daemon::with(&store, rules, &["north"], &[], silences.clone(), second)
    };
    let by = Some(Mute::Silence("A".into()));
    start(vec![rule("A", 0, 0)], 0).sees(false, 5);
    for second in [10, 20] {
        let gone = start(Vec::new(), second);
        let gone = gone.find("A", "north").expect("an alert");
        assert_eq!((gone.state, &gone.muted), (Resolved, &by), "{second}");
    }
}

#[test]
fn the_watchdog_always_fires_in_one_episode_for_those_who_watch() {
    let store = Store::in_memory();
    let of = |daemon: &Daemon| {
        let mut alerts = daemon.book.all().into_iter();
        alerts.find(|alert| *alert.rule == *WATCHDOG)
    };
    let silences = Silences::kept_in(&store);
    silence(&silences, WATCHDOG, 1000.0);
    let receivers: [Arc<str>; 1] = ["am".into()];
    let start = |receivers: &[Arc<str>], second| {
        Daemon::with(&store, Vec::new(), &[], receivers, silences.clone(), second)
    };
    assert_eq!(of(&start(&[], 0)), None);
    let mut daemon = start(&receivers, 5);
    daemon.look(6);
    let first = of(&daemon).expect("it fires");
    let labels: Vec<_> = first
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let expected = [
        "alertname=HotspareWatchdog",
        "severity=none",
        "source_region=south",
    ];
    assert_eq!(labels, expected);
    assert_eq!(first.start_timestamp_seconds, Some(stamp(5)));
    assert_eq!((first.state, &first.muted), (Firing, &None));
    assert_eq!(first.receivers.as_deref(), Some(&receivers[..]));
    assert_eq!(of(&start(&receivers, 50)), Some(first));
    assert_eq!(of(&start(&[], 60)).expect("over").state, Resolved);
    let again = of(&start(&receivers, 70)).expect("it fires");
    assert_eq!(again.start_timestamp_seconds, Some(stamp(70)));
}

mod succession;
