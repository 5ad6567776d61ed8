//! A service in three regions: an app and a database in each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::runtime::Runtime;

use crate::alerting::Watch;
use crate::http::server::{Server, answer_one};
use crate::link::Link;
use crate::postgres_server::PostgresServer;
use crate::replication::postgres::{address, primary, standby_of, write};
use crate::vantages::{REGIONS, Said, Vantages};

/// The app of one region.
pub(super) struct App {
    /// The status that it answers with.
    status: Arc<AtomicU16>,
    server: Server,
}

impl App {
    fn start(runtime: &Runtime) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answers = Arc::clone(&status);
        let server = Server::start(move |stream, seen| {
            let status = answers.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
            async move { answer_one(stream, &seen, answer.as_bytes()).await }
        });
        Self {
            status,
            server: runtime.block_on(server),
        }
    }

    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

/// How one vantage reaches the primary's region.
pub(super) struct Way {
    orders: Link,
    app: Link,
}

impl Way {
    pub(super) fn cut(&self) {
        self.orders.cut();
        self.app.cut();
    }

    pub(super) fn black_hole(&self) {
        self.orders.black_hole();
        self.app.black_hole();
    }

    pub(super) fn pass(&self) {
        self.orders.pass();
        self.app.pass();
    }
}

/// The region of a standby.
pub(super) struct Standby {
    pub(super) server: PostgresServer,
    /// What it receives through.
    pub(super) stream: Link,
    /// What all vantages reach it through.
    pub(super) to: Link,
    pub(super) app: App,
}

impl Standby {
    fn of(primary: &PostgresServer, name: &str, runtime: &Runtime) -> Self {
        let (server, stream) = standby_of(primary, name);
        Self {
            to: Link::to(address(&server)),
            app: App::start(runtime),
            server,
            stream,
        }
    }
}

/// The service, with a daemon in each region. The first region is the primary's.
pub(super) struct Shop {
    pub(super) vantages: Vantages,
    pub(super) ways: [Way; 3],
    pub(super) primary: PostgresServer,
    /// Those of `eu-central` and of `us-east`.
    pub(super) standbys: [Standby; 2],
    _app: App,
    _runtime: Runtime,
}

impl Shop {
    pub(super) fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let primary = primary();
        let app = App::start(&runtime);
        let standbys = ["central", "east"].map(|name| Standby::of(&primary, name, &runtime));
        let ways = REGIONS.map(|_| Way {
            orders: Link::to(address(&primary)),
            app: Link::to(app.server.address),
        });
        let configs = ways.each_ref().map(|way| config(way, &standbys));
        Self {
            vantages: Vantages::start(configs),
            ways,
            primary,
            standbys,
            _app: app,
            _runtime: runtime,
        }
    }

    /// Somebody who watches, from a moment on at which all is well.
    pub(super) fn watch(&self) -> Watch {
        for standby in &REGIONS[1..] {
            self.say("what is well", standby, |said| said.state() == "ready");
        }
        let watch = Watch::over(&self.vantages.addresses());
        watch.wait_until_ready(2);
        watch
    }

    /// Waits until every daemon says so of the standby.
    pub(super) fn say(&self, what: &str, standby: &str, say: impl Fn(&Said<'_>) -> bool) {
        self.vantages.wait_until_all(what, standby, say);
    }

    pub(super) fn write(&self) {
        write(&self.primary);
    }
}

fn config(way: &Way, [central, east]: &[Standby; 2]) -> String {
    let [west, middle, far] = REGIONS;
    format!(
        "regions: [{{ name: {west} }}, {{ name: {middle} }}, {{ name: {far} }}]\n\
         defaults: {{ interval: 1s, timeout: 900ms }}\n\
         probes:\n\
         - name: app\n\
         \x20 check: {{ http: {{ host: shop.example }} }}\n\
         \x20 targets: {{ {west}: \"http://{}\", {middle}: \"http://{}\", {far}: \"http://{}\" }}\n\
         - name: orders\n\
         \x20 check: {{ postgres: {{ user: hotspare_probe, database: postgres, tls: disable, canary: true }} }}\n\
         \x20 targets: {{ {west}: \"{}\", {middle}: \"{}\", {far}: \"{}\" }}\n\
         groups:\n\
         - name: shop\n\
         \x20 primary: {west}\n\
         \x20 standbys: [{middle}, {far}]\n\
         \x20 probes: [app, orders]\n\
         \x20 objectives: {{ rpo: 6s }}\n",
        way.app.address(),
        central.app.server.address,
        east.app.server.address,
        way.orders.address(),
        central.to.address(),
        east.to.address(),
    )
}
