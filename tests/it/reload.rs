//! Another configuration, while the daemon runs: what is the same goes on, and nothing else is left.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Daemon, Response, Series, ask, hotspare};
use crate::hook::{Got, Hook};
use crate::process::{PATIENCE, wait_for};

const HEAD: &str = "region: here\nregions: [{ name: here }, { name: there }]\n";

/// A probe of this name with these targets here, each with a port.
fn probe(name: &str, targets: &[(&str, u16)]) -> String {
    let targets = targets
        .iter()
        .map(|(name, port)| format!("{{ name: {name}, address: \"127.0.0.1:{port}\" }}"));
    let targets: Vec<_> = targets.collect();
    format!(
        "- name: {name}\n  interval: 100ms\n  timeout: 50ms\n  check: {{ tcp: {{}} }}\n  \
         targets: {{ here: [{}] }}\n",
        targets.join(", ")
    )
}

fn with(probes: &[String]) -> String {
    format!("{HEAD}probes:\n{}", probes.concat())
}

/// A port that accepts, and what keeps it open.
fn open() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (port, listener)
}

fn attempts(series: &Series, target: &str) -> f64 {
    series.sum(
        "hotspare_probe_attempts_total",
        &[&format!("target=\"{target}\"")],
    )
}

fn error(answer: &Response) -> String {
    let said: Value = serde_json::from_str(&answer.text()).expect("JSON");
    said["detail"].as_str().expect("what is wrong").to_owned()
}

#[test]
fn what_is_the_same_goes_on_and_what_is_gone_vanishes() {
    let (port, _listener) = open();
    let daemon = Daemon::start(&with(&[probe("web", &[("kept", port), ("gone", port)])]));
    let ran = |series: &Series| attempts(series, "kept") > 5.0 && attempts(series, "gone") > 0.0;
    let before = daemon.wait_until("runs", ran);
    let said = daemon.take(&with(&[probe("web", &[("new", port), ("kept", port)])]));
    assert_eq!(
        (&said["targets"], &said["begun"], &said["ended"]),
        (&2.into(), &1.into(), &1.into()),
        "{said}"
    );
    let now = daemon.series();
    assert!(attempts(&now, "kept") >= attempts(&before, "kept"));
    assert_eq!(now.having("target=\"gone\"").count(), 0);
    assert!(now.having("target=\"new\"").count() > 10);
    assert!(attempts(&now, "new") < attempts(&before, "kept"));
    assert_eq!(now.one("hotspare_targets", &[]), 2.0);
    let hash = said["hash"].as_str().expect("a hash");
    assert_eq!(
        now.one("hotspare_config_hash_info", &[&format!("hash=\"{hash}\"")]),
        1.0
    );
    assert_eq!(now.all("hotspare_config_hash_info", &[]).count(), 1);
    let more = attempts(&now, "kept");
    daemon.wait_until("both go on", |series| {
        attempts(series, "kept") > more && attempts(series, "new") > 2.0
    });
    let dropped = daemon.series().sum("hotspare_samples_dropped_total", &[]);
    assert_eq!(
        dropped, 0.0,
        "what was under way of the one that is gone is no loss"
    );
}

#[test]
fn a_target_with_other_settings_begins_anew() {
    let (port, _listener) = open();
    let file = with(&[probe("web", &[("one", port), ("two", port)])]);
    let daemon = Daemon::start(&file);
    daemon.wait_until("runs", |series| {
        attempts(series, "one") > 20.0 && attempts(series, "two") > 20.0
    });
    let (other, _other) = open();
    let mut changed = with(&[probe("web", &[("one", port), ("two", other)])]);
    changed += "# and a comment\n";
    let said = daemon.take(&changed);
    assert_eq!((&said["begun"], &said["ended"]), (&1.into(), &1.into()));
    let now = daemon.series();
    assert!(attempts(&now, "one") > 20.0);
    assert!(attempts(&now, "two") < attempts(&now, "one") - 10.0);
    let address = format!("address=\"127.0.0.1:{other}\"");
    let labels = ["target=\"two\"", address.as_str()];
    assert_eq!(now.all("hotspare_probe_info", &labels).count(), 1);
}

/// Whether the configuration is not in force as it was last read. A page is up to a second old.
fn is_refused(series: &Series) -> bool {
    series.one("hotspare_config_last_reload_successful", &[]) == 0.0
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let (port, _listener) = open();
    let file = with(&[probe("web", &[("one", port)])]);
    let daemon = Daemon::start(&file);
    let before = daemon.wait_until("runs", |series| attempts(series, "one") > 5.0);
    let bad = file.replace("interval", "intervall").replace("tcp", "tpc");
    let refused = daemon.reload(&bad);
    assert_eq!(refused.status, 422);
    let why = error(&refused);
    assert!(
        why.contains("hotspare.yaml:5:3: probes[0].intervall: unknown key"),
        "{why}"
    );
    assert!(why.contains("did you mean `tcp`?"), "{why}");
    let now = daemon.wait_until("the refusal", is_refused);
    let hash = |series: &Series| -> Vec<String> {
        let all = series.all("hotspare_config_hash_info", &[]);
        all.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(hash(&now), hash(&before));
    assert!(attempts(&now, "one") >= attempts(&before, "one"));
    assert!(
        daemon.log().contains("probes[0].intervall"),
        "{}",
        daemon.log()
    );
    let ran = attempts(&now, "one");
    daemon.wait_until("it goes on", |series| attempts(series, "one") > ran);
    daemon.take(&file);
    daemon.wait_until("it is in force", |series| !is_refused(series));
}

#[test]
fn what_needs_a_restart_is_refused() {
    let (port, _listener) = open();
    let file = with(&[probe("web", &[("one", port)])]);
    let daemon = Daemon::start(&file);
    for (from, to, what) in [
        ("region: here\n", "region: there\n", "`region`"),
        (
            "probes:",
            "limits: { probe_threads: 7 }\nprobes:",
            "`limits`",
        ),
        ("probes:", "state_dir: /nowhere\nprobes:", "`state_dir`"),
    ] {
        let refused = daemon.reload(&file.replace(from, to));
        assert_eq!(refused.status, 422, "{what}");
        let why = error(&refused);
        assert!(why.contains(what) && why.contains("restart"), "{why}");
    }
    daemon.wait_until("the refusal", is_refused);
}

#[test]
fn a_signal_does_what_the_order_does_and_so_does_the_command() {
    let (port, _listener) = open();
    let mut daemon = Daemon::start(&with(&[probe("web", &[("one", port)])]));
    daemon.put("hotspare.yaml", &with(&[probe("web", &[("two", port)])]));
    daemon.process().signal(Signal::HUP);
    daemon.wait_until("the other", |series| {
        attempts(series, "two") > 0.0 && series.having("target=\"one\"").count() == 0
    });
    daemon.put("hotspare.yaml", &with(&[probe("web", &[("three", port)])]));
    let url = format!("http://{}", daemon.address);
    let reload = || {
        hotspare()
            .args(["reload", "--url", &url])
            .output()
            .expect("runs")
    };
    let output = reload();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        said.contains("is in force: targets 1, of them begun 1; ended 1"),
        "{said}"
    );
    daemon.put("hotspare.yaml", "region: [\n");
    let output = reload();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("hotspare.yaml:"), "{said}");
}

#[test]
fn an_order_is_taken_from_this_host_by_no_page_and_by_post_only() {
    let (port, _listener) = open();
    let daemon = Daemon::start(&with(&[probe("web", &[("one", port)])]));
    assert_eq!(ask(daemon.address, "GET", "/-/reload").status, 405);
    assert_eq!(ask(daemon.address, "PUT", "/-/reload").status, 200);
    let from_page = "/-/reload HTTP/1.1\r\nOrigin: http://example.com\r\nX-Rest:";
    assert_eq!(ask(daemon.address, "POST", from_page).status, 403);
    let proxied = "/-/reload HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Rest:";
    assert_eq!(ask(daemon.address, "POST", proxied).status, 403);
}

#[test]
fn a_run_under_way_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (go, told) = mpsc::channel::<()>();
    let (asked, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let _ = stream.read(&mut [0; 4096]);
            asked.send(()).expect("somebody listens");
            if told.recv().is_err() {
                return;
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let slow = format!(
        "- name: slow\n  interval: 60s\n  timeout: 59s\n  check: {{ http: {{}} }}\n  \
         targets: {{ here: \"http://{address}/\" }}\n"
    );
    let (port, _open) = open();
    // The first slot may be a minute away: an interval of a minute is for the answer to be late.
    let slow = slow.replace("60s", "20s").replace("59s", "19s");
    let daemon = Daemon::start(&with(&[slow.clone(), probe("web", &[("one", port)])]));
    heard.recv_timeout(PATIENCE).expect("the run began");
    daemon.take(&with(&[probe("web", &[("two", port)]), slow]));
    assert_eq!(daemon.series().one("hotspare_probes_in_flight", &[]), 1.0);
    go.send(()).expect("it waits");
    let series = daemon.wait_until("its answer counts", |series| {
        series.sum("hotspare_probe_attempts_total", &["probe=\"slow\""]) > 0.0
    });
    assert_eq!(series.sum("hotspare_probe_up", &["probe=\"slow\""]), 1.0);
}

fn told(hook: &Hook) -> Vec<(String, String)> {
    let got = hook.got();
    let alerts = got.iter().flat_map(|got| got.alerts());
    alerts
        .map(|(status, name)| (status.to_owned(), name.to_owned()))
        .collect()
}

/// Since when alerts of the rule fire, as it was told.
fn starts(got: &Got, rule: &str) -> Vec<String> {
    let alerts = got.body["alerts"].as_array().expect("alerts").iter();
    let of_rule = alerts.filter(|alert| alert["labels"]["alertname"] == rule);
    of_rule.map(|alert| alert["startsAt"].to_string()).collect()
}

#[test]
fn an_alert_that_fires_goes_on_and_one_whose_rule_is_gone_is_over() {
    let hook = Hook::answering("200 OK");
    let (port, _listener) = open();
    let rules = |names: &[&str]| {
        let mut text = "rules:\n".to_owned();
        for name in names {
            let _ = writeln!(
                text,
                "- {{ name: {name}, when: {{ failures: {{ probe: down, fail: {{ of: 2, at_least: 2 }} }} }}, severity: warning }}"
            );
        }
        text
    };
    let receivers = format!(
        "alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
         receivers: [{{ name: ops, webhook: {{ url: \"http://{}/\" }} }}]\n",
        hook.address
    );
    let down = probe("down", &[("nobody", 1)]);
    let first = with(std::slice::from_ref(&down)) + &rules(&["Kept", "Gone"]) + &receivers;
    let daemon = Daemon::start(&first);
    let fires = |name: &str| ("firing".to_owned(), name.to_owned());
    wait_for(
        || told(&hook),
        |told| told.contains(&fires("Kept")) && told.contains(&fires("Gone")),
    );
    let second =
        with(&[down, probe("web", &[("one", port)])]) + &rules(&["Kept", "New"]) + &receivers;
    daemon.take(&second);
    let over = ("resolved".to_owned(), "Gone".to_owned());
    wait_for(
        || told(&hook),
        |told| told.contains(&over) && told.contains(&fires("New")),
    );
    // It is told again with others of its group, and is the one that it was.
    let starts: BTreeSet<_> = hook
        .got()
        .iter()
        .flat_map(|got| starts(got, "Kept"))
        .collect();
    assert_eq!(starts.len(), 1, "{starts:?}");
    let all = told(&hook);
    assert!(
        !all.contains(&("resolved".to_owned(), "Kept".to_owned())),
        "{all:?}"
    );
}

#[test]
fn receivers_come_and_go() {
    let (one, two) = (Hook::answering("200 OK"), Hook::answering("200 OK"));
    let config = |hook: &Hook, name: &str| {
        with(&[probe("down", &[("nobody", 1)])])
            + "rules: [{ name: Down, when: { failures: { probe: down, fail: { of: 2, at_least: 2 } } }, severity: warning }]\n"
            + &format!(
                "alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
                 receivers: [{{ name: {name}, webhook: {{ url: \"http://{}/\" }} }}]\n",
                hook.address
            )
    };
    let daemon = Daemon::start(&config(&one, "one"));
    wait_for(|| told(&one), |told| !told.is_empty());
    daemon.take(&config(&two, "two"));
    wait_for(|| told(&two), |told| !told.is_empty());
    let receivers = |series: &Series| -> BTreeSet<String> {
        let all = series.all("hotspare_notifications_total", &[]);
        all.map(|(name, _)| name.to_owned()).collect()
    };
    let series = daemon.wait_until("only the other", |series| receivers(series).len() == 1);
    assert!(
        receivers(&series)
            .iter()
            .all(|name| name.contains("receiver=\"two\""))
    );
}

/// What names series, without what differs from daemon to daemon.
fn names(daemon: &Daemon) -> BTreeSet<String> {
    let series = daemon.series();
    let names = series
        .names()
        .filter(|name| !name.starts_with("hotspare_build_info"));
    names.map(str::to_owned).collect()
}

/// What the daemon says of its groups, without what depends on when it was asked.
fn groups(daemon: &Daemon) -> Value {
    let answer = daemon.get("/api/v1/groups");
    let mut said: Value = serde_json::from_str(&answer.text()).expect("JSON");
    forget_times(&mut said);
    said
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.contains("seconds") && !name.contains("transitions"));
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(all) => all.iter_mut().for_each(forget_times),
        _ => {}
    }
}

/// A configuration by chance: of a few probes, targets, groups, rules and receivers, some of which are
/// in most of them.
fn by_chance(chance: &mut fastrand::Rng, port: u16) -> String {
    let mut probes = Vec::new();
    for name in ["p0", "p1", "p2"] {
        if name != "p0" && chance.u8(..3) == 0 {
            continue;
        }
        let interval = ["100ms", "200ms"][chance.usize(..2)];
        let port = if chance.u8(..4) == 0 { 1 } else { port };
        let mut text = format!(
            "- name: {name}\n  interval: {interval}\n  timeout: 50ms\n  check: {{ tcp: {{}} }}\n  targets:\n"
        );
        for region in ["here", "there"] {
            let count = chance.usize(1..4);
            let targets: Vec<_> = (0..count)
                .map(|n| format!("{{ name: {region}-{n}, address: \"127.0.0.1:{port}\" }}"))
                .collect();
            let _ = writeln!(text, "    {region}: [{}]", targets.join(", "));
        }
        probes.push(text);
    }
    let mut text = with(&probes);
    if chance.bool() {
        text += "groups:\n- { name: g0, primary: here, standbys: [there], probes: [p0] }\n";
        if chance.bool() {
            text += "- { name: g1, primary: there, standbys: [here], probes: [p0] }\n";
        }
    }
    if chance.bool() {
        text += "rules: [{ name: Down, when: { failures: { probe: p0 } }, severity: warning }]\n";
    }
    if chance.bool() {
        text += "receivers: [{ name: ops, webhook: { url: \"http://127.0.0.1:1/\" } }]\n";
    }
    text
}

#[test]
fn any_sequence_of_configurations_ends_where_a_fresh_start_with_the_last_one_does() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let seed = fastrand::u64(..);
    let mut chance = fastrand::Rng::with_seed(seed);
    let daemon = Daemon::start(&by_chance(&mut chance, port));
    for round in 0..6 {
        let mut last = String::new();
        for _ in 0..chance.usize(1..6) {
            let next = by_chance(&mut chance, port);
            if chance.u8(..5) == 0 {
                assert_eq!(daemon.reload(&next.replace("tcp", "tpc")).status, 422);
            }
            daemon.take(&next);
            last = next;
        }
        let fresh = Daemon::start(&last);
        let what = format!("seed {seed}, round {round}:\n{last}\n{}", daemon.log());
        // Once every target was seen, and what a change leaves to be told has been.
        let both = wait_for(
            || (names(&daemon), names(&fresh)),
            |(reloaded, fresh)| reloaded == fresh,
        );
        assert!(both.0.len() > 100, "{what}");
        let judged = wait_for(
            || (groups(&daemon), groups(&fresh)),
            |(reloaded, fresh)| reloaded == fresh,
        );
        assert!(judged.0.is_object(), "{what}");
    }
}

/// A configuration of so many targets, of which a fifth are of this round only, and a group.
fn of_round(round: usize, count: usize, port: u16) -> String {
    let names = (0..count).map(|n| {
        if n < count / 5 * 4 {
            format!("t{n}")
        } else {
            format!("r{round}-{n}")
        }
    });
    let names: Vec<_> = names.collect();
    let targets: Vec<_> = names.iter().map(|name| (name.as_str(), port)).collect();
    let both = format!("{{ here: \"127.0.0.1:{port}\", there: \"127.0.0.1:{port}\" }}");
    let two = format!("- name: two\n  check: {{ tcp: {{}} }}\n  targets: {both}\n");
    with(&[probe("web", &targets), two]).replace("100ms", "1s")
        + "groups: [{ name: g, primary: here, standbys: [there], probes: [two] }]\n"
}

#[test]
fn nothing_grows_with_reloads() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let mut daemon = Daemon::start(&of_round(0, 100, port));
    let all_seen = |daemon: &Daemon| {
        wait_for(|| daemon.get("/-/ready").status, |status| *status == 200);
        // Until then its checks are undecided, which is a series of their own.
        wait_for(|| ready(daemon, "g"), |ready| *ready);
        let series = daemon.series();
        let names = series
            .names()
            .filter(|name| !name.contains("target=\"r") && !name.contains("config_hash"));
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let series = all_seen(&daemon);
    for round in 1..=50 {
        let said = daemon.take(&of_round(round, 100, port));
        assert_eq!((&said["begun"], &said["ended"]), (&20.into(), &20.into()));
    }
    let threads = daemon.process().status("Threads");
    for round in 51..=100 {
        daemon.take(&of_round(round, 100, port));
    }
    wait_for(
        || {
            let other: Vec<_> = all_seen(&daemon)
                .symmetric_difference(&series)
                .cloned()
                .collect();
            other
        },
        Vec::is_empty,
    );
    let now = daemon.series();
    let replaced = ["target=\"r100-"];
    assert_eq!(now.all("hotspare_probe_up", &replaced).count(), 20);
    assert_eq!(now.having("target=\"r99-").count(), 0);
    assert_eq!(now.sum("hotspare_samples_dropped_total", &[]), 0.0);
    assert!(
        daemon.process().status("Threads") <= threads + 2,
        "pages have theirs"
    );
}

/// A thousand reloads, each of which replaces two hundred of a thousand targets.
#[test]
#[ignore = "takes many minutes: scripts/soak"]
#[expect(clippy::print_stderr, reason = "tells what was seen")]
#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn campaign_a_thousand_reloads() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let mut daemon = Daemon::start(&of_round(0, 1_000, port));
    let mut seen = Vec::new();
    for round in 1..=1_000 {
        let said = daemon.take(&of_round(round, 1_000, port));
        assert_eq!((&said["begun"], &said["ended"]), (&200.into(), &200.into()));
        if round % 100 == 0 {
            let series = daemon.series();
            let names = series.names().count();
            // What was measured is to be kept, and grows for two days.
            let history = series.one("hotspare_history_bytes", &[]) / 1024.0;
            let process = daemon.process();
            let (kb, threads) = (process.status("VmRSS"), process.status("Threads"));
            let files = process.descriptors();
            eprintln!(
                "{round} reloads: {names} series, {kb} kB with {history:.0} kB of history, \
                 {threads} threads, {files} files"
            );
            seen.push((names, kb as f64 - history));
        }
    }
    // By the second hundred everything has had its largest size.
    let (early, late) = (seen[1], seen[seen.len() - 1]);
    assert!(late.0 < early.0 + 100, "{seen:?}");
    assert!(late.1 < early.1 * 1.2, "{seen:?}");
    let dropped = daemon.series().sum("hotspare_samples_dropped_total", &[]);
    assert_eq!(dropped, 0.0);
}

/// The state of the standby of the group, as the daemon says it.
fn ready(daemon: &Daemon, group: &str) -> bool {
    daemon.get(&format!("/ready/{group}/there")).status == 200
}

#[test]
fn a_standby_that_is_ready_is_so_all_the_time() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let both = format!("{{ here: \"127.0.0.1:{port}\", there: \"127.0.0.1:{port}\" }}");
    let two = |name: &str| {
        format!(
            "- name: {name}\n  interval: 100ms\n  timeout: 50ms\n  check: {{ tcp: {{}} }}\n  targets: {both}\n"
        )
    };
    let group = |name: &str, probe: &str| {
        format!("- {{ name: {name}, primary: here, standbys: [there], probes: [{probe}] }}\n")
    };
    let first = with(&[two("p")]) + "groups:\n" + &group("old", "p");
    let daemon = Daemon::start(&first);
    wait_for(|| ready(&daemon, "old"), |ready| *ready);
    let second =
        with(&[two("q"), two("p")]) + "groups:\n" + &group("new", "q") + &group("old", "p");
    for _ in 0..5 {
        daemon.take(&second);
        assert!(
            ready(&daemon, "old"),
            "{}",
            daemon.get("/api/v1/groups").text()
        );
        daemon.take(&first);
        assert!(
            ready(&daemon, "old"),
            "{}",
            daemon.get("/api/v1/groups").text()
        );
        assert_eq!(daemon.get("/ready/new/there").status, 404);
    }
    daemon.take(&second);
    assert!(!ready(&daemon, "new"), "nothing was seen of it yet");
    wait_for(|| ready(&daemon, "new"), |ready| *ready);
}

/// A list of targets of these names, each at an address of loopback, of which any is this host.
fn listed(names: &[&str], port: u16) -> String {
    let groups = (1..).zip(names).map(|(n, name)| {
        format!(
            "{{\"targets\": [\"127.0.0.{n}:{port}\"], \"labels\": {{\"region\": \"here\", \"who\": \"{name}\"}}}}"
        )
    });
    format!("[{}]", groups.collect::<Vec<_>>().join(", "))
}

#[test]
fn what_is_discovered_comes_and_goes_with_the_configuration_that_is_in_force() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let list = |names: &[&str]| listed(names, port);
    let config = format!(
        "{HEAD}probes:\n- name: web\n  interval: 100ms\n  timeout: 50ms\n  check: {{ tcp: {{}} }}\n  \
         targets_file: [{{ files: [lists/*.json], name_label: who }}]\n"
    );
    let daemon = Daemon::start_with(
        &config,
        |folder| {
            std::fs::create_dir(folder.join("lists")).expect("a folder");
            std::fs::write(folder.join("lists/a.json"), list(&["one"])).expect("written");
        },
        &[],
    );
    let names = |series: &Series| -> BTreeSet<String> {
        let up = series.all("hotspare_probe_up", &[]);
        let names = up.filter_map(|(name, _)| {
            let (_, rest) = name
                .split_once(",target=\"")
                .or_else(|| name.split_once("{target=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        });
        names.collect()
    };
    let before = daemon.wait_until("the first", |series| attempts(series, "one") > 3.0);
    // What is on disk and was not read is not in force, nor what was not good.
    assert_eq!(daemon.reload("region: [").status, 422);
    daemon.put("hotspare.yaml", &config.replace("name: web", "name: other"));
    daemon.put("lists/a.json", &list(&["one", "two"]));
    let now = daemon.wait_until("the second", |series| attempts(series, "two") > 0.0);
    assert!(attempts(&now, "one") >= attempts(&before, "one"));
    assert_eq!(now.having("probe=\"other\"").count(), 0);
    assert!(is_refused(&now), "a list is no configuration");
    daemon.put("lists/a.json", &list(&["two"]));
    daemon.wait_until("only the second", |series| {
        names(series) == BTreeSet::from(["two".to_owned()])
    });
    daemon.put("lists/a.json", "[{");
    let with_more = config.clone() + "rules: []\n";
    daemon.take(&with_more);
    let now = daemon.series();
    assert_eq!(
        names(&now),
        BTreeSet::from(["two".to_owned()]),
        "the last good list stays"
    );
    let without = with(&[probe("web", &[("written", port)])]);
    daemon.take(&without);
    let now = daemon.series();
    assert_eq!(names(&now), BTreeSet::from(["written".to_owned()]));
    assert_eq!(now.all("hotspare_sd_discovered_targets", &[]).count(), 0);
}

/// A source of targets that is asked and says nothing is waited for, so that a reload takes seconds.
#[test]
fn a_reload_that_takes_long_is_waited_for() {
    let (port, _listener) = open();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound");
    let (asked, is_asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in silent.incoming() {
            asked
                .send(stream.expect("accepted"))
                .expect("somebody listens");
        }
    });
    let web = probe("web", &[("one", port)]);
    let daemon = Daemon::start(&with(std::slice::from_ref(&web)));
    let source = format!("  targets_http: [{{ url: \"http://{address}/\", region: here }}]\n");
    daemon.put("hotspare.yaml", &with(&[web, source]));
    let url = format!("http://{}", daemon.address);
    let reload = || {
        let url = url.clone();
        std::thread::spawn(move || {
            let mut command = hotspare();
            command.args(["reload", "--url", &url]);
            command.output().expect("runs")
        })
    };
    let first = reload();
    let _first_asked = is_asked.recv_timeout(PATIENCE).expect("asked");
    // It waits for the first one too.
    let second = reload();
    for reload in [first, second] {
        let output = reload.join().expect("no panic");
        assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    }
}

#[test]
fn what_is_discovered_while_a_secret_is_not_there_is_taken_once_it_is() {
    let (port, listener) = open();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let list = |names: &[&str]| listed(names, port);
    let config = format!(
        "{HEAD}probes:\n- name: cache\n  interval: 200ms\n  timeout: 100ms\n  \
         check: {{ redis: {{ password_file: secret, allow_cleartext: true }} }}\n  \
         targets_file: [{{ files: [list.json], name_label: who }}]\n"
    );
    let daemon = Daemon::start_with(
        &config,
        |folder| {
            std::fs::write(folder.join("secret"), "1").expect("written");
            std::fs::write(folder.join("list.json"), list(&["one"])).expect("written");
        },
        &[],
    );
    daemon.wait_until("the first", |series| attempts(series, "one") > 0.0);
    daemon.put("secret", "");
    daemon.put("list.json", &list(&["one", "two"]));
    wait_for(
        || daemon.log(),
        |log| log.contains("what was discovered is not taken"),
    );
    daemon.put("secret", "2");
    daemon.wait_until("the second", |series| attempts(series, "two") > 0.0);
}
