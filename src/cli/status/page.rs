//! How daemons are, for people: a block for each.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Group, Standby, Status, Told};
use crate::cli::daemons::{Each, moment};
use crate::cli::table::{Cell, table};
use crate::cli::terminal::{Ink, Tone, printable};
use crate::model::{ReadyState, duration};

const DAY: u64 = 86_400;

/// What each of them tells. One that does not answer hides no other.
pub(super) fn pages(each: &Each<Told>, ink: Ink) -> String {
    let pages = each.iter().map(|(url, came)| match came {
        Ok(told) => page(url, &told.status, ink),
        Err(why) => {
            let state = ink.paint(Tone::Bad, "not known");
            format!("{url}: {state}\n  {}\n", printable(why))
        }
    });
    pages.collect::<Vec<_>>().join("\n")
}

fn page(url: &str, status: &Status, ink: Ink) -> String {
    let mut page = ink.paint(Tone::Title, &status.source_region);
    let up = status.start_timestamp_seconds;
    let up = up.map(|start| age(status.timestamp_seconds - start));
    let _ = writeln!(
        page,
        "  {url}  hotspare {}, {}, at {}",
        printable(&status.version),
        up.map_or_else(|| "up".to_owned(), |age| format!("up {age}")),
        moment(status.timestamp_seconds)
    );
    page += &health(status, ink);
    if !status.groups.is_empty() {
        page.push('\n');
        page += &standbys(&status.groups, ink);
    }
    page.push('\n');
    page += &alerts(status, ink);
    page
}

fn health(status: &Status, ink: Ink) -> String {
    let state = if status.health.ok {
        ink.paint(Tone::Good, "well")
    } else {
        ink.paint(Tone::Bad, "not well")
    };
    let mut text = format!("  {state}: {} targets", status.targets);
    if status.unseen > 0 {
        let _ = write!(text, ", {} of them not run yet", status.unseen);
    }
    if let Some(hash) = &status.config_hash {
        let _ = write!(text, ", configuration {}", printable(hash));
    }
    if status.state_durable == Some(false) {
        let what = ink.paint(Tone::Doubt, "the state is in memory only");
        let _ = write!(text, ", {what}");
    }
    text.push('\n');
    for fault in &status.health.faults {
        let _ = writeln!(text, "  - {}", ink.paint(Tone::Bad, fault));
    }
    text
}

fn standbys(groups: &[Group], ink: Ink) -> String {
    let rows = groups
        .iter()
        .flat_map(|group| group.standbys.iter().map(|standby| row(group, standby)));
    let head = [
        "GROUP", "PRIMARY", "STANDBY", "STATE", "RANK", "RPO", "RTO", "WHY",
    ];
    table(head, &rows.collect::<Vec<_>>(), "  ", ink)
}

fn row(group: &Group, standby: &Standby) -> [Cell; 8] {
    let mut known = ReadyState::ALL.into_iter();
    let state = known.find(|state| state.as_str() == standby.state);
    let state = state.unwrap_or(ReadyState::Unknown);
    let tone = match state {
        ReadyState::Ready => Tone::Good,
        ReadyState::Unknown => Tone::Doubt,
        ReadyState::NotReady | ReadyState::PrimaryLost => Tone::Bad,
    };
    let mut words = state.words().to_owned();
    if state == ReadyState::PrimaryLost
        && let Some(promotion) = &standby.promotion
    {
        let _ = write!(words, ", promotion {}", promotion.replace('_', " "));
    }
    let why = standby.line.as_deref().unwrap_or_default();
    // The line begins with the state, which has a column of its own.
    let why = why.strip_prefix(state.words()).unwrap_or(why);
    let why = why.trim_start_matches([':', ' ']);
    [
        Cell::plain(&group.name),
        Cell::plain(&group.primary),
        Cell::plain(&standby.region),
        Cell(tone, words),
        Cell::or_none(standby.rank.map(|rank| rank.to_string())),
        Cell::or_none(standby.rpo_seconds.map(figure)),
        Cell::or_none(standby.rto_seconds.map(figure)),
        Cell::plain(why),
    ]
}

fn alerts(status: &Status, ink: Ink) -> String {
    let of = &status.alerts;
    let heard = of.firing.saturating_sub(of.muted);
    let tone = if heard > 0 { Tone::Bad } else { Tone::Plain };
    let firing = ink.paint(tone, &format!("{} firing", of.firing));
    let mut text = format!("  alerts: {firing}");
    if of.muted > 0 {
        let _ = write!(text, " ({} muted)", of.muted);
    }
    let _ = write!(text, ", {} pending", of.pending);
    if status.undelivered > 0 {
        let told = format!("{} not told yet", status.undelivered);
        let _ = write!(text, ", {}", ink.paint(Tone::Doubt, &told));
    }
    if of.firing + of.pending + status.undelivered > 0 {
        text += "; see `hotspare alerts`";
    }
    text + "\n"
}

/// Seconds as people read them: parts of one below ten, whole ones above.
fn figure(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    Duration::try_from_secs_f64(seconds.round())
        .map_or_else(|_| format!("{seconds:.0}s"), duration::display)
}

/// How long something has been: the two largest units of it.
fn age(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let unit = match whole.as_secs() {
        0..3_600 => 1,
        3_600..DAY => 60,
        _ => 3_600,
    };
    let rounded = whole.as_secs() / unit * unit;
    duration::display(Duration::from_secs(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemons::read;

    fn status(state: &str, line: &str) -> String {
        let body = format!(
            r#"{{ "source_region": "eu-west", "version": "0.1.0", "revision": "abc",
            "timestamp_seconds": 1795265100.5, "start_timestamp_seconds": 1795000000.0,
            "config_hash": "5f1c0a9be27d4436", "targets": 121, "unseen": 2,
            "health": {{ "ok": false, "faults": ["pager has not taken a notification\u001b[2J"] }},
            "state_durable": false, "new": 1,
            "groups": [ {{ "group": "checkout", "primary": "eu-west", "standbys": [
                {{ "standby": "us-east", "state": "{state}", "promotion": "viable", "rank": 1,
                  "rpo_seconds": 7.25, "rto_seconds": 342.0, "line": "{line}" }} ] }} ],
            "alerts": {{ "firing": 3, "pending": 1, "muted": 2 }}, "undelivered": 1,
            "regions": [] }}"#
        );
        page(
            "http://h:9887",
            &read(body.as_bytes()).expect("good"),
            Ink::NONE,
        )
    }

    #[test]
    fn a_daemon_tells_what_is_wrong_and_why_a_standby_is_not_ready() {
        let page = status("not_ready", "not ready: orders lag: 7.2s, limit 5s");
        let wanted = "\
eu-west  http://h:9887  hotspare 0.1.0, up 3d1h, at 2026-11-21T12:45:00Z
  not well: 121 targets, 2 of them not run yet, configuration 5f1c0a9be27d4436, the state is in memory only
  - pager has not taken a notification\u{fffd}[2J

  GROUP     PRIMARY  STANDBY  STATE      RANK  RPO   RTO    WHY
  checkout  eu-west  us-east  not ready  1     7.2s  5m42s  orders lag: 7.2s, limit 5s

  alerts: 3 firing (2 muted), 1 pending, 1 not told yet; see `hotspare alerts`
";
        assert_eq!(page, wanted);
    }

    #[test]
    fn a_state_that_is_new_is_unknown_and_a_lost_primary_tells_of_promotion() {
        assert!(status("promoting", "promoting").contains("  unknown  "));
        let lost = status("primary_lost", "primary lost");
        assert!(
            lost.contains("  primary lost, promotion viable  "),
            "{lost}"
        );
    }
}
