//! Passwords that live as long as the demo: other accounts of the host reach its ports, too.

use std::fmt::Write;

/// 32 random hexadecimal digits.
pub(super) fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system gives no randomness".to_owned())?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
