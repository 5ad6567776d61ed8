use std::collections::BTreeMap;
use std::fs;
use std::thread::JoinHandle;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
}

impl Entry for Note {
    const TABLE: &'static str = "notes";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Another type, with entries of the same ids.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Count {
    id: String,
    count: u64,
}

impl Entry for Count {
    const TABLE: &'static str = "counts";

    fn id(&self) -> String {
        self.id.clone()
    }
}

fn note(id: &str, text: &str) -> Note {
    Note {
        id: id.to_owned(),
        text: text.to_owned(),
    }
}

/// What the future comes to, or a panic where the test would otherwise hang.
fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        let limit = Duration::from_mins(1);
        tokio::time::timeout(limit, future).await.expect("an end")
    })
}

/// A store in a folder, with its writer on a thread.
struct Running {
    store: Store,
    writer: JoinHandle<()>,
}

fn open(folder: &tempfile::TempDir) -> Running {
    let (store, writer) = Store::open(folder.path()).expect("opened");
    let writer = std::thread::spawn(move || writer.run());
    Running { store, writer }
}

impl Running {
    fn put(&self, entry: &impl Entry) -> Result<(), MemoryOnly> {
        soon(self.store.put(entry).expect("taken").on_disk())
    }

    fn notes(&self) -> Vec<Note> {
        let found = self.store.entries::<Note>();
        assert_eq!(found.unreadable, []);
        found.entries
    }

    fn end(self) {
        self.store.close();
        self.writer.join().expect("no panic");
    }
}

#[test]
fn entries_are_there_again_after_the_end() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(&folder);
    assert_eq!(store.put(&note("b", "old")), Ok(()));
    assert_eq!(store.put(&note("a", "line\nend \u{0} ü \"")), Ok(()));
    assert_eq!(store.put(&note("b", "new")), Ok(()));
    let count = Count {
        id: "a".to_owned(),
        count: u64::MAX,
    };
    assert_eq!(store.put(&count), Ok(()));
    assert_eq!(store.put(&note("c", "gone")), Ok(()));
    let removed = store.store.remove::<Note>("c").expect("taken");
    assert_eq!(soon(removed.on_disk()), Ok(()));
    let expected = [note("a", "line\nend \u{0} ü \""), note("b", "new")];
    assert_eq!(store.notes(), expected);
    store.end();

    let store = open(&folder);
    assert_eq!(store.notes(), expected);
    assert_eq!(store.store.entries::<Count>().entries, [count]);
    let counters = store.store.counters();
    assert!(counters.durable);
    assert_eq!((counters.writes, counters.failures), (0, 0));
    let bytes = fs::metadata(folder.path().join("journal"))
        .expect("there")
        .len();
    assert_eq!(counters.bytes, bytes);
    store.end();
}

#[test]
fn what_waits_when_the_store_is_closed_is_still_written() {
    let folder = tempfile::tempdir().expect("folder");
    let (store, writer) = Store::open(folder.path()).expect("opened");
    let written = store.put(&note("a", "1")).expect("taken");
    let removed = store.remove::<Note>("never there").expect("taken");
    store.close();
    writer.run();
    assert_eq!(soon(written.on_disk()), Ok(()));
    assert_eq!(soon(removed.on_disk()), Ok(()));
    // The first write made the journal, the second is one for all that waited.
    assert_eq!(store.counters().writes, 2);
    // Now there is nobody to write.
    let late = store.put(&note("b", "2")).expect("taken");
    assert_eq!(soon(late.on_disk()), Err(MemoryOnly));
    let again = open(&folder);
    assert_eq!(again.notes(), [note("a", "1")]);
    again.end();
}

#[test]
fn without_a_folder_entries_are_in_memory() {
    let store = Store::in_memory();
    let written = store.put(&note("a", "1")).expect("taken");
    assert_eq!(soon(written.on_disk()), Err(MemoryOnly));
    assert_eq!(store.entries::<Note>().entries, [note("a", "1")]);
    store.remove::<Note>("a").expect("taken");
    assert_eq!(store.entries::<Note>().entries, []);
    assert_eq!(store.counters(), Counters::default());
}

#[test]
fn entries_are_found_by_how_their_ids_begin() {
    let store = Store::in_memory();
    for id in ["a", "ab/1", "ab/2", "ab0", "b"] {
        store.put(&note(id, "1")).expect("taken");
    }
    let found = |beginning| store.entries_from::<Note>(beginning).entries;
    assert_eq!(found("ab/"), [note("ab/1", "1"), note("ab/2", "1")]);
    assert_eq!(found("c"), []);
    assert_eq!(found("").len(), 5);
}

#[test]
fn an_entry_that_this_version_cannot_read_is_told_and_stays() {
    /// The same table as another version has it.
    #[derive(Serialize, Deserialize)]
    struct Other {
        number: u8,
    }
    impl Entry for Other {
        const TABLE: &'static str = "notes";
        fn id(&self) -> String {
            "other".to_owned()
        }
    }
    let folder = tempfile::tempdir().expect("folder");
    let store = open(&folder);
    assert_eq!(store.put(&Other { number: 5 }), Ok(()));
    assert_eq!(store.put(&note("a", "1")), Ok(()));
    store.end();
    let store = open(&folder);
    let found = store.store.entries::<Note>();
    assert_eq!(found.entries, [note("a", "1")]);
    let (id, why) = &found.unreadable[0];
    assert_eq!((id.as_str(), found.unreadable.len()), ("other", 1));
    assert!(why.contains("missing field `id`"), "{why}");
    assert!(
        store
            .store
            .entries::<Other>()
            .entries
            .iter()
            .any(|o| o.number == 5)
    );
    store.end();
}

#[test]
fn an_entry_that_is_too_long_or_finds_no_room_is_refused_and_changes_nothing() {
    let store = Store::in_memory();
    store.put(&note("a", "1")).expect("taken");
    let error = store
        .put(&note("a", &"x".repeat(MAX_PAYLOAD)))
        .expect_err("refused");
    assert!(matches!(error, PutError::TooLong { .. }), "{error}");
    let large = "x".repeat(MAX_PAYLOAD - 100);
    for id in 1..=32 {
        store.put(&note(&id.to_string(), &large)).expect("taken");
    }
    let error = store.put(&note("33", &large)).expect_err("refused");
    assert!(matches!(error, PutError::Full { .. }), "{error}");
    assert!(
        error.to_string().contains("the entry 33 of notes"),
        "{error}"
    );
    // One that takes the place of another needs only the difference.
    store.put(&note("7", &large)).expect("taken");
    assert_eq!(store.entries::<Note>().entries.len(), 33);
    store.remove::<Note>("1").expect("taken");
    store.put(&note("33", &large)).expect("taken");
}

#[test]
fn a_journal_stays_short_however_often_an_entry_changes() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(&folder);
    let text = "x".repeat(10_000);
    let mut longest = 0;
    for n in 0..100 {
        assert_eq!(store.put(&note("a", &format!("{n}{text}"))), Ok(()));
        longest = longest.max(store.store.counters().bytes);
    }
    // Twice the entry and the slack: a megabyte without being written anew.
    assert!(longest < 90_000, "{longest}");
    assert!(
        longest > 60_000,
        "{longest}: it is not written anew at every turn"
    );
    store.end();
    let store = open(&folder);
    assert_eq!(store.notes(), [note("a", &format!("99{text}"))]);
    store.end();
}

#[test]
fn more_than_may_wait_is_written_as_a_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let (store, writer) = Store::open(folder.path()).expect("opened");
    let text = "x".repeat(1_000_000);
    for n in 0..40 {
        store.put(&note("a", &format!("{n}{text}"))).expect("taken");
    }
    assert!(store.shared.lock().waiting_bytes <= MAX_WAITING);
    let last = store.put(&note("b", "2")).expect("taken");
    store.close();
    writer.run();
    assert_eq!(soon(last.on_disk()), Ok(()));
    assert!(store.counters().bytes < 1_100_000);
    let again = open(&folder);
    assert_eq!(
        again.notes(),
        [note("a", &format!("39{text}")), note("b", "2")]
    );
    again.end();
}

#[test]
fn a_disk_that_fails_leaves_the_state_in_memory_and_has_all_of_it_once_it_works() {
    let folder = tempfile::tempdir().expect("folder");
    let store = open(&folder);
    assert_eq!(store.put(&note("a", "before")), Ok(()));
    // Where the next journal would be written is a folder.
    let obstacle = folder.path().join("journal.new");
    fs::create_dir(&obstacle).expect("made");
    let large = "x".repeat(100_000);
    assert_eq!(store.put(&note("large", &large)), Ok(()), "it is added");
    for n in 0..3 {
        let _ = store.put(&note("large", &large[n..]));
    }
    assert_eq!(store.put(&note("a", "after")), Err(MemoryOnly));
    let counters = store.store.counters();
    assert!(!counters.durable && counters.failures > 0);
    assert_eq!(
        store.notes(),
        [note("a", "after"), note("large", &large[2..])]
    );
    fs::remove_dir(&obstacle).expect("removed");
    soon(async {
        while !store.store.counters().durable {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(store.put(&note("b", "2")), Ok(()));
    store.end();
    let store = open(&folder);
    let expected = [
        note("a", "after"),
        note("b", "2"),
        note("large", &large[2..]),
    ];
    assert_eq!(store.notes(), expected);
    store.end();
}

#[test]
fn a_disk_that_fails_to_the_end_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("journal.new")).expect("made");
    let store = open(&folder);
    assert!(!store.store.counters().durable, "there is no journal yet");
    assert_eq!(store.put(&note("a", "1")), Err(MemoryOnly));
    store.end();
}

#[test]
fn a_writer_that_is_gone_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("folder");
    let (store, writer) = Store::open(folder.path()).expect("opened");
    let written = store.put(&note("a", "1")).expect("taken");
    drop(writer);
    assert_eq!(soon(written.on_disk()), Err(MemoryOnly));
    assert!(!store.counters().durable);
    assert!(Store::open(folder.path()).is_ok(), "the folder is free");
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Remove(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8, 0..30_000_usize).prop_map(|(id, length)| Step::Put(id, length)),
        3 => (0..6_u8).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_whatever_is_done_with_it(steps in proptest::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().expect("folder");
        let mut store = open(&folder);
        let mut map = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Put(id, length) => {
                    let note = note(&id.to_string(), &"x".repeat(length));
                    store.store.put(&note).expect("taken");
                    map.insert(note.id.clone(), note);
                }
                Step::Remove(id) => {
                    store.store.remove::<Note>(&id.to_string()).expect("taken");
                    map.remove(&id.to_string());
                }
                Step::Reopen => {
                    store.end();
                    store = open(&folder);
                }
            }
            prop_assert!(store.notes().iter().eq(map.values()));
            // What it holds is what it says that it holds.
            let inner = store.store.shared.lock();
            let size: usize = inner.tables.lines().map(|line| HEAD + line.len()).sum();
            prop_assert_eq!(inner.tables.size(), size);
        }
        store.end();
    }
}
