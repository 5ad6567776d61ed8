//! The schedule under a paused clock, with probes that only wait.

mod lists;

use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::smallvec;

use super::*;
use crate::model::{Facts, Phase, Reply, Shape};
use crate::net::Stopwatch;
use crate::probe::Run;

/// What a fake probe does in a run.
#[derive(Clone, Copy)]
enum Act {
    Reply(Duration),
    Hang(Phase),
    /// Gives up by itself, as a ping does.
    GiveUp(Duration),
    Panic,
    /// Holds up the whole thread, as a bug would.
    Block(Duration),
}

struct Fake {
    act: Act,
    /// Shared by the probes that a target has one after the other.
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    under_way: AtomicUsize,
    started: AtomicUsize,
}

impl Fake {
    fn new(act: Act) -> Arc<Self> {
        Self::counted(act, &Arc::default())
    }

    fn counted(act: Act, counts: &Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            act,
            counts: Arc::clone(counts),
        })
    }
}

impl Probe for Fake {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(async move {
            let under_way = &self.counts.under_way;
            assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "two in flight");
            let _ended = Ended(under_way);
            self.counts.started.fetch_add(1, Ordering::SeqCst);
            match self.act {
                Act::Reply(after) => tokio::time::sleep(after).await,
                Act::Hang(phase) => {
                    watch.enter(phase);
                    std::future::pending::<()>().await;
                }
                Act::GiveUp(after) => {
                    tokio::time::sleep(after).await;
                    return Err(Failure::new(Reason::Lost, "no reply"));
                }
                Act::Panic => panic!("a bug"),
                Act::Block(time) => tokio::time::advance(time).await,
            }
            Ok(Reply {
                latencies: smallvec![Duration::from_millis(1)],
                facts: Facts::default(),
            })
        })
    }

    fn shape(&self) -> Shape {
        Shape::default()
    }
}

struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn job(index: u32, interval: Duration, timeout: Duration, act: Act) -> Job {
    Job {
        target: TargetKey(index),
        turn: Turn {
            identity: format!("job {index}"),
            delay: Duration::ZERO,
        },
        interval,
        timeout,
        probe: Fake::new(act),
    }
}

/// Runs the jobs for so long and returns what was observed.
async fn observe(jobs: Vec<Job>, max_in_flight: usize, time: Duration) -> Vec<Observation> {
    observe_from(Origin::read(), jobs, max_in_flight, time).await
}

async fn observe_from(
    origin: Origin,
    jobs: Vec<Job>,
    max_in_flight: usize,
    time: Duration,
) -> Vec<Observation> {
    let (observations, mut seen) = mpsc::channel(100_000);
    let (outlet, gauges) = outlet(observations);
    let dropped = outlet.dropped.clone();
    let stop = tokio::time::sleep(time);
    lane(
        watch::channel(jobs.into()).1,
        origin,
        Arc::new(Places::new(max_in_flight)),
        Alarm::Tokio,
        outlet,
        gauges,
        stop,
    )
    .await;
    assert_eq!(dropped.get(), 0);
    let mut all = Vec::new();
    while let Some(observation) = seen.recv().await {
        all.push(observation);
    }
    all
}

/// What a lane tells, and tells of itself.
fn outlet(observations: mpsc::Sender<Observation>) -> (Outlet, Gauges) {
    let outlet = Outlet {
        observations,
        dropped: IntCounter::new("dropped", "dropped").expect("valid"),
    };
    let gauges = Gauges {
        in_flight: IntGauge::new("in_flight", "in flight").expect("valid"),
        lag: Histogram::with_opts(prometheus::HistogramOpts::new("lag", "lag")).expect("valid"),
        beat: Arc::new(Beat::new(Instant::now().into_std())),
    };
    (outlet, gauges)
}

fn samples(observations: &[Observation], target: u32) -> Vec<&Sample> {
    observations
        .iter()
        .filter_map(|o| match o {
            Observation::Sample(s) if s.target == TargetKey(target) => Some(&**s),
            _ => None,
        })
        .collect()
}

fn missed(observations: &[Observation], target: u32, cause: Missed) -> u64 {
    observations
        .iter()
        .filter_map(|o| match o {
            Observation::Missed {
                target: t,
                slots,
                cause: c,
            } if *t == TargetKey(target) && *c == cause => Some(*slots),
            _ => None,
        })
        .sum()
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn every_target_runs_once_an_interval_and_never_drifts() {
    let jobs = (0..50).map(|i| job(i, SECOND, 900 * MS, Act::Reply(300 * MS)));
    let seen = observe(jobs.collect(), 1000, SECOND * 20).await;
    for target in 0..50 {
        let samples = samples(&seen, target);
        assert!((19..=20).contains(&samples.len()), "{}", samples.len());
        for (k, sample) in (0_u32..).zip(&samples) {
            assert_eq!(sample.due, samples[0].due + SECOND * k);
            assert!(sample.started - sample.due <= 2 * MS);
        }
    }
    assert!(!seen.iter().any(|o| matches!(o, Observation::Missed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_target_ends_at_its_deadline_with_its_phase_and_disturbs_nobody() {
    let jobs = vec![
        job(0, SECOND, 700 * MS, Act::Hang(Phase::Tls)),
        job(1, SECOND, 700 * MS, Act::Reply(MS)),
    ];
    let seen = observe(jobs, 10, SECOND * 10).await;
    for sample in samples(&seen, 0) {
        let failure = sample.outcome.as_ref().expect_err("timed out");
        assert_eq!(failure.reason, Reason::TimeoutTls);
        assert!(sample.ended - sample.started <= 702 * MS);
    }
    assert!(samples(&seen, 0).len() >= 9);
    assert!(samples(&seen, 1).len() >= 9);
    assert!(samples(&seen, 1).iter().all(|s| s.outcome.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_unknown_run_and_the_next_slot_comes() {
    let seen = observe(vec![job(0, SECOND, SECOND, Act::Panic)], 10, SECOND * 5).await;
    let samples = samples(&seen, 0);
    assert!(samples.len() >= 4);
    for sample in samples {
        let failure = sample.outcome.as_ref().expect_err("panicked");
        assert_eq!(failure.reason, Reason::Panic);
        assert!(failure.detail.contains("a bug"), "{}", failure.detail);
    }
}

#[tokio::test(start_paused = true)]
async fn black_holes_take_at_most_half_of_the_places() {
    let acts = [Act::Hang(Phase::Connect), Act::GiveUp(950 * MS)];
    let black_hole = |i| job(i, SECOND, SECOND, acts[i as usize % 2]);
    let mut jobs: Vec<_> = (0..100).map(black_hole).collect();
    jobs.extend((100..104).map(|i| job(i, SECOND, SECOND, Act::Reply(10 * MS))));
    let seen = observe(jobs, 20, SECOND * 30).await;
    let full: u64 = (0..100).map(|t| missed(&seen, t, Missed::Full)).sum();
    assert!(full > 0, "the cap was never reached");
    let known = &seen[seen.len() / 2..];
    for target in 100..104 {
        // It takes some rounds until all are known to be black holes; from then on none is missed.
        assert_eq!(missed(known, target, Missed::Full), 0);
        assert!(samples(known, target).len() >= 12);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_was_held_up_blames_itself_and_not_the_target() {
    let jobs = vec![
        job(0, SECOND * 10, 9 * SECOND, Act::Block(8 * SECOND)),
        job(1, SECOND, 900 * MS, Act::Hang(Phase::Connect)),
    ];
    let seen = observe(jobs, 10, SECOND * 40).await;
    let reasons: Vec<_> = samples(&seen, 1)
        .iter()
        .filter_map(|s| s.outcome.as_ref().err().map(|f| f.reason))
        .collect();
    assert!(reasons.contains(&Reason::Stalled), "{reasons:?}");
    assert!(reasons.contains(&Reason::TimeoutConnect), "{reasons:?}");
    assert!(missed(&seen, 1, Missed::Late) >= 6);
}

#[tokio::test(start_paused = true)]
async fn black_holes_take_turns() {
    // A hundred that hold their place for half of the interval, and places for ten of them: without
    // turns the same slots would have the places in every round.
    let hang = Act::Hang(Phase::Connect);
    let jobs = (0..100).map(|i| job(i, 10 * SECOND, 5 * SECOND, hang));
    let seen = observe(jobs.collect(), 20, SECOND * 2_000).await;
    let runs: Vec<_> = (0..100).map(|t| samples(&seen, t).len()).collect();
    assert!(runs.iter().all(|n| *n >= 10), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_timeout_is_no_stall() {
    let hang = Act::Hang(Phase::Connect);
    let jobs = (1..=20).map(|i| job(i - 1, SECOND, i * MS, hang));
    let seen = observe(jobs.collect(), 100, SECOND * 20).await;
    for target in 0..20 {
        for sample in samples(&seen, target) {
            let reason = sample.outcome.as_ref().map_err(|failure| failure.reason);
            assert_eq!(reason.expect_err("timed out"), Reason::TimeoutConnect);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_round_is_done_inside_one_interval() {
    let jobs = (0..500).map(|i| job(i, 10 * SECOND, SECOND, Act::Reply(MS)));
    let seen = observe(jobs.collect(), 1_000, 10 * SECOND + 10 * MS).await;
    let mut due: Vec<_> = (0..500).map(|t| samples(&seen, t)[0].due).collect();
    due.sort();
    // Spread: no second has more than twice its share.
    let start = due[0];
    for second in 0..10_u32 {
        let within = |at: &&std::time::Instant| {
            (SECOND * second..SECOND * (second + 1)).contains(&(**at - start))
        };
        assert!(due.iter().filter(within).count() <= 100);
    }
}

/// A set's job: those of a set share a slot.
fn member(index: u32, set: u32, interval: Duration, delay: Duration) -> Job {
    Job {
        turn: Turn {
            identity: format!("set {set}"),
            delay,
        },
        ..job(index, interval, 900 * MS, Act::Reply(MS))
    }
}

#[tokio::test(start_paused = true)]
async fn the_delayed_follow_the_others_of_their_slot_from_the_first_round_on() {
    for set in 0..50 {
        let interval = SECOND + 130 * MS * set;
        let delay = interval / 5;
        let jobs = vec![
            member(0, set, interval, delay),
            member(1, set, interval, Duration::ZERO),
            member(2, set, interval, Duration::ZERO),
        ];
        let seen = observe(jobs, 10, interval * 20).await;
        let [delayed, one, two] = [0, 1, 2].map(|target| samples(&seen, target));
        assert!((19..=20).contains(&delayed.len()), "{}", delayed.len());
        for ((delayed, one), two) in delayed.iter().zip(&one).zip(&two) {
            assert_eq!((one.due, two.due + delay), (two.due, delayed.due));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slots_of_lanes_that_start_at_different_times_keep_their_distance() {
    let origin = Origin::read();
    for set in 0..50 {
        let delay = 170 * MS;
        let first = vec![member(0, set, SECOND, delay)];
        let second = vec![member(1, set, SECOND, Duration::ZERO)];
        let delayed = observe_from(origin, first, 10, SECOND * 5).await;
        tokio::time::advance(77 * MS).await;
        let other = observe_from(origin, second, 10, SECOND * 5).await;
        let between = samples(&other, 1)[0].due - samples(&delayed, 0)[0].due;
        let beyond = (between + delay).as_nanos() % SECOND.as_nanos();
        assert_eq!(beyond, 0, "{between:?}");
    }
}
