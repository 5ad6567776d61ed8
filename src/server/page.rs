//! The pages for people: made here, of templates that escape what they are given, and complete without a
//! script. With one they follow what happens.

mod assets;
mod draw;
mod live;
mod matrix;
mod status;
mod target;
mod targets;
mod words;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequestParts, Path, State as Shown};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, http};
use bytes::Bytes;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use self::status::Status;
use self::target::Target;
use self::targets::{Targets, Wanted};
use super::State;
use crate::metrics::Exposition;
use crate::model::{Objectives, timestamp_seconds};

pub(super) use self::live::Closing;

/// What the pages tell that nobody else asks for.
pub struct Overview {
    /// What each group promises, by its name.
    pub objectives: Box<dyn Fn() -> Vec<(Arc<str>, Objectives)> + Send + Sync>,
}

/// All of a page comes from this server, and there is neither script nor style in it.
const POLICY: http::HeaderValue = http::HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Bytes of what is asked for that are looked at.
const MAX_ASKED: usize = 512;

/// Pages that are kept, each for another probe in its matrix.
const KEPT: usize = 8;

/// Makes the pages.
pub(super) struct Page {
    templates: Environment<'static>,
    style: String,
    script: String,
    places: Arc<Semaphore>,
    /// The last pages. The lock is held while one is made: whoever asks meanwhile waits for that.
    kept: Arc<Mutex<Vec<Arc<Made>>>>,
}

/// A page without what is around it.
struct Made {
    at: Instant,
    asked: Asked,
    /// It changes with what the page says, and not as time goes on.
    version: u64,
    title: String,
    body: Bytes,
}

/// What a page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    /// The probe whose matrix is shown.
    probe: Option<String>,
    /// Which targets are listed.
    targets: Wanted,
    /// Whether only what changes is wanted.
    fragment: bool,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().filter(|query| query.len() <= MAX_ASKED);
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut asked = Self::default();
        for (name, value) in pairs {
            match &*name {
                "probe" => {
                    asked.probe = Some(value.to_string());
                    asked.targets.probe = Some(value.into_owned());
                }
                "region" => asked.targets.region = Some(value.into_owned()),
                "group" => asked.targets.group = Some(value.into_owned()),
                "failing" => asked.targets.failing = true,
                "page" => asked.targets.page = value.parse().unwrap_or(1),
                "fragment" => asked.fragment = true,
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// The routes. The error is a mistake in a template.
pub(super) fn routes() -> Result<Router<Arc<State>>, String> {
    let page = Arc::new(Page::new().map_err(|error| format!("a template: {error:#}"))?);
    Ok(Router::new()
        .route("/", get(status))
        .route("/targets", get(targets))
        .route("/targets/{probe}/{target}", get(target))
        .route("/api/v1/live", get(live::live))
        .layer(Extension(page))
        .merge(assets::routes()))
}

async fn status(
    Shown(state): Shown<Arc<State>>,
    Extension(page): Extension<Arc<Page>>,
    asked: Asked,
) -> Response {
    let made = page.status(&state, &asked).await;
    page.answer(&state, &asked, &made, &STATUS)
}

async fn targets(
    Shown(state): Shown<Arc<State>>,
    Extension(page): Extension<Arc<Page>>,
    asked: Asked,
) -> Response {
    let around = Around {
        page: "targets",
        root: "./",
        live: true,
        every: 10,
    };
    let make = move || {
        let view = Targets::of(&state, &asked.targets);
        let made = page.make(&asked, "targets.html", &view.title(), &view, now(), &around);
        page.answer(&state, &asked, &made, &around)
    };
    beside(make).await
}

async fn target(
    Shown(state): Shown<Arc<State>>,
    Extension(page): Extension<Arc<Page>>,
    path: Result<Path<(String, String)>, PathRejection>,
    asked: Asked,
) -> Response {
    // A name that is no text is nobody's.
    let (probe, target) = path.map(|Path(names)| names).unwrap_or_default();
    let around = Around {
        page: "targets",
        root: "../../",
        live: true,
        every: 10,
    };
    let make = move || {
        let now = now();
        if let Ok(view) = Target::of(&state, &probe, &target, now) {
            let made = page.make(&asked, "target.html", &view.title(), &view, now, &around);
            return page.answer(&state, &asked, &made, &around);
        }
        let view = context! {};
        let made = page.make(
            &asked,
            "missing.html",
            "no such target",
            &view,
            now,
            &around,
        );
        let answer = page.answer(&state, &asked, &made, &around);
        (http::StatusCode::NOT_FOUND, answer).into_response()
    };
    beside(make).await
}

/// Not on this thread, which serves everybody.
async fn beside(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    let work = tokio::task::spawn_blocking(work);
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be made");
        http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

/// What is around a page's own part.
struct Around {
    page: &'static str,
    /// Where `/` is from there: the pages also work below the path of a proxy.
    root: &'static str,
    live: bool,
    /// It asks for what has changed once in so many seconds at most.
    every: u8,
}

const STATUS: Around = Around {
    page: "status",
    root: "./",
    live: true,
    every: 1,
};

impl Page {
    fn new() -> Result<Self, minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.add_template("shell.html", include_str!("page/shell.html"))?;
        templates.add_template("status.html", include_str!("page/status.html"))?;
        templates.add_template("target.html", include_str!("page/target.html"))?;
        templates.add_template("targets.html", include_str!("page/targets.html"))?;
        templates.add_template("missing.html", include_str!("page/missing.html"))?;
        words::add_to(&mut templates);
        let version = |text: &str| format!("{:016x}", assets::hash(text.as_bytes()));
        Ok(Self {
            templates,
            style: version(assets::STYLE),
            script: version(assets::SCRIPT),
            places: Arc::new(Semaphore::new(live::PLACES)),
            kept: Arc::default(),
        })
    }

    /// The status as it is, or was up to a second ago.
    async fn status(self: &Arc<Self>, state: &Arc<State>, asked: &Asked) -> Arc<Made> {
        // A probe that nobody has is none: otherwise each such name would have a page made for it, and
        // whoever looks at a good one would wait.
        let is_known = |probe: &String| {
            let configured = state.configured.borrow();
            configured.probes.iter().any(|known| **known == **probe)
        };
        let asked = Asked {
            probe: asked.probe.clone().filter(is_known),
            ..Asked::default()
        };
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        let is_new = |made: &Arc<Made>| made.at.elapsed() < Exposition::MAX_AGE;
        if let Some(made) = kept.iter().find(|made| made.asked == asked && is_new(made)) {
            return Arc::clone(made);
        }
        let judged = state.readiness.judged().await;
        let (this, state) = (Arc::clone(self), Arc::clone(state));
        let work = tokio::task::spawn_blocking(move || {
            let reports = judged.as_ref().map(|judged| &*judged.groups);
            let now = now();
            let status = Status::of(&state, &asked, reports.map_err(ToString::to_string), now);
            let made =
                Arc::new(this.make(&asked, "status.html", &status.title, &status, now, &STATUS));
            kept.retain(|kept| kept.asked != asked);
            kept.truncate(KEPT - 1);
            kept.insert(0, Arc::clone(&made));
            made
        });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a page could not be made");
            Arc::new(Made::fault())
        })
    }

    fn make(
        &self,
        asked: &Asked,
        template: &str,
        title: &str,
        view: &impl Serialize,
        now: f64,
        around: &Around,
    ) -> Made {
        let version = serde_json::to_vec(view).map_or(0, |json| assets::hash(&json));
        let rendered = self.templates.get_template(template).and_then(|template| {
            let view = Value::from(minijinja::value::Serde(view));
            template.render(context! { now, root => around.root, ..view })
        });
        match rendered {
            Ok(body) => Made {
                at: Instant::now(),
                asked: asked.clone(),
                version,
                title: title.to_owned(),
                body: body.into(),
            },
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a page could not be made");
                Made::fault()
            }
        }
    }

    /// The page, or what of it changes.
    fn answer(&self, state: &State, asked: &Asked, made: &Made, around: &Around) -> Response {
        if asked.fragment {
            return html(Html(made.body.clone()).into_response());
        }
        self.whole(state, made, around)
    }

    /// The page with all around it.
    fn whole(&self, state: &State, made: &Made, around: &Around) -> Response {
        let now = now();
        let rendered = self.templates.get_template("shell.html").and_then(|shell| {
            shell.render(context! {
                now,
                iso => words::iso(now),
                title => &made.title,
                region => &state.region,
                version => &state.version,
                root => around.root,
                page => around.page,
                live => around.live,
                every => around.every,
                style => &self.style,
                script => &self.script,
                body => Value::from_safe_string(String::from_utf8_lossy(&made.body).into_owned()),
            })
        });
        match rendered {
            Ok(text) => html(Html(text).into_response()),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a page could not be made");
                http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl Made {
    fn fault() -> Self {
        let body = "<p class=\"note not-ready\">This page could not be made, which is a mistake of \
                    hotspare: the log says more.</p>";
        Self {
            at: Instant::now(),
            asked: Asked::default(),
            version: 0,
            title: "not made".to_owned(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }
}

/// The answer with the policy of the pages.
fn html(mut answer: Response) -> Response {
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    answer
}

/// Seconds since 1970.
fn now() -> f64 {
    timestamp_seconds(SystemTime::now())
}
