//! What an entry of a group's `checks` says: the tuning of a check that comes by itself.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::checks::{DefaultCheck, count};
use super::super::load::Element;
use super::super::place::Path;
use super::super::schema;
use super::Check;
use crate::model::duration::display;
use crate::model::{Beyond, Bound, CheckKind, GateKind, PlannedCheck, Unit};

/// Answers in a row that `rise` and `fall` may ask for.
const IN_A_ROW: RangeInclusive<i64> = 1..=100;
/// The longest look back.
const MAX_OVER: Duration = Duration::from_hours(24);

/// The shortest time to look back on the runs of a probe. In less there are too few of them to say
/// anything.
pub(super) fn shortest_window(interval: Duration) -> Duration {
    interval.saturating_mul(3)
}

/// What is set of a check that comes by itself. `None`: nothing, or nothing that could be read.
pub(super) struct Tuning {
    pub(super) element: Element,
    pub(super) gate: Option<GateKind>,
    /// On which side, and from when on, values are bad.
    pub(super) limit: Option<(Beyond, f64)>,
    rise: Option<NonZeroU32>,
    fall: Option<NonZeroU32>,
    warn: Option<f64>,
    quantile: Option<f64>,
    over: Option<Duration>,
}

impl From<schema::Gate> for GateKind {
    fn from(gate: schema::Gate) -> Self {
        match gate {
            schema::Gate::Hard => Self::Hard,
            schema::Gate::Scored => Self::Scored,
            schema::Gate::Off => Self::Off,
        }
    }
}

impl Check<'_> {
    /// `interval` is that of the probe that the check is of.
    pub(super) fn tuned(
        &mut self,
        element: Element,
        read: &schema::GroupCheck,
        default: &DefaultCheck,
        interval: Option<Duration>,
    ) -> Tuning {
        let (quantile, over) = self.window(&element, read, &default.kind, interval);
        let (limit, warn) = match default.bound {
            None => {
                self.no_threshold(&element, default.name);
                (None, None)
            }
            Some(bound) => {
                let unit = bound.unit;
                let beyond = self.side(&element, default.name, bound.beyond);
                let limit = beyond.and_then(|beyond| {
                    let text = limit_of(read, beyond);
                    let limit = self.value(&element, beyond.as_str(), text, unit);
                    Some((beyond, limit?))
                });
                let warn = self.value(&element, "warn", read.warn.as_deref(), unit);
                (limit, warn)
            }
        };
        Tuning {
            gate: read.gate.map(Into::into),
            rise: self.in_a_row(&element, "rise", read.rise),
            fall: self.in_a_row(&element, "fall", read.fall),
            limit,
            warn,
            quantile,
            over,
            element,
        }
    }

    /// Lays what is set over a check.
    pub(super) fn apply(&mut self, tuning: &Tuning, check: &mut PlannedCheck) {
        check.gate = tuning.gate.unwrap_or(check.gate);
        check.rise = tuning.rise.unwrap_or(check.rise);
        check.fall = tuning.fall.unwrap_or(check.fall);
        match &mut check.kind {
            CheckKind::Latency { quantile, over } => {
                *quantile = tuning.quantile.unwrap_or(*quantile);
                *over = tuning.over.unwrap_or(*over);
            }
            CheckKind::PacketLoss { over } => *over = tuning.over.unwrap_or(*over),
            // A limit that somebody sets is meant as it is written.
            CheckKind::LossBytes { writes } if tuning.limit.is_some() => *writes = None,
            _ => {}
        }
        if let (Some(bound), Some(warn)) = (&mut check.bound, tuning.warn) {
            self.warns(&tuning.element, bound, warn);
        }
    }

    /// Sets from when on a bound warns.
    fn warns(&mut self, element: &Element, bound: &mut Bound, warn: f64) {
        if !bound.warns_at(warn) {
            let limit = bound.unit.display(bound.limit);
            let side = match bound.beyond {
                Beyond::Above => "below",
                Beyond::Below => "above",
            };
            let message = format!("must be {side} the limit, {limit}");
            self.add(element, &Path::root("warn"), message);
        }
        bound.warn = Some(warn);
    }

    fn in_a_row(
        &mut self,
        element: &Element,
        key: &str,
        number: Option<i64>,
    ) -> Option<NonZeroU32> {
        let number = number?;
        if !IN_A_ROW.contains(&number) {
            let (low, high) = (IN_A_ROW.start(), IN_A_ROW.end());
            let message = format!("must be from {low} to {high}");
            self.add(element, &Path::root(key), message);
        }
        u32::try_from(number).ok().map(count)
    }

    pub(super) fn value(
        &mut self,
        element: &Element,
        key: &str,
        text: Option<&str>,
        unit: Unit,
    ) -> Option<f64> {
        let text = text?;
        let value = unit.parse(text);
        value
            .map_err(|why| self.add(element, &Path::root(key), format!("`{text}`: {why}")))
            .ok()
    }

    fn window(
        &mut self,
        element: &Element,
        read: &schema::GroupCheck,
        kind: &CheckKind,
        interval: Option<Duration>,
    ) -> (Option<f64>, Option<Duration>) {
        let has_over = matches!(
            kind,
            CheckKind::Latency { .. } | CheckKind::PacketLoss { .. }
        );
        let has_quantile = matches!(kind, CheckKind::Latency { .. });
        for (key, has) in [("quantile", has_quantile), ("over", has_over)] {
            if element.has(key) && !has {
                let message = format!("this check has no `{key}`");
                self.add(element, &Path::root(key), message);
            }
        }
        let outside = |quantile: f64| quantile <= 0.0 || quantile >= 1.0;
        if has_quantile && read.quantile.is_some_and(outside) {
            let message = "must be above 0 and below 1";
            self.add(element, &Path::root("quantile"), message);
        }
        let low = interval.map_or(Duration::ZERO, shortest_window);
        let range = low..=MAX_OVER.max(low);
        if has_over && read.over.is_some_and(|over| !range.contains(&over)) {
            let (low, high) = (display(*range.start()), display(*range.end()));
            let message = format!("must be from {low}, three intervals of the probe, to {high}");
            self.add(element, &Path::root("over"), message);
        }
        (read.quantile, read.over)
    }

    fn no_threshold(&mut self, element: &Element, name: &str) {
        for key in ["above", "below", "warn"] {
            if element.has(key) {
                let message = format!("`{name}` is good or bad, and has no limit");
                self.add(element, &Path::root(key), message);
            }
        }
    }

    /// On which side of its limit the check is bad: on the given one, or where the limit is set.
    fn side(&mut self, element: &Element, name: &str, given: Option<Beyond>) -> Option<Beyond> {
        let (above, below) = (element.has("above"), element.has("below"));
        let message = match given {
            Some(Beyond::Above) if below => {
                format!("`{name}` is bad above its limit: write `above`")
            }
            Some(Beyond::Below) if above => {
                format!("`{name}` is bad below its limit: write `below`")
            }
            None if above && below => {
                "both `above` and `below` are set: a check has one limit".to_owned()
            }
            Some(_) => return given,
            None if above => return Some(Beyond::Above),
            None => return below.then_some(Beyond::Below),
        };
        let wrong = if given == Some(Beyond::Below) {
            "above"
        } else {
            "below"
        };
        self.add(element, &Path::root(wrong), message);
        given
    }
}

fn limit_of(read: &schema::GroupCheck, beyond: Beyond) -> Option<&str> {
    match beyond {
        Beyond::Above => read.above.as_deref(),
        Beyond::Below => read.below.as_deref(),
    }
}
