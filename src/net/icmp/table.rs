//! Which packets are under way on one socket, and how each of them ended. No I/O, no clock.
//!
//! A packet has a slot from before it is sent until its run ends, and ends exactly once. A reply
//! names its slot and the slot's generation, so that finding it needs no search and a reply to an
//! earlier packet of the slot is known as such.

use std::collections::HashMap;
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::Echoes;
use super::packet::Ticket;
use crate::model::{Failure, Latencies, PingFacts};

/// Packets that one socket may have under way.
const MAX_SLOTS: usize = 1 << 18;

/// A packet about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) ticket: Ticket,
    /// No other packet to the same address under way has this number.
    pub(super) seq: u16,
}

/// What a reply says of itself, and who sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) from: IpAddr,
    pub(super) seq: u16,
    pub(super) ticket: Ticket,
    /// Bytes of payload.
    pub(super) size: usize,
}

/// What a reply turned out to be.
#[derive(Debug)]
pub(super) enum Match {
    /// The answer to a packet under way, in time or late. Its run may be waiting for just that.
    Answer(Option<Waker>),
    /// Another answer to a packet that has one.
    Duplicate,
    /// An answer to a packet that has ended otherwise, or whose run has.
    Unclaimed,
    /// Not an answer to what was sent.
    Foreign,
}

#[derive(Debug)]
enum State {
    Open,
    Received(Duration),
    Late,
    Failed(Failure),
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// `None` while the slot is free.
    run: Option<u32>,
    address: IpAddr,
    seq: u16,
    size: u16,
    sent: Instant,
    deadline: Instant,
    state: State,
}

#[derive(Debug, Default)]
struct Run {
    /// The slots of its packets, in the order of sending.
    packets: SmallVec<[u32; 4]>,
    /// How many of them are open.
    open: usize,
    duplicates: u32,
    waiting: Option<Waker>,
}

/// The packets under way on one socket.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
    runs: Vec<Run>,
    free_runs: Vec<u32>,
    /// Errors quote no more than the address and the number.
    numbers: HashMap<(IpAddr, u16), u32>,
    next_seq: u16,
}

impl Table {
    /// A table whose numbers begin somewhere.
    pub(super) fn starting_at(seq: u16) -> Self {
        Self {
            next_seq: seq,
            ..Self::default()
        }
    }

    /// Opens a run, which has to be closed.
    pub(super) fn open(&mut self) -> u32 {
        self.free_runs.pop().unwrap_or_else(|| {
            self.runs.push(Run::default());
            index(self.runs.len() - 1)
        })
    }

    /// Adds a packet of `size` bytes of payload to the run. `None` when too many are under way.
    pub(super) fn begin(
        &mut self,
        run: u32,
        address: IpAddr,
        size: u16,
        now: Instant,
    ) -> Option<Packet> {
        let seq = self.unused_seq(address)?;
        let slot = self.free_slot(address, now)?;
        let entry = &mut self.slots[slot as usize];
        entry.run = Some(run);
        entry.address = address;
        entry.seq = seq;
        entry.size = size;
        entry.sent = now;
        entry.deadline = now;
        entry.state = State::Open;
        let ticket = Ticket {
            slot,
            generation: entry.generation,
        };
        self.numbers.insert((address, seq), slot);
        let run = &mut self.runs[run as usize];
        run.packets.push(slot);
        run.open += 1;
        Some(Packet { ticket, seq })
    }

    fn unused_seq(&mut self, address: IpAddr) -> Option<u16> {
        (0..=u16::MAX).find_map(|_| {
            let seq = self.next_seq;
            self.next_seq = seq.wrapping_add(1);
            (!self.numbers.contains_key(&(address, seq))).then_some(seq)
        })
    }

    fn free_slot(&mut self, address: IpAddr, now: Instant) -> Option<u32> {
        if let Some(slot) = self.free_slots.pop() {
            return Some(slot);
        }
        if self.slots.len() >= MAX_SLOTS {
            return None;
        }
        self.slots.push(Slot {
            generation: 0,
            run: None,
            address,
            seq: 0,
            size: 0,
            sent: now,
            deadline: now,
            state: State::Open,
        });
        Some(index(self.slots.len() - 1))
    }

    /// Sets when the packet was sent, and until when its answer is in time.
    pub(super) fn sent(&mut self, packet: Packet, at: Instant, deadline: Instant) {
        let slot = &mut self.slots[packet.ticket.slot as usize];
        slot.sent = at;
        slot.deadline = deadline;
    }

    /// Takes a reply that came at `at`.
    pub(super) fn reply(&mut self, claim: &Claim, at: Instant) -> Match {
        let Some(slot) = self.slots.get_mut(claim.ticket.slot as usize) else {
            return Match::Foreign;
        };
        let Some(run) = slot
            .run
            .filter(|_| slot.generation == claim.ticket.generation)
        else {
            // The secret was right, so that this was a packet of ours: one of an earlier run.
            return Match::Unclaimed;
        };
        let same = slot.address == claim.from
            && slot.seq == claim.seq
            && usize::from(slot.size) == claim.size;
        if !same {
            return Match::Foreign;
        }
        match slot.state {
            State::Open => {
                slot.state = if at <= slot.deadline {
                    State::Received(at.saturating_duration_since(slot.sent))
                } else {
                    State::Late
                };
                Match::Answer(self.ended(run))
            }
            State::Received(_) | State::Late => {
                self.runs[run as usize].duplicates += 1;
                Match::Duplicate
            }
            State::Failed(_) => Match::Unclaimed,
        }
    }

    /// The open packet to the address with the number.
    pub(super) fn find(&self, to: IpAddr, seq: u16) -> Option<Packet> {
        let slot = *self.numbers.get(&(to, seq))?;
        let entry = &self.slots[slot as usize];
        matches!(entry.state, State::Open).then_some(Packet {
            ticket: Ticket {
                slot,
                generation: entry.generation,
            },
            seq,
        })
    }

    /// Ends an open packet with an error; its run may be waiting for just that.
    pub(super) fn fail(&mut self, packet: Packet, failure: Failure) -> Option<Waker> {
        let slot = &mut self.slots[packet.ticket.slot as usize];
        let run = slot.run?;
        if !matches!(slot.state, State::Open) || slot.generation != packet.ticket.generation {
            return None;
        }
        slot.state = State::Failed(failure);
        self.ended(run)
    }

    fn ended(&mut self, run: u32) -> Option<Waker> {
        let run = &mut self.runs[run as usize];
        run.open -= 1;
        if run.open == 0 {
            run.waiting.take()
        } else {
            None
        }
    }

    /// Whether all packets of the run have ended; if not, `waker` is woken when they have.
    pub(super) fn has_ended(&mut self, run: u32, waker: &Waker) -> bool {
        let run = &mut self.runs[run as usize];
        if run.open == 0 {
            return true;
        }
        match &mut run.waiting {
            Some(waiting) => waiting.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    /// Closes the run: packets still open are lost, and all slots are free again.
    pub(super) fn close(&mut self, run: u32) -> Echoes {
        let Self {
            slots,
            free_slots,
            runs,
            free_runs,
            numbers,
            ..
        } = self;
        let entry = &mut runs[run as usize];
        let mut echoes = Echoes::default();
        echoes.facts.duplicates = entry.duplicates;
        for slot in entry.packets.drain(..) {
            let packet = &mut slots[slot as usize];
            numbers.remove(&(packet.address, packet.seq));
            packet.run = None;
            packet.generation = packet.generation.wrapping_add(1);
            free_slots.push(slot);
            tally(
                &mut echoes,
                std::mem::replace(&mut packet.state, State::Open),
            );
        }
        echoes.facts.jitter_seconds = jitter(&echoes.latencies);
        entry.open = 0;
        entry.duplicates = 0;
        entry.waiting = None;
        free_runs.push(run);
        echoes
    }
}

fn tally(echoes: &mut Echoes, state: State) {
    let facts: &mut PingFacts = &mut echoes.facts;
    facts.sent += 1;
    match state {
        State::Open => facts.lost += 1,
        State::Late => facts.late += 1,
        State::Received(time) => {
            facts.received += 1;
            echoes.latencies.push(time);
        }
        State::Failed(failure) => {
            facts.errors += 1;
            echoes.failures.push(failure);
        }
    }
}

/// The mean absolute difference of consecutive times, in seconds.
fn jitter(times: &Latencies) -> Option<f64> {
    let differences = u32::try_from(times.len()).ok()?.checked_sub(1)?;
    let sum: Duration = times.windows(2).map(|two| two[0].abs_diff(two[1])).sum();
    (differences > 0).then(|| sum.as_secs_f64() / f64::from(differences))
}

fn index(position: usize) -> u32 {
    // Slots are capped above, and there is no run without a slot of its own or a task that sends.
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_millis(100);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn claim(packet: Packet, from: IpAddr) -> Claim {
        Claim {
            from,
            seq: packet.seq,
            ticket: packet.ticket,
            size: 56,
        }
    }

    fn send(table: &mut Table, run: u32, to: IpAddr, at: Instant) -> Packet {
        let packet = table.begin(run, to, 56, at).expect("a slot");
        table.sent(packet, at, at + WAIT);
        packet
    }

    fn failure() -> Failure {
        Failure::new(Reason::Unreachable, "code 1")
    }

    #[test]
    fn packets_end_as_received_late_failed_or_lost_and_duplicates_are_counted_apart() {
        let start = Instant::now();
        let mut table = Table::default();
        let run = table.open();
        let to = address(1);
        let packets: Vec<_> = (0..5).map(|_| send(&mut table, run, to, start)).collect();
        let mut reply = |packet, after| table.reply(&claim(packet, to), start + after);

        let ms = Duration::from_millis;
        assert!(matches!(reply(packets[1], ms(10)), Match::Answer(None)));
        assert!(matches!(reply(packets[0], ms(30)), Match::Answer(None)));
        assert!(matches!(reply(packets[0], ms(31)), Match::Duplicate));
        assert!(matches!(
            reply(packets[2], WAIT + ms(1)),
            Match::Answer(None)
        ));
        assert!(matches!(reply(packets[2], WAIT + ms(2)), Match::Duplicate));
        assert_eq!(table.find(to, packets[3].seq), Some(packets[3]));
        table.fail(packets[3], failure());
        assert_eq!(table.find(to, packets[3].seq), None, "it has ended");
        let reply_to_failed = table.reply(&claim(packets[3], to), start);
        assert!(matches!(reply_to_failed, Match::Unclaimed));

        let echoes = table.close(run);
        assert_eq!(
            echoes.facts,
            PingFacts {
                sent: 5,
                received: 2,
                lost: 1,
                late: 1,
                errors: 1,
                duplicates: 2,
                jitter_seconds: Some(0.02),
            }
        );
        assert_eq!(echoes.latencies.as_slice(), [ms(30), ms(10)], "as sent");
        assert_eq!(echoes.failures, [failure()]);
        let after = table.reply(&claim(packets[4], to), start);
        assert!(matches!(after, Match::Unclaimed), "the run has ended");
    }

    #[test]
    fn a_reply_from_elsewhere_or_with_wrong_parts_matches_nothing() {
        let start = Instant::now();
        let mut table = Table::default();
        let run = table.open();
        let to = address(1);
        let packet = send(&mut table, run, to, start);
        let right = claim(packet, to);
        let wrong = [
            Claim {
                from: address(2),
                ..right
            },
            Claim {
                seq: right.seq ^ 1,
                ..right
            },
            Claim { size: 55, ..right },
            Claim {
                ticket: Ticket {
                    slot: 77,
                    ..right.ticket
                },
                ..right
            },
        ];
        for claim in wrong {
            assert!(
                matches!(table.reply(&claim, start), Match::Foreign),
                "{claim:?}"
            );
        }
        let other_use = Claim {
            ticket: Ticket {
                generation: 1,
                ..right.ticket
            },
            ..right
        };
        assert!(matches!(table.reply(&other_use, start), Match::Unclaimed));
        assert!(matches!(table.reply(&right, start), Match::Answer(None)));
        assert_eq!(table.close(run).facts.received, 1);
    }

    #[test]
    fn numbers_under_way_to_one_address_are_skipped() {
        let now = Instant::now();
        let mut table = Table::starting_at(u16::MAX);
        let run = table.open();
        let first = send(&mut table, run, address(1), now);
        assert_eq!(first.seq, u16::MAX);
        let second = send(&mut table, run, address(1), now);
        assert_eq!(second.seq, 0, "numbers wrap around");
        table.next_seq = u16::MAX;
        let third = send(&mut table, run, address(1), now);
        assert_eq!(third.seq, 1, "both taken ones are skipped");
        table.next_seq = u16::MAX;
        let elsewhere = send(&mut table, run, address(2), now);
        assert_eq!(elsewhere.seq, u16::MAX, "another address is another space");
    }

    #[test]
    fn one_address_has_as_many_packets_under_way_as_there_are_numbers() {
        let now = Instant::now();
        let mut table = Table::default();
        let run = table.open();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..=u16::MAX {
            assert!(seen.insert(send(&mut table, run, address(1), now).seq));
        }
        assert_eq!(table.begin(run, address(1), 56, now), None);
        assert!(table.begin(run, address(2), 56, now).is_some());
        assert_eq!(table.close(run).facts.lost, 65_537);
        assert!(table.numbers.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Event {
        Open,
        Send { run: usize, to: u8 },
        Reply { packet: usize, from: u8, seq: u16 },
        Error { packet: usize },
        Close { run: usize },
        Pass(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let any = any::<usize>();
        prop_oneof![
            Just(Event::Open),
            (any, 0..3u8).prop_map(|(run, to)| Event::Send { run, to }),
            (any, 0..3u8, 0..3u16).prop_map(|(packet, from, seq)| Event::Reply {
                packet,
                from,
                seq
            }),
            any.prop_map(|packet| Event::Error { packet }),
            any.prop_map(|run| Event::Close { run }),
            (0..150u64).prop_map(Event::Pass),
        ]
    }

    /// What the table should say of a run, kept the slow way.
    #[derive(Default)]
    struct Expected {
        id: u32,
        facts: PingFacts,
        closed: bool,
    }

    struct Sent {
        run: usize,
        to: u8,
        packet: Packet,
        at: Instant,
        answered: bool,
        failed: bool,
    }

    proptest! {
        #[test]
        fn every_packet_ends_exactly_once(events in prop::collection::vec(event(), 1..200)) {
            let mut now = Instant::now();
            let mut table = Table::starting_at(u16::MAX - 3);
            let mut runs: Vec<Expected> = Vec::new();
            let mut packets: Vec<Sent> = Vec::new();
            for event in events {
                match event {
                    Event::Open => {
                        let id = table.open();
                        prop_assert!(runs.iter().all(|r| r.closed || r.id != id));
                        runs.push(Expected { id, ..Expected::default() });
                    }
                    Event::Send { run, to } if !runs.is_empty() => {
                        let run = run % runs.len();
                        if runs[run].closed {
                            continue;
                        }
                        let packet = send(&mut table, runs[run].id, address(to), now);
                        runs[run].facts.sent += 1;
                        packets.push(Sent { run, to, packet, at: now, answered: false, failed: false });
                    }
                    Event::Reply { packet, from, seq } if !packets.is_empty() => {
                        let index = packet % packets.len();
                        let sent = &mut packets[index];
                        let mut claim = claim(sent.packet, address(from));
                        claim.seq = claim.seq.wrapping_add(seq / 2);
                        let run = &mut runs[sent.run];
                        let right = from == sent.to && seq / 2 == 0;
                        match table.reply(&claim, now) {
                            Match::Answer(_) => {
                                prop_assert!(right && !sent.answered && !sent.failed && !run.closed);
                                sent.answered = true;
                                if now <= sent.at + WAIT {
                                    run.facts.received += 1;
                                } else {
                                    run.facts.late += 1;
                                }
                            }
                            Match::Duplicate => {
                                prop_assert!(right && sent.answered && !run.closed);
                                run.facts.duplicates += 1;
                            }
                            Match::Unclaimed => prop_assert!(run.closed || sent.failed),
                            Match::Foreign => prop_assert!(!right && !run.closed),
                        }
                    }
                    Event::Error { packet } if !packets.is_empty() => {
                        let index = packet % packets.len();
                        let sent = &mut packets[index];
                        let run = &mut runs[sent.run];
                        if let Some(found) = table.find(address(sent.to), sent.packet.seq)
                            .filter(|found| *found == sent.packet)
                        {
                            prop_assert!(!run.closed && !sent.answered && !sent.failed);
                            table.fail(found, failure());
                            sent.failed = true;
                            run.facts.errors += 1;
                        } else {
                            prop_assert!(run.closed || sent.answered || sent.failed);
                        }
                    }
                    Event::Close { run } if !runs.is_empty() => {
                        let index = run % runs.len();
                        let run = &mut runs[index];
                        if run.closed {
                            continue;
                        }
                        run.closed = true;
                        let facts = table.close(run.id).facts;
                        let ended = facts.received + facts.lost + facts.late + facts.errors;
                        prop_assert_eq!(ended, facts.sent);
                        run.facts.lost = facts.sent
                            - run.facts.received - run.facts.late - run.facts.errors;
                        run.facts.jitter_seconds = facts.jitter_seconds;
                        prop_assert_eq!(facts, run.facts);
                    }
                    Event::Pass(ms) => now += Duration::from_millis(ms),
                    _ => {}
                }
            }
            for run in runs.iter().filter(|run| !run.closed) {
                table.close(run.id);
            }
            prop_assert!(table.numbers.is_empty());
            prop_assert_eq!(table.free_slots.len(), table.slots.len());
            prop_assert_eq!(table.free_runs.len(), table.runs.len());
        }
    }
}
