//! The whole daemon against real servers, and against servers that are at fault.
#![expect(clippy::float_cmp, reason = "counts and flags are exact")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::daemon::{Daemon, Series, hotspare};
use crate::dns::Dnsmasq;
use crate::fault::{Fault, HTTP_ANSWER};
use crate::nginx::Nginx;
use crate::page::promtool_accepts;
use crate::postgres_server::{Authority, PostgresServer};
use crate::prometheus::{Prometheus, Wish, proxy};

/// With deadlines that a busy machine keeps as well.
const HEAD: &str = "region: here\nregions: [{ name: here }, { name: there }]\n\
                    defaults: { interval: 2s, timeout: 1900ms }\nprobes:\n";

/// A PostgreSQL that lets `watcher` in by password over TLS only.
fn postgres(authority: &Authority) -> PostgresServer {
    let mut server = PostgresServer::init();
    server.use_tls(authority, &authority.identity(&["db.example"]));
    server.allow("hostssl all watcher 127.0.0.1/32 scram-sha-256");
    server.start();
    server.sql("CREATE ROLE watcher LOGIN PASSWORD 'a canary in clear'");
    server
}

/// Every kind, in the words of a user.
fn every_kind(nginx: &Nginx, port: u16, name_server: SocketAddr) -> String {
    let (http, https) = (nginx.http, nginx.https);
    format!(
        "region: here
regions: [{{ name: here }}, {{ name: there }}]
defaults: {{ interval: 5s, timeout: 5s }}
probes:
- name: net
  check: {{ ping: {{ count: 3, spacing: 10ms }} }}
  targets: {{ here: [127.0.0.1, 127.0.0.77], there: \"::1\" }}
- name: plain
  buckets: [0.25, 2.5]
  check: {{ http: {{}} }}
  targets: {{ there: \"http://127.0.0.5:{http}/\" }}
- name: shop
  check:
    http:
      host: shop.example
      tls: {{ ca_file: web.pem }}
      json: [{{ pointer: /status, equals: up }}]
      version: {{ json: /build/sha }}
  labels: {{ team: web }}
  targets: {{ there: \"https://127.0.0.6:{https}/json\" }}
- name: port
  check: {{ tcp: {{ tls: {{ ca_file: web.pem, server_name: shop.example }} }} }}
  targets: {{ there: \"localhost:{https}\" }}
- name: names
  check: {{ dns: {{ name: db.example, answers: [10.0.0.1] }} }}
  targets: {{ there: \"{name_server}\" }}
- name: greeting
  check: {{ tcp: {{ starttls: postgres, tls: {{ ca_file: database.pem, server_name: db.example }} }} }}
  targets: {{ there: \"127.0.0.1:{port}\" }}
- name: orders
  check:
    postgres:
      user: watcher
      database: postgres
      password_file: watcher.pw
      ca_file: database.pem
      server_name: db.example
  targets: {{ there: \"127.0.0.1:{port}\" }}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_measures_a_real_server() {
    let nginx = Nginx::start("shop.example");
    let authority = Authority::new("database authority");
    let database = postgres(&authority);
    let dns = Dnsmasq::start().await;
    let config = every_kind(&nginx, database.port(), dns.address);
    let prepare = |folder: &Path| {
        for (name, content) in [
            ("web.pem", nginx.ca.as_str()),
            ("database.pem", authority.pem.as_str()),
            (
                "watcher.pw",
                "not the canary, which is among the credentials\n",
            ),
        ] {
            std::fs::write(folder.join(name), content).expect("writable");
        }
    };
    let credentials = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(credentials.path().join("watcher.pw"), "a canary in clear\n").expect("writable");
    let mut command = hotspare();
    command.env("CREDENTIALS_DIRECTORY", credentials.path());
    let daemon = Daemon::start_command(command, &config, prepare, &["--log.level=debug"]);
    let series = daemon.wait_until("all nine targets answered", |s| {
        s.all("hotspare_probe_up", &[])
            .filter(|(_, up)| *up == 1.0)
            .count()
            == 9
    });
    everything_is_told(&series);
    of_itself(&series);
    no_fault_but_the_machines(&series, &daemon);
    promtool_accepts(&daemon.get("/metrics").body);
    assert_eq!(daemon.get("/-/ready").status, 200);

    // What must not be told.
    let page = daemon.get("/metrics").text();
    let log = daemon.log();
    assert!(log.contains("run ended"), "{log}");
    for text in [page, log, daemon.get("/").text()] {
        assert!(!text.contains("canary"), "a secret is shown: {text}");
    }
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

fn everything_is_told(series: &Series) {
    let phases = |probe: &str| -> Vec<String> {
        series
            .all("hotspare_probe_phase_duration_seconds_count", &[probe])
            .filter(|(_, count)| *count > 0.0)
            .filter_map(|(name, _)| name.split("phase=\"").nth(1)?.split('"').next())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(phases("probe=\"net\""), Vec::<String>::new());
    assert_eq!(
        phases("probe=\"plain\""),
        ["connect", "processing", "transfer"]
    );
    assert_eq!(
        phases("probe=\"shop\""),
        ["connect", "processing", "tls", "transfer"]
    );
    assert_eq!(phases("probe=\"port\""), ["connect", "resolve", "tls"]);
    assert_eq!(phases("probe=\"greeting\""), ["connect", "tls"]);
    assert_eq!(phases("probe=\"names\""), ["processing"]);
    assert_eq!(
        phases("probe=\"orders\""),
        ["auth", "connect", "query_read", "tls"]
    );

    let net = ["probe=\"net\"", "target=\"here/1\""];
    let received = series.one("hotspare_ping_packets_received_total", &net);
    assert_eq!(
        series.one("hotspare_ping_packets_sent_total", &net),
        received
    );
    assert_eq!(
        series.one("hotspare_probe_duration_seconds_count", &net),
        received
    );
    let shop = ["probe=\"shop\""];
    assert_eq!(series.one("hotspare_http_status_code", &shop), 200.0);
    assert_eq!(
        series.one("hotspare_http_info", &["probe=\"shop\"", "version=\"2\""]),
        1.0
    );
    assert_eq!(
        series.one("hotspare_service_info", &["version=\"abc123\""]),
        1.0
    );
    assert_eq!(series.one("hotspare_tls_verified", &shop), 1.0);
    assert_eq!(series.one("hotspare_probe_info", &["team=\"web\""]), 1.0);
    let expiry = ["probe=\"shop\"", "position=\"leaf\""];
    assert!(series.one("hotspare_tls_cert_not_after_timestamp_seconds", &expiry) > 1.6e9);
    assert_eq!(
        series.one("hotspare_dns_answers", &["probe=\"names\""]),
        1.0
    );
    let engine = ["probe=\"orders\"", "engine=\"postgresql\""];
    assert_eq!(series.one("hotspare_db_info", &engine), 1.0);
    assert_eq!(series.sum("hotspare_probe_failures_total", &[]), 0.0);
    assert_eq!(bounds(series, "plain"), ["+Inf", "0.25", "2.5"]);
    assert!(bounds(series, "shop").len() > 20);
}

/// The bounds of a probe's histogram of durations, in the order of their letters.
fn bounds(series: &Series, probe: &str) -> Vec<String> {
    let probe = format!("probe=\"{probe}\"");
    let mut bounds: Vec<_> = series
        .all("hotspare_probe_duration_seconds_bucket", &[&probe])
        .filter_map(|(name, _)| name.split("le=\"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect();
    bounds.sort_unstable();
    bounds
}

/// What the daemon measures of itself.
fn of_itself(series: &Series) {
    let started = series.sum("hotspare_schedule_lateness_seconds_count", &[]);
    assert!(started >= 9.0, "{started} runs, for nine targets");
    let lags: Vec<_> = series
        .all("hotspare_event_loop_lag_seconds_count", &[])
        .collect();
    assert!(!lags.is_empty(), "no thread tells of its lag");
    for (thread, count) in lags {
        assert!(count > 0.0, "{thread}");
    }
}

/// Nothing is wrong with the daemon but that a busy machine may hold it up.
fn no_fault_but_the_machines(series: &Series, daemon: &Daemon) {
    let told: Vec<_> = series
        .all("hotspare_own_faults_total", &[])
        .chain(series.all("hotspare_schedule_missed_slots_total", &[]))
        .filter(|(name, count)| {
            *count > 0.0 && !name.contains("\"stalled\"") && !name.contains("\"late\"")
        })
        .collect();
    assert!(told.is_empty(), "{told:?}\n{}", daemon.log());
}

/// Each fault, the probe that meets it (`ADDR` is where), and the reason that must be told.
const FAULTS: [(&str, Fault, &str, &str); 16] = [
    (
        "silence",
        Fault::Silence,
        "http: {} @ http://ADDR/",
        "timeout_processing",
    ),
    (
        "drip",
        Fault::Drip {
            text: HTTP_ANSWER,
            every: Duration::from_millis(50),
        },
        "http: {} @ http://ADDR/",
        "timeout_processing",
    ),
    (
        "cut",
        Fault::Cut {
            text: HTTP_ANSWER,
            at: 80,
        },
        "http: {} @ http://ADDR/",
        "eof",
    ),
    (
        "reset",
        Fault::Reset {
            text: HTTP_ANSWER,
            at: 80,
        },
        "http: {} @ http://ADDR/",
        "reset",
    ),
    (
        "half_close",
        Fault::HalfClose {
            text: HTTP_ANSWER.split_at(80).0,
        },
        "http: {} @ http://ADDR/",
        "eof",
    ),
    (
        "tls_garbage",
        Fault::TlsGarbage,
        "http: {} @ https://ADDR/",
        "tls_handshake",
    ),
    (
        "tls_silence",
        Fault::Silence,
        "http: {} @ https://ADDR/",
        "timeout_tls",
    ),
    (
        "endless_headers",
        Fault::EndlessHeaders,
        "http: {} @ http://ADDR/",
        "protocol",
    ),
    (
        "gzip_bomb",
        Fault::GzipBomb,
        "http: { decompress: gzip }",
        "too_large",
    ),
    (
        "redirect_loop",
        Fault::RedirectLoop,
        "http: { follow_redirects: 3 } @ http://ADDR/",
        "redirect",
    ),
    (
        "early_eof",
        Fault::EarlyEof,
        "http: {} @ http://ADDR/",
        "eof",
    ),
    (
        "db_silence",
        Fault::Silence,
        "postgres: { user: a, tls: disable } @ ADDR",
        "timeout_auth",
    ),
    (
        "db_eof",
        Fault::EarlyEof,
        "postgres: { user: a, tls: disable } @ ADDR",
        "eof",
    ),
    (
        "dns_silence",
        Fault::Silence,
        "dns: { name: a.example, transport: tcp } @ ADDR",
        "timeout_processing",
    ),
    (
        "refused",
        Fault::Silence,
        "tcp: {} @ 127.0.0.1:1",
        "refused",
    ),
    (
        "no_such_name",
        Fault::Silence,
        "tcp: {} @ no-such-name.invalid:1",
        "dns",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_reason_and_disturbs_nobody() {
    let nginx = Nginx::start("localhost");
    let mut config = format!(
        "{HEAD}- name: healthy\n  check: {{ http: {{}} }}\n  targets: {{ here: \"http://127.0.0.1:{}/\" }}\n",
        nginx.http
    );
    let mut servers = Vec::new();
    for (name, fault, probe, _) in FAULTS {
        let server = fault.start().await;
        let (check, address) = probe.split_once(" @ ").unwrap_or((probe, "http://ADDR/"));
        let address = address.replace("ADDR", &server.addr.to_string());
        writeln!(
            config,
            "- name: {name}\n  check: {{ {check} }}\n  targets: {{ there: \"{address}\" }}"
        )
        .expect("a string");
        servers.push(server);
    }
    let daemon = Daemon::start(&config);
    let runs = |s: &Series, name: &str| {
        s.sum(
            "hotspare_probe_attempts_total",
            &[&format!("probe=\"{name}\"")],
        )
    };
    let series = daemon.wait_until("three runs of every fault", |s| {
        FAULTS.iter().all(|(name, ..)| runs(s, name) >= 3.0)
    });
    for (name, _, _, reason) in FAULTS {
        let probe = format!("probe=\"{name}\"");
        let of_probe = [probe.as_str()];
        let failed: Vec<_> = series
            .all("hotspare_probe_failures_total", &of_probe)
            .filter(|(_, count)| *count > 0.0)
            .collect();
        let wanted = format!("reason=\"{reason}");
        assert!(
            !failed.is_empty() && failed.iter().all(|(series, _)| series.contains(&wanted)),
            "{name}: wanted {reason}, got {failed:?}\n{}",
            daemon.log()
        );
        assert_eq!(
            series.sum("hotspare_probe_duration_seconds_count", &[&probe]),
            0.0,
            "{name}"
        );
    }
    let healthy = ["probe=\"healthy\""];
    assert_eq!(series.sum("hotspare_probe_failures_total", &healthy), 0.0);
    no_fault_but_the_machines(&series, &daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_both_formats_and_answers() {
    let nginx = Nginx::start("localhost");
    let config = format!(
        "{HEAD}- name: web\n  check: {{ http: {{}} }}\n  targets: {{ there: \"http://127.0.0.1:{}/\" }}\n\
         - name: nobody\n  check: {{ tcp: {{}} }}\n  targets: {{ there: \"127.0.0.1:1\" }}\n",
        nginx.http
    );
    let daemon = Daemon::start(&config);
    // Prometheus asks for OpenMetrics first; a proxy that hides its wish makes it text.
    let open_metrics = proxy(daemon.address, Wish::Kept).await;
    let text = proxy(daemon.address, Wish::Hidden).await;
    let prometheus = Prometheus::start(&[open_metrics, text]);
    prometheus.wait_for("up == 1", "instance", |up| up.len() == 2);
    let p99 = "histogram_quantile(0.99, sum by (instance, source_region, target_region, le) \
               (rate(hotspare_probe_duration_seconds_bucket{probe=\"web\"}[10s])))";
    let quantiles = prometheus.wait_for(p99, "instance", |found| {
        found.len() == 2 && found.iter().all(|(_, seconds)| seconds.is_finite())
    });
    for (instance, seconds) in quantiles {
        assert!(seconds > 0.0 && seconds <= 2.5, "{instance}: {seconds}");
    }
    let failing = "increase(hotspare_probe_failures_total{reason=\"refused\"}[10s]) > 0";
    prometheus.wait_for(failing, "probe", |found| {
        found.len() == 2 && found.iter().all(|(probe, _)| probe == "nobody")
    });
    prometheus.wait_for("hotspare_build_info", "version", |found| found.len() == 2);
    let types = prometheus.query("count(scrape_samples_scraped > 100)", "");
    assert_eq!(types, [(String::new(), 2.0)]);
}
