//! What is kept, as lines of JSON by table and id.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::format::HEAD;

/// A change: what a record of the journal says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<S, V> {
    /// From now on this is the value.
    Put {
        /// The name of its table.
        table: S,
        /// What names it in its table.
        id: S,
        /// What is kept.
        value: V,
    },
    /// From now on there is none.
    Remove {
        /// The name of its table.
        table: S,
        /// What names it in its table.
        id: S,
    },
}

impl<S: Serialize, V: Serialize> Line<S, V> {
    /// The change as it is written.
    pub(super) fn to_text(&self) -> serde_json::Result<Arc<str>> {
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        Ok(text.into())
    }
}

/// Every entry, as the line that puts it. Tables that nobody asks for are kept too: another version
/// of the daemon may have written them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    tables: BTreeMap<String, BTreeMap<String, Arc<str>>>,
    size: usize,
}

impl Tables {
    /// Does what a line of the journal says. False if it cannot be understood.
    pub(super) fn apply(&mut self, payload: &[u8]) -> bool {
        let Ok(text) = str::from_utf8(payload) else {
            return false;
        };
        match serde_json::from_str(text) {
            Ok(Line::Put::<String, IgnoredAny> { table, id, .. }) => {
                self.put(&table, &id, text.into());
            }
            Ok(Line::Remove { table, id }) => {
                self.remove(&table, &id);
            }
            Err(_) => return false,
        }
        true
    }

    pub(super) fn put(&mut self, table: &str, id: &str, line: Arc<str>) {
        self.size += HEAD + line.len();
        let table = self.tables.entry(table.to_owned()).or_default();
        if let Some(former) = table.insert(id.to_owned(), line) {
            self.size -= HEAD + former.len();
        }
    }

    /// False if there was none.
    pub(super) fn remove(&mut self, table: &str, id: &str) -> bool {
        let former = self.tables.get_mut(table).and_then(|t| t.remove(id));
        if let Some(former) = &former {
            self.size -= HEAD + former.len();
        }
        former.is_some()
    }

    /// What takes the place of an entry, in bytes; 0 without it.
    pub(super) fn size_of(&self, table: &str, id: &str) -> usize {
        let line = self.tables.get(table).and_then(|t| t.get(id));
        line.map_or(0, |line| HEAD + line.len())
    }

    /// The entries of a table whose ids begin so, in the order of their ids.
    pub(super) fn lines_of<'a>(
        &'a self,
        table: &str,
        beginning: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Arc<str>)> {
        let from = (Bound::Included(beginning), Bound::Unbounded);
        let table = self.tables.get(table).into_iter();
        let rest = table.flat_map(move |table| table.range::<str, _>(from));
        rest.take_while(move |(id, _)| id.starts_with(beginning))
    }

    /// Every entry.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tables.values().flat_map(BTreeMap::values)
    }

    /// How many entries there are.
    pub(super) fn count(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// How long a journal of just these entries is, in bytes and without its header.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
