//! Where the server stands in its cluster: what is asked beside the query, and what the answers
//! mean.

mod mariadb;
mod mysql;

use tokio::time::Instant;

use super::rows::Table;
use super::session::{Refusal, Session, protocol};
use super::version::Version;
use crate::model::{Failure, ReplicationFacts, Role, Withheld};

/// Channels of a standby that are read at most; nobody has as many.
const MAX_ROWS: usize = 64;

/// What was learned, and the first thing that was not.
pub(super) struct Learned {
    pub(super) facts: ReplicationFacts,
    pub(super) withheld: Option<Withheld>,
}

impl Learned {
    /// Asks everything. The error says that the session is of no use any more; what was learned
    /// before it is kept.
    pub(super) async fn from(
        session: &mut Session,
        version: &Version,
    ) -> (Self, Result<(), Failure>) {
        let asked = Instant::now().into_std();
        let mut learned = Self {
            facts: ReplicationFacts::new(asked, asked),
            withheld: None,
        };
        let end = if version.is_mariadb() {
            mariadb::ask(session, &mut learned).await
        } else {
            mysql::ask(session, version, &mut learned).await
        };
        if end.is_err() {
            learned.lack(Withheld::Error);
        }
        learned.facts.answered = Instant::now().into_std();
        (learned, end)
    }

    /// Asks one question; none if the server refuses to answer it.
    async fn ask(
        &mut self,
        session: &mut Session,
        question: &str,
    ) -> Result<Option<Table>, Failure> {
        match session.ask(question, MAX_ROWS).await {
            Ok(table) => Ok(Some(table)),
            Err(Refusal::Said(error)) => {
                self.lack(error.withheld());
                Ok(None)
            }
            Err(Refusal::Broken(failure)) => Err(failure),
        }
    }

    fn lack(&mut self, why: Withheld) {
        self.withheld.get_or_insert(why);
    }

    /// What was read from the server's text; none, and noted, where it cannot be understood.
    fn understood<T>(&mut self, read: Result<T, String>) -> Option<T> {
        if read.is_err() {
            self.lack(Withheld::Error);
        }
        read.ok()
    }

    /// The part that the server plays: it is a standby if it is set up to follow another one.
    fn role(&mut self, channels: &Table) {
        self.facts.role = if channels.rows.is_empty() {
            Role::Primary
        } else {
            Role::Standby
        };
    }
}

/// The only row of an answer to a question that has one.
fn only_row(table: &Table) -> Result<(), Failure> {
    match table.rows.len() {
        1 => Ok(()),
        rows => Err(protocol(format_args!("{rows} rows came where one was due"))),
    }
}

/// Whether every row has the text in the column; none where there is no row, or not the column.
fn all_are(table: &Table, column: &str, text: &str) -> Option<bool> {
    let rows = 0..table.rows.len();
    let mut all = rows.map(|row| table.text(row, column).map(|found| found == text));
    let first = all.next()??;
    all.try_fold(first, |before, next| Some(before && next?))
}

/// The largest number of the column; none where one row has none.
fn longest(table: &Table, column: &str) -> Option<std::time::Duration> {
    let rows = 0..table.rows.len();
    let seconds: Option<Vec<u64>> = rows
        .map(|row| table.text(row, column)?.parse().ok())
        .collect();
    seconds?
        .into_iter()
        .max()
        .map(std::time::Duration::from_secs)
}

/// What a variable that switches something says: `1` and `ON` are yes, and so is anything else that
/// is not `0` or `OFF` (newer versions have degrees of read-only).
fn is_on(text: &str) -> bool {
    !(text == "0" || text.eq_ignore_ascii_case("OFF"))
}
