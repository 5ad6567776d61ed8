//! From a server's errors to reasons. An error begins with a code, a word in capitals; `ERR` says
//! only that there is no better one.

use crate::model::{Failure, NotWritten, Reason, Secret, Withheld};

/// Codes of a server that is there and takes no commands now: reading its data, cut off from its
/// primary and told not to serve without it, kept by a script.
const NOT_NOW: [&str; 3] = ["LOADING", "MASTERDOWN", "BUSY"];
/// What a server says, without a code of its own, before it closes the connection.
const FULL: &str = "ERR max number of clients";

/// What follows the name of a command that a server does not know: what came with it, cut short.
const REPEATED: &str = ", with args beginning with";

/// Why a login failed. What has no other code is about the user, the password or the database.
///
/// A server that has no `AUTH` (renamed, or a proxy) repeats what came with it, the password too:
/// that is left out.
pub(super) fn of_login(error: &[u8], password: Option<&Secret>) -> Failure {
    let text = String::from_utf8_lossy(error);
    let text = text.split(REPEATED).next().unwrap_or_default();
    let failure = of_error(text.as_bytes(), |code| match code {
        "ERR" | "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Reason::Auth,
        _ => Reason::NotAccepting,
    });
    failure.without(password)
}

/// Why a query failed.
pub(super) fn of_query(error: &[u8]) -> Failure {
    of_error(error, |code| match code {
        "NOAUTH" | "DENIED" => Reason::Auth,
        _ => Reason::Query,
    })
}

/// Why something asked beside the query stays unknown.
pub(super) fn withheld(error: &[u8]) -> Withheld {
    let text = String::from_utf8_lossy(error);
    match code(&text) {
        "NOPERM" => Withheld::Permission,
        "ERR" if text.starts_with("ERR unknown") => Withheld::Unsupported,
        _ => Withheld::Error,
    }
}

/// Why a canary was not written.
pub(super) fn not_written(error: &[u8]) -> NotWritten {
    match code(&String::from_utf8_lossy(error)) {
        // Demoted since it called itself the primary.
        "READONLY" => NotWritten::Changed,
        "NOPERM" => NotWritten::Permission,
        _ => NotWritten::Error,
    }
}

fn of_error(error: &[u8], reason: impl Fn(&str) -> Reason) -> Failure {
    let text = String::from_utf8_lossy(error);
    let code = code(&text);
    if NOT_NOW.contains(&code) || text.starts_with(FULL) {
        return Failure::new(Reason::NotAccepting, &text);
    }
    Failure::new(reason(code), &text)
}

fn code(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_who_is_to_act() {
        for (error, login, query) in [
            ("WRONGPASS invalid", Reason::Auth, Reason::Query),
            (
                "NOAUTH Authentication required.",
                Reason::Auth,
                Reason::Auth,
            ),
            ("NOPERM this user", Reason::Auth, Reason::Query),
            (
                "DENIED Redis is running in protected mode",
                Reason::Auth,
                Reason::Auth,
            ),
            ("ERR DB index is out of range", Reason::Auth, Reason::Query),
            (
                "ERR max number of clients reached",
                Reason::NotAccepting,
                Reason::NotAccepting,
            ),
            (
                "LOADING Redis is loading",
                Reason::NotAccepting,
                Reason::NotAccepting,
            ),
            (
                "MASTERDOWN Link with MASTER",
                Reason::NotAccepting,
                Reason::NotAccepting,
            ),
            (
                "BUSY Redis is busy",
                Reason::NotAccepting,
                Reason::NotAccepting,
            ),
            ("", Reason::NotAccepting, Reason::Query),
        ] {
            assert_eq!(of_login(error.as_bytes(), None).reason, login, "{error}");
            assert_eq!(of_query(error.as_bytes()).reason, query, "{error}");
        }
    }

    #[test]
    fn a_login_that_is_refused_shows_no_password() {
        let password = Secret::new("right".into());
        let shown = |error: &str| of_login(error.as_bytes(), Some(&password));
        let unknown = shown("ERR unknown command 'AUTH', with args beginning with: 'app' 'rig");
        assert_eq!(unknown.reason, Reason::Auth);
        assert_eq!(&*unknown.detail, "ERR unknown command 'AUTH'");
        let repeated = shown("WRONGPASS app may not use right");
        assert_eq!(repeated.reason, Reason::Auth);
        assert!(!repeated.detail.contains("right"), "{repeated}");
    }

    #[test]
    fn what_is_withheld_tells_whether_a_grant_would_help() {
        for (error, why) in [
            ("NOPERM this user has no permissions", Withheld::Permission),
            ("ERR unknown command 'INFO'", Withheld::Unsupported),
            ("LOADING Redis is loading", Withheld::Error),
        ] {
            assert_eq!(withheld(error.as_bytes()), why, "{error}");
        }
    }

    #[test]
    fn a_refused_write_says_whether_the_server_changed() {
        for (error, why) in [
            ("READONLY You can't write", NotWritten::Changed),
            (
                "NOPERM this user has no permissions",
                NotWritten::Permission,
            ),
            ("OOM command not allowed", NotWritten::Error),
            ("NOREPLICAS Not enough good replicas", NotWritten::Error),
        ] {
            assert_eq!(not_written(error.as_bytes()), why, "{error}");
        }
    }
}
