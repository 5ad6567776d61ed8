//! The configuration is loaded anew while the daemon runs.

use super::*;

impl Daemon {
    fn succeed(&mut self, ruleset: Ruleset, second: u64) {
        let times = (origin() + Duration::from_secs(second), wall(second));
        self.alerting.succeed(ruleset, times);
    }
}

/// One that needs two of the last three runs to fail.
fn slower(name: &str) -> PlannedRule {
    let when = r#"{"failures": {"fail": {"of": 3, "at_least": 2}, "recover": 2}}"#;
    PlannedRule {
        when: serde_json::from_str(when).expect("a condition"),
        ..rule(name, 0, 0)
    }
}

#[test]
fn the_time_before_counts_on_and_so_does_what_the_condition_has_seen() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 20, 0)], &["north"], 0);
    daemon.sees(false, 5);
    // Other places: another rule and another target come before.
    let rules = vec![rule("B", 0, 0), rule("A", 20, 0)];
    let mut next = ruleset(rules, &["south", "north"], &[]);
    next.scope.targets[0].0 = TargetKey(1);
    next.scope.targets[1].0 = TargetKey(0);
    daemon.succeed(next, 10);
    // No run since: what was seen before still says that the target fails.
    daemon.look(11);
    daemon.look(24);
    assert_eq!((daemon.state("A"), daemon.timers()), (Some(Pending), 0));
    assert_eq!(daemon.state("B"), None, "it saw nothing yet");
    daemon.sees(false, 25);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.state, Firing);
    assert_eq!(alert.active_timestamp_seconds, stamp(5));
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(25)));
    assert_eq!(daemon.state("B"), Some(Firing), "it has seen this one");
    assert!(daemon.find("B", "south").is_none());
}

#[test]
fn another_for_counts_from_where_the_old_one_was() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 600, 0)], &["north"], 0);
    daemon.sees(false, 5);
    daemon.sees(false, 50);
    daemon.succeed(ruleset(vec![rule("A", 60, 0)], &["north"], &[]), 60);
    daemon.sees(false, 64);
    assert_eq!(daemon.state("A"), Some(Pending));
    daemon.sees(false, 65);
    assert_eq!(daemon.state("A"), Some(Firing));
    assert_eq!(daemon.timers(), 0);
}

#[test]
fn a_condition_that_asks_otherwise_begins_anew_and_its_alert_goes_on() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 0, 0)], &["north"], 0);
    daemon.sees(false, 5);
    daemon.succeed(ruleset(vec![slower("A")], &["north"], &[]), 10);
    daemon.look(11);
    daemon.sees(true, 15);
    assert_eq!(
        daemon.state("A"),
        Some(Firing),
        "one good run is not enough any more"
    );
    daemon.sees(true, 25);
    assert_eq!(daemon.state("A"), Some(Resolved));
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(5)));
    assert_eq!(alert.end_timestamp_seconds, Some(stamp(25)));
}

#[test]
fn another_target_of_the_same_name_has_to_be_seen_itself() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 20, 0)], &["north"], 0);
    daemon.sees(false, 5);
    let mut next = ruleset(vec![rule("A", 20, 0)], &["north"], &[]);
    next.scope.targets[0].0 = TargetKey(7);
    daemon.succeed(next, 10);
    daemon.look(11);
    // The old one is gone.
    daemon.sees(true, 12);
    daemon.look(40);
    assert_eq!(
        daemon.state("A"),
        Some(Pending),
        "nothing was seen, and no time counts"
    );
    daemon.run(7, false, 41);
    daemon.look(41);
    assert_eq!(daemon.state("A"), Some(Pending));
    daemon.look(60);
    assert_eq!(daemon.state("A"), Some(Pending));
    daemon.look(61);
    assert_eq!(daemon.state("A"), Some(Firing));
}

#[test]
fn what_is_not_configured_any_more_is_over_and_leaves_nothing() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 0, 60), rule("B", 0, 0), rule("C", 60, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north", "south"], 0);
    daemon.run(1, false, 5);
    daemon.sees(false, 5);
    // A keeps firing: it has a timer.
    daemon.sees(true, 15);
    assert_eq!((daemon.state("A"), daemon.timers()), (Some(Firing), 1));
    daemon.sees(false, 16);
    daemon.sees(true, 17);
    daemon.run(0, false, 18);
    daemon.look(18);
    daemon.succeed(ruleset(vec![rule("B", 0, 0)], &["south"], &[]), 20);
    for name in ["A", "B"] {
        let over = daemon.find(name, "north").expect("to be told");
        assert_eq!(over.state, Resolved, "{name}");
        assert!(over.annotations.contains_key("resolved_because"), "{name}");
        assert_eq!(over.end_timestamp_seconds, Some(stamp(20)), "{name}");
    }
    assert_eq!(daemon.find("A", "south").map(|of| of.state), Some(Resolved));
    assert_eq!(daemon.find("B", "south").map(|of| of.state), Some(Firing));
    assert_eq!(daemon.state("C"), None, "it came to nothing");
    assert_eq!(daemon.timers(), 0);
    // It comes back while its end is still to be told: that is another episode.
    daemon.succeed(ruleset(rules(), &["north", "south"], &[]), 20);
    daemon.sees(false, 20);
    let again = daemon.find("B", "north").expect("an alert");
    assert_eq!(again.state, Firing);
    assert_eq!(again.start_timestamp_seconds, Some(stamp(20)));
    let again = daemon.find("A", "north").expect("an alert");
    assert!(again.start_timestamp_seconds > Some(stamp(5)));
}

#[test]
fn who_was_told_that_it_fires_is_told_that_it_is_over_also_in_a_new_maintenance() {
    let store = Store::in_memory();
    let rules = || vec![rule("A", 0, 0), rule("B", 0, 0)];
    let mut daemon = Daemon::start(&store, rules(), &["north"], 0);
    daemon.sees(false, 5);
    let mut next = ruleset(vec![rule("B", 0, 0)], &["north"], &[]);
    let always = Maintenance::new(
        "always".into(),
        "* * * * *",
        Duration::from_hours(1),
        "UTC",
        Labels::new(),
    );
    next.maintenance.push(always.expect("good"));
    daemon.succeed(next, 10);
    let over = daemon.find("A", "north").expect("to be told");
    assert_eq!((over.state, &over.muted), (Resolved, &None));
    let muted = daemon.find("B", "north").expect("an alert");
    assert_eq!(muted.muted, Some(Mute::Maintenance("always".into())));
    daemon.succeed(ruleset(rules(), &["north"], &[]), 20);
    let told = daemon.find("B", "north").expect("an alert");
    assert_eq!((told.state, &told.muted), (Firing, &None));
}

#[test]
fn the_receivers_of_what_fires_and_the_watchdog_follow() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 0, 0)], &["north"], 0);
    daemon.sees(false, 5);
    let watchdog = |daemon: &Daemon| {
        let mut alerts = daemon.book.all().into_iter();
        let alert = alerts.find(|alert| *alert.rule == *WATCHDOG);
        alert.map(|alert| (alert.state, alert.receivers.clone()))
    };
    assert_eq!(watchdog(&daemon), None);
    let to: Vec<Arc<str>> = vec!["ops".into()];
    let told = PlannedRule {
        receivers: Some(to.clone()),
        ..rule("A", 0, 0)
    };
    daemon.succeed(ruleset(vec![told], &["north"], &to), 10);
    let alert = daemon.find("A", "north").expect("an alert");
    assert_eq!((alert.state, &alert.receivers), (Firing, &Some(to.clone())));
    assert_eq!(alert.start_timestamp_seconds, Some(stamp(5)));
    assert_eq!(watchdog(&daemon), Some((Firing, Some(to))));
    daemon.succeed(ruleset(vec![rule("A", 0, 0)], &["north"], &[]), 20);
    assert_eq!(watchdog(&daemon).map(|(state, _)| state), Some(Resolved));
}

#[test]
fn a_thousand_successions_leave_nothing_behind() {
    let store = Store::in_memory();
    let mut daemon = Daemon::start(&store, vec![rule("A", 0, 60)], &["north", "south"], 0);
    for turn in 1..=1_000_u32 {
        let second = u64::from(turn) * 10;
        // North is another target each time; it fails and has a timer when it goes.
        daemon.run(turn - 1, false, second);
        daemon.look(second);
        daemon.run(turn - 1, true, second + 1);
        daemon.look(second + 1);
        let mut next = ruleset(vec![rule("A", 0, 60)], &["north", "south"], &[]);
        next.scope.targets[0].0 = TargetKey(turn);
        next.scope.targets[1].0 = TargetKey(u32::MAX);
        daemon.succeed(next, second + 2);
    }
    assert_eq!(daemon.alerting.instances.len(), 2);
    assert_eq!(daemon.alerting.of_target.len(), 2);
    assert_eq!(daemon.book.all().len(), 1, "north has fired all the while");
    assert_eq!(daemon.timers(), 1);
    daemon.succeed(ruleset(Vec::new(), &[], &[]), 20_000);
    assert_eq!((daemon.alerting.instances.len(), daemon.timers()), (0, 0));
}
