//! Where the log goes: standard error, through a queue that drops rather than blocks.

use std::str::FromStr;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Lines that may wait while standard error is not read.
const QUEUE: usize = 16_384;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// `level=info message=… key=value`.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Which lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Level {
    /// Every run, too.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What stops the daemon.
    Error,
}

/// A log that is open. Dropping it writes what is queued.
pub(super) struct Log {
    _guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Log {
    /// Counts lines that were dropped since standard error was not read.
    pub(super) fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Opens the log for this process.
pub(super) fn open(format: Format, level: Level) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .lossy(true)
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = match format {
        Format::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .with_span_name(false)
            .with_span_path(false)
            .layer()
            .with_writer(writer)
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(writer)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter(level)))
        .init();
    Log {
        _guard: guard,
        dropped,
    }
}

/// Our own lines at the level asked for; those of libraries only when something is wrong.
fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    EnvFilter::from_str(&format!("error,hotspare={level}")).unwrap_or_default()
}
