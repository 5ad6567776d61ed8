//! Lists of jobs that take each other's place.

use proptest::prelude::*;

use super::*;

/// A lane that the test drives itself.
fn driven(max_in_flight: usize) -> (Lane, mpsc::Receiver<Observation>) {
    let (observations, seen) = mpsc::channel(100_000);
    let (outlet, gauges) = outlet(observations);
    let places = Arc::new(Places::new(max_in_flight));
    (Lane::new(Origin::read(), places, outlet, gauges), seen)
}

impl Lane {
    /// Starts what is due in so long.
    async fn after(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(due) = self.table.next_due().filter(|due| *due <= until) {
            tokio::time::sleep_until(due).await;
            self.start_due(Instant::now());
        }
        tokio::time::sleep_until(until).await;
        // What was started, aborted or has ended has its turn.
        tokio::task::yield_now().await;
    }

    /// Takes in the runs that have ended.
    fn settle(&mut self) {
        while let Some(ended) = self.runs.try_join_next_with_id() {
            self.end(ended);
        }
    }

    fn take(&mut self, jobs: Vec<Job>) {
        self.take_up(jobs.into(), Instant::now());
    }
}

fn all(seen: &mut mpsc::Receiver<Observation>) -> Vec<Observation> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

fn hanging(target: u32) -> Job {
    job(target, SECOND, SECOND, Act::Hang(Phase::Connect))
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_is_aborted_and_holds_its_place_until_it_has_ended() {
    let (mut lane, mut seen) = driven(10);
    lane.take(vec![hanging(0), hanging(1)]);
    lane.after(SECOND).await;
    assert_eq!(lane.places.taken(), (2, 0));
    lane.take(vec![hanging(2), hanging(1)]);
    assert_eq!((lane.places.taken(), lane.running.len()), ((2, 0), 2));
    tokio::task::yield_now().await;
    lane.settle();
    assert_eq!((lane.places.taken(), lane.running.len()), ((1, 0), 1));
    assert_eq!(lane.gauges.in_flight.get(), 1);
    assert_eq!(lane.states.iter().filter(|state| state.busy).count(), 1);
    // The abort is nobody's failure.
    assert!(all(&mut seen).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_run_that_ended_as_its_job_went_is_of_nobody() {
    let (mut lane, mut seen) = driven(10);
    lane.take(vec![job(0, SECOND, SECOND, Act::GiveUp(Duration::ZERO))]);
    lane.after(SECOND).await;
    tokio::time::sleep(10 * MS).await;
    assert_eq!(lane.running.len(), 1);
    lane.take(vec![hanging(1)]);
    lane.settle();
    assert!(all(&mut seen).is_empty());
    assert_eq!((lane.places.taken(), lane.running.len()), ((0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_gone_is_not_counted_any_more() {
    let (mut lane, _seen) = driven(3);
    let jobs = || (0..4).map(hanging).collect();
    lane.take(jobs());
    for _ in 0..8 {
        lane.after(SECOND / 4).await;
        lane.settle();
    }
    // Hanging is suspicious, and two of four suspects at a time have a place.
    let of = |lane: &Lane, what: fn(&State) -> bool| {
        lane.states.iter().filter(|state| what(state)).count()
    };
    assert!(lane.suspects > 1, "{:?}", lane.states);
    assert_eq!(lane.suspects, of(&lane, |state| state.suspect));
    assert_eq!(lane.waiting, of(&lane, |state| state.waiting));
    let kept = (0..4).find(|at| lane.states[*at].suspect).expect("one");
    let before = lane.states[kept];
    let target = lane.jobs[kept].target;
    lane.take(vec![Job {
        target,
        ..hanging(9)
    }]);
    assert_eq!((lane.suspects, lane.waiting), (1, before.waiting.into()));
    tokio::task::yield_now().await;
    lane.settle();
    let by_suspects = usize::from(before.busy);
    assert_eq!(lane.places.taken(), (by_suspects, by_suspects));
    lane.take(Vec::new());
    tokio::task::yield_now().await;
    lane.settle();
    assert_eq!((lane.suspects, lane.waiting), (0, 0));
    assert_eq!(lane.places.taken(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_run_under_way_goes_on_and_the_new_probe_has_the_next() {
    let (mut lane, mut seen) = driven(10);
    let counts = Arc::default();
    let with = |act| Job {
        probe: Fake::counted(act, &counts),
        ..hanging(0)
    };
    lane.take(vec![hanging(1), with(Act::Reply(SECOND / 2))]);
    let due = lane.table.dues()[1];
    lane.after(due - Instant::now() + 100 * MS).await;
    lane.take(vec![with(Act::GiveUp(SECOND / 2))]);
    for _ in 0..6 {
        lane.after(SECOND / 4).await;
        lane.settle();
    }
    let seen = all(&mut seen);
    let seen = samples(&seen, 0);
    let outcomes: Vec<_> = seen.iter().map(|sample| sample.outcome.is_ok()).collect();
    assert_eq!(outcomes, [true, false]);
    assert_eq!(seen[0].due, due.into_std());
    assert_eq!(seen[1].due, (due + SECOND).into_std());
}

#[tokio::test(start_paused = true)]
async fn the_pulse_follows_the_shortest_timeout() {
    let (mut lane, _seen) = driven(10);
    assert_eq!(lane.pulse, PULSE);
    lane.take(vec![job(0, SECOND, 400 * MS, Act::Reply(MS)), hanging(1)]);
    assert_eq!(lane.pulse, 20 * MS);
    lane.take(vec![hanging(1)]);
    assert_eq!(lane.pulse, 50 * MS);
    lane.take(Vec::new());
    assert_eq!(lane.pulse, PULSE);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_thousand_lists() {
    let (mut lane, _seen) = driven(1_000);
    for round in 0..1_000 {
        // Half of them are new in every round.
        let jobs = (0..50).map(|n| hanging(if n % 2 == 0 { n } else { round * 50 + n }));
        lane.take(jobs.collect());
        lane.after(100 * MS).await;
        lane.settle();
        assert_eq!((lane.table.dues().len(), lane.states.len()), (50, 50));
        let busy = lane.states.iter().filter(|state| state.busy).count();
        assert_eq!((lane.running.len(), lane.runs.len()), (busy, busy));
        assert_eq!(lane.places.taken().0, busy);
    }
    assert!(lane.suspects >= 20, "{}", lane.suspects);
}

/// What a target is, and since and until when.
struct Life {
    key: u32,
    spec: usize,
    first: Instant,
    gone: Option<Instant>,
    counts: Arc<Counts>,
}

const SPECS: [(u32, u32, Act); 8] = [
    (1_000, 900, Act::Reply(Duration::from_millis(700))),
    (250, 250, Act::Reply(Duration::from_millis(3))),
    (400, 300, Act::Hang(Phase::Tls)),
    (777, 700, Act::GiveUp(Duration::from_millis(600))),
    (300, 300, Act::Panic),
    (2_000, 1_999, Act::Hang(Phase::Connect)),
    (150, 149, Act::GiveUp(Duration::from_millis(1))),
    (333, 333, Act::Reply(Duration::from_millis(332))),
];

/// The reason with which a run of it fails.
fn reason(act: Act) -> Option<Reason> {
    match act {
        Act::Reply(_) | Act::Block(_) => None,
        Act::Hang(phase) => Some(Reason::timeout_in(Some(phase))),
        Act::GiveUp(_) => Some(Reason::Lost),
        Act::Panic => Some(Reason::Panic),
    }
}

impl Life {
    fn begin(key: u32, spec: usize, origin: Origin) -> Self {
        let mut life = Self {
            key,
            spec,
            first: Instant::now(),
            gone: None,
            counts: Arc::default(),
        };
        let job = life.job();
        life.first = origin.first(&job.turn, job.interval, Instant::now());
        life
    }

    /// The same with a probe of its own each time.
    fn job(&self) -> Job {
        let (interval, timeout, act) = SPECS[self.spec];
        Job {
            turn: Turn {
                identity: format!("spec {}", self.spec),
                delay: Duration::ZERO,
            },
            probe: Fake::counted(act, &self.counts),
            ..job(self.key, interval * MS, timeout * MS, act)
        }
    }

    /// Slots up to a moment.
    fn slots(&self, until: Instant) -> u64 {
        let interval = u128::from(SPECS[self.spec].0) * 1_000_000;
        let slots = until
            .checked_duration_since(self.first)
            .map_or(0, |time| time.as_nanos() / interval + 1);
        u64::try_from(slots).expect("few")
    }

    /// Every slot of its life, and none else, was run or missed.
    fn check(&self, seen: &[Observation], end: Instant) {
        let until = self.gone.unwrap_or(end);
        let (interval, _, act) = SPECS[self.spec];
        let samples = samples(seen, self.key);
        let mut before = None;
        for sample in &samples {
            let since = sample.due - self.first.into_std();
            assert_eq!(since.as_nanos() % (interval * MS).as_nanos(), 0);
            assert!(before < Some(sample.due), "twice in one slot");
            before = Some(sample.due);
            assert!(sample.ended <= until.into_std());
            let failed = sample.outcome.as_ref().err().map(|failure| failure.reason);
            assert_eq!(failed, reason(act), "another's outcome");
        }
        let started = self.counts.started.load(Ordering::SeqCst);
        assert!(
            started == samples.len() || started == samples.len() + 1,
            "{started} runs, {} told",
            samples.len()
        );
        assert_eq!(self.counts.under_way.load(Ordering::SeqCst), 0);
        let missed: u64 = [Missed::Busy, Missed::Full, Missed::Late]
            .map(|cause| missed(seen, self.key, cause))
            .iter()
            .sum();
        // Timers round up to the next millisecond.
        let slots = self.slots(until - 2 * MS)..=self.slots(until);
        let counted = started as u64 + missed;
        assert!(slots.contains(&counted), "{counted} of {slots:?}");
    }
}

/// Sends the lists and waits after each; then an empty one. Who lived meanwhile, the first of them
/// all the time.
async fn send(
    lists: watch::Sender<Arc<[Job]>>,
    steps: Vec<(u64, [bool; 8], [bool; 8])>,
    origin: Origin,
) -> Vec<Life> {
    let mut lives = vec![Life::begin(0, 0, origin)];
    for (wait, there, renewed) in steps {
        for spec in 1..SPECS.len() {
            let now = Instant::now();
            let mut of_spec = lives.iter_mut().filter(|life| life.spec == spec);
            let living = of_spec.find(|life| life.gone.is_none());
            let stays = living.is_some() && there[spec] && !renewed[spec];
            if let Some(life) = living.filter(|_| !stays) {
                life.gone = Some(now);
            }
            if there[spec] && !stays {
                let key = u32::try_from(lives.len()).expect("few");
                lives.push(Life::begin(key, spec, origin));
            }
        }
        let living = lives.iter().filter(|life| life.gone.is_none());
        let mut jobs: Vec<_> = living.map(Life::job).collect();
        fastrand::shuffle(&mut jobs);
        lists.send_replace(jobs.into());
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let now = Instant::now();
    for life in &mut lives {
        life.gone.get_or_insert(now);
    }
    lists.send_replace(Arc::default());
    tokio::time::sleep(10 * MS).await;
    lives
}

async fn play(steps: Vec<(u64, [bool; 8], [bool; 8])>, max_in_flight: usize) {
    let origin = Origin::read();
    let time = steps
        .iter()
        .map(|(wait, ..)| Duration::from_millis(*wait))
        .sum();
    let alone = Life::begin(0, 0, origin).job();
    let alone = observe_from(origin, vec![alone], 10, time);

    let (observations, mut seen) = mpsc::channel(100_000);
    let (outlet, gauges) = outlet(observations);
    let in_flight = gauges.in_flight.clone();
    let places = Arc::new(Places::new(max_in_flight));
    let (lists, jobs) = watch::channel(Arc::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let lane = lane(
        jobs,
        origin,
        Arc::clone(&places),
        Alarm::Tokio,
        outlet,
        gauges,
        stopped,
    );
    let sending = async {
        let lives = send(lists, steps, origin).await;
        let idle = (places.taken(), in_flight.get());
        assert_eq!(idle, ((0, 0), 0), "places and runs at the end");
        drop(stop);
        lives
    };
    let ((), lives, alone) = tokio::join!(lane, sending, alone);
    let seen = all(&mut seen);
    for life in &lives {
        life.check(&seen, Instant::now());
    }
    let dues = |seen: &[Observation]| -> Vec<_> {
        samples(seen, 0).iter().map(|sample| sample.due).collect()
    };
    let (dues, alone) = (dues(&seen), dues(&alone));
    if max_in_flight > SPECS.len() {
        assert_eq!(dues, alone, "other slots than without other lists");
    } else {
        assert!(dues.iter().all(|due| alone.contains(due)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_lists_come_every_slot_is_run_or_counted_and_who_stays_keeps_its_slots(
        steps in proptest::collection::vec((0_u64..3_000, any::<[bool; 8]>(), any::<[bool; 8]>()), 1..20),
        max_in_flight in prop_oneof![Just(1), Just(3), Just(100)],
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(play(steps, max_in_flight));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_with_another_turn_gets_the_slots_of_that_turn() {
    let (mut lane, mut seen) = driven(10);
    let first = job(0, 10 * SECOND, SECOND, Act::GiveUp(Duration::ZERO));
    lane.take(vec![first]);
    lane.after(10 * SECOND).await;
    lane.settle();
    all(&mut seen);
    let mut moved = job(0, 10 * SECOND, SECOND, Act::GiveUp(Duration::ZERO));
    moved.turn.identity = "the turn of a set".to_owned();
    let origin = lane.origin;
    let due = origin.first(&moved.turn, moved.interval, Instant::now());
    assert_ne!(lane.table.next_due(), Some(due), "or this shows nothing");
    lane.take(vec![moved]);
    assert_eq!(lane.table.next_due(), Some(due));
}
