//! What names, labels and addresses are made of.

use crate::metrics::check_label;

const MAX_NAME: usize = 64;
/// Labels of a target's own.
pub(super) const MAX_LABELS: usize = 16;
const MAX_ADDRESS: usize = 2048;
const MAX_LABEL_VALUE: usize = 256;

pub(super) fn valid_name(text: &str) -> Result<(), String> {
    let good = text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if good {
        return Ok(());
    }
    Err(format!(
        "not a name: 1 to {MAX_NAME} letters, digits, `_`, `.` and `-`, the first a letter or digit"
    ))
}

/// Labels of alerts that are not a rule's own to set, beside those of series.
const OF_ALERTS: [&str; 4] = ["alertname", "severity", "group", "standby"];

pub(super) fn label_fault(name: &str, value: &str) -> Option<String> {
    if let Err(why) = check_label(name) {
        return Some(why);
    }
    if name == "variant" {
        return Some("the label `variant` is set by the target's key of that name".to_owned());
    }
    value_fault(value)
}

/// What is wrong with the value of a discovered target's label.
pub(super) fn target_label_fault(name: &str, value: &str) -> Option<String> {
    match name {
        "variant" => valid_name(value).err(),
        _ => value_fault(value),
    }
}

/// What is wrong with a label of a rule.
pub(super) fn rule_label_fault(name: &str, value: &str) -> Option<String> {
    if let Err(why) = check_label(name) {
        return Some(why);
    }
    if OF_ALERTS.contains(&name) {
        return Some(format!("the label `{name}` is set by hotspare"));
    }
    // To Alertmanager, an empty label is none.
    if value.is_empty() {
        return Some("a label needs a value".to_owned());
    }
    value_fault(value)
}

fn value_fault(value: &str) -> Option<String> {
    if value.len() > MAX_LABEL_VALUE || value.chars().any(char::is_control) {
        return Some(format!(
            "a label's value is one line of at most {MAX_LABEL_VALUE} bytes"
        ));
    }
    None
}

/// What is wrong with an address of any kind. Does not repeat it: it may hold a password.
pub(super) fn address_fault(address: &str) -> Option<String> {
    if address.is_empty() {
        return Some("the address is empty".to_owned());
    }
    if address.len() > MAX_ADDRESS {
        return Some(format!("the address is longer than {MAX_ADDRESS} bytes"));
    }
    if address.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Some("the address has a space or a control character in it".to_owned());
    }
    authority(address).contains('@').then(|| {
        "an address must not hold a user or password: they are settings of the check".to_owned()
    })
}

/// The part of an address that a user would be in, read as broadly as browsers read a URL: with any
/// number of slashes of either kind behind the scheme, and without a scheme.
fn authority(address: &str) -> &str {
    let rest = match address.split_once(':') {
        Some((_, rest)) if rest.starts_with(['/', '\\']) => rest.trim_start_matches(['/', '\\']),
        _ => address,
    };
    rest.split(['/', '\\', '?', '#']).next().unwrap_or(rest)
}
