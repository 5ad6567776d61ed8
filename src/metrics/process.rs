//! What the kernel tells of this process. The `prometheus` crate's own collector counts processor
//! time in whole seconds, which says nothing of a daemon that uses a few milliseconds in each.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::model::timestamp_seconds;

/// Name, help and how to read each value; one that cannot be read is left out.
const READINGS: [(&str, &str, Reading); 8] = [
    (
        "process_cpu_seconds_total",
        "Processor time used, by user and system together.",
        |_| Some(cpu_seconds()),
    ),
    (
        "process_resident_memory_bytes",
        "Memory in use that is not swapped out.",
        |now| now.status("VmRSS").map(|kib| kib * 1024.0),
    ),
    (
        "process_virtual_memory_bytes",
        "Memory that is mapped.",
        |now| now.status("VmSize").map(|kib| kib * 1024.0),
    ),
    ("process_threads", "Threads.", |now| now.status("Threads")),
    ("process_open_fds", "Open file descriptors.", |_| open_fds()),
    (
        "process_max_fds",
        "How many file descriptors may be open.",
        |_| Some(limit(Resource::Nofile)),
    ),
    (
        "process_virtual_memory_max_bytes",
        "How much memory may be mapped.",
        |_| Some(limit(Resource::As)),
    ),
    (
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        |now| Some(now.started),
    ),
];

type Reading = fn(&Moment) -> Option<f64>;

/// What the readings of one moment share.
struct Moment {
    status: String,
    started: f64,
}

impl Moment {
    /// The number in a line of `/proc/self/status`.
    fn status(&self, field: &str) -> Option<f64> {
        let mut lines = self.status.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        value.split_ascii_whitespace().next()?.parse().ok()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a clock that starts at 0")]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// One less than the folder has: reading it opens one. When that is refused, as many are open as
/// may be.
#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn open_fds() -> Option<f64> {
    match fs::read_dir("/proc/self/fd") {
        Ok(folder) => Some(folder.count().saturating_sub(1) as f64),
        Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            Some(limit(Resource::Nofile))
        }
        Err(_) => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "limits are shown, not counted")]
fn limit(resource: Resource) -> f64 {
    let limit = getrlimit(resource).current;
    limit.map_or(f64::INFINITY, |limit| limit as f64)
}

/// Reads the process at every scrape.
pub(super) struct Process {
    descs: Vec<Desc>,
    started: f64,
}

impl Process {
    pub(super) fn new(started: SystemTime) -> prometheus::Result<Self> {
        let desc = |&(name, help, _): &(&str, &str, Reading)| {
            Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
        };
        Ok(Self {
            descs: READINGS.iter().map(desc).collect::<Result<_, _>>()?,
            started: timestamp_seconds(started),
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Moment {
            status: fs::read_to_string("/proc/self/status").unwrap_or_default(),
            started: self.started,
        };
        let families = READINGS.iter().filter_map(|(name, help, read)| {
            let value = read(&now)?;
            Some(family(name, help, value))
        });
        families.collect()
    }
}

fn family(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    let mut family = MetricFamily::default();
    if name.ends_with("_total") {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_metric(vec![metric]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_is_there_and_plausible() {
        let started = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500);
        let process = Process::new(started).expect("declared right");
        let families = process.collect();
        assert_eq!(families.len(), READINGS.len());
        assert_eq!(process.desc().len(), READINGS.len());
        let value = |name: &str| {
            let family = families.iter().find(|f| f.name() == name).expect(name);
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") > value("process_open_fds"));
        assert!((value("process_start_time_seconds") - 1.5).abs() < 1e-9);
    }
}
