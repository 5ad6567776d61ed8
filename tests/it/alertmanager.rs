//! Alerts that real Alertmanagers are told of: what comes out of a webhook receiver behind them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotspare::deliver::{Alertmanagers, Endpoint, Timing};
use hotspare::files::Files;
use hotspare::metrics::{Format, Own, Store as Series, encode};
use hotspare::model::{Alert, AlertState, Digest, Labels, Mute};
use hotspare::net::{Names, Resolver, Roots};
use hotspare::notify::{AlertmanagerSettings, Context};
use hotspare::rule::Alerts;
use hotspare::store::Store;
use tokio::sync::watch;

use crate::alertmanager_cluster::{Cluster, GROUP_INTERVAL, Hook, PEER_TIMEOUT};
use crate::daemon::{Daemon, hotspare};
use crate::page::{Parsed, parse};
use crate::process::{run, wait_for};

/// A second where hotspare waits for a minute.
const TIMING: Timing = Timing {
    gather: Duration::from_millis(20),
    resend: Duration::from_secs(1),
    promise: Duration::from_secs(15),
    retention: Duration::from_mins(15),
    margin: Duration::from_secs(2),
    timeout: Duration::from_secs(10),
    first_retry: Duration::from_millis(100),
    last_retry: Duration::from_secs(1),
    end: Duration::from_secs(5),
};

/// Long enough for the second of two members to look at the group and to wait for the first.
const A_WHILE: Duration = GROUP_INTERVAL.saturating_add(PEER_TIMEOUT);

/// A book of alerts, and who tells each Alertmanager of it.
struct Vantage {
    store: Store,
    alerts: Alerts,
    series: Arc<Series>,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Vantage {
    fn new() -> Self {
        let store = Store::in_memory();
        Self {
            alerts: Alerts::kept_in(&store),
            store,
            series: Arc::new(Series::new()),
            running: None,
        }
    }

    fn telling(urls: Vec<String>) -> Self {
        let mut vantage = Self::new();
        vantage.start(urls, TIMING);
        vantage
    }

    fn start(&mut self, urls: Vec<String>, timing: Timing) {
        let settings = AlertmanagerSettings {
            urls,
            ..AlertmanagerSettings::default()
        };
        let context = Context {
            resolver: Arc::new(Resolver::new(Names::at([]))),
            roots: Arc::new(Roots::default()),
            files: Files::new(None, std::path::PathBuf::new()),
        };
        let members = settings.prepare(&context).expect("good settings");
        let (stop, mut stopped) = watch::channel(false);
        self.series = Arc::new(Series::new());
        let names: Vec<_> = members.iter().map(|of| ("am", of.name())).collect();
        let series = self.series.change().set_alertmanagers(&names);
        let endpoints = members.iter().zip(series.expect("once"));
        let endpoints = endpoints.map(|(member, series)| Endpoint {
            receiver: "am".into(),
            same: Digest::default(),
            external_url: None,
            series,
            member: Arc::clone(member),
        });
        let telling = Alertmanagers::new(endpoints.collect(), self.alerts.clone(), timing);
        let thread = std::thread::spawn(move || {
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(telling.run(stop));
        });
        self.running = Some((stop, thread));
    }

    /// Ends in order.
    fn stop(&mut self) {
        let (stop, thread) = self.running.take().expect("it runs");
        stop.send_replace(true);
        thread.join().expect("no panic");
    }

    /// Begins anew with what is on disk.
    fn restart(&mut self, urls: Vec<String>) {
        self.stop();
        self.alerts = Alerts::kept_in(&self.store);
        self.start(urls, TIMING);
    }

    fn put(&self, alert: Alert) {
        self.alerts.put(alert);
    }

    fn page(&self) -> Parsed {
        let own = Own::new("1", "a", SystemTime::UNIX_EPOCH).expect("declared right");
        let page = encode(&self.series, &own, Format::Text, false, Vec::new()).expect("encoded");
        parse(
            &String::from_utf8(page.concat()).expect("UTF-8"),
            Format::Text,
        )
    }

    fn value(&self, family: &str, endpoint: &str) -> f64 {
        let labels = [("receiver", "am"), ("endpoint", endpoint)];
        self.page()
            .one(&format!("hotspare_alertmanager_{family}"), &labels)
    }
}

impl Drop for Vantage {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

fn firing(name: &str) -> Alert {
    Alert {
        rule: name.into(),
        labels: Labels::from([
            ("alertname".into(), name.into()),
            ("severity".into(), "critical".into()),
        ]),
        annotations: BTreeMap::from([("summary".into(), "It is so.".into())]),
        state: AlertState::Firing,
        active_timestamp_seconds: now(),
        start_timestamp_seconds: Some(now()),
        end_timestamp_seconds: None,
        value: None,
        threshold: None,
        shared: false,
        receivers: None,
        muted: None,
    }
}

fn over(alert: &Alert) -> Alert {
    Alert {
        state: AlertState::Resolved,
        end_timestamp_seconds: Some(now()),
        ..alert.clone()
    }
}

/// Waits until exactly this was heard of the alert, and for a while in which nothing else may be.
fn hears_only(hook: &Hook, alert: &str, states: &[&str]) {
    wait_for(|| hook.heard(alert), |heard| heard.len() >= states.len());
    std::thread::sleep(A_WHILE);
    assert_eq!(hook.heard(alert), states);
}

#[test]
fn a_cluster_tells_once_that_an_alert_fires_and_once_that_it_is_over() {
    let hook = Hook::start();
    let cluster = Cluster::start(2, &hook);
    let vantage = Vantage::telling(cluster.urls());
    let alert = firing("Once");
    vantage.put(alert.clone());
    hears_only(&hook, "Once", &["firing"]);
    for member in &cluster.members {
        assert_eq!(member.fires(), ["Once"]);
        // Again and again, and each request was measured.
        let sent = vantage.value("alerts_sent_total", &member.url());
        assert!(sent >= 3.0, "{sent}");
        let requests = vantage.value("latency_seconds_count", &member.url());
        assert!(requests >= 3.0, "{requests}");
        assert!(vantage.value("errors_total", &member.url()).abs() < 0.5);
    }
    vantage.put(over(&alert));
    hears_only(&hook, "Once", &["firing", "resolved"]);
}

#[test]
fn nobody_is_told_twice_when_either_side_begins_anew() {
    let hook = Hook::start();
    let mut cluster = Cluster::start(1, &hook);
    let mut vantage = Vantage::telling(cluster.urls());
    let alert = firing("Restarts");
    vantage.put(alert.clone());
    hears_only(&hook, "Restarts", &["firing"]);
    vantage.restart(cluster.urls());
    cluster.members[0].stop();
    // What it does not hear of is not lost.
    let (other, lost) = (firing("Meanwhile"), firing("OverMeanwhile"));
    vantage.put(other.clone());
    vantage.put(lost.clone());
    vantage.put(over(&lost));
    cluster.members[0].start();
    cluster.members[0].wait_until_ready(1);
    hears_only(&hook, "Meanwhile", &["firing"]);
    assert_eq!(hook.heard("Restarts"), ["firing"]);
    assert_eq!(hook.heard("OverMeanwhile"), [""; 0]);
    // It is over while nobody is there to hear of it.
    cluster.members[0].stop();
    vantage.put(over(&alert));
    vantage.restart(cluster.urls());
    cluster.members[0].start();
    cluster.members[0].wait_until_ready(1);
    hears_only(&hook, "Restarts", &["firing", "resolved"]);
    assert_eq!(hook.heard("Meanwhile"), ["firing"]);
}

#[test]
fn a_member_that_is_down_keeps_nobody_from_being_told_and_catches_up() {
    let hook = Hook::start();
    let mut cluster = Cluster::start(2, &hook);
    let vantage = Vantage::telling(cluster.urls());
    cluster.members[0].stop();
    let alert = firing("OneIsDown");
    vantage.put(alert.clone());
    hears_only(&hook, "OneIsDown", &["firing"]);
    let (down, up) = (cluster.members[0].url(), cluster.members[1].url());
    assert!(vantage.value("errors_total", &down) > 0.0);
    assert!((vantage.value("queue_length", &down) - 1.0).abs() < 0.5);
    assert!(vantage.value("queue_length", &up).abs() < 0.5);
    vantage.put(over(&alert));
    hears_only(&hook, "OneIsDown", &["firing", "resolved"]);
    vantage.put(firing("CaughtUp"));
    wait_for(|| hook.heard("CaughtUp"), |heard| *heard == ["firing"]);
    cluster.members[0].start();
    cluster.members[0].wait_until_ready(2);
    wait_for(
        || cluster.members[0].fires(),
        |names| *names == ["CaughtUp"],
    );
    let left = || vantage.value("queue_length", &down);
    wait_for(left, |left| left.abs() < 0.5);
    hears_only(&hook, "CaughtUp", &["firing"]);
    assert_eq!(hook.heard("OneIsDown"), ["firing", "resolved"]);
}

#[test]
fn two_vantages_tell_of_one_alert_and_neither_ends_it_for_the_other() {
    let hook = Hook::start();
    let cluster = Cluster::start(2, &hook);
    let (one, other) = (
        Vantage::telling(cluster.urls()),
        Vantage::telling(cluster.urls()),
    );
    let seen_from = |region: &str| {
        let mut alert = firing("Shared");
        let region = ("source_region".into(), region.into());
        alert.annotations.extend([region]);
        Alert {
            shared: true,
            ..alert
        }
    };
    let (by_one, by_other) = (seen_from("eu-west"), seen_from("us-east"));
    one.put(by_one.clone());
    other.put(by_other.clone());
    hears_only(&hook, "Shared", &["firing"]);
    one.put(over(&by_one));
    // Until whatever the one has promised has run out for long.
    std::thread::sleep(TIMING.promise * 3 / 2);
    assert_eq!(hook.heard("Shared"), ["firing"]);
    for member in &cluster.members {
        assert_eq!(member.fires(), ["Shared"]);
    }
    other.put(over(&by_other));
    hears_only(&hook, "Shared", &["firing", "resolved"]);
}

#[test]
fn an_alert_that_alertmanager_refuses_keeps_out_no_other() {
    let hook = Hook::start();
    let cluster = Cluster::start(1, &hook);
    let mut vantage = Vantage::new();
    let mut bad = firing("Bad");
    bad.labels.insert("no-name".into(), "x".into());
    vantage.put(bad.clone());
    let good: Vec<_> = (0..5).map(|n| firing(&format!("Good{n}"))).collect();
    for alert in &good {
        vantage.put(alert.clone());
    }
    vantage.start(cluster.urls(), TIMING);
    for alert in &good {
        wait_for(|| hook.heard(&alert.rule), |heard| *heard == ["firing"]);
    }
    let url = cluster.members[0].url();
    wait_for(
        || vantage.value("queue_length", &url),
        |left| left.abs() < 0.5,
    );
    std::thread::sleep(A_WHILE);
    // Once, although all others are told again and again.
    let dropped = vantage.value("alerts_dropped_total", &url);
    assert!((dropped - 1.0).abs() < 0.5, "{dropped}");
    assert!(vantage.value("alerts_sent_total", &url) >= 10.0);
    assert_eq!(hook.heard("Bad"), [""; 0]);
    assert_eq!(cluster.members[0].fires().len(), good.len());
}

#[test]
fn a_muted_alert_is_over_to_people_and_news_when_it_is_muted_no_more() {
    let hook = Hook::start();
    let cluster = Cluster::start(1, &hook);
    let vantage = Vantage::telling(cluster.urls());
    let alert = firing("Muted");
    vantage.put(alert.clone());
    wait_for(|| hook.heard("Muted"), |heard| *heard == ["firing"]);
    let silence = Some(Mute::Silence("x".into()));
    vantage.alerts.mute(alert.fingerprint(), silence);
    hears_only(&hook, "Muted", &["firing", "resolved"]);
    vantage.alerts.mute(alert.fingerprint(), None);
    hears_only(&hook, "Muted", &["firing", "resolved", "firing"]);
}

#[test]
fn the_daemon_tells_a_test_from_the_command_line_and_shows_each_member() {
    let hook = Hook::start();
    let cluster = Cluster::start(1, &hook);
    let url = cluster.members[0].url();
    let config = format!(
        "region: eu-west\nregions: [{{ name: eu-west }}]\n\
         probes: [{{ name: p, check: {{ tcp: {{}} }}, targets: {{ eu-west: \"127.0.0.1:9\" }} }}]\n\
         receivers: [{{ name: am, alertmanager: {{ urls: [\"{url}\"] }} }}]\n"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, &config).expect("writable");
    let mut command = hotspare();
    command.args(["notify", "test", "--receiver", "am", "--config.file"]);
    let said = run(command.arg(&file));
    assert_eq!(said, format!("taken: {url}\n"));
    wait_for(|| hook.heard("HotspareTest"), |heard| *heard == ["firing"]);
    let daemon = Daemon::start(&config);
    let page = parse(&daemon.get("/metrics").text(), Format::Text);
    let labels = [("receiver", "am"), ("endpoint", &*url)];
    let queue = page.one("hotspare_alertmanager_queue_length", &labels);
    assert!(queue.abs() < 0.5, "{queue}");
}

#[test]
fn what_always_fires_is_told_and_not_counted() {
    let hook = Hook::start();
    let cluster = Cluster::start(1, &hook);
    let url = cluster.members[0].url();
    let daemon = Daemon::start(&format!(
        "region: eu-west\nregions: [{{ name: eu-west }}]\n\
         probes: [{{ name: p, check: {{ tcp: {{}} }}, targets: {{ eu-west: \"127.0.0.1:9\" }} }}]\n\
         receivers: [{{ name: am, alertmanager: {{ urls: [\"{url}\"] }} }}]\n"
    ));
    wait_for(
        || hook.heard("HotspareWatchdog"),
        |heard| *heard == ["firing"],
    );
    let page = parse(&daemon.get("/metrics").text(), Format::Text);
    for state in ["pending", "firing", "muted", "resolved"] {
        let alerts = page.one("hotspare_alerts", &[("state", state)]);
        assert!(alerts.abs() < 0.5, "{state}: {alerts}");
    }
}

#[test]
fn what_was_not_told_is_told_at_an_orderly_end() {
    let hook = Hook::start();
    let cluster = Cluster::start(1, &hook);
    let mut vantage = Vantage::new();
    vantage.put(firing("First"));
    let never = Timing {
        gather: Duration::from_hours(1),
        ..TIMING
    };
    vantage.start(cluster.urls(), never);
    wait_for(|| hook.heard("First"), |heard| *heard == ["firing"]);
    vantage.put(firing("Last"));
    vantage.stop();
    wait_for(|| hook.heard("Last"), |heard| *heard == ["firing"]);
}
