//! What is known of a fleet before its file is written.

use std::str::FromStr;

/// What was answered, by flags or to questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// The region of this host, which serves.
    pub(super) region: String,
    /// Regions that were named without an address.
    pub(super) others: Vec<String>,
    /// What fails over.
    pub(super) service: String,
    /// Where it answers over HTTP.
    pub(super) http: Vec<At>,
    /// Its databases.
    pub(super) databases: Vec<Database>,
    /// Where their password is.
    pub(super) password_file: Option<String>,
    /// Who is told of alerts.
    pub(super) webhook: Option<String>,
    /// These, too.
    pub(super) alertmanagers: Vec<String>,
}

/// An address in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) region: String,
    pub(super) address: String,
}

/// A database of the service.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) kind: Kind,
    pub(super) at: Vec<At>,
}

/// Its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Mysql,
    Redis,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Postgres, Self::Mysql, Self::Redis];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=');
        let pair = pair.filter(|(region, address)| !region.is_empty() && !address.is_empty());
        let (region, address) =
            pair.ok_or("expected a region and an address, like eu-west=https://10.1.0.20/healthz")?;
        Ok(Self {
            region: region.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl Answers {
    /// Every region, this host's first.
    pub(super) fn regions(&self) -> Vec<&str> {
        let databases = self.databases.iter().flat_map(|of| &of.at);
        let named = self.http.iter().chain(databases);
        let others = self.others.iter().map(String::as_str);
        let mut regions = vec![&*self.region];
        for region in others.chain(named.map(|at| &*at.region)) {
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        regions
    }
}
