//! The image and the composition: what can be shown of them where no base image can be had.
//!
//! The last stage of the image is laid out by the script that the Dockerfile runs, and the binary is
//! run in it as the image runs it: as a user of its own that has nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use hotspare::VERSION;
use rustix::process::geteuid;
use yaml_rust2::Yaml;

use crate::process::{Process, run};
use crate::rules::{list, read, root, succeeds, yaml};

/// The instructions of the Dockerfile, each with what follows it, in one line.
fn instructions() -> Vec<(String, String)> {
    let text = read(&root().join("Dockerfile"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", "");
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

/// What follows each instruction of that name.
fn all(name: &str) -> Vec<String> {
    let found = instructions().into_iter().filter(|(word, _)| word == name);
    found.map(|(_, rest)| rest).collect()
}

/// What stands in the brackets of the only instruction of that name.
fn command(name: &str) -> Vec<String> {
    let found = all(name);
    let [line] = &found[..] else {
        panic!("{name}: {found:?}");
    };
    let (_, list) = line.split_once('[').expect("a list");
    serde_json::from_str(&format!("[{list}")).expect("words")
}

/// What the Dockerfile takes from the repository, and where it puts it.
fn copied() -> Vec<(Vec<String>, String)> {
    let copies = all("COPY").into_iter();
    let copies = copies.filter(|copy| !copy.starts_with("--from"));
    copies
        .map(|copy| {
            let mut words: Vec<_> = copy.split_whitespace().map(str::to_owned).collect();
            let to = words.pop().expect("a place");
            (words, to)
        })
        .collect()
}

#[test]
fn the_image_takes_what_is_there_and_nothing_else_is_sent_to_the_builder() {
    let sources: BTreeSet<_> = copied().into_iter().flat_map(|(from, _)| from).collect();
    for source in &sources {
        assert!(root().join(source).exists(), "{source}");
    }
    let ignored = read(&root().join(".dockerignore"));
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    let sent = lines.map(|line| line.strip_prefix('!').expect("what is sent").to_owned());
    assert_eq!(sources, sent.collect());
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_repository() {
    let toolchain = read(&root().join("rust-toolchain.toml"));
    let (_, rest) = toolchain.split_once("channel = \"").expect("a channel");
    let (version, _) = rest.split_once('"').expect("a version");
    let stages = all("FROM");
    assert_eq!(
        stages,
        [&format!("rust:{version}-slim-bookworm AS build"), "scratch"]
    );
}

/// Copies as the Dockerfile does: of a folder, what is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    let from = if from.is_dir() {
        from.join(".")
    } else {
        from.to_owned()
    };
    run(Command::new("cp").arg("-r").arg(from).arg(to));
}

/// The layer of the dependencies is built of files that are made up: cargo takes them for the package.
#[test]
fn cargo_finds_a_package_in_the_layer_of_the_dependencies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = copied().into_iter();
    for (sources, to) in first.take_while(|(sources, _)| sources != &["src"]) {
        for source in sources {
            copy(&root().join(source), &folder.path().join(&to));
        }
    }
    let build = "cargo build --release --locked --bin hotspare";
    let script = all("RUN").into_iter().find(|line| line.ends_with(build));
    let script = script.expect("it builds what others wrote");
    let look = "cargo metadata --locked --offline --no-deps --format-version=1";
    let mut shell = Command::new("sh");
    shell.current_dir(folder.path());
    let said = run(shell.args(["-euc", &script.replace(build, look)]));
    assert!(said.contains("\"name\":\"hotspare\""), "{said}");
}

/// The root of the image, with the binary under test, put together as the last stage does it.
fn image() -> tempfile::TempDir {
    let parts = tempfile::tempdir().expect("a temporary folder");
    let mut layout = Command::new(root().join("scripts/image-root"));
    layout
        .arg(env!("CARGO_BIN_EXE_hotspare"))
        .arg(parts.path())
        .env_remove("LD_LIBRARY_PATH");
    run(&mut layout);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stages = all("COPY").into_iter();
    let copies: Vec<_> = stages.filter(|copy| copy.starts_with("--from")).collect();
    assert_eq!(
        copies,
        [
            "--from=build /image/root/ /",
            "--from=build --chown=65532:65532 /image/user/ /"
        ]
    );
    for (part, owner) in [("root", "0:0"), ("user", "65532:65532")] {
        let part = parts.path().join(part);
        run(Command::new("chown").args(["-R", owner]).arg(&part));
        let all = part.join(".");
        run(Command::new("cp").arg("-a").arg(all).arg(folder.path()));
    }
    folder
}

/// A command in the image, as its user and with its environment.
fn inside(image: &Path, words: &[String]) -> Command {
    let users = all("USER");
    let mut command = Command::new("chroot");
    command
        .arg(format!("--userspec={}", users.join("")))
        .arg(image)
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for setting in all("ENV") {
        let (name, value) = setting.split_once('=').expect("a value");
        // Other tests have that port.
        command.env(name, value.replace("0.0.0.0:9887", "127.0.0.1:0"));
    }
    command
}

#[test]
fn in_the_image_the_daemon_runs_as_a_user_of_its_own_and_says_that_it_is_healthy() {
    if !geteuid().is_root() {
        let promised = std::env::var("HOTSPARE_TEST_AS_ROOT");
        assert_ne!(promised.as_deref(), Ok("1"), "only root changes its root");
        return;
    }
    let image = image();
    let daemon = [command("ENTRYPOINT"), command("CMD")].concat();
    let mut daemon = Process::start(inside(image.path(), &daemon));
    daemon.wait_for_line(|line| {
        line.contains("unix:/run/hotspare/hotspare.sock")
            .then_some(())
    });
    let said = run(&mut inside(image.path(), &command("HEALTHCHECK")));
    assert_eq!(said, "unix:/run/hotspare/hotspare.sock: healthy\n");
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0), "{:?}", daemon.output());
    let journal = image.path().join("var/lib/hotspare/journal");
    assert!(journal.exists(), "{:?}", daemon.output());

    let failed = inside(image.path(), &command("HEALTHCHECK")).output();
    assert_eq!(failed.expect("it runs").status.code(), Some(1));
}

fn services() -> Vec<(String, Yaml)> {
    let composition = yaml(&root().join("compose.yaml"));
    let services = composition["services"].as_hash().expect("services").clone();
    let named = services.into_iter();
    named
        .map(|(name, service)| (name.as_str().expect("a name").to_owned(), service))
        .collect()
}

fn texts(list: &[Yaml]) -> impl Iterator<Item = &str> {
    list.iter().map(|text| text.as_str().expect("a text"))
}

#[test]
fn compose_takes_the_composition() {
    let said = succeeds(
        Command::new("docker-compose")
            .arg("--file")
            .arg(root().join("compose.yaml"))
            .args(["config", "--quiet"]),
    );
    assert_eq!(said, "");
}

#[test]
fn every_image_has_a_version_and_every_port_is_of_this_host_only() {
    let services = services();
    let names: Vec<_> = services.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["hotspare", "prometheus", "alertmanager", "grafana"]);
    for (name, service) in &services {
        let image = service["image"].as_str().expect("an image");
        let (_, version) = image.split_once(':').expect(image);
        let parts: Vec<_> = version.trim_start_matches('v').split('.').collect();
        let numbers = parts.iter().all(|part| part.parse::<u32>().is_ok());
        assert!(parts.len() == 3 && numbers, "{image}");
        if name == "hotspare" {
            assert_eq!(version, VERSION);
        }
        let open = list(&service["ports"]);
        assert!(!open.is_empty());
        for port in texts(open) {
            assert!(port.starts_with("127.0.0.1:"), "{port}");
        }
    }
}

#[test]
fn what_is_mounted_is_there() {
    let composition = yaml(&root().join("compose.yaml"));
    let mut files = 0;
    for (name, service) in services() {
        for volume in texts(list(&service["volumes"])) {
            let from = volume.split(':').next().expect("a source");
            if let Some(path) = from.strip_prefix("./") {
                assert!(root().join(path).exists(), "{name}: {volume}");
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
                files += 1;
            } else {
                let volumes = composition["volumes"].as_hash().expect("volumes");
                assert!(
                    volumes.contains_key(&Yaml::String(from.to_owned())),
                    "{from}"
                );
            }
        }
    }
    assert_eq!(files, 7);
}

#[test]
fn prometheus_and_grafana_ask_the_services_that_there_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = root().join("prometheus/rules");
    let file = folder.path().join("prometheus.yml");
    let prometheus = read(&root().join("compose/prometheus.yaml"));
    let here = prometheus.replace("/etc/prometheus/rules", &rules.display().to_string());
    assert_ne!(here, prometheus);
    std::fs::write(&file, here).expect("written");
    let checked = succeeds(Command::new("promtool").args(["check", "config"]).arg(file));
    assert_eq!(checked.matches("rules found").count(), 3, "{checked}");

    let source = read(&root().join("compose/datasource.yaml"));
    for (text, target) in [
        (&prometheus, "hotspare:9887"),
        (&prometheus, "alertmanager:9093"),
        (&source, "prometheus:9090"),
    ] {
        assert!(text.contains(target), "{target}");
        let (service, port) = target.split_once(':').expect("a port");
        let services = services();
        let found = services.iter().find(|(name, _)| name == service);
        let (_, found) = found.expect("a service");
        let open = format!("127.0.0.1:{port}:{port}");
        assert!(texts(list(&found["ports"])).any(|published| published == open));
    }
    // It is the shipped one, but for where Prometheus is.
    let shipped = root().join("grafana/provisioning/datasources/hotspare.yaml");
    let shipped = read(&shipped).replace("http://localhost:9090", "http://prometheus:9090");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&source), lines(&shipped));
}
