//! What a probe is, and the list of kinds. A kind is one file in `probe/` and one line here.

// What several kinds have in common.
mod api;
mod headers;

// The kinds, written out, so that rustfmt finds them.
mod dns;
mod http;
mod mysql;
mod patroni;
mod ping;
mod postgres;
mod prometheus;
mod redis;
mod tcp;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use smallvec::smallvec;
use tokio::time::{Instant, timeout_at};

use crate::files::Files;
use crate::model::{Epoch, Facts, Failure, Pen, Problem, Reason, Reply, Secret, Shape};
use crate::net::{Icmp, Resolver, Roots, Stopwatch, TlsClient, TlsMode, TlsPolicy, TlsSettings};

/// One run under way.
pub type Run<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>>;

/// Measures one target. It knows no schedule, no deadline, no label and no log line.
pub trait Probe: Send + Sync {
    /// Does one exchange and says how it went.
    ///
    /// The future is dropped when the deadline passes, wherever it is: what it holds (sockets
    /// above all) must end with it. The stopwatch tells in which phase that was.
    fn run<'a>(&'a self, watch: &'a mut Stopwatch) -> Run<'a>;

    /// What a run can bring, so that its series exist from the start.
    fn shape(&self) -> Shape;

    /// Where the orders to write a canary to this target go; `None` if it writes none.
    fn pen(&self) -> Option<Arc<Pen>> {
        None
    }

    /// Which thread the runs belong on.
    fn lane(&self) -> Lane {
        Lane::Stream
    }
}

/// The threads that probes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Short exchanges of single packets that share sockets: their times must not wait for anyone's
    /// TLS handshake.
    Packet,
    /// Connections.
    Stream,
}

/// A probe whose settings have been read and found good: it makes the probes of its targets.
pub trait Template: Send + Sync {
    /// The probe of the target with the given address, as configured.
    ///
    /// The error says what is wrong with the address.
    fn target(&self, address: &str) -> Result<Arc<dyn Probe>, String>;
}

/// What kinds share, and what they may need to know to be prepared.
#[derive(Clone, Debug)]
pub struct Context {
    /// Turns names into addresses.
    pub resolver: Arc<Resolver>,
    /// The sockets of echo requests.
    pub icmp: Arc<Icmp>,
    /// The system's certificate authorities.
    pub roots: Arc<Roots>,
    /// Where files that the settings name are found.
    pub files: Files,
    /// The deadline of a run, counted from its start.
    pub timeout: Duration,
    /// Under which name this probe's canaries are written.
    pub canary: CanaryName,
}

/// What tells the canaries of one daemon and probe from all others in the same database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanaryName {
    /// The region of the daemon.
    pub vantage: Arc<str>,
    /// The probe's name.
    pub probe: Arc<str>,
    /// This life of the daemon.
    pub epoch: Epoch,
}

impl CanaryName {
    /// Reads the canary from the table of [`setup`]. The names consist of letters, digits and `_.-`,
    /// so that they stand in a statement as they are: the configuration sees to that.
    fn look(&self) -> String {
        let Self { vantage, probe, .. } = self;
        format!(
            "SELECT epoch, seq FROM hotspare.canary WHERE vantage = '{vantage}' AND probe = '{probe}'"
        )
    }
}

/// Waits for the write of a canary, but a little less than the run, begun at `started`, may take at
/// all: what it learned before is not lost. `doubt` is what a server is asked that does not answer.
async fn acknowledged<T>(
    write: impl Future<Output = T>,
    started: Instant,
    timeout: Duration,
    doubt: &str,
) -> Result<T, Failure> {
    let until = started + timeout * 9 / 10;
    timeout_at(until, write).await.map_err(|_| {
        let why = format_args!("the canary was not acknowledged ({doubt})");
        Failure::new(Reason::TimeoutQuery, why)
    })
}

/// The reply of a run that took this long, or its failure, with what it learned either way.
fn concluded(result: Result<Duration, Failure>, facts: Facts) -> Result<Reply, Failure> {
    match result {
        Ok(latency) => Ok(Reply {
            latencies: smallvec![latency],
            facts,
        }),
        Err(failure) => Err(failure.with_facts(facts)),
    }
}

/// The password that `password_file` or `password_env` names, if one of them is set, for a protocol in
/// which a NUL ends a text.
fn text_password(
    files: &Files,
    file: Option<&Path>,
    env: Option<&str>,
) -> Result<Option<Secret>, Problem> {
    let password = files.secret_of("password", file, env)?;
    if password
        .as_ref()
        .is_some_and(|text| text.expose().contains('\0'))
    {
        let field = if env.is_some() {
            "password_env"
        } else {
            "password_file"
        };
        let why = "the password has a NUL character, which no server takes";
        return Err(Problem::of_host(field, why));
    }
    Ok(password)
}

/// The TLS client that the settings ask for. A problem's field is that of `settings`.
fn tls_client(settings: &TlsSettings, context: &Context) -> Result<TlsClient, Problem> {
    TlsClient::new(settings, &context.roots, |path| context.files.read(path))
        .map_err(|problem| settings.problem(problem))
}

/// The TLS that the mode asks for. A problem's field is that of `settings`.
fn tls_policy(
    mode: TlsMode,
    settings: &TlsSettings,
    context: &Context,
) -> Result<Option<TlsPolicy>, Problem> {
    TlsPolicy::new(mode, settings, &context.roots, |path| {
        context.files.read(path)
    })
    .map_err(|problem| settings.problem(problem))
}

/// The user that the statements of [`setup`] are for.
pub const DEFAULT_USER: &str = "hotspare_probe";

/// What an operator runs in a database before it is probed. The daemon runs none of it.
pub mod setup {
    /// For psql.
    pub const POSTGRES: &str = include_str!("probe/setup/postgres.sql");
    /// For the client mysql or mariadb.
    pub const MYSQL: &str = include_str!("probe/setup/mysql.sql");
    /// For redis-cli, on every server.
    pub const REDIS: &str = include_str!("probe/setup/redis.txt");
}

/// Declares the kinds: the `check` of a probe is one of them.
///
/// A kind that reads a database's replication names the method of its settings that says whether it
/// does, and whether there is a canary.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($module:ident $(, $canary:ident)?),)*) => {
        /// What a probe does: the one field of `check`.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Check {
            // Boxed, because the kinds' settings differ much in size.
            $($(#[$doc])* $variant(Box<$module::Settings>),)*
        }

        impl Check {
            /// The names of the kinds.
            pub const KINDS: &[&str] = &[$(stringify!($module),)*];

            /// The kind's name, the value of the label `kind`.
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($module),)* }
            }

            /// Whether it is a database: one that has a primary and standbys.
            pub fn is_database(&self) -> bool {
                self.asks_canary().is_some()
            }

            /// Whether it is a database in which a canary is written and looked for.
            pub fn canary(&self) -> bool {
                self.asks_canary().unwrap_or_default()
            }

            /// `None` where nothing is told of replication.
            fn asks_canary(&self) -> Option<bool> {
                match self {
                    $($(Self::$variant(settings) => settings.$canary(),)?)*
                    _ => None,
                }
            }

            /// Reads what the settings name (files, patterns) and checks them against each other.
            pub fn prepare(&self, context: &Context) -> Result<Box<dyn Template>, Vec<Problem>> {
                match self { $(Self::$variant(settings) => settings.prepare(context),)* }
            }
        }
    };
}

impl Check {
    /// Whether a run against the target with this address has a TLS session, whose certificates it
    /// tells of.
    pub fn speaks_tls(&self, address: &str) -> bool {
        const HTTPS: &str = "https:";
        match self {
            Self::Http(_) | Self::Prometheus(_) | Self::Patroni(_) => address
                .get(..HTTPS.len())
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(HTTPS)),
            Self::Tcp(settings) => settings.tls.is_some(),
            _ => false,
        }
    }

    /// Whether a run tells which version of the service answered.
    pub fn tells_version(&self) -> bool {
        matches!(self, Self::Http(settings) if settings.version.is_some())
    }
}

kinds! {
    /// Echo requests (ICMP) and their replies.
    Ping(ping),
    /// A TCP connection, with TLS and a dialogue if asked.
    Tcp(tcp),
    /// An HTTP exchange.
    Http(http),
    /// A question to a DNS server.
    Dns(dns),
    /// A login to PostgreSQL and a query.
    Postgres(postgres, canary),
    /// A login to MySQL or MariaDB and a query.
    Mysql(mysql, canary),
    /// What a client of Redis or Valkey does, and the server's replication.
    Redis(redis, canary),
    /// A query to a Prometheus server.
    Prometheus(prometheus),
    /// What the HA manager Patroni says of its server.
    Patroni(patroni),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_which_a_part_would_be_sent_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("cut"), "ri\0ght").expect("write");
        std::fs::write(folder.path().join("whole"), "right").expect("write");
        let files = Files::new(None, folder.path().to_owned());
        let of = |file| text_password(&files, Some(Path::new(file)), None);
        let whole = of("whole").ok().flatten();
        assert_eq!(whole.as_ref().map(Secret::expose), Some("right"));
        let problem = of("cut").expect_err("a problem");
        assert_eq!((&*problem.field, problem.of_host), ("password_file", true));
    }
}
