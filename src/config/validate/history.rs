//! How much of the past is kept.

use std::time::Duration;

use ::config::{Map, Value};

use super::super::place::Path;
use super::super::schema;
use super::Check;
use crate::model::duration::display;
use crate::model::{HistoryTerms, size};

const LONGEST: Duration = Duration::from_hours(30 * 24);
/// A tenth of a step is kept too, in whole seconds.
const SHORTEST_STEP: Duration = Duration::from_secs(10);
const LONGEST_STEP: Duration = Duration::from_hours(1);
const SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=4 << 30;

impl Check<'_> {
    pub(in super::super) fn history(&mut self, settings: &Map<String, Value>) -> HistoryTerms {
        let (element, read): (_, schema::History) = self.section(settings, "history");
        let usual = HistoryTerms::default();
        let mut terms = HistoryTerms {
            keep: read.keep.unwrap_or(usual.keep),
            step: read.step.unwrap_or(usual.step),
            ..usual
        };
        let step = Path::root("step");
        if !(SHORTEST_STEP..=LONGEST_STEP).contains(&terms.step) {
            let (least, most) = (display(SHORTEST_STEP), display(LONGEST_STEP));
            self.add(&element, &step, format!("must be from {least} to {most}"));
            terms.step = usual.step;
        } else if !terms
            .step
            .as_nanos()
            .is_multiple_of(SHORTEST_STEP.as_nanos())
        {
            self.add(&element, &step, "must be a multiple of 10s");
        }
        let most = display(LONGEST);
        if !terms.keep.is_zero() && !(terms.step..=LONGEST).contains(&terms.keep) {
            let least = display(terms.step);
            let message = format!("must be from one step ({least}) to {most}, or 0s for none");
            self.add(&element, &Path::root("keep"), message);
        }
        let path = Path::root("size");
        match read.size.as_deref().map(size::parse) {
            None => {}
            Some(Ok(bytes)) if SIZES.contains(&bytes) => terms.size = bytes,
            Some(Ok(_)) => {
                let sizes = [SIZES.start(), SIZES.end()].map(|bytes| size::display(*bytes));
                let message = format!("must be from {} to {}", sizes[0], sizes[1]);
                self.add(&element, &path, message);
            }
            Some(Err(why)) => self.add(&element, &path, why),
        }
        terms
    }
}
