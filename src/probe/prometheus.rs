//! `prometheus`: an instant query to a Prometheus server, or to what speaks its API; the answer is
//! one number.
//!
//! A run asks twice. The first answer is the number, but not how old it is: the time that comes with
//! it is when the query was evaluated. The second question is therefore `timestamp(QUERY)`. Of a
//! selector that is the time of the sample, of any other expression it is that of the evaluation: of
//! those, only how far back the server looks (`lookback_delta`) bounds the age, which Prometheus
//! takes from a client since 2.43.

mod answer;
mod settings;

pub(super) use self::settings::Settings;

use std::sync::Arc;

use http::Uri;
use smallvec::smallvec;

use self::answer::Found;
use super::api::{Api, Base};
use super::{Probe, Run, Template};
use crate::model::{FactSet, Facts, Failure, NoValue, Reason, ReasonSet, Reply, Shape, ValueFacts};
use crate::net::Stopwatch;

/// What the targets of a probe share.
struct Prometheus {
    api: Api,
    query: String,
    /// How old the sample may be, in seconds.
    max_age: f64,
}

struct Target {
    base: Base,
    value: Uri,
    time: Uri,
    prometheus: Arc<Prometheus>,
}

impl Template for Arc<Prometheus> {
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String> {
        let base = self.api.base(address)?;
        let lookback = self.max_age.to_string();
        let ask = |query: &str| {
            let asked = [("query", query), ("lookback_delta", &lookback)];
            base.below("api/v1/query", &asked)
        };
        Ok(Arc::new(Target {
            value: ask(&self.query)?,
            // On lines of its own, because a comment may end it.
            time: ask(&format!("timestamp(\n{}\n)", self.query))?,
            prometheus: Self::clone(self),
            base,
        }))
    }
}

impl Target {
    async fn measure(&self, watch: &mut Stopwatch) -> Result<Reply, Failure> {
        let mut facts = Facts::default();
        match self.value(watch, &mut facts).await {
            Ok(value) => {
                facts.value = Some(value);
                Ok(Reply {
                    latencies: smallvec![watch.laps().total()],
                    facts,
                })
            }
            Err(failure) => Err(failure.with_facts(facts)),
        }
    }

    async fn value(&self, watch: &mut Stopwatch, facts: &mut Facts) -> Result<ValueFacts, Failure> {
        let api = &self.prometheus.api;
        let address = api.resolve(&self.base, watch, facts).await?;
        let answer = api.get(&self.base, &self.value, address, watch, facts);
        let value = match answer::found(&answer.await?)? {
            Found::Number(value) => return Ok(finite(value)),
            Found::Nothing(why) => return Ok(ValueFacts::Unknown(why)),
            Found::Sample { value, .. } => finite(value),
        };
        let answer = api.get(&self.base, &self.time, address, watch, facts);
        Ok(match answer::found(&answer.await?)? {
            Found::Sample { value: time, at } if at - time <= self.prometheus.max_age => value,
            Found::Nothing(why) => ValueFacts::Unknown(why),
            Found::Sample { .. } | Found::Number(_) => ValueFacts::Unknown(NoValue::Old),
        })
    }
}

fn finite(value: f64) -> ValueFacts {
    if value.is_finite() {
        ValueFacts::Known(value)
    } else {
        ValueFacts::Unknown(NoValue::NotANumber)
    }
}

impl Probe for Target {
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a> {
        Box::pin(self.measure(watch))
    }

    fn shape(&self) -> Shape {
        let shape = self.prometheus.api.shape(&self.base);
        Shape {
            reasons: shape.reasons.and(ReasonSet::of(&[Reason::Query])),
            facts: FactSet {
                value: true,
                ..shape.facts
            },
            ..shape
        }
    }
}
