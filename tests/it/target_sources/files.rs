//! Lists in files, as they are written, replaced and linked elsewhere.

use std::fs::{create_dir, remove_file, rename, write};
use std::os::unix::fs::symlink;

use super::{Fleet, with_probe};

fn list(names: &[&str]) -> String {
    serde_json::json!([{ "targets": names, "labels": { "region": "b" } }]).to_string()
}

fn following(pattern: &str) -> String {
    with_probe(&format!("targets_file: [{{ files: ['{pattern}'] }}]"))
}

fn of(names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| format!("b {name} {name}"))
        .collect()
}

#[tokio::test]
async fn a_file_that_is_replaced_is_read_again_and_a_bad_one_changes_nothing() {
    let fleet = Fleet::new(&following("list.json"), |folder| {
        write(folder.join("list.json"), list(&["one:80"])).expect("write");
    });
    let mut fleet = fleet.first().await;
    assert_eq!(fleet.targets(), of(&["one:80"]));
    let path = fleet.path("list.json");
    let beside = fleet.path("list.json.tmp");
    write(&beside, list(&["one:80", "two:80"])).expect("write");
    rename(&beside, &path).expect("rename");
    assert_eq!(fleet.changed().await, of(&["one:80", "two:80"]));

    let half = &list(&["three:80"])[..20];
    for (bad, why) in [
        (half, "not JSON, or not all of it"),
        ("", "not JSON"),
        ("{}", "expected a list of groups"),
    ] {
        write(&path, bad).expect("write");
        fleet
            .until(why, |of| of.fault.iter().any(|f| f.contains(why)))
            .await;
        assert_eq!(fleet.targets(), of(&["one:80", "two:80"]));
    }
    remove_file(&path).expect("removed");
    fleet
        .until("missing", |of| {
            of.fault.iter().any(|f| f.contains("cannot read"))
        })
        .await;
    assert_eq!(
        fleet.targets().len(),
        2,
        "a file that is gone was not emptied"
    );
    assert!(fleet.figures().failures >= 3, "{:?}", fleet.figures());

    write(&path, "[]").expect("write");
    assert_eq!(fleet.changed().await, [""; 0], "an empty list is an answer");
    let figures = fleet.figures();
    assert_eq!(
        (figures.good, figures.targets, figures.fault),
        (true, 0, None)
    );
}

#[tokio::test]
async fn a_folder_as_kubernetes_mounts_it_is_followed_over_its_link() {
    // ..data leads to a folder with a date in its name, and is swapped by a rename.
    let version = |folder: &std::path::Path, name: &str, targets: &[&str]| {
        let data = folder.join("mount").join(name);
        create_dir(&data).expect("folder");
        write(data.join("list.yaml"), list(targets)).expect("write");
        let link = folder.join("mount/..data_tmp");
        symlink(name, &link).expect("link");
        rename(&link, folder.join("mount/..data")).expect("rename");
    };
    let fleet = Fleet::new(&following("mount/*.yaml"), |folder| {
        create_dir(folder.join("mount")).expect("folder");
        version(folder, "..2026_11_21_1", &["one:80"]);
        symlink("..data/list.yaml", folder.join("mount/list.yaml")).expect("link");
    });
    let mut fleet = fleet.first().await;
    assert_eq!(fleet.targets(), of(&["one:80"]));
    version(fleet.folder.path(), "..2026_11_21_2", &["two:80"]);
    assert_eq!(fleet.changed().await, of(&["two:80"]));
}

#[tokio::test]
async fn files_of_a_pattern_come_and_go_but_not_with_their_folder() {
    let fleet = Fleet::new(&following("lists/*.json"), |folder| {
        create_dir(folder.join("lists")).expect("folder");
        write(folder.join("lists/one.json"), list(&["one:80"])).expect("write");
    });
    let mut fleet = fleet.first().await;
    let (folder, away) = (fleet.path("lists"), fleet.path("away"));
    write(folder.join("two.json"), list(&["two:80"])).expect("write");
    assert_eq!(fleet.changed().await, of(&["one:80", "two:80"]));
    rename(&folder, &away).expect("rename");
    fleet
        .until("no folder", |of| {
            of.fault.iter().any(|f| f.contains("cannot read"))
        })
        .await;
    assert_eq!(fleet.targets().len(), 2);
    remove_file(away.join("one.json")).expect("removed");
    rename(&away, &folder).expect("rename");
    assert_eq!(fleet.changed().await, of(&["two:80"]));
}

#[tokio::test]
async fn one_bad_file_hides_no_other_and_what_has_no_end_is_not_read() {
    let fleet = Fleet::new(&following("*.json"), |folder| {
        write(folder.join("bad.json"), "[").expect("write");
        write(folder.join("good.json"), list(&["one:80"])).expect("write");
        write(folder.join("large.json"), vec![b' '; (8 << 20) + 1]).expect("write");
        symlink("/dev/zero", folder.join("zero.json")).expect("link");
        symlink("nowhere", folder.join("nowhere.json")).expect("link");
    });
    let fleet = fleet.first().await;
    assert_eq!(fleet.targets(), of(&["one:80"]));
    let fault = fleet.fault();
    for why in [
        "bad.json: line 1, column 1: not JSON",
        "larger than 8388608 bytes",
        "it is not a regular file",
    ] {
        assert!(fault.contains(why), "{fault}");
    }
}

#[tokio::test]
async fn a_list_in_another_order_is_no_change() {
    let fleet = Fleet::new(&following("list.json"), |folder| {
        write(folder.join("list.json"), list(&["one:80", "two:80"])).expect("write");
    });
    let mut fleet = fleet.first().await;
    let before = fleet.figures().last_good_timestamp_seconds;
    write(fleet.path("list.json"), list(&["two:80", "one:80"])).expect("write");
    fleet
        .until("read", |of| {
            of.last_good_timestamp_seconds > before.map(|at| at + 5.0)
        })
        .await;
}

#[tokio::test]
async fn a_list_beside_another_file_is_another_list() {
    let beside = |name: &'static str| {
        Fleet::new(&following("list.json"), move |folder| {
            write(folder.join("list.json"), list(&[name])).expect("write");
        })
    };
    let mut fleet = beside("one:80").first().await;
    assert_eq!(fleet.targets(), of(&["one:80"]));
    let elsewhere = beside("two:80");
    fleet
        .discovery
        .replace(elsewhere.document.sources(&elsewhere.shared));
    let fleet = fleet.first().await;
    assert_eq!(fleet.targets(), of(&["two:80"]));
    assert_eq!(fleet.fault(), "");
}
