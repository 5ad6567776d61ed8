//! The order of a group's candidates.
//!
//! It is lexicographic: a lower level is looked at only where all levels above it leave candidates
//! equal. Each level splits the classes that the levels above made into finer ones.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::batches::Window;
use super::compare::{MIN_BATCHES, compare, compare_loss};
use crate::model::ReadyState;
use crate::model::ranking::Verdict;

/// A loss of data that is as good as none: a canary is seldom newer.
const SMALL_RPO: Duration = Duration::from_secs(1);

/// Estimates of the time to recover that differ by less than this factor are equal.
const RTO_FACTOR: f64 = 2.0;

/// What the operator would rather have, all else being equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    /// 1 is taken first. A candidate without a preference comes after all that have one.
    pub place: u32,
    /// The date from which it does not hold any more: a person's date, hence the wall clock.
    pub until: Option<SystemTime>,
}

impl Preference {
    fn place(self, today: SystemTime) -> Option<u32> {
        let over = self.until.is_some_and(|until| until <= today);
        (!over).then_some(self.place)
    }
}

/// How a candidate stands apart from its latencies. `None`: not measured, or there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Whether it could take over.
    pub state: ReadyState,
    /// What would be lost.
    pub rpo: Option<Duration>,
    /// How long it would take, at an estimate.
    pub rto: Option<Duration>,
    /// What the operator would rather have.
    pub preference: Option<Preference>,
    /// The score of the checks that are no gates, 0 to 1.
    pub score: Option<f64>,
}

/// One that could take over.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name, unique among those that are ordered.
    pub name: Arc<str>,
    /// How it stands.
    pub standing: Standing,
    /// What its runs took. `None` where no latency is compared: all else ranks it.
    pub window: Option<Window>,
}

impl Candidate {
    /// One of which nothing but the runs is looked at: a variant (all targets that carry its label),
    /// or a standby in a benchmark. `None`: it has no targets, or they are on different grids.
    ///
    /// Two variants compare as they should if they run at the same places; see [`Window::joined`].
    pub fn measured(name: Arc<str>, targets: &[Window]) -> Option<Self> {
        let standing = Standing {
            state: ReadyState::Unknown,
            rpo: None,
            rto: None,
            preference: None,
            score: None,
        };
        Some(Self {
            name,
            standing,
            window: Some(Window::joined(targets)?),
        })
    }

    /// How many batches it has that count.
    pub(super) fn batches(&self) -> usize {
        self.window.as_ref().map_or(0, Window::len)
    }
}

/// What can put one candidate before another; what matters most comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Ready before unknown before not ready.
    State,
    /// What would be lost: up to 1 s, up to half of the objective, within it, over it, not
    /// measured.
    Rpo,
    /// More than twice the estimated time to recover of the best.
    Rto,
    /// The share of failed runs.
    Loss,
    /// The latency.
    Latency,
    /// What the operator would rather have.
    Preference,
}

impl Level {
    /// Every level, in their order.
    pub const ALL: [Self; 6] = [
        Self::State,
        Self::Rpo,
        Self::Rto,
        Self::Loss,
        Self::Latency,
        Self::Preference,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Rpo => "rpo",
            Self::Rto => "rto",
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::Preference => "preference",
        }
    }
}

/// The order of candidates, best first; those without a rank come last.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Where each one is. Within a rank, the higher score comes first, then the name.
    pub places: Vec<Place>,
    /// The newest batch that was looked at.
    pub(super) newest: Option<u32>,
}

impl Order {
    /// The rank of each, by name.
    pub fn ranks(&self) -> BTreeMap<Arc<str>, Option<u32>> {
        let rank = |place: &Place| (Arc::clone(&place.name), place.rank);
        self.places.iter().map(rank).collect()
    }

    /// The rank that each would have if all were equally quick, by name; 0 for those without a rank.
    pub(super) fn bands(&self) -> BTreeMap<&str, u32> {
        self.places
            .iter()
            .map(|place| (&*place.name, place.band))
            .collect()
    }
}

/// Where a candidate is.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its name.
    pub name: Arc<str>,
    /// Its rank: 1 is best, equal ones share it, and none is left out.
    pub rank: Option<u32>,
    /// The rank that it would have if all were equally quick; 0 without a rank.
    pub(super) band: u32,
    /// Why it is there.
    pub why: Why,
}

/// Why a candidate is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It opens the first rank.
    First,
    /// It is in no way worse than the one that opened its rank.
    Level {
        /// That one.
        with: Arc<str>,
    },
    /// Its rank comes after another.
    Behind {
        /// One of those in the rank before.
        other: Arc<str>,
        /// What made the difference.
        by: Level,
    },
    /// It has too few batches of its own, or in common with the best of those it was to be compared
    /// with.
    TooFew {
        /// Batches of its own.
        batches: usize,
    },
}

/// Orders candidates. `objective` is that for the loss of data; `today` tells which preferences
/// still hold.
///
/// The score and the name put those of one rank in a row, and make no rank of their own: a score
/// moves all the time, and a name is no merit.
pub fn order(candidates: &[Candidate], objective: Option<Duration>, today: SystemTime) -> Order {
    let mut all: Vec<&Candidate> = candidates.iter().collect();
    all.sort_by(|a, b| in_a_row(a, b));
    let (enough, few): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|c| c.window.is_none() || c.batches() >= MIN_BATCHES);
    let newest = enough.iter().filter_map(|c| c.window.as_ref()?.newest());
    let newest = newest.max();
    let mut unranked = few;
    let mut classes = vec![Class {
        members: enough,
        opened: None,
        band: 0,
    }];
    for level in Level::ALL {
        classes = classes
            .into_iter()
            .flat_map(|class| {
                let split = split(&class.members, level, objective, today);
                unranked.extend(split.left);
                class.into_finer(split.groups, level)
            })
            .collect();
        if level == Level::Rto {
            for (band, class) in (1..).zip(&mut classes) {
                class.band = band;
            }
        }
    }
    unranked.sort_by(|a, b| in_a_row(a, b));
    let ranked = (1..)
        .zip(&classes)
        .flat_map(|(rank, class)| class.places(rank));
    let places = ranked
        .chain(unranked.into_iter().map(without_rank))
        .collect();
    Order { places, newest }
}

fn in_a_row(a: &Candidate, b: &Candidate) -> Ordering {
    let score = |c: &Candidate| c.standing.score.unwrap_or(-1.0);
    score(b)
        .total_cmp(&score(a))
        .then_with(|| a.name.cmp(&b.name))
}

fn without_rank(candidate: &Candidate) -> Place {
    Place {
        name: Arc::clone(&candidate.name),
        rank: None,
        band: 0,
        why: Why::TooFew {
            batches: candidate.batches(),
        },
    }
}

/// Candidates that are equal so far; the best of them first, where there is one.
#[derive(Debug)]
struct Class<'a> {
    members: Vec<&'a Candidate>,
    /// What made this class come after the one before it, and the first of that one.
    opened: Option<(Level, &'a Candidate)>,
    /// Its number among the classes before loss and latency were looked at.
    band: u32,
}

impl<'a> Class<'a> {
    /// The classes that `level` makes of this one.
    fn into_finer(self, groups: Vec<Vec<&'a Candidate>>, level: Level) -> Vec<Self> {
        let mut opened = self.opened;
        let finer = groups.into_iter().filter_map(|members| {
            let next = Some((level, *members.first()?));
            let before = std::mem::replace(&mut opened, next);
            Some(Self {
                members,
                opened: before,
                band: self.band,
            })
        });
        finer.collect()
    }

    fn places(&self, rank: u32) -> Vec<Place> {
        let mut row = self.members.clone();
        row.sort_by(|a, b| in_a_row(a, b));
        let first = self.members.first().map(|c| &c.name);
        let place = |candidate: &&Candidate| Place {
            name: Arc::clone(&candidate.name),
            rank: Some(rank),
            band: self.band,
            why: match (self.opened, first) {
                (Some((by, other)), _) => Why::Behind {
                    other: Arc::clone(&other.name),
                    by,
                },
                (None, Some(first)) if *first != candidate.name => Why::Level {
                    with: Arc::clone(first),
                },
                (None, _) => Why::First,
            },
        };
        row.iter().map(place).collect()
    }
}

/// What a level makes of equals: groups, best first, and those of which it cannot tell.
#[derive(Debug, Default)]
struct Split<'a> {
    groups: Vec<Vec<&'a Candidate>>,
    left: Vec<&'a Candidate>,
}

fn split<'a>(
    members: &[&'a Candidate],
    level: Level,
    objective: Option<Duration>,
    today: SystemTime,
) -> Split<'a> {
    match level {
        Level::State => by_key(members, |c| readiness(c.standing.state)),
        Level::Rpo => by_key(members, |c| rpo_band(c.standing.rpo, objective)),
        Level::Rto => dense(members, rto_seconds, |a, b| {
            by_rto(rto_seconds(a), rto_seconds(b))
        }),
        Level::Loss => dense(
            members,
            |c| c.window.as_ref().and_then(Window::loss).unwrap_or(1.0),
            |a, b| by_runs(a, b, compare_loss),
        ),
        Level::Latency => dense(
            members,
            |c| {
                let seconds = c.window.as_ref().and_then(Window::seconds);
                seconds.unwrap_or(f64::INFINITY)
            },
            |a, b| by_runs(a, b, |a, b| compare(a, b).latency),
        ),
        Level::Preference => by_key(members, |c| {
            let place = c.standing.preference.and_then(|p| p.place(today));
            place.map_or(u64::MAX, u64::from)
        }),
    }
}

/// One group for each key.
fn by_key<'a, K: Ord>(members: &[&'a Candidate], key: impl Fn(&Candidate) -> K) -> Split<'a> {
    let mut groups = BTreeMap::<K, Vec<&'a Candidate>>::new();
    for member in members {
        groups.entry(key(member)).or_default().push(member);
    }
    Split {
        groups: groups.into_values().collect(),
        left: Vec::new(),
    }
}

/// Groups where being equal is not transitive: a new group begins where one loses to the *best* of
/// the group before, so that a row of small steps does not put far ends together.
///
/// They are gone through by `value`, the lowest first. Where that contradicts a verdict (two may
/// have been measured at different times), who loses to fewer of those left goes first.
fn dense<'a>(
    members: &[&'a Candidate],
    value: impl Fn(&Candidate) -> f64,
    compare: impl Fn(&Candidate, &Candidate) -> Verdict,
) -> Split<'a> {
    let verdicts = verdicts(members, compare);
    let values: Vec<_> = members.iter().map(|member| value(member)).collect();
    let mut rest: Vec<usize> = (0..members.len()).collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut left = Vec::new();
    loop {
        let losses = |who: usize| {
            let lost = |other: &&usize| verdicts[who][**other] == Verdict::After;
            rest.iter().filter(lost).count()
        };
        // Of equal ones the first: the order of `members` does not depend on that of the input.
        let next = rest.iter().copied().min_by(|a, b| {
            let by_value = values[*a].total_cmp(&values[*b]);
            losses(*a).cmp(&losses(*b)).then(by_value)
        });
        let Some(next) = next else { break };
        rest.retain(|who| *who != next);
        match groups.last_mut() {
            Some(group) => match verdicts[group[0]][next] {
                Verdict::Before => groups.push(vec![next]),
                Verdict::Tie | Verdict::After => group.push(next),
                Verdict::TooFew => left.push(next),
            },
            None => groups.push(vec![next]),
        }
    }
    let named = |group: Vec<usize>| group.into_iter().map(|who| members[who]).collect();
    Split {
        groups: groups.into_iter().map(named).collect(),
        left: named(left),
    }
}

/// What comparing each with each tells.
fn verdicts(
    members: &[&Candidate],
    compare: impl Fn(&Candidate, &Candidate) -> Verdict,
) -> Vec<Vec<Verdict>> {
    let mut verdicts = vec![vec![Verdict::Tie; members.len()]; members.len()];
    for (a, first) in members.iter().enumerate() {
        for (b, second) in members.iter().enumerate().skip(a + 1) {
            verdicts[a][b] = compare(first, second);
            verdicts[b][a] = verdicts[a][b].reversed();
        }
    }
    verdicts
}

/// The verdict by what runs took; a tie where no latency is compared.
fn by_runs(a: &Candidate, b: &Candidate, compare: impl Fn(&Window, &Window) -> Verdict) -> Verdict {
    let both = a.window.as_ref().zip(b.window.as_ref());
    both.map_or(Verdict::Tie, |(a, b)| compare(a, b))
}

/// How near a candidate is to being ready, 0 for ready. Whether it could take over is not known
/// either where the primary is lost and nobody asks any more.
const fn readiness(state: ReadyState) -> u8 {
    match state {
        ReadyState::Ready => 0,
        ReadyState::Unknown | ReadyState::PrimaryLost => 1,
        ReadyState::NotReady => 2,
    }
}

/// How bad a loss of data is, 0 for none worth the name. One that is not measured is worst.
fn rpo_band(rpo: Option<Duration>, objective: Option<Duration>) -> u8 {
    let within = |limit: Duration| rpo.is_some_and(|rpo| rpo <= limit);
    match objective {
        _ if rpo.is_none() => 4,
        Some(objective) if within(objective.min(SMALL_RPO)) => 0,
        Some(objective) if within(objective / 2) => 1,
        Some(objective) if within(objective) => 2,
        None if within(SMALL_RPO) => 0,
        _ => 3,
    }
}

/// One that is not measured is longer than any.
fn rto_seconds(candidate: &Candidate) -> f64 {
    let rto = candidate.standing.rto;
    rto.map_or(f64::INFINITY, |rto| rto.as_secs_f64())
}

fn by_rto(a: f64, b: f64) -> Verdict {
    if b > a * RTO_FACTOR {
        Verdict::Before
    } else if a > b * RTO_FACTOR {
        Verdict::After
    } else {
        Verdict::Tie
    }
}

#[cfg(test)]
mod tests;
