//! What a daemon says of a group's ranks.

use serde::Deserialize;

use crate::cli::ask::{Client, Daemon};
use crate::cli::daemons::read;
use crate::model::RankingReport;
use crate::model::ranking::Table;

/// The table that the daemon tells. The error says why there is none.
pub(super) async fn table(client: &Client, daemon: &Daemon, group: &str) -> Result<Table, String> {
    ranking(&client.ask(daemon, &["groups", group]).await?)
}

fn ranking(body: &[u8]) -> Result<Table, String> {
    /// What is read of a group.
    #[derive(Deserialize)]
    struct Group {
        ranking: Option<RankingReport>,
    }
    let group: Group = read(body)?;
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
            let told = ranking(body.as_bytes()).expect_err(body);
            assert!(told.starts_with(why), "{told}");
        }
    }
}
