//! The daemons themselves: do they run what is due, and what do they lack?

use super::kit::{Annotation, Colour, Dashboard, Look, Panel, Query, Thresholds, among, row};
use super::states;

/// What a daemon does, as Prometheus sees it.
const STATE: Look = Look(&[
    (1, "judges", Colour::Good),
    (2, "CLOCK JUMPED", Colour::Warn),
    (3, "STANDS STILL", Colour::Bad),
    (4, "DOES NOT ANSWER", Colour::Bad),
]);

const DURABLE: Look = Look(&[
    (1, "on disk", Colour::Good),
    (0, "IN MEMORY ONLY", Colour::Warn),
]);

const CONFIGURATION: Look = Look(&[(1, "in force", Colour::Good), (0, "NOT GOOD", Colour::Warn)]);

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-daemon",
        "Hotspare / Daemons",
        "Whether each daemon runs what is due, on time, and what its host lacks.",
    )
    .marks(Annotation::at(
        "Starts",
        "blue",
        "max by (instance) (process_start_time_seconds{DAEMON}) * 1000",
        ("{{instance}} started", "hotspare"),
    ))
    .has(row("What is wrong", wrong()))
    .has(row("Which there are", vec![daemons(), over_time()]))
    .has(row(
        "Do runs start when they are due?",
        vec![
            lateness(),
            lateness_spread(),
            event_loop(),
            in_flight(),
            missed(),
            own_faults(),
        ],
    ))
    .has(row(
        "What they use",
        vec![cpu(), memory(), descriptors(), threads()],
    ))
    .has(row(
        "What they are asked",
        vec![scrapes(), series(), targets(), connections(), rejected()],
    ))
    .has(row(
        "State on disk",
        vec![durable(), state_bytes(), state_writes(), state_failures()],
    ))
    .has(row(
        "Names and packets",
        vec![resolver(), icmp(), sockets()],
    ))
    .has(row("What was lost, and clocks", vec![dropped(), tilts()]))
}

fn wrong() -> Vec<Panel> {
    let now = |title: &str, series: &str, comparison: &str| {
        Panel::stat(title)
            .query(Query::now(&among(series, comparison), title))
            .size(3, 4)
            .thresholds(&Thresholds::NONE_IS_GOOD)
            .or_says("no daemon")
    };
    let over_range = |title: &str, series: &str| {
        Panel::stat(title)
            .query(Query::now(
                &format!("sum(increase({series}{{DAEMON}}[$__range]))"),
                title,
            ))
            .size(3, 4)
            .decimals(0)
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no daemon")
    };
    vec![
        now("Do not answer", "max by (instance) (up{DAEMON})", "== 0")
            .says("Daemons that Prometheus cannot scrape. What they last said is gone at once; through federation, after five minutes."),
        now("Stand still", &states::moves("instance"), "== 0")
            .says("Daemons that answer, and whose judgement did not move for two minutes: what is on their page is old."),
        now(
            "Clocks jumped",
            "max by (instance) (hotspare_tilt{DAEMON})",
            "== 1",
        )
        .says("Daemons that do not trust their clocks now, and judge nothing: the wall clock was set, or the host slept.")
        .thresholds(&Thresholds::NONE_IS_BETTER),
        now(
            "State not on disk",
            "min by (instance) (hotspare_state_durable{DAEMON})",
            "== 0",
        )
        .says("Daemons that would forget alerts, canaries and failovers if they ended: the disk fails, or they have no state folder.")
        .thresholds(&Thresholds::NONE_IS_BETTER),
        over_range("Slots missed", "hotspare_schedule_missed_slots_total")
            .says("Runs that were due and not made, over the time range."),
        over_range("Own faults", "hotspare_own_faults_total")
            .says("Runs that a fault of the daemon or its host made unknown, over the time range. They tell nothing of their targets."),
        over_range("Outcomes lost", "hotspare_samples_dropped_total")
            .says("Outcomes of runs that came to no counter, over the time range. It should never be anything.")
            .thresholds(&Thresholds::NONE_IS_GOOD),
        Panel::stat("Starts")
            .says("How often daemons were started anew, over the time range. Counters begin anew with it.")
            .query(Query::now(
                "sum(changes(process_start_time_seconds{DAEMON}[$__range]))",
                "starts",
            ))
            .size(3, 4)
            .thresholds(&Thresholds::NONE_IS_BETTER)
            .or_says("no daemon"),
    ]
}

/// The state of each daemon as numbers of [`STATE`]: what is worse comes first.
fn state() -> String {
    let moves = states::moves("instance");
    format!(
        "(max by (instance) (up{{DAEMON}}) == 0) + 4 or ({moves} == 0) + 3 or (max by (instance) (hotspare_tilt{{DAEMON}}) == 1) + 1 or max by (instance) (up{{DAEMON}})"
    )
}

fn daemons() -> Panel {
    let columns = [
        ("instance", "Instance"),
        ("source_region", "Region"),
        ("Value #A", "State"),
        ("version", "Version"),
        ("revision", "Revision"),
        ("Value #D", "Started"),
        ("Value #E", "Targets"),
        ("Value #F", "Series"),
        ("hash", "Configuration"),
        ("Value #H", "As last read"),
    ];
    Panel::table(
        "Daemons",
        &columns,
        vec![
            Query::rows(&state()),
            Query::rows("max by (instance, version, revision) (hotspare_build_info{DAEMON})"),
            Query::rows("max by (instance, source_region) (hotspare_evaluation_timestamp_seconds{DAEMON})"),
            Query::rows("max by (instance) (process_start_time_seconds{DAEMON}) * 1000"),
            Query::rows("max by (instance) (hotspare_targets{DAEMON})"),
            Query::rows("max by (instance) (hotspare_series{DAEMON})"),
            Query::rows("max by (instance, hash) (hotspare_config_hash_info{DAEMON})"),
            Query::rows("min by (instance) (hotspare_config_last_reload_successful{DAEMON})"),
        ],
    )
    .says("What runs where. A fleet has one version and one configuration, but for the time of an update, and as many targets from each region unless a probe runs from some only. A configuration that is not good as it was last read is not in force: the one before it is.")
    .size(24, 7)
    .words("State", &STATE)
    .words("As last read", &CONFIGURATION)
    .moments("Started")
    .sorted("Region", false)
    .or_says("no daemon is scraped")
}

fn over_time() -> Panel {
    Panel::timeline("Daemons over time", &STATE)
        .says("A daemon that does not answer may still probe and alert. One that stands still is silent for the others. Nothing is drawn where Prometheus did not look.")
        .size(24, 7)
        .query(Query::range(&state(), "{{instance}}"))
        .or_says("no daemon is scraped")
}

/// A quantile of a histogram of the daemons' own, by these labels.
fn p99(series: &str, by: &str) -> String {
    format!(
        "histogram_quantile(0.99, sum by ({by}, le) (rate({series}_bucket{{DAEMON}}[$__rate_interval]))) >= 0"
    )
}

/// The rates of a counter that are not 0, by these labels.
fn rates(series: &str, by: &str) -> String {
    format!("sum by ({by}) (rate({series}{{DAEMON}}[$__rate_interval])) > 0")
}

/// The most that a gauge is at each daemon.
fn each(series: &str) -> String {
    format!("max by (instance) ({series}{{DAEMON}})")
}

fn lateness() -> Panel {
    Panel::time_series("How late runs start: p99")
        .says("After their slot. A few milliseconds are right; more is a host that is short of processor time, and its latencies are not to be trusted.")
        .unit("s")
        .query(Query::range(
            &p99("hotspare_schedule_lateness_seconds", "instance"),
            "{{instance}}",
        ))
}

fn lateness_spread() -> Panel {
    Panel::heatmap(
        "How late runs start: all chosen daemons",
        "sum by (le) (rate(hotspare_schedule_lateness_seconds_bucket{DAEMON}[$__rate_interval]))",
    )
    .says("How many runs started how long after their slot.")
}

fn event_loop() -> Panel {
    Panel::time_series("How late timers fire: p99 by thread")
        .says("How long after its time a timer of the runtime fired. packets and streams measure: what is late there is late in every latency. main serves and judges.")
        .unit("s")
        .query(Query::range(
            &p99("hotspare_event_loop_lag_seconds", "instance, thread"),
            "{{instance}} {{thread}}",
        ))
}

fn in_flight() -> Panel {
    Panel::time_series("Runs under way")
        .says("It grows with targets that do not answer, up to limits.max_in_flight; then slots are missed.")
        .unit("short")
        .query(Query::range(&each("hotspare_probes_in_flight"), "{{instance}}"))
}

fn missed() -> Panel {
    Panel::time_series("Slots missed, by cause")
        .says("Runs that were due and not made, per second. busy: the run before was still under way. full: too many were under way. late: the daemon was held up for longer than a slot. Empty: none.")
        .unit("ops")
        .stacked()
        .query(Query::range(
            &rates("hotspare_schedule_missed_slots_total", "instance, cause"),
            "{{instance}} {{cause}}",
        ))
        .or_says("none")
}

fn own_faults() -> Panel {
    Panel::time_series("Own faults, by reason")
        .says("Runs per second that the daemon or its host made unknown: no permission, too few file descriptors, no address, held up for too long, or its own code. Empty: none.")
        .unit("ops")
        .stacked()
        .query(Query::range(
            &rates("hotspare_own_faults_total", "instance, reason"),
            "{{instance}} {{reason}}",
        ))
        .or_says("none")
}

fn cpu() -> Panel {
    Panel::time_series("Processor")
        .says("100 % is one core.")
        .size(12, 8)
        .unit("percentunit")
        .query(Query::range(
            "max by (instance) (rate(process_cpu_seconds_total{DAEMON}[$__rate_interval]))",
            "{{instance}}",
        ))
}

fn memory() -> Panel {
    Panel::time_series("Memory")
        .says("Resident. It follows the number of targets and alerts, and does not grow without these.")
        .size(12, 8)
        .unit("bytes")
        .query(Query::range(
            &each("process_resident_memory_bytes"),
            "{{instance}}",
        ))
}

fn descriptors() -> Panel {
    Panel::time_series("File descriptors in use")
        .says("Of those that may be open. Runs wait for their turn before it comes to 100 %.")
        .size(12, 8)
        .unit("percentunit")
        .query(Query::range(
            "max by (instance) (process_open_fds{DAEMON} / process_max_fds{DAEMON})",
            "{{instance}}",
        ))
        .between(0.0, 1.0)
}

fn threads() -> Panel {
    Panel::time_series("Threads")
        .says(
            "A handful, the same all the time; look-ups and the disk have a few more for a moment.",
        )
        .size(12, 8)
        .unit("short")
        .decimals(0)
        .query(Query::range(&each("process_threads"), "{{instance}}"))
}

fn scrapes() -> Panel {
    Panel::time_series("Scrapes")
        .says("page: how long the daemon takes to make it, p99. scrape: how long Prometheus takes in all; the difference is the way between them, and reading.")
        .unit("s")
        .query(Query::range(
            &p99("hotspare_scrape_duration_seconds", "instance"),
            "page {{instance}}",
        ))
        .query(Query::range(&each("scrape_duration_seconds"), "scrape {{instance}}"))
}

fn series() -> Panel {
    Panel::time_series("Series")
        .says("targets: those of targets, sets and pairs, by the daemon. kept: all that Prometheus keeps of a scrape, after its relabelling.")
        .unit("short")
        .query(Query::range(&each("hotspare_series"), "targets {{instance}}"))
        .query(Query::range(
            &each("scrape_samples_post_metric_relabeling"),
            "kept {{instance}}",
        ))
}

fn targets() -> Panel {
    Panel::time_series("Targets")
        .says("Probed from each region. A step is a new configuration.")
        .size(8, 8)
        .unit("short")
        .decimals(0)
        .steps()
        .legend_below()
        .query(Query::range(&each("hotspare_targets"), "{{instance}}"))
}

fn connections() -> Panel {
    Panel::time_series("Connections to the daemon")
        .says("Open ones: scrapers, load balancers, people.")
        .size(8, 8)
        .unit("short")
        .decimals(0)
        .legend_below()
        .query(Query::range(
            &each("hotspare_http_connections"),
            "{{instance}}",
        ))
}

fn rejected() -> Panel {
    Panel::time_series("Connections rejected, by cause")
        .says("connections: too many in all. address: too many from one address. evicted: waiting without a request while the place was needed. accept: an error of this host. Empty: none.")
        .size(8, 8)
        .unit("ops")
        .stacked()
        .legend_below()
        .query(Query::range(
            &rates("hotspare_http_connections_rejected_total", "instance, cause"),
            "{{instance}} {{cause}}",
        ))
        .or_says("none")
}

fn durable() -> Panel {
    Panel::timeline("Where the state is", &DURABLE)
        .says("In memory only: the disk fails, or the daemon was given no state folder. What is in memory only is forgotten when the daemon ends.")
        .size(6, 8)
        .query(Query::range(
            "min by (instance) (hotspare_state_durable{DAEMON})",
            "{{instance}}",
        ))
        .or_says("no daemon")
}

fn state_bytes() -> Panel {
    Panel::time_series("Size of the state")
        .says("Of the journal: it grows, and is written anew when that makes it smaller. It has at most 64 MiB. 0 without a state folder.")
        .size(6, 8)
        .unit("bytes")
        .legend_below()
        .query(Query::range(&each("hotspare_state_bytes"), "{{instance}}"))
}

fn state_writes() -> Panel {
    Panel::time_series("How long writes of the state take: p99")
        .says("Synced to the disk, also those that failed. A gap: nothing changed.")
        .size(6, 8)
        .unit("s")
        .legend_below()
        .query(Query::range(
            &p99("hotspare_state_write_duration_seconds", "instance"),
            "{{instance}}",
        ))
        .or_says("nothing was written")
}

fn state_failures() -> Panel {
    Panel::time_series("Writes that failed, and damage")
        .says("failed: writes within a step that failed; the state is in memory until one works. damaged: files that were found damaged at the last start. Empty: none.")
        .size(6, 8)
        .unit("short")
        .legend_below()
        .query(Query::range(
            "sum by (instance) (increase(hotspare_state_write_failures_total{DAEMON}[$__rate_interval])) > 0",
            "failed {{instance}}",
        ))
        .query(Query::range(
            "sum by (instance) (hotspare_state_corruptions_total{DAEMON}) > 0",
            "damaged {{instance}}",
        ))
        .or_says("none")
}

fn resolver() -> Panel {
    let rate =
        |series: &str| format!("sum by (instance) (rate({series}{{DAEMON}}[$__rate_interval]))");
    Panel::time_series("Look-ups of names")
        .says("memory: answered from memory, or from the host's own table. server: asked of a server. failed: look-ups that brought no address in time.")
        .unit("ops")
        .query(Query::range(
            &rate("hotspare_resolver_hits_total"),
            "memory {{instance}}",
        ))
        .query(Query::range(
            &rate("hotspare_resolver_lookups_total"),
            "server {{instance}}",
        ))
        .query(Query::range(
            &rate("hotspare_resolver_failures_total"),
            "failed {{instance}}",
        ))
}

fn icmp() -> Panel {
    Panel::time_series("Packets that are not as they should be")
        .says("dropped: by this kernel, as a buffer was full, which looks like loss and is none. unclaimed: replies after the end of their run, a path slower than the timeout. foreign: replies to what this daemon did not send. Empty: none.")
        .unit("ops")
        .query(Query::range(
            &rates("hotspare_icmp_socket_drops_total", "instance"),
            "dropped {{instance}}",
        ))
        .query(Query::range(
            &rates("hotspare_icmp_unclaimed_replies_total", "instance"),
            "unclaimed {{instance}}",
        ))
        .query(Query::range(
            &rates("hotspare_icmp_foreign_replies_total", "instance"),
            "foreign {{instance}}",
        ))
        .or_says("none")
}

fn sockets() -> Panel {
    let columns = [
        ("instance", "Instance"),
        ("family", "IP version"),
        ("type", "Type"),
    ];
    Panel::table(
        "Sockets for pings",
        &columns,
        vec![Query::rows(
            "max by (instance, family, type) (hotspare_icmp_socket_info{DAEMON})",
        )],
    )
    .says("dgram needs no capability, raw does. A daemon without a socket for an IP version has no ping of it, or lacks the permission: then its own faults say so.")
    .size(24, 6)
    .sorted("Instance", false)
    .or_says("no pings")
}

fn dropped() -> Panel {
    Panel::time_series("Outcomes and log lines lost")
        .says("outcomes: runs that came to no counter, as the daemon did not keep up. log lines: nobody read them fast enough. Empty: none.")
        .unit("ops")
        .stacked()
        .query(Query::range(
            &rates("hotspare_samples_dropped_total", "instance"),
            "outcomes {{instance}}",
        ))
        .query(Query::range(
            &rates("hotspare_log_lines_dropped_total", "instance"),
            "log lines {{instance}}",
        ))
        .or_says("none")
}

fn tilts() -> Panel {
    Panel::time_series("Clocks that jumped, by cause")
        .says("How often the clocks were found not to be trusted, within a step. clock_step: the wall clock was set. stall: the daemon did not run for a while. suspend: the host slept. Empty: none.")
        .unit("short")
        .stacked()
        .query(Query::range(
            "sum by (instance, cause) (increase(hotspare_tilts_total{DAEMON}[$__rate_interval])) > 0",
            "{{instance}} {{cause}}",
        ))
        .or_says("none")
}
