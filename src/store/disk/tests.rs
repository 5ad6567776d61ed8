use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::store::tables::Line;

fn put(id: &str, value: u32) -> Arc<str> {
    let table = "test";
    Line::Put { table, id, value }.to_text().expect("JSON")
}

fn lines(tables: &Tables) -> Vec<Arc<str>> {
    tables.lines().map(Arc::clone).collect()
}

/// A folder with a journal of some entries, and its bytes.
fn folder() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().expect("folder");
    let (mut disk, _) = Disk::open(folder.path()).expect("opened");
    disk.replace(&[put("a", 1)]).expect("written");
    disk.append(&[put("b", 2), put("c", 3)]).expect("written");
    disk.append(&[put("a", 4)]).expect("written");
    let bytes = fs::read(folder.path().join(JOURNAL)).expect("there");
    (folder, bytes)
}

fn open(folder: &tempfile::TempDir) -> (Disk, Tables) {
    Disk::open(folder.path()).expect("opened")
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("there");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_there_again_and_is_added_to() {
    let (folder, bytes) = folder();
    assert_eq!(names(&folder), [JOURNAL]);
    let (mut disk, tables) = open(&folder);
    assert_eq!(lines(&tables), [put("a", 4), put("b", 2), put("c", 3)]);
    assert!(disk.is_ready());
    assert_eq!(disk.length(), bytes.len());
    disk.append(&[put("d", 5)]).expect("written");
    drop(disk);
    assert_eq!(lines(&open(&folder).1).len(), 4);
    let longer = fs::read(folder.path().join(JOURNAL)).expect("there");
    assert_eq!(longer[..bytes.len()], bytes);
    let mode = fs::metadata(folder.path().join(JOURNAL))
        .expect("there")
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_write_that_was_cut_short_is_gone_once_the_journal_is_replaced() {
    let (folder, bytes) = folder();
    let journal = folder.path().join(JOURNAL);
    fs::write(&journal, &bytes[..bytes.len() - 1]).expect("written");
    let (mut disk, tables) = open(&folder);
    assert_eq!(lines(&tables), [put("a", 1), put("b", 2), put("c", 3)]);
    assert!(!disk.is_ready() && !disk.damaged);
    disk.replace(&lines(&tables)).expect("written");
    drop(disk);
    let (disk, tables) = open(&folder);
    assert!(disk.is_ready());
    assert_eq!(lines(&tables), [put("a", 1), put("b", 2), put("c", 3)]);
    assert_eq!(names(&folder), [JOURNAL]);
}

#[test]
fn damaged_journals_are_kept_the_last_few_of_them() {
    let (folder, bytes) = folder();
    let journal = folder.path().join(JOURNAL);
    for round in 1..=5_u8 {
        let mut damaged = bytes.clone();
        damaged[header_length() + 20] ^= round;
        fs::write(&journal, &damaged).expect("written");
        let (mut disk, tables) = open(&folder);
        // The first record is lost; what it put was put again later.
        assert_eq!(lines(&tables), [put("a", 4), put("b", 2), put("c", 3)]);
        disk.replace(&lines(&tables)).expect("written");
        let aside = folder.path().join(format!("{DAMAGED}{round}"));
        assert_eq!(fs::read(aside).expect("kept"), damaged);
        drop(disk);
        assert!(open(&folder).0.is_ready(), "the new one is good");
    }
    let kept = [
        "journal",
        "journal.damaged-3",
        "journal.damaged-4",
        "journal.damaged-5",
    ];
    assert_eq!(names(&folder), kept);
}

fn header_length() -> usize {
    format::header().len()
}

#[test]
fn a_record_of_no_known_meaning_is_damage() {
    let (folder, mut bytes) = folder();
    format::push(&mut bytes, 5, b"{\"rename\":{}}\n");
    format::push(&mut bytes, 6, &[0xff]);
    fs::write(folder.path().join(JOURNAL), &bytes).expect("written");
    let (disk, tables) = open(&folder);
    assert!(disk.damaged && !disk.is_ready());
    assert_eq!(tables.count(), 3);
}

#[test]
fn a_journal_without_end_is_read_as_far_as_one_may_be_long() {
    let (folder, mut bytes) = folder();
    bytes.resize(MAX_JOURNAL + 4096, 0);
    fs::write(folder.path().join(JOURNAL), &bytes).expect("written");
    let (disk, tables) = open(&folder);
    assert!(disk.damaged && !disk.is_ready());
    assert_eq!(tables.count(), 3);
}

#[test]
fn an_empty_file_and_the_remains_of_a_crash_start_a_new_journal() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join(JOURNAL), b"").expect("written");
    fs::set_permissions(
        folder.path().join(JOURNAL),
        fs::Permissions::from_mode(0o600),
    )
    .expect("set");
    fs::write(folder.path().join(NEW), b"half of a jour").expect("written");
    let (mut disk, tables) = open(&folder);
    assert_eq!(tables.count(), 0);
    disk.replace(&[put("a", 1)]).expect("written");
    assert_eq!(names(&folder), ["journal", "journal.damaged-1"]);
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_left_alone() {
    let (folder, bytes) = folder();
    let journal = folder.path().join(JOURNAL);
    let text = "hotspare state 2";
    let mut later = format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes();
    later.extend(&bytes[header_length()..]);
    fs::write(&journal, &later).expect("written");
    let error = Disk::open(folder.path()).expect_err("refused");
    assert!(
        matches!(error, OpenError::Newer { version: 2, .. }),
        "{error}"
    );
    assert_eq!(fs::read(&journal).expect("there"), later);
    assert_eq!(names(&folder), [JOURNAL]);
}

#[test]
fn a_folder_is_one_daemons_only() {
    let (folder, _) = folder();
    let first = open(&folder);
    let error = Disk::open(folder.path()).expect_err("refused");
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    let path = folder.path().display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
    drop(first);
    assert!(Disk::open(folder.path()).is_ok());
}

#[test]
fn a_folder_that_is_not_there_or_none_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let missing = folder.path().join("missing");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    for path in [missing, file] {
        let error = Disk::open(&path).expect_err("refused");
        assert!(matches!(error, OpenError::Folder { .. }), "{error}");
        assert!(!error.to_string().contains("os error 13"), "{error}");
    }
}

#[test]
fn a_journal_that_others_may_write_or_that_is_no_file_is_refused() {
    let refused = |folder: &tempfile::TempDir, why: &str| {
        let error = Disk::open(folder.path()).expect_err("refused").to_string();
        assert!(error.contains(why) && error.contains(JOURNAL), "{error}");
    };
    let (folder, bytes) = folder();
    let journal = folder.path().join(JOURNAL);
    for mode in [0o620, 0o602] {
        fs::set_permissions(&journal, fs::Permissions::from_mode(mode)).expect("set");
        refused(&folder, "others may write to it");
    }
    fs::rename(&journal, folder.path().join("elsewhere")).expect("renamed");
    symlink("elsewhere", &journal).expect("link");
    refused(&folder, "symbolic link");
    fs::remove_file(&journal).expect("removed");
    rustix::fs::mkfifoat(CWD, &journal, 0o600.into()).expect("pipe");
    refused(&folder, "not a regular file");
    fs::remove_file(&journal).expect("removed");
    fs::create_dir(&journal).expect("made");
    refused(&folder, "not a regular file");
    assert_eq!(
        fs::read(folder.path().join("elsewhere")).expect("left alone"),
        bytes
    );
}

#[test]
fn a_journal_is_full_when_it_is_much_longer_than_its_entries_or_as_long_as_one_may_be() {
    let (folder, _) = folder();
    let (mut disk, _) = open(&folder);
    disk.length = 1000;
    assert!(!disk.is_full(SLACK - 1000, 0));
    assert!(disk.is_full(SLACK - 999, 0));
    assert!(!disk.is_full(SLACK, 500));
    disk.length = MAX_JOURNAL - 10;
    assert!(!disk.is_full(10, MAX_JOURNAL / 2));
    assert!(disk.is_full(11, MAX_JOURNAL / 2));
}
