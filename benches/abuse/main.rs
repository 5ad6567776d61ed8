//! What a good scrape and the probes notice while the daemon's own server is abused: floods of
//! connections and handshakes, a mob of scrapes, those who write or read byte by byte.
//!
//! `scripts/soak abuse` runs it. It ends with 1 where a good scrape is not answered, the 99th percentile
//! of its latency is a second or more, or a slot of a probe is missed.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints what it measured, and ends where it cannot measure"
)]

mod attacks;
mod daemon;
mod good;

use std::process::ExitCode;
use std::time::Duration;

use attacks::Attack;
use daemon::Daemon;
use good::Scrapes;
use tokio::runtime::Runtime;

/// How long each attack goes on, unless `HOTSPARE_ABUSE_SECONDS` says otherwise.
const SECONDS: u64 = 20;

/// What 99 of 100 good scrapes have to stay below.
const GOAL: Duration = Duration::from_secs(1);

/// From the end of an attack until what it took is given back: longer than any connection may wait.
const REST: Duration = Duration::from_secs(12);

fn main() -> ExitCode {
    let seconds = std::env::var("HOTSPARE_ABUSE_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("seconds"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{:18} {:>8} {:>7} {:>7} {:>7} {:>6} {:>7} {:>6} {:>8} {:>8} {:>7} {:>5}  refused",
        "abuse",
        "times/s",
        "p50",
        "p99",
        "max",
        "bad",
        "socket",
        "missed",
        "late p99",
        "eval p99",
        "MB",
        "files"
    );
    // Part of the name of an attack: only those.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let only = only.unwrap_or_default();
    let mut good = true;
    for tls in [false, true] {
        let daemon = Daemon::start(tls);
        // Every target has been run, and every page was made once.
        runtime.block_on(daemon.wait_until_ready());
        Scrapes::collect(&daemon, Duration::from_secs(2));
        let attacks = Attack::of(tls).iter();
        for attack in attacks.filter(|attack| attack.name().contains(&only)) {
            good &= endure(&runtime, &daemon, *attack, Duration::from_secs(seconds));
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        println!("the goal is missed");
        ExitCode::FAILURE
    }
}

/// One attack: whether all that was promised was kept.
fn endure(runtime: &Runtime, daemon: &Daemon, attack: Attack, long: Duration) -> bool {
    let before = runtime.block_on(daemon.series());
    let mut attackers = {
        let _on_its_threads = runtime.enter();
        attack.start(daemon)
    };
    // On this thread, which has nothing else to do: what attackers cost each other is not measured.
    let scrapes = Scrapes::collect(daemon, long);
    let peak = daemon.resident_mb();
    let times = runtime.block_on(attackers.stop());
    if !matches!(attack, Attack::None) {
        std::thread::sleep(REST);
    }
    let after = runtime.block_on(daemon.series());
    let missed = after.grown("hotspare_schedule_missed_slots_total", &before);
    let p99 = scrapes.percentile(99);
    println!(
        "{:18} {:>8.0} {:>7.3} {:>7.3} {:>7.3} {:>2}/{:<3} {:>7.3} {:>6} {:>8.3} {:>8.3} {:>3}/{:<3} {:>5}  {}",
        attack.name(),
        f64::from(times) / long.as_secs_f64(),
        scrapes.percentile(50),
        p99,
        scrapes.percentile(100),
        scrapes.failed,
        scrapes.count(),
        scrapes.socket_max,
        missed,
        after.p99("hotspare_schedule_lateness_seconds_bucket{", &before),
        after.p99(
            "hotspare_event_loop_lag_seconds_bucket{thread=\"main\",",
            &before
        ),
        peak,
        daemon.resident_mb(),
        daemon.descriptors(),
        after.refusals(&before),
    );
    scrapes.failed == 0 && missed == 0 && p99 < GOAL.as_secs_f64()
}
