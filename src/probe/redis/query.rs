//! The query of a run: what is asked, and which answer is right.

use super::failure;
use super::reply::{Reply, packed};
use super::settings::Settings;
use crate::model::{Failure, Reason};

/// What a run asks, and which answer is right.
pub(super) struct Query {
    pub(super) question: Vec<u8>,
    expect: Option<String>,
}

impl Query {
    /// The query of the settings; `PING` if there is none.
    pub(super) fn new(settings: &Settings) -> Self {
        let Some(words) = &settings.query else {
            return Self {
                question: packed(&[b"PING"]),
                expect: Some("PONG".to_owned()),
            };
        };
        let words: Vec<_> = words.iter().map(String::as_bytes).collect();
        Self {
            question: packed(&words),
            expect: settings.expect.clone(),
        }
    }

    /// Whether an answer can be wrong.
    pub(super) fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// Whether the answer is as expected.
    pub(super) fn judge(&self, answer: &Reply) -> Result<(), Failure> {
        if let Reply::Error(error) = answer {
            return Err(failure::of_query(error));
        }
        let Some(expected) = &self.expect else {
            return Ok(());
        };
        let was = match answer {
            Reply::Text(text) if text == expected.as_bytes() => return Ok(()),
            Reply::Integer(number) if number.to_string() == *expected => return Ok(()),
            Reply::Text(text) => format!("it was `{}`", text.escape_ascii()),
            Reply::Integer(number) => format!("it was {number}"),
            Reply::List => "it was a list".to_owned(),
            _ => "there was no value".to_owned(),
        };
        let why = format_args!("expected `{expected}`, {was}");
        Err(Failure::new(Reason::Answer, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_text_is_right() {
        let query = |expect: &str| Query {
            question: Vec::new(),
            expect: Some(expect.to_owned()),
        };
        let text = Reply::Text("42".into());
        assert_eq!(query("42").judge(&text), Ok(()));
        assert_eq!(query("42").judge(&Reply::Integer(42)), Ok(()));
        let wrong = Reply::Text("\u{fffd}".into());
        for wrong in [wrong, Reply::Integer(-42), Reply::Nil, Reply::List] {
            let failure = query("42").judge(&wrong).expect_err("wrong");
            assert_eq!(failure.reason, Reason::Answer, "{wrong:?}");
        }
    }
}
