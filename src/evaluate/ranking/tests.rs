use std::iter;

use fastrand::Rng;

use super::super::{Brief, Group};
use super::*;
use crate::model::ranking::{Quantile, Verdict};
use crate::model::{
    Assumed, Facts, Failure, Laps, Objectives, PingFacts, PlannedGroup, ReadyState, Reason, Reply,
};

const INTERVAL: Duration = Duration::from_secs(10);
const NAMES: [&str; 3] = ["b", "c", "d"];

/// A group with a target in each standby, its virtual time, and what its standbys are to be.
struct World {
    ranking: Ranking,
    now: Instant,
    rng: Rng,
    /// The median of what a run takes, in milliseconds, by standby.
    millis: [f64; 3],
    standings: [Standing; 3],
}

fn ready() -> Standing {
    Standing {
        state: ReadyState::Ready,
        rpo: Some(Duration::from_millis(200)),
        rto: Some(Duration::from_mins(6)),
        preference: None,
        score: None,
    }
}

fn names() -> Vec<Arc<str>> {
    NAMES.iter().map(|name| Arc::from(*name)).collect()
}

fn planned(targets: &[&[u32]]) -> PlannedRanking {
    let keys = |keys: &&[u32]| keys.iter().map(|key| TargetKey(*key)).collect();
    PlannedRanking {
        probe: (!targets.is_empty()).then(|| Arc::from("checkout")),
        quantile: Quantile::Median,
        interval: INTERVAL,
        targets: targets.iter().map(keys).collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

fn sample(target: u32, at: Instant, outcome: Result<Reply, Failure>) -> Sample {
    Sample {
        target: TargetKey(target),
        due: at,
        started: at,
        ended: at,
        at: SystemTime::UNIX_EPOCH,
        laps: Laps::default(),
        outcome,
    }
}

fn reply(millis: &[f64]) -> Reply {
    let latencies = millis.iter();
    Reply {
        latencies: latencies
            .map(|millis| Duration::from_secs_f64(millis / 1e3))
            .collect(),
        facts: Facts::default(),
    }
}

impl World {
    fn new(seed: u64, planned: &PlannedRanking) -> Self {
        let now = start();
        Self {
            ranking: Ranking::new(&names(), planned, &[], now),
            now,
            rng: Rng::with_seed(seed),
            millis: [80.0; 3],
            standings: [ready(); 3],
        }
    }

    /// Ten seconds: a run against each target, and an evaluation each second. Whether the ranks
    /// have changed.
    fn round(&mut self) -> bool {
        for (target, millis) in (0..).zip(self.millis) {
            // Twelve uniform values make a normal one.
            let normal = iter::repeat_with(|| self.rng.f64()).take(12).sum::<f64>() - 6.0;
            let spike = if self.rng.f64() < 0.02 { 5.0 } else { 1.0 };
            let took = millis * (0.05 * normal).exp() * spike;
            let sample = sample(target, self.now, Ok(reply(&[took])));
            self.ranking.observe(&sample);
        }
        (0..10).fold(false, |changed, _| self.second() | changed)
    }

    fn second(&mut self) -> bool {
        self.now += Duration::from_secs(1);
        let (now, today) = (self.now, SystemTime::UNIX_EPOCH);
        self.ranking.evaluate(&self.standings, None, now, today)
    }

    fn hours(&mut self, hours: u32) {
        for _ in 0..hours * 360 {
            self.round();
        }
    }

    fn ranks(&self) -> [Option<u32>; 3] {
        [0, 1, 2].map(|standby| self.ranking.rank(standby))
    }

    fn changes(&self) -> u64 {
        self.ranking.report().map_or(0, |report| report.changes)
    }
}

const ONE_EACH: [&[u32]; 3] = [&[0], &[1], &[2]];

#[test]
fn equals_share_a_rank_for_six_hours_and_none_before_two() {
    for seed in 0..3 {
        let mut world = World::new(seed, &planned(&ONE_EACH));
        world.hours(1);
        assert_eq!(world.ranks(), [None; 3]);
        let table = world.ranking.report().expect("told").table;
        assert_eq!(table.rows[0].reason, "not ranked: 11 of 24 batches");
        world.hours(2);
        assert_eq!(world.ranks(), [Some(1); 3]);
        world.hours(6);
        assert_eq!((world.ranks(), world.changes()), ([Some(1); 3], 0));
    }
}

#[test]
fn a_tenth_slower_is_found_and_told_with_its_interval() {
    let mut world = World::new(1, &planned(&ONE_EACH));
    world.millis = [80.0, 88.0, 80.0];
    world.hours(3);
    assert_eq!(world.ranks(), [Some(1), Some(2), Some(1)]);
    let report = world.ranking.report().expect("told");
    assert_eq!(report.changes, 0);
    let table = &report.table;
    assert_eq!(table.probe.as_deref(), Some("checkout"));
    assert_eq!(table.differences.len(), 3);
    let slower = |d: &&crate::model::ranking::Difference| *d.name == *"b" && *d.other == *"c";
    let slower = table.differences.iter().find(slower).expect("compared");
    assert_eq!(slower.verdict, Verdict::Before);
    assert!(slower.high_seconds.unwrap() < 0.0, "{slower:?}");
    assert!(
        (slower.median_seconds.unwrap() + 0.008).abs() < 0.002,
        "{slower:?}"
    );
}

#[test]
fn one_that_gets_slower_loses_its_rank_once() {
    let mut world = World::new(2, &planned(&ONE_EACH));
    world.hours(3);
    world.millis = [160.0, 80.0, 80.0];
    // The median of the last six hours follows when half of them are slow.
    world.hours(6);
    assert_eq!(world.ranks(), [Some(2), Some(1), Some(1)]);
    assert_eq!(world.changes(), 1);
}

#[test]
fn one_that_is_not_ready_any_more_loses_its_rank_after_three_evaluations() {
    let mut world = World::new(3, &planned(&ONE_EACH));
    world.hours(3);
    world.standings[1].state = ReadyState::NotReady;
    let told: Vec<_> = (0..3).map(|_| world.round()).collect();
    assert_eq!(told, [false, false, true]);
    assert_eq!(world.ranks(), [Some(1), Some(2), Some(1)]);
    assert_eq!(world.changes(), 1);
    // One look is no news.
    world.standings[1].state = ReadyState::Ready;
    assert!(!world.round());
    world.standings[1].state = ReadyState::NotReady;
    world.hours(1);
    assert_eq!(world.changes(), 1);
}

#[test]
fn a_standby_that_loses_runs_ranks_behind_and_a_fault_of_ours_is_no_run() {
    let mut world = World::new(4, &planned(&[&[10], &[11], &[12]]));
    for run in 0..1080 {
        let now = world.now;
        let outcome = |target| match (target, run % 5) {
            (10, 0) => Err(Failure::new(Reason::Refused, "")),
            (11, 0) => Err(Failure::new(Reason::LocalResources, "")),
            _ => Ok(reply(&[80.0])),
        };
        for target in 10..13 {
            world.ranking.observe(&sample(target, now, outcome(target)));
        }
        // Those of others are nobody's here.
        world.round();
    }
    assert_eq!(world.ranks(), [Some(2), Some(1), Some(1)]);
    let table = world.ranking.report().expect("told").table;
    let row = |name: &str| table.rows.iter().find(|row| *row.name == *name).unwrap();
    assert!((row("b").loss_ratio.unwrap() - 0.2).abs() < 1e-9);
    assert_eq!(row("c").loss_ratio, Some(0.0));
    assert_eq!(row("b").reason, "behind c by loss");
}

#[test]
fn each_packet_of_a_ping_counts() {
    let grid = Grid::new(start(), Quantile::Median, INTERVAL);
    let window = |outcome: &dyn Fn() -> Result<Reply, Failure>| {
        let now = start();
        let mut batches = Batches::new(grid);
        for _ in 0..5 {
            batches.observe(&sample(0, now, outcome()));
        }
        batches.window(now + grid.length() * 2)
    };
    let facts = |received| Facts {
        ping: Some(PingFacts {
            sent: 5,
            received,
            lost: 5 - received,
            ..PingFacts::default()
        }),
        ..Facts::default()
    };
    let some = window(&|| {
        Ok(Reply {
            facts: facts(4),
            ..reply(&[10.0, 11.0, 12.0, 13.0])
        })
    });
    // 25 packets are enough for a batch; five runs were not.
    assert_eq!((some.len(), some.loss()), (1, Some(0.2)));
    assert_eq!(some.seconds(), Some(0.012));
    let none = window(&|| Err(Failure::new(Reason::Lost, "").with_facts(facts(0))));
    assert_eq!((none.len(), none.loss()), (1, Some(1.0)));
}

#[test]
fn targets_of_one_region_count_the_same() {
    // Together they take as long as the others do; the nearer one alone would win.
    let mut world = World::new(5, &planned(&[&[10, 11], &[1], &[2]]));
    let targets: Vec<_> = world.ranking.targets().map(|target| target.0).collect();
    assert_eq!(targets, [10, 11, 1, 2]);
    for _ in 0..1080 {
        let now = world.now;
        for (target, millis) in [(10, 40.0), (11, 121.0)] {
            let sample = sample(target, now, Ok(reply(&[millis])));
            world.ranking.observe(&sample);
        }
        world.round();
    }
    assert_eq!(world.ranks(), [Some(1); 3]);
    let table = world.ranking.report().expect("told").table;
    let joined = table.rows.iter().find(|row| *row.name == *"b").unwrap();
    assert_eq!(joined.latency_seconds, Some(0.0805));
}

#[test]
fn without_a_probe_all_else_ranks_and_the_preferred_comes_first() {
    let mut world = World::new(6, &planned(&[]));
    let preferred = [Arc::from("d")];
    world.ranking = Ranking::new(&names(), &planned(&[]), &preferred, world.now);
    world.standings[0].state = ReadyState::Unknown;
    let told: Vec<_> = (0..4).map(|_| world.round()).collect();
    assert_eq!(told, [false, false, true, false]);
    assert_eq!(world.ranks(), [Some(3), Some(2), Some(1)]);
}

#[test]
fn a_loss_that_comes_and_goes_about_the_edge_of_a_band_moves_no_rank() {
    let mut world = World::new(7, &planned(&[]));
    let near = |up: bool| Some(Duration::from_millis(if up { 1010 } else { 990 }));
    world.standings[2].rpo = near(true);
    for round in 0..2000 {
        // Each for two minutes, in turns.
        world.standings[0].rpo = near((round / 12) % 2 == 0);
        world.standings[1].rpo = near((round / 12) % 2 == 1);
        world.round();
    }
    assert_eq!(world.ranks(), [Some(1); 3]);
    assert!(world.changes() <= 2, "until all were seen at their worst");
    // One that was large comes to an end.
    let before = world.changes();
    world.standings = [ready(); 3];
    world.standings[2].rpo = near(true);
    world.hours(1);
    assert_eq!(world.ranks(), [Some(1), Some(1), Some(2)]);
    assert_eq!(world.changes(), before + 1);
    // What is not known now is as bad as can be, at once.
    world.standings[1].rpo = None;
    for _ in 0..3 {
        world.round();
    }
    assert_eq!(world.ranks(), [Some(1), Some(3), Some(2)]);
}

#[test]
fn a_group_tells_its_ranking() {
    let planned = PlannedGroup {
        discovered: Vec::new(),
        name: "shop".into(),
        primary: "a".into(),
        standbys: names(),
        vantages: 1,
        databases: Vec::new(),
        objectives: Objectives::default(),
        preference: vec!["c".into()],
        ranking: planned(&[]),
        holds: Vec::new(),
        assumed: Assumed::default(),
        block: Duration::from_hours(1),
        user_path: None,
        checks: Vec::new(),
    };
    let brief = Brief {
        group: planned,
        source_region: "a".into(),
        user_path: Vec::new(),
        probes: Vec::new(),
    };
    let begin = start();
    let mut group = Group::new(brief, begin).expect("good");
    let told = |group: &Group, now| group.report(now, SystemTime::UNIX_EPOCH);
    assert_eq!(told(&group, begin).ranking, None);
    let mut now = begin;
    for second in 0..30 {
        now = begin + Duration::from_secs(second);
        group.tick(now, SystemTime::UNIX_EPOCH);
    }
    let report = told(&group, now);
    let ranks: Vec<_> = report.standbys.iter().map(|each| each.rank).collect();
    assert_eq!(ranks, [Some(2), Some(1), Some(2)]);
    let rows = report.ranking.expect("told").table.rows.clone();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.name, row.rank)).collect();
    assert_eq!(rows, [("c", Some(1)), ("b", Some(2)), ("d", Some(2))]);
}

impl World {
    fn succeed(&mut self, planned: &PlannedRanking) {
        let next = Ranking::new(&names(), planned, &[], self.now);
        let former = std::mem::replace(&mut self.ranking, next);
        self.ranking.succeed(former, &[true; 3]);
    }
}

#[test]
fn another_configuration_keeps_the_latencies_of_the_same_targets_and_what_is_told() {
    let mut world = World::new(7, &planned(&ONE_EACH));
    world.millis = [40.0, 80.0, 160.0];
    world.hours(3);
    let before = [Some(1), Some(2), Some(3)];
    assert_eq!(world.ranks(), before);
    world.succeed(&planned(&ONE_EACH));
    for _ in 0..100 {
        assert_eq!(world.ranks(), before);
        world.round();
    }
    world.succeed(&planned(&[&[0], &[1], &[9]]));
    assert_eq!(world.ranks(), before, "until another order lasts");
    for _ in 0..6 {
        world.round();
    }
    assert_eq!(world.ranks(), [Some(1), Some(2), None]);
    assert_eq!(world.changes(), 1);
    let slower = PlannedRanking {
        interval: INTERVAL * 6,
        ..planned(&[&[0], &[1], &[9]])
    };
    world.succeed(&slower);
    for _ in 0..6 {
        world.round();
    }
    assert_eq!(world.ranks(), [None; 3], "other batches");
    assert_eq!(world.changes(), 2);
}
