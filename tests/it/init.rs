//! `hotspare init`: whatever it is told, what it writes is good, and it writes over nothing.

use std::path::Path;
use std::process::Output;

use crate::daemon::hotspare;

fn init(folder: &Path, arguments: &[String]) -> Output {
    let mut command = hotspare();
    command.arg("init").args(arguments).current_dir(folder);
    command.output().expect("it runs")
}

/// What `hotspare check` says of the file, which it has to find good.
fn checked(folder: &Path, region: &str, what: &[String]) -> String {
    let mut command = hotspare();
    command.args(["check", "--config.file=hotspare.yaml", "--region", region]);
    let output = command.current_dir(folder).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{what:?}: {said}{text}");
    assert!(!text.contains("warning:"), "{what:?}: {text}");
    text
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Names that YAML would take for something else.
const ODD: [&str; 3] = ["no", "1e3", "0x1f"];
const PLAIN: [&str; 3] = ["eu-west", "us-east", "ap.south_1"];

/// Flags for an address in each of the regions.
fn each(flag: &str, regions: &[&str], addresses: [&str; 3]) -> Vec<String> {
    let pairs = regions.iter().zip(addresses);
    pairs
        .map(|(region, address)| format!("--{flag}={region}={address}"))
        .collect()
}

#[test]
fn what_it_writes_is_good_whatever_it_is_told() {
    let services = [
        "https://10.1.0.20/healthz",
        "http://[fd00::1]:8080/",
        "http://10.3.0.20/a?b=c#d",
    ];
    let databases = ["10.1.0.30:5432", "[fd00::2]:5432", "10.3.0.30"];
    let receivers = [
        vec![],
        texts(&["--webhook=https://hooks.example.com/a?b=\"c\""]),
        texts(&[
            "--alertmanager=http://10.1.0.9:9093",
            "--alertmanager=http://10.2.0.9:9093",
        ]),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.pw"), "hush").expect("written");
    let mut seen = 0;
    for names in [PLAIN, ODD] {
        for count in 1..=3 {
            for (turn, kind) in ["none", "postgres", "mysql", "redis"].iter().enumerate() {
                for with_http in [0, 1, 3] {
                    let regions = &names[..count];
                    let mut arguments = texts(&["--region", names[0], "--force"]);
                    arguments.extend(each("target", &regions[..count.min(with_http)], services));
                    if *kind != "none" {
                        // Also where one region has none.
                        let at = &regions[..count.min(2)];
                        arguments.extend(each(kind, at, databases));
                    }
                    let password = seen % 2 == 1 && *kind != "none";
                    if password {
                        arguments.extend(texts(&["--database-password-file=db.pw"]));
                    }
                    arguments.extend(receivers[(turn + with_http) % 3].clone());
                    let output = init(folder.path(), &arguments);
                    assert!(output.status.success(), "{arguments:?}: {output:?}");
                    let text = checked(folder.path(), names[0], &arguments);
                    assert!(text.contains("from "), "{text}");
                    let written = std::fs::read_to_string(folder.path().join("hotspare.yaml"));
                    let written = written.expect("written");
                    assert!(!written.contains("hush"), "{written}");
                    let active = written.contains("\n        password_file: db.pw");
                    assert_eq!(active, password, "{written}");
                    seen += 1;
                }
            }
        }
    }
    let left = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(left, 2, "{seen} times, and nothing else is left behind");
}

#[test]
fn regions_with_all_of_it_have_a_group_that_can_fail_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut arguments = texts(&["--region=no", "--service=yes", "--output=hotspare.yaml"]);
    let addresses = [
        "http://10.1.0.20/",
        "http://10.2.0.20/",
        "http://10.3.0.20/",
    ];
    arguments.extend(each("target", &ODD, addresses));
    arguments.extend(each("mysql", &ODD, ["10.1.0.30", "10.2.0.30", "10.3.0.30"]));
    assert!(init(folder.path(), &arguments).status.success());
    let text = checked(folder.path(), "1e3", &arguments);
    assert!(
        text.contains("group yes: primary no, standbys 1e3, 0x1f"),
        "{text}"
    );
    assert!(text.contains("objectives: rpo 30s, rto 15m"), "{text}");
    assert!(text.contains("mysql (mysql) without a canary"), "{text}");
    assert!(text.contains("PrimaryLost"), "{text}");
}

#[test]
fn nothing_is_written_over_and_nothing_that_is_not_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hotspare.yaml");
    std::fs::write(&file, "mine").expect("written");
    let refused = |arguments: &[&str], why: &str| {
        let output = init(folder.path(), &texts(arguments));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{arguments:?}: {said}");
        let there = std::fs::read_dir(folder.path()).expect("readable").count();
        assert_eq!(there, 1, "{arguments:?}");
        assert_eq!(std::fs::read(&file).expect("readable"), b"mine");
    };
    refused(&["--region=a"], "--force writes over it");
    refused(
        &["--region=a", "--force", "--target=b/c=http://h/"],
        "not a name",
    );
    let broken = "--target=b=http://u:secret@h/";
    refused(
        &["--region=a", "--force", broken],
        "must not hold a user or password",
    );
    let lacking = [
        "--region=a",
        "--force",
        "--redis=a=h",
        "--database-password-file=no.pw",
    ];
    refused(&lacking, "no.pw");
    refused(&["--force"], "--region NAME is needed");
    refused(
        &["--region=a", "--output=b.yaml", "--target=http://h/"],
        "expected a region and an address",
    );
}
