//! From the driver's errors and the server's codes to reasons.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::model::{Failure, Reason};

/// Why a login failed.
pub(super) fn of_login(error: &Error) -> Failure {
    if let Some(answer) = error.as_db_error() {
        let reason = login_reason(answer.code().code(), answer.message());
        return of_answer(reason, answer);
    }
    // The driver's kinds of error can be told apart by their text only.
    match error.to_string().as_str() {
        "authentication error" => Failure::new(Reason::Auth, explained(error)),
        "invalid configuration" => Failure::new(
            Reason::Auth,
            "the server asks for a password and none is set: see password_file, password_env",
        ),
        _ => of_session(error),
    }
}

/// Why a query failed.
pub(super) fn of_query(error: &Error) -> Failure {
    match error.as_db_error() {
        Some(answer) => {
            let code = answer.code().code();
            of_answer(query_reason(code, ends_session(answer)), answer)
        }
        None => of_session(error),
    }
}

/// The server's answer to what it was asked, after which it can be asked more.
pub(super) fn answer(error: &Error) -> Option<&DbError> {
    error.as_db_error().filter(|answer| !ends_session(answer))
}

/// Whether a server, or the pooler in front of it, gives the session up with this answer.
fn ends_session(answer: &DbError) -> bool {
    ["FATAL", "PANIC"].contains(&answer.severity())
        || matches!(
            answer.parsed_severity(),
            Some(Severity::Fatal | Severity::Panic)
        )
}

/// Codes that speak of who asks and what for: credentials and `pg_hba.conf` (class 28), a database
/// that is not there (3D), no right to connect (42501). Every other refusal of a login is about the
/// state of the server. `pgbouncer` has one code for both, so that only its words can tell.
fn login_reason(code: &str, message: &str) -> Reason {
    let about_the_client = ["authentication failed", "no such user", "no such database"];
    match code {
        "42501" => Reason::Auth,
        "08P01" if about_the_client.iter().any(|words| message.contains(words)) => Reason::Auth,
        _ if code.starts_with("28") || code.starts_with("3D") => Reason::Auth,
        _ => Reason::NotAccepting,
    }
}

/// A server that goes down answers whatever it is asked with a code of 57P (operator intervention).
/// What else ends the session is no answer to the query either: a pooler that has lost its server or
/// gets none (08P01), a standby whose replay cannot wait for the query any longer (40001).
fn query_reason(code: &str, ends_session: bool) -> Reason {
    if ends_session || code.starts_with("57P") {
        Reason::NotAccepting
    } else {
        Reason::Query
    }
}

fn of_answer(reason: Reason, answer: &DbError) -> Failure {
    Failure::new(
        reason,
        format_args!(
            "{} {}: {}",
            answer.severity(),
            answer.code().code(),
            answer.message()
        ),
    )
}

fn of_session(error: &Error) -> Failure {
    if let Some(failure) = carried(error) {
        return failure;
    }
    if error.is_closed() {
        return Failure::new(Reason::Eof, "the server closed the connection");
    }
    Failure::new(Reason::Protocol, explained(error))
}

/// The failure that the channel put into its error.
fn carried(error: &Error) -> Option<Failure> {
    let inner = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref::<Failure>().cloned()
}

fn explained(error: &Error) -> String {
    match error.source() {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_who_is_to_act() {
        for (code, reason) in [
            ("28P01", Reason::Auth),
            ("28000", Reason::Auth),
            ("3D000", Reason::Auth),
            ("42501", Reason::Auth),
            ("53300", Reason::NotAccepting),
            ("57P03", Reason::NotAccepting),
            ("55000", Reason::NotAccepting),
        ] {
            assert_eq!(login_reason(code, "for whatever reason"), reason, "{code}");
        }
        for (message, reason) in [
            ("SASL authentication failed", Reason::Auth),
            ("no such database: orders", Reason::Auth),
            (
                "no more connections allowed (max_client_conn)",
                Reason::NotAccepting,
            ),
            ("pgbouncer cannot connect to server", Reason::NotAccepting),
        ] {
            assert_eq!(login_reason("08P01", message), reason, "{message}");
        }
        for (code, ends_session, reason) in [
            ("57P01", false, Reason::NotAccepting),
            ("57014", false, Reason::Query),
            ("42P01", false, Reason::Query),
            ("40001", false, Reason::Query),
            ("40001", true, Reason::NotAccepting),
            ("08P01", true, Reason::NotAccepting),
        ] {
            assert_eq!(query_reason(code, ends_session), reason, "{code}");
        }
    }
}
