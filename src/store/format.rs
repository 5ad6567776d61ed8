//! The bytes of a journal: a line that names the version, and then records.
//!
//! The head of a record has the length of its payload (4 bytes), its sequence number (8) and the
//! CRC-32 of both and the payload (4), little endian. The payload is a line of JSON.

use std::ops::RangeInclusive;

/// The version that this daemon writes.
const VERSION: u32 = 1;

/// Bytes of a record before its payload.
pub(super) const HEAD: usize = 16;

/// The longest payload. Its length has a zero byte, which JSON has not: no payload can hold what
/// looks like a record.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// Bytes that are checksummed in search of good records, in all: a second or less. Garbage may look
/// like the head of a record at every byte, and a start is not to take hours.
const MAX_SEARCHED: usize = 1 << 30;

/// No journal comes near it, and adding to it does not overflow.
const MAX_SEQUENCE: u64 = 1 << 62;

/// A journal of a version that this daemon does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newer(pub(super) u32);

/// What a journal holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents<'a> {
    /// The payloads that could be read, in order.
    pub(super) payloads: Vec<&'a [u8]>,
    /// The sequence number of the last of them; 0 without any.
    pub(super) sequence: u64,
    /// Bytes of a write that did not come to its end.
    pub(super) torn: usize,
    /// Whether something else is missing.
    pub(super) damaged: bool,
    /// How many bytes could not be read, without those that are torn.
    pub(super) lost: usize,
}

/// The line that begins a journal.
pub(super) fn header() -> Vec<u8> {
    header_of(VERSION)
}

fn header_of(version: u32) -> Vec<u8> {
    let text = format!("hotspare state {version}");
    let checksum = crc32fast::hash(text.as_bytes());
    format!("{text} {checksum:08x}\n").into_bytes()
}

/// Adds a record.
pub(super) fn push(bytes: &mut Vec<u8>, sequence: u64, payload: &[u8]) {
    // The store refuses what is longer than a payload may be.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let checksum = checksum(length, sequence, payload);
    bytes.extend(length.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(payload);
}

/// Reads a journal. What is damaged is passed over; the next good record is found by its sequence
/// number and checksum.
pub(super) fn read(bytes: &[u8]) -> Result<Contents<'_>, Newer> {
    let header = header();
    let mut contents = Contents::default();
    if !bytes.starts_with(&header) {
        if let Some(version) = version(bytes).filter(|version| *version > VERSION) {
            return Err(Newer(version));
        }
        contents.damaged = true;
        contents.lost = header.len().min(bytes.len());
    }
    let mut at = header.len();
    let mut searched = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let last = contents.sequence;
        let next = last + 1..=first_or(last, last + 1);
        let (skipped, record) = if let Some(record) = record(rest, &next).filter(Record::is_good) {
            (0, record)
        } else if let Some(found) = search(rest, last, &mut searched) {
            contents.damaged = true;
            found
        } else {
            contents.end(rest);
            break;
        };
        contents.lost += skipped;
        contents.payloads.push(record.payload);
        contents.sequence = record.sequence;
        at += skipped + HEAD + record.payload.len();
    }
    Ok(contents)
}

impl Contents<'_> {
    /// Judges what stands after the last good record.
    fn end(&mut self, rest: &[u8]) {
        if is_torn(rest, self.sequence) {
            self.torn = rest.len();
        } else {
            self.damaged = true;
            self.lost += rest.len();
        }
    }
}

struct Record<'a> {
    length: u32,
    sequence: u64,
    checksum: u32,
    payload: &'a [u8],
}

impl Record<'_> {
    fn is_good(&self) -> bool {
        checksum(self.length, self.sequence, self.payload) == self.checksum
    }
}

/// The length and the sequence number that the head of a record tells.
fn head(bytes: &[u8]) -> Option<(u32, u64)> {
    let length = bytes.get(..4)?.try_into().ok()?;
    let sequence = bytes.get(4..12)?.try_into().ok()?;
    Some((u32::from_le_bytes(length), u64::from_le_bytes(sequence)))
}

/// The record at the start of the bytes, good or not, if it is whole and has one of these numbers.
fn record<'a>(bytes: &'a [u8], numbers: &RangeInclusive<u64>) -> Option<Record<'a>> {
    let (length, sequence) = head(bytes)?;
    let size = usize::try_from(length).ok()?;
    if !(1..=MAX_PAYLOAD).contains(&size) || !numbers.contains(&sequence) {
        return None;
    }
    let payload = bytes.get(HEAD..HEAD + size)?;
    let checksum = bytes.get(12..HEAD)?.try_into().ok()?;
    Some(Record {
        length,
        sequence,
        checksum: u32::from_le_bytes(checksum),
        payload,
    })
}

/// The next good record, and how far away it is. Its number cannot be further on than there is room
/// for records, which mostly leaves next to nothing to compute checksums of; and no more than there may be.
fn search<'a>(bytes: &'a [u8], last: u64, searched: &mut usize) -> Option<(usize, Record<'a>)> {
    let room = (bytes.len() / HEAD) as u64;
    let numbers = last + 1..=first_or(last, last + room);
    (0..bytes.len()).find_map(|at| {
        let record = record(&bytes[at..], &numbers)?;
        *searched += record.payload.len();
        (*searched <= MAX_SEARCHED && record.is_good()).then_some((at, record))
    })
}

/// The highest number that a record may have: any, if it is the first.
fn first_or(last: u64, highest: u64) -> u64 {
    if last == 0 { MAX_SEQUENCE } else { highest }
}

/// Whether this is what a write that was cut short leaves: the beginning of the next record, or a
/// file that has its new size but not yet its content.
fn is_torn(rest: &[u8], last: u64) -> bool {
    let zeros = rest.iter().all(|byte| *byte == 0);
    let short = match head(rest) {
        None => true,
        Some((length, sequence)) => {
            let length = length as usize;
            (1..=MAX_PAYLOAD).contains(&length)
                && rest.len() < HEAD + length
                && (last == 0 || sequence == last + 1)
        }
    };
    zeros || short
}

fn checksum(length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The version in the first line, if that line is good.
fn version(bytes: &[u8]) -> Option<u32> {
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next()?;
    let text = str::from_utf8(line).ok()?;
    let version = text.split(' ').nth(2)?.parse().ok()?;
    (header_of(version) == line).then_some(version)
}

#[cfg(test)]
mod tests;
