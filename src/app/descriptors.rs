//! File descriptors are one pool: what probes take, the server and the log cannot have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors that are not for runs: connections to the server (256), look-ups of names, files.
const RESERVE: u64 = 512;

/// Raises this process's limit as far as it may without asking anyone.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// How many runs may be under way, of those asked for.
pub(super) fn places(asked: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return asked;
    };
    let room = usize::try_from(for_runs(limit)).unwrap_or(usize::MAX);
    if room < asked {
        warn!(
            max_in_flight = asked,
            used = room,
            limit,
            "the limit of open files allows fewer runs at once: raise it (LimitNOFILE=)"
        );
    }
    asked.min(room)
}

/// What of the limit is left for runs: all but the reserve, or half where the limit is small.
fn for_runs(limit: u64) -> u64 {
    limit.saturating_sub(RESERVE).max(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_something_left_for_the_rest() {
        for (limit, runs) in [
            (60, 30),
            (1_024, 512),
            (4_096, 3_584),
            (u64::MAX, u64::MAX - 512),
        ] {
            assert_eq!(for_runs(limit), runs);
        }
    }
}
