//! What becomes of the targets that a source gives.

use std::fmt::Write as _;

use super::{Fleet, HEAD, with_probe};

/// What is refused of the only source: reason and text.
fn refused(fleet: &Fleet) -> Vec<String> {
    let plan = fleet.plan();
    let refused = plan.discovered[0].refused.iter();
    let folder = format!("{}/", fleet.folder.path().display());
    let refused = refused.map(|of| format!("{}: {of}", of.reason.as_str()));
    refused.map(|text| text.replace(&folder, "")).collect()
}

/// A fleet with a list as the one source, which has these keys, and more after the probe.
async fn listed(keys: &str, rest: &str, list: &str) -> Fleet {
    let keys = format!("targets_file: [{{ files: [list.yaml]{keys} }}]\n{rest}");
    Fleet::new(&with_probe(&keys), |folder| {
        std::fs::write(folder.join("list.yaml"), list).expect("write");
    })
    .first()
    .await
}

#[tokio::test]
async fn the_labels_of_a_target_tell_its_region_its_name_and_its_variant() {
    let list = "- targets: ['10.0.0.1:80']\n  labels: { dc: b, host: web-1, variant: direct, team: x, __meta_id: '7', job: node, Upper: y }\n\
                - targets: ['10.0.0.2:80']\n  labels: { dc: c, host: web-2 }\n";
    let fleet = listed(", region_label: dc, name_label: host", "", list).await;
    assert_eq!(
        fleet.targets(),
        ["b web-1 10.0.0.1:80", "c web-2 10.0.0.2:80"]
    );
    let plan = fleet.plan();
    let labels = &plan.targets[0].target.labels;
    let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["team=x", "variant=direct"]);
    assert_eq!(refused(&fleet), [""; 0]);
}

#[tokio::test]
async fn a_source_may_have_one_region_and_a_form_for_addresses() {
    let keys = "check: { http: }\n    targets_file: [{ files: [list.json], region: b, address: \"https://{}/healthz?token=x\" }]";
    let config = with_probe(keys).replace("    check: { tcp: }\n", "");
    let fleet = Fleet::new(&config, |folder| {
        let list = r#"[{"targets": ["shop.example.com", "10.0.0.2:8443"]}]"#;
        std::fs::write(folder.join("list.json"), list).expect("write");
    });
    let fleet = fleet.first().await;
    // The name is the address as it is shown: without the query, which may be a secret.
    assert_eq!(
        fleet.targets(),
        [
            "b https://10.0.0.2:8443/healthz https://10.0.0.2:8443/healthz",
            "b https://shop.example.com/healthz https://shop.example.com/healthz"
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_probed_is_refused_one_by_one_with_its_place() {
    let long = "x".repeat(300);
    let list = format!(
        "- targets: ['good:80', 'no-port', 'user:hunter2@h:80', 'good:80']\n  labels: {{ region: b }}\n\
         - targets: ['h1:80']\n\
         - targets: ['h2:80']\n  labels: {{ region: atlantis }}\n\
         - targets: ['h3:80']\n  labels: {{ region: b, note: {long} }}\n\
         - targets: ['written:80']\n  labels: {{ region: b }}\n\
         - targets: ['']\n  labels: {{ region: b }}\n"
    );
    let fleet = listed("", "    targets: { a: 'written:80' }\n", &list).await;
    let expected = [
        "address: list.yaml: [5].targets[0]: the address is empty",
        "duplicate: list.yaml: [0].targets[3]: the probe has a target of this address already",
        "region: list.yaml: [1].targets[0]: it has no label `region`, which is to tell its region",
        "region: list.yaml: [2].targets[0]: there is no region `atlantis`",
        "label: list.yaml: [3].targets[0]: the label `note`: a label's value is one line of at most 256 bytes",
        "address: list.yaml: [0].targets[2]: an address must not hold a user or password: they are settings of the check",
        "duplicate: list.yaml: [4].targets[0]: the probe has a target of this address already",
        "address: list.yaml: [0].targets[1]: `no-port` has no port",
    ];
    assert_eq!(refused(&fleet), expected);
    assert_eq!(fleet.targets(), ["a a written:80", "b good:80 good:80"]);
    let source = &fleet.plan().discovered[0];
    assert_eq!((source.given, source.taken), (Some(9), 1));
}

#[tokio::test]
async fn ten_thousand_targets_are_taken_and_more_than_the_limit_are_not() {
    let mut list = String::from("- labels: { region: b }\n  targets:\n");
    for i in 0..10_001 {
        writeln!(list, "  - h{i}.example:80").expect("text");
    }
    let fleet = listed("", "", &list).await;
    assert_eq!(fleet.plan().targets.len(), 10_000);
    let over = refused(&fleet);
    assert_eq!(over.len(), 1);
    assert!(over[0].starts_with("limit: "), "{over:?}");
    let rest = "    targets: { a: 'one:80' }\nlimits: { max_targets: 3 }\n";
    let fleet = listed("", rest, &list).await;
    assert_eq!(
        fleet.plan().targets.len(),
        3,
        "what is written, and two more"
    );
    assert!(refused(&fleet)[0].contains("`limits.max_targets`"));
}

const GROUP: &str = "probes:
  - name: orders
    check: { postgres: { user: probe, database: orders } }
    targets_file: [{ files: ['*.json'], name_label: host }]
groups:
  - { name: shop, primary: a, standbys: [b], probes: [orders] }
";

fn database(name: &str, region: &str) -> String {
    format!(
        r#"[{{"targets": ["{name}:5432"], "labels": {{"region": "{region}", "host": "{name}"}}}}]"#
    )
}

#[tokio::test]
async fn the_database_of_a_group_may_be_discovered_and_is_unknown_until_it_is() {
    let config = format!("{HEAD}{GROUP}");
    let fleet = Fleet::new(&config, |folder| {
        std::fs::write(folder.join("a.json"), database("db-a", "a")).expect("write");
    });
    let mut fleet = fleet.first().await;
    let plan = fleet.plan();
    assert_eq!((plan.sets.len(), plan.members.len()), (0, 1));
    assert_eq!(*plan.groups[0].discovered, ["orders".into()]);
    let warnings = plan.warnings.to_string();
    let expected = "the database `orders` has 0 targets in b now, where it has to have one";
    assert!(warnings.contains(expected), "{warnings}");

    std::fs::write(fleet.path("b.json"), database("db-b", "b")).expect("write");
    assert_eq!(
        fleet.changed().await,
        ["a db-a db-a:5432", "b db-b db-b:5432"]
    );
    let plan = fleet.plan();
    assert_eq!((plan.sets.len(), plan.members.len()), (1, 2));
    assert!(plan.warnings.is_empty(), "{}", plan.warnings);

    // Which of two is the group's nobody can tell.
    std::fs::write(fleet.path("c.json"), database("db-c", "b")).expect("write");
    assert_eq!(fleet.changed().await.len(), 3);
    assert_eq!(fleet.plan().sets.len(), 0);
}

#[tokio::test]
async fn a_rule_for_a_region_waits_for_targets_there() {
    for of in ["probe: p, ", ""] {
        let rule = format!(
            "rules:\n  - {{ name: Fails, severity: warning, when: {{ failures: {{ {of}to: [b] }} }} }}\n"
        );
        let list = "- { targets: ['one:80'], labels: { region: b } }\n";
        let mut fleet = listed("", &rule, list).await;
        assert_eq!(fleet.plan().targets.len(), 1);
        // A list that is good takes them away, and the rule is no fault of it.
        std::fs::write(fleet.path("list.yaml"), "[]").expect("write");
        assert_eq!(fleet.changed().await, [""; 0]);
        let unasked = Fleet::new(
            &with_probe(&format!(
                "targets_http: [{{ url: \"http://127.0.0.1:9/\" }}]\n{rule}"
            )),
            |_| {},
        );
        assert_eq!(unasked.plan().targets.len(), 0);
    }
}

#[test]
fn a_probe_that_runs_elsewhere_asks_nobody_here() {
    let fleet = Fleet::new(
        &with_probe("from: [b]\n    targets_http: [{ url: \"http://127.0.0.1:9/\" }]"),
        |_| {},
    );
    assert!(fleet.discovery.is_empty());
    let source = &fleet.plan().discovered[0];
    assert!(!source.asked);
    assert_eq!(source.given, None);
}

#[test]
fn what_is_wrong_with_a_source_is_told_with_its_place() {
    for (keys, why) in [
        (
            "targets_file: [{ files: [] }]",
            "targets_file[0].files: no file: name at least one",
        ),
        (
            "targets_file: [{ files: [x.txt] }]",
            "targets_file[0].files[0]: a list ends in .json, .yaml or .yml",
        ),
        (
            "targets_file: [{ files: [x.json], region: d }]",
            "targets_file[0].region: `regions` has no region `d`",
        ),
        (
            "targets_file: [{ files: [x.json], region: b, region_label: dc }]",
            "targets_file[0].region_label: set either region or region_label",
        ),
        (
            "targets_file: [{ files: [x.json], limit: 0 }]",
            "targets_file[0].limit: must be from 1 to 200000",
        ),
        (
            "targets_file: [{ files: [x.json], address: nowhere }]",
            "targets_file[0].address: expected a text with `{}` once",
        ),
        (
            "targets_file: { files: [x.json] }",
            "targets_file: expected a list",
        ),
        (
            "targets_http: [{ }]",
            "targets_http[0].url: set url, url_file or url_env",
        ),
        (
            "targets_http: [{ url: \"http://u:p@h/\" }]",
            "targets_http[0].url: credentials do not belong in a URL",
        ),
        (
            "targets_http: [{ url: \"http://h/\", refresh_interval: 1s }]",
            "targets_http[0].refresh_interval: must be from 5s to 1d",
        ),
        (
            "targets_http: [{ url: \"http://h/\", bearer_token_file: nowhere }]",
            "targets_http[0].bearer_token_file: cannot read",
        ),
        (
            "targets_dns: [{ names: [_pg._tcp.h] }]",
            "targets_dns[0].region: SRV records do not tell a region: set it here",
        ),
        (
            "targets_dns: [{ names: [\"h:80\"], region: b }]",
            "targets_dns[0].names[0]: expected a name like",
        ),
    ] {
        let problems = Fleet::new(&with_probe(keys), |_| {}).replan();
        let problems = problems.expect_err(keys).to_string();
        assert!(problems.contains(why), "{keys}: {problems}");
        assert!(problems.contains("hotspare.yaml:6:"), "{keys}: {problems}");
    }
}

#[tokio::test]
async fn the_example_of_the_reference_gives_the_targets_that_it_tells_of() {
    let docs = include_str!("../../../docs/configuration.md");
    let (_, section) = docs
        .split_once("\n## discovered targets\n")
        .expect("a section");
    let block = |language: &str| {
        let (_, rest) = section
            .split_once(&format!("```{language}\n"))
            .expect("a block");
        rest.split_once("```").expect("its end").0
    };
    let head = "region: eu-west\nregions: [{ name: eu-west }, { name: us-east }]\n";
    let fleet = Fleet::new(&format!("{head}{}", block("yaml")), |folder| {
        std::fs::create_dir(folder.join("lists")).expect("folder");
        std::fs::write(folder.join("lists/shop-1.json"), block("json")).expect("write");
    });
    let fleet = fleet.first().await;
    assert_eq!(
        fleet.targets(),
        [
            "eu-west shop-1 https://10.1.0.20:8443/healthz",
            "us-east shop-2 https://10.3.0.20:8443/healthz"
        ]
    );
    let plan = fleet.plan();
    let labels = plan.targets.iter().map(|of| &of.target.labels);
    let labels: Vec<_> = labels.flatten().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["team=web", "variant=direct"]);
}
