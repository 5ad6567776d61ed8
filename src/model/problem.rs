//! What is wrong with settings, before it is known where they are written.

/// Something wrong with the settings of a kind: of a probe, of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path below the kind's settings: `tls.ca_file`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether this host is at fault and not the settings: a file or a variable that they name is
    /// not there or no good. Where it is not used, it need not be.
    pub of_host: bool,
}

impl Problem {
    /// A problem with the given field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            of_host: false,
        }
    }

    /// A problem of this host with what the given field names.
    pub fn of_host(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            of_host: true,
            ..Self::new(field, message)
        }
    }

    /// The same with a field that is below another.
    #[must_use]
    pub fn below(mut self, field: &str) -> Self {
        self.field = format!("{field}.{}", self.field);
        self
    }
}
