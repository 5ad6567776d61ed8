//! What an answer means.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::redact::Private;
use crate::net::http as exchange;
use crate::notify::{Refusal, RefusalReason};

/// Bytes of the body's first line that are told.
const MAX_LINE: usize = 120;

/// An answer of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The first line of the body, if it has nothing that is private.
    line: String,
    retry_after: Option<Duration>,
    place: String,
}

impl Answer {
    pub(super) fn new(place: String, answer: &exchange::Answer, private: &Private) -> Self {
        let line = first_line(&answer.body);
        Self {
            status: answer.status,
            // The whole of it: what is cut may end within a secret.
            line: if private.is_in(&line) {
                String::new()
            } else {
                line[..line.floor_char_boundary(MAX_LINE)].to_owned()
            },
            retry_after: retry_after(&answer.headers, SystemTime::now().into()),
            place,
        }
    }

    /// The answer for people: `https://hooks.example.com:443: 200 OK: ok`.
    pub(crate) fn text(&self) -> String {
        let Self { status, place, .. } = self;
        match &*self.line {
            "" => format!("{place}: {status}"),
            line => format!("{place}: {status}: {line}"),
        }
    }

    /// The answer if it means that the message was taken.
    pub(crate) fn taken(self) -> Result<Self, Refusal> {
        let reason = match self.status.as_u16() {
            200..=299 => return Ok(self),
            300..=399 => RefusalReason::Redirect,
            401 | 403 | 407 => RefusalReason::Auth,
            429 => RefusalReason::RateLimited,
            408 | 425 | 500.. => RefusalReason::Server,
            _ => RefusalReason::Rejected,
        };
        Err(Refusal {
            retry_after: self.retry_after,
            ..Refusal::new(reason, self.text())
        })
    }
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default().to_owned()
}

/// How long the server asks to wait: a number of seconds, or a date by its own clock.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    let now = moment(headers, &DATE).unwrap_or(now);
    Some((until - now).try_into().unwrap_or_default())
}

fn moment(headers: &HeaderMap, name: &HeaderName) -> Option<OffsetDateTime> {
    let text = headers.get(name)?.to_str().ok()?;
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Credentials, Destination};
    use super::*;
    use crate::model::HttpFacts;
    use crate::net::http::Names;
    use http::HeaderValue;

    fn of(status: u16) -> Result<Answer, Refusal> {
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            line: String::new(),
            retry_after: None,
            place: "http://h:80".to_owned(),
        };
        answer.taken()
    }

    #[test]
    fn a_status_means_the_same_as_to_other_clients() {
        use RefusalReason::{Auth, RateLimited, Redirect, Rejected, Server};
        for status in [200, 201, 202, 204, 299] {
            assert!(of(status).is_ok(), "{status}");
        }
        for (status, reason) in [
            (301, Redirect),
            (308, Redirect),
            (400, Rejected),
            (401, Auth),
            (403, Auth),
            (404, Rejected),
            (407, Auth),
            (408, Server),
            (413, Rejected),
            (425, Server),
            (429, RateLimited),
            (500, Server),
            (503, Server),
            (599, Server),
        ] {
            let refusal = of(status).expect_err("a refusal");
            assert_eq!(refusal.reason, reason, "{status}");
            assert!(
                refusal
                    .detail
                    .starts_with(&format!("http://h:80: {status}"))
            );
        }
    }

    #[test]
    fn a_line_that_is_cut_within_a_secret_tells_no_part_of_it() {
        let url = "https://hooks.example.com/services/hunter2hunter2hunter2";
        let to = Destination::parse(url, &Names::default()).expect("a URL");
        let private = Private::new(&to, &Credentials::default(), None);
        let before = "x".repeat(MAX_LINE - 10);
        let answer = exchange::Answer {
            status: StatusCode::FORBIDDEN,
            headers: HeaderMap::new(),
            body: format!("{before}hunter2hunter2hunter2 is revoked").into(),
            facts: HttpFacts {
                status: 403,
                version: "1.1",
                body_bytes: 0,
                redirects: 0,
            },
        };
        let text = Answer::new("here".to_owned(), &answer, &private).text();
        assert_eq!(text, "here: 403 Forbidden");
    }

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date_of_the_servers_clock() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a moment");
        for (wait, date, expected) in [
            ("0", None, Some(0)),
            (" 120 ", None, Some(120)),
            ("Fri, 15 Jan 2027 08:00:30 GMT", None, Some(30)),
            ("Fri, 15 Jan 2027 07:00:00 GMT", None, Some(0)),
            (
                "Fri, 15 Jan 2027 09:00:30 GMT",
                Some("Fri, 15 Jan 2027 09:00:20 GMT"),
                Some(10),
            ),
            ("-5", None, None),
            ("soon", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{wait}");
        }
    }
}
