//! Wakes the schedule at the very time.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// Sleeps until an instant. The kernel's timer wakes within microseconds where tokio's rounds up
/// to the next millisecond; tokio's is for where there is none, and for paused clocks.
#[derive(Debug)]
pub enum Alarm {
    /// A timer of the kernel's.
    Kernel(Timer),
    /// A timer of tokio's.
    Tokio,
}

/// A timer of the kernel's, and what it is set to: a lane that is woken by a run's end goes on
/// waiting for the same slot.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
    set_to: Cell<Option<Instant>>,
}

impl Alarm {
    /// The kernel's timer if it is to be had. Must be called inside a runtime.
    pub fn precise() -> Self {
        timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )
        .ok()
        .and_then(watched)
        .map_or(Self::Tokio, Self::Kernel)
    }

    /// Returns at `due`, or at once when it has passed. May be dropped and called again.
    pub(super) async fn sleep_until(&self, due: Instant) {
        let Self::Kernel(timer) = self else {
            return tokio::time::sleep_until(due).await;
        };
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // What has come meanwhile gets its turn; a timer of tokio's would take milliseconds.
            return tokio::task::yield_now().await;
        }
        if timer.set_to.get() != Some(due) {
            if set(&timer.fd, wait).is_err() {
                return tokio::time::sleep_until(due).await;
            }
            timer.set_to.set(Some(due));
        }
        // Setting the timer anew makes the kernel forget an expiry that was not read, but the
        // runtime may still hold the wake-up of one: hence the loop.
        while Instant::now() < due {
            match timer.fd.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return tokio::time::sleep_until(due).await,
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "deprecated because a descriptor may be closed under it, which an OwnedFd never is; \
              its successor is an unsafe fn"
)]
fn watched(timer: OwnedFd) -> Option<Timer> {
    let fd = AsyncFd::with_interest(timer, Interest::READABLE).ok()?;
    Some(Timer {
        fd,
        set_to: Cell::new(None),
    })
}

fn set(timer: &AsyncFd<OwnedFd>, wait: Duration) -> rustix::io::Result<()> {
    let value = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: value,
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_at_the_time_and_can_be_dropped_and_set_anew() {
        let alarm = Alarm::precise();
        assert!(
            matches!(alarm, Alarm::Kernel(_)),
            "no timer of the kernel's"
        );
        let far = Instant::now() + Duration::from_hours(1);
        tokio::select! {
            () = alarm.sleep_until(far) => panic!("an hour passed"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        for _ in 0..20 {
            let due = Instant::now() + Duration::from_millis(2);
            alarm.sleep_until(due).await;
            assert!(Instant::now() >= due, "woken early");
        }
    }
}
