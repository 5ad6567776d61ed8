//! A thousand targets for a minute, more than one in ten of them faulty: the healthy ones never notice,
//! and nothing grows.
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "counts and flags are small whole numbers"
)]

use std::fmt::Write as _;
use std::time::Duration;

use crate::daemon::{Daemon, Series};
use crate::fault::{Fault, FaultServer, HTTP_ANSWER};
use crate::nginx::Nginx;

const HEALTHY: usize = 900;
const FAULTY: usize = 100;
/// Of each kind of database, at the same servers: none of them is one.
const DATABASES: usize = 20;
const INTERVAL_SECONDS: usize = 5;

/// Every healthy target is an address of its own in 127/8, so that none shares another's fate.
fn configuration(nginx: &Nginx, faults: &[FaultServer]) -> String {
    let mut text = format!(
        "region: here\nregions: [{{ name: here }}]\n\
         defaults: {{ interval: {INTERVAL_SECONDS}s, timeout: 2s }}\n\
         probes:\n- name: healthy\n  check: {{ http: {{}} }}\n  targets:\n    here:\n"
    );
    for n in 0..HEALTHY {
        let address = format!("127.20.{}.{}", n / 250, n % 250 + 1);
        writeln!(text, "    - \"http://{address}:{}/\"", nginx.http).expect("a string");
    }
    text += "- name: faulty\n  check: { http: {} }\n  targets:\n    here:\n";
    for n in 0..FAULTY {
        let fault = &faults[n % faults.len()];
        writeln!(text, "    - \"http://{}/{n}\"", fault.addr).expect("a string");
    }
    for (kind, settings) in [
        ("postgres", "user: u, tls: disable"),
        ("mysql", "user: u, tls: disable"),
        ("redis", ""),
    ] {
        writeln!(
            text,
            "- name: no-{kind}\n  check: {{ {kind}: {{ {settings} }} }}\n  targets:\n    here:"
        )
        .expect("a string");
        for n in 0..DATABASES {
            let fault = &faults[n % faults.len()];
            writeln!(text, "    - \"{}\"", fault.addr).expect("a string");
        }
    }
    text
}

async fn faults() -> Vec<FaultServer> {
    let mut servers = Vec::new();
    for fault in [
        Fault::Silence,
        Fault::Reset {
            text: HTTP_ANSWER,
            at: 80,
        },
        Fault::TlsGarbage,
        Fault::EndlessHeaders,
        Fault::EarlyEof,
    ] {
        servers.push(fault.start().await);
    }
    servers
}

fn attempts(series: &Series, probe: &str) -> f64 {
    series.sum(
        "hotspare_probe_attempts_total",
        &[&format!("probe=\"{probe}\"")],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_faulty_targets_costs_the_others_nothing_and_nothing_leaks() {
    let nginx = Nginx::start("localhost");
    let faults = faults().await;
    let mut daemon = Daemon::start(&configuration(&nginx, &faults));

    // Two rounds fill every cache; what is in use then is the baseline.
    let warm = (2 * (HEALTHY + FAULTY)) as f64;
    daemon.wait_until("two rounds", |s| {
        attempts(s, "healthy") + attempts(s, "faulty") >= warm
    });
    let before = Footprint::lowest(&mut daemon);
    std::thread::sleep(Duration::from_secs(50));
    let after = Footprint::lowest(&mut daemon);

    let series = daemon.series();
    let healthy = ["probe=\"healthy\""];
    assert_eq!(
        series.sum("hotspare_probe_failures_total", &healthy),
        0.0,
        "{}",
        daemon.log()
    );
    assert_eq!(
        series.sum("hotspare_probe_missed_slots_total", &healthy),
        0.0
    );
    assert_eq!(series.sum("hotspare_probe_up", &healthy), HEALTHY as f64);
    assert_eq!(series.sum("hotspare_samples_dropped_total", &[]), 0.0);
    let rounds = (60 / INTERVAL_SECONDS) as f64;
    assert!(attempts(&series, "healthy") >= (rounds - 2.0) * HEALTHY as f64);
    for probe in ["faulty", "no-postgres", "no-mysql", "no-redis"] {
        let probe = format!("probe=\"{probe}\"");
        let labels = [probe.as_str()];
        let up: Vec<_> = series.all("hotspare_probe_up", &labels).collect();
        // A busy host may have held a run up, of which nothing is known then.
        assert!(up.iter().all(|(_, up)| *up != 1.0), "{up:?}");
        assert!(up.iter().any(|(_, up)| *up == 0.0), "{up:?}");
    }

    assert!(
        after.descriptors <= before.descriptors + 10,
        "{before:?} {after:?}"
    );
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.resident_kb <= before.resident_kb + 4096,
        "{before:?} {after:?}"
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[derive(Debug)]
struct Footprint {
    descriptors: usize,
    threads: u64,
    resident_kb: u64,
}

impl Footprint {
    /// The lowest of some looks, so that runs under way do not count.
    fn lowest(daemon: &mut Daemon) -> Self {
        let looks = (0..50).map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            daemon.process().descriptors()
        });
        let descriptors = looks.min().expect("looked");
        let process = daemon.process();
        Self {
            descriptors,
            threads: process.status("Threads"),
            resident_kb: process.status("VmRSS"),
        }
    }
}
