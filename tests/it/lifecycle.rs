//! How the daemon starts, refuses to, and ends.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::daemon::{Daemon, get, hotspare, hotspare_that_may_not_ping, hotspare_with_files};

const GOOD: &str = "region: here\nregions: [{ name: here }]\nprobes:\n- name: nobody\n  \
                    interval: 1s\n  check: { tcp: {} }\n  targets: { here: \"127.0.0.1:1\" }\n";

/// Runs a command on a configuration in a file of its own.
fn on(config: &str, arguments: &[&str]) -> Output {
    command_on(hotspare(), config, arguments)
}

/// Runs the binary, started in a way of the test's own, on a configuration in a file of its own.
fn command_on(mut command: Command, config: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, config).expect("writable");
    command
        .args(arguments)
        .arg("--config.file")
        .arg(&file)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_broken_configuration_starts_nothing_and_says_everything() {
    let broken = GOOD.replace("interval", "intervall").replace("tcp", "tpc");
    for command in ["run", "check"] {
        let output = on(&broken, &[command]);
        assert_eq!(output.status.code(), Some(64));
        let said = text(&output.stderr);
        assert!(
            said.contains("hotspare.yaml:5:3: probes[0].intervall: unknown key"),
            "{said}"
        );
        assert!(said.contains("did you mean `tcp`?"), "{said}");
        assert!(!said.contains("listening"), "{said}");
    }
}

#[test]
fn check_tells_what_would_be_measured() {
    let output = on(GOOD, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("from here: 1 target, 1.0 runs/s"), "{said}");
}

#[test]
fn the_shipped_files_are_good() {
    for file in ["hotspare.yaml", "local.yaml"] {
        let path = format!("{}/config/{file}", env!("CARGO_MANIFEST_DIR"));
        let output = hotspare()
            .args(["check", "--config.file", &path])
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn a_taken_address_is_told_and_nothing_else_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("bound").to_string();
    let output = on(GOOD, &["run", "--web.listen-address", &address]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains(&address) && !said.contains("starting"),
        "{said}"
    );
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let output = hotspare()
        .args(["run", "--no.such.flag"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(64));
    let output = hotspare().arg("--version").output().expect("runs");
    assert_eq!(
        text(&output.stdout),
        format!("hotspare {}\n", hotspare::VERSION)
    );
    assert!(output.status.success());
}

#[test]
fn it_ends_in_order_when_asked() {
    let daemon = Daemon::start(GOOD);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        log.contains("signal=SIGTERM") && log.contains("ended"),
        "{log}"
    );
}

#[test]
fn the_region_may_come_from_the_flag_and_logs_may_be_json() {
    let config = GOOD.replace("region: here\n", "");
    let arguments = ["--region", "here", "--log.format=json"];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, config).expect("writable");
    let mut command = hotspare();
    command.args([
        "run",
        "--web.listen-address",
        "127.0.0.1:0",
        "--config.file",
    ]);
    command.arg(&file).args(arguments);
    let mut process = crate::process::Process::start(command);
    let line = process.wait_for_line(|line| line.contains("listening").then(|| line.to_owned()));
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["level"], "INFO");
    process.signal(Signal::INT);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn the_region_may_come_from_the_environment() {
    let config = GOOD.replace("region: here\n", "");
    let output = on(&config, &["check"]);
    assert_eq!(output.status.code(), Some(64), "no region");
    let mut command = hotspare();
    command.env("HOTSPARE_REGION", "here");
    let daemon = Daemon::start_command(command, &config, |_| {}, &[]);
    let here = ["source_region=\"here\""];
    daemon.wait_until("a target", |s| {
        s.all("hotspare_probe_up", &here).count() == 1
    });
}

#[test]
fn it_serves_on_every_address_that_it_is_given() {
    let second = ["--web.listen-address", "[::1]:0"];
    let mut daemon = Daemon::start_with(GOOD, |_| {}, &second);
    let other = daemon.process().wait_for_line(|line| {
        let (_, rest) = line.split_once("listening")?;
        let (_, address) = rest.split_once("address=")?;
        let address = address.split_whitespace().next()?.trim_matches('"');
        address.starts_with("[::1]").then(|| address.parse().ok())?
    });
    for address in [daemon.address, other] {
        let page = get(address, "/metrics");
        assert_eq!(page.status, 200, "{address}");
        assert!(page.text().contains("\nhotspare_targets 1\n"), "{address}");
    }
}

#[test]
fn runs_that_hang_and_half_a_request_do_not_keep_it() {
    // The system takes connections for it, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = silent.local_addr().expect("bound");
    let mut config = "region: here\nregions: [{ name: here }]\nprobes:\n- name: silent\n  \
                      interval: 2m\n  timeout: 2m\n  check: { http: {} }\n  targets:\n    here:\n"
        .to_owned();
    for n in 0..100 {
        writeln!(config, "    - \"http://{address}/{n}\"").expect("a string");
    }
    let mut daemon = Daemon::start(&config);
    daemon.wait_until("runs under way", |s| {
        s.one("hotspare_probes_in_flight", &[]) >= 2.0
    });
    let mut client = TcpStream::connect(daemon.address).expect("it accepts");
    client
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        .expect("written");
    // Connections are taken in the order in which they came.
    assert_eq!(daemon.get("/-/healthy").status, 200);
    let asked = Instant::now();
    daemon.process().signal(Signal::TERM);
    let (status, took, log) = (daemon.process().wait(), asked.elapsed(), daemon.log());
    assert_eq!(status.code(), Some(0), "{log}");
    // What the documentation promises.
    assert!(took < Duration::from_secs(10), "{took:?}: {log}");
}

/// What `check` says of a configuration that it finds good.
fn checked(command: Command, config: &str) -> String {
    let output = command_on(command, config, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn check_tells_which_limit_of_files_is_too_low() {
    let said = checked(hotspare_with_files(64), GOOD);
    assert!(
        said.contains("this host: this process may open 64 files"),
        "{said}"
    );
    let fix = "\n  fix: in the unit's [Service]: LimitNOFILE=1024 (in a shell: ulimit -n 1024)\n";
    assert!(said.contains(fix), "{said}");
    let said = checked(hotspare_with_files(1024), GOOD);
    assert!(!said.contains("this host"), "{said}");
}

#[test]
fn check_tells_which_names_do_not_resolve() {
    let config = GOOD.replace("127.0.0.1:1", "db.invalid:1");
    let said = checked(hotspare_with_files(1024), &config);
    let lack = "this host: the name db.invalid of the target ";
    assert!(
        said.contains(lack) && said.contains(" does not resolve: "),
        "{said}"
    );
}

#[test]
fn check_tells_what_permits_to_ping() {
    let Some(command) = hotspare_that_may_not_ping() else {
        return;
    };
    let config = GOOD
        .replace("tcp: {}", "ping: {}")
        .replace("127.0.0.1:1", "127.0.0.1");
    let said = checked(command, &config);
    assert!(
        said.contains("this host: no permission to ping ("),
        "{said}"
    );
    let fix = "\n  fix: sysctl -w net.ipv4.ping_group_range='0 2147483647', or in the unit's \
               [Service]: AmbientCapabilities=CAP_NET_RAW\n";
    assert!(said.contains(fix), "{said}");
}

const README: &str = include_str!("../../README.md");

/// Blocks of the README that show what a command says.
fn shown() -> Vec<String> {
    let blocks = README.split("```text\n").skip(1);
    blocks
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

#[test]
fn the_readme_shows_what_check_says() {
    let path = format!("{}/config/hotspare.yaml", env!("CARGO_MANIFEST_DIR"));
    let output = hotspare()
        .args(["check", "--config.file", &path])
        .output()
        .expect("runs");
    let said = text(&output.stdout);
    let said = said.split("\nthis host:").next().expect("a summary");
    assert!(
        shown().iter().any(|block| block == said),
        "the README lacks:\n{said}"
    );

    let file = std::fs::read_to_string(&path).expect("readable");
    let broken = file
        .replace("timeout: 3s", "timeuot: 3s")
        .replace("host: checkout", "hots: checkout")
        .replace("ping: {", "pign: {");
    let output = on(&broken, &["check"]);
    let said = text(&output.stderr);
    let lines = said
        .lines()
        .filter_map(|line| Some(line.split_once("hotspare.yaml")?.1));
    let said: String = lines
        .flat_map(|line| ["hotspare.yaml", line, "\n"])
        .collect();
    assert!(shown().contains(&said), "the README lacks:\n{said}");
}

#[test]
fn the_daemon_of_the_readme_shows_the_series_it_promises() {
    let path = format!("{}/config/local.yaml", env!("CARGO_MANIFEST_DIR"));
    let config = std::fs::read_to_string(path).expect("readable");
    let daemon = Daemon::start(&config);
    daemon.wait_until("every target was run, and nobody answers at one", |s| {
        let mut attempts = s.all("hotspare_probe_attempts_total", &[]);
        let refused = ["group=\"orders\"", "reason=\"refused\""];
        let mut refused = s.all("hotspare_readiness_check_reason", &refused);
        attempts.all(|(_, runs)| runs > 0.0) && refused.next().is_some()
    });
    let page = daemon.get("/metrics").text();
    let mut blocks = shown().into_iter();
    let excerpt = blocks.find(|block| block.starts_with("hotspare_"));
    let excerpt = excerpt.expect("the README shows series");
    let names = excerpt.lines().filter_map(|line| line.rsplit_once(' '));
    let mut checked = 0;
    for (name, _) in names {
        assert!(
            page.lines().any(|line| line.starts_with(name)),
            "no series {name}"
        );
        checked += 1;
    }
    assert!(checked > 10);
}

#[test]
fn a_region_that_measures_nothing_still_serves() {
    let config = "region: here\nregions: [{ name: here }, { name: there }]\nprobes:\n- name: nobody\n  \
                  from: [there]\n  check: { tcp: {} }\n  targets: { here: \"127.0.0.1:1\" }\n";
    let daemon = Daemon::start(config);
    daemon.wait_until("a page", |s| s.all("hotspare_targets", &[]).count() == 1);
    assert_eq!(daemon.get("/-/ready").status, 200);
    assert_eq!(daemon.get("/-/healthy").status, 200);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut daemon = Daemon::start(GOOD);
    // A request that never ends is waited for, for a while.
    let mut client = TcpStream::connect(daemon.address).expect("it accepts");
    client
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        .expect("written");
    daemon.wait_until("the client is seen", |s| {
        s.one("hotspare_http_connections", &[]) >= 2.0
    });
    daemon.process().signal(Signal::TERM);
    daemon
        .process()
        .wait_for_line(|line| line.contains("message=ending").then_some(()));
    daemon.process().signal(Signal::TERM);
    let (code, log) = (daemon.process().wait().code(), daemon.log());
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("ending at once"), "{log}");
}

#[test]
fn every_flag_has_its_variable_and_lies_over_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, GOOD).expect("writable");
    let mut command = hotspare();
    command
        .args(["run", "--log.level", "info"])
        .env("HOTSPARE_CONFIG_FILE", &file)
        .env("HOTSPARE_WEB_LISTEN_ADDRESS", "127.0.0.1:0,[::1]:0")
        .env("HOTSPARE_LOG_LEVEL", "error")
        .env("HOTSPARE_LOG_FORMAT", "json");
    let mut process = crate::process::Process::start(command);
    for address in ["127.0.0.1:", "[::1]:"] {
        process.wait_for_line(|line| {
            let json = line.starts_with('{') && line.contains("\"listening\"");
            (json && line.contains(address)).then_some(())
        });
    }
    for (name, value) in [
        ("HOTSPARE_CONFIG_FILE", "/nowhere/hotspare.yaml"),
        ("HOTSPARE_WEB_LISTEN_ADDRESS", "127.0.0.1"),
        ("HOTSPARE_WEB_CONFIG_FILE", "/nowhere/web.yml"),
        ("HOTSPARE_LOG_LEVEL", "loud"),
        ("HOTSPARE_LOG_FORMAT", "xml"),
    ] {
        let output = hotspare()
            .arg("run")
            .env("HOTSPARE_CONFIG_FILE", &file)
            .env(name, value)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(64), "{name}");
        let said = text(&output.stderr);
        assert!(said.contains(value), "{said}");
    }
}
