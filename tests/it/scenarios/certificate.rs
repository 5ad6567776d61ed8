//! Certificates of standbys, each with another trouble. The primary's is good: without a look at the
//! standbys, nobody would know before the failover.

use std::fmt::Write as _;

use crate::alerting::{Expected, Watch};
use crate::daemon::Daemon;
use crate::http::pki::{Authority, Tls};
use crate::vantages::wait_until;

const VALUE: &str = "hotspare_readiness_check_value";
const NAMES: &[&str] = &["shop.example"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_standby_is_told_before_the_failover() {
    let authority = Authority::new();
    let identities = [
        ("west", authority.issue(NAMES)),
        ("later", authority.issue_for_days(NAMES, 20)),
        ("soon", authority.issue_for_days(NAMES, 5)),
        ("expired", authority.issue_by_intermediate(NAMES, 2001)),
        ("chained", authority.issue_by_intermediate(NAMES, 2100)),
        ("misnamed", authority.issue(&["www.example"])),
    ];
    let mut servers = Vec::new();
    let mut targets = String::new();
    for (region, identity) in &identities {
        let server = Tls::new(identity).answering("hello").await;
        write!(targets, "{region}: \"https://{}\", ", server.address).expect("a string");
        servers.push(server);
    }
    let daemon = Daemon::start_with(
        &config(&targets),
        |folder| std::fs::write(folder.join("ca.pem"), authority.pem()).expect("writable"),
        &[],
    );
    let day = 86_400.0;
    for (standby, state, check, days) in [
        ("later", "ready", "pass", Some(20.0)),
        ("chained", "ready", "pass", None),
        ("soon", "not_ready", "fail certificate", Some(5.0)),
        ("expired", "not_ready", "unknown dependency", None),
        ("misnamed", "not_ready", "unknown dependency", None),
    ] {
        wait_until(&daemon, "its certificate", standby, |said| {
            let left = || said.figure_of(VALUE, "check=\"certificate\"") / day;
            said.state() == state
                && said.check("web/certificate") == check
                && days.is_none_or(|days| left().floor() == days)
        });
    }
    wait_until(&daemon, "an expired authority", "expired", |said| {
        said.check("web/healthy") == "fail certificate"
    });
    wait_until(&daemon, "another name", "misnamed", |said| {
        said.check("web/healthy") == "fail certificate"
    });

    let watch = Watch::over(&[daemon.address]);
    watch.hears_only(Expected {
        told: &[
            "ticket HotspareCertificateExpiring web later later",
            "page HotspareCertificateExpiring web soon soon",
            "page HotspareCertificateExpiring web expired expired",
            "page HotspareStandbyNotReady shop soon",
            "page HotspareStandbyNotReady shop expired",
            "page HotspareStandbyNotReady shop misnamed",
        ],
        ..Expected::default()
    });
}

fn config(targets: &str) -> String {
    format!(
        "region: west\n\
         regions: [{{ name: west }}, {{ name: later }}, {{ name: soon }}, {{ name: expired }}, \
         {{ name: chained }}, {{ name: misnamed }}]\n\
         probes:\n\
         - name: web\n\
         \x20 check: {{ http: {{ host: shop.example, tls: {{ ca_file: ca.pem }} }} }}\n\
         \x20 interval: 1s\n\
         \x20 timeout: 900ms\n\
         \x20 from: [west]\n\
         \x20 targets: {{ {targets} }}\n\
         groups:\n\
         - {{ name: shop, primary: west, standbys: [later, soon, expired, chained, misnamed], \
         probes: [web] }}\n"
    )
}
