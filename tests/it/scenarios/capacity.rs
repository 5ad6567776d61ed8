//! Whether standbys could carry the load, by a Prometheus that tells it or does not.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::alerting::{Expected, Watch};
use crate::daemon::Daemon;
use crate::http::server::Server;
use crate::prometheus::Prometheus;
use crate::vantages::wait_until;

/// The standbys, and what is asked of each.
const QUERIES: [(&str, &str); 5] = [
    ("enough", "cores"),
    ("few", "cores / 4"),
    ("empty", "missing"),
    ("undefined", "cores * 0 / 0"),
    ("old", "cores_then"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capacity_that_nobody_tells_is_unknown_and_never_ready() {
    let exporter = Server::answering(cores()).await;
    let prometheus = Prometheus::start(&[exporter.address]);
    prometheus.wait_for("cores_then", "", |found| found.len() == 1);
    let app = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let daemon = Daemon::start(&config(app.address, &prometheus.url()));
    for (standby, state, check) in [
        ("enough", "ready", "pass"),
        ("few", "not_ready", "fail threshold"),
        ("empty", "unknown", "unknown no_value"),
        ("undefined", "unknown", "unknown no_value"),
        ("old", "unknown", "unknown old"),
    ] {
        wait_until(&daemon, "its capacity", standby, |said| {
            said.state() == state && said.check(&format!("{standby}-cores/value")) == check
        });
    }
    let watch = Watch::over(&[daemon.address]);
    watch.hears_only(Expected {
        told: &["page HotspareStandbyNotReady shop few"],
        follows: &[
            "ticket HotspareStandbyUnknown shop empty",
            "ticket HotspareStandbyUnknown shop undefined",
            "ticket HotspareStandbyUnknown shop old",
        ],
        ..Expected::default()
    });
}

/// What an exporter shows: a sample without a time, and one that is two minutes old.
fn cores() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let then = now.saturating_sub(Duration::from_mins(2)).as_millis();
    let samples = format!("cores 64\ncores_then 64 {then}\n");
    let length = samples.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{samples}"
    )
}

fn config(app: SocketAddr, prometheus: &str) -> String {
    let mut regions = String::from("{ name: west }");
    let mut targets = format!("west: \"http://{app}\"");
    let (mut probes, mut names, mut checks) = (String::new(), String::new(), String::new());
    for (standby, query) in QUERIES {
        let parts = [
            write!(regions, ", {{ name: {standby} }}"),
            write!(targets, ", {standby}: \"http://{app}\""),
            write!(names, ", {standby}-cores"),
            writeln!(
                checks,
                "\x20 - {{ probe: {standby}-cores, check: value, below: 32 }}"
            ),
            writeln!(
                probes,
                "- name: {standby}-cores\n\
                 \x20 check: {{ prometheus: {{ query: \"{query}\", max_age: 1m }} }}\n\
                 \x20 from: [west]\n\
                 \x20 targets: {{ {standby}: \"{prometheus}\" }}"
            ),
        ];
        parts.into_iter().collect::<Result<(), _>>().expect("text");
    }
    format!(
        "region: west\n\
         regions: [{regions}]\n\
         defaults: {{ interval: 1s, timeout: 900ms }}\n\
         probes:\n\
         - name: web\n\
         \x20 check: {{ http: {{}} }}\n\
         \x20 from: [west]\n\
         \x20 targets: {{ {targets} }}\n\
         {probes}\
         groups:\n\
         - name: shop\n\
         \x20 primary: west\n\
         \x20 standbys: [enough, few, empty, undefined, old]\n\
         \x20 probes: [web{names}]\n\
         \x20 checks:\n{checks}"
    )
}
