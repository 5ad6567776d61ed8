//! What an alert says to people.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The annotations of a rule: templates over its alerts' own values.
#[derive(Clone, Debug)]
pub struct Annotations {
    _templates: Arc<BTreeMap<Arc<str>, String>>,
}

impl Annotations {
    /// The annotations with these names and templates, with a `summary` and a `description` if they
    /// are not among them.
    ///
    /// The errors are the names of those that are no templates, and why.
    pub fn new(templates: BTreeMap<Arc<str>, String>) -> Result<Self, Vec<(Arc<str>, String)>> {
        Ok(Self {
            _templates: Arc::new(templates),
        })
    }
}
