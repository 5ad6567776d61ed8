use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::readiness::rank::test_windows::{Shape, grid, origin, window};
use crate::readiness::rank::{Standing, State, order};

fn candidate(name: &str, shape: &Shape, state: State) -> Candidate {
    Candidate {
        name: Arc::from(name),
        standing: Standing {
            state,
            rpo: Some(Duration::from_micros(812_345)),
            rto: Some(Duration::from_millis(342_400)),
            preference: None,
            score: Some(0.75),
        },
        window: window(shape),
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
        candidate("ap-south", &young, State::Unknown),
        candidate("us-east", &of(95.2, 72, 0), State::Ready),
        candidate("eu-central", &of(81.5, 72, 0), State::Ready),
        candidate("eu-north", &of(82.0, 72, 0), State::Ready),
        candidate("us-west", &of(f64::INFINITY, 72, 30), State::NotReady),
    ]
}

fn table() -> Table {
    let candidates = candidates();
    let order = order(&candidates, None, SystemTime::UNIX_EPOCH);
    Table::new(Rows::Standby, &grid(), &candidates, &order)
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

Equal ones share a rank. Each batch is 5m; 24 in common are needed.
";
    let text = table().to_string();
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
    let json = serde_json::to_value(table()).unwrap();
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
fn variants_have_no_columns_that_only_a_standby_has() {
    let [fast, slow] = [100.0, 120.0].map(|millis| {
        window(&Shape {
            millis: vec![millis; 24],
            ..Shape::default()
        })
    });
    let of = |name: &str, targets: &[_]| Candidate::variant(Arc::from(name), targets).unwrap();
    let candidates = [
        of("v2", &[slow.clone(), slow]),
        of("v1", &[fast.clone(), fast]),
    ];
    let order = order(&candidates, None, SystemTime::UNIX_EPOCH);
    let table = Table::new(Rows::Variant, &grid(), &candidates, &order);
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
    let text = Table::new(Rows::Standby, &grid, &[], &order).to_string();
    assert!(text.contains("Each batch is 2s400ms;"), "{text}");
    assert!(text.contains("tell of now only"), "{text}");
    assert!(!table().to_string().contains("tell of now only"));
}

#[test]
fn long_times_are_rounded_and_hostile_ones_do_no_harm() {
    assert_eq!(long(0.8124), "812ms");
    assert_eq!(long(59.9999), "1m");
    assert_eq!(long(342.4), "5m42s");
    assert_eq!(long(f64::INFINITY), "-");
    assert_eq!(millis(0.000_04), "0.0 ms");
}
