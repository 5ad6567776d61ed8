//! Asks the sources again and again, and keeps their last good answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{Answer, Asker, Discovered, Found, Source, SourceId};
use crate::model::timestamp_seconds;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the first one may: the daemon waits for it.
const FIRST: Duration = Duration::from_secs(5);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// After a bad answer, the next one is not waited for longer.
const AGAIN: Duration = Duration::from_mins(1);

/// Which sources are asked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those that need no network.
    Files,
}

/// All sources, with their last good answers.
///
/// ```text
/// first() ─> discovered() ─> (changed() ─> discovered())*
/// ```
#[derive(Debug, Default)]
pub struct Discovery {
    sources: Vec<Followed>,
    figures: Figures,
    /// What [`Self::changed`] compares with.
    told: Discovered,
}

#[derive(Debug)]
struct Followed {
    source: Source,
    /// The last good answer.
    last: Option<Arc<[Found]>>,
    /// When it is asked next.
    next: Instant,
    good: bool,
    place: usize,
    figures: Figures,
}

/// What is told of the sources, in their order; may be read while they are asked.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Mutex<Vec<SourceFigures>>>);

/// What is told of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceFigures {
    /// Which one.
    pub id: SourceId,
    /// Targets in the last good answer.
    pub targets: usize,
    /// Bad answers.
    pub failures: u64,
    /// Whether the last answer was good.
    pub good: bool,
    /// When the last good answer came, in seconds since 1970.
    pub last_good_timestamp_seconds: Option<f64>,
    /// What is wrong with the last answer, if anything.
    pub fault: Option<String>,
}

impl Figures {
    /// Those of every source.
    pub fn all(&self) -> Vec<SourceFigures> {
        self.lock().clone()
    }

    /// The first source that has never given a good answer.
    pub fn unanswered(&self) -> Option<SourceId> {
        let all = self.lock();
        let mut none = all
            .iter()
            .filter(|of| of.last_good_timestamp_seconds.is_none());
        none.next().map(|of| of.id.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SourceFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Discovery {
    /// Sources that have not been asked yet.
    pub fn new(sources: Vec<Source>) -> Self {
        let mut discovery = Self::default();
        discovery.replace(sources);
        discovery
    }

    /// Takes these sources instead, as another configuration has them. Of one that is the same, what is
    /// known stays; the others are asked by the next [`Self::first`] or [`Self::changed`].
    pub fn replace(&mut self, sources: Vec<Source>) {
        let mut all = self.figures.lock();
        let mut before: Vec<_> = self.sources.drain(..).zip(all.drain(..)).collect();
        for (place, source) in sources.into_iter().enumerate() {
            let same = |(of, _): &(Followed, SourceFigures)| of.source.is_as(&source);
            let id = source.id.clone();
            let (mut followed, figures) = match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => (
                    Followed::new(source, self.figures.clone()),
                    SourceFigures::default(),
                ),
            };
            followed.source.id = id;
            followed.place = place;
            all.push(SourceFigures {
                id: followed.source.id.clone(),
                ..figures
            });
            self.sources.push(followed);
        }
    }

    /// Whether there is no source.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What is told of the sources, from now on.
    pub fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Asks the sources that have not answered yet, all at once and each for a few seconds at most.
    pub async fn first(&mut self, which: Which) {
        let asked = self.sources.iter_mut().filter(|of| match which {
            Which::All => of.last.is_none(),
            Which::Files => of.last.is_none() && matches!(of.source.asker, Asker::File(_)),
        });
        join_all(asked.map(|of| of.ask(FIRST))).await;
        self.told = self.discovered();
    }

    /// The last good answers.
    pub fn discovered(&self) -> Discovered {
        let sources = self.sources.iter();
        let answers =
            sources.filter_map(|of| Some((of.source.id.clone(), Arc::clone(of.last.as_ref()?))));
        answers.collect()
    }

    /// Waits until what is discovered is another than it was at the end of the last such wait, or of
    /// [`Self::first`]; forever where there is no source. Nothing is lost if it is dropped.
    pub async fn changed(&mut self) {
        loop {
            let now = self.discovered();
            if now != self.told {
                self.told = now;
                return;
            }
            let Some(next) = self.sources.iter().map(|of| of.next).min() else {
                return std::future::pending().await;
            };
            sleep_until(next).await;
            let now = Instant::now();
            let due = self.sources.iter_mut().filter(|of| of.next <= now);
            join_all(due.map(|of| of.ask(PATIENCE))).await;
        }
    }
}

impl Followed {
    fn new(source: Source, figures: Figures) -> Self {
        Self {
            source,
            last: None,
            next: Instant::now(),
            good: true,
            place: 0,
            figures,
        }
    }

    async fn ask(&mut self, patience: Duration) {
        let answer = self.source.ask(patience).await;
        self.next = Instant::now() + self.source.pause(answer.faults.is_empty());
        self.tell(&answer);
        if let Some(targets) = answer.targets {
            self.last = Some(targets);
        }
    }

    /// Brings the answer to the log and the figures.
    fn tell(&mut self, answer: &Answer) {
        let id = &self.source.id;
        let good = answer.faults.is_empty();
        let fault = (!good).then(|| answer.faults.join("; "));
        match &fault {
            Some(fault) if self.good => {
                warn!(source = %id, error = %fault, "targets cannot be discovered: those known before stay");
            }
            None if !self.good => info!(source = %id, "targets are discovered again"),
            _ => {}
        }
        self.good = good;
        let mut all = self.figures.lock();
        let Some(figures) = all.get_mut(self.place) else {
            return;
        };
        if let Some(targets) = &answer.targets {
            figures.targets = targets.len();
        }
        if good {
            let now = timestamp_seconds(SystemTime::now());
            figures.last_good_timestamp_seconds = Some(now);
        } else if answer.read || figures.fault != fault {
            figures.failures += 1;
        }
        figures.good = good;
        figures.fault = fault;
    }
}

impl Source {
    async fn ask(&mut self, patience: Duration) -> Answer {
        match &mut self.asker {
            Asker::File(lists) => lists.look(),
            Asker::Http(list) => list.ask(patience).await,
            Asker::Dns(services) => services.ask(patience).await,
        }
    }

    /// How long until it is asked again.
    fn pause(&self, good: bool) -> Duration {
        let interval = match &self.asker {
            Asker::File(_) => LOOK,
            Asker::Http(list) => list.interval,
            Asker::Dns(services) => services.interval,
        };
        if good { interval } else { interval.min(AGAIN) }
    }
}

impl Answer {
    /// None, and why.
    pub(super) fn fault(why: String) -> Self {
        Self {
            targets: None,
            faults: vec![why],
            read: true,
        }
    }
}
