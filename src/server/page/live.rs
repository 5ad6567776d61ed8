//! Tells the pages that something has changed, so that they ask for what: events are small, and whoever
//! reads them slowly keeps nothing but a place.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State as Shown};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::State;
use super::super::access::Peer;
use super::super::admission::client;
use super::super::patience::Patience;
use super::super::problem::{Kind, Problem};
use super::{Asked, Page, now};
use crate::metrics::Own;

/// Viewers at once: the pages of more ask by themselves now and then.
const PLACES: usize = 64;
/// After that a viewer asks anew: a place is not kept by one that has gone without a word.
const LIFE: Duration = Duration::from_mins(4);
/// Between two looks whether something has changed.
const LOOK: Duration = Duration::from_secs(1);
/// Between two events at most: a page that hears nothing for longer says so.
const BEAT: Duration = Duration::from_secs(3);

/// The server ends: whoever listens is let go.
#[derive(Clone)]
pub(in crate::server) struct Closing(pub(in crate::server) watch::Receiver<bool>);

/// One who looks at a page.
struct Viewer {
    state: Arc<State>,
    page: Arc<Page>,
    asked: Asked,
    closing: watch::Receiver<bool>,
    end: Instant,
    /// When it was told something, and what was the version; none before the first event.
    told: Option<(Instant, u64)>,
    _place: Place,
}

/// The events for a page.
pub(super) async fn live(
    Shown(state): Shown<Arc<State>>,
    Extension(page): Extension<Arc<Page>>,
    Extension(patience): Extension<Arc<Patience>>,
    Extension(Closing(closing)): Extension<Closing>,
    Extension(peer): Extension<Peer>,
    asked: Asked,
) -> Response {
    let address = client(peer.origin.address());
    // Half of the connections of an address are left to those who ask: behind a proxy all come from one.
    let of_one = state.limits.per_address.div_ceil(2);
    let Some(place) = page.places.take(address, of_one, &state.own) else {
        let why = "too many pages are told of changes already: ask again in half a minute";
        return Problem::new(Kind::TooManyRequests, why).into_response();
    };
    patience.longer(LIFE);
    let viewer = Viewer {
        state,
        page,
        asked,
        closing,
        end: Instant::now() + LIFE,
        told: None,
        _place: place,
    };
    let events = stream::unfold(viewer, async |mut viewer| {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let head = [(CONTENT_TYPE, "text/event-stream")];
    (head, Body::from_stream(events)).into_response()
}

impl Viewer {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.told.is_some() {
                tokio::select! {
                    biased;
                    _ = self.closing.wait_for(|closing| *closing) => return None,
                    () = sleep(LOOK) => {}
                }
            }
            let time = Instant::now();
            if time >= self.end {
                return None;
            }
            let version = self.page.status(&self.state, &self.asked).await.version;
            let Some((at, before)) = self.told else {
                self.told = Some((time, version));
                return Some(format!("retry: 2000\n{}", self.event("change", version)));
            };
            if before != version {
                self.told = Some((time, version));
                return Some(self.event("change", version));
            }
            if at + BEAT <= time {
                self.told = Some((time, version));
                return Some(self.event("beat", version));
            }
        }
    }

    fn event(&self, name: &str, version: u64) -> String {
        let (build, now) = (&self.page.build, now());
        format!(
            "event: {name}\ndata: {{\"version\":\"{version:016x}\",\"build\":\"{build}\",\"now\":{now:.3}}}\n\n"
        )
    }
}

/// The viewers of each address.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless all are taken, or so many by this address.
    fn take(&self, address: IpAddr, of_one: usize, own: &Arc<Own>) -> Option<Place> {
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let here = taken.get(&address).copied().unwrap_or(0);
        if all >= PLACES || here >= of_one {
            return None;
        }
        taken.insert(address, here + 1);
        own.http_live_viewers.inc();
        Some(Place {
            places: self.clone(),
            address,
            own: Arc::clone(own),
        })
    }
}

/// The right to listen, counted.
struct Place {
    places: Places,
    address: IpAddr,
    own: Arc<Own>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(here) = taken.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.remove(&self.address);
            }
        }
        self.own.http_live_viewers.dec();
    }
}
