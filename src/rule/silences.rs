//! The silences that operators ordered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{error, info};

use crate::model::{Silence, SilenceOrder, SilenceRefusal, SilenceStart};
use crate::store::{Entry, Store};

/// How many may be known, those that ended lately included.
const MAX_SILENCES: usize = 1000;

/// For how long one that has ended is still shown, in seconds.
const SHOWN: f64 = 24.0 * 3600.0;

impl Entry for Silence {
    const TABLE: &'static str = "silences";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// The silences, for all who read and order them. Its clones are the same.
#[derive(Clone, Debug)]
pub struct Silences {
    known: Arc<Mutex<Vec<Silence>>>,
    store: Store,
}

impl Silences {
    /// Those that the store has kept.
    pub fn kept_in(store: &Store) -> Self {
        let found = store.entries::<Silence>();
        if let Some((id, why)) = found.unreadable.first() {
            let entries = found.unreadable.len();
            error!(
                entries,
                id, why, "silences of another version cannot be read, and do not hold"
            );
        }
        Self {
            known: Arc::new(Mutex::new(found.entries)),
            store: store.clone(),
        }
    }

    /// All that hold, and those that ended in the last day, by when they began.
    pub fn all(&self) -> Vec<Silence> {
        let mut all = self.lock().clone();
        let key = |silence: &Silence| silence.start_timestamp_seconds;
        all.sort_by(|a, b| key(a).total_cmp(&key(b)).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Those that hold at this moment.
    pub fn holding(&self, moment: f64) -> Vec<Silence> {
        let known = self.lock();
        let holding = known.iter().filter(|silence| silence.holds(moment));
        holding.cloned().collect()
    }

    /// Carries out an order at this moment, in seconds since 1970. An order that is repeated changes
    /// nothing, and is answered as the first time.
    pub fn order(&self, order: &SilenceOrder, moment: f64) -> Result<Silence, SilenceRefusal> {
        let mut known = self.lock();
        self.forget(&mut known, moment);
        match order {
            SilenceOrder::Start(start) => self.start(&mut known, start, moment),
            SilenceOrder::End(id) => self.end(&mut known, id, moment),
        }
    }

    fn start(
        &self,
        known: &mut Vec<Silence>,
        order: &SilenceStart,
        moment: f64,
    ) -> Result<Silence, SilenceRefusal> {
        fits(order)?;
        if let Some(same) = known.iter().find(|silence| silence.id == order.id) {
            let repeated = same.matches == order.matches && same.holds(moment);
            return repeated.then(|| same.clone()).ok_or(SilenceRefusal::Taken);
        }
        if known.len() >= MAX_SILENCES {
            return Err(SilenceRefusal::TooMany(known.len()));
        }
        let silence = Silence {
            id: order.id.clone(),
            matches: order.matches.clone(),
            note: order.note.clone(),
            start_timestamp_seconds: moment,
            end_timestamp_seconds: moment + order.for_seconds,
        };
        info!(id = silence.id, matches = ?silence.matches, seconds = order.for_seconds, "silence");
        self.keep(&silence);
        known.push(silence.clone());
        Ok(silence)
    }

    fn end(&self, known: &mut [Silence], id: &str, moment: f64) -> Result<Silence, SilenceRefusal> {
        let found = known.iter_mut().find(|silence| silence.id == *id);
        let silence = found.ok_or(SilenceRefusal::None)?;
        // Also where the clock was set back since it began: it would hold once it is later again.
        if moment < silence.end_timestamp_seconds {
            silence.end_timestamp_seconds = moment;
            info!(id, "silence ended");
            self.keep(silence);
        }
        Ok(silence.clone())
    }

    /// Lets go of those that ended long ago.
    fn forget(&self, known: &mut Vec<Silence>, moment: f64) {
        known.retain(|silence| {
            let stays = moment < silence.end_timestamp_seconds + SHOWN;
            if !stays && let Err(error) = self.store.remove::<Silence>(&silence.id) {
                error!(id = silence.id, %error, "a silence that ended is not forgotten on disk");
            }
            stays
        });
    }

    fn keep(&self, silence: &Silence) {
        if let Err(error) = self.store.put(silence) {
            error!(id = silence.id, %error, "a silence is kept in memory only");
        }
    }

    /// Nothing is left half done by a panic while the lock was held: it is held for steps that
    /// cannot.
    fn lock(&self) -> MutexGuard<'_, Vec<Silence>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an order is one that can be carried out.
fn fits(order: &SilenceStart) -> Result<(), SilenceRefusal> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let why =
        if order.id.is_empty() || order.id.len() > Silence::MAX_ID || !order.id.chars().all(word) {
            "an id is 1 to 64 letters, digits, `.`, `_` or `-`"
        } else if order.matches.is_empty() || order.matches.len() > Silence::MAX_LABELS {
            "a silence names 1 to 16 labels"
        } else if order
            .note
            .as_deref()
            .is_some_and(|note| note.len() > Silence::MAX_NOTE || note.contains(char::is_control))
        {
            "a note is one line of at most 256 bytes"
        } else if !(order.for_seconds > 0.0 && order.for_seconds <= Silence::MAX_SECONDS) {
            "a silence lasts up to 30 days"
        } else {
            return Ok(());
        };
    Err(SilenceRefusal::Bad(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(id: &str, for_seconds: f64) -> SilenceOrder {
        SilenceOrder::Start(SilenceStart {
            id: id.to_owned(),
            matches: [("group".into(), "shop".into())].into(),
            note: None,
            for_seconds,
        })
    }

    #[test]
    fn a_silence_can_be_ended_by_a_clock_that_was_set_back_before_its_start() {
        let silences = Silences::kept_in(&Store::in_memory());
        silences.order(&start("x", 60.0), 100.0).expect("ordered");
        let end = SilenceOrder::End("x".to_owned());
        silences.order(&end, 95.0).expect("ended");
        assert_eq!(silences.holding(110.0), []);
        let again = silences.order(&end, 96.0).expect("as it was");
        assert!((again.end_timestamp_seconds - 95.0).abs() < 1e-9);
    }

    #[test]
    fn a_silence_holds_until_it_ends_also_over_a_restart() {
        let store = Store::in_memory();
        let silences = Silences::kept_in(&store);
        let first = silences.order(&start("a", 60.0), 1000.0).expect("ordered");
        assert_eq!(silences.order(&start("a", 60.0), 1001.0), Ok(first));
        assert_eq!(Silences::kept_in(&store).holding(1059.0).len(), 1);
        assert_eq!(silences.holding(1060.0), []);
        assert_eq!(silences.holding(999.0), []);
        let ended = silences.order(&SilenceOrder::End("a".to_owned()), 1010.0);
        assert_eq!(
            ended.map(|silence| silence.end_timestamp_seconds),
            Ok(1010.0)
        );
        assert_eq!(Silences::kept_in(&store).holding(1011.0), []);
        // It is shown for a day, and its id is not to be had.
        let taken = Err(SilenceRefusal::Taken);
        assert_eq!(silences.order(&start("a", 60.0), 1020.0), taken);
        assert!(silences.order(&start("a", 60.0), 1010.0 + SHOWN).is_ok());
        assert_eq!(silences.all().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let silences = Silences::kept_in(&Store::in_memory());
        for seconds in [
            0.0,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            Silence::MAX_SECONDS + 1.0,
        ] {
            let refused = silences.order(&start("a", seconds), 0.0);
            assert!(matches!(refused, Err(SilenceRefusal::Bad(_))), "{seconds}");
        }
        for id in ["", "a b", &"x".repeat(65)] {
            assert!(silences.order(&start(id, 1.0), 0.0).is_err(), "{id}");
        }
        let everything = SilenceStart {
            id: "a".to_owned(),
            matches: crate::model::Labels::new(),
            note: None,
            for_seconds: 1.0,
        };
        assert!(
            silences
                .order(&SilenceOrder::Start(everything), 0.0)
                .is_err()
        );
        let none = Err(SilenceRefusal::None);
        assert_eq!(
            silences.order(&SilenceOrder::End("b".to_owned()), 0.0),
            none
        );
        for n in 0..MAX_SILENCES {
            assert!(silences.order(&start(&n.to_string(), 1.0), 0.0).is_ok());
        }
        let full = Err(SilenceRefusal::TooMany(MAX_SILENCES));
        assert_eq!(silences.order(&start("more", 1.0), 0.0), full);
        assert!(silences.order(&start("more", 1.0), SHOWN + 1.0).is_ok());
    }
}
