//! What pairs show at their servers' own timeouts, which are a minute: `scripts/soak` runs it, and
//! prints what was seen.

use std::time::Duration;

use tokio::time::Instant;

use super::{SOUTH, lag, mariadb, pair, postgres, redis};
use crate::daemon::{Daemon, Series};
use crate::link::Link;

/// Below it, a silence is one between two keepalives.
const SILENCE: f64 = 45.0;
/// Only a guard against waiting for ever: everything comes after about a minute.
const PATIENCE: Duration = Duration::from_mins(4);

/// What a campaign needs of a stage.
pub(super) trait Pair {
    /// The family that tells what the standby has not received.
    const MISSING: &str;
    /// Whether the standby tells for how long nothing has come.
    const TELLS_SILENCE: bool = true;

    fn daemon(&self) -> &Daemon;

    /// What the standby receives through.
    fn stream(&self) -> &Link;

    /// Writes something to the primary.
    fn write(&self);

    /// What is commonly taken for the standby's lag, from what it says alone.
    fn claimed_lag(&self, series: &Series) -> f64;
}

/// What was seen at a time.
struct Look {
    second: f64,
    link_up: f64,
    silence: f64,
    claimed: f64,
    missing: f64,
    ring: f64,
    canary: f64,
    rpo: f64,
}

impl Look {
    fn row(&self) -> String {
        let Self {
            second,
            link_up,
            silence,
            claimed,
            missing,
            ring,
            canary,
            rpo,
        } = self;
        format!(
            "| {second:.0} | {link_up} | {silence:.1} | {claimed:.1} \
             | {missing} | {ring:.1} | {canary:.1} | {rpo:.1} |"
        )
    }

    /// Whether everything is told: no run failed lately.
    fn is_whole(&self) -> bool {
        ![self.missing, self.ring, self.canary, self.rpo]
            .iter()
            .any(|figure| figure.is_nan())
    }

    fn tells(&self) -> bool {
        self.missing > 0.0 && self.ring > 0.0 && self.canary > 0.0
    }

    fn is_well(&self) -> bool {
        self.link_up == 1.0 && self.ring == 0.0 && self.canary == 0.0
    }
}

/// What was seen, once a second.
struct Book<'a, P> {
    stage: &'a P,
    since: Instant,
    has_canary: bool,
    looks: Vec<Look>,
}

impl<'a, P: Pair> Book<'a, P> {
    fn of(stage: &'a P, has_canary: bool) -> Self {
        Self {
            stage,
            since: Instant::now(),
            has_canary,
            looks: Vec::new(),
        }
    }

    fn look(&mut self) -> &Look {
        let series = self.stage.daemon().series();
        let canary = |figure: &dyn Fn() -> f64| {
            if self.has_canary { figure() } else { f64::NAN }
        };
        let look = Look {
            second: self.since.elapsed().as_secs_f64(),
            link_up: series.one("hotspare_replication_link_up", &[SOUTH]),
            silence: series.one("hotspare_replication_receiver_silence_seconds", &[SOUTH]),
            claimed: self.stage.claimed_lag(&series),
            missing: pair(&series, P::MISSING),
            ring: lag(&series, "ring"),
            canary: canary(&|| lag(&series, "canary")),
            rpo: canary(&|| pair(&series, "hotspare_rpo_estimate_seconds")),
        };
        self.looks.push(look);
        &self.looks[self.looks.len() - 1]
    }

    /// Writes and looks every second until it was so once, and not before the least time is over.
    fn write_until(&mut self, least: Duration, wanted: impl Fn(&Look) -> bool) {
        let begun = Instant::now();
        let mut came = false;
        while !came || begun.elapsed() < least {
            assert!(begun.elapsed() < PATIENCE, "it never comes");
            self.stage.write();
            std::thread::sleep(Duration::from_secs(1));
            came |= wanted(self.look());
        }
    }

    #[expect(clippy::print_stdout, reason = "what it is run for")]
    fn print(&self, title: &str, every: usize) {
        println!(
            "\n{title}\n\n\
             | s | link up | silence s | claimed lag s \
             | missing | ring s | canary s | rpo s |\n\
             |---|---|---|---|---|---|---|---|"
        );
        let mut before = f64::NAN;
        for (n, look) in self.looks.iter().enumerate() {
            let is_news = look.link_up.total_cmp(&before).is_ne();
            before = look.link_up;
            let is_last = n + 1 == self.looks.len();
            if n % every == 0 || is_news || is_last {
                println!("{}", look.row());
            }
        }
    }
}

/// Nothing is wrong and nothing is written.
fn idle<P: Pair>(title: &str, stage: &P) {
    let mut book = Book::of(stage, false);
    while book.since.elapsed() < Duration::from_mins(5) {
        std::thread::sleep(Duration::from_secs(1));
        book.look();
    }
    book.print(title, 20);
    // The first ones are from before the first runs.
    let first = book.looks.iter().position(|look| look.link_up == 1.0);
    let looks = &book.looks[first.expect("a link that is up")..];
    for look in looks.iter().filter(|look| !look.ring.is_nan()) {
        assert_eq!((look.link_up, look.ring), (1.0, 0.0), "{}", look.second);
        assert!(
            !P::TELLS_SILENCE || look.silence < SILENCE,
            "{}",
            look.second
        );
        assert!(look.missing < 10_000.0, "{}", look.second);
    }
    let told = looks.iter().filter(|look| !look.ring.is_nan()).count();
    assert!(told > looks.len() / 2, "{told} of {}", looks.len());
}

/// Nothing arrives, for longer than the servers need to find out.
fn black_hole<P: Pair>(title: &str, stage: &P) {
    let mut book = Book::of(stage, true);
    book.write_until(Duration::from_secs(5), Look::is_well);
    stage.stream().black_hole();
    let begin = book.looks.len();
    book.write_until(Duration::from_secs(100), |look| look.link_up == 0.0);
    stage.stream().pass();
    let end = book.looks.len();
    let lacked = book.looks[end - 1].missing;
    book.write_until(Duration::ZERO, |look| {
        look.is_well() && look.missing < lacked / 10.0
    });
    book.print(title, 10);

    let hole = &book.looks[begin..end];
    let whole: Vec<_> = hole.iter().filter(|look| look.is_whole()).collect();
    assert!(
        whole.len() > hole.len() / 2,
        "{} of {}",
        whole.len(),
        hole.len()
    );
    let first = whole.iter().position(|look| look.tells());
    let first = first.expect("told");
    assert!(first < 10, "told at {}", whole[first].second);
    for two in whole[first..].windows(2) {
        let at = two[1].second;
        assert!(two[0].missing <= two[1].missing, "missing at {at}");
        assert!(two[0].ring <= two[1].ring, "ring at {at}");
        assert!(two[0].canary <= two[1].canary, "canary at {at}");
    }
    // All this while the link calls itself up, and what is taken for lag is none.
    let down = whole.iter().position(|look| look.link_up != 1.0);
    let (blind, seeing) = whole.split_at(down.expect("a link that is down"));
    let last = blind.last().expect("a link that is up");
    assert!(last.tells());
    for told in [last.ring, last.canary, last.rpo] {
        assert!(told > 20.0, "{told}");
    }
    assert!(!P::TELLS_SILENCE || last.silence > 20.0);
    let deceived = blind.iter().filter(|look| look.tells());
    assert!(deceived.clone().count() > 20);
    for look in deceived {
        assert!(
            look.claimed.is_nan() || look.claimed < 2.0,
            "{}",
            look.second
        );
    }
    assert!(seeing.iter().all(|look| look.link_up != 1.0));
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn an_idle_postgres_lacks_nothing() {
    idle("An idle PostgreSQL", &postgres::Stage::without_canary());
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn a_black_hole_under_postgres() {
    black_hole("PostgreSQL, nothing arrives", &postgres::Stage::set());
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn an_idle_redis_lacks_nothing() {
    idle("An idle Redis", &redis::Stage::without_canary());
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn a_black_hole_under_redis() {
    black_hole("Redis, nothing arrives", &redis::Stage::set());
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn an_idle_mariadb_lacks_nothing() {
    idle("An idle MariaDB", &mariadb::Stage::without_canary());
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it"]
fn a_black_hole_under_mariadb() {
    black_hole("MariaDB, nothing arrives", &mariadb::Stage::set());
}
