//! The questions to `MySQL` (8.0 and later), and their answers.

use std::time::Duration;

use super::{Learned, all_are, is_on, longest, only_row};
use crate::model::{Failure, GtidSet, Identity, Link, Position};
use crate::probe::mysql::rows::Table;
use crate::probe::mysql::session::Session;
use crate::probe::mysql::version::Version;

/// Readable without any grant.
const VARIABLES: &str = "SELECT @@global.read_only AS read_only, \
    @@global.super_read_only AS super_read_only, @@global.server_uuid AS server_uuid, \
    @@global.gtid_mode AS gtid_mode, @@global.gtid_executed AS executed, \
    @@global.gtid_purged AS purged";

/// When each channel last heard from its source, and what time it is now, by the same clock. Needs
/// `SELECT` on the table. The columns are in UTC inside, whatever the session's time zone.
const HEARD: &str = "SELECT UNIX_TIMESTAMP(NOW(6)) AS now, \
    UNIX_TIMESTAMP(last_heartbeat_timestamp) AS heartbeat, \
    UNIX_TIMESTAMP(last_queued_transaction_end_queue_timestamp) AS queued \
    FROM performance_schema.replication_connection_status \
    WHERE channel_name NOT LIKE 'group_replication_%'";

/// How a version calls the parts of a replication.
struct Words {
    /// Needs `REPLICATION CLIENT`.
    channels: &'static str,
    receiving: &'static str,
    applying: &'static str,
    lag: &'static str,
}

const REPLICAS: Words = Words {
    channels: "SHOW REPLICA STATUS",
    receiving: "Replica_IO_Running",
    applying: "Replica_SQL_Running",
    lag: "Seconds_Behind_Source",
};

/// Up to 8.0.21.
const SLAVES: Words = Words {
    channels: "SHOW SLAVE STATUS",
    receiving: "Slave_IO_Running",
    applying: "Slave_SQL_Running",
    lag: "Seconds_Behind_Master",
};

pub(super) async fn ask(
    session: &mut Session,
    version: &Version,
    learned: &mut Learned,
) -> Result<(), Failure> {
    if let Some(variables) = learned.ask(session, VARIABLES).await? {
        only_row(&variables)?;
        read_variables(&variables, learned);
    }
    let words = if version.has_replicas() {
        &REPLICAS
    } else {
        &SLAVES
    };
    let Some(channels) = learned.ask(session, words.channels).await? else {
        return Ok(());
    };
    learned.role(&channels);
    if channels.rows.is_empty() {
        return Ok(());
    }
    let heard = learned.ask(session, HEARD).await?;
    learned.facts.link = Some(Link {
        up: all_are(&channels, words.receiving, "Yes"),
        silence: heard.as_ref().and_then(silence),
        initial_sync: false,
    });
    learned.facts.replay_paused = all_are(&channels, words.applying, "Yes").map(|running| !running);
    learned.facts.native_lag = longest(&channels, words.lag);
    read_received(&channels, learned);
    Ok(())
}

fn read_variables(variables: &Table, learned: &mut Learned) {
    let text = |column| variables.text(0, column);
    let read_only = ["read_only", "super_read_only"].map(|column| Some(is_on(&text(column)?)));
    if let [Some(read_only), Some(even_for_admins)] = read_only {
        learned.facts.writable = Some(!read_only && !even_for_admins);
    }
    learned.facts.identity = text("server_uuid").map(|uuid| Identity::Server(cut(&uuid)));
    // Without GTIDs for everything, the set lacks what has none.
    if text("gtid_mode").as_deref() == Some("ON") {
        let set = |column| text(column).map(|text| GtidSet::parse(&text));
        let (executed, purged) = (set("executed"), set("purged"));
        let position = executed.and_then(|set| learned.understood(set));
        learned.facts.position = position.map(Position::Gtids);
        let purged = purged.and_then(|set| learned.understood(set));
        learned.facts.purged = purged.map(Position::Gtids);
    }
}

/// A UUID has 36 characters; a server that says more is not believed it all.
fn cut(uuid: &str) -> Box<str> {
    uuid.chars().take(36).collect::<String>().into()
}

/// What was received and what was executed: relay logs lose what is executed, and the server
/// executes what it never received as a standby.
fn read_received(channels: &Table, learned: &mut Learned) {
    let Some(Position::Gtids(executed)) = learned.facts.position.clone() else {
        return;
    };
    let retrieved: Vec<_> = (0..channels.rows.len())
        .filter_map(|row| channels.text(row, "Retrieved_Gtid_Set"))
        .collect();
    let retrieved = GtidSet::parse(&retrieved.join(","));
    let received = learned
        .understood(retrieved)
        .map(|set| set.union(&executed));
    learned.facts.received = received.map(Position::Gtids);
}

/// How long the most silent of the channels has been silent; none where one has never heard
/// anything, or the clock went back.
fn silence(heard: &Table) -> Option<Duration> {
    let rows = 0..heard.rows.len();
    let silences: Option<Vec<_>> = rows
        .map(|row| {
            let seconds = |column| heard.text(row, column)?.parse::<f64>().ok();
            let last = seconds("heartbeat")?.max(seconds("queued")?);
            let since = (last > 0.0).then_some(seconds("now")? - last)?;
            Duration::try_from_secs_f64(since).ok()
        })
        .collect();
    silences?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_silent_channel_counts_by_what_it_heard_last() {
        let heard = |rows: &[[&str; 3]]| Table {
            columns: ["now", "heartbeat", "queued"].map(str::to_owned).to_vec(),
            rows: rows
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|text| Some(text.as_bytes().to_vec()))
                        .collect()
                })
                .collect(),
        };
        let one = ["1000.500000", "990.250000", "0.000000"];
        let other = ["1000.500000", "900.000000", "980.500000"];
        assert_eq!(silence(&heard(&[one])), Some(Duration::from_millis(10_250)));
        assert_eq!(
            silence(&heard(&[one, other])),
            Some(Duration::from_secs(20))
        );
        for odd in [
            ["1000", "0", "0"],
            ["1000", "1001", "0"],
            ["1000", "nan", "x"],
        ] {
            assert_eq!(silence(&heard(&[one, odd])), None, "{odd:?}");
        }
        assert_eq!(silence(&heard(&[])), None);
    }
}
