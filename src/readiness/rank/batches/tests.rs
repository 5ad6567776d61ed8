#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn grid(origin: Instant, interval: Duration) -> Grid {
    Grid::new(origin, Quantile::Median, interval)
}

/// Records a run each `interval` from one instant to another.
fn runs(
    batches: &mut Batches,
    from: Instant,
    until: Instant,
    interval: Duration,
    latency: Option<Duration>,
) {
    let mut at = from;
    while at < until {
        batches.record(at, latency);
        at += interval;
    }
}

#[test]
fn a_batch_holds_enough_runs_and_a_window_enough_batches_at_every_interval() {
    let origin = Instant::now();
    for (interval, length, batches) in [
        (1, 300, 72),
        (10, 300, 72),
        (12, 300, 72),
        (15, 360, 60),
        (30, 720, 36),
        (60, 1440, 36),
        (3600, 86400, 36),
    ] {
        let grid = grid(origin, SECOND * interval);
        assert_eq!(grid.length(), SECOND * length, "{interval} s");
        assert_eq!(grid.batches(), batches, "{interval} s");
        assert!(grid.interval() >= SECOND * interval);
    }
    let tail = Grid::new(origin, Quantile::P95, SECOND);
    assert_eq!((tail.length(), tail.batches()), (MINUTE * 15, 36));
    let benchmark = Grid::benchmark(origin, MINUTE);
    assert_eq!((benchmark.length(), benchmark.batches()), (MS * 2000, 30));
    assert_eq!(benchmark.interval(), MS * 2000 / 24);
    assert_eq!(Grid::benchmark(origin, Duration::ZERO).length(), MS);
    assert_eq!(grid(origin, Duration::ZERO).length(), MINUTE * 5);
}

#[test]
fn a_batch_is_its_median_and_counts_with_twenty_runs() {
    let origin = Instant::now();
    let grid = grid(origin, SECOND * 10);
    let mut batches = Batches::new(grid);
    for run in 1..=21 {
        batches.record(origin + SECOND * run, Some(MS * (22 - run)));
    }
    assert!(batches.window(origin + MINUTE * 4).is_empty(), "under way");
    runs(
        &mut batches,
        origin + MINUTE * 5,
        origin + MINUTE * 5 + SECOND * 19,
        SECOND,
        Some(MS),
    );
    let window = batches.window(origin + MINUTE * 10);
    assert_eq!(window.len(), 1, "19 runs are too few");
    assert_eq!(window.batches[0].slot, 0);
    assert_eq!(window.seconds(), Some(0.011));
    assert_eq!(window.loss(), Some(0.0));
}

#[test]
fn a_failed_run_is_slower_than_any_other() {
    let origin = Instant::now();
    for (failed, seconds) in [(9, Some(0.005)), (11, Some(f64::INFINITY))] {
        let mut batches = Batches::new(grid(origin, SECOND));
        for run in 0..20_u32 {
            let latency = (run >= failed).then_some(MS * 5);
            batches.record(origin + SECOND * run, latency);
        }
        let window = batches.window(origin + MINUTE * 5);
        assert_eq!(window.seconds(), seconds);
        assert_eq!(window.loss(), Some(f64::from(failed) / 20.0));
    }
}

#[test]
fn the_tail_is_the_95th_percentile_with_failures_beyond_it() {
    let origin = Instant::now();
    for (failed, seconds) in [(0, 0.095), (4, 0.095), (6, f64::INFINITY)] {
        let mut batches = Batches::new(Grid::new(origin, Quantile::P95, SECOND));
        for run in 1..=100_u32 {
            let latency = (run <= 100 - failed).then_some(MS * run);
            batches.record(origin + SECOND * run, latency);
        }
        let window = batches.window(origin + MINUTE * 15);
        assert_eq!(window.seconds(), Some(seconds), "{failed}");
    }
}

#[test]
fn what_is_older_than_the_window_goes_even_if_nothing_new_comes() {
    let origin = Instant::now();
    let mut batches = Batches::new(grid(origin, SECOND * 10));
    let hours = MINUTE * 60;
    runs(
        &mut batches,
        origin,
        origin + hours * 9,
        SECOND * 10,
        Some(MS),
    );
    let window = batches.window(origin + hours * 9);
    assert_eq!(window.len(), 72);
    assert_eq!((window.batches[0].slot, window.batches[71].slot), (36, 107));
    assert_eq!(batches.window(origin + hours * 10).len(), 60);
    assert!(batches.window(origin + hours * 16).is_empty());
    // The clock of the caller never goes back; if it did, nothing is lost or counted twice.
    assert!(batches.window(origin).is_empty());
}

#[test]
fn a_run_from_before_the_current_batch_counts_in_the_current_one() {
    let origin = Instant::now();
    let mut batches = Batches::new(grid(origin, SECOND * 10));
    batches.record(origin + MINUTE * 5, Some(MS));
    runs(&mut batches, origin, origin + SECOND * 19, SECOND, Some(MS));
    let window = batches.window(origin + MINUTE * 10);
    assert_eq!(window.len(), 1);
    assert_eq!((window.batches[0].slot, window.batches[0].runs), (1, 20));
}

#[test]
fn memory_is_bounded_however_many_runs_there_are() {
    let origin = Instant::now();
    let mut batches = Batches::new(grid(origin, MS));
    let mut rng = fastrand::Rng::with_seed(1);
    for run in 0..30_000_u32 {
        let latency = MS * 50 + MS * rng.u32(0..100);
        batches.record(origin + MS * run * 10, Some(latency));
        assert!(batches.current.micros.len() <= MOST_SAMPLES);
    }
    assert!(batches.current.micros.capacity() * size_of::<u32>() <= 8192);
    let window = batches.window(origin + MINUTE * 5);
    assert_eq!(window.batches[0].runs, 30_000, "all are counted");
    let seconds = window.seconds().unwrap();
    assert!((0.095..0.105).contains(&seconds), "{seconds}");
    assert_eq!(size_of::<Batch>(), 16);
}

#[test]
fn a_run_that_took_hours_is_not_taken_for_a_failed_one() {
    let origin = Instant::now();
    let mut batches = Batches::new(grid(origin, SECOND));
    let late = Some(Duration::from_hours(2));
    runs(&mut batches, origin, origin + MINUTE, SECOND, late);
    let window = batches.window(origin + MINUTE * 5);
    assert!(window.seconds().unwrap().is_finite());
    assert_eq!(window.loss(), Some(0.0));
}

fn window(grid: Grid, values: &[(u32, u32)]) -> Window {
    let batch = |&(slot, micros): &(u32, u32)| Batch {
        slot,
        micros,
        runs: 30,
        failed: 3,
    };
    Window {
        grid,
        batches: values.iter().map(batch).collect(),
    }
}

#[test]
fn windows_pair_by_time_and_only_on_one_grid() {
    let origin = Instant::now();
    let one = grid(origin, SECOND);
    let a = window(one, &[(1, 10), (2, 20), (4, 40), (7, 70)]);
    let b = window(one, &[(2, 21), (3, 31), (7, 71), (8, 81)]);
    let slots: Vec<_> = a.pairs(&b).iter().map(|(a, b)| (a.slot, b.slot)).collect();
    assert_eq!(slots, [(2, 2), (7, 7)]);
    let other = window(grid(origin + SECOND, SECOND), &[(2, 21), (7, 71)]);
    assert!(a.pairs(&other).is_empty());
    assert_eq!(Window::joined(&[a, other]), None);
}

#[test]
fn joined_windows_are_the_mean_where_all_have_a_batch() {
    let grid = grid(Instant::now(), SECOND);
    let near = window(grid, &[(1, 10), (2, 20), (3, 30), (5, 50)]);
    let far = window(grid, &[(2, 100), (3, FAILED), (4, 100), (5, 150)]);
    let joined = Window::joined(&[near.clone(), far]).unwrap();
    let kept: Vec<_> = joined.batches.iter().map(|b| (b.slot, b.micros)).collect();
    assert_eq!(kept, [(2, 60), (3, FAILED), (5, 100)]);
    assert_eq!(joined.batches[0].runs, 60);
    assert_eq!(joined.loss(), Some(0.1));
    assert_eq!(Window::joined(std::slice::from_ref(&near)), Some(near));
    assert_eq!(Window::joined(&[]), None);
}

#[test]
fn the_median_of_opposite_infinities_is_nothing_to_choose() {
    let infinite = f64::INFINITY;
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(&mut [infinite, infinite]), Some(infinite));
    assert_eq!(median(&mut [infinite, -infinite]), Some(0.0));
}

/// The beginning of a batch of five minutes.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + SECOND * 1_800_000_000
}

fn dated(at: Instant, today: SystemTime) -> Grid {
    Grid::dated(at, today, Quantile::Median, SECOND * 7)
}

#[test]
fn the_same_minutes_have_the_same_number_in_every_life() {
    let at = Instant::now();
    let number = 6_000_000;
    for into in [0, 3, 299] {
        let grid = dated(at, noon() + SECOND * into);
        assert_eq!(grid.slot(at), number, "{into}");
        let next = at + SECOND * (300 - into) + SECOND * 6;
        assert_eq!(grid.slot(next), number + 1, "{into}");
        assert_eq!(grid.slot(at + MINUTE * 60 * 24), number + 288, "{into}");
    }
    // A batch begins with a run.
    let grid = dated(at, noon() + SECOND * 24);
    assert_eq!(grid.slot(at + SECOND * (299 - 21)), number);
    assert_eq!(grid.slot(at + SECOND * (300 - 21)), number + 1);
    assert!(grid.is_as(&dated(at + SECOND, noon() + MINUTE)));
    // Before 1970, and so far off that there is no number.
    let nowhere = [
        SystemTime::UNIX_EPOCH - MINUTE,
        noon() + Duration::from_secs(1 << 41),
    ];
    for today in nowhere {
        assert_eq!(dated(at, today).slot(at), 0);
    }
}

#[test]
fn a_batch_has_the_number_of_the_clock_that_went_on() {
    let at = Instant::now();
    let grid = dated(at, noon() + SECOND * 10);
    let later = at + MINUTE * 60;
    let slot = grid.slot(at) + 11;
    for (set, number) in [
        (0, slot),
        (60, slot),
        (-60, slot),
        (3_600, slot + 12),
        (-3_600, slot - 12),
        (365 * 86_400, slot + 365 * 288),
    ] {
        let today = noon() + SECOND * 10 + MINUTE * 60;
        let today = match u32::try_from(set) {
            Ok(ahead) => today + SECOND * ahead,
            Err(_) => today - Duration::from_secs(i64::from(set).unsigned_abs()),
        };
        assert_eq!(grid.number(slot, (later, today)), Some(number), "{set} s");
    }
    let before = grid.number(slot, (later, SystemTime::UNIX_EPOCH));
    assert_eq!(before, None);
}

#[test]
fn batches_of_earlier_lives_are_in_their_places() {
    let at = Instant::now();
    let grid = dated(at, noon()).keeping(10);
    let mut batches = Batches::new(grid);
    let batch = |slot: u32, micros: u32| Batch {
        slot: 6_000_000 + slot - 20,
        micros,
        runs: 30,
        failed: 0,
    };
    // Too old, in between, twice since the clock was set back, and still to come.
    let past = [9, 10, 14, 15, 16, 15, 20, 21, 400].map(|slot| batch(slot, 1));
    let mut past = Vec::from(past);
    past[5].micros = 2;
    batches.remember(past);
    let expected = [(10, 1), (14, 1), (15, 2), (16, 1)].map(|(slot, micros)| batch(slot, micros));
    assert_eq!(batches.window(at).batches, expected);
    assert_eq!(batches.last(), Some(&batch(16, 1)));
    // They go on, and go when they are old.
    runs(&mut batches, at, at + MINUTE * 5, SECOND * 7, Some(MS));
    let slots: Vec<_> = batches.window(at + MINUTE * 25).batches;
    let slots: Vec<_> = slots.iter().map(|of| of.slot - 5_999_980).collect();
    assert_eq!(slots, [15, 16, 20]);
}
