//! What a server tells of its replication, in one row of one statement.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio_postgres::SimpleQueryRow;

use crate::model::{
    Identity, Link, Position, ReplicationFacts, Role, Slot, StandbyLimits, Withheld,
};

/// Works from `PostgreSQL` 12 on, and on either role. It needs no grant but for the receiver's
/// columns (`pg_read_all_stats`). It never reads `primary_conninfo`, which can hold a password.
///
/// - A timeline is read from the name of the current log file: after a promotion, `pg_control_*`
///   still has the old one for a while.
/// - The received position is that of the receiver of this life of the server, or what was replayed
///   from elsewhere if that is further.
/// - The receiver's silence is the difference of two times of the standby's own clock.
/// - The functions below the views of slots and of the receiver need no other rights and spare the
///   server a third of its work. Slots keep their places, so it is always the same ones that go
///   beyond the limit.
/// - The status of a slot exists from version 13 on; by way of JSON its absence is no error.
/// - The last column has the values of [`StandbyLimits`], in the order of their names.
pub(super) const QUESTION: &str = "SELECT r.rec, current_setting('transaction_read_only'), \
(SELECT system_identifier FROM pg_control_system()), \
CASE WHEN r.rec THEN greatest(w.received_tli, \
  (SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
  (SELECT timeline_id FROM pg_control_checkpoint())) \
ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END, \
CASE WHEN r.rec THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
CASE WHEN r.rec THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END, \
CASE WHEN r.rec THEN pg_is_wal_replay_paused() END, \
CASE WHEN r.rec THEN w.pid IS NOT NULL END, w.status, \
extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time), \
CASE WHEN r.rec THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END, \
CASE WHEN r.rec THEN nullif(current_setting('primary_slot_name'), '') END, \
(SELECT json_agg(json_build_object('name', s.slot_name, 'active', s.active, \
  'status', to_jsonb(s)->>'wal_status', 'retained', pg_wal_lsn_diff(CASE WHEN r.rec \
  THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
  ELSE pg_current_wal_lsn() END, s.restart_lsn))) \
 FROM (SELECT * FROM pg_get_replication_slots() WHERE slot_type = 'physical' LIMIT 64) s), \
concat_ws(' ', current_setting('max_connections', true), \
  current_setting('max_worker_processes', true), current_setting('max_wal_senders', true), \
  current_setting('max_prepared_transactions', true), \
  current_setting('max_locks_per_transaction', true)) \
FROM (SELECT pg_is_in_recovery() AS rec) r LEFT JOIN pg_stat_get_wal_receiver() w ON true";

/// Columns of the answer.
const COLUMNS: usize = 14;
/// Slots that are asked for.
const MAX_SLOTS: usize = Slot::MOST;
/// Bytes of a name: what `PostgreSQL` is built with.
const MAX_NAME: usize = 63;

/// A slot as the answer has it.
#[derive(Deserialize)]
struct SlotRow {
    name: String,
    active: bool,
    status: Option<String>,
    retained: Option<i64>,
}

/// What the row says, and why it does not say all. `None`: it is not the row that was asked for.
pub(super) fn read(
    row: &SimpleQueryRow,
    asked: Instant,
    answered: Instant,
) -> Option<(ReplicationFacts, Option<Withheld>)> {
    let columns: Result<Vec<_>, _> = (0..row.len()).map(|i| row.try_get(i)).collect();
    parse(&columns.ok()?, asked, answered)
}

fn parse(
    columns: &[Option<&str>],
    asked: Instant,
    answered: Instant,
) -> Option<(ReplicationFacts, Option<Withheld>)> {
    let &[
        recovering,
        read_only,
        system,
        timeline,
        position,
        received,
        paused,
        has_process,
        status,
        silence,
        native_lag,
        slot,
        slots,
        limits,
    ] = <&[Option<&str>; COLUMNS]>::try_from(columns).ok()?;
    let standby = truth(recovering?)?;
    let mut facts = ReplicationFacts::new(asked, answered);
    facts.role = if standby {
        Role::Standby
    } else {
        Role::Primary
    };
    let read_only = switch(read_only?)?;
    facts.writable = Some(!standby && !read_only);
    facts.identity = Some(Identity::System(system?.parse().ok()?));
    facts.timeline = optional(timeline, |text| text.parse().ok())?;
    facts.position = optional(position, lsn)?;
    facts.received = optional(received, lsn)?;
    facts.replay_paused = optional(paused, truth)?;
    facts.native_lag = optional(native_lag, seconds)?;
    facts.slot = optional(slot, name)?;
    facts.slots = optional(slots, held)?.unwrap_or_default();
    let mut withheld = None;
    if standby {
        let has_process = truth(has_process?)?;
        // Who may not see it finds the receiver's process and nothing else of it.
        withheld = (has_process && status.is_none()).then_some(Withheld::Permission);
        facts.link = Some(Link {
            up: (withheld.is_none()).then_some(status == Some("streaming")),
            silence: optional(silence, seconds)?,
            initial_sync: false,
        });
    }
    facts.limits = limits.and_then(standby_limits);
    if facts.limits.is_none() {
        withheld.get_or_insert(Withheld::Error);
    }
    Some((facts, withheld))
}

/// The slots, not more than were asked for.
fn held(json: &str) -> Option<Vec<Slot>> {
    let rows: Vec<SlotRow> = serde_json::from_str(json).ok()?;
    if rows.len() > MAX_SLOTS {
        return None;
    }
    rows.into_iter().map(SlotRow::read).collect()
}

impl SlotRow {
    fn read(self) -> Option<Slot> {
        Some(Slot {
            name: name(&self.name)?,
            active: self.active,
            retained_bytes: self.retained.and_then(|bytes| bytes.try_into().ok()),
            lost: matches!(self.status.as_deref(), Some("lost" | "unreserved")),
        })
    }
}

/// A value that may be missing but not unreadable.
#[expect(
    clippy::option_option,
    reason = "missing is one thing, unreadable another"
)]
fn optional<T>(text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => read(text).map(Some),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The values of all the parameters; where one is missing, it is open which.
fn standby_limits(text: &str) -> Option<StandbyLimits> {
    let values: Result<Vec<_>, _> = text.split(' ').map(str::parse).collect();
    values.ok()?.try_into().ok().map(StandbyLimits)
}

fn name(text: &str) -> Option<Box<str>> {
    (text.len() <= MAX_NAME).then(|| text.into())
}

/// A position, `16/B374D848`: two numbers of 32 bits in hexadecimal.
fn lsn(text: &str) -> Option<Position> {
    let (high, low) = text.split_once('/')?;
    let number = |digits| u32::from_str_radix(digits, 16).ok().map(u64::from);
    Some(Position::Lsn(number(high)? << 32 | number(low)?))
}

/// Seconds; a clock that was set back makes them negative, which is nothing.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    // `max` would make a number of what is none.
    let seconds = if seconds < 0.0 { 0.0 } else { seconds };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn parsed(columns: &[Option<&str>]) -> Option<(ReplicationFacts, Option<Withheld>)> {
        let now = Instant::now();
        parse(columns, now, now)
    }

    const STANDBY: [Option<&str>; COLUMNS] = [
        Some("t"),
        Some("on"),
        Some("7312345678901234567"),
        Some("2"),
        Some("0/3000060"),
        Some("1/0"),
        Some("f"),
        Some("t"),
        Some("streaming"),
        Some("0.25"),
        None,
        Some("north"),
        None,
        Some("100 8 10 0 64"),
    ];

    #[test]
    fn a_standby_is_read() {
        let (facts, withheld) = parsed(&STANDBY).expect("facts");
        assert_eq!(withheld, None);
        assert_eq!((facts.role, facts.writable), (Role::Standby, Some(false)));
        assert_eq!(
            facts.identity,
            Some(Identity::System(7_312_345_678_901_234_567))
        );
        assert_eq!(facts.timeline, Some(2));
        assert_eq!(facts.position, Some(Position::Lsn(0x300_0060)));
        assert_eq!(facts.received, Some(Position::Lsn(1 << 32)));
        let link = facts.link.expect("link");
        assert_eq!(link.up, Some(true));
        assert_eq!(link.silence, Some(Duration::from_millis(250)));
        assert_eq!(facts.native_lag, None);
        assert_eq!(facts.slot.as_deref(), Some("north"));
        assert_eq!(facts.limits, Some(StandbyLimits([100, 8, 10, 0, 64])));
    }

    #[test]
    fn the_limits_are_all_known_or_none_is() {
        for text in [
            None,
            Some(""),
            Some("100 8 10 0"),
            Some("100 8 10 0 64 1"),
            Some("100 8 10  64"),
            Some("100 8 10 -1 64"),
            Some("100 8 10 many 64"),
            Some("4294967296 8 10 0 64"),
        ] {
            let mut row = STANDBY;
            row[13] = text;
            let (facts, withheld) = parsed(&row).expect("the rest");
            assert_eq!((facts.limits, withheld), (None, Some(Withheld::Error)));
            assert_eq!(facts.timeline, Some(2), "{text:?}");
            // A missing grant is something that the operator can do something about.
            row[8] = None;
            let (_, withheld) = parsed(&row).expect("the rest");
            assert_eq!(withheld, Some(Withheld::Permission), "{text:?}");
        }
    }

    #[test]
    fn a_missing_grant_is_not_a_broken_link() {
        let mut row = STANDBY;
        (row[3], row[8], row[9]) = (None, None, None);
        let (facts, withheld) = parsed(&row).expect("facts");
        assert_eq!(withheld, Some(Withheld::Permission));
        assert_eq!(facts.link.expect("link").up, None);

        row[7] = Some("f");
        let (facts, withheld) = parsed(&row).expect("facts");
        assert_eq!(
            (withheld, facts.link.expect("link").up),
            (None, Some(false))
        );
    }

    #[test]
    fn slots_are_read() {
        let mut row = STANDBY;
        row[0] = Some("f");
        row[1] = Some("off");
        row[12] = Some(
            r#"[{"name":"a","active":true,"status":"reserved","retained":16},
                {"name":"b","active":false,"status":"lost","retained":null},
                {"name":"c","active":false,"status":null,"retained":-8}]"#,
        );
        let (facts, _) = parsed(&row).expect("facts");
        assert_eq!((facts.role, facts.writable), (Role::Primary, Some(true)));
        assert_eq!(facts.link, None);
        let told: Vec<_> = facts
            .slots
            .iter()
            .map(|s| (s.retained_bytes, s.lost))
            .collect();
        assert_eq!(told, [(Some(16), false), (None, true), (None, false)]);
    }

    fn slots(name: &str, count: usize) -> String {
        let slot = format!(r#"{{"name":"{name}","active":true,"status":null,"retained":1}}"#);
        format!("[{}]", vec![slot; count].join(","))
    }

    #[test]
    fn as_many_slots_as_were_asked_for_are_kept() {
        let mut row = STANDBY;
        let most = slots(&"x".repeat(63), 64);
        row[12] = Some(&most);
        let (facts, _) = parsed(&row).expect("facts");
        assert_eq!(facts.slots.len(), 64);
    }

    #[test]
    fn what_cannot_be_read_is_no_fact() {
        assert!(parsed(&STANDBY[1..]).is_none(), "a column is missing");
        for (column, text) in [
            (0, "yes"),
            (1, "true"),
            (2, "-1"),
            (3, "two"),
            (4, "0-3000060"),
            (4, "0/123456789"),
            (6, ""),
            (9, "NaN"),
            (9, "soon"),
            (11, &"x".repeat(64)),
            (12, "[{}]"),
            (12, &slots("x", 65)),
            (12, &slots(&"x".repeat(64), 1)),
        ] {
            let mut row = STANDBY;
            row[column] = Some(text);
            assert!(parsed(&row).is_none(), "{column}: {text}");
        }
    }
}
