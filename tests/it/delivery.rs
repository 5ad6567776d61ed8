//! The promise of delivery, by a daemon's book, store and delivery in a process of their own that is
//! killed at any moment, and a real receiver that holds them to it.

mod child;
mod oracle;

use std::process::{Child, Command};
use std::time::Duration;

use child::{Output, command};
use oracle::Oracle;

use crate::process::wait_for;

/// Kills in the tests that everybody runs, and in a campaign.
const KILLS: u64 = 12;
const MANY_KILLS: u64 = 300;

/// A seed from the environment, or one that a failure tells.
fn seed() -> u64 {
    let asked = std::env::var("HOTSPARE_TEST_SEED").ok();
    asked.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"))
}

/// What goes through a campaign: the state, and who is told.
struct Campaign {
    folder: tempfile::TempDir,
    oracle: Oracle,
    random: fastrand::Rng,
}

impl Campaign {
    fn new(seed: u64) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            oracle: Oracle::start(seed),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn start(&mut self, job: &str, under: &[&str]) -> (Child, Output) {
        let seed = self.random.u64(..);
        let folder = self.folder.path();
        child::start(command(job, folder, self.oracle.address, seed, under))
    }

    /// Kills a process that fires alerts and ends them, at some moment.
    fn kill_once(&mut self) {
        let (mut child, mut output) = self.start("change for ever", &[]);
        assert!(output.next().is_some(), "it has begun");
        std::thread::sleep(Duration::from_micros(self.random.u64(..400_000)));
        child.kill().expect("it runs");
        child.wait().expect("waitable");
        self.oracle.killed();
    }

    /// Lets a process deliver what is left, and holds it against what the book says.
    fn finish(&mut self) {
        self.oracle.calm_down();
        let (mut child, mut output) = self.start("deliver", &[]);
        let expected = output.states();
        assert!(!expected.is_empty(), "there are alerts");
        wait_for(
            || self.oracle.last(),
            |last| {
                expected
                    .iter()
                    .all(|(alert, state)| last.get(alert) == Some(state))
            },
        );
        child.kill().expect("it runs");
        child.wait().expect("waitable");
        self.oracle.check();
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "says what has to be done again to see the same"
)]
fn nothing_is_lost_however_often_the_daemon_is_killed() {
    let seed = seed();
    eprintln!("HOTSPARE_TEST_SEED={seed}");
    let mut campaign = Campaign::new(seed);
    for _ in 0..KILLS {
        campaign.kill_once();
    }
    campaign.finish();
}

#[test]
#[ignore = "a campaign: scripts/soak"]
#[expect(clippy::print_stderr, reason = "says what was seen")]
fn campaign_of_kills_at_any_moment() {
    let seed = seed();
    eprintln!("HOTSPARE_TEST_SEED={seed}");
    let mut campaign = Campaign::new(seed);
    for _ in 0..MANY_KILLS {
        campaign.kill_once();
    }
    campaign.finish();
    eprintln!("{MANY_KILLS} kills: {}", campaign.oracle.summary());
}

/// Runs a process until it is killed at such a call; whether it was.
fn kill_at(campaign: &mut Campaign, call: &str, number: u32) -> bool {
    let (trace, inject) = (
        format!("trace={call}"),
        format!("inject={call}:signal=KILL:when={number}"),
    );
    let under = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let (mut child, _output) = campaign.start("change some", &under);
    let status = child.wait().expect("waitable");
    campaign.oracle.killed();
    !status.success()
}

#[test]
#[ignore = "a campaign: scripts/soak"]
#[expect(
    clippy::print_stderr,
    reason = "says what was seen, or what did not run"
)]
fn campaign_of_kills_at_every_call() {
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: cannot trace a process");
        return;
    }
    let seed = seed();
    eprintln!("HOTSPARE_TEST_SEED={seed}");
    for call in ["write", "fdatasync", "rename", "sendto"] {
        let mut campaign = Campaign::new(seed);
        let mut kills = 0;
        // Some are the runtime's own: they are killed there too.
        for number in (1..=200).step_by(if call == "rename" { 40 } else { 4 }) {
            kills += u32::from(kill_at(&mut campaign, call, number));
        }
        campaign.finish();
        eprintln!("{call}: {kills} kills: {}", campaign.oracle.summary());
        assert!(kills > 0, "{call}");
    }
}
