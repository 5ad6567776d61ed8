//! From the server's error codes to reasons.

use std::fmt;

use mysql_common::io::ParseBuf;

use crate::model::{Failure, NotWritten, Reason, Withheld};

/// What begins a packet with an error.
pub(super) const ERROR: u8 = 0xff;

/// An error that the server answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    code: u16,
    message: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR {}: {}", self.code, self.message)
    }
}

impl ServerError {
    /// Reads a packet; none if it has no error. Before the login there is no SQL state in it.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let mut rest = ParseBuf(packet.strip_prefix(&[ERROR])?);
        let code = rest.checked_eat_u16_le()?;
        let (state, text) = match rest.0 {
            [b'#', text @ ..] if text.len() >= 5 => text.split_at(5),
            text => (&[][..], text),
        };
        let text = String::from_utf8_lossy(text);
        let message = match state {
            [] => text.into_owned(),
            state => format!("({}) {text}", String::from_utf8_lossy(state)),
        };
        Some(Self { code, message })
    }

    /// Why a login failed.
    ///
    /// Some codes speak of who asks, from where and what for; some of the words on the wire. Every
    /// other refusal of a login is about the state of the server: out of connections (1040), out of
    /// those of this user (1203, 1226), shutting down (1053), blocking this host for its errors
    /// (1129), a proxy without servers behind it.
    pub(super) fn of_login(&self) -> Failure {
        let reason = match self.code {
            // Access denied: to a database, at all, without a password, after a change of user; no
            // such database; host not allowed; unusable, missing or failing plugin; password
            // expired; TLS required; account locked (`MySQL`, `MariaDB`).
            1044 | 1045 | 1049 | 1130 | 1251 | 1275 | 1524 | 1698 | 1820 | 1862 | 1873 | 3118
            | 3159 | 4151 => Reason::Auth,
            // Bad handshake; packets too large, unreadable, out of order, not compressed right.
            1043 | 1153 | 1156 | 1157 | 1158 => Reason::Protocol,
            _ => Reason::NotAccepting,
        };
        Failure::new(reason, self)
    }

    /// Why a query failed.
    pub(super) fn of_query(&self) -> Failure {
        let reason = match self.code {
            // Shutting down, normally or not; the connection killed; this user's limits reached;
            // idle for too long.
            1053 | 1077 | 1079 | 1927 | 1203 | 1226 | 4031 => Reason::NotAccepting,
            _ => Reason::Query,
        };
        Failure::new(reason, self)
    }

    /// Why the server does not tell something.
    pub(super) fn withheld(&self) -> Withheld {
        match self.code {
            // Variable, syntax, table or column unknown; not supported or not built in.
            1054 | 1064 | 1109 | 1146 | 1193 | 1235 | 1289 => Withheld::Unsupported,
            _ if self.denies() => Withheld::Permission,
            _ => Withheld::Error,
        }
    }

    /// Why a canary cannot be read: that its table is not there is no lack of the server's.
    pub(super) fn canary_unseen(&self) -> Withheld {
        if self.denies() {
            Withheld::Permission
        } else {
            Withheld::Error
        }
    }

    /// Why a canary was not written.
    pub(super) fn canary_unwritten(&self) -> NotWritten {
        match self.code {
            1049 | 1146 => NotWritten::NoTable,
            // The server itself found that it is read-only.
            1290 | 1836 => NotWritten::Changed,
            _ if self.denies() => NotWritten::Permission,
            _ => NotWritten::Error,
        }
    }

    /// A grant is missing: for a database, a table, a column, an operation, a routine.
    fn denies(&self) -> bool {
        matches!(self.code, 1044 | 1045 | 1142 | 1143 | 1227 | 1370)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16) -> ServerError {
        let packet = [&[ERROR], &code.to_le_bytes()[..], b"#HY000no\x1b way"].concat();
        ServerError::parse(&packet).expect("an error")
    }

    #[test]
    fn codes_tell_who_is_to_act() {
        for (code, reason) in [
            (1045, Reason::Auth),
            (1049, Reason::Auth),
            (1130, Reason::Auth),
            (3159, Reason::Auth),
            (1040, Reason::NotAccepting),
            (1129, Reason::NotAccepting),
            (1226, Reason::NotAccepting),
            (9001, Reason::NotAccepting),
            (1156, Reason::Protocol),
        ] {
            assert_eq!(error(code).of_login().reason, reason, "{code}");
        }
        for (code, reason) in [
            (1053, Reason::NotAccepting),
            (1927, Reason::NotAccepting),
            (1064, Reason::Query),
            (1792, Reason::Query),
        ] {
            assert_eq!(error(code).of_query().reason, reason, "{code}");
        }
        for (code, withheld) in [
            (1227, Withheld::Permission),
            (1142, Withheld::Permission),
            (1193, Withheld::Unsupported),
            (1205, Withheld::Error),
        ] {
            assert_eq!(error(code).withheld(), withheld, "{code}");
        }
        for (code, outcome) in [
            (1142, NotWritten::Permission),
            (1146, NotWritten::NoTable),
            (1290, NotWritten::Changed),
            (1205, NotWritten::Error),
        ] {
            assert_eq!(error(code).canary_unwritten(), outcome, "{code}");
        }
    }

    #[test]
    fn an_error_is_read_with_and_without_a_state() {
        let text = |packet: &[u8]| ServerError::parse(packet).map(|error| error.to_string());
        let full = b"\xff\x15\x04#28000Access denied".as_slice();
        assert_eq!(
            text(full).as_deref(),
            Some("ERROR 1045: (28000) Access denied")
        );
        let early = b"\xff\x10\x04Too many connections".as_slice();
        assert_eq!(
            text(early).as_deref(),
            Some("ERROR 1040: Too many connections")
        );
        assert_eq!(text(b"\xff\x10\x04#").as_deref(), Some("ERROR 1040: #"));
        for cut in [&b""[..], b"\xff", b"\xff\x10", b"\x00\x10\x04"] {
            assert_eq!(text(cut), None);
        }
        assert!(!error(1).of_query().detail.contains('\x1b'));
    }
}
