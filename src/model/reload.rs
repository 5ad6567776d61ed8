//! What comes of reading the configuration again.

use serde::{Deserialize, Serialize};

/// What a new configuration has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Tells the configuration apart from others: as in `hotspare_config_hash_info`.
    pub hash: String,
    /// Targets that are probed from here now.
    pub targets: usize,
    /// Those of them that were not before, or with other settings.
    pub begun: usize,
    /// Targets that are not probed any more, or with other settings.
    pub ended: usize,
}

/// Why a configuration was not taken. What was in force still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadRefusal {
    /// It is not good, or needs a restart; one line for each reason.
    Bad(String),
    /// Another one is being read.
    Busy,
    /// The daemon ends.
    Ending,
}

impl std::fmt::Display for ReloadRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bad(why) => why,
            Self::Busy => "a configuration is being read: try again",
            Self::Ending => "the daemon ends",
        })
    }
}
