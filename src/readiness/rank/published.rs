//! What is told of an order: only one that lasts.

use std::sync::Arc;

use super::order::Order;

/// Evaluations in a row that must agree.
const AGREEING: u8 = 3;

/// The order that is told, behind the one that was last found. It changes only when the same ranks
/// were found three times in a row, so that what flickers is not passed on.
///
/// Where only loss or latency make the new ranks, a time counts if it had a new batch to look at:
/// the same figures looked at again are no confirmation. A standby that is not ready any more does
/// not have to wait for batches.
#[derive(Debug, Default)]
pub struct Published {
    current: Option<Order>,
    /// The newest order, if its ranks are others, and how often they were found in a row.
    next: Option<(Order, u8)>,
    changes: u64,
}

impl Published {
    /// Takes the order of an evaluation. Whether the ranks that are told have changed by it.
    pub fn offer(&mut self, order: Order) -> bool {
        if self
            .current
            .as_ref()
            .is_some_and(|told| told.ranks() == order.ranks())
        {
            // The ranks are the same; the reasons may be news.
            self.current = Some(order);
            self.next = None;
            return false;
        }
        let seen = match &self.next {
            Some((next, seen)) if next.ranks() == order.ranks() => {
                seen + u8::from(order.newest > next.newest || self.standings_differ(&order))
            }
            _ => 1,
        };
        if seen < AGREEING {
            self.next = Some((order, seen));
            return false;
        }
        self.next = None;
        let ranks = order.ranks();
        let told = self.current.replace(order);
        let told = told.map(|told| told.ranks()).unwrap_or_default();
        let another = |(name, rank): (Arc<str>, Option<u32>)| {
            rank.is_some() && ranks.get(&name).copied().flatten() != rank
        };
        self.changes += u64::from(told.into_iter().any(another));
        true
    }

    /// What is told where the configuration was loaded anew: the same, if the candidates are the same.
    /// What was found and not told yet begins anew unless the batches go on too. Changes are counted
    /// on in any case.
    #[must_use]
    pub fn succeeded(self, same_candidates: bool, same_batches: bool) -> Self {
        Self {
            current: self.current.filter(|_| same_candidates),
            next: self.next.filter(|_| same_candidates && same_batches),
            changes: self.changes,
        }
    }

    /// Whether more than loss and latency makes this order another than the one that is told.
    fn standings_differ(&self, order: &Order) -> bool {
        self.current
            .as_ref()
            .is_none_or(|told| told.bands() != order.bands())
    }

    /// The order that is told. `None` before the first that lasted.
    pub fn order(&self) -> Option<&Order> {
        self.current.as_ref()
    }

    /// How often a candidate that had a rank got another, or none. The first one that it gets is no
    /// change.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::readiness::rank::{Level, Place, Why};

    /// Ranks that follow from states, so that no batch is waited for.
    fn order(ranks: &[(&str, u32)]) -> Order {
        let place = |(name, rank): &(&str, u32)| Place {
            name: Arc::from(*name),
            rank: Some(*rank),
            band: *rank,
            why: Why::First,
        };
        Order {
            places: ranks.iter().map(place).collect(),
            newest: Some(71),
        }
    }

    /// Ranks that follow from latencies up to a batch.
    fn by_latency(ranks: &[(&str, u32)], newest: u32) -> Order {
        let mut order = order(ranks);
        for place in &mut order.places {
            place.band = 1;
        }
        order.newest = Some(newest);
        order
    }

    #[test]
    fn an_order_is_told_when_it_was_found_three_times_in_a_row() {
        let (one, two) = (order(&[("a", 1), ("b", 2)]), order(&[("a", 1), ("b", 1)]));
        let mut published = Published::default();
        assert!(!published.offer(one.clone()));
        assert!(!published.offer(one.clone()));
        assert_eq!(published.order(), None);
        assert!(published.offer(one.clone()));
        assert_eq!(published.order(), Some(&one));

        for _ in 0..5 {
            for flicker in [&two, &two, &one] {
                assert!(!published.offer(flicker.clone()));
            }
        }
        assert_eq!((published.order(), published.changes()), (Some(&one), 0));

        let told: Vec<_> = (0..4).map(|_| published.offer(two.clone())).collect();
        assert_eq!(told, [false, false, true, false]);
        assert_eq!((published.order(), published.changes()), (Some(&two), 1));
    }

    #[test]
    fn the_same_batches_looked_at_again_confirm_no_order_by_latency() {
        let mut published = Published::default();
        let equal = |newest| by_latency(&[("a", 1), ("b", 1)], newest);
        let apart = |newest| by_latency(&[("a", 1), ("b", 2)], newest);
        for _ in 0..3 {
            published.offer(equal(71));
        }
        assert_eq!(published.order(), Some(&equal(71)));
        for newest in [72, 72, 72, 73, 73, 73] {
            assert!(!published.offer(apart(newest)));
        }
        assert!(published.offer(apart(74)));
        // A change of state needs no new batch.
        let unready = order(&[("a", 2), ("b", 1)]);
        let told: Vec<_> = (0..3).map(|_| published.offer(unready.clone())).collect();
        assert_eq!(told, [false, false, true]);
    }

    #[test]
    fn what_is_offered_between_two_others_starts_them_anew() {
        let [one, two, three] = [1, 2, 3].map(|rank| order(&[("a", rank)]));
        let mut published = Published::default();
        for other in [&one, &one, &two, &two, &three, &one, &one] {
            assert!(!published.offer(other.clone()));
        }
        assert!(published.offer(one));
    }

    #[test]
    fn new_reasons_for_the_same_ranks_are_told_at_once() {
        let first = order(&[("a", 1), ("b", 2)]);
        let mut again = first.clone();
        again.places[1].why = Why::Behind {
            other: Arc::from("a"),
            by: Level::Latency,
        };
        let mut published = Published::default();
        for _ in 0..3 {
            published.offer(first.clone());
        }
        assert!(!published.offer(again.clone()));
        assert_eq!((published.order(), published.changes()), (Some(&again), 0));
    }
}
