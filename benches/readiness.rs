//! What it costs to judge groups: 200 of them, each with 3 standbys that are looked at by ping, HTTP
//! and PostgreSQL, and all the checks that come by themselves.
//!
//! `cargo bench --bench readiness`
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot go on may panic"
)]
#![expect(clippy::print_stdout, reason = "what it costs to take runs in")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::Bencher;
use hotspare::config::{Overrides, Plan, Shared, load_and_plan};
use hotspare::evaluate::{Board, Brief, Evaluation, Group, Progress, Witness};
use hotspare::metrics::{Format, Own, Store, encode};
use hotspare::model::{
    DatabaseFacts, Facts, Laps, Link, Observation, ReplicationFacts, Reply, Role, Sample,
    StandbyPlace, TargetKey,
};
use tokio::time::Instant;

const GROUPS: usize = 200;
const REGIONS: [&str; 4] = ["a", "b", "c", "d"];
/// Rounds in which every target is run once.
const ROUNDS: u32 = 30;

fn main() {
    divan::main();
}

/// A fleet of groups, each with its own database and service.
fn file() -> String {
    let mut text = "region: a\nregions: [{ name: a }, { name: b }, { name: c }, { name: d }]\n\
                    limits: { max_targets: 10000 }\nprobes:\n"
        .to_owned();
    let line = |text: &mut String, line: &str| writeln!(text, "{line}").expect("written");
    for group in 0..GROUPS {
        for (probe, check) in [
            ("net", "ping: {}"),
            ("web", "http: {}"),
            ("db", "postgres: { user: u, tls: disable }"),
        ] {
            let targets = REGIONS.map(|region| match probe {
                "web" => format!("{region}: \"http://127.0.0.1/{group}\""),
                _ => format!("{region}: 127.0.0.1"),
            });
            let targets = targets.join(", ");
            let name = format!("{probe}-{group}");
            line(
                &mut text,
                &format!("  - {{ name: {name}, check: {{ {check} }}, targets: {{ {targets} }} }}"),
            );
        }
    }
    line(&mut text, "groups:");
    for group in 0..GROUPS {
        let probes = format!("[net-{group}, web-{group}, db-{group}]");
        line(
            &mut text,
            &format!(
                "  - {{ name: g{group}, primary: a, standbys: [b, c, d], probes: {probes}, \
                 objectives: {{ rpo: 1m, rto: 10m }} }}"
            ),
        );
    }
    text
}

fn plan() -> Plan {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hotspare.yaml");
    std::fs::write(&path, file()).expect("written");
    let shared = Shared::from_system().expect("a host");
    load_and_plan(&path, &Overrides::default(), &shared, None).expect("good")
}

fn brief(plan: &Plan, group: usize) -> Brief {
    let witness = |probe: &str| {
        let name = format!("{probe}-{group}");
        let of = |region: &str| -> Vec<TargetKey> {
            let targets = (0..).zip(&plan.targets);
            targets
                .filter(|(_, of)| *of.target.probe == *name && *of.target.target_region == *region)
                .map(|(key, _)| TargetKey(key))
                .collect()
        };
        let standbys: Vec<_> = REGIONS[1..].iter().map(|region| of(region)).collect();
        Witness {
            expected: false,
            kind: match probe {
                "net" => "ping",
                "web" => "http",
                _ => "postgres",
            },
            name: name.as_str().into(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            primary: of("a"),
            tls: vec![false; standbys.len()],
            standbys,
            pairs: Vec::new(),
        }
    };
    Brief {
        group: plan.groups[group].clone(),
        source_region: Arc::clone(&plan.region),
        user_path: Vec::new(),
        probes: ["net", "web", "db"].map(witness).into(),
    }
}

fn sample(key: u32, ended: Instant, kind: &str) -> Sample {
    let ended = ended.into_std();
    let mut replication = ReplicationFacts::new(ended, ended);
    replication.role = Role::Standby;
    replication.writable = Some(false);
    replication.link = Some(Link {
        up: Some(true),
        silence: Some(Duration::from_secs(1)),
        initial_sync: false,
    });
    let database = DatabaseFacts {
        replication: Some(Box::new(replication)),
        ..DatabaseFacts::default()
    };
    let facts = Facts {
        database: (kind == "postgres").then(|| Box::new(database)),
        ..Facts::default()
    };
    Sample {
        target: TargetKey(key),
        due: ended,
        started: ended,
        ended,
        at: SystemTime::now(),
        laps: Laps::default(),
        outcome: Ok(Reply {
            latencies: [Duration::from_millis(20)].into_iter().collect(),
            facts,
        }),
    }
}

/// The groups after some rounds, in which every target was run.
struct Fleet {
    board: Arc<Board>,
    store: Arc<Store>,
    own: Arc<Own>,
}

fn fleet() -> Fleet {
    let plan = plan();
    let own = Own::new("0.0.0", "bench", SystemTime::UNIX_EPOCH).expect("declared right");
    let (own, store) = (Arc::new(own), Arc::new(Store::new()));
    let now = Instant::now();
    let groups = (0..GROUPS).map(|group| {
        let brief = brief(&plan, group);
        for standby in &brief.group.standbys {
            let place = StandbyPlace {
                group: Arc::clone(&brief.group.name),
                standby: Arc::clone(standby),
                source_region: Arc::clone(&plan.region),
                vantages: 4,
                objectives: brief.group.objectives,
            };
            store.insert_standby(&place).expect("once");
        }
        Group::new(brief, now.into_std()).expect("in order")
    });
    let board = Arc::new(Board::new(groups.collect()));
    let evaluation = Evaluation::new(
        Arc::clone(&plan.region),
        (0..)
            .map(TargetKey)
            .zip(plan.targets.iter().map(|of| of.target.clone()))
            .collect(),
        Vec::new(),
        Arc::clone(&board),
        Arc::clone(&store),
        Arc::clone(&own),
        Arc::new(Progress::new(plan.targets.len())),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let runs = plan.targets.len() * ROUNDS as usize;
        let (outlet, observed) = tokio::sync::mpsc::channel(runs);
        for round in 0..ROUNDS {
            let ended = now + Duration::from_millis(10) * round;
            for (key, planned) in (0..).zip(&plan.targets) {
                let sample = sample(key, ended, planned.target.kind);
                let sample = Observation::Sample(Box::new(sample));
                outlet.try_send(sample).expect("there is room");
            }
        }
        drop(outlet);
        let begin = std::time::SystemTime::now();
        let (_, successions) = tokio::sync::mpsc::channel(1);
        evaluation.run(observed, successions).await;
        let took = begin.elapsed().unwrap_or_default();
        let each = took / u32::try_from(runs).unwrap_or(u32::MAX);
        println!("{runs} runs taken in: {each:?} each, with the checks of their groups");
    });
    Fleet { board, store, own }
}

/// Everything that is said of the groups at one moment: what a scrape waits for.
#[divan::bench]
fn judge_200_groups_of_3(bencher: Bencher<'_, '_>) {
    let fleet = fleet();
    bencher.bench(|| {
        let now = Instant::now().into_std();
        fleet.board.reports(now, SystemTime::now())
    });
}

/// The same, brought to the page.
#[divan::bench]
fn judge_and_show_200_groups_of_3(bencher: Bencher<'_, '_>) {
    let fleet = fleet();
    bencher.bench(|| {
        let now = Instant::now().into_std();
        fleet
            .store
            .judged(fleet.board.reports(now, SystemTime::now()))
    });
}

/// The page of the standbys alone.
#[divan::bench(args = [false, true])]
fn write_600_standbys(bencher: Bencher<'_, '_>, gzip: bool) {
    let fleet = fleet();
    let now = Instant::now().into_std();
    let placed = fleet
        .store
        .judged(fleet.board.reports(now, SystemTime::now()));
    assert!(placed, "they are of the same plan");
    bencher.bench(|| encode(&fleet.store, &fleet.own, Format::Text, gzip, Vec::new()));
}
