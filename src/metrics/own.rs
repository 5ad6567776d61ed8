//! What the daemon tells of itself.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::buckets::le;
use super::page::{Head, Kind, Page, Value, push_label};
use super::process::Process;
use crate::model::{Alert, AlertState, Missed, Observation, Reason, Unit};

/// Bounds for waits of the daemon itself, in seconds.
const LAG_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0,
];

/// Bounds for a write to the disk, in seconds: a disk that is well syncs within a millisecond, one
/// that is busy takes seconds.
const WRITE_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// Bounds for an attempt to tell a receiver something, in seconds; it may take 10.
const NOTIFICATION_BUCKETS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bounds for the making of a page, in seconds.
const SCRAPE_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// A type of metric that can be made from its name, its help and what else the type needs.
///
/// The crate's vectors hash label values without a separator, so that two sets of values can end
/// up as one series. A vector here has either one label or values from closed sets.
trait Declare: Sized {
    type Settings;

    fn declare(name: &str, help: &str, settings: Self::Settings) -> prometheus::Result<Self>;
}

macro_rules! declare {
    ($($type:ty, $settings:ty: |$name:ident, $help:ident, $with:ident| $make:expr;)+) => {$(
        impl Declare for $type {
            type Settings = $settings;

            fn declare(
                $name: &str,
                $help: &str,
                $with: Self::Settings,
            ) -> prometheus::Result<Self> {
                $make
            }
        }
    )+};
}

declare! {
    IntCounter, (): |name, help, _nothing| Self::new(name, help);
    IntGauge, (): |name, help, _nothing| Self::new(name, help);
    IntCounterVec, &'static [&'static str]: |name, help, labels| Self::new(Opts::new(name, help), labels);
    IntGaugeVec, &'static [&'static str]: |name, help, labels| Self::new(Opts::new(name, help), labels);
    GaugeVec, &'static [&'static str]: |name, help, labels| Self::new(Opts::new(name, help), labels);
    Histogram, &'static [f64]: |name, help, buckets| {
        Self::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
    };
    HistogramVec, (&'static [&'static str], &'static [f64]): |name, help, with| {
        Self::new(HistogramOpts::new(name, help).buckets(with.1.to_vec()), with.0)
    };
}

macro_rules! own {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ident = $settings:expr;)+) => {
        /// Every metric of the daemon itself. A field's name with `hotspare_` before it is the
        /// family's name, and its documentation is the family's help.
        #[derive(Debug)]
        pub struct Own {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        impl Own {
            fn declare() -> prometheus::Result<Self> {
                $(let $field = $type::declare(
                    concat!("hotspare_", stringify!($field)),
                    concat!($($help),+).trim_ascii(),
                    $settings,
                )?;)+
                let registry = Registry::new();
                $(registry.register(Box::new($field.clone()))?;)+
                Ok(Self { registry, $($field,)+ })
            }
        }
    };
}

own! {
    /// The version and source revision of this daemon.
    build_info: IntGaugeVec = &["version", "revision"];
    /// How long after its slot a run started.
    schedule_lateness_seconds: Histogram = LAG_BUCKETS;
    /// Slots of the schedule that passed without a run, by cause.
    schedule_missed_slots_total: IntCounterVec = &["cause"];
    /// Runs under way.
    probes_in_flight: IntGauge = ();
    /// Runs that a fault of this daemon or its host made unknown, by reason.
    own_faults_total: IntCounterVec = &["reason"];
    /// When the outcomes of runs were last taken in, by `source_region`: it stands still if that is stuck.
    evaluation_timestamp_seconds: IntGaugeVec = &["source_region"];
    /// Whether the clocks of this host cannot be trusted now, by `source_region`: nothing is judged.
    tilt: IntGaugeVec = &["source_region"];
    /// How often the clocks were found not to be trusted, by `source_region` and cause: the wall
    /// clock was set, this process did not run for a while, or this host slept.
    tilts_total: IntCounterVec = &["source_region", "cause"];
    /// Outcomes of runs that were lost between the schedule and the counters.
    samples_dropped_total: IntCounter = ();
    /// File descriptors that may be open in all when one is opened for a use: runs, look-ups of names
    /// (lookups), deliveries, and anything else (all), which is the limit of the process.
    descriptors_limit: IntGaugeVec = &["use"];
    /// How long after its time a timer of the runtime fired, by thread.
    event_loop_lag_seconds: HistogramVec = (&["thread"], LAG_BUCKETS);
    /// Names that were answered from memory or from the host's own table.
    resolver_hits_total: IntCounter = ();
    /// Names that were looked up at a server.
    resolver_lookups_total: IntCounter = ();
    /// Look-ups that brought no address, or none before their run's deadline.
    resolver_failures_total: IntCounter = ();
    /// Echo replies that answer nothing that this daemon has sent.
    icmp_foreign_replies_total: IntCounter = ();
    /// Echo replies that came after their run had ended: a path slower than the timeout.
    icmp_unclaimed_replies_total: IntCounter = ();
    /// Packets that the kernel dropped because an ICMP socket's buffer was full: false losses.
    icmp_socket_drops_total: IntCounter = ();
    /// The ICMP sockets in use: their address family (4, 6) and type (dgram, raw).
    icmp_socket_info: IntGaugeVec = &["family", "type"];
    /// Capabilities that this process has; 0 once it has given them up.
    sandbox_capabilities: IntGauge = ();
    /// The version of Landlock (its ABI) that shuts this process off from files that it does not need;
    /// 0 if none does.
    sandbox_landlock_abi: IntGauge = ();
    /// Log lines dropped because nobody read them fast enough.
    log_lines_dropped_total: IntCounter = ();
    /// Alerts by `source_region` and state: pending, firing, muted (firing, and nobody is told) or
    /// resolved (over, and kept until everybody was told). `HotspareWatchdog` is none of them.
    alerts: IntGaugeVec = &["source_region", "state"];
    /// From which time on the condition of a rule holds, by `source_region` and rule.
    rule_threshold_seconds: GaugeVec = &["source_region", "rule"];
    /// From which part of a whole on the condition of a rule holds, by `source_region` and rule.
    rule_threshold_ratio: GaugeVec = &["source_region", "rule"];
    /// From which number on the condition of a rule holds, by `source_region` and rule.
    rule_threshold: GaugeVec = &["source_region", "rule"];
    /// Whether the state of the daemon is on disk; 0 where it is in memory only.
    state_durable: IntGauge = ();
    /// Bytes of the file that the state is in.
    state_bytes: IntGauge = ();
    /// Writes of changed state to the disk; what changes at the same time is written at once.
    state_writes_total: IntCounter = ();
    /// Writes of changed state that failed.
    state_write_failures_total: IntCounter = ();
    /// Bytes of memory that the history of the targets takes.
    history_bytes: IntGauge = ();
    /// Bytes of the files that the history is in; 0 without a folder of the state.
    history_disk_bytes: IntGauge = ();
    /// How long a step of the history is; it is longer where there are many targets.
    history_step_seconds: IntGauge = ();
    /// How far back the history goes.
    history_span_seconds: IntGauge = ();
    /// Targets that have no history, since there is no room for so many.
    history_targets_left_out: IntGauge = ();
    /// Writes of the history that failed: what they had is lost at the next start.
    history_write_failures_total: IntCounter = ();
    /// Files of the history that were found damaged at start: what could be read was kept.
    history_corruptions_total: IntCounter = ();
    /// Heartbeats that were sent and taken.
    heartbeats_total: IntCounter = ();
    /// Heartbeats that were sent and not taken, by reason.
    heartbeat_failures_total: IntCounterVec = &["reason"];
    /// Heartbeats that were not sent because something of this daemon did not go on.
    heartbeats_withheld_total: IntCounter = ();
    /// Files of the state that were found damaged at start: what could be read was kept.
    state_corruptions_total: IntCounter = ();
    /// How long writes of changed state to the disk took, also those that failed.
    state_write_duration_seconds: Histogram = WRITE_BUCKETS;
    /// How long attempts to tell a receiver something took, also those that failed.
    notification_duration_seconds: HistogramVec = (&["receiver"], NOTIFICATION_BUCKETS);
    /// Connections to the daemon's own server.
    http_connections: IntGauge = ();
    /// Pages that are told of changes as they happen.
    http_live_viewers: IntGauge = ();
    /// Connections that the server did not take or keep, by cause: too many in all (connections),
    /// too many from one address (address), one that waited, or one of many of its client, while the
    /// place was needed (evicted), no whole header in time (header), a request that was not sent or an
    /// answer that was not taken in time (request), or an error of this host (accept).
    http_connections_rejected_total: IntCounterVec = &["cause"];
    /// Requests that were refused, by cause: without a user where one is needed (missing), of an unknown
    /// user or with a wrong password (wrong), after too many attempts (attempts), above the rate limit
    /// (rate), an order of somebody who may not give any (order), one that is no HTTP/1 or says its length
    /// in no clear way (malformed), or one with too large a header or body (large).
    http_requests_refused_total: IntCounterVec = &["cause"];
    /// TLS handshakes that failed, by cause: not done in time (timeout), a certificate of the client
    /// that is missing or not good (certificate), the client did not like ours (alert), no TLS or none
    /// that is spoken here (protocol), or the client left (closed).
    http_tls_handshake_failures_total: IntCounterVec = &["cause"];
    /// Addresses that other hosts can reach and that ask nobody who they are: whoever reaches them can
    /// read everything, and order nothing.
    http_open_listeners: IntGauge = ();
    /// Whether the web configuration file is in force as it is now; 0 if it was changed and is not good,
    /// so that the one before it still is. 1 without such a file.
    web_config_last_reload_successful: IntGauge = ();
    /// Whether the configuration is in force as it was last read; 0 if that was not good, so that the
    /// one before it still is.
    config_last_reload_successful: IntGauge = ();
    /// When the configuration that is in force was read.
    config_last_reload_success_timestamp_seconds: IntGauge = ();
    /// Tells the configuration in force apart from others by the text of its files: one `hash` in a
    /// fleet that has one configuration.
    config_hash_info: IntGaugeVec = &["hash"];
    /// Targets in the last good answer of a source, by probe and source.
    sd_discovered_targets: IntGaugeVec = &["probe", "source"];
    /// Targets of a source that are not probed, by probe, source and reason.
    sd_refused_targets: IntGaugeVec = &["probe", "source", "reason"];
    /// Bad answers of a source of targets, by probe and source: what was known before stays.
    sd_refresh_failures_total: IntCounterVec = &["probe", "source"];
    /// Whether the last answer of a source of targets was good, by probe and source.
    sd_last_refresh_successful: IntGaugeVec = &["probe", "source"];
    /// When a source of targets last gave a good answer, by probe and source; 0 if it never did.
    sd_last_refresh_timestamp_seconds: GaugeVec = &["probe", "source"];
    /// How long it took to make a page; scrapes within about a second share one.
    scrape_duration_seconds: Histogram = SCRAPE_BUCKETS;
    /// Series of all targets, sets and pairs on the page.
    series: IntGauge = ();
    /// Targets that are probed from here.
    targets: IntGauge = ();
    /// Regions in the configuration.
    configured_regions: IntGauge = ();
}

/// How a source of targets is.
#[derive(Clone, Copy, Debug)]
pub struct Discovered<'a> {
    /// The probe that it is of.
    pub probe: &'a str,
    /// Its name, as `targets_http[0]`.
    pub source: &'a str,
    /// Targets in its last good answer.
    pub targets: usize,
    /// Bad answers.
    pub failures: u64,
    /// Whether the last answer was good.
    pub good: bool,
    /// When the last good answer came.
    pub last_good_timestamp_seconds: Option<f64>,
}

/// Why the server did not take or keep a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There are too many in all.
    Connections,
    /// There are too many from one address.
    Address,
    /// Its place was needed, while it waited without a request or was one of many of its client.
    Evicted,
    /// It brought no whole header of a request in time.
    Header,
    /// A request was not sent, or its answer not taken, in time.
    Request,
    /// This host could not: above all, it has no file descriptor left.
    Accept,
}

impl Rejection {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::Connections,
        Self::Address,
        Self::Evicted,
        Self::Header,
        Self::Request,
        Self::Accept,
    ];

    /// The value of the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Address => "address",
            Self::Evicted => "evicted",
            Self::Header => "header",
            Self::Request => "request",
            Self::Accept => "accept",
        }
    }
}

/// Why the server refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It says nobody, where somebody has to be named.
    NoCredentials,
    /// There is no such user, or the password is wrong.
    WrongCredentials,
    /// Passwords were tried too often.
    TooManyAttempts,
    /// There were too many requests.
    RateLimit,
    /// An order by somebody who may not give any.
    Order,
    /// It is no HTTP/1, or says its length in no clear way.
    Malformed,
    /// Its header or its body is too large.
    Large,
}

impl Refused {
    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::NoCredentials,
        Self::WrongCredentials,
        Self::TooManyAttempts,
        Self::RateLimit,
        Self::Order,
        Self::Malformed,
        Self::Large,
    ];

    /// The value of the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "missing",
            Self::WrongCredentials => "wrong",
            Self::TooManyAttempts => "attempts",
            Self::RateLimit => "rate",
            Self::Order => "order",
            Self::Malformed => "malformed",
            Self::Large => "large",
        }
    }
}

/// Why a TLS handshake with a client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It was not done in time.
    Timeout,
    /// The client's certificate is missing or not good.
    Certificate,
    /// The client ended it, and said why.
    Alert,
    /// The client does not speak TLS, or none that is spoken here.
    Protocol,
    /// The client left.
    Closed,
}

impl HandshakeFailure {
    /// Every cause.
    pub const ALL: [Self; 5] = [
        Self::Timeout,
        Self::Certificate,
        Self::Alert,
        Self::Protocol,
        Self::Closed,
    ];

    /// The value of the label `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Certificate => "certificate",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
        }
    }
}

impl Own {
    /// All families, at zero. `started` is when this process did: its host's boot time may be
    /// hidden from it, so that `/proc` cannot tell.
    ///
    /// An error is a mistake in the declarations.
    pub fn new(version: &str, revision: &str, started: SystemTime) -> Result<Self, String> {
        let own = Self::declare().map_err(|error| error.to_string())?;
        let process = Process::new(started).map_err(|error| error.to_string())?;
        own.registry
            .register(Box::new(process))
            .map_err(|error| error.to_string())?;
        own.build_info
            .with_label_values(&[version, revision])
            .set(1);
        for cause in Missed::ALL {
            own.schedule_missed_slots_total
                .with_label_values(&[cause.as_str()]);
        }
        for reason in Reason::own() {
            own.own_faults_total.with_label_values(&[reason.as_str()]);
        }
        for cause in Rejection::ALL {
            own.http_connections_rejected_total
                .with_label_values(&[cause.as_str()]);
        }
        for cause in Refused::ALL {
            own.http_requests_refused_total
                .with_label_values(&[cause.as_str()]);
        }
        for cause in HandshakeFailure::ALL {
            own.http_tls_handshake_failures_total
                .with_label_values(&[cause.as_str()]);
        }
        own.web_config_last_reload_successful.set(1);
        Ok(own)
    }

    /// Shows which configuration is in force since `at`.
    pub fn configured(&self, hash: &str, at: SystemTime) {
        self.config_hash_info.reset();
        self.config_hash_info.with_label_values(&[hash]).set(1);
        self.config_last_reload_successful.set(1);
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = i64::try_from(since.unwrap_or_default().as_secs());
        self.config_last_reload_success_timestamp_seconds
            .set(seconds.unwrap_or(i64::MAX));
    }

    /// Runs that this fault of the daemon or its host made unknown.
    pub fn faults(&self, reason: Reason) -> u64 {
        let counter = self.own_faults_total.with_label_values(&[reason.as_str()]);
        counter.get()
    }

    /// Counts what an observation tells of the daemon itself: lateness, missed slots, own faults.
    pub fn observe(&self, observation: &Observation) {
        match observation {
            Observation::Sample(sample) => {
                let late = sample.started.saturating_duration_since(sample.due);
                self.schedule_lateness_seconds.observe(late.as_secs_f64());
                if let Err(failure) = &sample.outcome
                    && failure.reason.is_own()
                {
                    let reason = failure.reason.as_str();
                    self.own_faults_total.with_label_values(&[reason]).inc();
                }
            }
            Observation::Missed { slots, cause, .. } => self
                .schedule_missed_slots_total
                .with_label_values(&[cause.as_str()])
                .inc_by(*slots),
        }
    }

    /// Shows how many alerts there are in each state.
    pub fn alerts(&self, source_region: &str, alerts: &[Arc<Alert>]) {
        const STATES: [&str; 4] = ["pending", "firing", "muted", "resolved"];
        let state = |alert: &Alert| match alert.state {
            AlertState::Firing if alert.muted.is_some() => "muted",
            state => state.as_str(),
        };
        for of in STATES {
            let count = alerts.iter().filter(|alert| state(alert) == of).count();
            let gauge = self.alerts.with_label_values(&[source_region, of]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Shows no threshold of any rule.
    pub fn forget_rule_thresholds(&self) {
        self.rule_threshold_seconds.reset();
        self.rule_threshold_ratio.reset();
        self.rule_threshold.reset();
    }

    /// Shows the threshold of a rule. All rules are of one region, so that two values of labels
    /// name one series.
    pub fn rule_threshold(&self, source_region: &str, rule: &str, unit: Unit, threshold: f64) {
        let family = match unit {
            Unit::Seconds => &self.rule_threshold_seconds,
            Unit::Ratio => &self.rule_threshold_ratio,
            Unit::Bytes | Unit::Count | Unit::Number => &self.rule_threshold,
        };
        let labels = [source_region, rule];
        family.with_label_values(&labels).set(threshold);
    }

    /// Shows how the sources of targets are, and nothing of others. The name of a source ends in its
    /// number in brackets, which no name of a probe has: no two sets of values can be mistaken.
    pub fn discovered<'a>(&self, sources: impl IntoIterator<Item = Discovered<'a>>) {
        self.sd_discovered_targets.reset();
        self.sd_refresh_failures_total.reset();
        self.sd_last_refresh_successful.reset();
        self.sd_last_refresh_timestamp_seconds.reset();
        for of in sources {
            let labels = [of.probe, of.source];
            let targets = i64::try_from(of.targets).unwrap_or(i64::MAX);
            let gauge = self.sd_discovered_targets.with_label_values(&labels);
            gauge.set(targets);
            let failures = self.sd_refresh_failures_total.with_label_values(&labels);
            failures.inc_by(of.failures);
            let good = self.sd_last_refresh_successful.with_label_values(&labels);
            good.set(of.good.into());
            let last = &self.sd_last_refresh_timestamp_seconds;
            let last = last.with_label_values(&labels);
            last.set(of.last_good_timestamp_seconds.unwrap_or_default());
        }
    }

    /// Shows how many targets of each source are not probed, by probe, source and reason.
    pub fn refused_targets<'a>(&self, refused: impl IntoIterator<Item = ([&'a str; 3], usize)>) {
        self.sd_refused_targets.reset();
        for (labels, count) in refused {
            let gauge = self.sd_refused_targets.with_label_values(&labels);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a connection that the server did not take or keep.
    pub fn rejected(&self, cause: Rejection) {
        self.http_connections_rejected_total
            .with_label_values(&[cause.as_str()])
            .inc();
    }

    /// Counts a request that was refused.
    pub fn refused(&self, cause: Refused) {
        self.http_requests_refused_total
            .with_label_values(&[cause.as_str()])
            .inc();
    }

    /// Counts a TLS handshake that failed.
    pub fn handshake_failed(&self, cause: HandshakeFailure) {
        self.http_tls_handshake_failures_total
            .with_label_values(&[cause.as_str()])
            .inc();
    }

    /// Writes all families.
    pub(super) fn write(&self, page: &mut Page) {
        for family in self.registry.gather() {
            write_family(&family, page);
        }
    }
}

/// Brings a counter to what another place has counted; a smaller value changes nothing.
pub fn raise_to(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

fn write_family(family: &MetricFamily, page: &mut Page) {
    let name = family.name();
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::HISTOGRAM => Kind::Histogram,
        _ if name.ends_with(Kind::Info.suffix()) => Kind::Info,
        _ => Kind::Gauge,
    };
    let base = name.strip_suffix(kind.suffix()).unwrap_or(name);
    page.head(&Head {
        name: base,
        kind,
        help: family.help(),
    });
    for metric in family.get_metric() {
        let labels = labels(metric);
        match kind {
            Kind::Histogram => write_histogram(base, &labels, metric, page),
            Kind::Counter => {
                let value = metric.get_counter().get_value();
                page.sample(&[name], &[&labels], value.into());
            }
            Kind::Gauge | Kind::Info => {
                let value = metric.get_gauge().get_value();
                page.sample(&[name], &[&labels], value.into());
            }
        }
    }
}

fn write_histogram(name: &str, labels: &str, metric: &Metric, page: &mut Page) {
    let histogram = metric.get_histogram();
    let total = histogram.get_sample_count();
    let mut bucket = |bound: f64, count: u64| {
        let mut labels = labels.to_owned();
        push_label(&mut labels, "le", &le(bound));
        page.sample(&[name, "_bucket"], &[&labels], Value::Int(count));
    };
    for each in histogram.get_bucket() {
        bucket(each.upper_bound(), each.cumulative_count());
    }
    bucket(f64::INFINITY, total);
    page.sample(
        &[name, "_sum"],
        &[labels],
        histogram.get_sample_sum().into(),
    );
    page.sample(&[name, "_count"], &[labels], Value::Int(total));
}

fn labels(metric: &Metric) -> String {
    let mut labels = String::new();
    for pair in metric.get_label() {
        push_label(&mut labels, pair.name(), pair.value());
    }
    labels
}
