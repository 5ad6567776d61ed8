//! What the status page says: the answer first, then what it follows from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::super::State;
use super::Asked;
use super::draw::{Interval, Meter};
use super::matrix::{Matrix, SideBySide};
use super::words;
use crate::model::ranking::{Difference, Row};
use crate::model::{
    self, Alert, AlertState, Cause, CheckReport, CheckState, Drill, DrillState, Failover,
    Fingerprint, GroupReport, HoldReport, LossUnknown, Mute, Objectives, Promotability, ReadyState,
    Severity, Sight, StageReport, StandbyReport,
};
use crate::rule::WATCHDOG;

/// The check that a standby is one.
const ROLE: &str = "role";
/// Groups that are shown; those with trouble have a place before others.
const GROUPS: usize = 100;
/// Lines of the answer that say what is wrong.
const LINES: usize = 6;
/// Alerts, notifications, silences, failovers and drills that are shown, of each.
const ENTRIES: usize = 20;

/// The page, but for the moment at which it is looked at: it changes when something has happened.
#[derive(Serialize)]
pub(super) struct Status {
    pub(super) region: String,
    version: String,
    targets: usize,
    /// What the page's title says.
    pub(super) title: String,
    pub(super) answer: Answer,
    /// Whether the groups are known: without them, none is no news.
    judged: bool,
    groups: Vec<Group>,
    more_groups: usize,
    alerts: Alerts,
    matrix: Matrix,
    vantages: Option<SideBySide>,
    failovers: Vec<PastFailover>,
    drills: Vec<PastDrill>,
    faults: Vec<String>,
    durable: bool,
    started: f64,
    config: String,
    /// What is not there yet, while the daemon is young.
    young: Option<String>,
}

/// The answer, in one line and a colour, and what of it has a reason.
#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) class: &'static str,
    pub(super) words: String,
    lines: Vec<Line>,
    more_lines: usize,
}

#[derive(Serialize)]
struct Line {
    class: &'static str,
    /// The group's place on the page.
    group_id: usize,
    group: Arc<str>,
    standby: Arc<str>,
    says: String,
    why: Option<String>,
    at: Option<f64>,
}

#[derive(Serialize)]
struct Group {
    id: usize,
    name: Arc<str>,
    primary: Arc<str>,
    primary_class: &'static str,
    primary_says: String,
    rpo_objective: Option<f64>,
    rto_objective: Option<f64>,
    ranked_by: Option<String>,
    standbys: Vec<Standby>,
}

#[derive(Serialize)]
struct Standby {
    region: Arc<str>,
    class: &'static str,
    says: &'static str,
    promotion: Option<&'static str>,
    failing: Vec<Check>,
    more_failing: usize,
    rpo: Option<f64>,
    rpo_bytes: Option<f64>,
    rpo_meter: Option<Meter>,
    rto: Option<f64>,
    rto_meter: Option<Meter>,
    stages: Vec<Stage>,
    lag: Option<f64>,
    lag_at_least: bool,
    rank: Option<Rank>,
    holds: Vec<Hold>,
    /// With the primary lost: when it and the standby were last both seen, and what would have been lost.
    last_sight: Option<(f64, Option<f64>)>,
    checks: Vec<Check>,
    passing: usize,
}

#[derive(Serialize)]
struct Rank {
    place: Option<u32>,
    of: usize,
    reason: String,
    latency: Option<f64>,
    loss: Option<f64>,
    difference: Option<Compared>,
}

#[derive(Serialize)]
struct Compared {
    other: Arc<str>,
    text: String,
    interval: Option<Interval>,
}

#[derive(Serialize)]
struct Stage {
    name: String,
    seconds: Option<f64>,
    basis: Option<&'static str>,
}

#[derive(Serialize)]
struct Hold {
    kind: String,
    reason: Arc<str>,
    until: f64,
}

#[derive(Serialize)]
struct Check {
    name: Arc<str>,
    probe: Arc<str>,
    gate: &'static str,
    class: &'static str,
    says: String,
    why: Option<String>,
    value: Option<String>,
    threshold: Option<String>,
    at: Option<f64>,
}

#[derive(Serialize)]
struct Alerts {
    firing: Vec<Firing>,
    more_firing: usize,
    pending: usize,
    /// Receivers that do not know what they are to be told, or say that something has to be changed.
    behind: Vec<Behind>,
    silences: Vec<Silence>,
    more_silences: usize,
}

#[derive(Serialize)]
struct Firing {
    fingerprint: Fingerprint,
    rule: Arc<str>,
    severity: &'static str,
    summary: Option<Arc<str>>,
    labels: Vec<(Arc<str>, Arc<str>)>,
    since: f64,
    muted: Option<String>,
    untold: Vec<Arc<str>>,
}

#[derive(Serialize)]
struct Behind {
    receiver: Arc<str>,
    endpoint: Option<Arc<str>>,
    deliveries: usize,
    since: Option<f64>,
    rejecting_since: Option<f64>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Silence {
    id: String,
    matches: String,
    note: Option<String>,
    until: f64,
}

#[derive(Serialize)]
struct PastFailover {
    id: String,
    group: Arc<str>,
    from: Arc<str>,
    to: Arc<str>,
    at: f64,
    kind: &'static str,
    rto: f64,
    rto_user: Option<f64>,
    rpo: Option<f64>,
    rpo_writes: Option<u64>,
    rpo_unknown: Option<&'static str>,
}

#[derive(Serialize)]
struct PastDrill {
    id: String,
    group: Arc<str>,
    kind: String,
    note: Option<String>,
    at: f64,
    end: Option<f64>,
    class: &'static str,
    says: &'static str,
}

impl Status {
    /// The page at `now`, in seconds since 1970, with the groups as they were judged.
    pub(super) fn of(
        state: &State,
        asked: &Asked,
        judged: Result<&[GroupReport], String>,
        now: f64,
    ) -> Self {
        let others = state.vantages.look();
        let standing = (state.standing)();
        let (reports, unjudged) = match judged {
            Ok(reports) => (reports, None),
            Err(why) => (&[][..], Some(why)),
        };
        let alerts = alerts(state, now);
        let answer = Answer::of(reports, unjudged.as_deref());
        let shown = shown(reports);
        let objectives: HashMap<_, _> = (state.overview.objectives)().into_iter().collect();
        let groups = reports
            .iter()
            .enumerate()
            .filter(|(id, _)| shown.contains(id));
        let groups = groups.map(|(id, report)| {
            let promised = objectives.get(&report.group).copied().unwrap_or_default();
            Group::of(id, report, promised)
        });
        Self {
            title: title(&answer, &alerts),
            region: state.region.clone(),
            version: state.version.clone(),
            targets: state.exposition.targets(),
            judged: unjudged.is_none(),
            groups: groups.collect(),
            more_groups: reports.len() - shown.len(),
            answer,
            alerts,
            matrix: Matrix::of(state, asked.probe.as_deref(), &others),
            vantages: SideBySide::of(&state.region, reports, &others),
            failovers: failovers(state.events.failovers()),
            drills: drills(state.events.drills(), now),
            faults: standing.faults,
            durable: standing.state_durable,
            started: standing.start_timestamp_seconds,
            config: state.configured.borrow().hash.clone(),
            young: (state.ready)().err(),
        }
    }
}

fn title(answer: &Answer, alerts: &Alerts) -> String {
    let firing = alerts.firing.len() + alerts.more_firing;
    match firing {
        0 => answer.words.clone(),
        1 => format!("{}; 1 alert", answer.words),
        _ => format!("{}; {firing} alerts", answer.words),
    }
}

/// The places of the groups that are shown, the worst where not all can be.
fn shown(reports: &[GroupReport]) -> HashSet<usize> {
    let worst = |report: &GroupReport| {
        let urgencies = report.standbys.iter().map(|of| urgency(of.state));
        urgencies.min()
    };
    let mut places: Vec<_> = (0..reports.len()).collect();
    places.sort_by_key(|place| worst(&reports[*place]).unwrap_or(u8::MAX));
    places.into_iter().take(GROUPS).collect()
}

/// The smaller, the sooner it is told.
const fn urgency(state: ReadyState) -> u8 {
    match state {
        ReadyState::PrimaryLost => 0,
        ReadyState::NotReady => 1,
        ReadyState::Unknown => 2,
        ReadyState::Ready => 3,
    }
}

fn is_ready(standby: &StandbyReport) -> bool {
    standby.state == ReadyState::Ready
}

pub(super) const fn class(state: ReadyState) -> &'static str {
    match state {
        ReadyState::Ready => "ready",
        ReadyState::NotReady => "not-ready",
        ReadyState::Unknown => "unknown",
        ReadyState::PrimaryLost => "lost",
    }
}

impl Answer {
    fn of(reports: &[GroupReport], unjudged: Option<&str>) -> Self {
        let standbys = || reports.iter().flat_map(|group| &group.standbys);
        let count = |state| standbys().filter(|standby| standby.state == state).count();
        let all = standbys().count();
        let lost = reports.iter().filter(|group| {
            let mut standbys = group.standbys.iter();
            standbys.any(|standby| standby.state == ReadyState::PrimaryLost)
        });
        let lost = lost.count();
        let (not_ready, unknown) = (count(ReadyState::NotReady), count(ReadyState::Unknown));
        let (class, words) = if let Some(why) = unjudged {
            ("unknown", why.to_owned())
        } else if lost > 0 {
            let of = counted(lost, "group", "groups");
            ("lost", format!("The primary of {of} is lost"))
        } else if not_ready > 0 {
            let of = counted(all, "standby", "standbys");
            let rest = match unknown {
                0 => String::new(),
                _ => format!("; of {unknown} it is not known"),
            };
            (
                "not-ready",
                format!("{not_ready} of {of} cannot take over{rest}"),
            )
        } else if unknown > 0 {
            let of = counted(all, "standby", "standbys");
            (
                "unknown",
                format!("Not known whether {unknown} of {of} can take over"),
            )
        } else if all > 0 {
            let whole = match all {
                1 => "The standby can take over".to_owned(),
                _ => format!("All {all} standbys can take over"),
            };
            ("ready", whole)
        } else {
            ("none", "There are no groups to judge".to_owned())
        };
        let wrong = reports.iter().enumerate().flat_map(|(id, group)| {
            let standbys = group.standbys.iter().filter(|standby| !is_ready(standby));
            standbys.map(move |standby| (id, group, standby))
        });
        let mut wrong: Vec<_> = wrong.collect();
        wrong.sort_by_key(|(.., standby)| urgency(standby.state));
        let lines = wrong.iter().take(LINES);
        let lines = lines.map(|(id, group, standby)| Line::of(*id, group, standby));
        Self {
            class,
            words,
            lines: lines.collect(),
            more_lines: wrong.len().saturating_sub(LINES),
        }
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

impl Line {
    fn of(group_id: usize, group: &GroupReport, standby: &StandbyReport) -> Self {
        let reason = standby.reasons.first();
        Self {
            class: class(standby.state),
            group_id,
            group: Arc::clone(&group.group),
            standby: Arc::clone(&standby.standby),
            says: says(standby).to_owned(),
            why: reason.map(why),
            at: reason.and_then(|reason| reason.last_conclusive_timestamp_seconds),
        }
    }
}

/// What a person asks: can it take over?
fn says(standby: &StandbyReport) -> &'static str {
    match (standby.state, standby.promotion) {
        (ReadyState::PrimaryLost, Promotability::Viable) => "primary lost: can be promoted",
        (ReadyState::PrimaryLost, Promotability::NotViable) => "primary lost: not to be promoted",
        (ReadyState::PrimaryLost, _) => "primary lost: not known whether it can be promoted",
        (state, _) => state.words(),
    }
}

/// The cause without its age, which the page tells as it grows.
fn why(check: &CheckReport) -> String {
    let cause = Cause {
        age_seconds: None,
        ..check.cause()
    };
    let text = cause.to_string();
    // The label of the reason is for programs.
    check.reason.map_or(text.clone(), |reason| {
        text.replacen(reason.as_str(), &reason.as_str().replace('_', " "), 1)
    })
}

impl Group {
    fn of(id: usize, report: &GroupReport, promised: Objectives) -> Self {
        let table = report.ranking.as_ref().map(|ranking| &ranking.table);
        let rows = table.map(|table| &*table.rows).unwrap_or_default();
        let reach = reach(rows);
        let standbys = report.standbys.iter().map(|standby| {
            let row = rows.iter().find(|row| row.name == standby.standby);
            let rank = row.map(|row| Rank::of(row, rows.len(), reach));
            Standby::of(standby, promised, rank)
        });
        let (primary_class, primary_says) = sight(report);
        Self {
            id,
            name: Arc::clone(&report.group),
            primary: Arc::clone(&report.primary),
            primary_class,
            primary_says,
            rpo_objective: promised.rpo.map(|objective| objective.as_secs_f64()),
            rto_objective: promised.rto.map(|objective| objective.as_secs_f64()),
            ranked_by: table.and_then(|table| {
                let probe = table.probe.as_ref()?;
                Some(format!("{} of {probe}", table.quantile.as_str()))
            }),
            standbys: standbys.collect(),
        }
    }
}

/// How the primary is seen: of what the standbys witness, the worst. After a failover that is said of the one
/// that was promoted, and not of the region that the configuration names.
fn sight(report: &GroupReport) -> (&'static str, String) {
    let worst = report.standbys.iter().map(|standby| standby.primary_sight);
    let worst = worst.max_by_key(|sight| match sight {
        Sight::Seen => 0,
        Sight::Unclear => 1,
        Sight::OneSided => 2,
        Sight::Unwitnessed => 3,
        Sight::Lost => 4,
    });
    let promoted = report.standbys.iter().find(|standby| is_primary(standby));
    if let Some(promoted) = promoted.filter(|_| worst != Some(Sight::Lost)) {
        return (
            "not-ready",
            format!("{} is a primary now", promoted.standby),
        );
    }
    let (class, says) = match worst {
        Some(Sight::Seen) => ("ready", "seen"),
        Some(Sight::Unclear) | None => ("unknown", "not clear whether it is seen"),
        Some(Sight::OneSided) => ("unknown", "not reached from here, but heard by a standby"),
        Some(Sight::Unwitnessed) => ("unknown", "not reached, and no standby can witness"),
        Some(Sight::Lost) => ("lost", "lost: neither reached nor heard"),
    };
    (class, says.to_owned())
}

/// Whether it says that it is no standby.
fn is_primary(standby: &StandbyReport) -> bool {
    let mut checks = standby.checks.iter();
    checks.any(|check| *check.check == *ROLE && check.state == CheckState::Fail)
}

/// How far the intervals of a group's differences go from 0.
fn reach(rows: &[Row]) -> f64 {
    let differences = rows.iter().filter_map(|row| row.difference.as_ref());
    let ends = differences.flat_map(|of| [of.low_seconds, of.median_seconds, of.high_seconds]);
    let ends = ends.flatten().filter(|end| end.is_finite());
    ends.map(f64::abs).fold(0.0, f64::max)
}

impl Rank {
    fn of(row: &Row, of: usize, reach: f64) -> Self {
        let compared = |difference: &Difference| {
            let (low, middle, high) = (
                difference.low_seconds?,
                difference.median_seconds?,
                difference.high_seconds?,
            );
            let [middle_text, low_text, high_text] = [middle, low, high].map(words::signed);
            Some(Compared {
                other: Arc::clone(&difference.other),
                text: format!("{middle_text} ({low_text} to {high_text})"),
                interval: Interval::of(low, middle, high, reach),
            })
        };
        Self {
            place: row.rank,
            of,
            reason: row.reason.clone(),
            latency: row.latency_seconds,
            loss: row.loss_ratio,
            difference: row.difference.as_ref().and_then(compared),
        }
    }
}

impl Standby {
    fn of(report: &StandbyReport, promised: Objectives, rank: Option<Rank>) -> Self {
        let promotion = match report.promotion {
            Promotability::NotAsked => None,
            Promotability::Viable => Some("can be promoted"),
            Promotability::NotViable => Some("not to be promoted"),
            Promotability::Unknown => Some("not known whether it can be promoted"),
        };
        let promotion = promotion.filter(|_| report.state == ReadyState::PrimaryLost);
        let objective = |of: Option<std::time::Duration>| of.map(|of| of.as_secs_f64());
        let passing = report
            .checks
            .iter()
            .filter(|check| check.state == CheckState::Pass);
        let last_sight = report.last_sight.as_ref();
        let last_sight = last_sight.filter(|_| report.state == ReadyState::PrimaryLost);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        let rpo_bytes = report.rpo_bytes.map(|bytes| bytes as f64);
        Self {
            region: Arc::clone(&report.standby),
            class: class(report.state),
            says: report.state.words(),
            promotion,
            failing: report.reasons.iter().map(Check::of).collect(),
            more_failing: report.more_reasons,
            rpo: report.rpo_seconds,
            rpo_bytes,
            rpo_meter: Meter::of(report.rpo_seconds, objective(promised.rpo)),
            rto: report.rto_seconds,
            rto_meter: Meter::of(report.rto_seconds, objective(promised.rto)),
            stages: report.rto_stages.iter().map(stage).collect(),
            lag: report.lag_seconds,
            lag_at_least: report.lag_at_least,
            rank,
            holds: report.holds.iter().map(hold).collect(),
            last_sight: last_sight.map(|sight| (sight.timestamp_seconds, sight.rpo_seconds)),
            passing: passing.count(),
            checks: report.checks.iter().map(Check::of).collect(),
        }
    }
}

fn stage(report: &StageReport) -> Stage {
    Stage {
        name: report.stage.to_owned(),
        seconds: report.seconds,
        basis: report.basis,
    }
}

fn hold(report: &HoldReport) -> Hold {
    Hold {
        kind: report.kind.replace('_', " "),
        reason: Arc::clone(&report.reason),
        until: report.expiry_timestamp_seconds,
    }
}

impl Check {
    fn of(report: &CheckReport) -> Self {
        let class = match report.state {
            CheckState::Pass => "ready",
            CheckState::Fail => "not-ready",
            CheckState::Unknown | CheckState::Stale => "unknown",
            CheckState::NotApplicable => "none",
        };
        let figure = |value: Option<f64>| value.map(|value| words::figure(report.unit, value));
        Self {
            name: Arc::clone(&report.check),
            probe: Arc::clone(&report.probe),
            gate: report.gate.as_str(),
            class,
            says: report.state.as_str().replace('_', " "),
            why: report
                .reason
                .map(|reason| reason.as_str().replace('_', " ")),
            value: figure(report.value),
            threshold: figure(report.threshold),
            at: report.last_conclusive_timestamp_seconds,
        }
    }
}

fn alerts(state: &State, now: f64) -> Alerts {
    let all = state.alerting.alerts.all();
    let receivers = (state.alerting.receivers)();
    let of_state = |state: AlertState| {
        // What always fires is no news.
        let news = all.iter().filter(|alert| *alert.rule != *WATCHDOG);
        news.filter(move |alert| alert.state == state)
    };
    let mut firing: Vec<_> = of_state(AlertState::Firing).collect();
    let urgency = |alert: &Alert| alert.severity().map(|severity| severity as u8);
    firing.sort_by_key(|alert| (alert.muted.is_some(), std::cmp::Reverse(urgency(alert))));
    let more_firing = firing.len().saturating_sub(ENTRIES);
    let shown = firing.into_iter().take(ENTRIES).map(|alert| {
        let fingerprint = alert.fingerprint();
        let behind = receivers
            .iter()
            .filter(|of| of.undelivered.contains(&fingerprint));
        let untold = behind.map(|of| Arc::clone(of.endpoint.as_ref().unwrap_or(&of.receiver)));
        Firing::of(alert, fingerprint, untold.collect())
    });
    let firing = shown.collect();
    let behind = receivers.iter().filter(|of| {
        of.deliveries > 0
            || !of.undelivered.is_empty()
            || of.rejecting_since_timestamp_seconds.is_some()
    });
    let mut silences = state.alerting.silences.all();
    silences.retain(|silence| silence.holds(now));
    let more_silences = silences.len().saturating_sub(ENTRIES);
    Alerts {
        firing,
        more_firing,
        pending: of_state(AlertState::Pending).count(),
        behind: behind
            .map(|of| Behind {
                receiver: Arc::clone(&of.receiver),
                endpoint: of.endpoint.clone(),
                deliveries: of.deliveries.max(of.undelivered.len()),
                since: of.oldest_timestamp_seconds,
                rejecting_since: of.rejecting_since_timestamp_seconds,
                error: of.last_error.clone(),
            })
            .collect(),
        silences: silences.into_iter().take(ENTRIES).map(silence).collect(),
        more_silences,
    }
}

impl Firing {
    fn of(alert: &Alert, fingerprint: Fingerprint, untold: Vec<Arc<str>>) -> Self {
        let labels = alert.labels.iter();
        let labels = labels.filter(|(name, _)| !matches!(&***name, "alertname" | "severity"));
        let muted = alert.muted.as_ref().map(|mute| match mute {
            Mute::Maintenance(name) => format!("muted by the maintenance window {name}"),
            Mute::Silence(id) => format!("muted by the silence {id}"),
            Mute::Dependency(rule) => format!("muted: {rule} fires, too"),
        });
        Self {
            fingerprint,
            rule: Arc::clone(&alert.rule),
            severity: alert.severity().map_or("none", Severity::as_str),
            summary: alert.annotations.get("summary").cloned(),
            labels: labels
                .map(|(name, value)| (Arc::clone(name), Arc::clone(value)))
                .collect(),
            since: alert
                .start_timestamp_seconds
                .unwrap_or(alert.active_timestamp_seconds),
            muted,
            untold,
        }
    }
}

fn silence(silence: model::Silence) -> Silence {
    let matches = silence.matches.iter();
    let matches: Vec<_> = matches
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Silence {
        matches: matches.join(", "),
        id: silence.id,
        note: silence.note,
        until: silence.end_timestamp_seconds,
    }
}

fn failovers(mut all: Vec<Failover>) -> Vec<PastFailover> {
    all.sort_by(|a, b| b.timestamp_seconds.total_cmp(&a.timestamp_seconds));
    let newest = all.into_iter().take(ENTRIES);
    newest
        .map(|of| PastFailover {
            id: of.id,
            group: of.group,
            from: of.from,
            to: of.to,
            at: of.timestamp_seconds,
            kind: match (of.drill.is_some(), of.planned) {
                (true, _) => "drill",
                (false, true) => "planned",
                (false, false) => "unplanned",
            },
            rto: of.rto_write_seconds,
            rto_user: of.rto_user_seconds,
            rpo: of.rpo_seconds,
            rpo_writes: of.rpo_writes,
            rpo_unknown: of.rpo_unknown.map(LossUnknown::as_str),
        })
        .collect()
}

fn drills(mut all: Vec<Drill>, now: f64) -> Vec<PastDrill> {
    all.sort_by(|a, b| {
        b.start_timestamp_seconds
            .total_cmp(&a.start_timestamp_seconds)
    });
    let newest = all.into_iter().take(ENTRIES);
    newest
        .map(|of| {
            let (class, says) = match of.state {
                DrillState::Open if now > of.deadline_timestamp_seconds => {
                    ("not-ready", "not finished")
                }
                DrillState::Open => ("unknown", "under way"),
                DrillState::Succeeded => ("ready", "succeeded"),
                DrillState::Aborted => ("not-ready", "given up"),
            };
            PastDrill {
                id: of.id,
                group: of.group,
                kind: of.kind.as_str().replace('_', " "),
                note: of.note,
                at: of.start_timestamp_seconds,
                end: of.end_timestamp_seconds,
                class,
                says,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Page, STATUS};
    use super::*;
    use crate::model::{DrillKind, RtoBasis};

    fn failover(drill: Option<&str>, rpo_seconds: Option<f64>) -> Failover {
        Failover {
            id: "0123456789abcdef".to_owned(),
            group: "shop".into(),
            probe: "orders".into(),
            source_region: "here".into(),
            from: "here".into(),
            to: "there".into(),
            timestamp_seconds: 90.0,
            planned: false,
            rto_write_seconds: 12.5,
            rto_write_basis: RtoBasis::Canary,
            rpo_writes: rpo_seconds.map(|_| 3),
            rpo_seconds,
            rpo_unknown: Some(LossUnknown::NotRead).filter(|_| rpo_seconds.is_none()),
            rto_user_seconds: Some(14.0),
            drill: drill.map(str::to_owned),
        }
    }

    fn drill(state: DrillState) -> Drill {
        Drill {
            id: "d1".to_owned(),
            group: "shop".into(),
            kind: DrillKind::ReadRoute,
            note: Some("yearly".to_owned()),
            start_timestamp_seconds: 80.0,
            deadline_timestamp_seconds: 95.0,
            rpo_objective_seconds: None,
            rto_objective_seconds: None,
            end_timestamp_seconds: None,
            state,
        }
    }

    fn eventful() -> Status {
        let firing = Firing {
            fingerprint: Fingerprint(1),
            rule: "Fails".into(),
            severity: "critical",
            summary: Some("it <fails>".into()),
            labels: vec![("group".into(), "shop".into())],
            since: 70.0,
            muted: Some("muted by the silence s1".to_owned()),
            untold: vec!["ops".into()],
        };
        let behind = Behind {
            receiver: "ops".into(),
            endpoint: None,
            deliveries: 2,
            since: Some(60.0),
            rejecting_since: Some(61.0),
            error: Some("503".to_owned()),
        };
        Status {
            region: "here".to_owned(),
            version: "1".to_owned(),
            targets: 1,
            title: String::new(),
            answer: Answer::of(&[], Some("the groups could not be judged")),
            judged: false,
            groups: Vec::new(),
            more_groups: 1,
            alerts: Alerts {
                firing: vec![firing],
                more_firing: 1,
                pending: 1,
                behind: vec![behind],
                silences: Vec::new(),
                more_silences: 0,
            },
            matrix: Matrix::default(),
            vantages: None,
            failovers: failovers(vec![failover(Some("d1"), Some(0.5)), failover(None, None)]),
            drills: drills(
                vec![drill(DrillState::Open), drill(DrillState::Succeeded)],
                100.0,
            ),
            faults: vec!["streams-0 has made no progress for 6s".to_owned()],
            durable: false,
            started: 1.0,
            config: "5f1c".to_owned(),
            young: Some("1 target has not been run yet".to_owned()),
        }
    }

    #[test]
    fn what_happened_and_who_was_not_told_is_said_in_full() {
        let page = Page::new("here", "1").expect("good templates");
        let made = page.make(
            &Asked::default(),
            "status.html",
            "",
            &eventful(),
            100.0,
            &STATUS,
        );
        let text = made.part.read();
        for part in [
            "the groups could not be judged",
            "drill; no writes for <b>12.5s</b>, users waited <b>14s</b>; lost <b>0.5s</b> (3 canaries)",
            "unplanned; no writes for <b>12.5s</b>",
            "not known: the canary could not be read on the new primary",
            "not finished",
            "succeeded",
            "it &lt;fails&gt;",
            "Not told yet: ops",
            "muted by the silence s1",
            "2 waiting, the oldest since",
            "refuses since",
            "streams-0 has made no progress for 6s",
            "10 s ago",
            "in memory only",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn time_that_goes_on_changes_no_version_and_what_happens_does() {
        let page = Page::new("here", "1").expect("good templates");
        let make = |status: &Status, now| {
            let made = page.make(&Asked::default(), "status.html", "", status, now, &STATUS);
            made.version
        };
        let before = make(&eventful(), 100.0);
        assert_eq!(before, make(&eventful(), 200.0));
        let status = Status {
            durable: true,
            ..eventful()
        };
        assert_ne!(before, make(&status, 100.0));
    }
}
