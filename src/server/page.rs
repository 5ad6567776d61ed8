//! The pages for people: made here, of templates that escape what they are given, and complete without a
//! script. With one they follow what happens.

mod assets;
mod draw;
mod live;
mod matrix;
mod status;
mod target;
mod targets;
mod text;
mod words;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequestParts, Path, State as Shown};
use axum::http::header::ACCEPT_ENCODING;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, http};
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::live::Places;
use self::status::Status;
use self::target::Target;
use self::targets::{Targets, Wanted};
use self::text::Text;
use super::State;
use super::beside::beside;
use super::pages::header;
use super::problem::{Kind, Problem, is_api};
use crate::metrics::{Exposition, accepts_gzip};
use crate::model::{Objectives, timestamp_seconds};

pub(super) use self::live::Closing;

/// What the pages tell that nobody else asks for.
pub struct Overview {
    /// What each group promises, by its name.
    pub objectives: Box<dyn Fn() -> Vec<(Arc<str>, Objectives)> + Send + Sync>,
}

/// Bytes of what is asked for: three names as long as a name may be fit, however they are written.
const MAX_ASKED: usize = 4096;

/// Pages that are kept, each for another probe in its matrix.
const KEPT: usize = 8;

/// Makes the pages.
pub(super) struct Page {
    templates: Environment<'static>,
    region: String,
    version: String,
    style: String,
    script: String,
    /// Tells these pages from those of another version of the daemon.
    build: String,
    places: Places,
    /// The last pages. The lock is held while one is made: whoever asks meanwhile waits for that.
    kept: Arc<Mutex<Vec<Arc<Made>>>>,
}

/// A page.
struct Made {
    at: Instant,
    asked: Asked,
    /// It changes with what the page says, and not as time goes on.
    version: u64,
    /// With all that is around it.
    whole: Text,
    /// What of it changes.
    part: Text,
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
    /// Whether it may come compressed.
    gzip: bool,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_ASKED {
            let why = format!("what is asked for may have {MAX_ASKED} bytes");
            let problem = Problem::new(Kind::BadQuery, why);
            return Err(if is_api(&parts.uri) {
                problem.into_response()
            } else {
                problem.text()
            });
        }
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut asked = Self {
            gzip: accepts_gzip(header(&parts.headers, &ACCEPT_ENCODING).as_deref()),
            ..Self::default()
        };
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
pub(super) fn routes(state: &State) -> Result<Router<Arc<State>>, String> {
    let page = Page::new(&state.region, &state.version);
    let page = Arc::new(page.map_err(|error| format!("a template: {error:#}"))?);
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
    // The first who asks has it compressed, which takes a while.
    let work = tokio::task::spawn_blocking(move || made.answer(&asked));
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be sent");
        http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

async fn targets(
    Shown(state): Shown<Arc<State>>,
    Extension(page): Extension<Arc<Page>>,
    asked: Asked,
) -> Response {
    let around = Around {
        page: "targets",
        root: "./",
        every: 10,
    };
    let make = move || {
        let now = now();
        let view = Targets::of(&state, &asked.targets, now);
        let made = page.make(&asked, "targets.html", &view.title(), &view, now, &around);
        made.answer(&asked)
    };
    beside("a page", make).await
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
        every: 10,
    };
    let make = move || {
        let now = now();
        if let Ok(view) = Target::of(&state, &probe, &target, now) {
            let made = page.make(&asked, "target.html", &view.title(), &view, now, &around);
            return made.answer(&asked);
        }
        let (title, view) = ("no such target", context! {});
        let made = page.make(&asked, "missing.html", title, &view, now, &around);
        (http::StatusCode::NOT_FOUND, made.answer(&asked)).into_response()
    };
    beside("a page", make).await
}

/// What is around a page's own part.
struct Around {
    page: &'static str,
    /// Where `/` is from there: the pages also work below the path of a proxy.
    root: &'static str,
    /// It asks for what has changed once in so many seconds at most.
    every: u8,
}

const STATUS: Around = Around {
    page: "status",
    root: "./",
    every: 1,
};

impl Page {
    fn new(region: &str, version: &str) -> Result<Self, minijinja::Error> {
        const SHELL: &str = include_str!("page/shell.html");
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.add_template("shell.html", SHELL)?;
        templates.add_template("status.html", include_str!("page/status.html"))?;
        templates.add_template("target.html", include_str!("page/target.html"))?;
        templates.add_template("targets.html", include_str!("page/targets.html"))?;
        templates.add_template("missing.html", include_str!("page/missing.html"))?;
        words::add_to(&mut templates);
        let hash = |text: &str| format!("{:016x}", assets::hash(text.as_bytes()));
        let (style, script) = (hash(assets::STYLE), hash(assets::SCRIPT));
        Ok(Self {
            templates,
            region: region.to_owned(),
            version: version.to_owned(),
            build: hash(&[&style, &script, SHELL, version].concat()),
            style,
            script,
            places: Places::default(),
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
            Arc::new(self.fault())
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
            template.render(context! { now, title, root => around.root, ..view })
        });
        rendered
            .and_then(|part| {
                Ok(Made {
                    at: Instant::now(),
                    asked: asked.clone(),
                    version,
                    whole: self.whole(title, &part, now, around)?.into(),
                    part: part.into(),
                })
            })
            .unwrap_or_else(|error| {
                tracing::error!(error = format!("{error:#}"), "a page could not be made");
                Made {
                    asked: asked.clone(),
                    ..self.fault()
                }
            })
    }

    /// The page with all around it.
    fn whole(
        &self,
        title: &str,
        part: &str,
        now: f64,
        around: &Around,
    ) -> Result<String, minijinja::Error> {
        self.templates.get_template("shell.html")?.render(context! {
            now,
            iso => words::iso(now),
            title,
            region => &self.region,
            version => &self.version,
            root => around.root,
            page => around.page,
            every => around.every,
            style => &self.style,
            script => &self.script,
            build => &self.build,
            body => Value::from_safe_string(part.to_owned()),
        })
    }

    /// What stands in for a page that could not be made.
    fn fault(&self) -> Made {
        const PART: &str = include_str!("page/fault.html");
        let whole = self.whole("not made", PART, now(), &STATUS);
        Made {
            at: Instant::now(),
            asked: Asked::default(),
            version: 0,
            whole: whole.unwrap_or_else(|_| PART.to_owned()).into(),
            part: PART.to_owned().into(),
        }
    }
}

impl Made {
    fn answer(&self, asked: &Asked) -> Response {
        let text = if asked.fragment {
            &self.part
        } else {
            &self.whole
        };
        text.answer(asked.gzip)
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    timestamp_seconds(SystemTime::now())
}
