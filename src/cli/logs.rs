//! Where the log goes: standard error, through a queue that drops rather than blocks.
//!
//! The queue has a thread, and there must be none until the daemon has given up what it does not need.
//! Until then lines go out at once.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
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
    /// Everything, and what libraries say too: to find a defect.
    Trace,
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
    queue: Queue,
    guard: Arc<Mutex<Option<WorkerGuard>>>,
}

/// What lines go through, once it is there.
#[derive(Clone, Default)]
struct Queue(Arc<OnceLock<NonBlocking>>);

impl Log {
    /// From when it is called on, lines go through the queue, which starts a thread for it.
    pub(super) fn queue(&self) -> Box<dyn FnOnce()> {
        let (queue, kept) = (self.queue.clone(), Arc::clone(&self.guard));
        Box::new(move || {
            let (writer, guard) = NonBlockingBuilder::default()
                .buffered_lines_limit(QUEUE)
                .lossy(true)
                .finish(io::stderr());
            if queue.0.set(writer).is_ok() {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
            }
        })
    }

    /// Counts lines that were dropped since standard error was not read.
    pub(super) fn dropped(&self) -> Box<dyn Fn() -> u64 + Send + Sync> {
        let queue = self.queue.clone();
        Box::new(move || {
            let queue = queue.0.get();
            queue.map_or(0, |queue| queue.error_counter().dropped_lines() as u64)
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(
            self.guard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.0.get().cloned().map_or(Line::AtOnce, Line::Queued)
    }
}

/// Where a line goes.
enum Line {
    AtOnce,
    Queued(NonBlocking),
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::AtOnce => io::stderr().write(bytes),
            Self::Queued(queue) => queue.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::AtOnce => io::stderr().flush(),
            Self::Queued(queue) => queue.flush(),
        }
    }
}

/// Opens the log for this process.
pub(super) fn open(format: Format, level: Level) -> Log {
    let queue = Queue::default();
    let writer = queue.clone();
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
        queue,
        guard: Arc::default(),
    }
}

/// Our own lines at the level asked for; those of libraries only when something is wrong.
fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Trace => return EnvFilter::new("trace"),
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    EnvFilter::from_str(&format!("error,hotspare={level}")).unwrap_or_default()
}
