//! How many connections there may be.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use super::patience::Patience;
use crate::metrics::{Own, Rejection};

/// Knows the open connections.
pub(super) struct Admission {
    own: Arc<Own>,
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, (IpAddr, Arc<Patience>)>,
    by_client: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(super) fn new(own: Arc<Own>, limits: Limits) -> Self {
        Self {
            own,
            limits,
            open: Mutex::default(),
        }
    }

    /// Lets a connection in until the pass is dropped.
    ///
    /// Where the client has all places of an address, its own connection gives way that has waited longest
    /// for a request: behind one address there may be many, and those who ask nothing keep out nobody.
    /// Where there is no room at all, a connection loses its place that waits for a request: of the client that
    /// has the most, the one that has waited longest. If all are served, it is one of a client that would
    /// still have no fewer than this one. So clients that only hold connections cannot keep out one that
    /// asks something, nor can clients that keep the server busy over many connections.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Pass, Rejection> {
        let client = client(peer);
        let mut open = self.lock();
        let from_client = open.by_client.get(&client).copied().unwrap_or(0);
        if from_client >= self.limits.per_address {
            self.make_room_of(&open, client, from_client)?;
        } else if open.connections.len() >= self.limits.connections {
            self.make_room(&open, from_client)?;
        }
        let id = open.next;
        let patience = Arc::new(Patience::new(self.limits));
        open.next += 1;
        open.connections.insert(id, (client, Arc::clone(&patience)));
        open.by_client.insert(client, from_client + 1);
        self.own.http_connections.inc();
        Ok(Pass {
            admission: Arc::clone(self),
            id,
            client,
            patience,
        })
    }

    /// Whether another connection can be looked at now. One that loses its place takes a moment to go, and
    /// so many more may be open meanwhile: where there are, others wait for that moment, since to refuse
    /// them would be to refuse whoever comes in the middle of a flood.
    pub(super) fn is_open(&self) -> bool {
        self.lock().connections.len() < self.limits.connections + self.limits.per_address
    }

    /// Of this client. Those who lose their place take a moment to go, and as many more may be open
    /// meanwhile, but no more than that.
    fn make_room_of(
        &self,
        open: &Open,
        client: IpAddr,
        from_client: usize,
    ) -> Result<(), Rejection> {
        let of_client = open.connections.iter().filter(|(_, (of, _))| *of == client);
        let waiting = of_client.filter_map(|(id, (_, patience))| {
            let (served, since) = patience.served_since()?;
            (!served).then_some(((since, *id), patience))
        });
        let first = waiting.min_by_key(|(order, _)| *order);
        let first = first.filter(|_| from_client < 2 * self.limits.per_address);
        let (_, patience) = first.ok_or(Rejection::Address)?;
        self.evict(patience);
        Ok(())
    }

    fn make_room(&self, open: &Open, from_client: usize) -> Result<(), Rejection> {
        let candidates = open
            .connections
            .iter()
            .filter_map(|(id, (client, patience))| {
                let (served, since) = patience.served_since()?;
                let held = open.by_client.get(client).copied().unwrap_or(0);
                let fair = from_client + if served { 2 } else { 0 };
                (held >= fair).then_some(((served, Reverse(held), since, *id), patience))
            });
        let first = candidates.min_by_key(|(order, _)| *order);
        let (_, patience) = first.ok_or(Rejection::Connections)?;
        self.evict(patience);
        Ok(())
    }

    fn evict(&self, patience: &Patience) {
        patience.lose();
        self.own.rejected(Rejection::Evicted);
    }

    fn leave(&self, id: u64, client: IpAddr) {
        let mut open = self.lock();
        open.connections.remove(&id);
        if let Some(count) = open.by_client.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_client.remove(&client);
            }
        }
        self.own.http_connections.dec();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one connection.
pub(super) struct Pass {
    admission: Arc<Admission>,
    id: u64,
    client: IpAddr,
    /// How long the connection may go on.
    pub(super) patience: Arc<Patience>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.admission.leave(self.id, self.client);
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 network, since whoever has one IPv6
/// address has 2^64 of them.
pub(super) fn client(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn admission(connections: usize, per_address: usize) -> Arc<Admission> {
        let own = Own::new("0", "0", SystemTime::UNIX_EPOCH).expect("declared right");
        let limits = Limits {
            connections,
            per_address,
            ..Limits::default()
        };
        Arc::new(Admission::new(Arc::new(own), limits))
    }

    fn admit(admission: &Arc<Admission>, peer: &str) -> Result<Pass, Rejection> {
        admission.admit(peer.parse().expect("address"))
    }

    #[test]
    fn a_network_of_ipv6_and_a_mapped_address_are_one_client() {
        for (one, other, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let [one, other] = [one, other].map(|a| client(a.parse().expect("address")));
            assert_eq!(one == other, same, "{one} {other}");
        }
    }

    fn is_lost(pass: &Pass) -> bool {
        pass.patience.is_lost()
    }

    #[test]
    fn caps_hold_and_a_place_is_free_again_when_its_connection_ends() {
        let admission = admission(3, 2);
        let first = admit(&admission, "10.0.0.1").expect("admitted");
        let second = admit(&admission, "10.0.0.2").expect("admitted");
        let third = admit(&admission, "10.0.0.3").expect("admitted");
        for served in [&first, &second, &third] {
            served.patience.request();
        }
        let full = admit(&admission, "10.0.0.4").err();
        assert_eq!(full, Some(Rejection::Connections));
        assert_eq!(admission.own.http_connections.get(), 3);
        drop(first);
        assert_eq!(admission.own.http_connections.get(), 2);
        let fourth = admit(&admission, "10.0.0.2").expect("admitted");
        fourth.patience.request();
        let full = admit(&admission, "10.0.0.2").err();
        assert_eq!(full, Some(Rejection::Address));
        drop(fourth);
    }

    #[test]
    fn who_waits_longest_without_a_request_makes_room() {
        let admission = admission(3, 1);
        let served = admit(&admission, "10.0.0.1").expect("admitted");
        served.patience.request();
        let oldest = admit(&admission, "10.0.0.2").expect("admitted");
        let younger = admit(&admission, "10.0.0.3").expect("admitted");
        let _asks = admit(&admission, "10.0.0.4").expect("admitted");
        assert!(is_lost(&oldest) && !is_lost(&younger));
        // A request that comes too late does not bring the place back.
        oldest.patience.request();
        assert!(is_lost(&oldest) && oldest.patience.overdue().is_none());
        // One more than the cap is open until the oldest has gone; there are to be no two.
        assert!(!admission.is_open());
        drop(oldest);
        assert!(admission.is_open());
        assert!(admit(&admission, "10.0.0.5").is_ok());
        assert!(is_lost(&younger) && !is_lost(&served));
    }

    #[test]
    fn of_those_who_wait_the_client_with_the_most_makes_room() {
        let admission = admission(4, 4);
        let alone = admit(&admission, "10.0.0.1").expect("admitted");
        let many = [(); 3].map(|()| admit(&admission, "10.0.0.2").expect("admitted"));
        let _asks = admit(&admission, "10.0.0.3").expect("admitted");
        assert_eq!([is_lost(&alone), is_lost(&many[0])], [false, true]);
        assert!(!is_lost(&many[1]) && !is_lost(&many[2]));
        // The client with the most gets no more at the cost of one that has less.
        for more in &many[1..] {
            more.patience.request();
        }
        let full = admit(&admission, "10.0.0.2").err();
        assert_eq!(full, Some(Rejection::Connections));
        assert!(!is_lost(&alone));
    }

    #[test]
    fn one_that_keeps_all_places_busy_shares_them_and_no_further() {
        let admission = admission(4, 4);
        let busy = [(); 4].map(|()| admit(&admission, "10.0.0.1").expect("admitted"));
        for each in &busy {
            each.patience.request();
        }
        let lost = || busy.iter().filter(|each| is_lost(each)).count();
        let first = admit(&admission, "10.0.0.2").expect("admitted");
        first.patience.request();
        assert_eq!((lost(), is_lost(&busy[0])), (1, true));
        let second = admit(&admission, "10.0.0.2").expect("admitted");
        second.patience.request();
        assert_eq!(lost(), 2);
        let [one, other, ..] = busy;
        drop((one, other));
        // Two each: nobody's turn to give way.
        let full = admit(&admission, "10.0.0.2").err();
        assert_eq!(full, Some(Rejection::Connections));
    }

    #[test]
    fn behind_one_address_who_asks_nothing_makes_room_and_who_is_served_does_not() {
        let admission = admission(8, 2);
        let [served, waits] = [(); 2].map(|()| admit(&admission, "10.0.0.1").expect("admitted"));
        served.patience.request();
        let third = admit(&admission, "10.0.0.1").expect("admitted");
        assert_eq!([is_lost(&served), is_lost(&waits)], [false, true]);
        third.patience.request();
        let none_waits = admit(&admission, "10.0.0.1").err();
        assert_eq!(none_waits, Some(Rejection::Address));
        drop(waits);
        assert_eq!(admission.own.http_connections.get(), 2);
    }

    #[test]
    fn those_about_to_go_are_no_more_than_as_many_again() {
        let admission = admission(64, 2);
        let all: Vec<_> = (0..9).map(|_| admit(&admission, "10.0.0.1")).collect();
        assert_eq!(all.iter().filter(|each| each.is_ok()).count(), 4);
        assert_eq!(admission.own.http_connections.get(), 4);
    }

    #[test]
    fn clients_that_left_are_forgotten() {
        let admission = admission(3, 2);
        drop(admit(&admission, "10.0.0.1"));
        assert!(admission.lock().by_client.is_empty());
        assert!(admission.lock().connections.is_empty());
    }
}
