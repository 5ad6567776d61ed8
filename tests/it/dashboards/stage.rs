//! What the dashboards show: three daemons that probe real servers, and who watches them.
//!
//! Nearly all is well. One target was never there, so that alerts fire, and one of the receivers
//! takes nothing.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::alerting::{Alertmanager, Watch};
use crate::daemon::hotspare;
use crate::dns::Dnsmasq;
use crate::hook::Hook;
use crate::link::Link;
use crate::mariadb_server::MariadbServer;
use crate::nginx::Nginx;
use crate::postgres_server::PostgresServer;
use crate::process::run;
use crate::redis_server::RedisServer;
use crate::replication::postgres::{address, primary, standby_of};
use crate::replication::{mariadb, redis};
use crate::vantages::{REGIONS, Vantages};

/// What everybody reaches in a region, by the name of the probe.
pub(super) struct Region {
    ways: Vec<(&'static str, Link)>,
}

impl Region {
    fn way(&self, probe: &str) -> Option<&Link> {
        let mut ways = self.ways.iter();
        ways.find(|(name, _)| *name == probe).map(|(_, way)| way)
    }

    /// Nobody reaches anything of it any more.
    pub(super) fn cut(&self) {
        self.ways.iter().for_each(|(_, way)| way.cut());
    }

    /// What is said over the way to a probe's target comes that much later, each way.
    pub(super) fn slow(&self, probe: &str, by: Duration) {
        let mut ways = self.ways.iter();
        let way = ways.find(|(name, _)| *name == probe);
        way.expect("a way to it").1.slow(by);
    }

    /// Everything of it can be reached again.
    pub(super) fn pass(&self) {
        self.ways.iter().for_each(|(_, way)| way.pass());
    }
}

/// A service in three regions with a daemon in each, and all that belongs to it.
pub(super) struct Stage {
    pub(super) watch: Watch,
    pub(super) vantages: Vantages,
    /// In the order of [`REGIONS`].
    pub(super) regions: [Region; 3],
    /// The standbys of `orders`: those of `eu-central` and of `us-east`.
    pub(super) standbys: [(PostgresServer, Link); 2],
    servers: Servers,
    _receivers: [Hook; 2],
    _folder: TempDir,
}

struct Servers {
    nginx: Nginx,
    orders: PostgresServer,
    sessions: (RedisServer, RedisServer, Link),
    ledger: (MariadbServer, MariadbServer, Link),
    names: Dnsmasq,
    /// That of `names`.
    _runtime: Runtime,
}

impl Servers {
    fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("runtime");
        Self {
            nginx: Nginx::start("shop.example"),
            orders: primary(),
            sessions: redis::pair_of_servers(),
            ledger: mariadb::pair_of_servers(),
            names: runtime.block_on(Dnsmasq::start()),
            _runtime: runtime,
        }
    }

    /// The ways to what is in a region, by its place; the database is that of `orders`.
    fn region(&self, place: usize, orders: &PostgresServer) -> Region {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut ends = vec![
            ("app", local(self.nginx.https)),
            ("queue", local(self.nginx.http)),
            ("names", self.names.address),
            ("orders", address(orders)),
        ];
        match place {
            0 => {
                ends.push(("sessions", self.sessions.0.address()));
                ends.push(("ledger", self.ledger.0.address()));
            }
            1 => ends.push(("sessions", self.sessions.1.address())),
            // That server is there once the daemons are.
            _ => {
                ends.push(("ledger", self.ledger.1.address()));
                ends.push(("capacity", local(self.nginx.http)));
            }
        }
        let ways = ends.into_iter().map(|(name, end)| (name, Link::to(end)));
        Region {
            ways: ways.collect(),
        }
    }
}

impl Stage {
    /// Sets it up, and waits until every standby is ready by everybody.
    pub(super) fn set() -> Self {
        let servers = Servers::start();
        let standbys = ["central", "east"].map(|name| standby_of(&servers.orders, name));
        let [central, east] = &standbys;
        let databases = [&servers.orders, &central.0, &east.0];
        let regions = [0, 1, 2].map(|place| servers.region(place, databases[place]));
        let alertmanager = Alertmanager::start();
        let receivers = ["200 OK", "503 Not Now"].map(Hook::answering);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("pw"), "right").expect("writable");
        fs::write(folder.path().join("ca.pem"), &servers.nginx.ca).expect("writable");
        let all = probes(&regions, &folder)
            + GROUPS
            + &held()
            + RULES
            + &told(&receivers, alertmanager.address)
            + &format!(
                "heartbeat: {{ url: \"http://127.0.0.1:{}/\", interval: 5s }}\n",
                servers.nginx.http
            );
        let configs = REGIONS.map(|region| {
            let state = folder.path().join(region);
            fs::create_dir(&state).expect("writable");
            format!("state_dir: {}\n{all}", state.display())
        });
        let vantages = Vantages::start(configs);
        let watch = Watch::with(alertmanager, &vantages.addresses());
        let stage = Self {
            watch,
            vantages,
            regions,
            standbys,
            servers,
            _receivers: receivers,
            _folder: folder,
        };
        stage.begin();
        stage
    }

    fn begin(&self) {
        let capacity = self.regions[2].way("capacity").expect("a way");
        capacity.retarget(self.watch.prometheus.address);
        self.wait_until_ready();
        self.fail_over_and_back();
        self.wait_until_ready();
        self.drill(&["start", "--kind", "read_route", "--id", "done"]);
        self.drill(&["finish"]);
        self.drill(&["start", "--kind", "switchover", "--id", "open"]);
        let prometheus = &self.watch.prometheus;
        prometheus.wait_for("hotspare_alerts > 0", "state", |found| {
            let has = |state: &str| found.iter().any(|(name, _)| name == state);
            has("firing") && has("pending") && has("muted")
        });
    }

    /// Waits until Prometheus has it from every daemon that every standby is ready.
    pub(super) fn wait_until_ready(&self) {
        let prometheus = &self.watch.prometheus;
        let said = READY * REGIONS.len();
        prometheus.wait_for("hotspare_failover_ready == 1", "group", |found| {
            found.len() == said
        });
        let together = "group_standby:hotspare_failover_ready:quorum == 1";
        prometheus.wait_for(together, "group", |found| found.len() == READY);
    }

    fn drill(&self, arguments: &[&str]) {
        for address in self.vantages.addresses() {
            let url = format!("http://{address}");
            let mut drill = hotspare();
            drill.arg("drill").args(arguments);
            run(drill.args(["--group", "shop", "--url", &url]));
        }
    }

    /// The sessions fail over, while the path of their users is interrupted, and back.
    fn fail_over_and_back(&self) {
        let prometheus = &self.watch.prometheus;
        let everywhere = |query: &str| {
            let all = |found: &[(String, f64)]| found.len() == REGIONS.len();
            prometheus.wait_for(query, "source_region", all);
        };
        let path = self.regions[0].way("queue").expect("a way");
        path.cut();
        everywhere("hotspare_probe_up{probe=\"queue\",target_region=\"eu-west\"} == 0");
        let (primary, replica, stream) = &self.servers.sessions;
        replica.command(&["REPLICAOF", "NO", "ONE"]);
        primary.replicate_from(replica.address());
        everywhere("hotspare_failover_events_total{group=\"sessions\"} > 0");
        path.pass();
        primary.command(&["REPLICAOF", "NO", "ONE"]);
        replica.replicate_from(stream.address());
    }
}

/// The standbys that are ready: two of `shop`, one of `sessions` and of `ledger` each.
const READY: usize = 4;

fn probes(regions: &[Region; 3], folder: &TempDir) -> String {
    let folder = folder.path().display();
    let database = "user: hotspare_probe, tls: disable, canary: true";
    let checks = [
        (
            "app",
            format!(
                "http: {{ host: shop.example, tls: {{ ca_file: {folder}/ca.pem }}, version: {{ json: /build/sha }} }}"
            ),
        ),
        ("queue", "tcp: {}".to_owned()),
        (
            "names",
            "dns: { name: db.example, transport: tcp }".to_owned(),
        ),
        (
            "orders",
            format!("postgres: {{ database: postgres, {database} }}"),
        ),
        (
            "sessions",
            format!(
                "redis: {{ username: hotspare_probe, password_file: {folder}/pw, allow_cleartext: true, canary: true }}"
            ),
        ),
        (
            "ledger",
            format!("mysql: {{ password_file: {folder}/pw, {database} }}"),
        ),
        (
            "capacity",
            "prometheus: { query: \"vector(80)\" }".to_owned(),
        ),
    ];
    let names = REGIONS.map(|name| format!("{{ name: {name}, jurisdiction: EU }}"));
    let mut text = format!(
        "regions: [{}]\ndefaults: {{ interval: 1s, timeout: 900ms, objective: 99.9% }}\nprobes:\n",
        names.join(", ")
    );
    for (probe, check) in checks {
        let targets = REGIONS.iter().zip(regions).filter_map(|(region, all)| {
            let at = all.way(probe)?.address();
            Some(match probe {
                "app" => format!("{region}: \"https://{at}/json\""),
                "capacity" => format!("{region}: \"http://{at}\""),
                _ => format!("{region}: \"{at}\""),
            })
        });
        let targets: Vec<_> = targets.collect();
        writeln!(
            text,
            "- {{ name: {probe}, check: {{ {check} }}, targets: {{ {} }} }}",
            targets.join(", ")
        )
        .expect("a string");
    }
    text + OTHER_PROBES
}

/// Pings, which nobody can cut, so that there are none to `eu-central`; and what was never there.
const OTHER_PROBES: &str = "\
- { name: net, check: { ping: {} }, targets: { eu-west: 127.0.0.1, us-east: 127.0.0.3 } }
- { name: gone, check: { tcp: {} }, targets: { us-east: \"127.0.0.1:1\" } }
";

const GROUPS: &str = "\
groups:
- name: shop
  primary: eu-west
  standbys: [eu-central, us-east]
  probes: [app, queue, names, orders, capacity]
  objectives: { rpo: 15s, rto: 15m }
  jurisdictions: [EU]
  checks:
  - { probe: capacity, check: value, below: 64 }
  # It fails, and is no gate.
  - { probe: app, check: latency, above: 1us }
  - { check: drill_age, above: 90d }
- name: sessions
  primary: eu-west
  standbys: [eu-central]
  probes: [sessions]
  objectives: { rpo: 15s }
  block_after_failover: 0s
  user_path: queue
- name: ledger
  primary: eu-west
  standbys: [us-east]
  probes: [ledger]
  objectives: { rpo: 15s }
  # MariaDB does not tell what its logs still have.
  checks: [{ probe: ledger, check: unrecoverable, gate: off }]
";

/// A group whose standby is on hold.
fn held() -> String {
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    format!(
        "- name: archive\n\
         \x20 primary: eu-west\n\
         \x20 standbys: [us-east]\n\
         \x20 probes: [net, queue]\n\
         \x20 holds: [{{ standby: us-east, reason: disk swap, until: {tomorrow:.0} }}]\n"
    )
}

/// One fires, one fires while nobody is told, and one waits for longer than any test.
const RULES: &str = "\
rules:
- { name: TargetFails, when: { failures: {} }, severity: warning }
- { name: StandbyNotReady, when: { readiness: { state: not_ready } }, severity: critical }
- { name: NobodyCares, when: { failures: { probe: gone } }, severity: info }
- { name: TooMany, when: { failure_ratio: { above: 50%, over: 5s } }, severity: warning }
- { name: SomedaySlow, when: { latency: { probe: app, above: 1us, over: 5s } }, for: 1d, severity: info }
maintenance:
- { name: always, starts: \"* * * * *\", lasts: 1d, match: { alertname: NobodyCares } }
";

fn told([takes, refuses]: &[Hook; 2], alertmanager: SocketAddr) -> String {
    format!(
        "alerting: {{ group_wait: 0s, group_interval: 1s, repeat_interval: 10s }}\n\
         receivers:\n\
         - {{ name: ops, webhook: {{ url: \"http://{}/\" }} }}\n\
         - {{ name: broken, webhook: {{ url: \"http://{}/\" }} }}\n\
         - {{ name: am, alertmanager: {{ urls: [\"http://{alertmanager}\"] }} }}\n",
        takes.address, refuses.address
    )
}
