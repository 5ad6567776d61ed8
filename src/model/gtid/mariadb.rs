//! How far a `MariaDB` server is, by domain.
//!
//! A transaction is named `domain-server-sequence`. Within a domain, sequence numbers grow whoever
//! writes, but are unique only for each server: two that write at the same time use the same ones.
//!
//! What `MariaDB` 10.11.19 was seen to say, all of it readable without any grant:
//!
//! | after | `gtid_slave_pos` | `gtid_binlog_pos` | `gtid_current_pos` | `gtid_binlog_state` |
//! |---|---|---|---|---|
//! | nothing, anywhere | | | | |
//! | writes, on the primary 1 | | `0-1-10` | `0-1-10` | `0-1-10` |
//! | the same, on the standby 2 | `0-1-10` | `0-1-10` | `0-1-10` | `0-1-10` |
//! | a rogue write on 2 | `0-1-10` | `0-2-11` | `0-2-11` | `0-1-10,0-2-11` |
//! | the primary's next write, on 2 | `0-1-11` | `0-1-11` | `0-1-11` | `0-2-11,0-1-11` |
//! | 2 promoted, on 2 | `0-1-5` | `0-2-7` | `0-2-7` | `0-1-5,0-2-7` |
//! | the same, on its standby 3 | `0-2-7` | `0-2-7` | `0-2-7` | `0-1-5,0-2-7` |
//! | the same, on 1, which wrote on | | `0-1-6` | `0-1-6` | `0-1-6` |
//! | writes in two domains | | `0-2-7,7-2-1` | `0-2-7,7-2-1` | `0-1-5,0-2-7,7-2-1` |
//! | a standby without `log_slave_updates` | `0-1-5` | | `0-1-5` | |
//! | a standby without a binary log, after a rogue write | `0-1-5` | | `0-1-5` | |
//!
//! So a rogue write is soon covered by the primary's own numbers and stays visible only in the
//! history, `gtid_binlog_state`, which survives a purge of the logs; and one on a server without a
//! binary log is not visible at all.

use std::collections::{BTreeMap, BTreeSet};

use super::{capped, digits};

/// How far a `MariaDB` server is, by domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {
    /// The last transaction of each domain.
    current: BTreeMap<u32, Place>,
    /// The last of each domain that came from another server; none if that was not read.
    applied: BTreeMap<u32, Place>,
    /// The highest sequence number of each domain and server in the server's binary log since it
    /// was last reset. `None`: not known.
    history: Option<BTreeMap<(u32, u32), u64>>,
}

/// The last transaction of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    server: u32,
    seq: u64,
}

impl Domains {
    /// Reads one position: `domain-server-sequence`, separated by commas. Its history is unknown.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, in a few words: another form, a domain that is there twice,
    /// more than a megabyte.
    pub fn parse(position: &str) -> Result<Self, String> {
        Ok(Self {
            current: places(position)?,
            ..Self::default()
        })
    }

    /// Reads what one server says in `gtid_slave_pos`, `gtid_binlog_pos` and, where it is known,
    /// `gtid_binlog_state`. The current position of a domain is the further of the first two; if
    /// both have the same number it is the one in the binary log, as in `gtid_current_pos`.
    ///
    /// # Errors
    ///
    /// As [`Domains::parse`].
    pub fn of_server(
        slave_pos: &str,
        binlog_pos: &str,
        binlog_state: Option<&str>,
    ) -> Result<Self, String> {
        let applied = places(slave_pos)?;
        let mut current = applied.clone();
        for (domain, place) in places(binlog_pos)? {
            let known = current.entry(domain).or_insert(place);
            if place.seq >= known.seq {
                *known = place;
            }
        }
        Ok(Self {
            current,
            applied,
            history: binlog_state.map(history).transpose()?,
        })
    }

    /// How many entries it has, in all that it keeps.
    pub(in crate::model) fn parts(&self) -> usize {
        let history = self.history.as_ref().map_or(0, BTreeMap::len);
        self.current.len() + self.applied.len() + history
    }

    /// The last transaction of each domain that came from another server, as the server writes it in
    /// `gtid_slave_pos`: it stays as it is while the server is a primary.
    pub fn applied(&self) -> String {
        let applied = self.applied.iter();
        let gtids =
            applied.map(|(domain, Place { server, seq })| format!("{domain}-{server}-{seq}"));
        gtids.collect::<Vec<_>>().join(",")
    }

    /// Whether every domain is as far as in the other position.
    pub fn covers(&self, other: &Self) -> bool {
        other.missing_in(self) == 0
    }

    /// How many transactions of this position the other one lacks, by their sequence numbers;
    /// `u64::MAX` if there are more.
    pub fn missing_in(&self, other: &Self) -> u64 {
        let missing = self.current.iter().map(|(domain, mine)| {
            let theirs = other.current.get(domain);
            mine.seq.saturating_sub(theirs.map_or(0, |place| place.seq))
        });
        missing.fold(0, u64::saturating_add)
    }

    /// How many transactions this server, a standby, wrote itself that its primary does not have.
    /// At least: where the numbers of the two overlap, one is told for sure and no more. `None`: the
    /// primary's history is not known, so that nobody can say what it has.
    ///
    /// After a failover the old primary's own transactions are in the new primary's history and do
    /// not count, except those that the new one never received.
    pub fn errant_beyond(&self, own_server: u32, primary: &Self) -> Option<u64> {
        primary.history.as_ref()?;
        let domains = self.domains().into_iter();
        let errant = domains.map(|domain| self.errant_in(domain, own_server, primary));
        Some(errant.fold(0, u64::saturating_add))
    }

    fn errant_in(&self, domain: u32, own_server: u32, primary: &Self) -> u64 {
        let known = primary.furthest_of(domain, own_server);
        let Some(own) = self.furthest_of(domain, own_server) else {
            return 0;
        };
        if known.is_some_and(|known| own <= known) {
            return 0;
        }
        // Everything that this server has behind what it applied is its own.
        let applied = self.applied.get(&domain).map(|place| place.seq);
        let others = applied.filter(|seq| *seq < own);
        let before = known.max(others).unwrap_or_else(|| {
            let primary = primary.current.get(&domain);
            primary.map_or(0, |place| place.seq)
        });
        own.saturating_sub(before).max(1)
    }

    /// Whether this server, a standby, can be of the same cluster as that primary: whether the
    /// primary's history has the transactions at which the standby is.
    ///
    /// For each domain that both have: yes, if the primary has the standby's last transaction, or
    /// the last one that it applied (so that a write of its own does not make it a stranger); no, if
    /// they are by servers that the primary never heard of; undecided, if the standby is further
    /// than the primary by a server that both know: it diverged, or belongs to a cluster that uses
    /// the same numbers. One no is a no. `None`: no yes and no no, no domain in common, or no
    /// history of the primary.
    pub fn follows(&self, primary: &Self) -> Option<bool> {
        primary.history.as_ref()?;
        let common = self.current.keys();
        let common = common.filter(|domain| primary.current.contains_key(domain));
        common
            .filter_map(|domain| self.follows_in(*domain, primary))
            .reduce(|all, one| all && one)
    }

    fn follows_in(&self, domain: u32, primary: &Self) -> Option<bool> {
        let places = [&self.applied, &self.current].map(|places| places.get(&domain));
        let mut stranger = true;
        for place in places.into_iter().flatten() {
            match primary.furthest_of(domain, place.server) {
                Some(seq) if place.seq <= seq => return Some(true),
                Some(_) => stranger = false,
                None => {}
            }
        }
        stranger.then_some(false)
    }

    /// Every domain of which anything is known.
    fn domains(&self) -> BTreeSet<u32> {
        let histories = self.history.iter().flatten();
        let histories = histories.map(|((domain, _), _)| *domain);
        self.current.keys().copied().chain(histories).collect()
    }

    /// The highest sequence number of a server that this one has, by its history and positions:
    /// without `log_slave_updates`, what was applied is not in the history.
    fn furthest_of(&self, domain: u32, server: u32) -> Option<u64> {
        let history = self.history.as_ref();
        let history = history.and_then(|history| history.get(&(domain, server)).copied());
        let places = [&self.applied, &self.current].map(|places| places.get(&domain));
        let places = places.into_iter().flatten();
        let places = places.filter(|place| place.server == server);
        places.map(|place| place.seq).chain(history).max()
    }
}

/// Reads `domain-server-sequence`, separated by commas, with each domain once.
fn places(text: &str) -> Result<BTreeMap<u32, Place>, String> {
    let mut places = BTreeMap::new();
    for gtid in gtids(text)? {
        let (domain, server, seq) = gtid?;
        if places.insert(domain, Place { server, seq }).is_some() {
            return Err(format!("domain {domain} is there twice"));
        }
    }
    Ok(places)
}

/// Reads `domain-server-sequence`, separated by commas, with each domain and server once.
fn history(text: &str) -> Result<BTreeMap<(u32, u32), u64>, String> {
    let mut history = BTreeMap::new();
    for gtid in gtids(text)? {
        let (domain, server, seq) = gtid?;
        if history.insert((domain, server), seq).is_some() {
            return Err(format!(
                "domain {domain} is there twice for server {server}"
            ));
        }
    }
    Ok(history)
}

/// Reads GTIDs; the empty text has none.
fn gtids(text: &str) -> Result<impl Iterator<Item = Result<(u32, u32, u64), String>>, String> {
    let text = capped(text)?.trim();
    let parts = (!text.is_empty()).then(|| text.split(','));
    Ok(parts
        .into_iter()
        .flatten()
        .map(|part| gtid(part.trim()).ok_or_else(|| "a GTID is not domain-server-sequence".into())))
}

fn gtid(text: &str) -> Option<(u32, u32, u64)> {
    let mut numbers = text.splitn(3, '-');
    Some((
        digits(numbers.next()?)?,
        digits(numbers.next()?)?,
        digits(numbers.next()?)?,
    ))
}

#[cfg(test)]
mod tests;
