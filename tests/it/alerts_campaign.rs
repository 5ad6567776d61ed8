//! Ten thousand targets fail within seconds: one message for each receiver and group, also where
//! another receiver is dead, and no probe that waits for any of it.
#![expect(clippy::float_cmp, reason = "counts are small whole numbers")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;

use crate::daemon::{Daemon, Series};
use crate::hook::Hook;
use crate::process::wait_for;

const REGIONS: u32 = 10;
const TARGETS: u32 = 1000;

/// Every target is an address of its own in 127/8, all at one port.
fn configuration(port: u16, hooks: [&Hook; 2], state: &str) -> String {
    let mut text = format!(
        "region: here\nstate_dir: {state}\nregions:\n- {{ name: here }}\n{}\
         probes:\n- name: web\n  check: {{ tcp: {{}} }}\n  interval: 5s\n  timeout: 2s\n  from: [here]\n  targets:\n",
        (0..REGIONS).fold(String::new(), |text, r| text
            + &format!("- {{ name: r{r} }}\n")),
    );
    for region in 0..REGIONS {
        writeln!(text, "    r{region}:").expect("a string");
        for n in 0..TARGETS {
            let address = format!("127.{}.{}.{}:{port}", region + 1, n / 250, n % 250 + 1);
            writeln!(
                text,
                "    - {{ name: t{region}-{n}, address: \"{address}\" }}"
            )
            .expect("a string");
        }
    }
    let [one, two] = hooks.map(|hook| hook.address);
    text + &format!(
        "rules:\n\
         - {{ name: Down, when: {{ failures: {{ fail: {{ of: 1, at_least: 1 }}, recover: 1 }} }}, severity: critical }}\n\
         - {{ name: Slow, when: {{ latency: {{ above: 10s, over: 1m }} }}, severity: warning }}\n\
         receivers:\n\
         - {{ name: one, webhook: {{ url: \"http://{one}/\" }} }}\n\
         - {{ name: two, webhook: {{ url: \"http://{two}/\" }} }}\n\
         - {{ name: dead, webhook: {{ url: \"http://127.0.0.1:1/\" }} }}\n"
    )
}

fn firing(series: &Series) -> f64 {
    series.sum("hotspare_alerts", &["state=\"firing\""])
}

#[test]
#[ignore = "takes a minute and all cores: scripts/soak runs it"]
fn ten_thousand_targets_fail_at_once() {
    let service = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = service.local_addr().expect("bound").port();
    let end = service.try_clone().expect("cloned");
    let accepting = std::thread::spawn(move || {
        // Until the test makes it an error to accept.
        while service.accept().is_ok() {}
    });
    let hooks = ["200 OK"; 2].map(Hook::answering);
    let state = tempfile::tempdir().expect("a folder");
    let file = configuration(
        port,
        [&hooks[0], &hooks[1]],
        &state.path().display().to_string(),
    );
    let daemon = Daemon::start(&file);
    let all = f64::from(REGIONS * TARGETS);
    daemon.wait_until("all are up", |series| {
        series.sum("hotspare_probe_up", &[]) == all
    });
    rustix::net::shutdown(&end, rustix::net::Shutdown::Both).expect("it listens");
    accepting.join().expect("ended");
    drop(end);
    let series = daemon.wait_until("all fire", |series| firing(series) == all);
    assert_eq!(series.sum("hotspare_schedule_missed_slots_total", &[]), 0.0);
    let regions = usize::try_from(REGIONS).expect("small");
    for hook in &hooks {
        let got = wait_for(|| hook.got(), |got| got.len() >= regions);
        let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
        for told in &got {
            let region = told.body["groupLabels"]["target_region"].to_string();
            let here = u64::try_from(told.alerts().len()).expect("small");
            let more = told.body["truncatedAlerts"].as_u64().expect("a number");
            assert!(told.body.to_string().len() <= 256 << 10, "{region}");
            assert!(alerts.insert(region, here + more).is_none(), "told twice");
        }
        let each = vec![u64::from(TARGETS); regions];
        assert_eq!(alerts.into_values().collect::<Vec<_>>(), each);
    }
    let waiting = ["receiver=\"dead\""];
    let series = daemon.series();
    assert_eq!(
        series.one("hotspare_outbox_deliveries", &waiting),
        f64::from(REGIONS)
    );
    assert_eq!(series.sum("hotspare_schedule_missed_slots_total", &[]), 0.0);
}
