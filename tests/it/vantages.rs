//! A daemon in each of three regions, all with one configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::daemon::{Daemon, Series};
use crate::process::PATIENCE;

/// The regions; that of the primary first.
pub(crate) const REGIONS: [&str; 3] = ["eu-west", "eu-central", "us-east"];

/// The daemons of [`REGIONS`].
pub(crate) struct Vantages {
    /// The configuration of each. They differ only in addresses: each has ways of its own.
    configs: [String; 3],
    daemons: [Option<Daemon>; 3],
}

impl Vantages {
    /// Starts a daemon for each configuration.
    pub(crate) fn start(configs: [String; 3]) -> Self {
        let mut vantages = Self {
            configs,
            daemons: [None, None, None],
        };
        for place in 0..REGIONS.len() {
            vantages.revive(place);
        }
        vantages
    }

    /// Starts the daemon in this place, anew and elsewhere.
    pub(crate) fn revive(&mut self, place: usize) {
        let arguments = ["--region", REGIONS[place]];
        let daemon = Daemon::start_with(&self.configs[place], |_| {}, &arguments);
        self.daemons[place] = Some(daemon);
    }

    /// Ends the daemon in this place without its knowing.
    pub(crate) fn kill(&mut self, place: usize) {
        if let Some(mut daemon) = self.daemons[place].take() {
            daemon.process().signal(Signal::KILL);
            daemon.process().wait();
        }
    }

    /// Stops the daemon in this place without its knowing, until it is [thawed](Self::thaw).
    pub(crate) fn freeze(&mut self, place: usize) {
        self.signal(place, Signal::STOP);
    }

    /// Lets a frozen daemon go on.
    pub(crate) fn thaw(&mut self, place: usize) {
        self.signal(place, Signal::CONT);
    }

    fn signal(&mut self, place: usize, signal: Signal) {
        let daemon = self.daemons[place].as_mut().expect("alive");
        daemon.process().signal(signal);
    }

    /// The daemon in this place.
    pub(crate) fn daemon(&self, place: usize) -> &Daemon {
        self.daemons[place].as_ref().expect("alive")
    }

    /// Where those that live can be scraped.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.alive().map(|daemon| daemon.address).collect()
    }

    /// Waits until each of those that live says so of a standby.
    pub(crate) fn wait_until_all(
        &self,
        what: &str,
        standby: &str,
        say: impl Fn(&Said<'_>) -> bool,
    ) {
        for daemon in self.alive() {
            wait_until(daemon, what, standby, &say);
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Daemon> {
        self.daemons.iter().flatten()
    }
}

/// Waits until a daemon says so of a standby.
pub(crate) fn wait_until(
    daemon: &Daemon,
    what: &str,
    standby: &str,
    say: impl Fn(&Said<'_>) -> bool,
) {
    let since = Instant::now();
    loop {
        let series = daemon.series();
        let said = Said::of(&series, standby);
        if say(&said) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "never: {what}: {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a daemon says of a standby.
pub(crate) struct Said<'a> {
    series: &'a Series,
    standby: String,
}

impl<'a> Said<'a> {
    pub(crate) fn of(series: &'a Series, standby: &str) -> Self {
        Self {
            series,
            standby: format!("standby=\"{standby}\""),
        }
    }

    /// A figure that there is once for each standby.
    pub(crate) fn figure(&self, family: &str) -> f64 {
        self.series.one(family, &[&self.standby])
    }

    /// One of several, by another label (`name="value"`).
    pub(crate) fn figure_of(&self, family: &str, label: &str) -> f64 {
        self.series.one(family, &[&self.standby, label])
    }

    /// Whether the daemon was held up lately, and does not trust what it saw.
    pub(crate) fn is_tilted(&self) -> bool {
        self.series.one("hotspare_tilt", &[]) > 0.0
    }

    /// Whether it could take over.
    pub(crate) fn state(&self) -> String {
        let state = self.only("hotspare_failover_state", &[&self.standby]);
        let ready = self.figure("hotspare_failover_ready");
        assert_eq!(ready > 0.0, state == "ready", "{state} {ready}");
        state
    }

    /// What a check says (`orders/link`, or `/hold` of the group itself), and why it does not pass:
    /// `pass`, `fail threshold`.
    pub(crate) fn check(&self, check: &str) -> String {
        let (probe, check) = check.split_once('/').expect("PROBE/CHECK");
        let probe = match probe {
            "" => String::new(),
            probe => format!("probe=\"{probe}\""),
        };
        let labels = [self.standby.clone(), format!("check=\"{check}\""), probe];
        let labels = labels.each_ref().map(String::as_str);
        let state = self.only("hotspare_readiness_check", &labels);
        let reasons = self.series.all("hotspare_readiness_check_reason", &labels);
        let reasons: Vec<_> = reasons.map(|(name, _)| label(name, "reason")).collect();
        [&[state], reasons.as_slice()].concat().join(" ")
    }

    /// Every check that does not pass, with its reason: `orders/link fail silent`.
    pub(crate) fn reasons(&self) -> BTreeSet<String> {
        let labels = [self.standby.as_str()];
        let reasons = self.series.all("hotspare_readiness_check_reason", &labels);
        let checks = reasons.map(|(name, _)| {
            let probe = name.contains("probe=\"").then(|| label(name, "probe"));
            format!("{}/{}", probe.unwrap_or_default(), label(name, "check"))
        });
        checks
            .map(|check| format!("{check} {}", self.check(&check)))
            .collect()
    }

    /// The state that is 1 in a set of them.
    fn only(&self, family: &str, labels: &[&str]) -> String {
        let ones = self.series.all(family, labels);
        let ones: Vec<_> = ones.filter(|(_, value)| *value > 0.0).collect();
        assert_eq!(ones.len(), 1, "{family} {labels:?}: {ones:?}");
        label(ones[0].0, "state")
    }
}

/// All that it says, for when it is not what was expected.
impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {:#?}", self.state(), self.reasons())?;
        let all = self.series.having(&self.standby);
        let all =
            all.filter(|(name, _)| !name.contains("readiness_check") && !name.contains("_bucket"));
        all.into_iter()
            .try_for_each(|(name, value)| writeln!(f, "{name} {value}"))
    }
}

/// The value of a label of a series.
fn label(series: &str, label: &str) -> String {
    let begin = format!("{label}=\"");
    let (_, rest) = series.split_once(&begin).expect("such a label");
    rest.split('"').next().expect("its end").to_owned()
}
