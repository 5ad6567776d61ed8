//! Tells Alertmanagers which alerts fire, as long as they do.
//!
//! Each member of a cluster has a task of its own, as each has to be told of everything: one that is
//! dead delays no other. Nothing of it is kept on disk: what was told before a restart is told again,
//! which is no news to an Alertmanager.
//!
//! When the configuration changes, a member that stays is told on, also where its settings are others.
//! One that is taken out of it is told nothing more: what fires there ends when the last promise has
//! run out.

mod standing;
mod told;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use self::standing::Standing;
pub use self::told::Timing;
use self::told::{Moment, Told};
use super::change::{Changes, Handle, Stage};
use crate::metrics::AlertmanagerSeries;
use crate::model::{Beat, Digest, Fingerprint, ReceiverStatus, timestamp_seconds};
use crate::notify::{Denial, Member, Refusal, RefusalReason, Stated};
use crate::rule::Alerts;

/// One Alertmanager, and how it is told.
#[derive(Clone)]
pub struct Endpoint {
    /// The receiver that it is a member of.
    pub receiver: Arc<str>,
    /// Tells it apart from one with other settings, or other secrets.
    pub same: Digest,
    /// How to reach it. Its name and that of the receiver are its own.
    pub member: Arc<dyn Member>,
    /// Where people find this daemon, if that is configured.
    pub external_url: Option<Arc<str>>,
    /// Where it is counted.
    pub series: Arc<AlertmanagerSeries>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("receiver", &self.receiver)
            .field("member", &self.member.name())
            .finish_non_exhaustive()
    }
}

/// Where each Alertmanager stands, for those who read it. Its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Standings(Arc<Mutex<Vec<Standing>>>);

impl Standings {
    /// As it is now, in the order of the configuration. There are no deliveries: a state is told, and
    /// told again.
    pub fn statuses(&self) -> Vec<ReceiverStatus> {
        self.lock().iter().map(Standing::status).collect()
    }

    /// It is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that tells an Alertmanager, for whoever orders it.
struct Post {
    orders: watch::Sender<Orders>,
    standing: Standing,
}

/// How an Alertmanager is told from now on.
#[derive(Clone)]
struct Orders {
    endpoint: Endpoint,
    stage: Stage,
}

/// The receiver of an Alertmanager, and its name.
type Name = (Arc<str>, Arc<str>);

/// Tells every Alertmanager.
pub struct Alertmanagers {
    alerts: Alerts,
    timing: Timing,
    /// In the order of the configuration.
    posts: Vec<(Name, Post)>,
    /// Those that have not begun to tell.
    ready: Vec<(Teller, watch::Receiver<Orders>)>,
    standings: Standings,
    beat: Arc<Beat>,
    handle: Handle<Vec<Endpoint>>,
    changes: Changes<Vec<Endpoint>>,
}

impl fmt::Debug for Alertmanagers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alertmanagers")
            .field("standings", &self.standings)
            .finish_non_exhaustive()
    }
}

impl Alertmanagers {
    /// Those that are to be told of the alerts, if any.
    pub fn new(endpoints: Vec<Endpoint>, alerts: Alerts, timing: Timing) -> Self {
        let (handle, changes) = super::change::channel();
        let mut all = Self {
            alerts,
            timing,
            posts: Vec::new(),
            ready: Vec::new(),
            standings: Standings::default(),
            beat: Arc::new(Beat::new(Instant::now().into_std())),
            handle,
            changes,
        };
        all.follow(endpoints);
        all
    }

    /// Changes who is told, while it runs.
    ///
    /// One that is the same as before is told on. One with other settings is told by these at once,
    /// what is under way to it is dropped and told again. One that is gone is told nothing more.
    pub fn handle(&self) -> Handle<Vec<Endpoint>> {
        self.handle.clone()
    }

    /// Where each of them stands.
    pub fn standings(&self) -> Standings {
        self.standings.clone()
    }

    /// The sign of life of the thread that all of them share, which no Alertmanager that does not
    /// answer stops.
    pub fn beat(&self) -> Arc<Beat> {
        Arc::clone(&self.beat)
    }

    /// Tells every Alertmanager until `stop`, and at the end what it was not told yet. Each is told by
    /// a task of its own.
    ///
    /// # Panics
    ///
    /// Where the code of such a task does, which is a bug.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            for (teller, orders) in self.ready.drain(..) {
                tasks.spawn(tell(teller, orders));
            }
            self.beat.beat(Instant::now().into_std());
            tokio::select! {
                () = &mut stop => break,
                (endpoints, _done) = self.changes.next() => self.follow(endpoints),
                Some(ended) = tasks.join_next() => super::pass_on(ended),
                () = sleep(super::BEAT) => {}
            }
        }
        self.changes.end();
        for (_, post) in &self.posts {
            post.orders
                .send_modify(|orders| orders.stage = Stage::Flush);
        }
        while let Some(ended) = tasks.join_next().await {
            super::pass_on(ended);
        }
    }

    fn follow(&mut self, endpoints: Vec<Endpoint>) {
        let mut former: BTreeMap<_, _> = self.posts.drain(..).collect();
        for endpoint in endpoints {
            let name = (
                Arc::clone(&endpoint.receiver),
                endpoint.member.name().into(),
            );
            let post = match former.remove(&name) {
                Some(post) => post.follow(endpoint),
                None => self.begin(endpoint),
            };
            self.posts.push((name, post));
        }
        for post in former.values() {
            post.orders
                .send_modify(|orders| orders.stage = Stage::Leave);
        }
        let standings = self.posts.iter().map(|(_, post)| post.standing.clone());
        *self.standings.lock() = standings.collect();
    }

    fn begin(&mut self, endpoint: Endpoint) -> Post {
        let receiver = Arc::clone(&endpoint.receiver);
        let standing = Standing::of(Arc::clone(&receiver), endpoint.member.name());
        let (orders, ordered) = watch::channel(Orders {
            endpoint: endpoint.clone(),
            stage: Stage::Tell,
        });
        let teller = Teller {
            told: Told::new(receiver, self.timing),
            standing: standing.clone(),
            alerts: self.alerts.clone(),
            timing: self.timing,
            failures: 0,
            endpoint,
        };
        self.ready.push((teller, ordered));
        Post { orders, standing }
    }
}

impl Post {
    fn follow(self, endpoint: Endpoint) -> Self {
        self.orders.send_if_modified(|orders| {
            let before = &orders.endpoint;
            if before.same == endpoint.same && before.external_url == endpoint.external_url {
                return false;
            }
            orders.endpoint = endpoint;
            true
        });
        self
    }
}

/// Tells an Alertmanager as it is ordered.
async fn tell(mut teller: Teller, mut orders: watch::Receiver<Orders>) {
    loop {
        let changed = tokio::select! {
            changed = orders.changed() => changed,
            never = teller.tell_on() => match never {},
        };
        let ordered = orders.borrow_and_update().clone();
        match ordered.stage {
            Stage::Tell if changed.is_ok() => teller.follow(ordered.endpoint),
            Stage::Leave => return,
            // An error means that nobody is there to stop it any more, which is an end as well.
            Stage::Tell | Stage::Flush => break,
        }
    }
    teller.look();
    let in_time = timeout(teller.timing.end, teller.round(Told::batch_of_news)).await;
    let untold = teller.count_news();
    if !matches!(in_time, Ok(Ok(()))) && untold > 0 {
        let (receiver, endpoint) = teller.names();
        warn!(
            receiver,
            endpoint, untold, "ended before the Alertmanager was told of every change"
        );
    }
}

struct Teller {
    endpoint: Endpoint,
    standing: Standing,
    alerts: Alerts,
    timing: Timing,
    told: Told,
    /// Rounds that failed since the last that did not.
    failures: u32,
}

/// What of all there is goes into the next request.
type Choose = fn(&mut Told, Option<Fingerprint>, Moment) -> Vec<Stated>;

impl Teller {
    async fn tell_on(&mut self) -> Infallible {
        let mut changes = self.alerts.changes();
        loop {
            changes.mark_unchanged();
            self.look();
            let round = self.round(Told::batch).await;
            self.count_news();
            match round {
                Ok(()) => {
                    self.recovered();
                    self.until_due(&mut changes).await;
                }
                Err(refusal) => sleep(self.failed(&refusal)).await,
            }
        }
    }

    /// From now on it is reached like this, whatever came of it before.
    fn follow(&mut self, endpoint: Endpoint) {
        let (receiver, member) = (&*endpoint.receiver, endpoint.member.name());
        info!(
            receiver,
            endpoint = member,
            "the Alertmanager has other settings"
        );
        self.endpoint = endpoint;
        self.failures = 0;
        self.standing.came(None);
    }

    fn look(&mut self) {
        self.told.look(&self.alerts.to_tell(), moment());
        self.count_news();
    }

    fn count_news(&self) -> usize {
        let news = self.told.news(moment());
        let count = news.len();
        self.endpoint.series.queue(count);
        self.standing.untold(news);
        count
    }

    /// Waits until something has to be told again, or has changed.
    async fn until_due(&self, changes: &mut watch::Receiver<u64>) {
        let due = self.told.due(moment());
        let due = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            // The book is held here, so that there is no end of its changes.
            _ = changes.changed() => sleep(self.timing.gather).await,
        }
    }

    /// Tells whatever `choose` chooses, batch by batch, until the member cannot be told any more.
    async fn round(&mut self, choose: Choose) -> Result<(), Refusal> {
        let mut came = Ok(());
        let mut after = None;
        loop {
            let batch = choose(&mut self.told, after, moment());
            let Some(last) = batch.last() else {
                return came;
            };
            after = Some(last.fingerprint);
            match self.state(batch).await {
                Ok(()) => {}
                // It may be what is in this batch (a filter on the way), which the next has not.
                Err(refusal) if refusal.reason.is_lasting() => came = Err(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Makes one request, or more if one has alerts that are not valid: it is halved until these are
    /// alone, so that they keep out no other.
    async fn state(&mut self, batch: Vec<Stated>) -> Result<(), Refusal> {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let at = Instant::now();
            match self.request(&part, at).await {
                Ok(()) => self.told.accepted(&part, at.into_std()),
                Err(Denial::Invalid(_)) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(Denial::Invalid(why)) => part.iter().for_each(|alert| self.drop(alert, &why)),
                Err(Denial::Failed(refusal)) => return Err(refusal),
            }
        }
        Ok(())
    }

    async fn request(&self, part: &[Stated], at: Instant) -> Result<(), Denial> {
        let series = &self.endpoint.series;
        let external_url = self.endpoint.external_url.as_deref();
        let request = self.endpoint.member.state(part, external_url);
        let answer = timeout(self.timing.timeout, request).await;
        let answer = answer.unwrap_or_else(|_| Err(Denial::Failed(late(self.timing.timeout))));
        series.request(at.elapsed());
        match &answer {
            Ok(()) => series.sent(part.len()),
            Err(Denial::Failed(_)) => series.failed(part.len()),
            Err(Denial::Invalid(_)) => {}
        }
        answer
    }

    fn drop(&mut self, stated: &Stated, why: &Refusal) {
        let is_new = self.told.refused(stated.fingerprint, moment());
        if !is_new {
            return;
        }
        self.endpoint.series.dropped();
        let (receiver, endpoint) = self.names();
        let alert = &stated.alert.rule;
        let fingerprint = stated.fingerprint;
        warn!(
            receiver, endpoint, %alert, %fingerprint, %why,
            "the Alertmanager refuses an alert as not valid: it is not told of it"
        );
    }

    fn recovered(&mut self) {
        if self.failures > 0 {
            let (receiver, endpoint) = self.names();
            info!(receiver, endpoint, "the Alertmanager takes alerts again");
        }
        self.failures = 0;
        self.standing.came(None);
    }

    /// Notes a round that failed; how long to wait before the next.
    fn failed(&mut self, refusal: &Refusal) -> Duration {
        if self.failures == 0 {
            let (receiver, endpoint) = self.names();
            warn!(receiver, endpoint, why = %refusal, "the Alertmanager takes no alerts");
        }
        self.standing.came(Some(refusal.to_string()));
        let wait = self.wait();
        self.failures = self.failures.saturating_add(1);
        let asked = refusal.retry_after.unwrap_or_default();
        // A longer one would let the promises run out, which ends what fires.
        wait.max(asked.min(self.timing.last_retry))
    }

    /// Half of it is left to chance, so that many daemons do not come at once.
    fn wait(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        let wait = self.timing.first_retry.saturating_mul(doubled);
        let wait = wait.min(self.timing.last_retry);
        wait.mul_f64(f64::midpoint(1.0, fastrand::f64()))
    }

    fn names(&self) -> (&str, &str) {
        (&self.endpoint.receiver, self.endpoint.member.name())
    }
}

fn late(limit: Duration) -> Refusal {
    Refusal {
        reason: RefusalReason::Timeout,
        detail: format!("no answer within {limit:?}"),
        retry_after: None,
    }
}

fn moment() -> Moment {
    Moment {
        monotonic: Instant::now().into_std(),
        wall: timestamp_seconds(SystemTime::now()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::Store as Series;
    use crate::model::{Alert, AlertState, Labels};
    use crate::notify::{Request, Stated};
    use crate::store::Store;

    /// A member that never takes anything, and says when to come again.
    struct Busy {
        start: Instant,
        asked: Mutex<Vec<Duration>>,
    }

    impl Member for Busy {
        fn name(&self) -> &'static str {
            "http://busy:9093"
        }

        fn state<'a>(&'a self, _: &'a [Stated], _: Option<&'a str>) -> Request<'a> {
            let mut asked = self.asked.lock().expect("not poisoned");
            asked.push(self.start.elapsed());
            Box::pin(async {
                Err(Denial::Failed(Refusal {
                    reason: RefusalReason::RateLimited,
                    detail: "no".to_owned(),
                    retry_after: Some(Duration::from_mins(5)),
                }))
            })
        }
    }

    /// A member behind a filter that never lets a request with the alert through that was first in it
    /// at the first time.
    #[derive(Default)]
    struct Filtered {
        hated: Mutex<Option<Fingerprint>>,
        taken: Mutex<BTreeSet<Fingerprint>>,
    }

    impl Member for Filtered {
        fn name(&self) -> &'static str {
            "http://filtered:9093"
        }

        fn state<'a>(&'a self, alerts: &'a [Stated], _: Option<&'a str>) -> Request<'a> {
            let mut told = alerts.iter().map(|alert| alert.fingerprint);
            let mut hated = self.hated.lock().expect("not poisoned");
            let hated = *hated.get_or_insert_with(|| alerts[0].fingerprint);
            let answer = if told.clone().any(|alert| alert == hated) {
                Err(Denial::Failed(Refusal {
                    reason: RefusalReason::Auth,
                    detail: "403".to_owned(),
                    retry_after: None,
                }))
            } else {
                let mut taken = self.taken.lock().expect("not poisoned");
                taken.extend(&mut told);
                Ok(())
            };
            Box::pin(async { answer })
        }
    }

    /// A member that notes how many alerts it is told, and when.
    struct Noting {
        start: Instant,
        does: Does,
        told: Mutex<Vec<(Duration, usize)>>,
    }

    enum Does {
        Take,
        Refuse,
        Hang,
    }

    impl Noting {
        fn new(does: Does) -> Arc<Self> {
            Arc::new(Self {
                start: Instant::now(),
                does,
                told: Mutex::default(),
            })
        }

        fn told(&self) -> Vec<(Duration, usize)> {
            self.told.lock().expect("not poisoned").clone()
        }
    }

    impl Member for Noting {
        fn name(&self) -> &'static str {
            "http://noting:9093"
        }

        fn state<'a>(&'a self, alerts: &'a [Stated], _: Option<&'a str>) -> Request<'a> {
            let mut told = self.told.lock().expect("not poisoned");
            told.push((self.start.elapsed(), alerts.len()));
            Box::pin(async {
                let reason = RefusalReason::Auth;
                match self.does {
                    Does::Take => Ok(()),
                    Does::Refuse => Err(Denial::Failed(Refusal::new(reason, "no"))),
                    Does::Hang => std::future::pending().await,
                }
            })
        }
    }

    /// A receiver of one member with these settings.
    fn with(receiver: &str, settings: &str, member: &Arc<Noting>) -> Endpoint {
        Endpoint {
            receiver: receiver.into(),
            same: Digest::of(&[settings.as_bytes()]),
            ..endpoint(Arc::clone(member) as Arc<dyn Member>)
        }
    }

    /// Runs it as long as the test goes on.
    async fn during<T>(telling: Alertmanagers, test: impl Future<Output = T>) -> T {
        tokio::select! {
            () = telling.run(std::future::pending()) => panic!("it ended"),
            result = test => result,
        }
    }

    fn receivers(standings: &Standings) -> Vec<String> {
        let all = standings.statuses().into_iter();
        all.map(|of| of.receiver.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_stays_is_told_as_if_nothing_had_changed() {
        let times = async |changes: bool| {
            let alerts = Alerts::kept_in(&Store::in_memory());
            alerts.put(firing("A"));
            let member = Noting::new(Does::Take);
            let telling = telling(vec![with("am", "a", &member)], &alerts);
            let handle = telling.handle();
            during(telling, async {
                for n in 0..100 {
                    sleep(Duration::from_secs(7)).await;
                    if n == 50 {
                        alerts.put(firing("B"));
                    }
                    if changes {
                        let other = Noting::new(Does::Hang);
                        let mut all = vec![with("am", "a", &other)];
                        all.extend((n % 2 == 0).then(|| with("other", "a", &other)));
                        handle.change(all).await;
                    }
                }
            })
            .await;
            member.told()
        };
        let undisturbed = times(false).await;
        assert!(undisturbed.len() > 10, "{undisturbed:?}");
        assert_eq!(times(true).await, undisturbed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_with_other_settings_is_told_at_once_and_what_was_under_way_is_dropped() {
        for former in [Does::Refuse, Does::Hang] {
            let alerts = Alerts::kept_in(&Store::in_memory());
            alerts.put(firing("A"));
            let (former, now) = (Noting::new(former), Noting::new(Does::Take));
            let telling = telling(vec![with("am", "a", &former)], &alerts);
            let (handle, standings) = (telling.handle(), telling.standings());
            during(telling, async {
                // In the longest pause, or in the middle of a request.
                sleep(Duration::from_mins(10)).await;
                handle.change(vec![with("am", "b", &now)]).await;
                let told = former.told().len();
                sleep(Duration::from_secs(1)).await;
                assert_eq!((former.told().len(), now.told().len()), (told, 1));
            })
            .await;
            let [status] = standings.statuses().try_into().expect("one");
            assert_eq!((status.last_error, status.undelivered), (None, vec![]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_is_new_is_told_of_what_fires_and_one_that_is_gone_of_nothing() {
        let alerts = Alerts::kept_in(&Store::in_memory());
        alerts.put(firing("A"));
        let (gone, new) = (Noting::new(Does::Take), Noting::new(Does::Take));
        let telling = telling(vec![with("gone", "a", &gone)], &alerts);
        let (handle, standings) = (telling.handle(), telling.standings());
        during(telling, async {
            sleep(Duration::from_secs(90)).await;
            assert_eq!(gone.told().len(), 2);
            handle.change(vec![with("new", "a", &new)]).await;
            assert_eq!(receivers(&standings), ["new"]);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(new.told().len(), 1);
            sleep(Duration::from_mins(10)).await;
            assert_eq!(gone.told().len(), 2);
            for _ in 0..1_000 {
                handle.change(vec![with("gone", "a", &gone)]).await;
                handle.change(vec![with("new", "a", &new)]).await;
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(Arc::strong_count(&gone), 1, "no task of it is left");
            handle.change(Vec::new()).await;
            assert_eq!(receivers(&standings), [""; 0]);
        })
        .await;
    }

    fn firing(name: &str) -> Alert {
        Alert {
            rule: "A".into(),
            labels: Labels::from([("alertname".into(), name.into())]),
            annotations: BTreeMap::new(),
            state: AlertState::Firing,
            active_timestamp_seconds: 1.0,
            start_timestamp_seconds: Some(1.0),
            end_timestamp_seconds: None,
            value: None,
            threshold: None,
            shared: false,
            receivers: None,
            muted: None,
        }
    }

    fn endpoint(member: Arc<dyn Member>) -> Endpoint {
        let store = Series::new();
        let series = store.change().set_alertmanagers(&[("am", member.name())]);
        Endpoint {
            receiver: "am".into(),
            same: Digest::default(),
            external_url: None,
            member,
            series: series.expect("good labels").remove(0),
        }
    }

    fn telling(endpoints: Vec<Endpoint>, alerts: &Alerts) -> Alertmanagers {
        Alertmanagers::new(endpoints, alerts.clone(), Timing::default())
    }

    /// A member that never answers.
    struct Silent;

    impl Member for Silent {
        fn name(&self) -> &'static str {
            "http://silent:9093"
        }

        fn state<'a>(&'a self, _: &'a [Stated], _: Option<&'a str>) -> Request<'a> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_thread_lives_on_while_no_member_answers() {
        let alerts = Alerts::kept_in(&Store::in_memory());
        alerts.put(firing("A"));
        let telling = telling(vec![endpoint(Arc::new(Silent))], &alerts);
        let watched = telling.beat();
        let stop = async move {
            for _ in 0..60 {
                sleep(Duration::from_secs(1)).await;
                let silence = watched.silence(Instant::now().into_std());
                assert!(silence <= super::super::BEAT, "{silence:?}");
            }
        };
        telling.run(stop).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_never_let_through_keeps_out_no_other() {
        let alerts = Alerts::kept_in(&Store::in_memory());
        for n in 0..1000 {
            alerts.put(firing(&n.to_string()));
        }
        let member = Arc::new(Filtered::default());
        let endpoint = endpoint(Arc::clone(&member) as Arc<dyn Member>);
        let stop = sleep(Duration::from_mins(5));
        telling(vec![endpoint], &alerts).run(stop).await;
        let taken = member.taken.lock().expect("not poisoned");
        // All but those of the batch with it, of 256.
        assert_eq!(taken.len(), 744);
    }

    /// What it was promised ends after four minutes, and to people the alert with it.
    #[tokio::test(start_paused = true)]
    async fn a_member_is_not_left_alone_for_so_long_that_what_fires_ends_there() {
        let alerts = Alerts::kept_in(&Store::in_memory());
        alerts.put(firing("A"));
        let member = Arc::new(Busy {
            start: Instant::now(),
            asked: Mutex::default(),
        });
        let endpoint = endpoint(Arc::clone(&member) as Arc<dyn Member>);
        let telling = telling(vec![endpoint], &alerts);
        let standings = telling.standings();
        telling.run(sleep(Duration::from_mins(10))).await;
        let asked = member.asked.lock().expect("not poisoned");
        let pauses = asked.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let longest = pauses.max().expect("asked twice");
        assert!(longest <= Duration::from_mins(1), "{asked:?}");
        let [status] = standings.statuses().try_into().expect("one");
        assert_eq!(status.endpoint.as_deref(), Some("http://busy:9093"));
        assert_eq!(status.undelivered, [firing("A").fingerprint()]);
        let error = status.last_error.expect("it never took anything");
        assert!(error.ends_with("no"), "{error}");
    }
}
