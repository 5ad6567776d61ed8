//! The TLS client of a kind whose addresses are URLs: it is needed only for those of `https`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Roots, TlsClient, TlsSettings};
use crate::model::Problem;

/// Made when the first target needs it: a host without certificate authorities can probe plain
/// http.
#[derive(Debug)]
pub struct Https {
    client: OnceLock<Result<TlsClient, String>>,
    roots: Arc<Roots>,
}

impl Https {
    /// Made at once if the settings say anything about it: their faults must show now, and are added
    /// to the problems.
    pub fn new(
        settings: &TlsSettings,
        roots: &Arc<Roots>,
        read: impl Fn(&Path) -> Result<Vec<u8>, String>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let client = OnceLock::new();
        if *settings != TlsSettings::default() {
            match TlsClient::new(settings, roots, read) {
                Ok(made) => drop(client.set(Ok(made))),
                Err(problem) => problems.push(settings.problem(problem).below("tls")),
            }
        }
        let roots = Arc::clone(roots);
        Self { client, roots }
    }

    /// The client, or why there is none.
    pub fn client(&self) -> Result<&TlsClient, &str> {
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
