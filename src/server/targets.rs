//! The targets that are probed from here, with what came of their last runs.
//!
//! There may be many thousands: the list is written about once a second at most, and all who ask get
//! parts of the same bytes, however many they are and however slowly they read.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State as Shown};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::State;
use super::configured::{Configured, TargetReport};
use super::pages::PageBody;
use super::problem::{Kind, Problem};
use super::query::parameters;
use crate::metrics::Exposition;
use crate::model::{LastRun, timestamp_seconds};

/// The route.
pub(super) fn routes() -> Router<Arc<State>> {
    let kept = Kept::default();
    let handler = async move |Shown(state): Shown<Arc<State>>, RawQuery(query): RawQuery| {
        targets(&state, &kept, &query.unwrap_or_default()).await
    };
    Router::new().route("/api/v1/targets", get(handler))
}

/// The last list that was written.
type Kept = Arc<Mutex<Option<Arc<List>>>>;

async fn targets(state: &Arc<State>, kept: &Kept, query: &str) -> Result<Response, Problem> {
    let wanted = Wanted::read(query)?;
    let list = list(state, kept).await?;
    wanted.check(&list.of)?;
    let parts = list.parts(&wanted);
    let head = [(CONTENT_TYPE, "application/json")];
    Ok((head, Body::new(PageBody::of(parts.into()))).into_response())
}

/// Which targets are asked for: those that have all of it.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    probe: Option<String>,
    group: Option<String>,
    region: Option<String>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Problem> {
        let wrong = |why: String| Problem::new(Kind::BadQuery, why);
        let mut query = parameters(query).map_err(wrong)?;
        let wanted = Self {
            probe: query.remove("probe"),
            group: query.remove("group"),
            region: query.remove("region"),
        };
        if query.is_empty() {
            return Ok(wanted);
        }
        let known = ["probe", "group", "region"].map(Arc::from);
        let why = "there is a parameter that the route does not have".to_owned();
        Err(wrong(why).known(known))
    }

    /// Whether the configuration has what is asked for. A name that it has not is a mistake, and no
    /// question with an empty answer.
    fn check(&self, of: &Configured) -> Result<(), Problem> {
        let regions = of.regions.iter().map(|of| Arc::clone(&of.region)).collect();
        for (name, known, kind, why) in [
            (
                &self.probe,
                &of.probes,
                Kind::NoSuchProbe,
                "there is no such probe",
            ),
            (
                &self.group,
                &of.groups,
                Kind::NoSuchGroup,
                "there is no such group",
            ),
            (
                &self.region,
                &regions,
                Kind::NoSuchRegion,
                "there is no such region",
            ),
        ] {
            let Some(name) = name else { continue };
            if !known.iter().any(|known| **known == **name) {
                return Err(Problem::new(kind, why).known(known.clone()));
            }
        }
        Ok(())
    }

    fn has(&self, target: &TargetReport) -> bool {
        let is =
            |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|it| it == name);
        let group = self.group.as_deref();
        is(&self.probe, &target.probe)
            && is(&self.region, &target.target_region)
            && group.is_none_or(|it| target.groups.iter().any(|group| **group == *it))
    }
}

/// All targets as JSON.
struct List {
    /// Before it was begun: nothing in it is older.
    at: Instant,
    of: Arc<Configured>,
    head: Bytes,
    /// The targets, one after the other, with a comma between.
    all: Bytes,
    /// Where each target's ends.
    ends: Vec<usize>,
}

/// The list as it is, or was a moment ago.
async fn list(state: &Arc<State>, kept: &Kept) -> Result<Arc<List>, Problem> {
    let mut kept = Arc::clone(kept).lock_owned().await;
    let of = Arc::clone(&state.configured.borrow());
    if let Some(list) = &*kept
        && list.at.elapsed() < Exposition::MAX_AGE
        && Arc::ptr_eq(&list.of, &of)
    {
        return Ok(Arc::clone(list));
    }
    // Not on this thread, which serves everybody. The lock goes with the work: a client that leaves
    // does not make the next one start over.
    let state = Arc::clone(state);
    let work = tokio::task::spawn_blocking(move || {
        let list = Arc::new(List::write(&state, of)?);
        *kept = Some(Arc::clone(&list));
        Ok(list)
    });
    let made = work.await.map_err(|error| error.to_string());
    let made = made.and_then(|made: serde_json::Result<_>| made.map_err(|error| error.to_string()));
    made.map_err(|error| {
        tracing::error!(error, "the targets could not be written");
        Problem::new(Kind::Internal, "the targets could not be written")
    })
}

impl List {
    fn write(state: &State, of: Arc<Configured>) -> serde_json::Result<Self> {
        #[derive(Serialize)]
        struct Told<'a> {
            #[serde(flatten)]
            target: &'a TargetReport,
            last: Option<LastRun>,
        }
        let at = Instant::now();
        let now = timestamp_seconds(SystemTime::now());
        let region = serde_json::to_string(&state.region)?;
        let head = format!(
            "{{\"source_region\":{region},\"timestamp_seconds\":{},\"targets\":[",
            serde_json::to_string(&now)?
        );
        let mut all = Vec::new();
        let mut ends = Vec::with_capacity(of.targets.len());
        for target in &of.targets {
            if !all.is_empty() {
                all.push(b',');
            }
            let last = state.history.last(&target.probe, &target.target);
            serde_json::to_writer(&mut all, &Told { target, last })?;
            ends.push(all.len());
        }
        Ok(Self {
            at,
            of,
            head: head.into(),
            all: all.into(),
            ends,
        })
    }

    /// The answer with the wanted targets. Those that stand together are one part.
    fn parts(&self, wanted: &Wanted) -> Vec<Bytes> {
        let mut parts = vec![self.head.clone()];
        for places in runs(&self.of.targets, |target| wanted.has(target)) {
            if parts.len() > 1 {
                parts.push(Bytes::from_static(b","));
            }
            let start = match places.start {
                0 => 0,
                place => self.ends[place - 1] + 1,
            };
            parts.push(self.all.slice(start..self.ends[places.end - 1]));
        }
        parts.push(Bytes::from_static(b"]}"));
        parts
    }
}

/// Where those are that are wanted, as far as they stand together.
fn runs<T>(all: &[T], wanted: impl Fn(&T) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (place, _) in all.iter().enumerate().filter(|(_, each)| wanted(each)) {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_stand_together_are_one_part() {
        let of = |text: &str| runs(text.as_bytes(), |byte| *byte == b'x');
        assert!(of("").is_empty() && of("...").is_empty());
        assert_eq!(of("xxx."), vec![(0..3)]);
        assert_eq!(of("x.xx.x"), [0..1, 2..4, 5..6]);
    }

    #[test]
    fn a_question_names_each_of_three_at_most_once_and_nothing_else() {
        let wanted = Wanted::read("region=a+b&probe=%C3%BC").expect("good");
        assert_eq!(wanted.region.as_deref(), Some("a b"));
        assert_eq!((wanted.probe.as_deref(), wanted.group), (Some("ü"), None));
        assert_eq!(Wanted::read("").ok(), Some(Wanted::default()));
        for wrong in ["x=1", "probe=a&probe=a", "probe=a&Probe=b", "probe=a&x"] {
            let problem = Wanted::read(wrong).expect_err(wrong);
            assert_eq!(problem.kind, Kind::BadQuery, "{wrong}");
        }
    }
}
