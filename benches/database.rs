//! What one run of a probe of a database costs, against a real server on this machine: time,
//! allocations, and the CPU time of both ends.
//!
//! `cargo bench --bench database`; `./scripts/test` names the packages of the servers.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot go on may panic"
)]

#[path = "../tests/it/authority.rs"]
mod authority;
#[path = "../tests/it/fault.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::wildcard_imports,
    reason = "the servers' own tests use it"
)]
mod fault;
#[path = "../tests/it/link.rs"]
#[expect(
    dead_code,
    clippy::wildcard_imports,
    reason = "the servers' own tests use it"
)]
mod link;
#[path = "../tests/it/local_server.rs"]
mod local_server;
#[path = "../tests/it/mariadb_server.rs"]
#[expect(dead_code, clippy::wildcard_imports, reason = "tests need more of it")]
mod mariadb_server;
#[path = "../tests/it/postgres_server.rs"]
#[expect(dead_code, clippy::wildcard_imports, reason = "tests need more of it")]
mod postgres_server;
#[path = "../tests/it/process.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod process;
#[path = "../tests/it/redis_server.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::wildcard_imports,
    reason = "tests need more of it"
)]
mod redis_server;

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use hotspare::files::Files;
use hotspare::model::{DatabaseFacts, Epoch, Incarnation, Order, Phase, Reply};
use hotspare::net::{Icmp, Resolver, Roots, Stopwatch};
use hotspare::probe::{CanaryName, Check, Context, DEFAULT_USER, Probe, setup};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::mariadb_server::MariadbServer;
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Where the servers of [`Stage`] are, for the benchmarks, which are functions without a state.
static PLACES: OnceLock<Places> = OnceLock::new();

/// Measurements of CPU time for each case, of which the median is told.
const ROUNDS: usize = 5;
/// How long each takes: the server's CPU time is known to 10 ms.
const ROUND: Duration = Duration::from_millis(600);
const PASSWORD: &str = "right";

fn main() {
    let stage = Stage::set();
    PLACES.get_or_init(|| stage.places());
    // Whoever asks for some cases only asks divan.
    if std::env::args().skip(1).all(|word| word.starts_with('-')) {
        report();
    }
    divan::main();
}

/// The servers, which end with the value.
struct Stage {
    postgres: PostgresServer,
    mariadb: MariadbServer,
    redis: RedisServer,
    redis_tls: RedisServer,
    /// What the settings of the probes name.
    files: tempfile::TempDir,
}

struct Places {
    postgres: String,
    mariadb: String,
    redis: String,
    redis_tls: String,
    files: PathBuf,
}

impl Stage {
    fn set() -> Self {
        let files = tempfile::tempdir().expect("folder");
        let authority = Authority::new("authority");
        fs::write(files.path().join("ca.pem"), &authority.pem).expect("write");
        fs::write(files.path().join("password"), PASSWORD).expect("write");
        Self {
            postgres: postgres(&authority),
            mariadb: mariadb(&authority),
            redis: redis(None),
            redis_tls: redis(Some(&authority)),
            files,
        }
    }

    fn places(&self) -> Places {
        Places {
            postgres: self.postgres.address(),
            mariadb: self.mariadb.address().to_string(),
            redis: self.redis.address().to_string(),
            redis_tls: self.redis_tls.address().to_string(),
            files: self.files.path().to_owned(),
        }
    }
}

/// With the rights that operators are asked for, but for the number of connections: those of earlier
/// runs are still ending here.
fn postgres(authority: &Authority) -> PostgresServer {
    let mut server = PostgresServer::init();
    server.use_tls(authority, &authority.identity(&["127.0.0.1"]));
    server.allow("host all all 127.0.0.1/32 scram-sha-256");
    server.configure("log_connections = off");
    server.start();
    server.sql(setup::POSTGRES);
    server.sql(&format!(
        "ALTER ROLE {DEFAULT_USER} PASSWORD '{PASSWORD}' CONNECTION LIMIT -1"
    ));
    server
}

/// As [`postgres`].
fn mariadb(authority: &Authority) -> MariadbServer {
    let mut server = MariadbServer::init(1);
    server.use_tls(authority, &authority.identity(&["127.0.0.1"]));
    server.start();
    server.sql(setup::MYSQL);
    server.sql(&format!(
        "ALTER USER {DEFAULT_USER} IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS 0 ACCOUNT UNLOCK"
    ));
    server
}

/// With the rights that operators are asked for.
fn redis(authority: Option<&Authority>) -> RedisServer {
    let mut server = RedisServer::new();
    if let Some(authority) = authority {
        server.use_tls(authority, &authority.identity(&["127.0.0.1"]));
    }
    server.start();
    for line in setup::REDIS.lines() {
        server.command(&line.split(' ').collect::<Vec<_>>());
    }
    server.command(&["ACL", "SETUSER", DEFAULT_USER, &format!(">{PASSWORD}")]);
    server
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Postgres,
    /// `MariaDB` stands for `MySQL` too.
    Mysql,
    Redis,
}

/// What a run asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// The query alone.
    Query,
    /// And what there is to know of replication.
    Replication,
    /// And the canary, which is read and written.
    Canary,
}

#[derive(Clone, Copy)]
struct Case {
    kind: Kind,
    connection: &'static str,
    tls: bool,
    ask: Ask,
}

impl Case {
    fn all(kind: Kind) -> Vec<Self> {
        let mut cases = Vec::new();
        for connection in ["fresh", "reuse"] {
            for tls in [false, true] {
                for ask in [Ask::Query, Ask::Replication, Ask::Canary] {
                    cases.push(Self {
                        kind,
                        connection,
                        tls,
                        ask,
                    });
                }
            }
        }
        cases
    }

    fn check(self) -> Value {
        let name = match self.kind {
            Kind::Postgres => "postgres",
            Kind::Mysql => "mysql",
            Kind::Redis => "redis",
        };
        let mut settings = json!({
            "password_file": "password",
            "connection": self.connection,
            "replication": self.ask != Ask::Query,
            "canary": self.ask == Ask::Canary,
        });
        let of_kind = match self.kind {
            Kind::Postgres | Kind::Mysql => json!({
                "user": DEFAULT_USER,
                "database": if self.kind == Kind::Postgres { "postgres" } else { "hotspare" },
                "tls": if self.tls { "verify-full" } else { "disable" },
                "ca_file": self.tls.then_some("ca.pem"),
            }),
            Kind::Redis => json!({
                "username": DEFAULT_USER,
                "tls": self.tls.then(|| json!({ "ca_file": "ca.pem" })),
                "allow_cleartext": true,
            }),
        };
        let all = settings.as_object_mut().expect("object");
        all.extend(of_kind.as_object().expect("object").clone());
        json!({ name: settings })
    }

    fn address(self, places: &Places) -> &str {
        match self.kind {
            Kind::Postgres => &places.postgres,
            Kind::Mysql => &places.mariadb,
            Kind::Redis if self.tls => &places.redis_tls,
            Kind::Redis => &places.redis,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "tls" } else { "plain" };
        let ask = match self.ask {
            Ask::Query => "query",
            Ask::Replication => "replication",
            Ask::Canary => "canary",
        };
        f.pad(&format!("{} {tls} {ask}", self.connection))
    }
}

/// A probe of one target, and the runtime that it runs on.
struct Visitor {
    probe: Arc<dyn Probe>,
    runtime: Runtime,
    /// The server that canaries are ordered for.
    to: Incarnation,
    seq: Cell<u64>,
}

impl Visitor {
    /// One that has made its first runs.
    fn new(case: Case) -> Self {
        let places = PLACES.get().expect("set");
        let mut visitor = Self {
            probe: probe(&case.check(), case.address(places), &places.files),
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime"),
            to: Incarnation::default(),
            seq: Cell::new(0),
        };
        let (reply, _) = visitor.run();
        if let Some(replication) = database(&reply).replication {
            visitor.to = replication.incarnation();
        }
        visitor.order();
        let (reply, _) = visitor.run();
        let told = database(&reply);
        assert_eq!(told.withheld, None, "{case}");
        assert_eq!(told.replication.is_some(), case.ask != Ask::Query, "{case}");
        let write = told
            .canary
            .as_ref()
            .and_then(|canary| canary.write.as_ref());
        let written = write.is_some_and(|write| write.outcome.is_ok());
        assert_eq!(written, case.ask == Ask::Canary, "{case}: {write:?}");
        visitor
    }

    /// Orders the canary of the next run, if it has one.
    fn order(&self) {
        if let Some(pen) = self.probe.pen() {
            self.seq.set(self.seq.get() + 1);
            pen.order(Some(Order {
                seq: self.seq.get(),
                to: self.to.clone(),
            }));
        }
    }

    fn run(&self) -> (Reply, Stopwatch) {
        let mut watch = Stopwatch::start();
        let result = self.runtime.block_on(self.probe.run(&mut watch));
        let reply = result.unwrap_or_else(|failure| panic!("{failure}"));
        (reply, watch)
    }
}

fn probe(check: &Value, address: &str, files: &Path) -> Arc<dyn Probe> {
    let check: Check = serde_json::from_value(check.clone()).expect("settings");
    let context = Context {
        icmp: Arc::new(Icmp::new()),
        resolver: Arc::new(Resolver::from_system().expect("resolver")),
        roots: Arc::new(Roots::default()),
        files: Files::new(None, files.to_owned()),
        timeout: Duration::from_mins(1),
        canary: CanaryName {
            vantage: "eu-west".into(),
            probe: "orders".into(),
            epoch: Epoch(1),
        },
    };
    let template = check.prepare(&context).unwrap_or_else(|p| panic!("{p:?}"));
    template.target(address).expect("an address")
}

/// What the server told; with the query alone, Redis tells nothing.
fn database(reply: &Reply) -> DatabaseFacts {
    reply.facts.database.as_deref().cloned().unwrap_or_default()
}

#[divan::bench(args = Case::all(Kind::Postgres), sample_count = 200, sample_size = 1)]
fn postgres_run(bencher: Bencher<'_, '_>, case: &Case) {
    one_run(bencher, *case);
}

#[divan::bench(args = Case::all(Kind::Mysql), sample_count = 200, sample_size = 1)]
fn mysql_run(bencher: Bencher<'_, '_>, case: &Case) {
    one_run(bencher, *case);
}

#[divan::bench(args = Case::all(Kind::Redis), sample_count = 200, sample_size = 1)]
fn redis_run(bencher: Bencher<'_, '_>, case: &Case) {
    one_run(bencher, *case);
}

fn one_run(bencher: Bencher<'_, '_>, case: Case) {
    let visitor = Visitor::new(case);
    bencher
        .with_inputs(|| visitor.order())
        .bench_local_values(|()| visitor.run());
}

/// The CPU time of both ends, which divan does not tell.
#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn report() {
    println!("CPU time of one run, medians of {ROUNDS} rounds, in microseconds");
    println!(
        "{:32} {:>8} {:>8} {:>12}",
        "", "client", "server", "connections"
    );
    for kind in [Kind::Postgres, Kind::Mysql, Kind::Redis] {
        let visitors = Case::all(kind)
            .into_iter()
            .map(|case| (case, Visitor::new(case)));
        let visitors: Vec<_> = visitors.collect();
        let mut rounds: Vec<Vec<Cost>> = vec![Vec::new(); visitors.len()];
        // In turns: what else this machine does falls on all of them.
        for _ in 0..ROUNDS {
            for ((_, visitor), costs) in visitors.iter().zip(&mut rounds) {
                costs.push(round(visitor));
            }
        }
        for ((case, _), costs) in visitors.iter().zip(&rounds) {
            let median = |of: fn(&Cost) -> f64| {
                let mut values: Vec<f64> = costs.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                values[ROUNDS / 2]
            };
            println!(
                "{:32} {:8.0} {:8.0} {:12.2}",
                format!("{kind:?} {case}"),
                median(|cost| cost.client),
                median(|cost| cost.server),
                median(|cost| cost.connections),
            );
        }
    }
}

/// What one run costs, on average over a round.
#[derive(Clone, Copy)]
struct Cost {
    /// Microseconds of this process.
    client: f64,
    /// Microseconds of the server's processes.
    server: f64,
    connections: f64,
}

fn round(visitor: &Visitor) -> Cost {
    let (client, server) = (own_cpu(), servers_cpu());
    let (mut runs, mut connections) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < ROUND {
        visitor.order();
        let (_, watch) = visitor.run();
        runs += 1;
        let connected = watch
            .laps()
            .iter()
            .any(|(phase, _)| phase == Phase::Connect);
        connections += u32::from(connected);
    }
    let client = own_cpu().checked_sub(client).expect("it only grows");
    // The server's last sessions end behind the client's back.
    std::thread::sleep(Duration::from_millis(50));
    let server = servers_cpu().saturating_sub(server);
    let runs = f64::from(runs);
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / runs;
    Cost {
        client: micros(client),
        server: micros(server),
        connections: f64::from(connections) / runs,
    }
}

/// CPU time of this process.
fn own_cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .expect("positive")
}

/// CPU time of all that this process started, and of what ended among their own.
fn servers_cpu() -> Duration {
    // A tick is 10 ms, on every architecture of Linux that Rust knows.
    children_of("self")
        .iter()
        .map(|id| tree_cpu(id))
        .sum::<u32>()
        * Duration::from_millis(10)
}

/// Ticks of a process, of its children that ended, and of those that live.
fn tree_cpu(id: &str) -> u32 {
    // It may have ended by now: its parent has its time then.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // After the name in brackets, from the third on: utime, stime, cutime, cstime are 14 to 17.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let own = fields
        .skip(11)
        .take(4)
        .filter_map(|ticks| ticks.parse::<u32>().ok());
    own.sum::<u32>() + children_of(id).iter().map(|id| tree_cpu(id)).sum::<u32>()
}

fn children_of(id: &str) -> Vec<String> {
    let lists = glob::glob(&format!("/proc/{id}/task/*/children")).expect("pattern");
    let lists = lists.filter_map(Result::ok);
    let texts = lists.filter_map(|path| fs::read_to_string(path).ok());
    texts
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}
