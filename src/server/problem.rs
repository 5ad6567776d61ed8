//! What programs are told where there is no answer: problem details, as RFC 9457 has them.
//!
//! What was asked is never repeated: anyone may have written it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Declares the kinds with what names each, its status and its title, once.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong. The set is closed, and docs/api.md has a section for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What names it for programs.
            const fn uri(self) -> &'static str {
                match self { $(Self::$name => concat!("/problems/", $slug),)* }
            }

            /// The status of the answer.
            pub(super) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What it is, in the same words whenever it comes up.
            const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The path is none of this API's.
    NoSuchRoute = "no-such-route", NOT_FOUND, "There is no such route";
    /// The path is, and the method is not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The route has no such method";
    /// A group that is not in the configuration.
    NoSuchGroup = "no-such-group", NOT_FOUND, "There is no such group";
    /// A region that is no standby of the group.
    NoSuchStandby = "no-such-standby", NOT_FOUND, "The group has no such standby";
    /// A probe that is not run from here.
    NoSuchProbe = "no-such-probe", NOT_FOUND, "There is no such probe";
    /// A target that the probe does not have.
    NoSuchTarget = "no-such-target", NOT_FOUND, "The probe has no such target";
    /// A region that is not in the configuration.
    NoSuchRegion = "no-such-region", NOT_FOUND, "There is no such region";
    /// A silence that nobody ordered, or that ended long ago.
    NoSuchSilence = "no-such-silence", NOT_FOUND, "There is no such silence";
    /// The parameters after the path are not those of the route.
    BadQuery = "bad-query", BAD_REQUEST, "The question cannot be read";
    /// The order cannot be read, or orders what cannot be.
    BadOrder = "bad-order", BAD_REQUEST, "The order is not one that can be carried out";
    /// Whoever asks may not give orders, or not in that way.
    OrderNotAllowed = "order-not-allowed", FORBIDDEN, "The order is not allowed";
    /// The order says that it is something else than JSON.
    WrongContentType = "wrong-content-type", UNSUPPORTED_MEDIA_TYPE, "The content is of another type";
    /// The order is larger than any is.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The content is too large";
    /// The order is a good one, and comes at the wrong time.
    NotNow = "not-now", CONFLICT, "The order cannot be carried out now";
    /// The configuration that was read is not taken.
    BadConfiguration = "bad-configuration", UNPROCESSABLE_ENTITY, "The configuration is not good";
    /// The daemon ends.
    Ending = "ending", SERVICE_UNAVAILABLE, "The daemon ends";
    /// It takes longer than whoever asks may wait, and goes on.
    NotDoneYet = "not-done-yet", GATEWAY_TIMEOUT, "It is not done yet";
    /// A mistake of this program.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The answer could not be made";
    /// Users are set up, and whoever asks is none of them.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A user and a password are needed";
    /// More requests came than may.
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS, "There are too many requests";
    /// More passwords were wrong than may be.
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, "There were too many attempts";
    /// The body came in pieces of which nobody knows how many follow.
    LengthRequired = "length-required", LENGTH_REQUIRED, "A body comes whole, with its length";
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    detail: Cow<'static, str>,
    known: Option<Vec<Arc<str>>>,
}

impl Problem {
    /// A problem, with what makes it this one.
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            known: None,
        }
    }

    /// With what could have been asked for.
    pub(super) fn known(self, known: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            known: Some(known.into_iter().collect()),
            ..self
        }
    }

    /// The same for people: a line of text.
    pub(super) fn text(&self) -> Response {
        let known = self.known.as_deref().unwrap_or_default().join(", ");
        let text = match &*known {
            "" => format!("{}\n", self.detail),
            known => format!("{}; there are: {known}\n", self.detail),
        };
        (self.kind.status(), text).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Details<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            known: Option<&'a [Arc<str>]>,
        }
        let status = self.kind.status();
        let details = Details {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            known: self.known.as_deref(),
        };
        let head = [(CONTENT_TYPE, "application/problem+json")];
        match serde_json::to_vec(&details) {
            Ok(body) => (status, head, Body::from(body)).into_response(),
            // Text is always JSON.
            Err(error) => (status, error.to_string()).into_response(),
        }
    }
}

/// Whether programs ask there, which are told of problems in their own way.
pub(super) fn is_api(path: &Uri) -> bool {
    let below = path.path().strip_prefix("/api");
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer where there is nothing.
pub(super) async fn no_such_route(path: Uri) -> Response {
    if is_api(&path) {
        return Problem::new(Kind::NoSuchRoute, "see /api/v1/openapi.yaml").into_response();
    }
    (StatusCode::NOT_FOUND, "there is no such page; see /\n").into_response()
}

/// The answer where there is something for other methods, which the header `Allow` names.
pub(super) async fn method_not_allowed(path: Uri) -> Response {
    if is_api(&path) {
        return Problem::new(Kind::MethodNotAllowed, "see the header Allow").into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, "see the header Allow\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_section_of_its_own_with_its_status_and_title() {
        let page = include_str!("../../docs/api.md");
        for kind in Kind::ALL {
            let slug = kind.uri().strip_prefix("/problems/").expect("a path");
            let words = format!("{}: {}.", kind.status().as_u16(), kind.title());
            let section = format!("\n### {slug}\n\n{words}");
            assert_eq!(page.matches(&section).count(), 1, "docs/api.md: {section}");
            let described = format!("\n            - {}\n", kind.uri());
            let file = include_str!("../../docs/openapi.yaml");
            assert_eq!(file.matches(&described).count(), 1, "{described}");
        }
        let sections = page.split("\n## Problems\n").nth(1).expect("a chapter");
        let sections = sections.split("\n## ").next().expect("its text");
        assert_eq!(sections.matches("\n### ").count(), Kind::ALL.len());
    }

    #[test]
    fn the_api_is_below_its_path_and_nowhere_else() {
        for (path, expected) in [
            ("/api", true),
            ("/api/", true),
            ("/api/v1/x", true),
            ("/apis", false),
            ("/", false),
            ("/ready/api/v1", false),
        ] {
            assert_eq!(is_api(&path.parse().expect("a path")), expected, "{path}");
        }
    }
}
