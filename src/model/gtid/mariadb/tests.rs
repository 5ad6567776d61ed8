use super::*;

fn at(position: &str) -> Domains {
    Domains::parse(position).unwrap()
}

fn server(slave_pos: &str, binlog_pos: &str, binlog_state: &str) -> Domains {
    Domains::of_server(slave_pos, binlog_pos, Some(binlog_state)).unwrap()
}

#[test]
fn positions_are_read_as_servers_write_them() {
    assert_eq!(at(""), Domains::default());
    let two = at(" 7-2-1,\n0-2-18446744073709551615 ");
    let places = [(0, u64::MAX), (7, 1)].map(|(domain, seq)| (domain, Place { server: 2, seq }));
    assert_eq!(two.current, BTreeMap::from(places));
    assert_eq!(two.history, None);
}

#[test]
fn what_no_server_writes_is_refused() {
    let cases = [
        "0",
        "0-1",
        "0-1-",
        "0-1-5-6",
        "-0-1-5",
        "0-1-+5",
        "0-1-5,",
        ",",
        "0-1-5;1-1-5",
        "4294967296-1-5",
        "0-4294967296-5",
        "0-1-18446744073709551616",
        "a-1-5",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1",
        "0-1-5,0-2-6",
    ];
    for text in cases {
        assert!(Domains::parse(text).is_err(), "{text:?}");
    }
    assert!(Domains::of_server("", "0-1-5", Some("0-1-5,0-2-6")).is_ok());
    assert!(Domains::of_server("", "0-1-5", Some("0-1-5,0-1-6")).is_err());
    assert!(Domains::parse(&"0-1-5,".repeat(1 << 18)).is_err());
}

#[test]
fn the_current_position_is_the_further_one_of_each_domain() {
    let cases = [
        ("0-1-10", "", "0-1-10"),
        ("", "0-1-10", "0-1-10"),
        ("0-1-10", "0-2-11", "0-2-11"),
        ("0-1-12", "0-2-11", "0-1-12"),
        ("0-1-6", "0-3-6", "0-3-6"),
        ("0-1-5,3-1-9", "0-2-7,7-2-1", "0-2-7,3-1-9,7-2-1"),
    ];
    for (slave_pos, binlog_pos, current) in cases {
        let both = Domains::of_server(slave_pos, binlog_pos, None).unwrap();
        assert_eq!(
            both.current,
            at(current).current,
            "{slave_pos} {binlog_pos}"
        );
    }
}

#[test]
fn what_is_missing_is_counted_by_domain() {
    let cases = [
        ("0-1-20", "0-1-5", 15),
        ("0-1-5", "0-1-20", 0),
        ("0-1-20", "0-2-20", 0),
        ("0-1-20,1-1-3", "0-1-18", 5),
        ("0-1-20,1-1-3", "0-1-30,1-1-2", 1),
        ("", "0-1-5", 0),
        ("0-1-18446744073709551615,1-1-1", "", u64::MAX),
    ];
    for (mine, theirs, missing) in cases {
        assert_eq!(at(mine).missing_in(&at(theirs)), missing, "{mine} {theirs}");
        assert_eq!(
            at(theirs).covers(&at(mine)),
            missing == 0,
            "{mine} {theirs}"
        );
    }
}

/// What a server says, as `gtid_slave_pos | gtid_binlog_pos | gtid_binlog_state`.
fn says(text: &str) -> Domains {
    let texts: Vec<_> = text.split('|').map(str::trim).collect();
    let [slave_pos, binlog_pos, binlog_state] = texts[..] else {
        return Domains::of_server(texts[0], texts[1], None).unwrap();
    };
    server(slave_pos, binlog_pos, binlog_state)
}

const IDLE: &str = "| 0-1-10 | 0-1-10";
const WROTE_ON: &str = "| 0-1-11 | 0-1-11";
const PROMOTED: &str = "0-1-5 | 0-2-7 | 0-1-5,0-2-7";

#[test]
fn errant_are_the_own_transactions_that_the_primary_lacks() {
    let cases = [
        // (the standby, its own number, its primary, errant)
        ("0-1-10 | 0-1-10 | 0-1-10", 2, IDLE, Some(0)),
        ("0-1-8 | 0-1-8 | 0-1-8", 2, WROTE_ON, Some(0)),
        // Rogue writes: seen at once, and still when the primary's numbers went past them.
        ("0-1-10 | 0-2-11 | 0-1-10,0-2-11", 2, IDLE, Some(1)),
        ("0-1-10 | 0-2-13 | 0-1-10,0-2-13", 2, WROTE_ON, Some(3)),
        ("0-1-11 | 0-1-11 | 0-2-11,0-1-11", 2, WROTE_ON, Some(1)),
        // Without `log_slave_updates`, before and after.
        ("0-1-10 | |", 3, IDLE, Some(0)),
        ("0-1-10 | 0-3-11 | 0-3-11", 3, IDLE, Some(1)),
        ("0-1-11 | 0-3-11 | 0-3-11", 3, WROTE_ON, Some(1)),
        // In several domains.
        (
            "0-1-10 | 0-2-11,7-2-4 | 0-1-10,0-2-11,7-2-4",
            2,
            IDLE,
            Some(5),
        ),
        // After a failover: a standby, the old primary up to what was received and beyond it.
        ("0-2-7 | 0-2-7 | 0-1-5,0-2-7", 3, PROMOTED, Some(0)),
        ("| 0-1-5 | 0-1-5", 1, PROMOTED, Some(0)),
        ("| 0-1-8 | 0-1-8", 1, PROMOTED, Some(3)),
        // Nothing is known of what was applied: the primary's position stands for it.
        ("| 0-2-13", 2, IDLE, Some(3)),
        ("| 0-2-3", 2, IDLE, Some(1)),
        // A primary that never wrote has nothing; one of unknown history, nobody knows what.
        ("| 0-2-1 | 0-2-1", 2, "| |", Some(1)),
        ("0-1-10 | 0-2-11 | 0-1-10,0-2-11", 2, "| 0-1-10", None),
    ];
    for (standby, own, primary, errant) in cases {
        let found = says(standby).errant_beyond(own, &says(primary));
        assert_eq!(found, errant, "{standby:?} of {primary:?}");
    }
}

#[test]
fn a_standby_follows_a_primary_that_has_what_it_applied() {
    let cases = [
        ("0-1-10 | 0-1-10 | 0-1-10", IDLE, Some(true)),
        ("0-1-8 | 0-1-8 | 0-1-8", WROTE_ON, Some(true)),
        ("0-1-10 | |", IDLE, Some(true)),
        ("0-2-7 | 0-2-7 | 0-1-5,0-2-7", PROMOTED, Some(true)),
        ("0-1-4 | 0-1-4 | 0-1-4", PROMOTED, Some(true)),
        ("| 0-1-5 | 0-1-5", PROMOTED, Some(true)),
        // Its own write does not make it a stranger, if it is known what it applied.
        ("0-1-10 | 0-2-11 | 0-1-10,0-2-11", IDLE, Some(true)),
        ("| 0-2-11", IDLE, Some(false)),
        // Another cluster; also one with the same numbers, which only shows if it is further.
        ("0-9-50 | 0-9-50 | 0-9-50", IDLE, Some(false)),
        ("0-1-99 | 0-1-99 | 0-1-99", IDLE, None),
        ("| 0-1-8 | 0-1-8", PROMOTED, None),
        // Nothing in common, nothing written, nothing known.
        ("3-1-9 | 3-1-9 | 3-1-9", IDLE, None),
        ("| 0-2-1 | 0-2-1", "| |", None),
        ("| |", IDLE, None),
        ("0-1-10 | 0-1-10 | 0-1-10", "| 0-1-10", None),
        // One domain that is not of the cluster is enough; an undecided one is no objection.
        (
            "0-1-10,1-9-5 | |",
            "| 0-1-10,1-1-5 | 0-1-10,1-1-5",
            Some(false),
        ),
        (
            "0-1-10,1-1-6 | |",
            "| 0-1-10,1-1-5 | 0-1-10,1-1-5",
            Some(true),
        ),
    ];
    for (standby, primary, follows) in cases {
        let found = says(standby).follows(&says(primary));
        assert_eq!(found, follows, "{standby:?} of {primary:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([0-9]{1,12}|[-,0-9 ]{0,9}|.{0,3}){0,9}") {
        for domains in [Domains::parse(&text), Domains::of_server("", "", Some(&text))]
            .into_iter()
            .flatten()
        {
            proptest::prop_assert!(domains.covers(&domains));
            proptest::prop_assert_ne!(domains.follows(&domains), Some(false));
            proptest::prop_assert!(domains.errant_beyond(0, &domains).is_none_or(|n| n == 0));
        }
    }
}
