//! What the script expects the daemons to say, and whether they do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::observe::{Daemon, Standby};
use super::regions::{Each, Region};
use super::stage::Stage;
use super::terminal::Terminal;

/// How long a verdict may take. Only a guard: it ends as soon as the verdict is seen.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);

/// Waits until each daemon has given what is looked for, and says so. While it does not, `look` tells
/// what it says instead. They need not do it at the same moment: one that was held up says for half a
/// minute that it does not know.
pub(super) async fn of_all<T>(
    stage: &mut Stage,
    terminal: &Terminal,
    what: &str,
    look: impl AsyncFn(&Daemon) -> Result<T, String>,
) -> Result<Each<T>, String> {
    terminal.expected(what);
    let begun = Instant::now();
    let mut found: Each<Result<T, String>> = Region::ALL.map(|_| Err(String::new()));
    loop {
        stage.runs()?;
        for (daemon, found) in stage.daemons.all().iter().zip(&mut found) {
            if found.is_err() {
                *found = look(daemon).await;
            }
        }
        found = match found {
            [Ok(one), Ok(two), Ok(three)] => {
                terminal.seen(begun.elapsed(), what);
                return Ok([one, two, three]);
            }
            found if begun.elapsed() > PATIENCE => {
                return Err(missed(terminal, what, found.map(Result::err)));
            }
            found => found,
        };
        sleep(POLL).await;
    }
}

/// Waits until the daemons say so of a standby, each in its region.
pub(super) async fn of_standby(
    stage: &mut Stage,
    terminal: &Terminal,
    what: &str,
    standby: Region,
    holds: impl Fn(Region, &Standby) -> bool,
) -> Result<Each<Standby>, String> {
    let look = async |daemon: &Daemon| {
        let said = daemon.standby(standby).await?;
        if holds(daemon.region(), &said) {
            return Ok(said);
        }
        Err(daemon.line(standby).await?)
    };
    of_all(stage, terminal, what, look).await
}

/// Says what was not seen, and what was said instead.
fn missed(terminal: &Terminal, what: &str, said: Each<Option<String>>) -> String {
    terminal.missed(what);
    for (region, said) in Region::ALL.into_iter().zip(said) {
        terminal.quote(region.name(), said.as_deref().unwrap_or("as expected"));
    }
    format!("not seen within {}s: {what}", PATIENCE.as_secs())
}
