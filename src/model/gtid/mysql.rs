//! The transactions of `MySQL`, as a set.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::{capped, digits};

/// The most pairs of a server and a tag in one set. A cluster has one for each server that was ever
/// its primary, and one more for each tag that its people use.
const MAX_SOURCES: usize = 4_096;

/// The highest number that a transaction can have.
const MAX_NUMBER: u64 = i64::MAX.cast_unsigned();

/// A set of `MySQL` transactions.
///
/// What a server says in `@@gtid_executed`, `@@gtid_purged` or `received_transaction_set`. The
/// grammar is that of the manual ("GTID Sets") and, for tags (`MySQL` 8.3), of the server's own
/// reader `Gtid_set::add_gtid_text`:
///
/// ```text
/// set      = [ server { "," server } ]
/// server   = uuid { ":" ( interval | tag ) }
/// interval = first [ "-" last ]
/// tag      = a letter or "_", then at most 31 letters, digits or "_"
/// ```
///
/// Intervals belong to the tag before them, or to none. White space may stand around every word,
/// a UUID has dashes or none, and neither it nor a tag distinguishes upper from lower case.
/// Intervals may overlap and come in any order; one whose end lies before its start holds nothing.
/// Numbers count from 1 to 2^63-1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet(
    /// Sorted, apart from each other, and never none for a source that is listed.
    BTreeMap<Source, Vec<Interval>>,
);

/// Who numbers transactions: each server, and each tag of it, has numbers of its own. In the order
/// in which `MySQL` lists them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    /// The server's UUID.
    server: u128,
    /// In lower case; empty for none.
    tag: Box<str>,
}

/// Transactions with consecutive numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    first: u64,
    last: u64,
}

impl GtidSet {
    /// Reads a set as servers write it.
    ///
    /// Stricter than the server in one point: a UUID or a tag with no interval behind it is refused,
    /// for no server writes that and a text that was cut may look like it.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, in a few words and without repeating it. Also if it is longer
    /// than a megabyte or has more than 4,096 pairs of a server and a tag.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        let servers = capped(text)?.split(',').map(str::trim);
        for server in servers.filter(|server| !server.is_empty()) {
            set.read_server(server)?;
        }
        for intervals in set.0.values_mut() {
            normalise(intervals);
        }
        set.0.retain(|_, intervals| !intervals.is_empty());
        Ok(set)
    }

    /// Reads the transactions of one server, in the order in which they are written.
    fn read_server(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.split(':').map(str::trim);
        let server = words
            .next()
            .and_then(uuid)
            .ok_or("a server is not named by a UUID")?;
        let mut tag = Box::default();
        let mut intervals = Vec::new();
        for word in words {
            if word.starts_with(|first: char| first.is_ascii_digit()) {
                intervals.push(interval(word)?);
            } else {
                let next = read_tag(word).ok_or("an interval or a tag is malformed")?;
                let before = std::mem::replace(&mut tag, next);
                // Right behind the UUID, a tag is as good as an interval.
                if !(intervals.is_empty() && before.is_empty()) {
                    self.add(server, before, &mut intervals)?;
                }
            }
        }
        self.add(server, tag, &mut intervals)
    }

    /// Moves intervals in, to be put in order later.
    fn add(
        &mut self,
        server: u128,
        tag: Box<str>,
        intervals: &mut Vec<Interval>,
    ) -> Result<(), String> {
        if intervals.is_empty() {
            return Err("a UUID or a tag has no intervals".into());
        }
        let sources = self.0.len();
        match self.0.entry(Source { server, tag }) {
            Entry::Occupied(known) => known.into_mut().append(intervals),
            Entry::Vacant(_) if sources == MAX_SOURCES => {
                return Err(format!(
                    "there are more than {MAX_SOURCES} servers and tags"
                ));
            }
            Entry::Vacant(new) => {
                new.insert(std::mem::take(intervals));
            }
        }
        Ok(())
    }

    /// How many transactions there are; `u64::MAX` if there are more.
    pub fn len(&self) -> u64 {
        let intervals = self.0.values().flatten();
        intervals.fold(0, |sum, interval| {
            sum.saturating_add(interval.last - interval.first + 1)
        })
    }

    /// How many servers, tags and intervals it has.
    pub(in crate::model) fn parts(&self) -> usize {
        self.0.len() + self.0.values().map(Vec::len).sum::<usize>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every transaction of the other set is in this one.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.iter().all(|(source, theirs)| {
            let mine = self.0.get(source);
            mine.is_some_and(|mine| without(theirs, mine).is_empty())
        })
    }

    /// The transactions of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let rest = self.0.iter().filter_map(|(source, mine)| {
            let rest = match other.0.get(source) {
                Some(theirs) => without(mine, theirs),
                None => mine.clone(),
            };
            (!rest.is_empty()).then(|| (source.clone(), rest))
        });
        Self(rest.collect())
    }

    /// The transactions of this set that are not that server's own. A server that is not named by a
    /// UUID has none.
    #[must_use]
    pub fn of_others(&self, server: &str) -> Self {
        let own = uuid(server);
        let others = self.0.iter();
        let others = others.filter(|(source, _)| own != Some(source.server));
        Self(
            others
                .map(|(source, all)| (source.clone(), all.clone()))
                .collect(),
        )
    }

    /// The transactions that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.0.iter().filter_map(|(source, mine)| {
            let both = common(mine, other.0.get(source)?);
            (!both.is_empty()).then(|| (source.clone(), both))
        });
        Self(both.collect())
    }

    /// The transactions that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (source, theirs) in &other.0 {
            let all = union.0.entry(source.clone()).or_default();
            all.extend_from_slice(theirs);
            normalise(all);
        }
        union
    }
}

/// As `MySQL` writes it: in lower case, in order, with a line for each server.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for (source, intervals) in &self.0 {
            if before != Some(source.server) {
                let line = if before.is_some() { ",\n" } else { "" };
                write!(f, "{line}{}", Uuid(source.server))?;
                before = Some(source.server);
            }
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag)?;
            }
            for Interval { first, last } in intervals {
                write!(f, ":{first}")?;
                if last > first {
                    write!(f, "-{last}")?;
                }
            }
        }
        Ok(())
    }
}

/// A UUID, to be written with dashes.
struct Uuid(u128);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        for (part, range) in [0..8, 8..12, 12..16, 16..20, 20..32]
            .into_iter()
            .enumerate()
        {
            let dash = if part == 0 { "" } else { "-" };
            write!(f, "{dash}{}", &hex[range])?;
        }
        Ok(())
    }
}

/// Reads a UUID: 32 hexadecimal digits, with the usual four dashes or none.
fn uuid(text: &str) -> Option<u128> {
    let dashes: &[usize] = match text.len() {
        32 => &[],
        36 => &[8, 13, 18, 23],
        _ => return None,
    };
    let mut value = 0;
    for (place, byte) in text.char_indices() {
        if dashes.contains(&place) {
            if byte != '-' {
                return None;
            }
        } else {
            value = value << 4 | u128::from(byte.to_digit(16)?);
        }
    }
    Some(value)
}

/// Reads a tag; in lower case.
fn read_tag(text: &str) -> Option<Box<str>> {
    let word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let starts = |byte: &u8| !byte.is_ascii_digit();
    let fits = text.len() <= 32 && text.as_bytes().first().is_some_and(starts);
    (fits && text.bytes().all(word)).then(|| text.to_ascii_lowercase().into())
}

/// Reads `first` or `first-last`.
fn interval(text: &str) -> Result<Interval, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first = number(first)?;
    if first == 0 {
        return Err("an interval starts at 0".into());
    }
    let last = number(last)?;
    Ok(Interval { first, last })
}

/// Reads the number of a transaction.
fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a number is missing".into());
    }
    digits(text)
        .filter(|number| *number <= MAX_NUMBER)
        .ok_or_else(|| "a transaction's number is no number up to 2^63-1".into())
}

/// Sorts intervals and joins those that overlap or touch. The stable sort finds stretches that are
/// in order already, so that what a server sends, and two sets put together, take one pass.
fn normalise(intervals: &mut Vec<Interval>) {
    intervals.retain(|interval| interval.first <= interval.last);
    intervals.sort_by_key(|interval| interval.first);
    intervals.dedup_by(|next, kept| {
        let joins = next.first <= kept.last + 1;
        if joins {
            kept.last = kept.last.max(next.last);
        }
        joins
    });
    intervals.shrink_to_fit();
}

/// The numbers that are in `mine` and not in `theirs`, in one walk over both.
fn without(mine: &[Interval], theirs: &[Interval]) -> Vec<Interval> {
    let mut rest = Vec::new();
    let mut theirs = theirs.iter().peekable();
    for &Interval { mut first, last } in mine {
        while let Some(taken) = theirs.next_if(|taken| taken.last <= last) {
            if taken.first > first {
                let last = taken.first - 1;
                rest.push(Interval { first, last });
            }
            first = first.max(taken.last + 1);
        }
        // What is left of theirs ends beyond this interval, and may cover its end.
        let last = match theirs.peek() {
            Some(taken) => last.min(taken.first - 1),
            None => last,
        };
        if first <= last {
            rest.push(Interval { first, last });
        }
    }
    rest
}

/// The numbers that are in both, in one walk over both.
fn common(mine: &[Interval], theirs: &[Interval]) -> Vec<Interval> {
    let mut both = Vec::new();
    let (mut mine, mut theirs) = (mine.iter().peekable(), theirs.iter().peekable());
    while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
        let (first, last) = (a.first.max(b.first), a.last.min(b.last));
        if first <= last {
            both.push(Interval { first, last });
        }
        if a.last < b.last {
            mine.next();
        } else {
            theirs.next();
        }
    }
    both
}

#[cfg(test)]
mod tests;
