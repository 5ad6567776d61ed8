//! What is the same in a configuration that takes the place of another.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotspare::config::{Plan, PlannedTarget, load_and_plan};
use hotspare::model::TargetKey;

use super::fixture::{Folder, region, shared};

const FILE: &str = r#"
region: a
regions: [{ name: a }, { name: b }, { name: c }]
probes:
  - name: web
    check: { http: { valid_status: [200], username: u, password_file: web.pw } }
    targets: { a: "http://10.0.0.1/", b: "http://10.0.0.2/" }
  - name: net
    check: { ping: { count: 3 } }
    interval: 5s
    targets: { a: 10.0.0.1, b: [{ name: b1, address: 10.0.0.2 }, { name: b2, address: 10.0.0.3 }] }
receivers:
  - { name: ops, webhook: { url: "http://127.0.0.1:1/", secret_file: ops.key } }
  - { name: dev, webhook: { url: "http://127.0.0.1:2/" } }
"#;

fn folder() -> Folder {
    Folder::with(FILE)
        .add("web.pw", "first")
        .add("ops.key", "first")
}

/// The plan that comes of the file with these words in place of others, after another plan.
fn after(before: &Plan, folder: Folder, words: &[(&str, &str)]) -> (Plan, Folder) {
    let path = folder.path("hotspare.yaml");
    let text = std::fs::read_to_string(&path).expect("the file");
    let text = words.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let folder = folder.add("hotspare.yaml", &text);
    let plan = load_and_plan(&path, &folder.overrides, &shared(), Some(before));
    (plan.unwrap_or_else(|problems| panic!("{problems}")), folder)
}

fn by_name(plan: &Plan) -> BTreeMap<String, &PlannedTarget> {
    let targets = plan.targets.iter();
    targets
        .map(|planned| (planned.target.to_string(), planned))
        .collect()
}

/// The targets whose keys are those that they had, and those whose probes are, by name.
fn kept(before: &Plan, plan: &Plan) -> (Vec<String>, Vec<String>) {
    let (before, now) = (by_name(before), by_name(plan));
    let both = now
        .iter()
        .filter_map(|(name, now)| Some((name, *now, *before.get(name)?)));
    let (mut keys, mut probes) = (Vec::new(), Vec::new());
    for (name, now, before) in both {
        if now.key == before.key {
            keys.push(name.clone());
        }
        if Arc::ptr_eq(&now.probe, &before.probe) {
            probes.push(name.clone());
        }
    }
    (keys, probes)
}

const ALL: [&str; 5] = ["net/a", "net/b1", "net/b2", "web/a", "web/b"];

#[test]
fn what_says_the_same_keeps_keys_and_probes() {
    let folder = folder();
    let first = folder.plan().expect("good");
    let (plan, _folder) = after(
        &first,
        folder,
        &[
            ("region: a\n", "# a comment\n\nregion: a\n"),
            ("    interval: 5s\n", ""),
            ("  - name: net\n", "  - interval: 5s\n    name: net\n"),
        ],
    );
    let (keys, probes) = kept(&first, &plan);
    assert_eq!(keys, ALL);
    assert_eq!(probes, ALL);
    assert_ne!(plan.hash, first.hash, "the text is another");
    for planned in &plan.targets {
        let found = plan.target(planned.key).expect("a target");
        assert_eq!(found.target, planned.target);
    }
}

#[test]
fn a_target_whose_settings_change_is_another_one() {
    for (from, to, others) in [
        (
            "10.0.0.3 }",
            "10.0.0.4 }",
            &["net/a", "net/b1", "web/a", "web/b"][..],
        ),
        (
            "10.0.0.3 }",
            "10.0.0.3, labels: { team: x } }",
            &["net/a", "net/b1", "web/a", "web/b"],
        ),
        ("count: 3", "count: 4", &["web/a", "web/b"]),
        ("interval: 5s", "interval: 6s", &["web/a", "web/b"]),
        (
            "interval: 5s",
            "interval: 5s\n    timeout: 1s",
            &["web/a", "web/b"],
        ),
        ("[200]", "[200, 204]", &["net/a", "net/b1", "net/b2"]),
        (
            "http://10.0.0.2/",
            "http://10.0.0.2/?q",
            &["net/a", "net/b1", "net/b2", "web/a"],
        ),
        (
            "name: b2",
            "name: b3",
            &["net/a", "net/b1", "web/a", "web/b"],
        ),
    ] {
        let folder = folder();
        let first = folder.plan().expect("good");
        let (plan, _folder) = after(&first, folder, &[(from, to)]);
        let (keys, probes) = kept(&first, &plan);
        assert_eq!(keys, others, "{to}");
        assert_eq!(probes, others, "{to}");
        let before: Vec<_> = first.targets.iter().map(|planned| planned.key).collect();
        let new = plan
            .targets
            .iter()
            .filter(|planned| !before.contains(&planned.key));
        assert_eq!(new.count(), ALL.len() - others.len(), "{to}");
    }
}

#[test]
fn a_target_that_comes_back_is_not_the_one_that_went() {
    let folder = folder();
    let first = folder.plan().expect("good");
    let one = ", { name: b2, address: 10.0.0.3 }";
    let (second, folder) = after(&first, folder, &[(one, "")]);
    let (third, _folder) = after(
        &second,
        folder,
        &[("10.0.0.2 }]", &format!("10.0.0.2 }}{one}]"))],
    );
    assert_eq!(kept(&first, &second).0.len(), 4);
    assert_eq!(kept(&second, &third).0.len(), 4);
    assert_ne!(by_name(&third)["net/b2"].key, by_name(&first)["net/b2"].key);
    let keys = |plan: &Plan| -> Vec<TargetKey> { plan.targets.iter().map(|of| of.key).collect() };
    let mut unique = keys(&third);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 5);
}

#[test]
fn a_new_secret_brings_a_new_probe_for_the_same_target() {
    let folder = folder();
    let first = folder.plan().expect("good");
    let folder = folder.add("web.pw", "second");
    let (plan, folder) = after(&first, folder, &[]);
    let (keys, probes) = kept(&first, &plan);
    assert_eq!(keys, ALL);
    assert_eq!(probes, ["net/a", "net/b1", "net/b2"]);
    assert_eq!(plan.hash, first.hash, "the text is the same");
    let (again, _folder) = after(&plan, folder, &[]);
    assert_eq!(kept(&plan, &again).1, ALL);
}

#[test]
fn a_receiver_is_another_one_with_other_settings_or_another_secret() {
    let same = |before: &Plan, now: &Plan| -> Vec<bool> {
        let both = before.receivers.iter().zip(&now.receivers);
        both.map(|(before, now)| before.same == now.same).collect()
    };
    let folder = folder();
    let first = folder.plan().expect("good");
    let (second, folder) = after(&first, folder, &[("region: a\n", "region: a # here\n")]);
    assert_eq!(same(&first, &second), [true, true]);
    let (third, folder) = after(&second, folder, &[("127.0.0.1:2", "127.0.0.1:3")]);
    assert_eq!(same(&second, &third), [true, false]);
    let folder = folder.add("ops.key", "second");
    let (fourth, _folder) = after(&third, folder, &[]);
    assert_eq!(same(&third, &fourth), [false, true]);
}

#[test]
fn a_target_that_joins_a_group_keeps_its_key_and_gets_the_slot_of_its_set() {
    let databases = r#"
region: a
regions: [{ name: a }, { name: b }]
probes:
  - { name: db, check: { redis: {} }, targets: { a: "10.0.0.1:6379", b: "10.0.0.2:6379" } }
"#;
    let folder = Folder::with(databases);
    let first = folder.plan().expect("good");
    let group = "groups: [{ name: g, primary: a, standbys: [b], probes: [db] }]\nregion: a\n";
    let (plan, _folder) = after(&first, folder, &[("region: a\n", group)]);
    assert_eq!(kept(&first, &plan).1, ["db/a", "db/b"]);
    let turns = |plan: &Plan| -> Vec<String> {
        let targets = plan.targets.iter();
        targets.map(|of| of.turn.identity.clone()).collect()
    };
    assert_ne!(turns(&first), turns(&plan));
    assert_eq!(turns(&plan)[0], turns(&plan)[1]);
}

#[test]
fn the_hash_is_the_fleets_whatever_the_host_is() {
    let plan = |name: &str, more: &str| {
        let text = FILE.replace("username: u, password_file: web.pw", "") + more;
        let folder = Folder::with(&text.replace("region: a\n", "")).add("ops.key", "first");
        let path = folder.path("hotspare.yaml");
        load_and_plan(&path, &region(name), &shared(), None)
            .expect("good")
            .hash
    };
    assert_eq!(plan("a", ""), plan("b", ""));
    assert_ne!(plan("a", ""), plan("a", "# more\n"));
}
