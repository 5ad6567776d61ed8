//! Global transaction identifiers: the sets of `MySQL`, the domains of `MariaDB`.
//!
//! Both are read from texts that a server sends, which may be hostile. A text is capped at
//! [`MAX_TEXT_BYTES`], reading one takes no more than sorting it, and comparing two takes no more
//! than walking over both.

mod mariadb;
mod mysql;

pub use mariadb::Domains;
pub use mysql::GtidSet;

/// The longest text that is read. A thousand servers with thirty gaps each fit; what needs more is
/// not a position but an attack.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Refuses a text that is too long.
fn capped(text: &str) -> Result<&str, String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("it has more than {MAX_TEXT_BYTES} bytes"));
    }
    Ok(text)
}

/// A number in decimal digits and nothing else: no sign, no other base.
fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
