//! What docs/openapi.yaml says is what the server does: every route and method is in it and no other,
//! and Schemathesis asks a real daemon many things, right and wrong, and holds the answers against it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

use crate::daemon::Daemon;
use crate::server::{Served, ask, patient};

const FILE: &str = include_str!("../../docs/openapi.yaml");

/// What Schemathesis needs, with its hash.
const LOCK: &str = include_str!("openapi/requirements.txt");

/// The paths of the file, with their methods.
fn described() -> BTreeMap<String, BTreeSet<String>> {
    let documents = YamlLoader::load_from_str(FILE).expect("YAML");
    let paths = documents[0]["paths"].as_hash().expect("paths");
    let text = |yaml: &Yaml| yaml.as_str().expect("text").to_owned();
    let methods = |of: &Yaml| of.as_hash().expect("methods").keys().map(text).collect();
    let paths = paths.iter();
    paths.map(|(path, of)| (text(path), methods(of))).collect()
}

/// The paths of the router, as its source has them.
fn routed() -> BTreeSet<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server")];
    let mut routes = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| of == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let calls = text.split(".route(").skip(1);
                let first = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
                routes.extend(first.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    routes
}

/// Whether a path is for people, who need no description.
fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/targets") || path.starts_with("/assets/")
}

#[test]
fn every_route_is_described_and_no_other() {
    let mut routed = routed();
    assert!(routed.remove("/") && routed.len() > 20, "{routed:?}");
    routed.retain(|path| !is_page(path));
    let described: BTreeSet<_> = described().into_keys().collect();
    assert_eq!(described, routed);
    let rows = include_str!("../../docs/api.md").lines();
    let first = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let paths = first.filter_map(|route| route.split_once(" /"));
    let mut documented: BTreeSet<_> = paths.map(|(_, path)| format!("/{path}")).collect();
    documented.retain(|path| !is_page(path));
    assert_eq!(described, documented, "right: docs/api.md");
}

#[tokio::test]
async fn every_route_takes_the_methods_that_are_described_and_no_other() {
    let served = Served::start(patient());
    for (path, mut methods) in described() {
        if methods.contains("get") {
            methods.insert("head".to_owned());
        }
        let request = format!("DELETE {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let request = request.replace(['{', '}'], "");
        let answer = ask(&mut served.connect().await, &request).await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.header("allow").expect("a header").to_lowercase();
        let allowed = allowed.split(',').map(str::to_owned).collect();
        assert_eq!(methods, allowed, "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn the_file_is_served_as_it_is() {
    let served = Served::start(patient());
    let answer = served.get("/api/v1/openapi.yaml", "").await;
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    assert_eq!(answer.text(), FILE);
    served.stop().await;
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn done(command: &mut Command) {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

/// The folder where Schemathesis is installed, once for each lock.
fn schemathesis() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).ok().as_deref() != Some(LOCK) {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi/requirements.txt");
        done(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        );
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        done(
            pip.args(["--require-hashes", "--only-binary=:all:", "-r"])
                .arg(lock),
        );
        std::fs::write(installed, LOCK).expect("writable");
    }
    folder
}

/// A daemon of which there is something to tell of every kind: a group with a standby that is ready and
/// one that is not, alerts, and a receiver that takes nothing.
fn daemon(state: &TempDir) -> Daemon {
    let state = state.path().display();
    let daemon = Daemon::start(&format!(
        "region: here\n\
         regions:\n\
         - {{ name: here, daemon: \"http://127.0.0.1:9887\" }}\n\
         - {{ name: north }}\n\
         - {{ name: south }}\n\
         - {{ name: west }}\n\
         state_dir: {state}\n\
         defaults: {{ interval: 500ms, timeout: 400ms }}\n\
         probes:\n\
         - name: web\n\
         \x20 check: {{ ping: {{ count: 1 }} }}\n\
         \x20 labels: {{ tier: gold }}\n\
         \x20 targets: {{ north: 127.0.0.1, south: 127.0.0.2 }}\n\
         - name: port\n\
         \x20 check: {{ tcp: {{}} }}\n\
         \x20 targets: {{ north: \"127.0.0.1:1\", south: \"127.0.0.1:1\", west: \"127.0.0.1:1\" }}\n\
         groups:\n\
         - name: shop\n\
         \x20 primary: north\n\
         \x20 standbys: [south, west]\n\
         \x20 probes: [port]\n\
         \x20 objectives: {{ rto: 5m }}\n\
         \x20 holds: [{{ standby: west, reason: rebuilt, until: 2999-01-01T00:00:00Z }}]\n\
         rules:\n\
         - {{ name: Fails, when: {{ failures: {{ probe: port }} }}, severity: warning }}\n\
         receivers:\n\
         - {{ name: nobody, webhook: {{ url: \"http://127.0.0.1:1/\" }} }}\n\
         alerting: {{ group_wait: 0s, group_interval: 1s }}\n"
    ));
    daemon.wait_until("an alert", |series| {
        series.sum("hotspare_alerts", &["state=\"firing\""]) > 0.0
    });
    daemon
}

#[test]
fn what_is_asked_right_or_wrong_is_answered_as_described() {
    let program = schemathesis().join("bin/schemathesis");
    let state = tempfile::tempdir().expect("a folder");
    let daemon = daemon(&state);
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("openapi.yaml");
    std::fs::write(&file, FILE).expect("writable");
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/openapi/schemathesis.toml"
    );
    let mut command = Command::new(program);
    command
        .current_dir(place.path())
        .args(["--config-file", config, "run"])
        .arg(&file)
        .args(["--url", &format!("http://{}", daemon.address)]);
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    // It asked at all.
    let asked = said.contains("response_schema_conformance") || said.contains(" passed");
    assert!(asked, "{said}");
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("level=error"), "{log}");
}
