//! What the daemon must not forget: whatever ends it, whatever its disk does.

mod child;
mod crash;
mod daemon;
mod disk;

use std::path::Path;

use hotspare::store::{Entry, Store, Writer};
use serde::{Deserialize, Serialize};

/// How many entries take turns.
const IDS: u64 = 4;

/// Entries that are put at the same time, before any of them is waited for.
const BATCH: u64 = 3;

/// An entry that is put again and again, long enough that the journal is soon written anew.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tick {
    n: u64,
    text: String,
}

impl Tick {
    fn new(n: u64) -> Self {
        let text = format!("{n} ").repeat(4_000);
        Self { n, text }
    }
}

impl Entry for Tick {
    const TABLE: &'static str = "ticks";

    fn id(&self) -> String {
        (self.n % IDS).to_string()
    }
}

fn open(folder: &Path) -> (Store, Writer) {
    Store::open(folder).unwrap_or_else(|error| panic!("{error}"))
}

/// What a store in this folder holds, in the order of the ids.
fn ticks(folder: &Path) -> Vec<Tick> {
    let (store, writer) = open(folder);
    assert!(store.counters().durable);
    store.close();
    writer.run();
    let found = store.entries::<Tick>();
    assert_eq!(found.unreadable, []);
    found.entries
}

/// Ticks were put from 0 on, and those below `acknowledged` were said to be on disk: they are, or
/// later ones in their place, and nothing that was never put.
fn assert_kept(folder: &Path, acknowledged: u64) {
    let ticks = ticks(folder);
    for n in acknowledged.saturating_sub(IDS)..acknowledged {
        let kept = ticks.iter().find(|tick| tick.n % IDS == n % IDS);
        assert!(kept.is_some_and(|tick| tick.n >= n), "{n} is lost");
    }
    for tick in &ticks {
        assert_eq!(*tick, Tick::new(tick.n));
        assert!(tick.n < acknowledged + BATCH, "{} was never put", tick.n);
    }
    let left: Vec<_> = std::fs::read_dir(folder)
        .expect("there")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert_eq!(left, ["journal"], "nothing was damaged or left");
}
