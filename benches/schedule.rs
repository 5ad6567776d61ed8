//! What the schedule costs: taking a slot and setting the next, among many targets.

use std::time::Duration;

use divan::Bencher;
use hotspare::schedule::Timetable;
use tokio::time::Instant;

fn main() {
    divan::main();
}

/// One slot of a table with so many targets, each due once in ten seconds.
#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn one_slot(bencher: Bencher<'_, '_>, targets: u32) {
    let start = Instant::now();
    let interval = Duration::from_secs(10);
    let mut table = Timetable::default();
    for n in 0..targets {
        table.add(start + interval * n / targets, interval);
    }
    bencher.bench_local(|| {
        let due = table.next_due();
        due.and_then(|due| table.pop(due))
    });
}
