//! Every question that the dashboards ask, asked of a real Prometheus that scrapes real daemons: it
//! has an answer while all is well, and the right one while it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::board::{Board, Panel, Target, list, text};
use super::colour::colour;
use super::interpolate::Values;
use super::promql::Query;
use super::stage::Stage;
use super::viewer::{Sample, Viewer};
use crate::alerting::OTHER;
use crate::process::{PATIENCE, wait_for};
use crate::vantages::REGIONS;

/// Queries that have no answer here: dashboard, panel, place of the query in it, and why.
const EMPTY_HERE: [(&str, &str, usize, &str); 8] = [
    ("hotspare-overview", "Standbys", 2, NO_RANK),
    ("hotspare-readiness", "Rank", 0, NO_RANK),
    ("hotspare-readiness", "Latency, compared", 0, NO_RANK),
    ("hotspare-readiness", "Latency, compared", 1, NO_RANK),
    ("hotspare-readiness", "Latency, compared", 2, NO_RANK),
    (
        "hotspare-region-pair",
        "p50 now, a day ago, a week ago",
        1,
        TOO_YOUNG,
    ),
    (
        "hotspare-region-pair",
        "p50 now, a day ago, a week ago",
        2,
        TOO_YOUNG,
    ),
    (
        "hotspare-database",
        "Transactions",
        2,
        "MariaDB does not tell what its logs still have",
    ),
];

const NO_RANK: &str = "a rank needs eight batches of five minutes";
const TOO_YOUNG: &str = "the daemons run for minutes";

/// Annotations that have no answer here, likewise.
const SILENT_HERE: [(&str, &str, &str); 1] = [(
    "hotspare-region-pair",
    "Changed addresses",
    "the targets have addresses for names",
)];

#[test]
fn every_panel_has_data_and_nothing_stays_green_that_is_not() {
    let mut stage = Stage::set();
    let boards = Board::all();
    everything_is_answered(&stage, &boards);
    nothing_is_of_others(&stage, &boards);
    rules_are_healthy(&stage);
    faults_show(&mut stage, &boards);
}

/// A query of a panel, and the names by which [`EMPTY_HERE`] knows it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    board: &'a Board,
    panel: Panel<'a>,
    target: Target<'a>,
}

impl Asked<'_> {
    fn at(self) -> (String, String, usize) {
        let (file, title) = (self.board.file.clone(), self.panel.title().to_owned());
        (file, title, self.target.place)
    }
}

fn asked(boards: &[Board]) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for board in boards {
        for panel in board.panels() {
            let targets = panel.targets().map(|target| Asked {
                board,
                panel,
                target,
            });
            all.extend(targets);
        }
    }
    all
}

/// Variables and annotations too.
fn everything_is_answered(stage: &Stage, boards: &[Board]) {
    let viewer = Viewer {
        prometheus: &stage.watch.prometheus,
    };
    let excused: BTreeSet<_> = EMPTY_HERE
        .map(|(board, panel, place, _)| (board.to_owned(), panel.to_owned(), place))
        .into();
    let (mut left, excused): (Vec<_>, Vec<_>) = asked(boards)
        .into_iter()
        .partition(|asked| !excused.contains(&asked.at()));
    let since = Instant::now();
    let views = loop {
        let (views, mut silent) = all_views(&viewer, boards);
        left.retain(|asked| !has_answer(&viewer, *asked, &views));
        silent.extend(silent_annotations(&viewer, boards, &views));
        if left.is_empty() && silent.is_empty() {
            break views;
        }
        let names = left.iter().map(|asked| (asked.at(), asked.target.expr()));
        let names: Vec<_> = names.collect();
        assert!(
            since.elapsed() < PATIENCE,
            "no answer: {names:#?} {silent:#?}"
        );
        std::thread::sleep(Duration::from_secs(1));
    };
    assert_eq!(
        excused.len(),
        EMPTY_HERE.len(),
        "some of them are not there"
    );
    let vain = excused
        .iter()
        .filter(|asked| has_answer(&viewer, **asked, &views));
    let vain: Vec<_> = vain.map(|asked| asked.at()).collect();
    assert!(vain.is_empty(), "they have an answer: {vain:#?}");
}

/// The choices of the variables of each dashboard, by its file.
type Views = BTreeMap<String, Vec<Values>>;

/// All of them, and what variables have no value.
fn all_views(viewer: &Viewer<'_>, boards: &[Board]) -> (Views, Vec<String>) {
    let mut silent = Vec::new();
    let mut all = Views::new();
    for board in boards {
        let views = viewer.views(board).unwrap_or_else(|error| {
            silent.push(format!("{}: {error}", board.file));
            Vec::new()
        });
        all.insert(board.file.clone(), views);
    }
    (all, silent)
}

/// Whether a query has a number for any choice of the variables. Of one that shows only what is more
/// than nothing, it is enough that there is something to be shown.
fn has_answer(viewer: &Viewer<'_>, asked: Asked<'_>, views: &Views) -> bool {
    let expr = asked.target.expr();
    let whole = expr.strip_suffix(" > 0").unwrap_or(expr);
    views[&asked.board.file].iter().any(|values| {
        let is_instant = asked.target.json["instant"] == true;
        let answer = viewer.run(whole, is_instant, values);
        let answer = answer.expect("variables that there are");
        answer.iter().any(|sample| sample.is_known)
    })
}

fn silent_annotations(viewer: &Viewer<'_>, boards: &[Board], views: &Views) -> Vec<String> {
    let mut silent = Vec::new();
    for board in boards {
        for annotation in board.annotations() {
            let expr = text(&annotation["target"]["expr"]);
            let answered = views[&board.file].iter().any(|values| {
                let expr = values.put_into(expr).expect("variables that there are");
                viewer.over_time(&expr).iter().any(|sample| sample.is_known)
            });
            let name = text(&annotation["name"]);
            let mut excuses = SILENT_HERE.iter();
            let is_excused = excuses.any(|(file, own, _)| (*file, *own) == (&*board.file, name));
            if answered == is_excused {
                silent.push(format!("{}: {}", board.file, annotation["name"]));
            }
        }
    }
    silent
}

/// Prometheus has `up` of whatever it scrapes, daemon or not.
fn nothing_is_of_others(stage: &Stage, boards: &[Board]) {
    let viewer = Viewer {
        prometheus: &stage.watch.prometheus,
    };
    let up = stage.watch.prometheus.query("up", "instance");
    assert!(up.iter().any(|(instance, _)| instance == OTHER), "{up:?}");
    for asked in asked(boards) {
        let answer = now(&viewer, asked);
        let mut instances = answer
            .iter()
            .filter_map(|sample| sample.labels.get("instance"));
        let is_of_others = instances.any(|instance| instance == OTHER);
        assert!(!is_of_others, "{:?}: {answer:#?}", asked.at());
    }
}

fn rules_are_healthy(stage: &Stage) {
    let answer = stage.watch.prometheus.ask("/api/v1/rules");
    let groups = list(&answer["data"]["groups"]).iter();
    let rules: Vec<_> = groups.flat_map(|group| list(&group["rules"])).collect();
    assert!(rules.len() > 20, "{rules:#?}");
    for rule in rules {
        let error = text(&rule["lastError"]);
        assert!(rule["health"] == "ok" && error.is_empty(), "{rule:#}");
    }
}

/// The standbys of the group that the faults are about.
const STANDBYS: [&str; 2] = [REGIONS[1], REGIONS[2]];

/// The alerts that must fire, each with labels that it has.
const ALERTS: [(&str, &[(&str, &str)]); 6] = [
    (
        "HotspareStandbyNotReady",
        &[("group", "shop"), ("standby", "eu-central")],
    ),
    (
        "HotspareStandbyNotReady",
        &[("group", "shop"), ("standby", "us-east")],
    ),
    ("HotspareVantageBlind", &[("group", "shop")]),
    (
        "HotspareRegionUnreachable",
        &[("target_region", "eu-central")],
    ),
    ("HotspareDown", &[("source_region", "us-east")]),
    ("HotspareRegionMissing", &[("source_region", "us-east")]),
];

/// One standby's region cannot be reached, the other standby stands still, and the daemon beside it
/// does, too.
fn faults_show(stage: &mut Stage, boards: &[Board]) {
    let before = wait_for(|| lights(stage, boards), |lights| !lights.is_empty());
    let standbys: BTreeSet<_> = before
        .iter()
        .filter_map(|light| light.standby.as_deref())
        .collect();
    assert_eq!(standbys, STANDBYS.into(), "{before:#?}");
    wait_for(|| in_trouble(stage, boards).0, Vec::is_empty);

    stage.regions[1].cut();
    stage.standbys[1].0.sql("SELECT pg_wal_replay_pause()");
    stage.vantages.freeze(2);
    for (alert, labels) in ALERTS {
        wait_until_fires(stage, alert, labels);
    }
    wait_for(|| lights(stage, boards), Vec::is_empty);
    wait_for(
        || in_trouble(stage, boards),
        |(pairs, all)| pairs.len() == *all,
    );

    stage.regions[1].pass();
    stage.standbys[1].0.sql("SELECT pg_wal_replay_resume()");
    stage.vantages.thaw(2);
    stage.wait_until_ready();
    wait_for(
        || lights(stage, boards).len(),
        |found| *found >= before.len(),
    );
}

fn wait_until_fires(stage: &Stage, alert: &str, labels: &[(&str, &str)]) {
    let alerts = || {
        let answer = stage.watch.prometheus.ask("/api/v1/alerts");
        list(&answer["data"]["alerts"]).to_vec()
    };
    wait_for(alerts, |alerts| {
        alerts.iter().any(|found| {
            let own = &found["labels"];
            found["state"] == "firing"
                && own["alertname"] == alert
                && labels.iter().all(|(label, value)| own[label] == *value)
        })
    });
}

/// Something about the readiness of a standby of the group, or of all standbys, that is green.
#[derive(Debug, PartialEq)]
struct Light {
    at: (String, String, usize),
    standby: Option<String>,
}

fn lights(stage: &Stage, boards: &[Board]) -> Vec<Light> {
    let viewer = Viewer {
        prometheus: &stage.watch.prometheus,
    };
    let mut lights = Vec::new();
    for asked in asked(boards)
        .into_iter()
        .filter(|asked| is_verdict(asked.target))
    {
        for sample in now(&viewer, asked) {
            let green = colour(asked.panel, asked.target, sample.value).contains("green");
            let other = sample
                .labels
                .get("group")
                .is_some_and(|group| group != "shop");
            if green && !other {
                let standby = sample.labels.get("standby").cloned();
                lights.push(Light {
                    at: asked.at(),
                    standby,
                });
            }
        }
    }
    lights
}

/// Whether a query tells who could take over now.
fn is_verdict(target: Target<'_>) -> bool {
    let verdicts = ["hotspare_failover_ready", "hotspare_failover_state"];
    let selectors = Query::read(target.expr()).selectors;
    let of_verdicts = selectors.iter().all(|selector| {
        let is_verdict = verdicts.iter().any(|name| selector.name.contains(name));
        is_verdict && selector.range.is_none() && !selector.in_subquery
    });
    // A primary that is there says nothing of its standbys.
    let mut states = selectors.iter().flat_map(|selector| &selector.matchers);
    let of_primary = states.any(|(label, _, value)| label == "state" && value == "primary_lost")
        && !target.expr().contains("\"ready\"");
    of_verdicts && !of_primary && !selectors.is_empty()
}

/// What a query comes to at this moment, for the first choice of the variables.
fn now(viewer: &Viewer<'_>, asked: Asked<'_>) -> Vec<Sample> {
    let view = viewer.first_view(asked.board).expect("values");
    let expr = view
        .put_into(asked.target.expr())
        .expect("variables that there are");
    viewer.now(&expr)
}

/// The pairs of regions that every matrix of them has to show as they are: those of the region that
/// is cut off, from the daemons that go on.
const PAIRS: [(&str, &str); 2] = [(REGIONS[0], REGIONS[1]), (REGIONS[1], REGIONS[1])];

/// Those of [`PAIRS`] that a matrix shows in trouble, as a gap or in the colour of one; and how many
/// it should show then.
fn in_trouble(stage: &Stage, boards: &[Board]) -> (Vec<String>, usize) {
    let viewer = Viewer {
        prometheus: &stage.watch.prometheus,
    };
    let mut troubles = Vec::new();
    let mut all = 0;
    for asked in asked(boards)
        .into_iter()
        .filter(|asked| is_matrix(asked.panel))
    {
        let views = viewer.views(asked.board).expect("values");
        let view = views
            .iter()
            .find(|values| values.get("kind") == Some("http"));
        let view = view.expect("a choice of the kind");
        let answer = viewer.run(asked.target.expr(), true, view);
        let answer = answer.expect("variables that there are");
        for (source, target) in PAIRS {
            all += 1;
            let mut cells = answer.iter().filter(|cell| {
                cell.labels["source_region"] == source && cell.labels["target_region"] == target
            });
            let value = cells.next().map_or(f64::NAN, |cell| cell.value);
            let colour = colour(asked.panel, asked.target, value);
            if value.is_nan() || ["orange", "red"].contains(&colour.as_str()) {
                troubles.push(format!("{:?}: {source} {target}: {value}", asked.at()));
            }
        }
    }
    assert!(all > 0, "no matrix");
    (troubles, all)
}

fn is_matrix(panel: Panel<'_>) -> bool {
    list(&panel.json["transformations"])
        .iter()
        .any(|transformation| {
            transformation["id"] == "groupingToMatrix"
                && transformation["options"]["rowField"] == "source_region"
        })
}
