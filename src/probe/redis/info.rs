//! What a server tells of itself: the answers to `INFO` and `DBSIZE`, typed.

use std::str::FromStr;
use std::time::{Duration, Instant};

use super::failure;
use super::reply::Reply;
use crate::model::{DatabaseFacts, Identity, Link, Position, ReplicationFacts, Role, Withheld};

/// Characters of the server's version that are kept.
const MAX_VERSION: usize = 64;
/// What it is unless it says otherwise.
const REDIS: &str = "redis";
/// The offset of a replica that has no data of a primary yet.
const NO_OFFSET: u64 = 1;

/// The questions, in the order of [`Answers`].
pub(super) const QUESTIONS: [&[&[u8]]; 3] = [
    &[b"INFO", b"replication"],
    &[b"INFO", b"server"],
    &[b"DBSIZE"],
];

/// The answers to the questions.
pub(super) struct Answers {
    pub(super) replication: Reply,
    pub(super) server: Reply,
    pub(super) keys: Reply,
}

impl Answers {
    /// What they say, given between the two instants.
    pub(super) fn facts(&self, asked: Instant, answered: Instant) -> DatabaseFacts {
        let mut doubts = Doubts::default();
        let (engine, version) = engine(&Section::of(&self.server, &mut doubts));
        let section = Section::of(&self.replication, &mut doubts);
        let keys = self.keys(&mut doubts);
        let mut told = ReplicationFacts::new(asked, answered);
        replication(&section, &mut told, &mut doubts);
        told.keys = keys;
        DatabaseFacts {
            engine,
            version,
            replication: (section.is_told() || keys.is_some()).then(|| Box::new(told)),
            withheld: doubts.0,
            canary: None,
        }
    }

    fn keys(&self, doubts: &mut Doubts) -> Option<u64> {
        match &self.keys {
            Reply::Integer(keys) => doubts.unless(u64::try_from(*keys).ok(), Withheld::Error),
            other => {
                doubts.of_reply(other);
                None
            }
        }
    }
}

/// Why something is not known: the first reason found.
#[derive(Default)]
struct Doubts(Option<Withheld>);

impl Doubts {
    fn note(&mut self, why: Withheld) {
        self.0.get_or_insert(why);
    }

    /// The value; there is a doubt unless there is one.
    fn unless<T>(&mut self, value: Option<T>, why: Withheld) -> Option<T> {
        if value.is_none() {
            self.note(why);
        }
        value
    }

    /// An answer of another type than was asked for.
    fn of_reply(&mut self, reply: &Reply) {
        self.note(match reply {
            Reply::Error(error) => failure::withheld(error),
            _ => Withheld::Error,
        });
    }
}

/// The lines `key:value` of a section. Of a key that is there twice, the first counts.
struct Section(String);

impl Section {
    fn of(reply: &Reply, doubts: &mut Doubts) -> Self {
        if let Reply::Text(text) = reply {
            return Self(String::from_utf8_lossy(text).into_owned());
        }
        doubts.of_reply(reply);
        Self(String::new())
    }

    fn is_told(&self) -> bool {
        !self.0.is_empty()
    }

    fn get(&self, key: &str) -> Option<&str> {
        let mut fields = self.0.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The number of a key that older or other servers may not have.
    fn number<T: FromStr>(&self, key: &str, doubts: &mut Doubts) -> Option<T> {
        doubts.unless(self.get(key)?.parse().ok(), Withheld::Error)
    }

    /// The number of a key that every server has.
    fn needed<T: FromStr>(&self, key: &str, doubts: &mut Doubts) -> Option<T> {
        doubts.unless(self.get(key), Withheld::Unsupported)?;
        self.number(key, doubts)
    }
}

/// What is known of a server that did not answer the questions as it should.
pub(super) fn nothing_told() -> DatabaseFacts {
    DatabaseFacts {
        engine: REDIS,
        withheld: Some(Withheld::Error),
        ..DatabaseFacts::default()
    }
}

/// The product and its version. Valkey names itself, and tells the version of Redis that it is like.
fn engine(server: &Section) -> (&'static str, Box<str>) {
    let (engine, version) = match server.get("valkey_version") {
        Some(version) => ("valkey", version),
        None => (REDIS, server.get("redis_version").unwrap_or_default()),
    };
    let shown = version.chars().filter(|c| !c.is_control());
    (engine, shown.take(MAX_VERSION).collect::<String>().into())
}

fn replication(section: &Section, facts: &mut ReplicationFacts, doubts: &mut Doubts) {
    facts.identity = identity(section, doubts);
    match section.get("role") {
        Some("master") => {
            facts.role = Role::Primary;
            facts.writable = Some(true);
            facts.position = section
                .needed("master_repl_offset", doubts)
                .map(Position::Offset);
        }
        Some("slave" | "replica") => standby(section, facts, doubts),
        Some(_) => doubts.note(Withheld::Error),
        None => doubts.note(Withheld::Unsupported),
    }
}

fn standby(section: &Section, facts: &mut ReplicationFacts, doubts: &mut Doubts) {
    let applied = section.needed("slave_repl_offset", doubts);
    // Redis 7 tells what was received before it is applied; before, nothing was received that was
    // not applied.
    let received = section.number("slave_read_repl_offset", doubts).or(applied);
    facts.role = Role::Standby;
    facts.writable = section
        .needed("slave_read_only", doubts)
        .map(|read_only: u8| read_only == 0);
    facts.position = applied.map(Position::Offset);
    facts.received = received.map(Position::Offset);
    facts.link = Some(link(section, applied, doubts));
}

fn link(section: &Section, applied: Option<u64>, doubts: &mut Doubts) -> Link {
    let up = match section.get("master_link_status") {
        Some("up") => Some(true),
        Some("down") => Some(false),
        _ => doubts.unless(None, Withheld::Error),
    };
    let since_last = section.needed("master_last_io_seconds_ago", doubts);
    let since_down: Option<i64> = section.number("master_link_down_since_seconds", doubts);
    // Of a link that is down it tells only for how long, and not how long it was silent before: that
    // would make the silence shorter at the moment at which it counts.
    let silence = since_last.filter(|_| up == Some(true));
    let silence = silence.and_then(|age: i64| u64::try_from(age).ok());
    let syncing = section.needed("master_sync_in_progress", doubts) == Some(1u8);
    // Before the first copy begins, there is neither data nor a link that could have gone down.
    let waiting =
        up == Some(false) && since_down == Some(-1) && applied.is_some_and(|at| at <= NO_OFFSET);
    Link {
        up,
        silence: silence.map(Duration::from_secs),
        initial_sync: syncing || waiting,
    }
}

fn identity(section: &Section, doubts: &mut Doubts) -> Option<Identity> {
    let id = section.get("master_replid")?;
    let id = doubts.unless(history(id), Withheld::Error)?;
    let before = section.get("master_replid2").and_then(history);
    // -1 where there is none.
    let until: Option<i64> = section.number("second_repl_offset", doubts);
    let until = until.and_then(|offset| u64::try_from(offset).ok());
    Some(Identity::History {
        id,
        previous: before.zip(until),
    })
}

/// The identifier of a history; `None` for one that is no such thing, or not set.
fn history(id: &str) -> Option<Box<str>> {
    let well_formed = id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (well_formed && id.bytes().any(|b| b != b'0')).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "69ae8b95c5cb3cdb51c50de43fd408a7bf69b99a";
    const BEFORE: &str = "d58055f618afae676e42d5da813b951e4e13515e";
    const NONE: &str = "0000000000000000000000000000000000000000";

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn facts(replication: &str, server: &str) -> DatabaseFacts {
        let now = Instant::now();
        let text = |text: &str| Reply::Text(text.to_owned().into());
        let answers = Answers {
            replication: text(replication),
            server: text(server),
            keys: Reply::Integer(3),
        };
        answers.facts(now, now)
    }

    fn told(replication: &str) -> (ReplicationFacts, Option<Withheld>) {
        let facts = facts(replication, "");
        (*facts.replication.expect("told"), facts.withheld)
    }

    fn replica(status: &str, lines: &str) -> String {
        format!(
            "# Replication\r\nrole:slave\r\nmaster_link_status:{status}\r\nslave_read_only:1\r\n\
             {lines}\r\nmaster_replid:{ID}\r\nmaster_replid2:{NONE}\r\nsecond_repl_offset:-1\r\n"
        )
    }

    #[test]
    fn the_engine_is_what_names_itself() {
        for (server, engine, version) in [
            ("redis_version:7.0.15\r\n", "redis", "7.0.15"),
            (
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n",
                "valkey",
                "8.0.1",
            ),
            ("", "redis", ""),
        ] {
            let facts = facts("", server);
            assert_eq!((facts.engine, &*facts.version), (engine, version));
        }
        let hostile = facts("", &format!("redis_version:\x1b[31m{}", "9".repeat(100)));
        assert_eq!(hostile.version.len(), MAX_VERSION);
        assert!(hostile.version.starts_with("[31m9"));
    }

    #[test]
    fn a_primary_tells_its_position_and_the_history_before() {
        let (facts, withheld) = told(&format!(
            "role:master\r\nmaster_replid:{ID}\r\nmaster_replid2:{BEFORE}\r\n\
             master_repl_offset:87\r\nsecond_repl_offset:88\r\n"
        ));
        assert_eq!(facts.role, Role::Primary);
        assert_eq!((facts.writable, facts.keys), (Some(true), Some(3)));
        assert_eq!(facts.position, Some(Position::Offset(87)));
        assert_eq!((facts.received, facts.link), (None, None));
        let previous = Some((BEFORE.into(), 88));
        assert_eq!(
            facts.identity,
            Some(Identity::History {
                id: ID.into(),
                previous
            })
        );
        assert_eq!(withheld, None);
    }

    #[test]
    fn a_replica_tells_what_it_received_and_what_it_applied() {
        let (facts, withheld) = told(&replica(
            "up",
            "slave_read_repl_offset:90\r\nslave_repl_offset:87\r\nmaster_last_io_seconds_ago:4\r\n\
             master_sync_in_progress:0",
        ));
        assert_eq!((facts.role, facts.writable), (Role::Standby, Some(false)));
        assert_eq!(facts.position, Some(Position::Offset(87)));
        assert_eq!(facts.received, Some(Position::Offset(90)));
        let link = Link {
            up: Some(true),
            silence: Some(Duration::from_secs(4)),
            initial_sync: false,
        };
        assert_eq!(facts.link, Some(link));
        assert_eq!(
            facts.identity,
            Some(Identity::History {
                id: ID.into(),
                previous: None
            })
        );
        assert_eq!(withheld, None);
    }

    #[test]
    fn a_link_that_is_down_tells_no_silence_but_whether_there_ever_was_data() {
        let cut = "slave_repl_offset:87\r\nmaster_last_io_seconds_ago:-1\r\n\
            master_sync_in_progress:0\r\nmaster_link_down_since_seconds:9";
        let fresh = "slave_repl_offset:1\r\nmaster_last_io_seconds_ago:-1\r\n\
            master_sync_in_progress:0\r\nmaster_link_down_since_seconds:-1";
        let copying = "slave_repl_offset:1\r\nmaster_last_io_seconds_ago:-1\r\n\
            master_sync_in_progress:1\r\nmaster_link_down_since_seconds:7";
        for (lines, initial_sync) in [(cut, false), (fresh, true), (copying, true)] {
            let (facts, withheld) = told(&replica("down", lines));
            let link = Link {
                up: Some(false),
                silence: None,
                initial_sync,
            };
            assert_eq!((facts.link, withheld), (Some(link), None), "{lines}");
        }
    }

    #[test]
    fn the_first_of_two_lines_counts_and_what_is_no_number_is_unknown() {
        let (facts, withheld) = told("role:master\r\nrole:slave\r\nmaster_repl_offset:5\n");
        assert_eq!((facts.role, withheld), (Role::Primary, None));
        for (text, why) in [
            (
                "role:master\r\nmaster_repl_offset:18446744073709551616",
                Withheld::Error,
            ),
            ("role:master\r\nmaster_repl_offset:-5", Withheld::Error),
            ("role:master", Withheld::Unsupported),
            (
                "role:master\r\nmaster_repl_offset:1\r\nmaster_replid:short",
                Withheld::Error,
            ),
            ("role:king", Withheld::Error),
            ("no line of it", Withheld::Unsupported),
        ] {
            let (facts, withheld) = told(text);
            assert_eq!(facts.identity, None, "{text}");
            assert_eq!(withheld, Some(why), "{text}");
        }
    }

    #[test]
    fn what_is_refused_leaves_the_rest() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let refused = || Reply::Error("NOPERM this user has no permissions".into());
        let mut answers = Answers {
            replication: refused(),
            server: refused(),
            keys: Reply::Integer(4),
        };
        let facts = answers.facts(now, now);
        let told = facts.replication.expect("the keys");
        assert_eq!((told.role, told.keys), (Role::Unknown, Some(4)));
        assert_eq!(facts.withheld, Some(Withheld::Permission));
        answers.keys = refused();
        assert_eq!(answers.facts(now, now).replication, None);
    }
}
