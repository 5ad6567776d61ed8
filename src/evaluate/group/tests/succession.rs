//! The configuration is loaded anew while the daemon runs.

use super::*;

impl Stage {
    fn succeed(&mut self, brief: Brief, second: u32) {
        let fresh = Group::new(brief, at(second)).expect("in order");
        let former = std::mem::replace(&mut self.group, fresh);
        self.group.succeed(former, (at(second), wall(second)));
    }

    /// A good database, as it was looked at twice.
    fn ready() -> Self {
        let mut stage = Self::new(database());
        stage.round(10);
        stage.round(20);
        assert_eq!(stage.report(20).state, ReadyState::Ready);
        stage
    }
}

/// What each check says.
fn said(report: &StandbyReport) -> Vec<(&str, CheckState)> {
    let checks = report.checks.iter();
    checks.map(|check| (&*check.check, check.state)).collect()
}

#[test]
fn what_is_the_same_goes_on_under_other_places() {
    let mut stage = Stage::ready();
    let before = stage.group.report(at(21), wall(21));
    let mut next = brief(database());
    next.probes[0].pairs = vec![PairKey(77)];
    stage.succeed(next, 21);
    assert_eq!(stage.group.report(at(21), wall(21)), before);
    // The other place counts from now on, and the old one does not.
    stage.figures.identity_mismatch = Some(true);
    stage.round(30);
    assert_eq!(stage.reason(30, "identity"), PASS);
    let sample = told(31, PRIMARY, None);
    let seen = Compared {
        sample: &sample,
        of_primary: true,
        primary: None,
        write_rate: None,
        set: &stage.set,
    };
    stage.group.compare(PairKey(77), &stage.figures, seen);
    assert_eq!(stage.reason(31, "identity"), fails(CheckReason::Identity));
}

#[test]
fn a_group_that_changes_elsewhere_keeps_what_is_known_of_its_checks() {
    let mut stage = Stage::ready();
    let before = stage.report(21);
    let mut next = brief(database());
    next.group.standbys.insert(0, "c".into());
    next.group.holds.push(Hold {
        standby: Some("c".into()),
        reason: "disk".into(),
        until: wall(1_000),
    });
    for probe in &mut next.probes {
        probe.standbys.insert(0, Vec::new());
        probe.tls.insert(0, false);
        if !probe.pairs.is_empty() {
            probe.pairs.insert(0, PairKey(9));
        }
    }
    next.probes.swap(0, 1);
    next.probes[0].standbys[1].reverse();
    stage.succeed(next, 21);
    let report = stage.group.report(at(21), wall(21));
    assert_eq!(&*report.standbys[0].standby, "c");
    assert_eq!(report.standbys[0].state, ReadyState::Unknown);
    assert_eq!(report.standbys[0].holds.len(), 1);
    assert_eq!(report.standbys[1], before);
}

#[test]
fn a_hold_that_is_new_holds_at_once() {
    let mut checks = database();
    checks.push(check("", "hold", CheckKind::Hold, &[]));
    let mut stage = Stage::new(checks.clone());
    stage.round(10);
    stage.round(20);
    stage.group.tick(at(20), wall(20));
    assert_eq!(stage.report(20).state, ReadyState::Ready);
    let mut next = brief(checks);
    next.group.holds.push(Hold {
        standby: None,
        reason: "disk".into(),
        until: wall(1_000),
    });
    stage.succeed(next, 21);
    assert_eq!(stage.report(21).state, ReadyState::NotReady);
    assert_eq!(stage.reason(21, "hold"), fails(CheckReason::Hold));
}

#[test]
fn what_was_seen_of_a_standbys_target_says_nothing_of_another_one() {
    let mut stage = Stage::ready();
    let mut next = brief(database());
    next.probes[0].standbys = vec![vec![TargetKey(50)]];
    stage.succeed(next, 21);
    let report = stage.report(21);
    assert_eq!(report.state, ReadyState::Unknown);
    let all = said(&report);
    assert!(
        all.iter().all(|(_, state)| *state == CheckState::Unknown),
        "{all:?}"
    );
    assert_eq!((report.rpo_seconds, report.last_sight), (None, None));
    let reachable = stage.answer(21, "reachable");
    assert_eq!(reachable.last_conclusive_timestamp_seconds, None);
    // What was counted is not forgotten: it passed, and is unknown now.
    assert_eq!(reachable.transitions, [1, 0, 1, 0, 0]);
}

#[test]
fn without_the_target_that_served_only_the_standby_itself_is_known() {
    let mut stage = Stage::ready();
    let mut next = brief(database());
    next.probes[0].primary = vec![TargetKey(50)];
    stage.succeed(next, 21);
    for (name, state) in said(&stage.report(21)) {
        let known = matches!(name, "reachable" | "role");
        let expected = if known {
            CheckState::Pass
        } else {
            CheckState::Unknown
        };
        assert_eq!(state, expected, "{name}");
    }
    assert_eq!(stage.report(21).rpo_seconds, None);
    assert_eq!(stage.report(21).last_sight, None);
}

#[test]
fn a_check_with_another_limit_has_to_pass_it() {
    let mut stage = Stage::ready();
    let mut checks = database();
    let lag = checks.iter_mut().find(|check| &*check.name == "lag");
    let bound = lag.and_then(|lag| lag.bound.as_mut());
    bound.expect("a bound").limit = 1.0;
    stage.succeed(brief(checks), 21);
    let report = stage.report(21);
    for (name, state) in said(&report) {
        let expected = if name == "lag" {
            CheckState::Unknown
        } else {
            CheckState::Pass
        };
        assert_eq!(state, expected, "{name}");
    }
    assert_eq!(stage.reason(21, "lag"), unknown(CheckReason::NotSeen));
    stage.round(30);
    assert_eq!(stage.reason(30, "lag"), PASS);
}

#[test]
fn what_happened_and_how_often_the_ranks_changed_goes_on() {
    let mut stage = Stage::ready();
    for second in 21..60 {
        stage.group.tick(at(second), wall(second));
        if second % 10 == 0 {
            stage.round(second);
        }
    }
    let ranked = stage.report(59).rank;
    assert_eq!(ranked, Some(1));
    let order = DrillOrder::Start(crate::model::DrillStart {
        id: "1".to_owned(),
        group: "g".to_owned(),
        kind: DrillKind::Failover,
        note: None,
        for_seconds: 600.0,
    });
    stage.group.drill(&order, at(59), wall(59)).expect("begins");
    let before = stage.group.past().figures();
    let mut next = brief(database());
    next.group.assumed.decide = Duration::from_secs(1);
    stage.succeed(next, 60);
    assert_eq!(stage.group.past().figures(), before);
    assert_eq!(stage.report(60).rank, ranked);
    let mut next = brief(database());
    next.group.standbys = vec!["z".into()];
    stage.succeed(next, 61);
    assert_eq!(
        stage.report(61).rank,
        None,
        "of another standby it is not told"
    );
    assert_eq!(stage.group.past().figures(), before);
}
