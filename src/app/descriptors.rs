//! File descriptors are one pool: what probes take, the server, deliveries and the log cannot have.
//! So they are divided.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::metrics::Own;
use crate::net::Shares;
use crate::server;

/// Descriptors that are not for runs: 64 for look-ups of names, 96 for deliveries, 288 for connections
/// to the server and 64 for files.
const RESERVE: u32 = 512;

/// Raw sockets of a family that are opened ahead: pings of a plan have few sets of options.
const RAW_SOCKETS: u32 = 8;

/// Descriptors that a thread opens for itself: its runtime and, of a lane, its alarm.
const OF_THREAD: u32 = 5;

/// Threads beside the lanes that may not have opened theirs by then: delivery, Alertmanagers, heartbeats,
/// the web configuration, the server, discovery.
const OTHER_THREADS: u32 = 6;

/// What may be open, of the limit of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The limit; `None` if there is none.
    limit: Option<u32>,
    shares: Shares,
    /// Connections to the server.
    server: u32,
}

impl Budget {
    /// Raises the limit as far as this process may without asking anyone, and divides it.
    pub(super) fn divide() -> Self {
        raise_limit();
        let limit = getrlimit(Resource::Nofile).current;
        let budget = Self::of(limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)));
        budget.shares.divide();
        budget
    }

    /// The shares of a limit. Where it is small, two thirds of it are for runs.
    fn of(limit: Option<u32>) -> Self {
        let all = limit.unwrap_or(u32::MAX);
        let reserve = RESERVE.min(all / 3);
        let part = |of_sixteen: u32| reserve * of_sixteen / 16;
        Self {
            limit,
            shares: Shares {
                runs: all - reserve,
                lookups: all - part(14),
                others: all - part(11),
            },
            server: part(9),
        }
    }

    /// How many runs may be under way, of those asked for, beside what is open already and so many
    /// lanes.
    pub(super) fn places(self, asked: usize, lanes: usize) -> usize {
        let threads = u32::try_from(lanes).unwrap_or(u32::MAX);
        let threads = threads.saturating_add(OTHER_THREADS);
        let taken = open_now().saturating_add(OF_THREAD.saturating_mul(threads));
        let room = self.shares.runs.saturating_sub(taken).max(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if room < asked {
            warn!(
                max_in_flight = asked,
                used = room,
                limit = self.limit,
                "the limit of open files allows fewer runs at once: raise it (LimitNOFILE=)"
            );
        }
        asked.min(room)
    }

    /// How many connections the server may have, so that it finds a descriptor for each. A connection
    /// that loses its place takes a moment to go, so places of one client are counted twice.
    pub(super) fn of_server(self) -> server::Limits {
        let limits = server::Limits::default();
        let places = usize::try_from(self.server).unwrap_or(usize::MAX).max(2);
        let per_address = limits.per_address.min(places / 3).max(1);
        server::Limits {
            connections: limits.connections.min(places - per_address),
            per_address,
            ..limits
        }
    }

    /// How many raw sockets of each family may be opened ahead.
    pub(super) fn raw_sockets(self) -> usize {
        let few = self.limit.map_or(RAW_SOCKETS, |limit| limit / 64);
        usize::try_from(few.clamp(1, RAW_SOCKETS)).unwrap_or(1)
    }

    /// Shows the division.
    pub(super) fn show(self, own: &Own) {
        for (of, most) in [
            ("runs", self.shares.runs),
            ("lookups", self.shares.lookups),
            ("deliveries", self.shares.others),
            ("all", self.limit.unwrap_or(u32::MAX)),
        ] {
            own.descriptors_limit
                .with_label_values(&[of])
                .set(most.into());
        }
    }
}

fn raise_limit() {
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

/// How many descriptors this process has open; 0 where that cannot be seen.
fn open_now() -> u32 {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    u32::try_from(open).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_has_a_share_of_its_own() {
        for (limit, runs, lookups, others, server) in [
            (60, 40, 43, 47, 11),
            (1_024, 683, 726, 790, 191),
            (1_536, 1_024, 1_088, 1_184, 288),
            (4_096, 3_584, 3_648, 3_744, 288),
            (
                u32::MAX,
                u32::MAX - 512,
                u32::MAX - 448,
                u32::MAX - 352,
                288,
            ),
        ] {
            let budget = Budget::of(Some(limit));
            let shares = Shares {
                runs,
                lookups,
                others,
            };
            assert_eq!(budget.shares, shares, "{limit}");
            assert_eq!(budget.server, server, "{limit}");
            assert!(others + server < limit, "files have some, too");
        }
    }

    #[test]
    fn the_server_takes_no_more_connections_than_its_share() {
        for (limit, connections, per_address) in [(8, 1, 1), (60, 8, 3), (1_536, 256, 32)] {
            let limits = Budget::of(Some(limit)).of_server();
            let found = (limits.connections, limits.per_address);
            assert_eq!(found, (connections, per_address), "{limit}");
        }
    }
}
