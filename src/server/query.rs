//! What stands behind the `?` of a question.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// The parameters, each once. The error says what is wrong, and repeats nothing.
pub(super) fn parameters(query: &str) -> Result<BTreeMap<String, String>, String> {
    let mut parameters = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        if parameters.insert(key, value).is_some() {
            return Err("a parameter is given twice".to_owned());
        }
    }
    Ok(parameters)
}
