//! The web configuration file: read at start, and read again once it or a file that it names has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};

use super::supervise::Supervisor;
use crate::config::{Problems, WebFile};
use crate::files::{Files, Mark};
use crate::metrics::Own;
use crate::server::Web;

/// How often the files are looked at. A change is taken once two looks have found the same, so that
/// no file is read while it is being written.
const LOOK: Duration = Duration::from_secs(1);

/// What the web configuration file asks for, and how it looked then. Without such a file: nothing.
#[derive(Default)]
pub struct WebConfig {
    path: Option<PathBuf>,
    web: Arc<Web>,
    seen: Vec<Seen>,
}

impl WebConfig {
    /// Reads the file with all that it names. Everything that is wrong has its place.
    pub fn read(path: Option<PathBuf>) -> Result<Self, Problems> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let mut seen = Vec::new();
        let web = take_in(&path, &mut seen)?;
        Ok(Self {
            path: Some(path),
            web: Arc::new(web),
            seen,
        })
    }

    /// The file and those that it names.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.seen.iter().map(|seen| &*seen.path)
    }

    /// What is in force, from now on. A thread of its own looks at the files: a file system that hangs
    /// holds up nothing else.
    pub(super) fn start(
        self,
        own: &Arc<Own>,
        stop: &watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) -> Result<watch::Receiver<Arc<Web>>, String> {
        let (in_force, shown) = watch::channel(self.web);
        if let Some(path) = self.path {
            let watcher = Watcher {
                path,
                last: self.seen.clone(),
                taken: self.seen,
                in_force,
                own: Arc::clone(own),
            };
            let stop = stop.clone();
            supervisor.thread("web-config", move || watcher.run(stop))?;
        }
        Ok(shown)
    }
}

/// Reads the file and makes of it what the server works with. What the files look like goes to `seen`:
/// before they are read, so that a change meanwhile is one that is still to come.
fn take_in(path: &Path, seen: &mut Vec<Seen>) -> Result<Web, Problems> {
    match seen.first_mut() {
        Some(first) => *first = Seen::now(path.to_owned()),
        None => seen.push(Seen::now(path.to_owned())),
    }
    let file = WebFile::read(path)?;
    let files = Files::new(None, file.folder.clone());
    seen.truncate(1);
    let tls = file.settings.tls_server_config.as_ref();
    let named = tls.map(|tls| [&tls.cert_file, &tls.key_file, &tls.client_ca_file]);
    let named = named.into_iter().flatten().flatten();
    seen.extend(named.map(|path| Seen::now(files.locate(path))));
    Web::new(&file.settings, |path| files.read(path)).map_err(|fault| file.refuse(&fault))
}

/// A file as it was at a look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    /// None: it was not there.
    mark: Option<Mark>,
}

impl Seen {
    fn now(path: PathBuf) -> Self {
        let mark = Mark::of(&path);
        Self { path, mark }
    }
}

/// Brings changes into force.
struct Watcher {
    path: PathBuf,
    /// The files as they were last read.
    taken: Vec<Seen>,
    /// The files at the last look.
    last: Vec<Seen>,
    in_force: watch::Sender<Arc<Web>>,
    own: Arc<Own>,
}

impl Watcher {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK) => self.look(),
            }
        }
    }

    fn look(&mut self) {
        let now: Vec<_> = self
            .taken
            .iter()
            .map(|of| Seen::now(of.path.clone()))
            .collect();
        if now != self.taken && now == self.last {
            self.read();
        }
        self.last = now;
    }

    fn read(&mut self) {
        let came = take_in(&self.path, &mut self.taken).map_err(|problems| problems.to_string());
        let came = came.and_then(|web| match self.in_force.borrow().lost_in(&web) {
            None => Ok(web),
            Some(lost) => Err(format!(
                "{}: {lost} is not turned off while the daemon runs: start it anew",
                self.path.display()
            )),
        });
        self.own
            .web_config_last_reload_successful
            .set(i64::from(came.is_ok()));
        match came {
            Ok(web) => {
                info!(
                    tls = web.has_tls(),
                    users = web.users(),
                    "the web configuration changed"
                );
                self.in_force.send_replace(Arc::new(web));
            }
            Err(why) => error!(
                error = %why,
                "the web configuration is not good: the one before stays in force"
            ),
        }
    }
}
