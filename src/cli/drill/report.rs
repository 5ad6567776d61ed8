//! What came of a drill, as all of the daemons that were asked saw it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::daemons::moment;
use crate::cli::events::line;
use crate::model::{Drill, DrillState, Failover};

/// The report on a drill.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    drill: Drill,
    /// How many of the daemons that were asked know of it, and at how many it succeeded.
    vantages: usize,
    succeeded: usize,
    /// The longest time without writes.
    rto_write: Figure,
    /// The longest time for which users could not get through.
    rto_user: Figure,
    /// The longest time of writes that were lost.
    rpo: Figure,
    /// Oldest first.
    events: Vec<Failover>,
}

/// What was measured, and what was promised.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figure {
    /// `None`: not known, of one event at least.
    measured_seconds: Option<f64>,
    objective_seconds: Option<f64>,
    /// `None`: one of the two is not known.
    met: Option<bool>,
}

impl Figure {
    /// The worst of what was measured; one that is not known spoils it.
    fn worst(measured: impl Iterator<Item = Option<f64>>, objective: Option<f64>) -> Self {
        let all: Option<Vec<f64>> = measured.collect();
        let measured_seconds = all.and_then(|all| all.into_iter().reduce(f64::max));
        let both = measured_seconds.zip(objective);
        Self {
            measured_seconds,
            objective_seconds: objective,
            met: both.map(|(measured, objective)| measured <= objective),
        }
    }

    fn row(self, name: &str) -> String {
        let told = |seconds: Option<f64>, none: &str| {
            seconds.map_or_else(|| none.to_owned(), |seconds| format!("{seconds:.1}s"))
        };
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "exceeded",
            None => "not known",
        };
        format!(
            "| {name} | {} | {} | {verdict} |\n",
            told(self.measured_seconds, "not measured"),
            told(self.objective_seconds, "none")
        )
    }
}

impl Report {
    /// The report on `drill`; `known` are all the drills that the daemons told of.
    pub(super) fn new(drill: Drill, known: &[Drill], mut events: Vec<Failover>) -> Self {
        events.sort_by(|a, b| a.timestamp_seconds.total_cmp(&b.timestamp_seconds));
        let (rpo, rto) = (drill.rpo_objective_seconds, drill.rto_objective_seconds);
        let same = |each: &&Drill| each.id == drill.id && each.group == drill.group;
        let vantages: Vec<_> = known.iter().filter(same).collect();
        let succeeded = vantages.iter();
        let succeeded = succeeded.filter(|each| each.state == DrillState::Succeeded);
        let write = events.iter().map(|event| Some(event.rto_write_seconds));
        Self {
            vantages: vantages.len(),
            succeeded: succeeded.count(),
            rto_write: Figure::worst(write, rto),
            rto_user: Figure::worst(events.iter().map(|event| event.rto_user_seconds), rto),
            rpo: Figure::worst(events.iter().map(|event| event.rpo_seconds), rpo),
            drill,
            events,
        }
    }

    pub(super) fn markdown(&self) -> String {
        let Drill {
            id, group, kind, ..
        } = &self.drill;
        let mut text = format!("# Drill {id}\n\n{} of {group}", kind.as_str());
        if let Some(note) = &self.drill.note {
            let _ = write!(text, ": {note}");
        }
        let _ = write!(
            text,
            ". It succeeded at {} of {} vantages.\n\n## Measured\n\n\
             | | measured | objective | |\n|---|---|---|---|\n{}{}{}\n## Timeline\n\n",
            self.succeeded,
            self.vantages,
            self.rto_write.row("no writes (RTO)"),
            self.rto_user.row("users cut off (RTO)"),
            self.rpo.row("writes lost (RPO)"),
        );
        let start = self.drill.start_timestamp_seconds;
        let _ = writeln!(text, "- {}  announced", moment(start));
        for event in &self.events {
            let _ = write!(text, "- {}", line(event));
        }
        let _ = match (self.drill.state, self.drill.end_timestamp_seconds) {
            (DrillState::Succeeded, Some(end)) => {
                writeln!(text, "- {}  finished with every standby ready", moment(end))
            }
            (DrillState::Aborted, Some(end)) => writeln!(text, "- {}  aborted", moment(end)),
            _ => writeln!(
                text,
                "- not finished; to be over by {}",
                moment(self.drill.deadline_timestamp_seconds)
            ),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DrillKind;

    fn drill(group: &str, state: DrillState) -> Drill {
        Drill {
            id: "yearly".to_owned(),
            group: group.into(),
            kind: DrillKind::Switchover,
            note: None,
            start_timestamp_seconds: 1_000.0,
            deadline_timestamp_seconds: 2_000.0,
            rpo_objective_seconds: None,
            rto_objective_seconds: None,
            end_timestamp_seconds: None,
            state,
        }
    }

    /// Ids are unique within a group only.
    #[test]
    fn the_success_of_another_groups_drill_of_the_same_id_is_not_counted() {
        let ours = drill("shop", DrillState::Aborted);
        let known = [
            ours.clone(),
            drill("search", DrillState::Succeeded),
            drill("shop", DrillState::Succeeded),
        ];
        let report = Report::new(ours, &known, Vec::new());
        assert_eq!((report.succeeded, report.vantages), (1, 2));
    }
}
