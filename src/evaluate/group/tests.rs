use std::num::NonZeroU32;

use proptest::prelude::*;

use super::test_samples::{at, failed, ok, wall, with_facts};
use super::*;
use crate::model::{
    Assumed, Beyond, Bound, CheckKind, CheckReason, CheckReport, CheckState, DatabaseFacts, Facts,
    GateKind, Hold, Link, Objectives, PlannedCheck, PlannedRanking, Promotability, ReadyState,
    Reason, Role, StandbyReport, TlsFacts, Unit, Withheld,
};

const PRIMARY: TargetKey = TargetKey(0);
const STANDBY: TargetKey = TargetKey(1);
const WEB: [TargetKey; 3] = [TargetKey(2), TargetKey(3), TargetKey(4)];
const PAIR: PairKey = PairKey(0);

fn check(
    probe: &str,
    name: &str,
    kind: CheckKind,
    parents: &'static [&'static str],
) -> PlannedCheck {
    PlannedCheck {
        name: name.into(),
        probe: probe.into(),
        kind,
        bound: None,
        gate: GateKind::Hard,
        rise: NonZeroU32::MIN,
        fall: NonZeroU32::MIN,
        parents,
    }
}

fn above(limit: f64, unit: Unit, check: PlannedCheck) -> PlannedCheck {
    let bound = Bound {
        beyond: Beyond::Above,
        unit,
        limit,
        warn: None,
    };
    PlannedCheck {
        bound: Some(bound),
        ..check
    }
}

/// A database and a service with two targets in the standby's region, each looked at every 10 s.
fn brief(checks: Vec<PlannedCheck>) -> Brief {
    let witness =
        |name: &str, kind, primary: TargetKey, standby: &[TargetKey], pairs: &[PairKey]| Witness {
            expected: false,
            name: name.into(),
            kind,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            primary: vec![primary],
            standbys: vec![standby.to_vec()],
            tls: vec![false],
            pairs: pairs.to_vec(),
        };
    let group = PlannedGroup {
        discovered: Vec::new(),
        name: "g".into(),
        primary: "a".into(),
        standbys: vec!["b".into()],
        vantages: 1,
        databases: Vec::new(),
        objectives: Objectives {
            rpo: Some(Duration::from_secs(5)),
            rto: None,
        },
        preference: Vec::new(),
        ranking: PlannedRanking {
            probe: None,
            quantile: crate::model::ranking::Quantile::Median,
            interval: Duration::from_secs(10),
            targets: Vec::new(),
        },
        holds: Vec::new(),
        assumed: Assumed::default(),
        block: Duration::from_hours(1),
        user_path: None,
        checks,
    };
    Brief {
        group,
        source_region: "here".into(),
        user_path: Vec::new(),
        probes: vec![
            witness("db", "postgres", PRIMARY, &[STANDBY], &[PAIR]),
            witness("web", "http", WEB[0], &WEB[1..], &[]),
        ],
    }
}

fn database() -> Vec<PlannedCheck> {
    vec![
        check("db", "reachable", CheckKind::Reachable, &[]),
        check("db", "identity", CheckKind::Identity, &["reachable"]),
        check(
            "db",
            "single_primary",
            CheckKind::SinglePrimary,
            &["reachable"],
        ),
        check("db", "role", CheckKind::Role, &["reachable"]),
        above(
            45.0,
            Unit::Seconds,
            check("db", "link", CheckKind::Link, &["role"]),
        ),
        above(
            1000.0,
            Unit::Bytes,
            check(
                "db",
                "loss",
                CheckKind::LossBytes {
                    writes: Some(Duration::from_secs(10)),
                },
                &["link"],
            ),
        ),
        above(
            5.0,
            Unit::Seconds,
            check("db", "lag", CheckKind::Lag, &["link"]),
        ),
        above(
            5.0,
            Unit::Seconds,
            check("db", "canary", CheckKind::Canary, &["link"]),
        ),
        check("db", "config", CheckKind::Config, &["reachable"]),
    ]
}

fn of(target: TargetKey, sample: Sample) -> Sample {
    Sample { target, ..sample }
}

/// What a server tells at a second.
fn facts(second: u32, role: Role) -> ReplicationFacts {
    let mut facts = ReplicationFacts::new(at(second), at(second));
    facts.role = role;
    facts.writable = Some(role == Role::Primary);
    if role == Role::Standby {
        facts.link = Some(Link {
            up: Some(true),
            silence: Some(Duration::from_secs(1)),
            initial_sync: false,
        });
    }
    facts
}

fn told(second: u32, target: TargetKey, facts: Option<ReplicationFacts>) -> Sample {
    let database = DatabaseFacts {
        replication: facts.map(Box::new),
        canary: Some(crate::model::CanaryFacts {
            seen: crate::model::Sighting {
                asked: at(second),
                answered: at(second),
                mark: Ok(None),
            },
            write: None,
        }),
        ..DatabaseFacts::default()
    };
    let facts = Facts {
        database: Some(Box::new(database)),
        ..Facts::default()
    };
    of(target, with_facts(at(second), facts))
}

/// A pair with nothing wrong.
fn good() -> PairFigures {
    PairFigures {
        loss_bytes: Some(100),
        apply_bytes: Some(0),
        lag_ring: Some(Duration::ZERO),
        lag_canary: Some(Duration::ZERO),
        rpo_seconds: Some(Duration::from_secs(1)),
        identity_mismatch: Some(false),
        lower_limits: Some(Vec::new()),
        ..PairFigures::default()
    }
}

struct Stage {
    group: Group,
    figures: PairFigures,
    set: SetFigures,
    write_rate: Option<f64>,
}

impl Stage {
    fn new(checks: Vec<PlannedCheck>) -> Self {
        Self {
            group: Group::new(brief(checks), at(0)).expect("in order"),
            figures: good(),
            set: SetFigures {
                writable: 1,
                ..SetFigures::default()
            },
            write_rate: None,
        }
    }

    /// A run of the standby's database, and what it is beside the primary.
    fn standby(&mut self, sample: &Sample) {
        self.group.observe(sample);
        self.compare(sample, None, false);
    }

    /// A run of the primary's database.
    fn primary(&mut self, sample: &Sample, facts: Option<&ReplicationFacts>) {
        self.group.observe(sample);
        self.compare(sample, facts, true);
    }

    fn compare(&mut self, sample: &Sample, primary: Option<&ReplicationFacts>, of_primary: bool) {
        let seen = Compared {
            sample,
            of_primary,
            primary,
            write_rate: self.write_rate,
            set: &self.set,
        };
        self.group.compare(PAIR, &self.figures, seen);
    }

    /// Both are looked at, with nothing wrong.
    fn round(&mut self, second: u32) {
        self.standby(&told(second, STANDBY, Some(facts(second, Role::Standby))));
        let primary = facts(second, Role::Primary);
        self.primary(
            &told(second, PRIMARY, Some(primary.clone())),
            Some(&primary),
        );
    }

    fn report(&self, second: u32) -> StandbyReport {
        let mut report = self.group.report(at(second), wall(second));
        report.standbys.remove(0)
    }

    fn answer(&self, second: u32, check: &str) -> CheckReport {
        let report = self.report(second);
        let mut checks = report.checks.into_iter();
        checks.find(|of| *of.check == *check).expect("it is asked")
    }

    fn reason(&self, second: u32, check: &str) -> (CheckState, Option<CheckReason>) {
        let answer = self.answer(second, check);
        (answer.state, answer.reason)
    }
}

const PASS: (CheckState, Option<CheckReason>) = (CheckState::Pass, None);

fn fails(reason: CheckReason) -> (CheckState, Option<CheckReason>) {
    (CheckState::Fail, Some(reason))
}

fn unknown(reason: CheckReason) -> (CheckState, Option<CheckReason>) {
    (CheckState::Unknown, Some(reason))
}

#[test]
fn a_standby_is_unknown_until_it_was_seen_and_again_when_it_was_not_for_long() {
    let mut stage = Stage::new(database());
    assert_eq!(stage.report(0).state, ReadyState::Unknown);
    stage.round(10);
    stage.round(20);
    let report = stage.report(20);
    assert_eq!(report.state, ReadyState::Ready, "{:?}", report.reasons);
    assert_eq!(report.rpo_seconds, Some(1.0));
    // Three intervals and a timeout later, whoever asks.
    assert_eq!(stage.report(53).state, ReadyState::Ready);
    assert_eq!(stage.report(54).state, ReadyState::Unknown);
    let figures = |second| {
        let report = stage.report(second);
        (report.rpo_seconds, report.rpo_bytes, report.rto_seconds)
    };
    assert_eq!(figures(53), (Some(1.0), Some(100), Some(343.0)));
    assert_eq!(figures(54), (None, None, None));
    assert_eq!(stage.answer(54, "reachable").state, CheckState::Stale);
}

/// A check, what it is to say, and how that comes about.
type Case = (&'static str, CheckReason, fn(&mut Stage));

#[test]
fn what_is_bad_is_told_with_its_reason_its_figure_and_its_limit() {
    let cases: [Case; 8] = [
        ("identity", CheckReason::Identity, |s| {
            s.figures.identity_mismatch = Some(true);
        }),
        ("single_primary", CheckReason::SplitBrain, |s| {
            s.set.writable = 2;
        }),
        ("single_primary", CheckReason::Role, |s| s.set.writable = 0),
        ("loss", CheckReason::Threshold, |s| {
            s.figures.loss_bytes = Some(1001);
        }),
        ("lag", CheckReason::Threshold, |s| {
            s.figures.lag_ring = Some(Duration::from_secs(6));
        }),
        ("canary", CheckReason::Filtered, |s| {
            s.figures.rpo_seconds = Some(Duration::from_secs(6));
        }),
        ("canary", CheckReason::Threshold, |s| {
            s.figures.rpo_seconds = Some(Duration::from_secs(6));
            s.figures.lag_ring = Some(Duration::from_secs(3));
        }),
        ("config", CheckReason::Mismatch, |s| {
            s.figures.lower_limits = Some(vec!["max_connections"]);
        }),
    ];
    for (name, reason, spoil) in cases {
        let mut stage = Stage::new(database());
        stage.round(10);
        stage.round(20);
        spoil(&mut stage);
        stage.round(30);
        assert_eq!(stage.reason(30, name), fails(reason), "{name}");
        let report = stage.report(30);
        assert_eq!(report.state, ReadyState::NotReady, "{name}");
        let told: Vec<_> = report.reasons.iter().map(|of| &*of.check).collect();
        assert_eq!(told, [name], "one cause is told once");
    }
    let mut stage = Stage::new(database());
    stage.figures.loss_bytes = Some(1001);
    stage.round(10);
    let loss = stage.answer(10, "loss");
    assert_eq!((loss.value, loss.threshold), (Some(1001.0), Some(1000.0)));
    assert_eq!(
        loss.last_conclusive_timestamp_seconds,
        Some(1_800_000_010.0)
    );
}

#[test]
fn what_is_not_told_is_unknown() {
    let cases: [Case; 5] = [
        ("identity", CheckReason::NoValue, |s| {
            s.figures.identity_mismatch = None;
        }),
        ("loss", CheckReason::NoValue, |s| {
            s.figures.loss_bytes = None;
        }),
        ("lag", CheckReason::NoPrimary, |s| s.figures.lag_ring = None),
        ("canary", CheckReason::Writer, |s| {
            s.figures.lag_canary = None;
        }),
        ("config", CheckReason::NoValue, |s| {
            s.figures.lower_limits = None;
        }),
    ];
    for (name, reason, take) in cases {
        let mut stage = Stage::new(database());
        take(&mut stage);
        stage.round(10);
        assert_eq!(stage.reason(10, name), unknown(reason), "{name}");
        assert_eq!(stage.report(10).state, ReadyState::Unknown, "{name}");
    }
}

#[test]
fn a_busy_primary_may_have_more_that_the_standby_has_not_received() {
    let mut stage = Stage::new(database());
    stage.figures.loss_bytes = Some(9000);
    stage.write_rate = Some(1000.0);
    stage.round(10);
    let loss = stage.answer(10, "loss");
    assert_eq!(
        (loss.state, loss.threshold),
        (CheckState::Pass, Some(10_000.0))
    );
}

#[test]
fn what_the_standby_says_of_itself_is_judged() {
    let link = |up, silence: Option<u64>, initial_sync| Link {
        up,
        silence: silence.map(Duration::from_secs),
        initial_sync,
    };
    for (role, of_link, name, expected) in [
        (Role::Primary, None, "role", fails(CheckReason::Role)),
        (Role::Unknown, None, "role", unknown(CheckReason::NoValue)),
        (Role::Standby, None, "link", fails(CheckReason::LinkDown)),
        (
            Role::Standby,
            Some(link(Some(false), Some(1), false)),
            "link",
            fails(CheckReason::LinkDown),
        ),
        (
            Role::Standby,
            Some(link(Some(true), Some(46), false)),
            "link",
            fails(CheckReason::Silent),
        ),
        (
            Role::Standby,
            Some(link(Some(true), Some(45), false)),
            "link",
            PASS,
        ),
        (
            Role::Standby,
            Some(link(Some(true), None, false)),
            "link",
            PASS,
        ),
        (
            Role::Standby,
            Some(link(None, None, false)),
            "link",
            unknown(CheckReason::NoValue),
        ),
        (
            Role::Standby,
            Some(link(Some(false), None, true)),
            "link",
            fails(CheckReason::InitialSync),
        ),
    ] {
        let mut stage = Stage::new(database());
        let mut said = facts(20, role);
        said.link = of_link;
        stage.standby(&told(20, STANDBY, Some(said)));
        assert_eq!(stage.reason(20, name), expected, "{role:?} {of_link:?}");
    }
}

#[test]
fn a_missing_grant_is_named() {
    let mut stage = Stage::new(database());
    stage.round(10);
    let mut sample = told(20, STANDBY, None);
    let Ok(reply) = &mut sample.outcome else {
        panic!("it succeeded")
    };
    if let Some(database) = &mut reply.facts.database {
        database.withheld = Some(Withheld::Permission);
    }
    let fresh = Stage::new(database());
    for stage in [&mut stage, &mut { fresh }] {
        stage.standby(&sample);
    }
    // What was seen 10 s ago still holds; a minute later the missing grant is what is left.
    assert_eq!(stage.reason(20, "role"), PASS);
    for second in [30, 40, 50] {
        let mut again = sample.clone();
        (again.ended, again.at) = (at(second), wall(second));
        stage.standby(&again);
    }
    assert_eq!(stage.reason(50, "role"), unknown(CheckReason::Permission));
}

#[test]
fn a_primary_that_only_this_vantage_misses_is_not_lost() {
    for (silence, sight, state) in [
        (1, Sight::OneSided, ReadyState::Unknown),
        (60, Sight::Lost, ReadyState::PrimaryLost),
    ] {
        let mut stage = Stage::new(database());
        stage.round(10);
        stage.round(20);
        assert_eq!(stage.report(20).primary_sight, Sight::Seen);
        stage.figures = PairFigures::default();
        for second in [30, 40, 50, 60] {
            let mut said = facts(second, Role::Standby);
            let up = Some(true);
            said.link = Some(Link {
                up,
                silence: Some(Duration::from_secs(silence)),
                initial_sync: false,
            });
            stage.standby(&told(second, STANDBY, Some(said)));
            stage.primary(
                &of(PRIMARY, failed(at(second), Reason::TimeoutConnect)),
                None,
            );
        }
        let report = stage.report(60);
        assert_eq!((report.primary_sight, report.state), (sight, state));
        let why = report.reasons.iter().map(|check| check.reason);
        let cut_off = why.clone().any(|why| why == Some(CheckReason::OneSided));
        assert_eq!(
            cut_off,
            sight == Sight::OneSided,
            "{:?}",
            why.collect::<Vec<_>>()
        );
        let last = report.last_sight.expect("both were seen");
        assert_eq!(Some(last.timestamp_seconds), Some(1_800_000_020.0));
        assert_eq!((last.rpo_seconds, last.loss_bytes), (Some(1.0), Some(100)));
        let promotion = if sight == Sight::Lost {
            Promotability::Viable
        } else {
            Promotability::Unknown
        };
        assert_eq!(report.promotion, promotion);
    }
}

#[test]
fn a_loss_beyond_the_objective_is_frozen_and_no_promotion_is_viable() {
    let mut stage = Stage::new(database());
    stage.figures.rpo_seconds = Some(Duration::from_secs(7));
    stage.round(10);
    stage.figures = PairFigures {
        rpo_seconds: Some(Duration::ZERO),
        ..PairFigures::default()
    };
    for second in [20, 30, 40] {
        let mut said = facts(second, Role::Standby);
        said.link = None;
        stage.standby(&told(second, STANDBY, Some(said)));
        stage.primary(&of(PRIMARY, failed(at(second), Reason::Refused)), None);
    }
    let report = stage.report(40);
    assert_eq!(report.state, ReadyState::PrimaryLost);
    assert_eq!(report.promotion, Promotability::NotViable);
}

#[test]
fn a_primary_that_answers_now_and_then_is_not_lost() {
    // Whether it answers, run by run, and how it is seen after the last one.
    for (runs, sight) in [
        ("ooxxx", Sight::Lost),
        ("ooxxxo", Sight::Unclear),
        ("ooxxxox", Sight::Unclear),
        ("ooxxxoxxx", Sight::Lost),
        ("ooxxxoo", Sight::Seen),
        // It wavered, and is slowly believed again.
        ("xxxooxxxooxxxoo", Sight::Unclear),
        ("xxxooxxxooxxxooxxx", Sight::Lost),
    ] {
        let mut stage = Stage::new(database());
        let mut second = 0;
        for answers in runs.chars() {
            second += 10;
            let mut said = facts(second, Role::Standby);
            said.link = None;
            stage.standby(&told(second, STANDBY, Some(said)));
            let sample = match answers {
                'o' => told(second, PRIMARY, Some(facts(second, Role::Primary))),
                _ => of(PRIMARY, failed(at(second), Reason::TimeoutConnect)),
            };
            stage.group.observe(&sample);
        }
        let report = stage.report(second);
        assert_eq!(report.primary_sight, sight, "{runs}");
        assert_eq!(
            report.state == ReadyState::PrimaryLost,
            sight == Sight::Lost
        );
    }
}

#[test]
fn a_standby_of_another_cluster_is_no_witness_and_was_never_seen_beside_the_primary() {
    for silence in [1, 60] {
        let mut stage = Stage::new(database());
        stage.round(10);
        stage.figures = PairFigures {
            identity_mismatch: Some(true),
            ..PairFigures::default()
        };
        stage.round(20);
        // Nobody can tell any more once the primary is gone.
        stage.figures = PairFigures::default();
        for second in [30, 40, 50] {
            let mut said = facts(second, Role::Standby);
            said.link = Some(Link {
                up: Some(true),
                silence: Some(Duration::from_secs(silence)),
                initial_sync: false,
            });
            stage.standby(&told(second, STANDBY, Some(said)));
            stage.primary(&of(PRIMARY, failed(at(second), Reason::Refused)), None);
        }
        let report = stage.report(50);
        assert_eq!(report.primary_sight, Sight::Unwitnessed, "{silence}");
        assert_eq!(report.last_sight, None);
    }
}

#[test]
fn a_canary_that_was_never_seen_is_missed_and_its_writer_is_not_at_fault() {
    for (lag, expected) in [
        (4, unknown(CheckReason::NoValue)),
        (6, fails(CheckReason::Filtered)),
    ] {
        let mut stage = Stage::new(database());
        stage.figures.lag_canary = Some(Duration::from_secs(lag));
        stage.figures.rpo_seconds = None;
        stage.round(10);
        assert_eq!(stage.reason(10, "canary"), expected);
    }
}

#[test]
fn a_lag_that_may_be_longer_is_never_short_enough() {
    for (lag, expected) in [
        (1, unknown(CheckReason::Undecided)),
        (6, fails(CheckReason::Threshold)),
    ] {
        let mut stage = Stage::new(database());
        stage.figures.lag_ring = Some(Duration::from_secs(lag));
        stage.figures.lag_ring_at_least = true;
        stage.figures.rpo_seconds = None;
        stage.round(10);
        stage.round(20);
        assert_eq!(stage.reason(20, "lag"), expected);
        let report = stage.report(20);
        assert_eq!(report.rpo_seconds, None);
        assert_eq!(report.last_sight.and_then(|last| last.rpo_seconds), None);
    }
}

#[test]
fn what_a_primary_wrote_without_the_standby_is_not_known_to_be_within_the_objective() {
    for (objective, alone, promotion) in [
        (5, &[][..], Promotability::Viable),
        (5, &[30], Promotability::Unknown),
        (60, &[30], Promotability::Viable),
        (60, &[30, 40, 50, 60, 70, 80], Promotability::Unknown),
    ] {
        let mut stage = Stage::new(database());
        let mut brief = brief(database());
        brief.group.objectives.rpo = Some(Duration::from_secs(objective));
        stage.group = Group::new(brief, at(0)).expect("in order");
        stage.round(10);
        stage.round(20);
        stage.figures = PairFigures::default();
        for &second in alone {
            let primary = facts(second, Role::Primary);
            let sample = told(second, PRIMARY, Some(primary.clone()));
            stage.primary(&sample, Some(&primary));
        }
        // The standby comes back when the primary is gone.
        for second in [90, 100, 110] {
            let mut said = facts(second, Role::Standby);
            said.link = None;
            stage.standby(&told(second, STANDBY, Some(said)));
            stage.primary(&of(PRIMARY, failed(at(second), Reason::Refused)), None);
        }
        let report = stage.report(110);
        assert_eq!(report.state, ReadyState::PrimaryLost);
        let last = report.last_sight.expect("both were seen");
        assert_eq!(Some(last.timestamp_seconds), Some(1_800_000_020.0));
        assert_eq!(report.promotion, promotion, "{objective} {alone:?}");
    }
}

#[test]
fn after_a_failover_the_question_is_asked_of_the_new_primary() {
    let other = TargetKey(5);
    let mut brief = brief(database());
    brief.group.standbys.push("c".into());
    brief.probes.truncate(1);
    brief.probes[0].standbys.push(vec![other]);
    brief.probes[0].tls.push(false);
    brief.probes[0].pairs.push(PairKey(1));
    let mut stage = Stage::new(database());
    stage.group = Group::new(brief, at(0)).expect("in order");
    for second in [10, 20, 30, 40] {
        // The configured primary is gone; the first standby serves, and the second one follows it.
        let gone = of(PRIMARY, failed(at(second), Reason::Refused));
        stage.group.observe(&gone);
        let follows = told(second, other, Some(facts(second, Role::Standby)));
        let serving = facts(second, Role::Primary);
        let serves = told(second, STANDBY, Some(serving.clone()));
        for (sample, of_primary) in [(&follows, false), (&serves, true)] {
            stage.group.observe(sample);
            let seen = Compared {
                sample,
                of_primary,
                primary: Some(&serving),
                write_rate: None,
                set: &stage.set,
            };
            stage.group.compare(PairKey(1), &stage.figures, seen);
        }
    }
    let standbys = stage.group.report(at(40), wall(40)).standbys;
    assert_eq!(standbys[0].state, ReadyState::NotReady, "it is the primary");
    assert_eq!(
        standbys[1].state,
        ReadyState::Ready,
        "{:?}",
        standbys[1].reasons
    );
    assert_eq!(standbys[1].primary_sight, Sight::Seen);
}

/// A group with a second database and a second standby: `db` and `cache`, in the regions a (the
/// primary's), b and c. A target's key is 3 times its database's place and its region's.
struct Two {
    group: Group,
}

const DATABASES: [&str; 2] = ["db", "cache"];

impl Two {
    fn new() -> Self {
        let mut brief = brief(vec![
            check("db", "reachable", CheckKind::Reachable, &[]),
            check("cache", "reachable", CheckKind::Reachable, &[]),
        ]);
        brief.group.standbys.push("c".into());
        brief.probes = DATABASES
            .into_iter()
            .zip(0..)
            .map(|(name, place)| Witness {
                expected: false,
                name: name.into(),
                kind: "postgres",
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(3),
                primary: vec![TargetKey(3 * place)],
                standbys: vec![
                    vec![TargetKey(3 * place + 1)],
                    vec![TargetKey(3 * place + 2)],
                ],
                tls: vec![false; 2],
                pairs: vec![PairKey(2 * place), PairKey(2 * place + 1)],
            })
            .collect();
        Self {
            group: Group::new(brief, at(0)).expect("in order"),
        }
    }

    /// A round of a database: whether its primary answers, the silence of each standby's link, and
    /// what each would lose.
    fn round(
        &mut self,
        second: u32,
        place: u32,
        answers: bool,
        silence: [u64; 2],
        lag: [Option<u64>; 2],
    ) {
        for (standby, silence) in (1..).zip(silence) {
            let mut said = facts(second, Role::Standby);
            said.link = Some(Link {
                up: Some(true),
                silence: Some(Duration::from_secs(silence)),
                initial_sync: false,
            });
            self.group
                .observe(&told(second, TargetKey(3 * place + standby), Some(said)));
        }
        let target = TargetKey(3 * place);
        let serving = facts(second, Role::Primary);
        let sample = if answers {
            told(second, target, Some(serving.clone()))
        } else {
            of(target, failed(at(second), Reason::Refused))
        };
        self.group.observe(&sample);
        for (standby, lag) in (0..).zip(lag) {
            let figures = PairFigures {
                lag_ring: lag.map(Duration::from_secs),
                loss_bytes: Some(lag.map_or(50, |lag| 100 * lag)),
                ..PairFigures::default()
            };
            let seen = Compared {
                sample: &sample,
                of_primary: true,
                primary: answers.then_some(&serving),
                write_rate: None,
                set: &SetFigures::default(),
            };
            self.group
                .compare(PairKey(2 * place + standby), &figures, seen);
        }
    }

    fn reports(&self, second: u32) -> [StandbyReport; 2] {
        let standbys = self.group.report(at(second), wall(second)).standbys;
        standbys.try_into().expect("two")
    }
}

#[test]
fn a_group_has_lost_its_primary_as_soon_as_one_of_its_databases_has() {
    let mut two = Two::new();
    for second in [10, 20, 30, 40] {
        two.round(second, 0, true, [1, 1], [Some(0), Some(0)]);
        two.round(second, 1, second == 10, [60, 60], [None, None]);
    }
    let sights = two.reports(40).map(|report| report.primary_sight);
    assert_eq!(sights, [Sight::Lost, Sight::Lost]);
}

#[test]
fn one_standby_that_hears_the_primary_is_enough_to_know_that_it_lives() {
    for (silence, sights) in [
        ([60, 1], [Sight::OneSided, Sight::OneSided]),
        ([60, 60], [Sight::Lost, Sight::Lost]),
    ] {
        let mut two = Two::new();
        for second in [10, 20, 30, 40] {
            two.round(second, 0, second == 10, silence, [None, None]);
            two.round(second, 1, true, [1, 1], [Some(0), Some(0)]);
        }
        let seen = two.reports(40).map(|report| report.primary_sight);
        assert_eq!(seen, sights, "{silence:?}");
    }
}

#[test]
fn what_a_group_would_lose_is_what_its_worst_database_would() {
    let mut two = Two::new();
    two.round(10, 0, true, [1, 1], [Some(2), Some(7)]);
    let [b, c] = two.reports(10);
    assert_eq!(
        (b.rpo_seconds, c.rpo_seconds),
        (None, None),
        "of one it is not known"
    );
    assert_eq!(b.last_sight, None);
    two.round(20, 1, true, [1, 1], [Some(3), Some(5)]);
    let [b, c] = two.reports(20);
    assert_eq!((b.rpo_seconds, c.rpo_seconds), (Some(3.0), Some(7.0)));
    assert_eq!((b.rpo_bytes, c.rpo_bytes), (Some(500), Some(1200)));
    let last = c.last_sight.expect("all were seen");
    assert_eq!(Some(last.timestamp_seconds), Some(1_800_000_010.0));
    assert_eq!((last.rpo_seconds, last.loss_bytes), (Some(7.0), Some(1200)));
    two.round(30, 1, true, [1, 1], [None, Some(5)]);
    let last = two.reports(30)[0].last_sight.expect("all were seen");
    assert_eq!(last.rpo_seconds, None, "of one it is not known");
}

#[test]
fn faults_of_this_daemon_are_no_fault_of_the_primary() {
    let mut stage = Stage::new(database());
    stage.round(10);
    for second in [20, 30, 40, 50] {
        stage.standby(&told(second, STANDBY, Some(facts(second, Role::Standby))));
        stage.primary(
            &of(PRIMARY, failed(at(second), Reason::LocalResources)),
            None,
        );
    }
    assert_eq!(stage.report(50).primary_sight, Sight::Unclear);
    assert_eq!(stage.report(50).state, ReadyState::Unknown);
}

#[test]
fn the_worst_target_of_a_region_counts_and_one_that_is_not_seen_is_not_good() {
    let checks = vec![check("web", "healthy", CheckKind::Healthy, &[])];
    let mut stage = Stage::new(checks);
    let mut run = |second, place: usize, good: bool| {
        let sample = if good {
            ok(at(second), 3)
        } else {
            failed(at(second), Reason::Status)
        };
        stage.group.observe(&of(WEB[place], sample));
        stage.reason(second, "healthy")
    };
    assert_eq!(run(10, 1, true), unknown(CheckReason::NotSeen));
    assert_eq!(run(11, 2, true), unknown(CheckReason::NotSeen));
    assert_eq!(run(20, 1, true), PASS);
    assert_eq!(
        run(21, 2, false),
        PASS,
        "the first one's run closes the round"
    );
    assert_eq!(run(30, 1, true), fails(CheckReason::Answer));
    // The primary's service is not the standby's.
    assert_eq!(run(31, 0, false), fails(CheckReason::Answer));
    assert_eq!(run(41, 2, true), fails(CheckReason::Answer));
    assert_eq!(run(42, 1, true), PASS);
}

#[test]
fn a_version_may_differ_for_a_while_and_no_longer() {
    let version = check("web", "version", CheckKind::Version, &[]);
    let mut stage = Stage::new(vec![above(900.0, Unit::Seconds, version)]);
    let mut run = |second, place: usize, version: &str| {
        let facts = Facts {
            version: Some(version.into()),
            ..Facts::default()
        };
        stage
            .group
            .observe(&of(WEB[place], with_facts(at(second), facts)));
        stage.answer(second, "version")
    };
    run(1, 2, "1");
    assert_eq!(run(2, 1, "1").reason, Some(CheckReason::NoPrimary));
    run(3, 0, "1");
    run(12, 2, "1");
    assert_eq!(run(12, 1, "1").state, CheckState::Pass);
    for (second, state) in [
        (20, CheckState::Pass),
        (920, CheckState::Pass),
        (921, CheckState::Fail),
    ] {
        run(second, 0, "2");
        run(second, 2, "1");
        let answer = run(second, 1, "1");
        assert_eq!(
            (answer.state, answer.value),
            (state, Some(f64::from(second - 20)))
        );
    }
    run(930, 2, "2");
    run(930, 0, "2");
    assert_eq!(run(930, 1, "2").value, Some(0.0));
}

#[test]
fn no_target_hides_behind_another_of_its_region() {
    let over = Duration::from_mins(5);
    let version = check("web", "version", CheckKind::Version, &[]);
    let loss = check("web", "loss", CheckKind::PacketLoss { over }, &[]);
    let mut stage = Stage::new(vec![
        above(900.0, Unit::Seconds, version),
        above(0.6, Unit::Ratio, loss),
    ]);
    let run = |stage: &mut Stage, second, place: usize, version: &str| {
        let facts = Facts {
            version: Some(version.into()),
            ..Facts::default()
        };
        let sample = with_facts(at(second), facts);
        stage.group.observe(&of(WEB[place], sample));
    };
    // One of them stays at another version than the primary.
    for second in (10..=920).step_by(10) {
        run(&mut stage, second, 0, "2");
        run(&mut stage, second, 2, "2");
        run(&mut stage, second, 1, "1");
    }
    assert_eq!(stage.reason(920, "version"), fails(CheckReason::Mismatch));
    // One of them does not answer any more.
    for second in (1000..=1400).step_by(10) {
        run(&mut stage, second, 2, "2");
        let failed = failed(at(second), Reason::Status);
        stage.group.observe(&of(WEB[1], failed));
    }
    assert_eq!(stage.reason(1400, "loss"), fails(CheckReason::Threshold));
}

#[test]
fn a_certificate_is_judged_by_the_time_that_its_chain_has_left() {
    let certificate = check("web", "certificate", CheckKind::Certificate, &[]);
    let bound = Bound {
        beyond: Beyond::Below,
        unit: Unit::Seconds,
        limit: 100.0,
        warn: None,
    };
    let certificate = PlannedCheck {
        bound: Some(bound),
        ..certificate
    };
    let mut brief = brief(vec![certificate]);
    brief.probes[1].standbys[0].truncate(1);
    for (tls, leaf, chain, expected) in [
        (false, 200, Some(200), (CheckState::NotApplicable, None)),
        (true, 100, None, PASS),
        (true, 99, None, fails(CheckReason::Certificate)),
        (true, 200, Some(100), PASS),
        (true, 200, Some(99), fails(CheckReason::Certificate)),
        (true, -1, None, fails(CheckReason::Certificate)),
    ] {
        let mut brief = brief.clone();
        brief.probes[1].tls[0] = tls;
        let group = Group::new(brief, at(0)).expect("in order");
        let mut stage = Stage {
            group,
            ..Stage::new(Vec::new())
        };
        let moment = |left: i64| 1_800_000_010 + left;
        let facts = TlsFacts {
            leaf_not_after: Some(moment(leaf)),
            chain_min_not_after: chain.map(moment),
            // The configuration says that nobody asks.
            verified: Some(false),
            ..TlsFacts::default()
        };
        let facts = Facts {
            tls: Some(Box::new(facts)),
            ..Facts::default()
        };
        let sample = of(WEB[1], with_facts(at(10), facts));
        stage.group.observe(&sample);
        assert_eq!(
            stage.reason(10, "certificate"),
            expected,
            "{leaf} {chain:?}"
        );
    }
}

#[test]
fn a_hold_ends_by_itself_and_the_law_does_not() {
    let outside = vec!["b".into()];
    let checks = vec![
        check("", "jurisdiction", CheckKind::Jurisdiction { outside }, &[]),
        check("", "hold", CheckKind::Hold, &[]),
    ];
    let mut brief = brief(checks);
    brief.group.holds.push(Hold {
        standby: Some("b".into()),
        reason: "disk swap".into(),
        until: wall(100),
    });
    let mut group = Group::new(brief, at(0)).expect("in order");
    let mut answers = |second| {
        group.tick(at(second), wall(second));
        let mut report = group.report(at(second), wall(second)).standbys.remove(0);
        let reasons = report
            .checks
            .iter()
            .map(|check| check.reason)
            .collect::<Vec<_>>();
        (reasons, report.holds.pop().map(|hold| hold.kind))
    };
    let law = Some(CheckReason::Jurisdiction);
    assert_eq!(
        answers(99),
        (vec![law, Some(CheckReason::Hold)], Some("maintenance"))
    );
    assert_eq!(answers(100), (vec![law, None], None));
}

#[test]
fn a_check_without_targets_does_not_arise_and_nothing_is_ready_by_nothing() {
    let mut brief = brief(vec![check("web", "healthy", CheckKind::Healthy, &[])]);
    brief.probes[1].standbys = vec![Vec::new()];
    let group = Group::new(brief, at(0)).expect("in order");
    let report = group.report(at(1), wall(1)).standbys.remove(0);
    assert_eq!(report.checks[0].state, CheckState::NotApplicable);
    assert_eq!(report.state, ReadyState::Unknown);
}

#[test]
fn a_check_whose_targets_are_still_to_be_discovered_is_unknown_and_so_is_the_standby() {
    let hold = CheckKind::Hold;
    let mut brief = brief(vec![
        check("web", "healthy", CheckKind::Healthy, &[]),
        check("", "hold", hold, &[]),
    ]);
    brief.probes[1].standbys = vec![Vec::new()];
    let state = |brief: &Brief| {
        let group = Group::new(brief.clone(), at(0)).expect("in order");
        let report = group.report(at(1), wall(1)).standbys.remove(0);
        (report.checks[0].state, report.state)
    };
    assert_eq!(state(&brief).0, CheckState::NotApplicable);
    brief.probes[1].expected = true;
    assert_eq!(state(&brief), (CheckState::Unknown, ReadyState::Unknown));
}

#[test]
fn in_a_tilt_nothing_is_concluded() {
    let mut stage = Stage::new(database());
    stage.round(10);
    stage.round(20);
    let jolt = Jolt {
        until: at(50),
        slept: Duration::ZERO,
    };
    stage.group.tilt(jolt, at(20));
    stage.round(40);
    let report = stage.report(45);
    assert_eq!(
        (report.state, report.primary_sight),
        (ReadyState::Unknown, Sight::Unclear)
    );
    assert_eq!(report.checks[0].reason, Some(CheckReason::Tilt));
    assert_eq!(stage.report(50).state, ReadyState::Ready);
}

#[test]
fn the_estimate_has_the_stages_of_the_group() {
    let mut stage = Stage::new(database());
    stage.figures.apply_bytes = Some(32 * 1024 * 1024);
    stage.round(10);
    let report = stage.report(10);
    let stages: Vec<_> = report
        .rto_stages
        .iter()
        .map(|s| (s.stage, s.seconds))
        .collect();
    assert_eq!(
        stages,
        [
            ("detect", Some(13.0)),
            ("decide", Some(300.0)),
            ("promote", Some(30.0)),
            ("apply", Some(2.0)),
            ("warm", Some(0.0)),
            ("total", Some(345.0)),
        ]
    );
    assert_eq!(report.rto_seconds, Some(345.0));
}

proptest! {
    /// Whatever came before: where the newest look at any gate is too old, nothing is ready.
    #[test]
    fn missing_data_never_gives_ready(rounds in proptest::collection::vec((1_u32..40, 0_u8..6), 0..30)) {
        let mut stage = Stage::new(database());
        let mut now = 0;
        for (gap, what) in rounds {
            now += gap;
            match what {
                0 => stage.standby(&of(STANDBY, failed(at(now), Reason::Refused))),
                1 => stage.primary(&of(PRIMARY, failed(at(now), Reason::Refused)), None),
                2 => stage.figures.lag_ring = None,
                _ => {
                    stage.figures = good();
                    stage.round(now);
                }
            }
            let report = stage.report(now);
            let all_pass = report.checks.iter().all(|check| check.state == CheckState::Pass);
            let ready = report.state == ReadyState::Ready;
            prop_assert_eq!(ready, all_pass && report.primary_sight == Sight::Seen);
            for later in [34, 1000] {
                prop_assert_ne!(stage.report(now + later).state, ReadyState::Ready);
            }
        }
    }
}

mod succession;
