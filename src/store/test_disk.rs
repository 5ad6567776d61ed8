//! A disk that dies at any moment: for tests of what relies on the store.

use std::sync::Arc;

use tokio::time::Instant;

use super::format;
use super::tables::Tables;
use super::{Counters, Inner, Store};
use crate::model::Beat;

/// A store whose journal is in memory, written and synced when the test says so.
pub(crate) struct TestDisk {
    pub(crate) store: Store,
    journal: Vec<u8>,
    /// How much of the journal no crash takes away.
    synced: usize,
    sequence: u64,
}

impl TestDisk {
    pub(crate) fn new() -> Self {
        Self::of(&format::header())
    }

    fn of(journal: &[u8]) -> Self {
        let contents = format::read(journal).expect("of this version");
        assert!(!contents.damaged, "a torn end is no damage");
        let mut tables = Tables::default();
        assert!(contents.payloads.iter().all(|line| tables.apply(line)));
        let (sequence, length) = (contents.sequence, journal.len() - contents.torn);
        let inner = Inner {
            tables,
            counters: Counters {
                durable: true,
                ..Counters::default()
            },
            ..Inner::default()
        };
        let beat = Beat::new(Instant::now().into_std());
        let store = Store::with(inner, Some(Arc::new(beat)));
        Self {
            store,
            journal: journal[..length].to_vec(),
            synced: length,
            sequence,
        }
    }

    /// Writes what waits, and syncs it.
    pub(crate) fn sync(&mut self) {
        self.write();
        self.synced = self.journal.len();
        let changes = self.store.shared.lock().changes;
        self.store
            .shared
            .progress
            .send_modify(|p| p.on_disk = changes);
    }

    /// From now on the disk does not come to the end of a write.
    pub(crate) fn hang(&self) {
        let now = Instant::now().into_std();
        self.store.shared.lock().writing = Some(now);
    }

    fn write(&mut self) {
        let mut inner = self.store.shared.lock();
        let lines: Vec<Arc<str>> = std::mem::take(&mut inner.waiting);
        inner.clear_waiting();
        for line in lines {
            self.sequence += 1;
            format::push(&mut self.journal, self.sequence, line.as_bytes());
        }
    }

    /// What there is after a crash: what was synced, and of what was not, as many parts of 256.
    pub(crate) fn crash(mut self, parts: u8) -> Self {
        self.write();
        let left = (self.journal.len() - self.synced) * usize::from(parts) / 256;
        self.journal.truncate(self.synced + left);
        Self::of(&self.journal)
    }
}
