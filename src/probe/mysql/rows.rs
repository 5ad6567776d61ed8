//! Questions in text, and the rows that answer them.

use mysql_common::io::ParseBuf;

use super::failure::{ERROR, ServerError};
use super::session::{Refusal, Session, protocol};
use crate::model::Failure;

const QUERY: u8 = 0x03;

/// What begins an answer, beside [`ERROR`] and the number of columns.
const DONE: u8 = 0x00;
const FILE_WANTED: u8 = 0xfb;
/// What ends columns and rows, if the packet is shorter than 9 bytes.
const END: u8 = 0xfe;
const NULL: u8 = 0xfb;

/// A server makes no more columns.
const MAX_COLUMNS: u64 = 4096;
/// Another answer follows.
const MORE_RESULTS: u16 = 0x0008;

/// The value of one column of one row; none is NULL.
type Value = Option<Vec<u8>>;

/// The first rows of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Session {
    /// Asks, reads the answer to its end and keeps the first rows of the first result.
    pub(super) async fn ask(&mut self, question: &str, keep: usize) -> Result<Table, Refusal> {
        self.command(QUERY, question.as_bytes()).await?;
        let mut first = None;
        loop {
            let (table, more) = self.result(keep).await?;
            let first = first.get_or_insert(table);
            if !more {
                return Ok(std::mem::take(first));
            }
        }
    }

    /// Reads one result; also whether another one follows.
    async fn result(&mut self, keep: usize) -> Result<(Table, bool), Refusal> {
        let packet = self.read().await?;
        let columns = match packet.first() {
            Some(&DONE) => {
                let status = status_of_done(&packet).ok_or_else(unreadable)?;
                return Ok((Table::default(), status & MORE_RESULTS != 0));
            }
            Some(&ERROR) => return Err(said(&packet)),
            Some(&FILE_WANTED) => {
                let why = "the server asks for a file of this host; it gets none";
                return Err(protocol(why).into());
            }
            _ => column_count(&packet).ok_or_else(unreadable)?,
        };
        let mut table = Table::default();
        for _ in 0..columns {
            let packet = self.read().await?;
            if packet.first() == Some(&ERROR) {
                return Err(said(&packet));
            }
            table
                .columns
                .push(column_name(&packet).ok_or_else(unreadable)?);
        }
        let packet = self.read().await?;
        status_of_end(&packet).ok_or_else(unreadable)?;
        loop {
            let packet = self.read().await?;
            if packet.first() == Some(&ERROR) {
                return Err(said(&packet));
            }
            if let Some(status) = status_of_end(&packet) {
                return Ok((table, status & MORE_RESULTS != 0));
            }
            let row = row(&packet, table.columns.len()).ok_or_else(unreadable)?;
            if table.rows.len() < keep {
                table.rows.push(row);
            }
        }
    }
}

fn said(packet: &[u8]) -> Refusal {
    match ServerError::parse(packet) {
        Some(error) => Refusal::Said(error),
        None => unreadable().into(),
    }
}

fn unreadable() -> Failure {
    protocol("the server's answer cannot be understood")
}

fn status_of_done(packet: &[u8]) -> Option<u16> {
    let mut rest = ParseBuf(packet.strip_prefix(&[DONE])?);
    length(&mut rest)?; // rows changed
    length(&mut rest)?; // the last number given
    rest.checked_eat_u16_le()
}

fn status_of_end(packet: &[u8]) -> Option<u16> {
    match packet {
        [END, _, _, a, b] => Some(u16::from_le_bytes([*a, *b])),
        _ => None,
    }
}

fn column_count(packet: &[u8]) -> Option<u64> {
    let mut rest = ParseBuf(packet);
    let count = length(&mut rest)?;
    (rest.is_empty() && (1..=MAX_COLUMNS).contains(&count)).then_some(count)
}

/// The name under which the query has the column: behind catalog, schema and two tables.
fn column_name(packet: &[u8]) -> Option<String> {
    let mut rest = ParseBuf(packet);
    for _ in 0..4 {
        text(&mut rest)?;
    }
    Some(String::from_utf8_lossy(text(&mut rest)?).into_owned())
}

fn row(packet: &[u8], columns: usize) -> Option<Vec<Value>> {
    let mut rest = ParseBuf(packet);
    let mut row = Vec::new();
    for _ in 0..columns {
        if rest.0.first() == Some(&NULL) {
            rest.skip(1);
            row.push(None);
        } else {
            row.push(Some(text(&mut rest)?.to_vec()));
        }
    }
    rest.is_empty().then_some(row)
}

fn text<'a>(rest: &mut ParseBuf<'a>) -> Option<&'a [u8]> {
    let length = length(rest)?;
    rest.checked_eat(usize::try_from(length).ok()?)
}

/// A number in one byte, or in as many as the first one says.
fn length(rest: &mut ParseBuf<'_>) -> Option<u64> {
    match rest.0.first() {
        None | Some(&(NULL | ERROR)) => None,
        Some(_) => rest.checked_eat_lenenc_int(),
    }
}

impl Table {
    /// The value in the row under the column's name, as text; none also where it is NULL or there
    /// is no such column.
    pub(super) fn text(&self, row: usize, column: &str) -> Option<std::borrow::Cow<'_, str>> {
        let place = self
            .columns
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))?;
        let value = self.rows.get(row)?.get(place)?.as_deref()?;
        Some(String::from_utf8_lossy(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_all_their_forms_and_never_beyond_the_end() {
        for (bytes, expected) in [
            (&[0xfa][..], Some(250)),
            (&[0xfc, 0xff, 0x00], Some(255)),
            (&[0xfd, 1, 0, 1], Some(0x1_0001)),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0], Some(1)),
            (&[0xfb], None),
            (&[0xff], None),
            (&[0xfc, 0xff], None),
            (&[], None),
        ] {
            assert_eq!(length(&mut ParseBuf(bytes)), expected, "{bytes:?}");
        }
        let huge = [0xfe, 255, 255, 255, 255, 255, 255, 255, 255, b'x'];
        assert_eq!(text(&mut ParseBuf(&huge)), None);
    }

    #[test]
    fn a_row_has_as_many_values_as_there_are_columns() {
        assert_eq!(row(b"\x011\xfb", 2), Some(vec![Some(b"1".to_vec()), None]));
        for wrong in [
            &b""[..],
            b"\x011",
            b"\x011\xfb\xfb",
            b"\x011\x02x",
            b"\x011\xff",
        ] {
            assert_eq!(row(wrong, 2), None, "{wrong:?}");
        }
        assert_eq!(column_count(&[0]), None);
        assert_eq!(column_count(&[0xfc, 0x00, 0x20]), None);
        assert_eq!(column_count(&[3]), Some(3));
    }
}
