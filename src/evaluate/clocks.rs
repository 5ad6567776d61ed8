//! The three clocks of this host.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::readiness::Reading;

/// Reads them, one right after the other.
pub(super) fn read() -> Reading {
    let boottime = clock_gettime(ClockId::Boottime);
    let realtime = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Reading {
        monotonic: Instant::now().into_std(),
        realtime: realtime.unwrap_or_default(),
        boottime: Duration::new(
            boottime.tv_sec.try_into().unwrap_or_default(),
            boottime.tv_nsec.try_into().unwrap_or_default(),
        ),
    }
}
