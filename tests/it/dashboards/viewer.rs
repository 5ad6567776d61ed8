//! Somebody who looks at the dashboards: the questions that Grafana asks Prometheus.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::board::{Board, Variable, list, text};
use super::interpolate::Values;
use super::names::label_values;
use crate::prometheus::{Prometheus, encoded};

/// How far back the viewer looks.
const RANGE: Duration = Duration::from_mins(1);

/// How often the daemons are scraped here, and how far the points of a panel are apart.
const SCRAPE: Duration = Duration::from_secs(1);

pub(super) struct Viewer<'a> {
    pub(super) prometheus: &'a Prometheus,
}

/// One series of an answer, with its last value.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
    /// Whether any of its values is a number.
    pub(super) is_known: bool,
}

impl Sample {
    fn read(json: &Value) -> Self {
        let labels = json["metric"].as_object().into_iter().flatten();
        let points = match &json["values"] {
            Value::Null => vec![&json["value"]],
            points => list(points).iter().collect(),
        };
        let number = |point: &Value| text(&point[1]).parse::<f64>().expect("a number");
        Self {
            labels: labels
                .map(|(name, value)| (name.clone(), text(value).to_owned()))
                .collect(),
            value: points.last().map_or(f64::NAN, |point| number(point)),
            is_known: points.iter().any(|point| !number(point).is_nan()),
        }
    }
}

impl Viewer<'_> {
    /// What the variables of a dashboard come to: of one that has one value at a time, each in turn.
    /// The error names a variable that has none.
    pub(super) fn views(&self, board: &Board) -> Result<Vec<Values>, String> {
        let mut views = vec![Values::of_range(RANGE, SCRAPE, SCRAPE)];
        for variable in board.variables() {
            let mut next = Vec::new();
            for values in &views {
                for choice in self.choices(variable, values)? {
                    let mut values = values.clone();
                    values.set(variable.name(), choice);
                    next.push(values);
                }
            }
            views = next;
        }
        Ok(views)
    }

    /// The first of these.
    pub(super) fn first_view(&self, board: &Board) -> Result<Values, String> {
        let mut values = Values::of_range(RANGE, SCRAPE, SCRAPE);
        for variable in board.variables() {
            let choices = self.choices(variable, &values)?;
            values.set(variable.name(), choices[0].as_str());
        }
        Ok(values)
    }

    fn choices(&self, variable: Variable<'_>, values: &Values) -> Result<Vec<String>, String> {
        if !variable.is_query() {
            let current = &variable.json["current"]["value"];
            return Ok(vec![current.as_str().unwrap_or("prometheus").to_owned()]);
        }
        let name = variable.name();
        let (selector, label) = label_values(variable.query()).ok_or_else(|| name.to_owned())?;
        let selector = values.put_into(selector)?;
        let (start, end) = around_now();
        let answer = self.prometheus.ask(&format!(
            "/api/v1/label/{label}/values?match[]={}&start={start}&end={end}",
            encoded(&selector)
        ));
        let found: Vec<_> = list(&answer["data"])
            .iter()
            .map(|value| text(value).to_owned())
            .collect();
        if found.is_empty() {
            return Err(format!("{name} has no value: {selector}"));
        }
        if variable.is_multi() {
            let all = text(&variable.json["allValue"]);
            let every = || format!("({})", found.join("|"));
            return Ok(vec![if all.is_empty() {
                every()
            } else {
                all.to_owned()
            }]);
        }
        Ok(found)
    }

    /// What a query comes to, now or over time.
    pub(super) fn run(
        &self,
        expr: &str,
        is_instant: bool,
        values: &Values,
    ) -> Result<Vec<Sample>, String> {
        let expr = values.put_into(expr)?;
        Ok(if is_instant {
            self.now(&expr)
        } else {
            self.over_time(&expr)
        })
    }

    /// What it comes to now.
    pub(super) fn now(&self, expr: &str) -> Vec<Sample> {
        self.ask(&format!("query?query={}", encoded(expr)))
    }

    pub(super) fn over_time(&self, expr: &str) -> Vec<Sample> {
        let (start, end) = around_now();
        let step = SCRAPE.as_secs_f64();
        self.ask(&format!(
            "query_range?start={start}&end={end}&step={step}&query={}",
            encoded(expr)
        ))
    }

    fn ask(&self, question: &str) -> Vec<Sample> {
        let answer = self.prometheus.ask(&format!("/api/v1/{question}"));
        let data = &answer["data"];
        if data["resultType"] == "scalar" {
            return vec![Sample::read(
                &serde_json::json!({ "value": data["result"] }),
            )];
        }
        list(&data["result"]).iter().map(Sample::read).collect()
    }
}

/// The range that is looked at, in seconds since 1970.
fn around_now() -> (f64, f64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs_f64();
    (now - RANGE.as_secs_f64(), now)
}
