use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::evaluate::{Alerting, Brief, Group, Progress, Runs, Scope, Witness};
use crate::metrics::Own;
use crate::model::ranking::Quantile;
use crate::model::{
    Assumed, Beyond, Bound, CheckKind, CheckReason, CheckState, Facts, Failure, GateKind,
    HistoryTerms, Labels, Laps, Objectives, Observation, PlannedCheck, PlannedGroup,
    PlannedRanking, Reason, Reply, Sample, Severity, Shape, Unit,
};
use crate::rule::{Alerts, Annotations, Health, Pace, PlannedRule, Silences, Timing};

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(3);
const REGIONS: [&str; 4] = ["a", "b", "c", "d"];

type At = std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn origin() -> At {
    static ORIGIN: std::sync::LazyLock<At> = std::sync::LazyLock::new(At::now);
    *ORIGIN
}

fn at(seconds: u64) -> At {
    origin() + Duration::from_secs(seconds)
}

fn wall(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn target(region: &str) -> Target {
    Target {
        probe: "web".into(),
        kind: "http",
        source_region: "here".into(),
        target_region: region.into(),
        name: region.into(),
        address: "192.0.2.1".into(),
        labels: BTreeMap::new(),
    }
}

/// What a run found.
#[derive(Clone, Copy, Debug)]
enum Found {
    Version(u8),
    Down,
    Own,
}

fn sample(key: TargetKey, found: Found, seconds: u64) -> Sample {
    let reply = |version: u8| Reply {
        latencies: smallvec::smallvec![Duration::from_millis(u64::from(version))],
        facts: Facts {
            version: Some(version.to_string().into()),
            ..Facts::default()
        },
    };
    Sample {
        target: key,
        due: at(seconds),
        started: at(seconds),
        ended: at(seconds),
        at: wall(seconds),
        laps: Laps::default(),
        outcome: match found {
            Found::Version(version) => Ok(reply(version)),
            Found::Down => Err(Failure::new(Reason::Refused, "")),
            Found::Own => Err(Failure::new(Reason::LocalResources, "")),
        },
    }
}

/// What a configuration says of the groups: each has a primary and standbys in these regions.
#[derive(Clone, Debug, PartialEq)]
struct Design {
    /// How many targets there are in each region.
    targets: [usize; 4],
    /// Those that are others than before.
    others: [bool; 4],
    groups: Vec<(usize, Vec<usize>)>,
    limit: u8,
}

fn design() -> impl Strategy<Value = Design> {
    let regions = Just(vec![0_usize, 1, 2, 3]).prop_shuffle();
    let group = (regions, 1_usize..4).prop_map(|(regions, standbys)| {
        let (primary, others) = (regions[0], &regions[1..]);
        (primary, others[..standbys].to_vec())
    });
    (
        prop::array::uniform4(1_usize..3),
        prop::array::uniform4(prop::bool::weighted(0.2)),
        prop::collection::vec(group, 1..3),
        prop::sample::select(vec![2_u8, 2, 2, 3]),
    )
        .prop_map(|(targets, others, groups, limit)| Design {
            targets,
            others,
            groups,
            limit,
        })
}

/// The keys of the targets of each region.
type Keys = [Vec<TargetKey>; 4];

/// Gives keys as the configuration would: a target that goes on has the one that it had.
#[derive(Default)]
struct Keyring {
    keys: Keys,
    next: u32,
}

impl Keyring {
    fn follow(&mut self, design: &Design) {
        for (region, keys) in self.keys.iter_mut().enumerate() {
            if design.others[region] {
                keys.clear();
            }
            keys.truncate(design.targets[region]);
            while keys.len() < design.targets[region] {
                keys.push(TargetKey(self.next));
                self.next += 1;
            }
        }
    }
}

fn checks(limit: u8) -> Vec<PlannedCheck> {
    let two = NonZeroU32::MIN.saturating_add(1);
    let check = |name: &str, kind, limit: f64| PlannedCheck {
        name: name.into(),
        probe: "web".into(),
        kind,
        bound: Some(Bound {
            beyond: Beyond::Above,
            unit: Unit::Seconds,
            limit,
            warn: None,
        }),
        gate: GateKind::Hard,
        rise: two,
        fall: two,
        parents: &[],
    };
    let latency = CheckKind::Latency {
        quantile: 0.5,
        over: Duration::from_secs(40),
    };
    vec![
        check("healthy", CheckKind::Healthy, 1.0),
        check("latency", latency, f64::from(limit) / 1_000.0),
        check("version", CheckKind::Version, 15.0),
    ]
}

fn briefs(design: &Design, keys: &Keys) -> Vec<Brief> {
    let groups = design.groups.iter().enumerate();
    let brief = |(nth, (primary, standbys)): (usize, &(usize, Vec<usize>))| Brief {
        group: PlannedGroup {
            name: format!("g{nth}").into(),
            primary: REGIONS[*primary].into(),
            standbys: standbys.iter().map(|at| REGIONS[*at].into()).collect(),
            vantages: 1,
            databases: Vec::new(),
            objectives: Objectives::default(),
            preference: Vec::new(),
            ranking: PlannedRanking {
                probe: Some("web".into()),
                quantile: Quantile::Median,
                interval: INTERVAL,
                targets: standbys.iter().map(|at| keys[*at].clone()).collect(),
            },
            holds: Vec::new(),
            assumed: Assumed::default(),
            block: Duration::ZERO,
            user_path: None,
            discovered: Vec::new(),
            checks: checks(design.limit),
        },
        source_region: "here".into(),
        user_path: Vec::new(),
        probes: vec![Witness {
            name: "web".into(),
            kind: "http",
            interval: INTERVAL,
            timeout: TIMEOUT,
            primary: keys[*primary].clone(),
            standbys: standbys.iter().map(|at| keys[*at].clone()).collect(),
            tls: vec![false; standbys.len()],
            expected: false,
            pairs: Vec::new(),
        }],
    };
    groups.map(brief).collect()
}

fn board(briefs: Vec<Brief>, seconds: u64) -> Board {
    let groups = briefs.into_iter();
    let groups = groups.map(|brief| Group::new(brief, at(seconds)).expect("in order"));
    Board::new(groups.collect())
}

fn ruleset(design: &Design, keys: &Keys, groups: &[Brief]) -> Ruleset {
    let all = targets(keys);
    let when = r#"{"failures": {"fail": {"of": 1, "at_least": 1}, "recover": 1}}"#;
    let runs = Runs {
        shape: Shape::default(),
        pace: Pace {
            interval: INTERVAL,
            timeout: TIMEOUT,
        },
        group: None,
    };
    Ruleset {
        rules: vec![PlannedRule {
            name: "A".into(),
            severity: Severity::Critical,
            labels: Labels::new(),
            annotations: Annotations::new(BTreeMap::new()).expect("none"),
            timing: Timing {
                pending: Duration::from_secs(design.limit.into()),
                keep_firing: Duration::ZERO,
            },
            depends_on: Vec::new(),
            receivers: None,
            when: serde_json::from_str(when).expect("a condition"),
        }],
        scope: Scope {
            source_region: "here".into(),
            runs: vec![runs; all.len()],
            targets: all,
            groups: groups.iter().map(|brief| brief.group.clone()).collect(),
        },
        watchdog: Vec::new(),
        maintenance: Vec::new(),
    }
}

fn targets(keys: &Keys) -> Vec<(TargetKey, Target)> {
    let regions = keys.iter().zip(REGIONS);
    let targets = regions.flat_map(|(keys, region)| {
        let keys = keys.iter().enumerate();
        keys.map(move |(nth, key)| {
            let name = format!("{region}{nth}").into();
            (
                *key,
                Target {
                    name,
                    ..target(region)
                },
            )
        })
    });
    targets.collect()
}

/// Stands beside the checks of a standby.
const PRIMARY: &str = "the primary's version";

/// A check of a standby, and what its answer depends on.
type Asked = (String, String, &'static str);

fn asked(design: &Design, keys: &Keys) -> HashMap<Asked, String> {
    let mut all = HashMap::new();
    for brief in briefs(design, keys) {
        let probe = &brief.probes[0];
        for (standby, targets) in brief.group.standbys.iter().zip(&probe.standbys) {
            let mut ask = |check, of: String| {
                let asked = (brief.group.name.to_string(), standby.to_string(), check);
                all.insert(asked, of);
            };
            ask("healthy", format!("{targets:?}"));
            ask("latency", format!("{targets:?} {}", design.limit));
            ask("version", format!("{targets:?} {:?}", probe.primary));
            // What is known of the primary is older than the check may be.
            ask(PRIMARY, format!("{:?}", probe.primary));
        }
    }
    all
}

/// What is said of each check.
fn said(board: &Board, seconds: u64) -> HashMap<Asked, (CheckState, Option<CheckReason>, String)> {
    let mut all = HashMap::new();
    for group in board.reports(at(seconds), wall(seconds)) {
        for standby in &group.standbys {
            for check in &standby.checks {
                let names = ["healthy", "latency", "version"].into_iter();
                let name = names.clone().find(|name| **name == *check.check);
                let asked = (
                    group.group.to_string(),
                    standby.standby.to_string(),
                    name.expect("one of them"),
                );
                let figures = format!("{:?} {:?}", check.value, check.age_seconds);
                all.insert(asked, (check.state, check.reason, figures));
            }
        }
    }
    all
}

/// A configuration, and the runs of the time in which it holds: what each target was found to be, by
/// its region.
type Chapter = (Design, Vec<([u8; 4], u64)>);

fn chapter() -> impl Strategy<Value = Chapter> {
    let round = (prop::array::uniform4(0_u8..6), 1_u64..14);
    (design(), prop::collection::vec(round, 0..8))
}

fn runs(keys: &Keys, round: [u8; 4], seconds: u64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (nth, region) in keys
        .iter()
        .enumerate()
        .flat_map(|(region, keys)| keys.iter().map(move |key| (*key, region)))
    {
        let found = match round[region] {
            0 => Found::Down,
            1 => Found::Own,
            2 => Found::Version(3),
            _ => Found::Version(2),
        };
        samples.push(sample(nth, found, seconds));
    }
    samples
}

proptest! {
    /// Each check says what it would say if the daemon had been started with the last configuration
    /// when that check came to be asked as it is.
    #[test]
    fn a_check_says_what_was_seen_since_it_is_asked_so(story in prop::collection::vec(chapter(), 1..6)) {
        let mut keyring = Keyring::default();
        let going_on = Board::new(Vec::new());
        let mut since: HashMap<Asked, (String, usize)> = HashMap::new();
        let mut log: Vec<Vec<Sample>> = Vec::new();
        let mut now = 0;
        for (design, rounds) in &story {
            keyring.follow(design);
            going_on.succeed(board(briefs(design, &keyring.keys), now), &[], (at(now), wall(now)));
            let asked = asked(design, &keyring.keys);
            since.retain(|check, (of, _)| asked.get(check) == Some(of));
            for (check, of) in asked {
                since.entry(check).or_insert((of, log.len()));
            }
            for (round, wait) in rounds {
                now += wait;
                let samples = runs(&keyring.keys, *round, now);
                for sample in &samples {
                    going_on.observe(sample);
                }
                log.push(samples);
            }
            let said_now = said(&going_on, now);
            for (check, (_, from)) in since.iter().filter(|((.., name), _)| *name != PRIMARY) {
                let (group, standby, _) = check;
                let primary = since[&(group.clone(), standby.clone(), PRIMARY)].1;
                let before = log[primary.min(*from)..*from].iter().flatten();
                let nth: usize = group[1..].parse().expect("a number");
                let of_primary = &keyring.keys[design.groups[nth].0];
                let before = before.filter(|sample| of_primary.contains(&sample.target));
                let started = board(briefs(design, &keyring.keys), 0);
                for sample in before.chain(log[*from..].iter().flatten()) {
                    started.observe(sample);
                }
                let expected = &said(&started, now)[check];
                prop_assert_eq!(&said_now[check], expected, "{:?} since {}", check, from);
            }
        }
    }
}

/// An evaluation whose series do not matter.
fn evaluation(design: &Design, keys: &Keys) -> Evaluation {
    let own = Own::new("0.0.0", "test", SystemTime::UNIX_EPOCH).expect("declared right");
    let targets = targets(keys);
    let briefs = briefs(design, keys);
    let store = crate::store::Store::in_memory();
    let silences = Silences::kept_in(&store);
    let book = (Alerts::kept_in(&store), &store);
    let now = (at(0), wall(0));
    let alerts = Alerting::new(ruleset(design, keys, &briefs), book, silences, now);
    let progress = Progress::new(targets.len());
    let evaluation = Evaluation::new(
        "here".into(),
        targets,
        Vec::new(),
        Arc::new(board(briefs, 0)),
        Arc::new(Store::new()),
        Arc::new(own),
        Arc::new(progress),
    );
    evaluation.with_alerts(alerts, Box::new(|| Health::HEALTHY))
}

fn next(design: &Design, keys: &Keys) -> (Succession, oneshot::Receiver<()>) {
    let (done, told) = oneshot::channel();
    let briefs = briefs(design, keys);
    let next = Succession {
        targets: targets(keys),
        series: Store::new(),
        sets: Vec::new(),
        ruleset: ruleset(design, keys, &briefs),
        board: board(briefs, 0),
        history: HistoryTerms::default(),
        done,
    };
    (next, told)
}

fn simple(others: [bool; 4]) -> Design {
    Design {
        targets: [1; 4],
        others,
        groups: vec![(0, vec![1, 2, 3])],
        limit: 2,
    }
}

#[test]
fn only_new_targets_are_to_be_seen_and_what_is_heard_of_old_ones_is_passed_over() {
    let mut keyring = Keyring::default();
    keyring.follow(&simple([false; 4]));
    let mut evaluation = evaluation(&simple([false; 4]), &keyring.keys);
    let found = Found::Version(2);
    let run = |evaluation: &mut Evaluation, key: u32| {
        let sample = sample(TargetKey(key), found, 1);
        evaluation.take_in(&Observation::Sample(Box::new(sample)));
    };
    for key in 0..3 {
        run(&mut evaluation, key);
    }
    assert_eq!(evaluation.progress.unseen(), 1);
    // This store has no series: what is observed of a target that there is counts as dropped.
    assert_eq!(evaluation.own.samples_dropped_total.get(), 3);
    let design = simple([true, false, false, false]);
    keyring.follow(&design);
    let (next, mut told) = next(&design, &keyring.keys);
    evaluation.succeed(next);
    assert_eq!(told.try_recv(), Ok(()));
    assert_eq!(evaluation.progress.unseen(), 2);
    run(&mut evaluation, 0);
    assert_eq!(evaluation.own.samples_dropped_total.get(), 3);
    assert_eq!(evaluation.progress.unseen(), 2);
    run(&mut evaluation, 4);
    run(&mut evaluation, 1);
    assert_eq!(evaluation.own.samples_dropped_total.get(), 5);
    assert_eq!(evaluation.progress.unseen(), 1);
}

/// Whoever sends a succession has seen that everything was sent before it.
#[tokio::test(start_paused = true)]
async fn what_was_observed_before_is_taken_in_first() {
    let mut keyring = Keyring::default();
    keyring.follow(&simple([false; 4]));
    let evaluation = evaluation(&simple([false; 4]), &keyring.keys);
    let (progress, own) = (
        Arc::clone(&evaluation.progress),
        Arc::clone(&evaluation.own),
    );
    let (outlet, observed) = mpsc::channel(10);
    let (orders, successions) = mpsc::channel(1);
    for key in 0..4 {
        let sample = Box::new(sample(TargetKey(key), Found::Down, 1));
        let sample = Observation::Sample(sample);
        outlet.send(sample).await.expect("it is there");
    }
    let design = simple([true, false, false, false]);
    keyring.follow(&design);
    let (next, told) = next(&design, &keyring.keys);
    orders.send(next).await.expect("it is there");
    let check = async move {
        told.await.expect("done");
        let dropped = own.samples_dropped_total.get();
        assert_eq!(dropped, 4, "all were taken in before");
        assert_eq!(progress.unseen(), 1);
        drop(outlet);
    };
    tokio::join!(evaluation.run(observed, successions), check);
}

#[test]
fn a_thousand_successions_leave_nothing_behind() {
    let mut keyring = Keyring::default();
    keyring.follow(&simple([false; 4]));
    let mut evaluation = evaluation(&simple([false; 4]), &keyring.keys);
    for turn in 0..1_000_u64 {
        // Another target each time, and another group.
        let mut others = [false; 4];
        others[usize::try_from(turn % 4).expect("few")] = true;
        let mut design = simple(others);
        if turn % 2 == 0 {
            design.groups.push((1, vec![0]));
        }
        keyring.follow(&design);
        evaluation.succeed(next(&design, &keyring.keys).0);
        for sample in runs(&keyring.keys, [0, 3, 3, 3], turn) {
            evaluation.take_in(&Observation::Sample(Box::new(sample)));
        }
        evaluation.second();
    }
    assert_eq!(evaluation.targets.len(), 4);
    assert!(
        evaluation.targets.capacity() <= 16,
        "{}",
        evaluation.targets.capacity()
    );
    let reports = evaluation.board.reports(at(1_000), wall(1_000));
    assert_eq!(reports.len(), 1);
    assert_eq!(evaluation.sets.all().len(), 0);
    assert_eq!(evaluation.progress.unseen(), 0);
}
