//! What Grafana puts in the place of variables.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::{Captures, Regex};

use super::board::{Board, text};

/// The values of a dashboard's variables by their names, and Grafana's own.
#[derive(Clone)]
pub(super) struct Values(BTreeMap<String, String>);

impl Values {
    /// Those that Grafana sets itself, for a range of time and a distance of the points in it.
    pub(super) fn of_range(range: Duration, step: Duration, scrape: Duration) -> Self {
        let rate = (step + scrape).max(4 * scrape);
        let ms = |duration: Duration| duration.as_millis().to_string();
        let own = [
            ("__rate_interval", ms(rate) + "ms"),
            ("__interval", ms(step) + "ms"),
            ("__interval_ms", ms(step)),
            ("__range", range.as_secs().to_string() + "s"),
            ("__range_s", range.as_secs().to_string()),
            ("__range_ms", ms(range)),
        ];
        Self(own.map(|(name, value)| (name.to_owned(), value)).into())
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text with every variable replaced by its value. The error names one that there is not.
    pub(super) fn put_into(&self, template: &str) -> Result<String, String> {
        let mut unknown = None;
        let whole = variable().replace_all(template, |found: &Captures<'_>| {
            let name = name_of(found);
            let value = self.0.get(name);
            if value.is_none() {
                unknown = Some(format!("no variable {name}"));
            }
            value.cloned().unwrap_or_default()
        });
        match unknown {
            Some(error) => Err(error),
            None => Ok(whole.into_owned()),
        }
    }
}

/// `$name`, `${name}`, `${name:format}` and `${name.path}`.
fn variable() -> Regex {
    Regex::new(r"\$(?:\{(\w+)(?:[:.\[][^}]*)?\}|([A-Za-z_]\w*))").expect("an expression")
}

fn name_of<'a>(found: &Captures<'a>) -> &'a str {
    let name = found.get(1).or_else(|| found.get(2));
    name.expect("one of the two").as_str()
}

/// The variables that a text names.
pub(super) fn named(template: &str) -> Vec<String> {
    let found = variable();
    let found = found.captures_iter(template);
    found.map(|found| name_of(&found).to_owned()).collect()
}

/// Values for all variables of a dashboard, of which only the form is right.
pub(super) fn any_values(board: &Board) -> Values {
    let minute = Duration::from_mins(1);
    let mut values = Values::of_range(60 * minute, minute, minute);
    for variable in board.variables() {
        let all = text(&variable.json["allValue"]);
        let value = if all.is_empty() { "any" } else { all };
        values.set(variable.name(), value);
    }
    values
}

mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_variable_is_replaced() {
        let second = Duration::from_secs(1);
        let mut values = Values::of_range(300 * second, 3 * second / 2, second);
        values.set("job", ".+");
        let template = "rate(a{job=~\"$job\",b=\"${job:regex}\"}[$__rate_interval]) > ${__range_s} + x[$__interval]";
        let expected = "rate(a{job=~\".+\",b=\".+\"}[4000ms]) > 300 + x[1500ms]";
        assert_eq!(values.put_into(template).as_deref(), Ok(expected));
        assert_eq!(values.put_into("$jobs"), Err("no variable jobs".into()));
        assert_eq!(
            named("$a ${b:raw} ${c} $__range"),
            ["a", "b", "c", "__range"]
        );
    }
}
