//! The examples of docs/scaling.md.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/scaling.md");

/// What is between the fences of the only block of this language.
fn block(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let mut blocks = PAGE.split(&*fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "one block of {language}");
    block.expect("a block")
}

fn targets(list: &Value) -> Vec<String> {
    let groups = list.as_array().expect("a list").iter();
    let targets = groups.flat_map(|group| group["targets"].as_array().expect("targets"));
    targets
        .map(|target| target.as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn shards_have_every_target_once_and_keep_its_labels() {
    let names = |from: u32| (from..from + 150).map(|n| format!("10.0.{}.{}:80", n / 100, n % 100));
    let all = json!([
        { "targets": names(0).collect::<Vec<_>>(), "labels": { "region": "eu-west" } },
        { "targets": names(150).collect::<Vec<_>>(), "labels": { "region": "us-east" } },
        { "targets": [], "labels": {} },
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("all.json"), all.to_string()).expect("written");
    let mut seen = BTreeSet::new();
    for shard in 0..3 {
        let script = block("sh").replace("--argjson shard 0", &format!("--argjson shard {shard}"));
        let ran = Command::new("sh")
            .args(["-ec", &script])
            .current_dir(folder.path())
            .status();
        assert!(ran.expect("a shell").success());
        let list = std::fs::read_to_string(folder.path().join("shard-0.json")).expect("a list");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let here = targets(&list);
        assert!((50..150).contains(&here.len()), "{} of 300", here.len());
        for target in here {
            assert!(seen.insert(target.clone()), "{target} is in two shards");
        }
        for group in list.as_array().expect("a list") {
            assert!(group["labels"]["region"].is_string(), "{group}");
        }
    }
    assert_eq!(seen.len(), 300);
}

#[test]
fn the_agents_configuration_is_one_that_prometheus_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, block("yaml")).expect("written");
    let output = Command::new("promtool")
        .args(["check", "config", "--agent"])
        .arg(&file)
        .output()
        .expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
