use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::model::ReadyState;
use crate::readiness::rank::test_windows::{Shape, grid, origin, window};
use crate::readiness::rank::{Standing, order};

fn candidate(name: &str, shape: &Shape, state: ReadyState) -> Candidate {
    Candidate {
        name: Arc::from(name),
        standing: Standing {
            state,
            rpo: Some(Duration::from_micros(812_345)),
            rto: Some(Duration::from_millis(342_400)),
            preference: None,
            score: Some(0.75),
        },
        window: Some(window(shape)),
    }
}

fn candidates() -> Vec<Candidate> {
    let of = |millis: f64, len: usize, failed: u32| Shape {
        millis: vec![millis; len],
        failed: vec![failed; len],
        first: 0,
    };
    // All end at the same time.
    let young = Shape {
        first: 60,
        ..of(10.0, 72, 0)
    };
    vec![
        candidate("ap-south", &young, ReadyState::Unknown),
        candidate("us-east", &of(95.2, 72, 0), ReadyState::Ready),
        candidate("eu-central", &of(81.5, 72, 0), ReadyState::Ready),
        candidate("eu-north", &of(82.0, 72, 0), ReadyState::Ready),
        candidate("us-west", &of(f64::INFINITY, 72, 30), ReadyState::NotReady),
    ]
}

fn probe() -> Arc<str> {
    Arc::from("checkout")
}

fn standbys() -> Table {
    let candidates = candidates();
    let order = order(&candidates, None, SystemTime::UNIX_EPOCH);
    table(Rows::Standby, Some(probe()), &grid(), &candidates, &order)
}

#[test]
fn the_text_has_a_line_for_each_with_its_reason() {
    let expected = "\
RANK  STANDBY     STATE      RPO    RTO    MEDIAN   LOSS     BATCHES  DIFFERENCE (99 %)         REASON
1     eu-central  ready      812ms  5m42s  81.5 ms  0.0 %    72       -                         first
1     eu-north    ready      812ms  5m42s  82.0 ms  0.0 %    72       +0.5 ms (+0.5 to +0.5)    as good as eu-central
2     us-east     ready      812ms  5m42s  95.2 ms  0.0 %    72       +13.7 ms (+13.7 to +13.7) behind eu-central by latency
3     us-west     not_ready  812ms  5m42s  -        100.0 %  72       -                         behind eu-central by state
-     ap-south    unknown    812ms  5m42s  10.0 ms  0.0 %    12       -                         not ranked: 12 of 24 batches

Equal ones share a rank. Latency is that of checkout. Each batch is 5m; 24 in common are needed.
";
    let text = standbys().to_string();
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines();
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(words(&text), words(expected), "\n{text}");
    // Every column begins at the same place in all lines.
    let lines: Vec<_> = text.lines().take(6).collect();
    let at = lines[0].find("REASON").unwrap();
    for line in &lines {
        assert!(line[..at].ends_with("  "), "{text}");
        assert!(!line[at..].starts_with(' '), "{text}");
    }
}

#[test]
fn the_json_has_what_the_text_has_and_every_comparison() {
    let json = serde_json::to_value(standbys()).unwrap();
    assert_eq!(json["rows_are"], "standby");
    assert_eq!(json["quantile"], "median");
    assert_eq!(json["batch_seconds"], 300.0);
    let row = &json["rows"][2];
    assert_eq!(row["name"], "us-east");
    assert_eq!(row["rank"], 2);
    assert_eq!(row["latency_seconds"], 0.0952);
    assert_eq!(row["loss_ratio"], 0.0);
    assert_eq!(row["score_ratio"], 0.75);
    assert_eq!(row["difference"]["other"], "eu-central");
    assert_eq!(row["difference"]["verdict"], "after");
    let dead = &json["rows"][3];
    assert!(dead["latency_seconds"].is_null(), "{dead}");
    assert!(dead["difference"]["median_seconds"].is_null(), "{dead}");
    let young = &json["rows"][4];
    assert!(young["rank"].is_null(), "{young}");
    let differences = json["differences"].as_array().unwrap();
    let named = |d: &serde_json::Value| format!("{} {} {}", d["name"], d["other"], d["verdict"]);
    let all: Vec<_> = differences.iter().map(named).collect();
    assert_eq!(all.len(), 10);
    assert_eq!(all[0], r#""eu-central" "eu-north" "tie""#);
    assert_eq!(all[1], r#""eu-central" "us-east" "before""#);
    assert_eq!(all[9], r#""us-west" "ap-south" "too_few""#);
}

#[test]
fn what_programs_read_is_what_was_told() {
    let table = standbys();
    let json = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
}

#[test]
fn without_a_latency_to_compare_all_else_ranks() {
    let mut candidates = candidates();
    for candidate in &mut candidates {
        candidate.window = None;
    }
    let order = order(&candidates, None, SystemTime::UNIX_EPOCH);
    let table = table(Rows::Standby, None, &grid(), &candidates, &order);
    let row = |row: &Row| format!("{} {:?} {}", row.name, row.rank, row.reason);
    let rows: Vec<_> = table.rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "eu-central Some(1) first",
            "eu-north Some(1) as good as eu-central",
            "us-east Some(1) as good as eu-central",
            "ap-south Some(2) behind eu-central by state",
            "us-west Some(3) behind ap-south by state",
        ]
    );
    assert!(table.differences.is_empty());
    assert!(table.to_string().contains("No probe tells a latency"));
}

#[test]
fn variants_have_no_columns_that_only_a_standby_has() {
    let [fast, slow] = [100.0, 120.0].map(|millis| {
        window(&Shape {
            millis: vec![millis; 24],
            ..Shape::default()
        })
    });
    let of = |name: &str, targets: &[_]| Candidate::measured(Arc::from(name), targets).unwrap();
    let candidates = [
        of("v2", &[slow.clone(), slow]),
        of("v1", &[fast.clone(), fast]),
    ];
    let order = order(&candidates, None, SystemTime::UNIX_EPOCH);
    let table = table(Rows::Variant, Some(probe()), &grid(), &candidates, &order);
    let text = table.to_string();
    assert!(text.starts_with("RANK  VARIANT  MEDIAN  "), "{text}");
    assert!(text.contains("\n1     v1       100.0 ms  "), "{text}");
    assert!(text.contains("\n2     v2       120.0 ms  "), "{text}");
    assert!(
        text.contains("+20.0 ms (+20.0 to +20.0)  behind v1 by latency\n"),
        "{text}"
    );
    assert_eq!(table.rows[0].state, None);
}

#[test]
fn a_benchmark_says_that_it_tells_of_now_only() {
    let grid = Grid::benchmark(origin(), Duration::from_mins(1));
    let order = order(&[], None, SystemTime::UNIX_EPOCH);
    let text = table(Rows::Standby, Some(probe()), &grid, &[], &order).to_string();
    assert!(text.contains("Each batch is 2s;"), "{text}");
    assert!(text.contains("tell of now only"), "{text}");
    assert!(!standbys().to_string().contains("tell of now only"));
}
