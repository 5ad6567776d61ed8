//! The daemons as Prometheus finds them: by what one of them serves, and in a file.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::daemon::{Daemon, hotspare};
use crate::process::{free_port, run, wait_for};
use crate::prometheus::Prometheus;

/// A file of these regions, each with the URL of its daemon if there is one.
fn fleet(regions: &[(&str, Option<&str>)]) -> String {
    let regions = regions.iter().map(|(name, daemon)| match daemon {
        Some(daemon) => format!("  - {{ name: {name}, daemon: \"{daemon}\" }}\n"),
        None => format!("  - {{ name: {name} }}\n"),
    });
    let regions: String = regions.collect();
    format!(
        "regions:\n{regions}probes:\n  - name: self\n    check: {{ tcp: }}\n    interval: 1s\n    \
         timeout: 500ms\n    targets: {{ a: \"127.0.0.1:9\" }}\n"
    )
}

/// `hotspare sd` of a fleet's file in a folder.
fn sd(folder: &Path, fleet: &str) -> Command {
    let file = folder.join("hotspare.yaml");
    std::fs::write(&file, fleet).expect("writable");
    let mut command = hotspare();
    command.args(["sd", "--config.file"]).arg(file);
    command
}

fn said(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The job's label `region`, and the address, of everything that it scrapes, in order.
fn scraped(prometheus: &Prometheus, job: &str) -> Vec<(String, String)> {
    let targets = prometheus.ask("/api/v1/targets?state=active");
    let active = targets["data"]["activeTargets"].as_array();
    let of_job = active.expect("a list").iter();
    let of_job = of_job.filter(|target| target["scrapePool"] == job);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut all: Vec<_> = of_job
        .map(|target| {
            (
                text(&target["labels"]["region"]),
                text(&target["scrapeUrl"]),
            )
        })
        .collect();
    all.sort();
    all
}

/// A job that keeps the region of a daemon as the label `region`.
fn job(name: &str, discovery: &str) -> String {
    format!(
        "- job_name: {name}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  {discovery}\n  \
         relabel_configs: [{{ source_labels: [__meta_hotspare_region], target_label: region }}]\n"
    )
}

#[test]
fn prometheus_finds_the_daemons_by_one_of_them_and_in_a_file() {
    let urls = [(); 2].map(|()| format!("http://127.0.0.1:{}", free_port()));
    let [a, b] = urls.each_ref().map(String::as_str);
    // Nobody is there, and it is found all the same.
    let c = "https://[::1]:1/hotspare";
    let fleet_now = fleet(&[
        ("a", Some(a)),
        ("b", Some(b)),
        ("none", None),
        ("c", Some(c)),
    ]);
    let start = |region: &str, url: &str| {
        let address = url.trim_start_matches("http://");
        let arguments = ["--region", region, "--web.listen-address", address];
        Daemon::start_with(&fleet_now, |_| {}, &arguments)
    };
    let daemons = [start("a", a), start("b", b)];

    let lists = daemons.each_ref().map(|daemon| daemon.get("/sd").text());
    assert_eq!(lists[0], lists[1], "every daemon has the whole list");
    let urls = daemons
        .each_ref()
        .map(|d| format!("{{ url: \"http://{}/sd\" }}", d.address));
    let by_http = job("http", &format!("http_sd_configs: [{}]", urls.join(", ")));
    let by_file = job("file", "file_sd_configs: [{ files: [\"lists/*.json\"] }]");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lists_folder = folder.path().join("lists");
    std::fs::create_dir(&lists_folder).expect("a folder");
    let list = lists_folder.join("daemons.json");
    let write = |fleet: &str| run(sd(folder.path(), fleet).arg("--output").arg(&list));
    write(&fleet(&[("a", Some(a))]));
    let prometheus = Prometheus::start_with(&[], &format!("{by_http}{by_file}"), |own| {
        std::os::unix::fs::symlink(&lists_folder, own.join("lists")).expect("a link");
    });

    let found = |region: &str, url: &str| (region.to_owned(), format!("{url}/metrics"));
    let all = [found("a", a), found("b", b), found("c", c)];
    // Although two daemons tell of each.
    wait_for(|| scraped(&prometheus, "http"), |found| *found == all);
    let one = [found("a", a)];
    wait_for(|| scraped(&prometheus, "file"), |found| *found == one);
    write(&fleet_now);
    wait_for(|| scraped(&prometheus, "file"), |found| *found == all);
    let written = std::fs::read_dir(&lists_folder).expect("readable").count();
    assert_eq!(written, 1, "nothing is left beside the list");

    for job in ["http", "file"] {
        let up = format!("up{{job=\"{job}\"}}");
        let expected = [("a", 1.0), ("b", 1.0), ("c", 0.0)];
        let expected = expected.map(|(region, up)| (region.to_owned(), up));
        prometheus.wait_for(&up, "region", |found| {
            let mut found = found.to_vec();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            found == expected
        });
        // Of each its own.
        let own = format!("hotspare_probe_interval_seconds{{job=\"{job}\",region=\"b\"}}");
        let own = prometheus.wait_for(&own, "source_region", |found| !found.is_empty());
        assert_eq!(own, [("b".to_owned(), 1.0)]);
    }
}

#[test]
fn the_list_needs_no_region_and_tells_which_regions_it_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fleet = fleet(&[
        ("a", Some("http://10.1.0.5:9887")),
        ("b", None),
        ("c", None),
    ]);
    let output = sd(folder.path(), &fleet).output().expect("it runs");
    let (code, list, lacking) = said(&output);
    assert_eq!(code, Some(0), "{lacking}");
    assert_eq!(lacking, "not in the list, without a `daemon`: b, c\n");
    let list: Value = serde_json::from_str(list).expect("JSON");
    let group = serde_json::json!({
        "targets": ["10.1.0.5:9887"],
        "labels": { "__meta_hotspare_region": "a" },
    });
    assert_eq!(list, Value::from(vec![group]));
}

#[test]
fn regions_of_included_files_are_in_the_list() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fleet = fleet(&[("a", Some("http://10.1.0.5"))]) + "include: [more.yaml]\n";
    let more = "regions: [{ name: b, daemon: \"http://10.2.0.5\" }]\n";
    std::fs::write(folder.path().join("more.yaml"), more).expect("writable");
    let list: Value = serde_json::from_str(&run(&mut sd(folder.path(), &fleet))).expect("JSON");
    let targets: Vec<_> = [0, 1].map(|i| list[i]["targets"][0].clone()).into();
    assert_eq!(targets, ["10.1.0.5:80", "10.2.0.5:80"]);
}

#[test]
fn without_a_daemon_or_with_a_fault_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = folder.path().join("list.json");
    std::fs::write(&list, "[]").expect("writable");
    let none = fleet(&[("a", None)]);
    let bad = fleet(&[("a", Some("10.1.0.5:9887"))]);
    for (fleet, code, why) in [
        (
            none,
            1,
            "hotspare.yaml: no region has a `daemon`, so nothing is written: give",
        ),
        (
            bad,
            64,
            "hotspare.yaml:2:24: regions[0].daemon: expected a URL like",
        ),
        ("regions: [\n".to_owned(), 64, "not valid YAML"),
    ] {
        let mut command = sd(folder.path(), &fleet);
        let output = command
            .arg("--output")
            .arg(&list)
            .output()
            .expect("it runs");
        let (ended, written, told) = said(&output);
        assert_eq!(ended, Some(code), "{told}");
        assert!(told.contains(why), "{told}");
        assert_eq!(written, "");
        assert_eq!(std::fs::read_to_string(&list).expect("readable"), "[]");
    }
    let good = fleet(&[("a", Some("http://10.1.0.5:9887"))]);
    let nowhere = folder.path().join("nowhere/list.json");
    let mut command = sd(folder.path(), &good);
    let output = command
        .arg("--output")
        .arg(&nowhere)
        .output()
        .expect("it runs");
    let (code, _, told) = said(&output);
    let why = format!("cannot write the list to {}: ", nowhere.display());
    assert!(code == Some(1) && told.starts_with(&why), "{code:?} {told}");
}

#[test]
fn a_list_that_is_replaced_keeps_its_place_and_its_mode() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let real = folder.path().join("real");
    std::fs::create_dir(&real).expect("made");
    let link = folder.path().join("list.json");
    std::os::unix::fs::symlink("real/list.json", &link).expect("linked");
    let fleet = fleet(&[("a", Some("http://10.1.0.5:9887"))]);
    let write = || run(sd(folder.path(), &fleet).arg("--output").arg(&link));
    // To where nothing is yet, and again over what is there.
    write();
    let file = real.join("list.json");
    let first = std::fs::read_to_string(&file).expect("written through the link");
    std::fs::set_permissions(&file, Permissions::from_mode(0o604)).expect("settable");
    write();
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o604);
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), first);
    assert!(link.is_symlink());
    let left = std::fs::read_dir(&real).expect("readable").count();
    assert_eq!(left, 1, "nothing is left beside it");
}
