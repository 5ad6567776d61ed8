//! The questions to `MariaDB` (10.4 and later), and their answers.

use super::{Learned, all_are, is_on, longest, only_row};
use crate::model::{Domains, Failure, Identity, Link, Position};
use crate::probe::mysql::rows::Table;
use crate::probe::mysql::session::Session;

/// Readable without any grant. What is applied is read before what is received: the other way
/// round, a change could be applied that was not received yet.
const VARIABLES: &str = "SELECT @@global.read_only AS read_only, @@global.server_id AS server_id, \
    @@global.log_bin AS log_bin, @@global.gtid_slave_pos AS slave_pos, \
    @@global.gtid_binlog_pos AS binlog_pos, @@global.gtid_binlog_state AS binlog_state";

/// Needs `SLAVE MONITOR`, or `REPLICATION CLIENT` before 10.5.
const CHANNELS: &str = "SHOW ALL SLAVES STATUS";

pub(super) async fn ask(session: &mut Session, learned: &mut Learned) -> Result<(), Failure> {
    let mut logs = false;
    if let Some(variables) = learned.ask(session, VARIABLES).await? {
        only_row(&variables)?;
        logs = variables
            .text(0, "log_bin")
            .is_some_and(|text| is_on(&text));
        read_variables(&variables, learned);
    }
    let channels = learned.ask(session, CHANNELS).await?;
    if let Some(channels) = &channels {
        learned.role(channels);
        read_channels(channels, learned);
    }
    // Whoever neither logs nor follows numbers nothing: to be at no transaction would be a lie.
    if !logs && channels.is_none_or(|channels| channels.rows.is_empty()) {
        learned.facts.position = None;
    }
    Ok(())
}

fn read_variables(variables: &Table, learned: &mut Learned) {
    let text = |column| variables.text(0, column);
    learned.facts.writable = text("read_only").map(|text| !is_on(&text));
    let number = text("server_id").and_then(|text| text.parse().ok());
    learned.facts.identity = number.map(Identity::Number);
    if let (Some(applied), Some(logged)) = (text("slave_pos"), text("binlog_pos")) {
        let state = text("binlog_state");
        let domains = Domains::of_server(&applied, &logged, state.as_deref());
        learned.facts.position = learned.understood(domains).map(Position::Domains);
    }
}

/// Reads the status of every source; a standby of several is as good as its worst.
///
/// `MariaDB` does not tell when its receiver last heard from the source, so that the link has no
/// silence.
fn read_channels(channels: &Table, learned: &mut Learned) {
    if channels.rows.is_empty() {
        return;
    }
    learned.facts.link = Some(Link {
        up: all_are(channels, "Slave_IO_Running", "Yes"),
        silence: None,
        initial_sync: false,
    });
    learned.facts.replay_paused =
        all_are(channels, "Slave_SQL_Running", "Yes").map(|running| !running);
    learned.facts.native_lag = longest(channels, "Seconds_Behind_Master");
    // Without GTIDs on the link, nothing tells what was received in terms of them; and several
    // sources tell of the same domains.
    if channels.rows.len() == 1
        && channels
            .text(0, "Using_Gtid")
            .is_some_and(|using| using != "No")
        && let Some(received) = channels.text(0, "Gtid_IO_Pos")
    {
        let received = learned.understood(Domains::parse(&received));
        learned.facts.received = received.map(Position::Domains);
    }
}
