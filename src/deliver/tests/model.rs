//! Any sequence of what can happen, and a receiver that holds the daemon to its promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::super::lane::Moment;
use super::super::lanes::{Begun, Lanes};
use super::super::outbox::Dropped;
use super::*;
use crate::model::{Fingerprint, Mute};
use crate::notify::{Notification, Refusal, RefusalReason};
use crate::store::test_disk::TestDisk;

const ALERTS: usize = 5;

/// The groups of the alerts: three are told together.
const GROUPS: [&str; ALERTS] = ["a", "a", "a", "b", "b"];
const TOGETHER: u64 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The condition of an alert begins to hold.
    Pend(usize),
    Fire(usize),
    /// It is over, or came to nothing.
    End(usize),
    Mute(usize, bool),
    /// So many milliseconds pass.
    Pass(u64),
    /// What changed comes to the disk.
    Sync,
    /// What is due begins.
    Begin,
    /// An attempt ends.
    Answer(usize, Answer),
    /// The receiver has other settings.
    Change,
    /// The daemon dies; of what was not synced, so many parts of 256 are on disk.
    Crash(u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Taken,
    /// The receiver has it, and its answer is lost.
    Lost,
    Refused(RefusalReason),
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Taken),
        2 => Just(Answer::Lost),
        2 => Just(Answer::Refused(RefusalReason::Server)),
        1 => Just(Answer::Refused(RefusalReason::Rejected)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..ALERTS;
    prop_oneof![
        2 => one().prop_map(Step::Pend),
        4 => one().prop_map(Step::Fire),
        4 => one().prop_map(Step::End),
        2 => (one(), any::<bool>()).prop_map(|(n, is)| Step::Mute(n, is)),
        3 => (1..2_000_u64).prop_map(Step::Pass),
        3 => (2_000..400_000_u64).prop_map(Step::Pass),
        5 => Just(Step::Sync),
        7 => Just(Step::Begin),
        6 => (0..4_usize, answer()).prop_map(|(n, answer)| Step::Answer(n, answer)),
        1 => Just(Step::Change),
        1 => any::<u8>().prop_map(Step::Crash),
    ]
}

/// What the receiver got, and what it was promised.
#[derive(Default)]
struct Oracle {
    /// By id: what it says, how often it came, and how often it may.
    got: BTreeMap<Arc<str>, (Notification, usize, usize)>,
    /// The state of each alert that came last: when it began, and whether it is over.
    last: BTreeMap<Fingerprint, (f64, bool)>,
    /// By group: what it was told last.
    told: BTreeMap<String, Arc<str>>,
    /// How often something came under a new id that it had heard already.
    unneeded: u64,
    /// Whether anything went wrong so far.
    faulty: bool,
}

impl Oracle {
    fn receives(&mut self, told: &Notification) {
        let known = self.got.entry(Arc::clone(&told.id));
        let (first, times, _) = known.or_insert_with(|| (told.clone(), 0, 1));
        assert_eq!(first, told, "the same id says the same");
        *times += 1;
        let is_again = *times > 1;
        let mut is_news = false;
        for alert in &told.alerts {
            let start = alert.start_timestamp_seconds.expect("fires or is over");
            let state = (start, alert.state == AlertState::Resolved);
            let last = self.last.insert(alert.fingerprint(), state);
            assert!(
                last.is_none_or(|last| last <= state),
                "{last:?} {state:?}: out of order"
            );
            is_news |= last != Some(state);
        }
        let before = self.told.insert(told.group_key(), Arc::clone(&told.id));
        let before = before.and_then(|id| self.got.get(&id));
        // Who was told that nothing fires is told again what went on firing while it was muted.
        is_news |= told.firing && before.is_some_and(|(before, _, _)| !before.firing);
        let is_repetition = before.is_some_and(|(before, _, _)| {
            let since = told.timestamp_seconds - before.timestamp_seconds;
            since > settings().repeat_interval.as_secs_f64() - 0.001
        });
        if !is_again && !is_news && !is_repetition {
            self.unneeded += 1;
        }
    }

    /// Whatever was repeated was allowed to be.
    fn check_repetitions(&self, superseded: u64) {
        // What came in the place of something whose answer was lost may say what that had said: once,
        // or one alert after the other, where mutes part them.
        let allowed = if self.faulty {
            superseded * TOGETHER
        } else {
            0
        };
        assert!(self.unneeded <= allowed, "{} of {allowed}", self.unneeded);
        for (told, times, allowed) in self.got.values() {
            assert!(times <= allowed, "{times} times of {allowed}: {told:?}");
        }
    }

    /// From now on what came last to each group may come once more, and nothing else.
    fn allow_each(&mut self) {
        self.faulty = true;
        for id in self.told.values().cloned().collect::<Vec<_>>() {
            self.allow(&id);
        }
    }

    /// From now on the same notification may come once more.
    fn allow(&mut self, id: &Arc<str>) {
        self.faulty = true;
        if let Some((_, _, allowed)) = self.got.get_mut(id) {
            *allowed += 1;
        }
    }

    /// Whether it takes the alert for firing.
    fn takes_for_firing(&self, fingerprint: Fingerprint) -> bool {
        self.last.get(&fingerprint).is_some_and(|(_, over)| !over)
    }
}

struct World {
    disk: TestDisk,
    book: Alerts,
    lanes: Lanes,
    settling: Settling,
    moment: Moment,
    begun: Vec<Begun>,
    chance: u32,
    oracle: Oracle,
    muted: [bool; ALERTS],
    /// Episodes that were muted at any time.
    ever_muted: BTreeSet<(usize, u64)>,
    /// The start of the last episode, if it is over.
    ended: [Option<f64>; ALERTS],
    ids: u128,
    /// What the lanes of earlier runs have superseded.
    superseded: u64,
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

impl World {
    fn new() -> Self {
        let moment = Moment {
            now: start(),
            wall_seconds: 1_763_740_800.0,
        };
        let disk = TestDisk::new();
        let (book, lanes, settling) = rebuilt(&disk, moment);
        Self {
            disk,
            book,
            lanes,
            settling,
            moment,
            begun: Vec::new(),
            chance: 0,
            oracle: Oracle::default(),
            muted: [false; ALERTS],
            ever_muted: BTreeSet::new(),
            ended: [None; ALERTS],
            ids: 0,
            superseded: 0,
        }
    }

    fn alert(&self, n: usize) -> Option<Arc<Alert>> {
        self.book.get(fingerprint(n))
    }

    fn state(&self, n: usize) -> Option<AlertState> {
        self.alert(n).map(|alert| alert.state)
    }

    /// Puts an alert as the evaluation does.
    fn put(&mut self, mut alert: Alert, n: usize) {
        if self.muted[n] {
            alert.muted = Some(mute());
            self.note_mute(&alert, n);
        }
        self.book.put(alert);
    }

    fn note_mute(&mut self, alert: &Alert, n: usize) {
        if let Some(start) = alert.start_timestamp_seconds {
            self.ever_muted.insert((n, start.to_bits()));
        }
    }

    fn pass(&mut self, millis: u64) {
        self.moment.now += Duration::from_millis(millis);
        self.moment.wall_seconds += Duration::from_millis(millis).as_secs_f64();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pend(n) if matches!(self.state(n), None | Some(AlertState::Resolved)) => {
                let at = self.moment.wall_seconds;
                self.put(alert(GROUPS[n], n, AlertState::Pending, at), n);
            }
            Step::Fire(n) if self.state(n) != Some(AlertState::Firing) => self.fire(n),
            Step::End(n) => self.end(n),
            Step::Mute(n, is) => self.mute(n, is),
            Step::Pass(millis) => self.pass(millis),
            Step::Sync => self.disk.sync(),
            Step::Begin => self.begin(),
            Step::Answer(n, answer) => self.answer(n, answer),
            Step::Change => self.lanes.begin_anew(self.moment.now),
            Step::Crash(parts) => self.crash(parts),
            Step::Pend(_) | Step::Fire(_) => {}
        }
        self.lanes.look(self.moment);
        self.lanes.tell();
        self.settling.round(&[self.lanes.slip()], self.moment);
    }

    fn fire(&mut self, n: usize) {
        // Strictly later than the episode before.
        self.pass(2);
        let start = (self.moment.wall_seconds * 1e3).round() / 1e3;
        self.ended[n] = None;
        self.put(alert(GROUPS[n], n, AlertState::Firing, start), n);
    }

    fn end(&mut self, n: usize) {
        match self.alert(n) {
            Some(alert) if alert.state == AlertState::Firing => {
                let start = alert.start_timestamp_seconds.expect("it fires");
                let mut over = super::alert(GROUPS[n], n, AlertState::Resolved, start);
                over.end_timestamp_seconds = Some(self.moment.wall_seconds);
                self.put(over, n);
                self.ended[n] = Some(start);
            }
            Some(alert) if alert.state == AlertState::Pending => {
                self.book.strike(alert.fingerprint());
            }
            _ => {}
        }
    }

    fn mute(&mut self, n: usize, is: bool) {
        self.muted[n] = is;
        self.book.mute(fingerprint(n), is.then(mute));
        if let Some(alert) = self.alert(n).filter(|_| is) {
            self.note_mute(&alert, n);
        }
    }

    fn begin(&mut self) {
        while self.begun.len() < 4 {
            self.ids += 1;
            let Some(begun) = self.lanes.begin(self.moment, false, self.ids) else {
                return;
            };
            let told = &begun.notification;
            assert!(!told.alerts.is_empty() && told.truncated == 0);
            for alert in told.firing() {
                let now = self.book.get(alert.fingerprint());
                let is_muted = now.is_some_and(|now| now.muted.is_some());
                assert!(!is_muted, "who is muted is not told of");
            }
            assert!(self.begun.iter().all(|other| other.group != begun.group));
            self.begun.push(begun);
        }
    }

    fn answer(&mut self, n: usize, answer: Answer) {
        if self.begun.is_empty() {
            return;
        }
        let begun = self.begun.remove(n % self.begun.len());
        if let Some(intent) = begun.intent {
            // An attempt waits for that.
            self.disk.sync();
            assert_eq!(intent.on_disk().now_or_never(), Some(Ok(())));
        }
        let told = &begun.notification;
        let result = match answer {
            Answer::Taken => {
                self.oracle.receives(told);
                Ok(())
            }
            Answer::Lost => {
                self.oracle.receives(told);
                self.oracle.allow(&told.id);
                Err(RefusalReason::Timeout)
            }
            Answer::Refused(reason) => Err(reason),
        };
        let result = result.map_err(|reason| Refusal {
            reason,
            detail: String::new(),
            retry_after: None,
        });
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let chance = f64::from(self.chance) / f64::from(u32::MAX);
        let of = (&begun.group, begun.form);
        self.lanes.answered(of, &result, self.moment, chance);
    }

    fn lanes_superseded(&self) -> u64 {
        self.lanes.slip().lock().counts.superseded
    }

    fn crash(&mut self, parts: u8) {
        self.superseded += self.lanes_superseded();
        // What is under way may have come to the receiver, or not.
        for begun in std::mem::take(&mut self.begun) {
            let intent = begun.intent.map(|intent| intent.on_disk().now_or_never());
            if intent.is_none_or(|intent| intent == Some(Ok(()))) && parts.is_multiple_of(2) {
                self.oracle.receives(&begun.notification);
            }
        }
        let disk = std::mem::replace(&mut self.disk, TestDisk::new());
        self.disk = disk.crash(parts);
        self.oracle.allow_each();
        (self.book, self.lanes, self.settling) = rebuilt(&self.disk, self.moment);
        // What mutes is found anew before anything is told.
        for n in 0..ALERTS {
            self.mute(n, self.muted[n]);
            // What was not on disk yet has not happened.
            let told = self.book.to_tell().remove(&fingerprint(n));
            let over = told.filter(|alert| alert.state == AlertState::Resolved);
            self.ended[n] = over.and_then(|alert| alert.start_timestamp_seconds);
        }
    }

    /// Nothing goes wrong any more, for a day.
    fn heal(&mut self) {
        for _ in 0..40 {
            self.step(Step::Begin);
            while !self.begun.is_empty() {
                self.step(Step::Answer(0, Answer::Taken));
            }
            self.disk.sync();
            self.pass(100_000);
            self.step(Step::Sync);
        }
    }

    fn check(&self) {
        self.oracle
            .check_repetitions(self.superseded + self.lanes_superseded());
        let kept = self.disk.store.entries::<Kept>().entries;
        assert!(kept.iter().all(|kept| kept.delivery.is_none()), "{kept:?}");
        let status = self.lanes.slip().lock().status.clone();
        assert_eq!(status.undelivered, []);
        assert_eq!(
            (status.deliveries, status.oldest_timestamp_seconds),
            (0, None)
        );
        assert_eq!(self.lanes.slip().lock().counts.dropped, Dropped::default());
        for n in 0..ALERTS {
            let fingerprint = fingerprint(n);
            let last = self.oracle.last.get(&fingerprint).copied();
            let alert = self.alert(n);
            match alert.as_ref().map(|alert| alert.state) {
                Some(AlertState::Firing) => {
                    let start = alert.and_then(|alert| alert.start_timestamp_seconds);
                    let is_known = last == start.map(|start| (start, false));
                    assert!(is_known || self.muted[n], "{n} fires: {last:?}");
                }
                _ => assert!(!self.oracle.takes_for_firing(fingerprint), "{n} is over"),
            }
            let ended = self.ended[n];
            let ended = ended.filter(|start| !self.ever_muted.contains(&(n, start.to_bits())));
            if let Some(start) = ended {
                assert_eq!(last, Some((start, true)), "{n} was over and never muted");
            }
        }
    }
}

fn fingerprint(n: usize) -> Fingerprint {
    alert(GROUPS[n], n, AlertState::Pending, 0.0).fingerprint()
}

fn mute() -> Mute {
    Mute::Silence("s".into())
}

/// The daemon as it starts with this disk.
fn rebuilt(disk: &TestDisk, moment: Moment) -> (Alerts, Lanes, Settling) {
    let book = Alerts::kept_in(&disk.store);
    let kept = kept_in(&disk.store).into_values().flatten().collect();
    let settings = Arc::new(settings());
    let lanes = Lanes::restored("ops".into(), kept, &book, &disk.store, &settings, moment);
    let settling = Settling::new(&book);
    (book, lanes, settling)
}

/// Thousands, and as many as a campaign asks for.
fn cases() -> u32 {
    let asked = std::env::var("HOTSPARE_TEST_CASES").ok();
    asked.map_or(3_000, |asked| asked.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_promise_holds_whatever_happens(steps in proptest::collection::vec(step(), 1..80)) {
        live(steps);
    }
}

fn live(steps: impl IntoIterator<Item = Step>) {
    let mut world = World::new();
    for step in steps {
        world.step(step);
    }
    world.heal();
    world.check();
}

#[test]
fn a_mute_parts_what_was_told_in_vain() {
    live([
        Step::Fire(3),
        Step::Fire(4),
        Step::Pass(9_998),
        Step::Begin,
        Step::Answer(0, Answer::Lost),
        Step::Pass(619),
        Step::Mute(3, true),
        Step::Begin,
        Step::Mute(3, false),
    ]);
}
