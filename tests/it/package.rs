//! The Debian package: built of the binary under test, checked, and lived through on a clean Debian.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use hotspare::VERSION;

use crate::process::run;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The package, built once for all tests.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let mut build = Command::new(repository().join("scripts/package"));
        build.arg(env!("CARGO_BIN_EXE_hotspare"));
        let said = run(build.args(["--strip", "--fast"]));
        let path = PathBuf::from(said.trim());
        assert!(path.is_absolute() || path.starts_with("target"), "{said}");
        repository().join(path)
    })
}

/// A field of the package's description.
fn field(name: &str) -> String {
    let mut dpkg = Command::new("dpkg-deb");
    let value = run(dpkg.arg("--field").arg(package()).arg(name));
    value.trim().to_owned()
}

#[test]
fn lintian_finds_no_fault() {
    let mut lintian = Command::new("lintian");
    lintian.args([
        "--allow-root",
        "--fail-on=error,warning",
        "--tag-display-limit=0",
    ]);
    let output = lintian.arg(package()).output();
    let output = output.expect("lintian (package lintian)");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_package_says_what_it_is() {
    assert_eq!(field("Version"), format!("{VERSION}-1"));
    let changelog = include_str!("../../debian/changelog");
    let newest = format!("hotspare ({VERSION}-1) ");
    assert!(changelog.starts_with(&newest), "debian/changelog");
    // Found by what the binary needs.
    let depends = field("Depends");
    assert!(depends.starts_with("libc6 (>= "), "{depends}");
    // `ExecReload=` runs what is in that package.
    let unit = include_str!("../../systemd/hotspare.service");
    assert!(unit.contains("\nExecReload=/bin/kill "));
    assert!(depends.contains(", procps"), "{depends}");
}

/// Every file of the package.
fn files() -> Vec<String> {
    let mut dpkg = Command::new("sh");
    dpkg.args(["-euc", "dpkg-deb --fsys-tarfile \"$0\" | tar -t"]);
    let list = run(dpkg.arg(package()));
    let paths = list.lines().filter(|path| !path.ends_with('/'));
    let paths = paths.filter_map(|path| path.strip_prefix('.'));
    paths.map(str::to_owned).collect()
}

#[test]
fn everything_that_an_operator_looks_for_is_in_the_package() {
    let files = files();
    for (folder, from, ending) in [
        ("/usr/lib/systemd/system", "systemd", ".service"),
        ("/usr/lib/systemd/system", "systemd", ".socket"),
        (
            "/usr/share/hotspare/grafana/dashboards",
            "grafana/dashboards",
            ".json",
        ),
        (
            "/usr/share/hotspare/grafana/provisioning/dashboards",
            "grafana/provisioning/dashboards",
            ".yaml",
        ),
        (
            "/usr/share/hotspare/prometheus/rules",
            "prometheus/rules",
            ".yaml",
        ),
        ("/usr/share/hotspare/alertmanager", "alertmanager", ".yaml"),
        (
            "/usr/share/doc/hotspare/examples/hotspare.service.d",
            "systemd/hotspare.service.d",
            ".conf",
        ),
        (
            "/usr/share/doc/hotspare/examples/sysctl.d",
            "systemd/sysctl.d",
            ".conf",
        ),
        ("/usr/share/doc/hotspare/examples", "config", ".yaml"),
        ("/usr/share/doc/hotspare", "docs", ".md"),
        ("/usr/share/doc/hotspare/runbooks", "docs/runbooks", ".md"),
    ] {
        let shipped = std::fs::read_dir(repository().join(from)).expect("readable");
        let names = shipped.map(|entry| entry.expect("readable").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
        assert!(!names.is_empty(), "{from}");
        for name in names {
            let wanted = format!("{folder}/{name}");
            assert!(files.contains(&wanted), "{wanted} is not in the package");
        }
    }
    for wanted in [
        "/usr/bin/hotspare",
        "/etc/hotspare/hotspare.yaml",
        "/etc/default/hotspare",
        "/usr/share/man/man1/hotspare.1.gz",
        "/usr/share/man/man1/hotspare-run.1.gz",
        "/usr/share/bash-completion/completions/hotspare",
        "/usr/share/fish/vendor_completions.d/hotspare.fish",
        "/usr/share/zsh/vendor-completions/_hotspare",
        "/usr/share/doc/hotspare/copyright",
        "/usr/share/doc/hotspare/changelog.Debian.gz",
    ] {
        assert!(files.iter().any(|file| file == wanted), "{wanted}");
    }
    // What changes the host, for all who are on it, is for its operator to do.
    let sysctl = files.iter().find(|file| file.contains("/sysctl.d/"));
    assert!(sysctl.is_some_and(|file| file.starts_with("/usr/share/doc/")));
}

/// Where this host has its packages from.
fn sources() -> PathBuf {
    let known = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/ubuntu.sources",
        "/etc/apt/sources.list",
    ];
    let mut known = known.iter().map(PathBuf::from);
    let found = known.find(|path| path.exists());
    found.expect("a list of sources, which Debian and Ubuntu have")
}

/// Making a root needs one's own, or user namespaces.
#[test]
fn on_a_clean_debian_it_is_installed_runs_and_leaves_nothing() {
    let script = repository().join("tests/it/package/clean_root.sh");
    let mut debian = Command::new("mmdebstrap");
    debian
        .args(["--quiet", "--variant=essential", "--include=systemd,procps"])
        .arg("--format=null")
        .arg(format!("--customize-hook={}", script.display()))
        .args(["", "/dev/null"])
        .arg(sources())
        .env("PACKAGE", package());
    let output = debian.output().expect("mmdebstrap (package mmdebstrap)");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("== nothing is left"), "{said}");
}

/// The commands of a section of docs/deployment.md.
fn commands(heading: &str) -> String {
    let page = include_str!("../../docs/deployment.md");
    let (_, section) = page.split_once(heading).expect("a section");
    let (_, block) = section.split_once("\n```sh\n").expect("commands");
    let (block, _) = block.split_once("```").expect("an end");
    block.to_owned()
}

#[test]
fn by_hand_the_documentation_installs_what_the_package_has() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().display().to_string();
    let binary = env!("CARGO_BIN_EXE_hotspare");
    let mut script = String::from("set -eu\n");
    for line in commands("\n### By hand\n").lines() {
        if line.starts_with("cargo ") || line.starts_with("systemctl ") {
            continue;
        }
        let line = line.replace("target/release/hotspare", binary);
        let line = line.replace("hotspare man ", &format!("{binary} man "));
        let line = line.replace("hotspare completions", &format!("{binary} completions"));
        let line = line.replace(" /usr/", &format!(" {target}/usr/"));
        let line = line.replace(" /etc/", &format!(" {target}/etc/"));
        script += &line.replace("=/usr/", &format!("={target}/usr/"));
        script.push('\n');
    }
    let mut shell = Command::new("sh");
    run(shell.current_dir(repository()).args(["-c", &script]));
    for wanted in [
        "usr/bin/hotspare",
        "etc/hotspare/hotspare.yaml",
        "etc/default/hotspare",
        "etc/systemd/system/hotspare.service",
        "usr/share/man/man1/hotspare.1",
        "usr/share/bash-completion/completions/hotspare",
    ] {
        let file = folder.path().join(wanted);
        let size = std::fs::metadata(&file).map_or(0, |file| file.len());
        assert!(size > 0, "{wanted}: {script}");
    }
}
