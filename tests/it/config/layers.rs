//! Files, environment and flags over each other, and who is blamed.

use std::time::Duration;

use super::fixture::Folder;

const MAIN: &str = r#"
region: a
regions: [{ name: a, jurisdiction: EU }, { name: b }]
defaults: { interval: 20s }
include: ["conf.d/*.yaml"]
probes:
  - { name: p, check: { tcp: {} }, targets: { a: "10.0.0.1:80" } }
"#;

const MORE: &str = r#"
regions: [{ name: c }]
probes:
  - { name: q, check: { tcp: {} }, targets: { c: "10.0.0.2:80" } }
"#;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn includes_add_to_the_lists_in_the_order_of_their_names() {
    let folder = Folder::with(MAIN)
        .add(
            "conf.d/2.yaml",
            &MORE
                .replace("name: c", "name: d")
                .replace("name: q", "name: r")
                .replace("c: ", "d: "),
        )
        .add("conf.d/1.yaml", MORE)
        .add("conf.d/.hidden.yaml", "broken: [")
        .add("conf.d/notes.txt", "broken: [");
    let config = folder.load().expect("good");
    let names: Vec<_> = config.regions.iter().map(|r| &*r.name).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let names: Vec<_> = config.probes.iter().map(|p| &*p.name).collect();
    assert_eq!(names, ["p", "q", "r"]);
    assert_eq!(config.files[1], folder.path("conf.d/1.yaml"));
    assert_eq!(config.files.len(), 3);
}

#[test]
fn a_pattern_without_a_match_is_fine_and_a_file_is_read_once() {
    let main = MAIN.replace(
        r#"["conf.d/*.yaml"]"#,
        r#"["x/*.yaml", "*.yaml", "more.yaml"]"#,
    );
    let config = Folder::with(&main).add("more.yaml", MORE).load();
    assert_eq!(config.expect("good").files.len(), 2);
    assert_eq!(Folder::with(MAIN).problems(), "");
}

#[test]
fn includes_are_blamed_by_their_own_lines_and_names_are_shared() {
    let folder = Folder::with(MAIN)
        .add(
            "conf.d/1.yaml",
            "include: [x]\nregoin: a\nregion: b\nprobes:\n  - { name: p, chekc: {} }\n",
        )
        .add("conf.d/2.yaml", "regions: [{ name: a }]\n")
        .add("conf.d/3.yaml", "regions: [\n");
    assert_eq!(
        folder
            .problems()
            .replace(&folder.path("").display().to_string(), ""),
        "conf.d/1.yaml:1:1: include: only the main file can have this key\n\
         conf.d/1.yaml:2:1: regoin: unknown key; did you mean `regions`?\n\
         conf.d/1.yaml:3:1: region: only the main file can have this key\n\
         conf.d/1.yaml:5:5: probes[0]: the key `check` is missing\n\
         conf.d/1.yaml:5:5: probes[0]: the key `targets` is missing\n\
         conf.d/1.yaml:5:13: probes[0].name: the name `p` is taken, at hotspare.yaml:7:13\n\
         conf.d/1.yaml:5:16: probes[0].chekc: unknown key; did you mean `check`?\n\
         conf.d/2.yaml:1:19: regions[0].name: the name `a` is taken, at hotspare.yaml:3:19\n\
         conf.d/3.yaml:2:1: not valid YAML: while parsing a node, did not find expected node content"
    );
}

#[test]
fn an_include_cannot_lead_out_of_the_folder_or_block() {
    let secret = tempfile::tempdir().expect("folder");
    std::fs::write(secret.path().join("x.yaml"), MORE).expect("write");
    let folder = Folder::with(MAIN).add("conf.d/real/1.yaml", MORE);
    let link = |to: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(to, folder.path(name)).expect("link");
    };
    // As mounted volumes do it: a link to a file below the folder.
    link(&folder.path("conf.d/real/1.yaml"), "conf.d/1.yaml");
    assert_eq!(folder.problems(), "");
    link(&secret.path().join("x.yaml"), "conf.d/2.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path("conf.d/3.yaml"), 0o600.into())
        .expect("pipe");
    std::fs::write(folder.path("conf.d/4.yaml"), vec![b'#'; (4 << 20) + 1]).expect("write");
    std::fs::write(folder.path("conf.d/5.yaml"), b"a: b\n# \xff\n").expect("write");
    link(std::path::Path::new("nowhere"), "conf.d/6.yaml");
    let problems = folder.problems();
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(lines.len(), 5, "{problems}");
    for (line, part) in lines.iter().zip([
        "2.yaml: the file is a link to ",
        "3.yaml: not a regular file",
        "4.yaml: the file is larger than 4 MiB",
        "5.yaml: the file is not UTF-8 (line 2)",
        "6.yaml: cannot read the file: No such file",
    ]) {
        assert!(
            line.starts_with("hotspare.yaml:5:11: include[0]: "),
            "{line}"
        );
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn more_files_than_the_limit_are_refused() {
    let mut folder = Folder::with(MAIN);
    for i in 0..257 {
        folder = folder.add(&format!("conf.d/{i}.yaml"), "");
    }
    assert!(
        folder
            .problems()
            .contains("more than 256 files are included")
    );
}

#[test]
fn the_environment_lies_over_the_file_and_the_flag_over_both() {
    let folder = Folder::with(MAIN)
        .env("HOTSPARE_REGION", "b")
        .env("HOTSPARE_DEFAULTS__TIMEOUT", "2s")
        .env("HOTSPARE_DEFAULTS__BUCKETS", "[0.5, 1]")
        .env("HOTSPARE_LIMITS__MAX_IN_FLIGHT", "7")
        .env("HOTSPARE_LOG_LEVEL", "debug")
        .env("PATH", "/bin");
    let config = folder.load().expect("good");
    assert_eq!(&*config.region, "b");
    assert_eq!(config.limits.max_in_flight, 7);
    let probe = &config.probes[0];
    assert_eq!((probe.interval, probe.timeout), (seconds(20), seconds(2)));
    assert_eq!(&*probe.buckets, [0.5, 1.0]);

    let mut folder = folder;
    folder.overrides.region = Some("a".to_owned());
    assert_eq!(&*folder.load().expect("good").region, "a");
}

#[test]
fn bad_variables_are_blamed_themselves() {
    let mut folder = Folder::with(MAIN)
        .env("HOTSPARE_DEFAULTS__INTERVAL", "fast")
        .env("HOTSPARE_DEFAULTS_TIMEOUT", "2s")
        .env("HOTSPARE_LIMITS__MAX_IN_FLIGHT", "0")
        .env("HOTSPARE_LIMITS__PROBE_THREADS", "two")
        .env("HOTSPARE_LIMITS__MAX_TARGETS", "[")
        .env("HOTSPARE_PROBES__0__NAME", "x")
        .env("HOTSPARE_GROUPS", "[]")
        .env("HOTSPARE_RULES", "[]")
        .env("HOTSPARE_RECEIVERS__0__NAME", "x")
        .env("HOTSPARE_MAINTENANCE", "[]")
        .env("HOTSPARE_COLOUR__RED", "x")
        .env("HOTSPARE_DEFAULTS__TIMEOUT", " ")
        .env("HOTSPARE_REGION", "");
    assert_eq!(
        folder.problems(),
        "HOTSPARE_COLOUR__RED: no such setting\n\
         HOTSPARE_DEFAULTS_TIMEOUT: no such setting; did you mean `HOTSPARE_DEFAULTS__TIMEOUT`?\n\
         HOTSPARE_DEFAULTS__INTERVAL: defaults.interval: `fast`: expected a duration like 150ms, \
         5s or 1m30s\n\
         HOTSPARE_DEFAULTS__TIMEOUT: it is empty; unset it or give it a value\n\
         HOTSPARE_GROUPS: lists are set in the file only, not by the environment\n\
         HOTSPARE_LIMITS__MAX_IN_FLIGHT: limits.max_in_flight: must be from 1 to 65536\n\
         HOTSPARE_LIMITS__MAX_TARGETS: not valid YAML: while parsing a node, did not find expected \
         node content\n\
         HOTSPARE_LIMITS__PROBE_THREADS: limits.probe_threads: expected a whole number, found text\n\
         HOTSPARE_MAINTENANCE: lists are set in the file only, not by the environment\n\
         HOTSPARE_PROBES__0__NAME: lists are set in the file only, not by the environment\n\
         HOTSPARE_RECEIVERS__0__NAME: lists are set in the file only, not by the environment\n\
         HOTSPARE_REGION: it is empty; unset it or give it a value\n\
         HOTSPARE_RULES: lists are set in the file only, not by the environment"
    );
    folder.overrides.env.clear();
    folder.overrides.region = Some("nowhere".to_owned());
    assert_eq!(
        folder.problems(),
        "--region: region: `regions` has no region `nowhere`; valid here: a, b"
    );
}

#[test]
fn variables_of_platforms_and_builds_stop_nothing() {
    let platforms = [
        "HOTSPARE_PORT",
        "HOTSPARE_PORT_9887_TCP",
        "HOTSPARE_PORT_9887_TCP_ADDR",
        "HOTSPARE_PORT_9887_TCP_PORT",
        "HOTSPARE_PORT_9887_TCP_PROTO",
        "HOTSPARE_SERVICE_HOST",
        "HOTSPARE_SERVICE_PORT",
        "HOTSPARE_SERVICE_PORT_METRICS",
    ];
    let folder = Folder::with(MAIN).env("HOTSPARE_REVISION", "0123abc");
    let folder = platforms
        .iter()
        .fold(folder, |folder, name| folder.env(name, "10.0.0.9"));
    let warnings = folder.load().expect("good").warnings.to_string();
    let expected = platforms
        .map(|name| format!("{name}: no such setting; unset it if it was meant for hotspare"));
    assert_eq!(warnings, expected.join("\n"));
}

#[test]
fn a_variable_does_not_replace_a_section_that_is_none() {
    let main = MAIN.replace("defaults: { interval: 20s }", "defaults: 20s\nlimits: 5");
    let folder = Folder::with(&main)
        .env("HOTSPARE_DEFAULTS__TIMEOUT", "2s")
        .env("HOTSPARE_LIMITS__MAX_TARGETS", "5");
    assert_eq!(
        folder.problems(),
        "hotspare.yaml:4:11: defaults: expected a mapping, found text\n\
         hotspare.yaml:5:9: limits: expected a mapping, found a number"
    );
}

#[test]
fn variables_that_settings_name_are_no_settings_themselves() {
    let probe =
        "probes: [{ name: q, check: { x: { a_env: HOTSPARE_A, b: [{ env: HOTSPARE_B }] } } }]";
    let problems = Folder::with(MAIN)
        .add("conf.d/1.yaml", probe)
        .env("HOTSPARE_A", "secret")
        .env("HOTSPARE_B", "secret")
        .env("HOTSPARE_REGOIN", "lost")
        .problems();
    assert!(
        problems.contains("HOTSPARE_REGOIN: no such setting; did you mean `HOTSPARE_REGION`?"),
        "{problems}"
    );
    assert!(
        !problems.contains("HOTSPARE_A") && !problems.contains("HOTSPARE_B"),
        "{problems}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = Folder::with(MAIN);
    std::fs::remove_file(folder.path("hotspare.yaml")).expect("remove");
    assert_eq!(
        folder.problems(),
        "hotspare.yaml: cannot read the file: No such file or directory (os error 2)"
    );
}

#[test]
fn the_timeout_leaves_room_in_the_interval_by_default() {
    let short = MAIN.replace("name: p,", "name: p, interval: 1s,");
    let config = Folder::with(&short).load().expect("good");
    assert_eq!(config.probes[0].timeout, Duration::from_millis(900));
    assert_eq!(config.warnings.to_string(), "");
    let config = Folder::with(MAIN).load().expect("good");
    assert_eq!(config.probes[0].timeout, seconds(3));
}

#[test]
fn a_timeout_as_long_as_the_interval_is_a_warning_where_it_is_written() {
    let said = "the timeout is as long as the interval: a run that hangs takes the next run's \
                slot; leave some room between them";
    for (from, to, at) in [
        (
            "name: p,",
            "name: p, timeout: 20s,",
            "7:25: probes[0].timeout",
        ),
        (
            "interval: 20s",
            "interval: 20s, timeout: 20s",
            "4:37: defaults.timeout",
        ),
    ] {
        let folder = Folder::with(&MAIN.replace(from, to));
        let warnings = folder.load().expect("good").warnings.to_string();
        let file = folder.path("hotspare.yaml").display().to_string();
        assert_eq!(warnings, format!("{file}:{at}: {said}"));
    }
}
