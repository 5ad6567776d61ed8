//! What comes of a good file.

use std::fmt::Write as _;
use std::path::Path;

use hotspare::config::load_and_plan;
use hotspare::probe::Check;

use super::fixture::{Folder, region, shared};

const FILE: &str = r#"
region: a
regions: [{ name: a }, { name: b }]
probes:
  - name: p
    check: { tcp: {} }
    labels: { team: x, tier: 1.10 }
    buckets: [0.1, 1]
    targets:
      a: ["10.0.0.1:80", { name: second, address: "10.0.0.2:80", variant: blue, labels: { team: y } }]
      b: [{ address: "10.0.0.3:80" }]
  - name: q
    check: { tcp: }
    from: [b]
    targets: { a: "10.0.0.1:80" }
"#;

#[test]
fn targets_of_this_region_are_planned_with_their_names_and_labels() {
    let plan = Folder::with(FILE).plan().expect("good");
    let targets: Vec<_> = plan
        .targets
        .iter()
        .map(|planned| {
            let target = &planned.target;
            assert_eq!(
                (&*target.probe, target.kind, &*target.source_region),
                ("p", "tcp", "a")
            );
            assert_eq!(&*planned.buckets, [0.1, 1.0]);
            assert_eq!(planned.phase_buckets.len(), 8);
            let labels: Vec<_> = target
                .labels
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            [
                &*target.target_region,
                &target.name,
                &target.address,
                &labels.join(" "),
            ]
            .join(" | ")
        })
        .collect();
    assert_eq!(
        targets,
        [
            "a | a/1 | 10.0.0.1:80 | team=x tier=1.10",
            "a | second | 10.0.0.2:80 | team=y tier=1.10 variant=blue",
            "b | b | 10.0.0.3:80 | team=x tier=1.10",
        ]
    );
    assert_eq!(
        plan.probes.len(),
        2,
        "the one that does not run here is still told of"
    );
}

#[test]
fn the_objective_is_the_probe_s_own_or_that_of_defaults() {
    let probe = |name, own| {
        format!(
            "  - {{ name: {name}, {own} check: {{ tcp: }}, targets: {{ a: \"10.0.0.1:80\" }} }}\n"
        )
    };
    let objectives = |defaults: &str| {
        let text = format!(
            "region: a\nregions: [{{ name: a }}]\n{defaults}probes:\n{}{}",
            probe("p", "objective: 99.9%,"),
            probe("q", ""),
        );
        let plan = Folder::with(&text).plan().expect("good");
        let targets = plan.targets.iter();
        targets.map(|t| t.objective).collect::<Vec<_>>()
    };
    assert_eq!(objectives(""), [Some(0.999), None]);
    let defaults = "defaults: { objective: 95% }\n";
    assert_eq!(objectives(defaults), [Some(0.999), Some(0.95)]);
}

#[test]
fn the_same_file_serves_every_region() {
    let mut folder = Folder::with(FILE);
    folder.overrides = region("b");
    let plan = folder.plan().expect("good");
    assert_eq!(plan.targets.len(), 4);
    assert!(plan.targets.iter().all(|t| &*t.target.source_region == "b"));
}

#[test]
fn one_address_under_two_names_is_a_warning() {
    let plan = Folder::with(&FILE.replace("10.0.0.3", "10.0.0.1"))
        .plan()
        .expect("good");
    let warnings = plan.warnings.to_string();
    assert!(
        warnings.ends_with("hotspare.yaml:11:22: probes[0].targets.b[0].address: the same address as of the target `a/1`"),
        "{warnings}"
    );
}

#[test]
fn a_login_that_a_daemon_is_not_shown_is_a_warning() {
    let plan = |peers: &str| {
        let file = FILE.replace(
            "{ name: b }",
            "{ name: b, daemon: \"http://10.2.0.5:9887\" }",
        );
        assert_ne!(file, FILE);
        let folder = Folder::with(&format!("{file}peers: {{ {peers} }}\n")).add("pw", "x");
        folder
            .plan()
            .unwrap_or_else(|problems| panic!("{problems}"))
    };
    let warnings = plan("username: u, password_file: pw").warnings.to_string();
    let said =
        "the daemon of `b` is asked without a login, which goes to other hosts over https only";
    assert!(
        warnings.ends_with(&format!(": peers: {said}")),
        "{warnings}"
    );
    assert_eq!(plan("").warnings.to_string(), "");
}

#[test]
fn faults_of_reading_do_not_hide_faults_of_preparing() {
    let broken = FILE
        .replace("buckets: [0.1, 1]", "bukets: [0.1, 1]")
        .replace("10.0.0.3:80", "10.0.0.3");
    assert_eq!(
        Folder::with(&broken).problems(),
        "hotspare.yaml:8:5: probes[0].bukets: unknown key; did you mean `buckets`?\n\
         hotspare.yaml:11:22: probes[0].targets.b[0].address: `10.0.0.3` has no port"
    );
}

#[test]
fn a_probe_that_runs_elsewhere_needs_its_secrets_there_and_sense_everywhere() {
    let file = |http: &str| {
        format!(
            "region: a\nregions: [{{ name: a }}, {{ name: b }}]\nprobes:\n- name: p\n  from: [b]\n  \
             check: {{ http: {{ {http} }} }}\n  targets: {{ a: \"https://10.0.0.1/\" }}\n"
        )
    };
    for lacking in [
        "secret_headers: { X-Key: { file: absent } }",
        "secret_headers: { X-Key: { env: HOTSPARE_TEST_ABSENT } }",
        "username: u, password_file: absent",
        "bearer_token_env: HOTSPARE_TEST_ABSENT",
        "method: POST, body_file: absent",
        "tls: { ca_file: absent }",
        "tls: { ca_file: hotspare.yaml }",
    ] {
        let mut folder = Folder::with(&file(lacking));
        let plan = folder
            .plan()
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(plan.warnings.len(), 1, "{lacking}: {}", plan.warnings);
        folder.overrides = region("b");
        assert!(folder.plan().is_err(), "{lacking}");
    }
    for senseless in [
        "method: POST, body: x, body_file: absent",
        "password_file: absent, password_env: HOTSPARE_TEST_ABSENT",
        "tls: { key_file: absent }",
        "secret_headers: { 'no name': { file: absent } }",
    ] {
        assert!(
            Folder::with(&file(senseless)).plan().is_err(),
            "{senseless}"
        );
    }
}

#[test]
fn kinds_are_listed_where_none_is_given_or_known() {
    let kinds = Check::KINDS.join(", ");
    for (check, said) in [
        (
            "{}",
            format!("probes[0].check: expected exactly one of: {kinds}"),
        ),
        (
            "{ tcp: {}, tpc: {} }",
            format!("probes[0].check: expected exactly one of: {kinds}"),
        ),
        (
            "{ tpc: {} }",
            format!("probes[0].check.tpc: unknown kind; did you mean `tcp`? valid here: {kinds}"),
        ),
        (
            "{ gopher: {} }",
            format!("probes[0].check.gopher: unknown kind; valid here: {kinds}"),
        ),
    ] {
        let problems =
            Folder::with(&FILE.replace("check: { tcp: {} }", &format!("check: {check}")));
        let problems = problems.problems();
        assert!(problems.ends_with(&said), "{problems}");
    }
}

#[test]
fn the_shipped_file_loads_for_every_region() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/hotspare.yaml");
    for name in ["eu-west", "eu-central", "us-east"] {
        let plan = load_and_plan(&path, &region(name), &shared(), None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!plan.targets.is_empty());
        assert!(plan.warnings.is_empty(), "{}", plan.warnings);
    }
}

#[test]
fn ten_thousand_targets_are_read() {
    let mut file = FILE.to_owned();
    for i in 0..2_500 {
        writeln!(
            file,
            "  - {{ name: n{i}, check: {{ tcp: {{}} }}, targets: {{ a: [\"10.1.0.1:1\", \"10.1.0.1:2\"], \
             b: [\"10.2.0.1:1\", \"10.2.0.1:2\"] }} }}"
        )
        .expect("text");
    }
    assert_eq!(
        Folder::with(&file).plan().expect("good").targets.len(),
        10_003
    );
}
