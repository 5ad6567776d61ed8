//! What is wrong with this daemon now: the one answer for `/-/healthy`, the heartbeat, and systemd.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::config::Plan;
use crate::deliver::Outbox;
use crate::evaluate::Progress;
use crate::metrics::Own;
use crate::model::Beat;
use crate::store::Store;

/// Without progress for so long, a part is stuck and the daemon unhealthy.
pub(super) const STUCK: Duration = Duration::from_secs(5);

/// A receiver that has not taken something for so long is worth a word.
const WAITED: Duration = Duration::from_mins(1);

/// Runs may be silent for so many of the shortest interval.
const INTERVALS: u32 = 3;

/// And for so long at least: a run may take up to its interval to end.
const SHORTEST: Duration = Duration::from_mins(1);

/// The signs of life of parts of the daemon, with their names.
pub(super) type Beats = Vec<(String, Arc<Beat>)>;

/// What shows whether everything goes on.
pub(super) struct Health {
    /// Of what is there from the start to the end. Those of what tells the receivers come and go with
    /// the configuration: the outbox has them.
    pub(super) beats: Beats,
    pub(super) progress: Arc<Progress>,
    pub(super) patience: Mutex<Patience>,
    pub(super) own: Arc<Own>,
    pub(super) state: Store,
    pub(super) outbox: Outbox,
}

/// How long is waited for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// For how long none may have been taken in; `None` if nothing is probed from here.
    most: Option<Duration>,
    /// Since when that is so: what was not probed before cannot have been silent.
    since: Instant,
}

impl Patience {
    /// From now on.
    pub(super) fn new(most: Option<Duration>) -> Self {
        let since = Instant::now();
        Self { most, since }
    }
}

/// For how long no run may have been taken in; `None` if nothing is probed from here.
pub(super) fn patience(plan: &Plan) -> Option<Duration> {
    let shortest = plan.targets.iter().map(|target| target.interval).min()?;
    Some((shortest * INTERVALS).max(SHORTEST))
}

impl Health {
    /// Whether every part has made its first step.
    pub(super) fn began(&self) -> bool {
        let delivery = self.outbox.beats();
        let beats = self.beats.iter().chain(&delivery).map(|(_, beat)| &**beat);
        beats.chain(self.state.beat()).all(Beat::began) && self.progress.began()
    }

    /// The part that makes no progress, which is a fault of this program that a new start may mend.
    ///
    /// What others do to it is none: receivers and names that do not answer, a disk that hangs.
    pub(super) fn stuck(&self) -> Option<String> {
        let now = Instant::now().into_std();
        let delivery = self.outbox.beats();
        let beats = self.beats.iter().chain(&delivery);
        let silent = beats.map(|(name, beat)| (&**name, beat.silence(now)));
        let evaluation = ("evaluation", self.progress.since_looked());
        let state = self.state.beat();
        let state = state.filter(|_| self.state.writing(now).is_none());
        let state = state.map(|beat| ("state", beat.silence(now)));
        let mut all = silent.chain([evaluation]).chain(state);
        if let Some((name, silence)) = all.find(|(_, silence)| *silence > STUCK) {
            return Some(format!(
                "{name} has made no progress for {}",
                Seconds(silence)
            ));
        }
        let patience = self.patience();
        let age = self.progress.since_taken_in();
        let waited = age.min(patience.since.elapsed());
        let is_silent = patience.most.is_some_and(|most| waited > most);
        is_silent.then(|| format!("no run was taken in for {}", Seconds(age)))
    }

    /// How long ago the outcome of a run was last taken in; `None` if nothing is probed from here.
    pub(super) fn last_run(&self) -> Option<Duration> {
        let most = self.patience().most;
        most.map(|_| self.progress.since_taken_in())
    }

    /// From now on it is as this plan has it.
    pub(super) fn follow(&self, plan: &Plan) {
        self.wait(patience(plan));
    }

    fn wait(&self, most: Option<Duration>) {
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        if patience.most != most {
            *patience = Patience::new(most);
        }
    }

    fn patience(&self) -> Patience {
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is wrong, the worst first.
    pub(super) fn faults(&self) -> Vec<String> {
        self.stuck().into_iter().chain(self.troubles()).collect()
    }

    /// What is wrong around the daemon, and no new start would mend.
    pub(super) fn troubles(&self) -> Vec<String> {
        let of_disk = trouble_of_disk(&self.state);
        let receivers = self.outbox.figures().into_iter().filter_map(|figures| {
            let since = Duration::try_from_secs_f64(figures.oldest_timestamp_seconds?).ok()?;
            let waited = SystemTime::now().duration_since(UNIX_EPOCH + since).ok()?;
            (waited > WAITED).then(|| {
                let waited = Seconds(waited);
                format!(
                    "{} has not taken a notification for {waited}",
                    figures.receiver
                )
            })
        });
        let refused = self.own.config_last_reload_successful.get() == 0;
        let refused = refused.then(|| {
            "the configuration that was last read is not good, and the one before it in force"
                .to_owned()
        });
        let all = of_disk.into_iter().chain(refused).chain(receivers);
        all.collect()
    }
}

fn trouble_of_disk(state: &Store) -> Option<String> {
    let writing = state.writing(Instant::now().into_std());
    match writing.filter(|took| *took > STUCK) {
        Some(took) => Some(format!(
            "the disk hangs: a write of the state has taken {} so far",
            Seconds(took)
        )),
        None if state.beat().is_some() && !state.counters().durable => {
            Some("the state cannot be written to disk".to_owned())
        }
        None => None,
    }
}

/// A duration in whole seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::test_disk::TestDisk;

    /// The health of these parts.
    pub(in crate::app) fn health(
        beats: &[(&str, &Arc<Beat>)],
        patience: Option<u64>,
        state: Store,
    ) -> Health {
        let own = Own::new("1", "a", UNIX_EPOCH).expect("declared right");
        own.configured("0", UNIX_EPOCH);
        let beats = beats.iter();
        Health {
            beats: beats
                .map(|(name, beat)| ((*name).to_owned(), Arc::clone(beat)))
                .collect(),
            progress: Arc::new(Progress::new(1)),
            patience: Mutex::new(Patience::new(patience.map(Duration::from_secs))),
            own: own.into(),
            state,
            outbox: Outbox::default(),
        }
    }

    fn beat() -> Arc<Beat> {
        Arc::new(Beat::new(Instant::now().into_std()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_beat_is_told_by_its_name() {
        let (streams, packets) = (beat(), beat());
        let beats = [("packets", &packets), ("streams-0", &streams)];
        let health = health(&beats, None, Store::in_memory());
        assert_eq!(health.stuck(), None);
        assert!(!health.began());
        tokio::time::advance(STUCK + Duration::from_secs(1)).await;
        packets.beat(Instant::now().into_std());
        let why = "streams-0 has made no progress for 6s";
        assert_eq!(health.stuck().as_deref(), Some(why));
        streams.beat(Instant::now().into_std());
        let why = "evaluation has made no progress for 6s";
        assert_eq!(health.stuck().as_deref(), Some(why));
        assert_eq!(health.troubles(), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_of_the_runs_is_told_where_there_are_any() {
        let of = |patience| health(&[], patience, Store::in_memory());
        let (nothing, short, long) = (of(None), of(Some(3)), of(Some(60)));
        assert_eq!(short.last_run(), Some(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(4)).await;
        let why = "no run was taken in for 4s";
        assert_eq!(short.stuck().as_deref(), Some(why));
        assert_eq!(long.stuck(), None);
        assert_eq!(long.last_run(), Some(Duration::from_secs(4)));
        assert_eq!((nothing.stuck(), nothing.last_run()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_probed_before_was_not_silent() {
        let health = health(&[], None, Store::in_memory());
        let pass = async |seconds| {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            health.progress.look(Instant::now().into_std());
        };
        pass(3600).await;
        health.wait(Some(SHORTEST));
        assert_eq!(health.stuck(), None, "there was nothing to run");
        pass(59).await;
        // The same once more is no reason to wait longer.
        health.wait(Some(SHORTEST));
        pass(2).await;
        let why = "no run was taken in for 3661s";
        assert_eq!(health.stuck().as_deref(), Some(why));
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_is_stuck_unless_it_is_the_disk_that_hangs() {
        let disk = TestDisk::new();
        let of = || health(&[], None, disk.store.clone());
        assert_eq!(of().stuck(), None);
        tokio::time::advance(STUCK * 2).await;
        let why = "state has made no progress for 10s";
        assert_eq!(of().stuck().as_deref(), Some(why));
        disk.hang();
        assert_eq!((of().stuck(), of().troubles()), (None, Vec::new()));
        tokio::time::advance(STUCK + Duration::from_secs(1)).await;
        let health = of();
        let trouble = "the disk hangs: a write of the state has taken 6s so far";
        assert_eq!(
            (health.stuck(), health.troubles()),
            (None, vec![trouble.to_owned()])
        );
    }

    #[test]
    fn a_disk_that_fails_is_a_trouble_that_no_new_start_mends() {
        let folder = tempfile::tempdir().expect("folder");
        // The journal cannot be begun.
        std::fs::create_dir(folder.path().join("journal.new")).expect("made");
        let (state, _writer) = Store::open(folder.path()).expect("opened");
        let health = health(&[], None, state);
        assert_eq!(health.stuck(), None);
        assert_eq!(health.troubles(), ["the state cannot be written to disk"]);
    }
}
