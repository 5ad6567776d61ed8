//! Which server it is, by its greeting.

/// Characters of the server's version that are kept.
const MAX_LENGTH: usize = 64;

/// A server's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    text: Box<str>,
    number: (u32, u32, u32),
}

impl Version {
    /// Takes what a greeting says.
    pub(super) fn new(text: &str) -> Self {
        let mut numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .map(|digits| digits.parse().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        let number = (next(), next(), next());
        let text = text.chars().filter(|c| !c.is_control());
        Self {
            text: text.take(MAX_LENGTH).collect::<String>().into(),
            number,
        }
    }

    /// The version as the server names it, cut to 64 characters.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.text.contains("MariaDB")
    }

    pub(super) fn engine(&self) -> &'static str {
        if self.is_mariadb() {
            "mariadb"
        } else {
            "mysql"
        }
    }

    /// Whether a session is made read-only by `transaction_read_only`; `MariaDB` called it
    /// `tx_read_only` up to 11.0.
    pub(super) fn has_transaction_read_only(&self) -> bool {
        !self.is_mariadb() || self.number >= (11, 1, 0)
    }

    /// Whether `MySQL` speaks of replicas and sources.
    pub(super) fn has_replicas(&self) -> bool {
        self.number >= (8, 0, 22)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_the_words() {
        let mariadb = Version::new("10.11.19-MariaDB-0+deb12u1");
        assert_eq!(mariadb.number, (10, 11, 19));
        assert_eq!(mariadb.engine(), "mariadb");
        assert!(!mariadb.has_transaction_read_only());
        assert!(Version::new("11.4.2-MariaDB").has_transaction_read_only());
        for (text, replicas) in [
            ("8.0.21", false),
            ("8.0.22-commercial", true),
            ("9.1.0", true),
        ] {
            let mysql = Version::new(text);
            assert_eq!(mysql.engine(), "mysql");
            assert!(mysql.has_transaction_read_only());
            assert_eq!(mysql.has_replicas(), replicas, "{text}");
        }
        let odd = Version::new(&format!("\u{7}{}", "9".repeat(99)));
        assert_eq!(odd.text(), "9".repeat(64));
    }
}
