//! The phases of a run, drawn to scale below each other: each begins where the one before it ended.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::terminal::{Ink, Tone};
use crate::model::{Phase, Reason, Sample};

/// Cells for the longest run.
const WIDTH: u128 = 40;

/// One phase.
struct Part {
    name: &'static str,
    took: Duration,
    ended: bool,
}

/// The phases of the run, a line each; nothing for a run that has none (a ping to an address).
pub(super) fn draw(sample: &Sample, ink: Ink) -> String {
    let parts = parts(sample);
    let whole: Duration = parts.iter().map(|part| part.took).sum();
    let width = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut before = Duration::ZERO;
    for Part { name, took, ended } in parts {
        let (from, to) = (cells(before, whole), cells(before + took, whole));
        // What took no time that could be seen is seen all the same.
        let from = from.min(WIDTH - 1);
        let to = to.max(from + 1);
        let space = " ".repeat(usize::try_from(from).unwrap_or(0));
        let (mark, tone) = if ended {
            ("#", Tone::Good)
        } else {
            (".", Tone::Bad)
        };
        let bar = mark.repeat(usize::try_from(to - from).unwrap_or(0));
        let millis = millis(took);
        let _ = writeln!(
            text,
            "    {name:width$}  {millis:>10}  {space}{}",
            ink.paint(tone, &bar)
        );
        before += took;
    }
    text
}

fn cells(time: Duration, whole: Duration) -> u128 {
    time.as_nanos() * WIDTH / whole.as_nanos().max(1)
}

/// The phases that were finished, and what a failed run spent in the one that was not.
fn parts(sample: &Sample) -> Vec<Part> {
    let finished = sample.laps.iter();
    let mut parts: Vec<_> = finished
        .map(|(phase, took)| Part {
            name: phase.as_str(),
            took,
            ended: true,
        })
        .collect();
    if let Some(phase) = unfinished(sample) {
        let whole = sample.ended.saturating_duration_since(sample.started);
        parts.push(Part {
            name: phase.as_str(),
            took: whole.saturating_sub(sample.laps.total()),
            ended: false,
        });
    }
    parts
}

/// The phase in which the deadline came.
fn unfinished(sample: &Sample) -> Option<Phase> {
    let failure = sample.outcome.as_ref().err()?;
    let mut phases = Phase::ALL.into_iter();
    phases.find(|phase| {
        Reason::timeout_in(Some(*phase)) == failure.reason && sample.laps.get(*phase).is_none()
    })
}

/// A time as people read it: short ones to the hundredth of a millisecond, others to the tenth.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 {
        format!("{millis:.2} ms")
    } else {
        format!("{millis:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::Instant;

    use super::*;
    use crate::model::{Failure, Laps, Reply, TargetKey};

    fn sample(laps: &[(Phase, u64)], took: u64, outcome: Result<Reply, Failure>) -> Sample {
        let started = Instant::now().into_std();
        let mut spent = Laps::default();
        for (phase, millis) in laps {
            spent.add(*phase, Duration::from_millis(*millis));
        }
        Sample {
            target: TargetKey(0),
            due: started,
            started,
            ended: started + Duration::from_millis(took),
            at: SystemTime::UNIX_EPOCH,
            laps: spent,
            outcome,
        }
    }

    #[test]
    fn each_phase_begins_where_the_one_before_it_ended() {
        let reply = Reply {
            latencies: [Duration::from_millis(40)].into_iter().collect(),
            facts: crate::model::Facts::default(),
        };
        let laps = [
            (Phase::Connect, 10),
            (Phase::Tls, 29),
            (Phase::Processing, 1),
        ];
        let drawn = draw(&sample(&laps, 40, Ok(reply)), Ink::NONE);
        let (tenth, most) = ("#".repeat(10), "#".repeat(29));
        let wanted = format!(
            "    connect        10.0 ms  {tenth}\n    tls            29.0 ms  {:10}{most}\n    \
             processing     1.00 ms  {:39}#\n",
            "", ""
        );
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn the_phase_in_which_the_deadline_came_is_shown_as_not_ended() {
        let failure = Failure::new(Reason::TimeoutTls, "no end");
        let drawn = draw(
            &sample(&[(Phase::Connect, 1)], 1000, Err(failure)),
            Ink::NONE,
        );
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines[0], "    connect     1.00 ms  #");
        assert_eq!(
            lines[1],
            format!("    tls        999.0 ms  {}", ".".repeat(40))
        );
        let refused = Failure::new(Reason::Refused, "no");
        assert_eq!(draw(&sample(&[], 1, Err(refused)), Ink::NONE), "");
    }
}
