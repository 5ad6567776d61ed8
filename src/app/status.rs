//! What systemd is told of this daemon while it runs: that it is ready, how it is, and that it goes
//! on.

use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::health::Health;
use super::systemd::{Systemd, status};
use crate::config::Plan;
use crate::evaluate::{Board, Progress};
use crate::metrics::Own;
use crate::model::ReadyState;

/// Between two looks, and two texts, at least.
const SECOND: Duration = Duration::from_secs(1);

/// Between two looks until the daemon is ready.
const START: Duration = Duration::from_millis(20);

/// Of what is wrong, so much is told.
const MOST: usize = 4;

/// Tells systemd, on the runtime of the evaluation: a runtime that stands still is silent.
pub(super) struct Status {
    systemd: Arc<Systemd>,
    health: Arc<Health>,
    summary: Summary,
}

impl Status {
    /// What is to be told to whom.
    pub(super) fn new(systemd: Arc<Systemd>, health: Arc<Health>, summary: Summary) -> Self {
        Self {
            systemd,
            health,
            summary,
        }
    }

    /// Tells until `stop`.
    pub(super) async fn tell(self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let mut stop = pin!(stop);
        let half = self.systemd.watchdog.map(|limit| limit / 2);
        let mut told = Told::default();
        let mut was_stuck = false;
        let mut failing = false;
        loop {
            let now = Instant::now();
            let stuck = self.health.stuck();
            if let Some(why) = stuck.as_ref().filter(|_| half.is_some() && !was_stuck) {
                warn!(why, "the watchdog gets no beats");
            }
            was_stuck = stuck.is_some();
            let seen = Seen {
                began: self.health.began(),
                text: self.text(),
                stuck: was_stuck,
            };
            let (message, then) = told.news(now, seen, half);
            if !message.is_empty() {
                match self.systemd.send(&message) {
                    Ok(()) => {
                        told = then;
                        failing = false;
                    }
                    // All of it is due again at the next look.
                    Err(error) => {
                        if !failing {
                            warn!(%error, "systemd cannot be told how the daemon is; trying on");
                        }
                        failing = true;
                    }
                }
            }
            let look = if told.ready { SECOND } else { START };
            let look = half.map_or(look, |half| look.min(half / 2));
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                () = sleep(look) => {}
            }
        }
    }

    /// What is wrong first, then what there is.
    fn text(&self) -> String {
        let mut parts = self.health.faults();
        let more = parts.len().saturating_sub(MOST);
        parts.truncate(MOST);
        if more > 0 {
            parts.push(format!("and {more} more that is wrong"));
        }
        parts.push(self.summary.text());
        parts.join("; ")
    }
}

/// What was seen at a look.
struct Seen {
    began: bool,
    stuck: bool,
    text: String,
}

/// What systemd was told.
#[derive(Clone, Debug, Default)]
struct Told {
    ready: bool,
    text: String,
    text_at: Option<Instant>,
    beat_at: Option<Instant>,
}

impl Told {
    /// What is to be told now, one assignment a line, and what was told then. Beats are due after
    /// `half` of the watchdog's time.
    fn news(&self, now: Instant, seen: Seen, half: Option<Duration>) -> (String, Self) {
        let mut then = self.clone();
        let mut lines = Vec::new();
        let is_past = |at: Option<Instant>, pause| at.is_none_or(|at| at + pause <= now);
        if seen.began && !self.ready {
            lines.push("READY=1".to_owned());
            then.ready = true;
        }
        if seen.text != self.text && is_past(self.text_at, SECOND) {
            lines.push(status(&seen.text));
            then.text = seen.text;
            then.text_at = Some(now);
        }
        let beats = then.ready && !seen.stuck;
        if beats && half.is_some_and(|half| is_past(self.beat_at, half)) {
            lines.push("WATCHDOG=1".to_owned());
            then.beat_at = Some(now);
        }
        (lines.join("\n"), then)
    }
}

/// How things stand, in one line.
pub(super) struct Summary {
    region: Arc<str>,
    own: Arc<Own>,
    progress: Arc<Progress>,
    board: Arc<Board>,
}

impl Summary {
    /// Of what is planned, and what becomes of it.
    pub(super) fn of(
        plan: &Plan,
        own: &Arc<Own>,
        progress: &Arc<Progress>,
        board: &Arc<Board>,
    ) -> Self {
        Self {
            region: Arc::clone(&plan.region),
            own: Arc::clone(own),
            progress: Arc::clone(progress),
            board: Arc::clone(board),
        }
    }

    fn text(&self) -> String {
        let (region, targets) = (&self.region, self.own.targets.get());
        let s = if targets == 1 { "" } else { "s" };
        let mut text = format!("{region}: {targets} target{s}");
        let unseen = self.progress.unseen();
        if unseen > 0 {
            let _ = write!(text, ", {unseen} of them not run yet");
        }
        let reports = super::own::judged(&self.board);
        let standbys = || reports.iter().flat_map(|group| &group.standbys);
        let all = standbys().count();
        if all > 0 {
            let ready = standbys().filter(|standby| standby.state == ReadyState::Ready);
            let s = if all == 1 { "" } else { "s" };
            let _ = write!(text, "; {} of {all} standby{s} ready", ready.count());
        }
        text
    }
}

/// The last words: why the daemon ends.
pub(super) fn stopping(systemd: Option<&Systemd>, result: &Result<(), String>) {
    let why = match result {
        Ok(()) => "ending".to_owned(),
        Err(why) => format!("ending: {why}"),
    };
    if let Some(systemd) = systemd
        && let Err(error) = systemd.send(&format!("STOPPING=1\n{}", status(&why)))
    {
        info!(%error, "systemd cannot be told that the daemon ends");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::super::health::tests::health;
    use super::*;
    use crate::model::Beat;
    use crate::store::Store;

    const HALF: Option<Duration> = Some(Duration::from_secs(15));

    fn seen(text: &str) -> Seen {
        Seen {
            began: true,
            stuck: false,
            text: text.to_owned(),
        }
    }

    /// What is told at so many seconds, and taken.
    fn tell(told: &mut Told, start: Instant, seconds: f64, seen: Seen) -> String {
        let (message, then) = told.news(start + Duration::from_secs_f64(seconds), seen, HALF);
        *told = then;
        message
    }

    #[test]
    fn it_is_ready_once_and_when_every_part_has_begun() {
        let (mut told, start) = (Told::default(), Instant::now());
        let not_yet = Seen {
            began: false,
            ..seen("a")
        };
        assert_eq!(tell(&mut told, start, 0.0, not_yet), "STATUS=a");
        assert_eq!(
            tell(&mut told, start, 0.1, seen("a")),
            "READY=1\nWATCHDOG=1"
        );
        assert_eq!(tell(&mut told, start, 0.2, seen("a")), "");
    }

    #[test]
    fn the_status_is_told_when_it_changes_and_once_a_second_at_most() {
        let (mut told, start) = (Told::default(), Instant::now());
        assert_eq!(
            tell(&mut told, start, 0.0, seen("a")),
            "READY=1\nSTATUS=a\nWATCHDOG=1"
        );
        assert_eq!(tell(&mut told, start, 0.5, seen("b")), "");
        assert_eq!(tell(&mut told, start, 1.0, seen("b")), "STATUS=b");
        assert_eq!(tell(&mut told, start, 5.0, seen("b")), "");
    }

    #[test]
    fn beats_come_after_half_of_the_time_and_not_while_something_is_stuck() {
        let (mut told, start) = (Told::default(), Instant::now());
        tell(&mut told, start, 0.0, seen("a"));
        assert_eq!(tell(&mut told, start, 14.0, seen("a")), "");
        assert_eq!(tell(&mut told, start, 15.0, seen("a")), "WATCHDOG=1");
        let stuck = || Seen {
            stuck: true,
            ..seen("stuck")
        };
        assert_eq!(tell(&mut told, start, 30.0, stuck()), "STATUS=stuck");
        assert_eq!(tell(&mut told, start, 40.0, stuck()), "");
        assert_eq!(
            tell(&mut told, start, 40.5, seen("a")),
            "STATUS=a\nWATCHDOG=1"
        );
    }

    #[test]
    fn without_a_watchdog_there_are_no_beats() {
        let (message, _) = Told::default().news(Instant::now(), seen("a"), None);
        assert_eq!(message, "READY=1\nSTATUS=a");
    }

    /// What came to the socket, until something in it is as wanted.
    async fn until(socket: &UnixDatagram, wanted: impl Fn(&str) -> bool) -> String {
        let mut all = String::new();
        let mut bytes = [0; 4096];
        while !wanted(&all) {
            match socket.recv(&mut bytes) {
                Ok(length) => {
                    all += &String::from_utf8_lossy(&bytes[..length]);
                    all += "\n";
                }
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
        all
    }

    #[tokio::test]
    async fn a_part_that_stands_still_is_named_and_stops_the_beat() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_nonblocking(true).expect("settable");
        let systemd = Systemd::of(
            |name| match name {
                "NOTIFY_SOCKET" => Some(path.clone().into()),
                "WATCHDOG_USEC" => Some("100000".into()),
                _ => None,
            },
            7,
        );
        let systemd = systemd.expect("good").expect("somebody");
        let now = || Instant::now().into_std();
        let before = now().checked_sub(Duration::from_mins(1)).expect("a moment");
        let beat = Arc::new(Beat::new(before));
        beat.beat(before);
        let health = health(&[("streams-0", &beat)], None, Store::in_memory());
        health.progress.look(now());
        let summary = Summary {
            region: "eu-west".into(),
            own: {
                health.own.targets.set(120);
                Arc::clone(&health.own)
            },
            progress: Arc::clone(&health.progress),
            board: Arc::new(Board::new(Vec::new())),
        };
        let progress = Arc::clone(&health.progress);
        let status = Status::new(Arc::new(systemd), Arc::new(health), summary);
        let seen = async {
            // Two texts are a second apart, in which twenty beats would have been due.
            let texts = |said: &str| said.matches("STATUS=").count() == 2;
            let said = until(&socket, texts).await;
            let text = "STATUS=streams-0 has made no progress for ";
            assert!(said.contains("READY=1\n") && said.contains(text), "{said}");
            let rest = "s; eu-west: 120 targets, 1 of them not run yet\n";
            assert!(said.contains(rest), "{said}");
            assert!(!said.contains("WATCHDOG=1"), "{said}");
            progress.look(now());
            beat.beat(now());
            let said = until(&socket, |said| said.contains("WATCHDOG=1")).await;
            assert!(said.contains("WATCHDOG=1"), "{said}");
        };
        tokio::select! {
            told = status.tell(std::future::pending()) => panic!("it ended: {told:?}"),
            seen = tokio::time::timeout(Duration::from_mins(1), seen) => seen.expect("told"),
        }
    }
}
