//! The page that a scrape gets: made off the runtime's threads, once for all who ask within about
//! a second.

use std::io::{self, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::page::Page;
use super::{Format, Own, Store};

/// Brings counters up to date that other modules keep, before a page is made.
pub type Refresh = Box<dyn Fn(&Own) + Send + Sync>;

/// A finished page. Clones share its bytes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How it is written.
    pub format: Format,
    /// Whether it is compressed.
    pub gzip: bool,
    /// The page in order, in parts.
    pub parts: Arc<[Bytes]>,
}

impl Snapshot {
    /// The length of the page as it is sent, in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing on the page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parts, unless someone is still being sent them.
    fn reclaim(mut self) -> Vec<Bytes> {
        let parts = Arc::get_mut(&mut self.parts).unwrap_or_default();
        parts.iter_mut().map(std::mem::take).collect()
    }
}

/// Bytes of older pages of one kind that slow readers may hold before no new one is made.
const MAX_LENT_BYTES: usize = 64 << 20;
/// Older pages that slow readers may hold however long they are.
const MIN_LENT: usize = 2;

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Slow readers hold as much memory as they may; it is theirs for some seconds at most.
    #[error("readers that are too slow hold {0} older pages: try again, or ask for gzip")]
    Busy(usize),
    /// Making it failed, which is a mistake of this program.
    #[error("the page could not be made: {0}")]
    Failed(String),
}

/// Makes pages and keeps the newest of each format and coding.
pub struct Exposition {
    store: Arc<Store>,
    own: Arc<Own>,
    refresh: Refresh,
    max_age: Duration,
    /// By format, then by coding. The lock is held while a page is made: whoever asks meanwhile
    /// waits for that one.
    kept: [Arc<Mutex<Kind>>; 4],
}

/// The pages of one format and coding.
#[derive(Debug, Default)]
struct Kind {
    newest: Option<Kept>,
    /// Older pages, as long as someone is being sent them.
    lent: Vec<(Weak<[Bytes]>, usize)>,
}

#[derive(Debug)]
struct Kept {
    made: Instant,
    /// Of the store.
    generation: u64,
    page: Snapshot,
}

impl Kind {
    /// Makes room for a new page: the memory of the newest one if nobody reads it any more.
    fn make_room(&mut self) -> Result<Vec<Bytes>, Refusal> {
        self.lent.retain(|(page, _)| page.strong_count() > 0);
        let bytes: usize = self.lent.iter().map(|(_, bytes)| bytes).sum();
        if self.lent.len() >= MIN_LENT && bytes > MAX_LENT_BYTES {
            return Err(Refusal::Busy(self.lent.len()));
        }
        let Some(Kept { page, .. }) = self.newest.take() else {
            return Ok(Vec::new());
        };
        if Arc::strong_count(&page.parts) > 1 {
            self.lent.push((Arc::downgrade(&page.parts), page.len()));
        }
        Ok(page.reclaim())
    }
}

impl Exposition {
    /// How long a page is handed out: at most one of each kind is made in this time. A little less
    /// than a second, so that who scrapes every second gets a new page every time.
    pub const MAX_AGE: Duration = Duration::from_millis(950);

    /// Pages of this store and these metrics. A page older than `max_age` is not handed out.
    pub fn new(store: Arc<Store>, own: Arc<Own>, refresh: Refresh, max_age: Duration) -> Self {
        Self {
            store,
            own,
            refresh,
            max_age,
            kept: Default::default(),
        }
    }

    /// The page as it is, or was up to `max_age` ago. One of targets that have changed since is not
    /// handed out.
    pub async fn page(self: &Arc<Self>, format: Format, gzip: bool) -> Result<Snapshot, Refusal> {
        let place = usize::from(format == Format::OpenMetrics) * 2 + usize::from(gzip);
        let mut kind = Arc::clone(&self.kept[place]).lock_owned().await;
        if let Some(kept) = &kind.newest
            && kept.made.elapsed() < self.max_age
            && kept.generation == self.store.generation()
        {
            return Ok(kept.page.clone());
        }
        let old = kind.make_room()?;
        // The lock goes with the work: a client that leaves does not make the next one start over.
        let this = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let made = this.make(format, gzip, old)?;
            let page = made.page.clone();
            kind.newest = Some(made);
            Ok(page)
        });
        work.await
            .map_err(|error| Refusal::Failed(error.to_string()))?
            .map_err(|error: io::Error| Refusal::Failed(error.to_string()))
    }

    /// Lets go of the pages that are older than `idle`: a plain page of thousands of targets is
    /// tens of megabytes, and who asked for it once may not come again.
    pub fn forget(&self, idle: Duration) {
        for kind in &self.kept {
            // One that is being made is not idle.
            if let Ok(mut kind) = kind.try_lock()
                && let Some(Kept { made, .. }) = &kind.newest
                && made.elapsed() >= idle
            {
                kind.newest = None;
            }
        }
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.store.targets()
    }

    fn make(&self, format: Format, gzip: bool, old: Vec<Bytes>) -> io::Result<Kept> {
        let started = Instant::now();
        // What is refreshed and what is written are of one generation.
        let _unchanged = self.store.page();
        let generation = self.store.generation();
        (self.refresh)(&self.own);
        let parts = encode(&self.store, &self.own, format, gzip, old)?;
        let took = started.elapsed().as_secs_f64();
        self.own.scrape_duration_seconds.observe(took);
        Ok(Kept {
            made: Instant::now(),
            generation,
            page: Snapshot {
                format,
                gzip,
                parts: parts.into(),
            },
        })
    }
}

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposition")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Writes the whole page, in parts. It takes milliseconds for thousands of targets, so it does not
/// belong on a thread of the runtime.
///
/// The memory of an `old` page is used again: to get and give back that of a long page takes longer
/// than to write it. Writing into memory does not fail; the error is that of the compressor's
/// interface.
pub fn encode(
    store: &Store,
    own: &Own,
    format: Format,
    gzip: bool,
    old: Vec<Bytes>,
) -> io::Result<Vec<Bytes>> {
    let mut page = Page::new(format);
    if gzip {
        // Compressed as it is written, so that the long plain page never exists.
        let mut coder = GzEncoder::new(Parts::default(), Compression::fast());
        let mut result = Ok(());
        fill(store, own, &mut page, |page| {
            let part = page.swap(Vec::new());
            if result.is_ok() {
                result = coder.write_all(&part);
            }
            page.swap(part);
            page.clear();
        });
        result?;
        Ok(coder.finish()?.finish())
    } else {
        let mut parts = Vec::with_capacity(old.len());
        let mut old = old.into_iter().filter_map(empty);
        fill(store, own, &mut page, |page| {
            let next = old.next().unwrap_or_else(Page::buffer);
            parts.push(Bytes::from(page.swap(next)));
        });
        Ok(parts)
    }
}

/// A part's memory, unless it is shared or too small for another.
fn empty(part: Bytes) -> Option<Vec<u8>> {
    let mut buffer = Vec::from(part.try_into_mut().ok()?);
    buffer.clear();
    (buffer.capacity() > Page::FULL).then_some(buffer)
}

fn fill(store: &Store, own: &Own, page: &mut Page, mut full: impl FnMut(&mut Page)) {
    store.write(page, &mut full);
    own.series
        .set(i64::try_from(page.rows()).unwrap_or(i64::MAX));
    own.targets
        .set(i64::try_from(store.targets()).unwrap_or(i64::MAX));
    own.write(page);
    page.end();
    full(page);
}

/// Collects what is written in parts, so that a long page needs no long buffer.
#[derive(Default)]
struct Parts {
    done: Vec<Bytes>,
    current: Vec<u8>,
}

impl Parts {
    fn finish(mut self) -> Vec<Bytes> {
        self.current.shrink_to_fit();
        self.done.push(self.current.into());
        self.done
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.len() + bytes.len() > Page::FULL {
            self.done.push(std::mem::take(&mut self.current).into());
        }
        if self.current.capacity() == 0 {
            self.current.reserve(Page::FULL.max(bytes.len()));
        }
        self.current.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_page() -> Snapshot {
        Snapshot {
            format: Format::Text,
            gzip: false,
            parts: [Bytes::from(vec![0; MAX_LENT_BYTES / 2 + 1])].into(),
        }
    }

    /// Makes a new page and returns it.
    fn renew(kind: &mut Kind) -> Result<Snapshot, Refusal> {
        kind.make_room()?;
        let page = long_page();
        kind.newest = Some(Kept {
            made: Instant::now(),
            generation: 0,
            page: page.clone(),
        });
        Ok(page)
    }

    #[test]
    fn slow_readers_hold_a_bounded_number_of_long_pages() {
        let mut kind = Kind::default();
        let first = renew(&mut kind).expect("made");
        let second = renew(&mut kind).expect("made");
        let third = renew(&mut kind).expect("made");
        assert_eq!(kind.lent.len(), 2);
        assert_eq!(renew(&mut kind).err(), Some(Refusal::Busy(2)));
        // The newest is still there for those who come meanwhile.
        assert!(kind.newest.is_some());
        drop(first);
        let fourth = renew(&mut kind).expect("made");
        drop((second, third, fourth));
        renew(&mut kind).expect("made");
        assert_eq!(kind.lent.len(), 0);
    }
}
