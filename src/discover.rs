//! Targets that nobody writes into the configuration: lists in files and over HTTP, as Prometheus'
//! service discovery has them, and services in DNS.
//!
//! A source is asked again and again. A bad answer changes nothing: the last good one stays. What
//! becomes of the targets (their regions, names and labels) is for the configuration to say.

mod dns;
mod file;
mod follow;
mod http;
mod list;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::follow::{Discovery, Figures, SourceFigures, Which};
pub use self::list::{At, Found, MAX_TARGETS};
pub use self::settings::{DnsSettings, FileSettings, HttpSettings, Settings, Taking};
use crate::model::Problem;
use crate::notify::Context;

/// Which source of which probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The probe's name.
    pub probe: Arc<str>,
    /// Where the source is below the probe: `targets_http[0]`.
    pub source: Arc<str>,
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the probe {}", self.source, self.probe)
    }
}

/// The last good answers of all sources that have given any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered(BTreeMap<SourceId, Arc<[Found]>>);

impl Discovered {
    /// What a source gave; `None` if it has not answered yet.
    pub fn of(&self, source: &SourceId) -> Option<&Arc<[Found]>> {
        self.0.get(source)
    }
}

impl FromIterator<(SourceId, Arc<[Found]>)> for Discovered {
    fn from_iter<I: IntoIterator<Item = (SourceId, Arc<[Found]>)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

/// Why a discovered target is not probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// No label tells its region, or there is no such region.
    Region,
    /// Its address is not what its probe's kind wants.
    Address,
    /// The label with its name has none.
    Name,
    /// A label that cannot be kept, or too many.
    Label,
    /// The probe has a target of this name or this address already.
    Duplicate,
    /// The source gave more targets than it may, or there are too many in all.
    Limit,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Region,
        Self::Address,
        Self::Name,
        Self::Label,
        Self::Duplicate,
        Self::Limit,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Address => "address",
            Self::Name => "name",
            Self::Label => "label",
            Self::Duplicate => "duplicate",
            Self::Limit => "limit",
        }
    }
}

/// A discovered target that is not probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it is in the answer.
    pub at: At,
    /// Why it is not probed.
    pub reason: RefusalReason,
    /// The same for people. It does not repeat the address.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

/// A source that can be asked.
#[derive(Debug)]
pub struct Source {
    /// Which one it is.
    pub id: SourceId,
    settings: Settings,
    /// The folder of the file that names it: paths are relative to it.
    folder: PathBuf,
    asker: Asker,
}

#[derive(Debug)]
enum Asker {
    File(file::Lists),
    Http(Box<http::List>),
    Dns(dns::Services),
}

/// What came of asking.
#[derive(Debug, Default)]
struct Answer {
    /// All targets of the source; `None` leaves what was known.
    targets: Option<Arc<[Found]>>,
    /// What was wrong, also where there are targets of other parts.
    faults: Vec<String>,
    /// Whether something was read, and not only looked at.
    read: bool,
}

impl Source {
    /// Checks the settings, and reads what they name to see whether it can be read.
    pub fn new(id: SourceId, settings: &Settings, context: &Context) -> Result<Self, Vec<Problem>> {
        let asker = match settings {
            Settings::File(settings) => Asker::File(settings.prepare(context)?),
            Settings::Http(settings) => Asker::Http(Box::new(settings.prepare(context)?)),
            Settings::Dns(settings) => Asker::Dns(settings.prepare(context)?),
        };
        Ok(Self {
            id,
            settings: settings.clone(),
            folder: context.files.folder().to_owned(),
            asker,
        })
    }

    /// Whether what the other one says is what this one would say, wherever among a probe's sources they
    /// stand.
    fn is_as(&self, other: &Self) -> bool {
        self.id.probe == other.id.probe
            && self.settings == other.settings
            && self.folder == other.folder
    }
}
