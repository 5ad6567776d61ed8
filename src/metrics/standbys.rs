//! The series of a standby: whether it can take over, why not, and what it would cost.

use std::sync::Arc;

use super::page::push_label;
use super::rows::{Subject, families};
use crate::model::ranking::Difference;
use crate::model::{
    CheckReport, CheckState, Promotability, RankingReport, ReadyState, StandbyPlace, StandbyReport,
};

/// One standby, as last judged.
#[derive(Debug)]
pub(super) struct StandbySeries {
    /// The labels of every sample, rendered.
    pub(super) labels: Arc<str>,
    place: StandbyPlace,
    /// None before it was first judged.
    report: Option<StandbyReport>,
    /// How its latency compares with those of other standbys.
    comparisons: Vec<Difference>,
    /// The labels of each of its checks, rendered, with a comma before.
    checks: Vec<String>,
}

impl Subject for StandbySeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl StandbySeries {
    pub(super) fn new(place: &StandbyPlace) -> Self {
        let mut labels = String::new();
        push_label(&mut labels, "group", &place.group);
        push_label(&mut labels, "standby", &place.standby);
        push_label(&mut labels, "source_region", &place.source_region);
        Self {
            labels: labels.into(),
            place: place.clone(),
            report: None,
            comparisons: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Replaces what is said of it. False if it is another standby.
    pub(super) fn judged(
        &mut self,
        group: &str,
        ranking: Option<&RankingReport>,
        report: StandbyReport,
    ) -> bool {
        if *self.place.group != *group || self.place.standby != report.standby {
            return false;
        }
        if self.checks.len() != report.checks.len() {
            self.checks = report.checks.iter().map(labels).collect();
        }
        let differences = ranking
            .iter()
            .flat_map(|ranking| &ranking.table.differences);
        let of_this = differences.filter(|of| of.name == report.standby);
        self.comparisons = of_this.cloned().collect();
        self.report = Some(report);
        true
    }

    fn state(&self) -> ReadyState {
        let report = self.report.as_ref();
        report.map_or(ReadyState::Unknown, |report| report.state)
    }

    /// The checks, each with its labels.
    fn checks(&self) -> impl Iterator<Item = (&CheckReport, &str)> {
        let checks = self.report.iter().flat_map(|report| &report.checks);
        checks.zip(self.checks.iter().map(String::as_str))
    }

    /// The checks that are asked at all.
    fn asked(&self) -> impl Iterator<Item = (&CheckReport, &str)> {
        self.checks()
            .filter(|(check, _)| check.state != CheckState::NotApplicable)
    }

    fn told<T>(&self, of: impl Fn(&StandbyReport) -> Option<T>) -> Option<T> {
        self.report.as_ref().and_then(of)
    }
}

/// The labels of a check, with a comma before.
fn labels(check: &CheckReport) -> String {
    let mut own = String::new();
    if !check.probe.is_empty() {
        push_label(&mut own, "probe", &check.probe);
    }
    push_label(&mut own, "check", &check.check);
    format!(",{own}")
}

families! {
    of StandbySeries;

    /// 1 only if every gate passes on what was seen lately, so that the standby could take over if
    /// the primary died now.
    Gauge failover_ready: |s, rows| rows.value(s.state() == ReadyState::Ready);

    /// Whether the standby could take over; one of the states is 1.
    Gauge failover_state: |s, rows| {
        for state in ReadyState::ALL {
            rows.with("state", state.as_str(), s.state() == state);
        }
    };

    /// Whether the standby may be promoted, the primary being lost: by what can still be seen, and
    /// by what would have been lost when both were last seen. NaN while the primary is there, or
    /// where it cannot be told.
    Gauge promotion_viable: |s, rows| {
        rows.value(s.told(|report| match report.promotion {
            Promotability::Viable => Some(true),
            Promotability::NotViable => Some(false),
            Promotability::NotAsked | Promotability::Unknown => None,
        }));
    };

    /// When the primary and the standby were last both seen; NaN before.
    Gauge primary_last_seen_timestamp_seconds: |s, rows| {
        rows.value(s.told(|report| Some(report.last_sight?.timestamp_seconds)));
    };

    /// Seconds of writes that would have been lost when both were last seen: at most.
    Gauge primary_last_seen_rpo_seconds: |s, rows| {
        rows.value(s.told(|report| report.last_sight?.rpo_seconds));
    };

    /// What a check says; one of the states is 1. A check that is not applicable has that state
    /// alone.
    Gauge readiness_check: |s, rows| {
        for (check, labels) in s.checks() {
            let gate = check.gate.as_str();
            let states: &[CheckState] = match check.state {
                CheckState::NotApplicable => &[CheckState::NotApplicable],
                _ => &CheckState::ASKED,
            };
            for state in states {
                let more = [labels, ",gate=\"", gate, "\",state=\"", state.as_str(), "\""];
                rows.more(&more, check.state == *state);
            }
        }
    };

    /// 1 with the reason for which a check does not pass; none while it passes.
    Gauge readiness_check_reason: |s, rows| {
        for (check, labels) in s.asked() {
            if let Some(reason) = check.reason {
                rows.more(&[labels, ",reason=\"", reason.as_str(), "\""], true);
            }
        }
    };

    /// The figure of a check's last result, in the unit of its limit; none for one that has no
    /// figure yet.
    Gauge readiness_check_value: |s, rows| {
        for (check, labels) in s.asked() {
            if let Some(value) = check.value {
                rows.more(&[labels], value);
            }
        }
    };

    /// The limit that the figure of a check's last result was held against.
    Gauge readiness_check_threshold: |s, rows| {
        for (check, labels) in s.asked() {
            if let Some(threshold) = check.threshold {
                rows.more(&[labels], threshold);
            }
        }
    };

    /// How often a check changed to a state.
    Counter readiness_check_transitions: |s, rows| {
        for (check, labels) in s.asked() {
            for (state, count) in CheckState::ALL.into_iter().zip(check.transitions) {
                if CheckState::ASKED.contains(&state) {
                    rows.more(&[labels, ",to=\"", state.as_str(), "\""], count);
                }
            }
        }
    };

    /// When a check last had a result, good or bad; NaN before.
    Gauge readiness_check_last_conclusive_timestamp_seconds: |s, rows| {
        for (check, labels) in s.asked() {
            rows.more(&[labels], check.last_conclusive_timestamp_seconds);
        }
    };

    /// What the scored checks add up to, 0 to 1, with nothing for what is not known; NaN where there
    /// are none. It never makes a standby ready.
    Gauge readiness_score_ratio: |s, rows| rows.value(s.told(|report| report.score_ratio));

    /// The part of the score that is known, 0 to 1.
    Gauge readiness_score_coverage_ratio: |s, rows| {
        rows.value(s.told(|report| report.score_coverage_ratio));
    };

    /// The standby's rank among those of its group, from 1; equal ones share it. NaN before enough was
    /// measured.
    Gauge standby_rank: |s, rows| {
        rows.value(s.told(|report| Some(u64::from(report.rank?))));
    };

    /// How much longer the standby takes than another of its group, batch by batch: the median, and
    /// the bounds between which it lies with a confidence of 99 %. NaN before enough was measured,
    /// and where too many runs failed.
    Gauge latency_comparison_seconds: |s, rows| {
        for difference in &s.comparisons {
            let bounds = [
                ("low", difference.low_seconds),
                ("median", difference.median_seconds),
                ("high", difference.high_seconds),
            ];
            for (bound, seconds) in bounds {
                let mut other = String::new();
                push_label(&mut other, "other", &difference.other);
                rows.more(&[",", &other, ",bound=\"", bound, "\""], seconds);
            }
        }
    };

    /// How many vantages judge the standby by the configuration: what a quorum is of.
    Gauge vantages_expected: |s, rows| rows.value(s.place.vantages);

    /// How much may be lost at most, by the configuration; none without an objective.
    Gauge rpo_objective_seconds: |s, rows| if let Some(rpo) = s.place.objectives.rpo {
        rows.value(rpo);
    };

    /// How long a failover may take at most, by the configuration; none without an objective.
    Gauge rto_objective_seconds: |s, rows| if let Some(rto) = s.place.objectives.rto {
        rows.value(rto);
    };

    /// How long a failover to the standby would take, stage by stage, and whether that was measured
    /// or is assumed; NaN for what was to be measured and is not. Detection, decision, the slower of
    /// promotion with apply and pull with start, DNS and warm-up add up to the total.
    Gauge rto_estimate_seconds: |s, rows| {
        for stage in s.report.iter().flat_map(|report| &report.rto_stages) {
            let basis = stage.basis.unwrap_or("measured");
            let labels = [",stage=\"", stage.stage, "\",basis=\"", basis, "\""];
            rows.more(&labels, stage.seconds);
        }
    };

    /// Whether something holds the standby back, by its kind.
    Gauge hold: |s, rows| {
        for kind in HOLDS {
            let held = s.told(|report| Some(report.holds.iter().any(|hold| hold.kind == kind)));
            rows.with("reason", kind, held.unwrap_or(false));
        }
    };

    /// When what holds the standby back ends by itself, the latest of each kind; none without.
    Gauge hold_expiry_timestamp_seconds: |s, rows| {
        for kind in HOLDS {
            let holds = s.report.iter().flat_map(|report| &report.holds);
            let ends = holds.filter(|hold| hold.kind == kind);
            let last = ends.map(|hold| hold.expiry_timestamp_seconds).reduce(f64::max);
            if let Some(last) = last {
                rows.with("reason", kind, last);
            }
        }
    };
}

/// The kinds of holds.
const HOLDS: [&str; 2] = ["maintenance", "recent_failover"];
