//! The regions as they are to a probe, and the other vantages: a row and a column for each.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::super::State;
use super::super::configured::RegionReport;
use super::super::vantages::{Said, SaidRegion, Vantage};
use super::draw::sparkline;
use super::status::class;
use crate::model::{GroupReport, MatrixReport, ProbeRow, ReadyState, RegionCell, StandbyReport};

/// How wide and how high a sparkline is.
const LINE: (f64, f64) = (100.0, 24.0);
/// Standbys that are told side by side.
const STANDBYS: usize = 200;

/// What every vantage measures with one probe.
#[derive(Default, Serialize)]
pub(super) struct Matrix {
    /// The probe that is shown.
    probe: Option<Arc<str>>,
    kind: &'static str,
    /// Those that could be.
    probes: Vec<Arc<str>>,
    regions: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    vantage: String,
    own: bool,
    /// Why there is nothing of it, and since when.
    away: Option<(String, f64)>,
    /// One for each region.
    cells: Vec<Option<Cell>>,
}

#[derive(Clone, Serialize)]
struct Cell {
    class: &'static str,
    says: String,
    median: Option<f64>,
    loss: Option<f64>,
    /// What is lost: packets, or whole runs.
    lost: &'static str,
    lines: Vec<String>,
}

impl Matrix {
    /// The matrix of this probe, or of the first one of ping, or of any.
    pub(super) fn of(state: &State, probe: Option<&str>, others: &[Vantage]) -> Self {
        let own = state.history.matrix();
        let shown = chosen(&own, probe);
        let Some(shown) = shown else {
            return Self::default();
        };
        let mut regions: Vec<_> = shown
            .regions
            .iter()
            .map(|of| of.region.to_string())
            .collect();
        let said = others.iter().filter_map(|of| of.said.as_ref().ok());
        let said = said.filter_map(|said| said.matrix.get(&*shown.probe));
        let said: Vec<_> = said.collect();
        for RegionReport { region, .. } in &state.configured.borrow().regions {
            let name = region.to_string();
            let is_said = said.iter().any(|of| of.contains_key(&name));
            if is_said && !regions.contains(&name) {
                regions.push(name);
            }
        }
        let mut rows = vec![Row::own(&state.region, shown, &regions)];
        rows.extend(others.iter().map(|of| Row::of(of, &shown.probe, &regions)));
        Self {
            probe: Some(Arc::clone(&shown.probe)),
            kind: shown.kind,
            probes: own.probes.iter().map(|of| Arc::clone(&of.probe)).collect(),
            regions,
            rows,
        }
    }
}

fn chosen<'a>(matrix: &'a MatrixReport, probe: Option<&str>) -> Option<&'a ProbeRow> {
    let mut probes = matrix.probes.iter();
    let named = probe.and_then(|probe| probes.find(|of| *of.probe == *probe));
    let ping = || matrix.probes.iter().find(|of| of.kind == "ping");
    named.or_else(ping).or_else(|| matrix.probes.first())
}

impl Row {
    fn own(region: &str, shown: &ProbeRow, regions: &[String]) -> Self {
        let cells: HashMap<_, _> = shown.regions.iter().map(|of| (&*of.region, of)).collect();
        Self {
            vantage: region.to_owned(),
            own: true,
            away: None,
            cells: regions
                .iter()
                .map(|region| cells.get(&**region).map(|of| Cell::own(of)))
                .collect(),
        }
    }

    fn of(vantage: &Vantage, probe: &str, regions: &[String]) -> Self {
        let said = vantage.said.as_ref().ok();
        let said = said.and_then(|said| said.matrix.get(probe));
        let cell = |region: &String| said?.get(region).map(Cell::of);
        let away = vantage.said.as_ref().err();
        Self {
            vantage: vantage.region.to_string(),
            own: false,
            away: away.map(|why| (why.clone(), vantage.timestamp_seconds)),
            cells: regions.iter().map(cell).collect(),
        }
    }
}

impl Cell {
    fn own(of: &RegionCell) -> Self {
        Self::new(
            (of.targets, of.down, of.unknown),
            of.median_seconds,
            (of.packet_loss_ratio, of.failure_ratio),
            &of.line,
        )
    }

    fn of(of: &SaidRegion) -> Self {
        Self::new(
            (of.targets, of.down, of.unknown),
            of.median_seconds,
            (of.packet_loss_ratio, of.failure_ratio),
            &of.line
                .iter()
                .map(|of| of.map(f64::from))
                .collect::<Vec<_>>(),
        )
    }

    fn new(
        (targets, down, unknown): (usize, usize, usize),
        median: Option<f64>,
        (packets, runs): (Option<f64>, Option<f64>),
        line: &[Option<f64>],
    ) -> Self {
        let (class, says) = if down > 0 && down == targets {
            ("not-ready", "down".to_owned())
        } else if down > 0 {
            ("not-ready", format!("{down} of {targets} down"))
        } else if unknown > 0 || targets == 0 {
            ("unknown", "unknown".to_owned())
        } else {
            ("ready", "up".to_owned())
        };
        Self {
            class,
            says,
            median,
            loss: packets.or(runs),
            lost: if packets.is_some() { "lost" } else { "fail" },
            lines: sparkline(line, LINE.0, LINE.1),
        }
    }
}

/// What every vantage says of each standby.
#[derive(Serialize)]
pub(super) struct SideBySide {
    vantages: Vec<Column>,
    standbys: Vec<Told>,
    more: usize,
}

#[derive(Serialize)]
struct Column {
    region: String,
    own: bool,
    /// When it said so.
    at: Option<f64>,
    away: Option<(String, f64)>,
}

#[derive(Serialize)]
struct Told {
    group: Arc<str>,
    standby: Arc<str>,
    /// Whether not all that answer say the same.
    differ: bool,
    cells: Vec<Option<Verdict>>,
}

#[derive(Serialize)]
struct Verdict {
    class: &'static str,
    says: &'static str,
    why: Option<String>,
}

impl SideBySide {
    /// None where there is no other vantage.
    pub(super) fn of(region: &str, reports: &[GroupReport], others: &[Vantage]) -> Option<Self> {
        if others.is_empty() {
            return None;
        }
        let at = reports
            .first()
            .map(|report| report.timestamp_seconds.floor());
        let own = Column {
            region: region.to_owned(),
            own: true,
            at,
            away: None,
        };
        let column = |of: &Vantage| Column {
            region: of.region.to_string(),
            own: false,
            at: of.said.as_ref().ok().map(|_| of.timestamp_seconds),
            away: of
                .said
                .as_ref()
                .err()
                .map(|why| (why.clone(), of.timestamp_seconds)),
        };
        let all = reports
            .iter()
            .flat_map(|group| group.standbys.iter().map(move |of| (group, of)));
        let more = all.clone().count().saturating_sub(STANDBYS);
        let standbys = all.take(STANDBYS).map(|(group, of)| {
            let said = others.iter().map(|other| {
                let said: &Said = other.said.as_ref().ok()?;
                let said = said.groups.get(&*group.group)?.get(&*of.standby)?;
                Some(Verdict::new(
                    said.state,
                    said.why.as_deref().map(str::to_owned),
                ))
            });
            let cells: Vec<_> = std::iter::once(Some(Verdict::own(of)))
                .chain(said)
                .collect();
            Told {
                group: Arc::clone(&group.group),
                standby: Arc::clone(&of.standby),
                differ: cells
                    .iter()
                    .flatten()
                    .any(|cell| cell.says != of.state.words()),
                cells,
            }
        });
        Some(Self {
            standbys: standbys.collect(),
            vantages: std::iter::once(own)
                .chain(others.iter().map(column))
                .collect(),
            more,
        })
    }
}

impl Verdict {
    fn own(standby: &StandbyReport) -> Self {
        Self::new(standby.state, None)
    }

    fn new(state: ReadyState, why: Option<String>) -> Self {
        Self {
            class: class(state),
            says: state.words(),
            why: why.filter(|_| state != ReadyState::Ready),
        }
    }
}
