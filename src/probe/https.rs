//! The TLS client of a kind whose addresses are URLs: it is needed only for those of `https`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Context, Problem, tls_client};
use crate::net::{Roots, TlsClient, TlsSettings};

/// Made when the first target needs it: a host without certificate authorities can probe plain
/// http.
pub(super) struct Https {
    client: OnceLock<Result<TlsClient, String>>,
    roots: Arc<Roots>,
}

impl Https {
    /// Made at once if the settings say anything about it: their faults must show now.
    pub(super) fn new(
        settings: &TlsSettings,
        context: &Context,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let client = OnceLock::new();
        if *settings != TlsSettings::default() {
            match tls_client(settings, context) {
                Ok(made) => drop(client.set(Ok(made))),
                Err(problem) => problems.push(problem.below("tls")),
            }
        }
        let roots = Arc::clone(&context.roots);
        Self { client, roots }
    }

    /// The client, or why there is none.
    pub(super) fn client(&self) -> Result<&TlsClient, &str> {
        self.client
            .get_or_init(|| {
                let nothing = |_: &Path| Err("no file is configured".to_owned());
                TlsClient::new(&TlsSettings::default(), &self.roots, nothing)
                    .map_err(|(_, why)| why)
            })
            .as_ref()
            .map_err(String::as_str)
    }
}
