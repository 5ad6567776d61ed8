//! The canary's statement, and what the server's errors say of it.

use std::time::Duration;

use crate::model::{Identity, NotWritten, Order, Withheld};
use crate::probe::CanaryName;

/// How long a write waits for another one to the same row, in a run that has time.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes the canary, if this is still the server that the order is for: the look at it and the
/// write are one message and so one transaction. A server that is no primary, or read-only, refuses
/// it. The names stand in it as they are, as in [`CanaryName::look`].
///
/// - It must be a transaction of its own (`now()` is when that began): one that the operator's query
///   left open ends later or never, and its canary would be acknowledged and then lost.
/// - `lock_timeout` is there for a canary of an earlier run that still waits for a synchronous
///   standby. That wait itself can be ended by nothing that is set here.
pub(super) fn statement(name: &CanaryName, order: &Order, timeout: Duration) -> String {
    let CanaryName {
        vantage,
        probe,
        epoch,
    } = name;
    let seq = order.seq;
    // Zero would mean no limit.
    let lock_timeout = (timeout / 4).min(LOCK_TIMEOUT).as_millis().max(1);
    let system = match &order.to.identity {
        Some(Identity::System(system)) => system.to_string(),
        _ => "NULL".to_owned(),
    };
    let timeline = order
        .to
        .timeline
        .map_or("NULL".to_owned(), |n| n.to_string());
    format!(
        "SET LOCAL lock_timeout = {lock_timeout}; \
         INSERT INTO hotspare.canary (vantage, probe, epoch, seq) \
         SELECT '{vantage}', '{probe}', '{epoch}', {seq} \
         WHERE now() = statement_timestamp() \
         AND (SELECT system_identifier FROM pg_control_system()) = {system} \
         AND ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int = {timeline} \
         ON CONFLICT (vantage, probe) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, \
         written_at = clock_timestamp() RETURNING seq"
    )
}

/// Why the server did not let us look.
pub(super) fn withheld(code: &str) -> Withheld {
    match code {
        // insufficient_privilege
        "42501" => Withheld::Permission,
        // undefined_function, undefined_table, undefined_column, invalid_schema_name, feature_not_supported
        "42883" | "42P01" | "42703" | "3F000" | "0A000" => Withheld::Unsupported,
        _ => Withheld::Error,
    }
}

/// Why the server did not write.
pub(super) fn not_written(code: &str) -> NotWritten {
    match code {
        "42501" => NotWritten::Permission,
        "42P01" | "42703" | "3F000" => NotWritten::NoTable,
        // read_only_sql_transaction: what a standby says, too
        "25006" => NotWritten::Changed,
        _ => NotWritten::Error,
    }
}
