//! The query of a run: its text, and which answer is right.

use std::time::Duration;

use super::Settings;
use super::rows::Table;
use super::version::Version;
use crate::model::{Failure, Reason};

/// The cheapest query that shows a server which parses, executes and returns rows.
const DEFAULT_QUERY: &str = "SELECT 1";

/// What a run asks, and which answer is right.
pub(super) struct Query {
    pub(super) text: String,
    expect: Option<String>,
}

impl Query {
    pub(super) fn new(settings: &Settings) -> Self {
        match &settings.query {
            None => Self {
                text: DEFAULT_QUERY.to_owned(),
                expect: Some("1".to_owned()),
            },
            Some(query) => Self {
                text: query.clone(),
                expect: settings.expect.clone(),
            },
        }
    }

    /// Whether an answer can be wrong.
    pub(super) fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// Whether the first column of the first row is as expected.
    pub(super) fn judge(&self, answer: &Table) -> Result<(), Failure> {
        let Some(expected) = &self.expect else {
            return Ok(());
        };
        let found = match answer.rows.first().and_then(|row| row.first()) {
            Some(Some(value)) if value == expected.as_bytes() => return Ok(()),
            Some(Some(value)) => {
                format!("the first value was `{}`", String::from_utf8_lossy(value))
            }
            Some(None) => "the first value was NULL".to_owned(),
            None => "there was no value".to_owned(),
        };
        Err(Failure::new(
            Reason::Answer,
            format_args!("expected `{expected}`, {found}"),
        ))
    }
}

/// What bounds every statement of a session on the server itself.
pub(super) struct Bounds {
    /// Nothing is changed, except by a statement that asks for it.
    pub(super) read_only: bool,
    /// Nothing waits for locks for long: a canary gives way.
    pub(super) brief_waits: bool,
    /// How long a statement may take.
    pub(super) timeout: Duration,
}

impl Bounds {
    /// The statement that sets them, in the terms of the server's version; none if there are none.
    ///
    /// `MySQL` knows a time limit for `SELECT` only.
    pub(super) fn statement(&self, version: &Version) -> Option<String> {
        // Zero would mean no limit.
        let millis = self.timeout.as_millis().clamp(1, 1_000_000_000);
        let mut words = Vec::new();
        if self.read_only || self.brief_waits {
            words.push(if version.is_mariadb() {
                format!(
                    "max_statement_time = {}.{:03}",
                    millis / 1000,
                    millis % 1000
                )
            } else {
                format!("max_execution_time = {millis}")
            });
        }
        if self.read_only {
            let name = if version.has_transaction_read_only() {
                "transaction_read_only"
            } else {
                "tx_read_only"
            };
            words.push(format!("{name} = 1"));
        }
        if self.brief_waits {
            words.push("lock_wait_timeout = 1, innodb_lock_wait_timeout = 1".to_owned());
        }
        (!words.is_empty()).then(|| format!("SET SESSION {}", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_bounded_in_the_words_of_the_server() {
        let bounds = |read_only, brief_waits, millis| Bounds {
            read_only,
            brief_waits,
            timeout: Duration::from_millis(millis),
        };
        let said = |bounds: Bounds, version: &str| bounds.statement(&Version::new(version));
        assert_eq!(
            said(bounds(true, false, 1500), "10.11.2-MariaDB").as_deref(),
            Some("SET SESSION max_statement_time = 1.500, tx_read_only = 1")
        );
        assert_eq!(
            said(bounds(true, true, 0), "8.0.36").as_deref(),
            Some(
                "SET SESSION max_execution_time = 1, transaction_read_only = 1, \
                 lock_wait_timeout = 1, innodb_lock_wait_timeout = 1"
            )
        );
        assert_eq!(said(bounds(false, false, 1500), "8.0.36"), None);
    }

    #[test]
    fn only_the_expected_text_is_right() {
        let query = Query {
            text: String::new(),
            expect: Some("1".to_owned()),
        };
        let table = |rows| Table {
            columns: vec!["c".to_owned()],
            rows,
        };
        assert_eq!(query.judge(&table(vec![vec![Some(b"1".to_vec())]])), Ok(()));
        let wrong = [vec![], vec![vec![None]], vec![vec![Some(b"01".to_vec())]]];
        for rows in wrong {
            let failure = query.judge(&table(rows)).expect_err("wrong");
            assert_eq!(failure.reason, Reason::Answer);
        }
    }
}
