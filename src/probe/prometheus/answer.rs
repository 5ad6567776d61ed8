//! What the API answers to an instant query.

use serde::Deserialize;

use crate::model::{Failure, NoValue, Reason};
use crate::net::http::Answer;
use crate::probe::api::expect_ok;

/// What a query came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found {
    /// A number that is of no series.
    Number(f64),
    /// The only sample.
    Sample {
        /// When the query was evaluated, in seconds since 1970 by the server's clock.
        at: f64,
        value: f64,
    },
    /// Nothing that could be used.
    Nothing(NoValue),
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Said {
    Success {
        data: Data,
    },
    Error {
        #[serde(default, rename = "errorType")]
        kind: String,
        #[serde(default)]
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar(Point),
}

/// Without a value if it is a histogram.
#[derive(Deserialize)]
struct Sample {
    value: Option<Point>,
}

/// When, and how much.
#[derive(Deserialize)]
struct Point(f64, String);

impl Point {
    fn number(&self) -> Result<f64, Failure> {
        let Self(_, text) = self;
        text.parse()
            .map_err(|_| strange(format_args!("`{text}` is not a number")))
    }
}

/// Reads an answer. That the query is wrong is told with a status of its own and a body that says
/// why.
pub(super) fn found(answer: &Answer) -> Result<Found, Failure> {
    let said = serde_json::from_slice(&answer.body);
    if let Ok(Said::Error { kind, error }) = &said {
        return Err(Failure::new(
            Reason::Query,
            format_args!("the query: {kind}: {error}"),
        ));
    }
    expect_ok(answer)?;
    match said {
        Ok(Said::Success { data }) => number(&data),
        Ok(Said::Error { .. }) => Err(strange("an error")),
        Err(why) => Err(strange(why)),
    }
}

fn number(data: &Data) -> Result<Found, Failure> {
    let samples = match data {
        Data::Scalar(point) => return Ok(Found::Number(point.number()?)),
        Data::Vector(samples) => samples,
    };
    Ok(match samples.as_slice() {
        [] => Found::Nothing(NoValue::Empty),
        [Sample { value: Some(point) }] => Found::Sample {
            at: point.0,
            value: point.number()?,
        },
        [_] => Found::Nothing(NoValue::NotANumber),
        _ => Found::Nothing(NoValue::Many),
    })
}

fn strange(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Reason::Answer,
        format_args!("the answer is not that of an instant query with a number: {why}"),
    )
}
