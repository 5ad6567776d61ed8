//! What a daemon says of a group's ranks.

use serde::Deserialize;

use crate::cli::ask::{Client, Daemon};
use crate::model::RankingReport;
use crate::model::ranking::Table;

/// The table that the daemon tells. The error says why there is none.
pub(super) fn table(daemon: &Daemon, group: &str) -> Result<Table, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    let client = Client::new()?;
    let body = runtime.block_on(client.ask(daemon, &["groups", group]))?;
    read(&body)
}

fn read(body: &[u8]) -> Result<Table, String> {
    /// What is read of a group.
    #[derive(Deserialize)]
    struct Group {
        ranking: Option<RankingReport>,
    }
    let group: Group = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not that of a daemon: {error}"))?;
    let report = group.ranking.ok_or(
        "nothing is ranked yet: that takes half a minute, and two hours of runs for the first ranks \
         by latency; --now measures for a minute",
    )?;
    Ok((*report.table).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ranking_is_refused() {
        for (body, why) in [
            ("{}", "nothing is ranked yet"),
            (r#"{"ranking":null,"new":1}"#, "nothing is ranked yet"),
            ("<html>", "the answer is not that of a daemon"),
            (r#"{"ranking":{}}"#, "the answer is not that of a daemon"),
        ] {
            let told = read(body.as_bytes()).expect_err(body);
            assert!(told.starts_with(why), "{told}");
        }
    }
}
