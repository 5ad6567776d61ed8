//! What an entry of a group's `checks` says: the tuning of a check that comes by itself, or a
//! question to a Prometheus server.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::super::checks::{DEFAULTS, DefaultCheck, count};
use super::super::load::Element;
use super::super::place::Path;
use super::super::schema;
use super::Check;
use super::names::valid_name;
use crate::model::duration::display;
use crate::model::{Beyond, Bound, CheckKind, GateKind, PlannedCheck, PrometheusQuery, Unit};

/// Answers in a row that `rise` and `fall` may ask for.
const IN_A_ROW: RangeInclusive<i64> = 1..=100;
/// The longest look back.
const MAX_OVER: Duration = Duration::from_hours(24);
const DEFAULT_MAX_AGE: Duration = Duration::from_mins(5);

/// What is set of a check that comes by itself. `None`: nothing, or nothing that could be read.
pub(super) struct Tuning {
    pub(super) element: Element,
    pub(super) gate: Option<GateKind>,
    pub(super) limit: Option<f64>,
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
        let bound = default.bound.map(|bound| (bound.beyond, bound.unit));
        let (limit, warn) = match bound {
            None => {
                self.no_threshold(&element, default.name);
                (None, None)
            }
            Some((beyond, unit)) => {
                self.wrong_side(&element, default.name, beyond);
                (
                    self.value(&element, beyond.as_str(), limit_of(read, beyond), unit),
                    self.value(&element, "warn", read.warn.as_deref(), unit),
                )
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

    fn value(
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
        let low = interval.unwrap_or(Duration::ZERO);
        let range = low..=MAX_OVER.max(low);
        if has_over && read.over.is_some_and(|over| !range.contains(&over)) {
            let (low, high) = (display(*range.start()), display(*range.end()));
            let message = format!("must be from {low}, the probe's interval, to {high}");
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

    fn wrong_side(&mut self, element: &Element, name: &str, beyond: Beyond) {
        let (right, wrong) = match beyond {
            Beyond::Above => ("above", "below"),
            Beyond::Below => ("below", "above"),
        };
        if element.has(wrong) {
            let message = format!("`{name}` is bad {right} its limit: write `{right}`");
            self.add(element, &Path::root(wrong), message);
        }
    }

    /// A check that asks a Prometheus server. `taken` are the names of those before it.
    pub(super) fn prometheus(
        &mut self,
        element: &Element,
        read: schema::GroupCheck,
        taken: &[Arc<str>],
    ) -> Option<PlannedCheck> {
        let name = self.own_name(element, read.check.as_deref(), taken);
        if element.has("probe") {
            let message = "what a Prometheus server answers is of no probe: leave `probe` out";
            self.add(element, &Path::root("probe"), message);
        }
        for key in ["quantile", "over"] {
            if element.has(key) {
                let message = format!("this check has no `{key}`: the query says it");
                self.add(element, &Path::root(key), message);
            }
        }
        let bound = self.only_bound(element, &read);
        let rise = self.in_a_row(element, "rise", read.rise);
        let fall = self.in_a_row(element, "fall", read.fall);
        let query = self.query(element, read.prometheus?);
        Some(PlannedCheck {
            name: name?,
            probe: "".into(),
            kind: CheckKind::Prometheus(Arc::new(query?)),
            bound: Some(bound?),
            gate: read.gate.map_or(GateKind::Hard, Into::into),
            rise: rise.unwrap_or(count(2)),
            fall: fall.unwrap_or(count(3)),
            parents: &[],
        })
    }

    /// A name that no other check has.
    fn own_name(
        &mut self,
        element: &Element,
        name: Option<&str>,
        taken: &[Arc<str>],
    ) -> Option<Arc<str>> {
        let Some(name) = name else {
            self.missing(element, "check");
            return None;
        };
        let fault = if let Err(why) = valid_name(name) {
            why
        } else if DEFAULTS.iter().any(|default| default.name == name) {
            format!(
                "`{name}` is a check that is not asked of a Prometheus server: choose another name"
            )
        } else if taken.iter().any(|taken| **taken == *name) {
            format!("the check `{name}` is listed twice")
        } else {
            return Some(name.into());
        };
        self.add(element, &Path::root("check"), fault);
        None
    }

    /// The bound of a check that has exactly one of `above` and `below`.
    fn only_bound(&mut self, element: &Element, read: &schema::GroupCheck) -> Option<Bound> {
        let beyond = match (element.has("above"), element.has("below")) {
            (true, false) => Beyond::Above,
            (false, true) => Beyond::Below,
            (both, _) => {
                let message = if both {
                    "both `above` and `below` are set: a check has one limit"
                } else {
                    "the key `above` or `below` is missing"
                };
                self.add(element, &Path::default(), message);
                return None;
            }
        };
        let unit = Unit::Number;
        let limit = self.value(element, beyond.as_str(), limit_of(read, beyond), unit);
        let warn = self.value(element, "warn", read.warn.as_deref(), unit);
        let mut bound = Bound {
            beyond,
            unit,
            limit: limit?,
            warn: None,
        };
        if let Some(warn) = warn {
            self.warns(element, &mut bound, warn);
        }
        Some(bound)
    }

    fn query(&mut self, element: &Element, read: schema::Prometheus) -> Option<PrometheusQuery> {
        let element = &element.inner("prometheus")?;
        for (key, given) in [("url", read.url.is_some()), ("query", read.query.is_some())] {
            if !given {
                self.missing(element, key);
            }
        }
        if let Some(Err(why)) = read.url.as_deref().map(server) {
            self.add(element, &Path::root("url"), why);
        }
        if read
            .query
            .as_deref()
            .is_some_and(|query| query.trim().is_empty())
        {
            self.add(element, &Path::root("query"), "the query is empty");
        }
        if read.max_age.is_some_and(|age| age.is_zero()) {
            self.add(element, &Path::root("max_age"), "must be above 0");
        }
        Some(PrometheusQuery {
            url: read.url?.trim_end_matches('/').into(),
            query: read.query?.into(),
            max_age: read.max_age.unwrap_or(DEFAULT_MAX_AGE),
        })
    }
}

fn limit_of(read: &schema::GroupCheck, beyond: Beyond) -> Option<&str> {
    match beyond {
        Beyond::Above => read.above.as_deref(),
        Beyond::Below => read.below.as_deref(),
    }
}

/// Checks where a Prometheus server is said to be. The error does not repeat it: it may hold a
/// password.
fn server(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|why| format!("no URL: {why}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("is where the server is, without `?` and `#`".to_owned());
    }
    Ok(())
}
