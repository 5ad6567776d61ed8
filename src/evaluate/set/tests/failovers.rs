//! When another member becomes the primary.

use super::*;
use crate::evaluate::failover::Found;
use crate::model::{Failover, LossUnknown, RtoBasis};

fn promoted(timeline: u64) -> Server {
    Server {
        timeline,
        ..primary(2_000)
    }
}

fn read_only(timeline: u64) -> Server {
    Server {
        writable: false,
        ..promoted(timeline)
    }
}

fn failover(changes: Changes) -> Option<Failover> {
    match changes.found {
        Some(Found::Failover(failover, _)) => Some(failover),
        Some(Found::Replaced { .. }) | None => None,
    }
}

impl Stage {
    /// So many canaries on the primary at 10, 20, ... seconds, the last of which the standby does
    /// not have.
    fn writing(rounds: u64) -> Self {
        let mut stage = Self::set();
        stage.look(PRIMARY, &primary(1_000));
        for round in 1..=rounds {
            stage.wait(10);
            stage.look(STANDBY, &standby(1_000, 1_000).with(round - 1));
            stage.look(PRIMARY, &primary(1_000).with(round - 1));
        }
        stage
    }

    /// The failovers that these looks, ten seconds apart, bring.
    fn looks(&mut self, looks: &[(usize, Option<Server>)]) -> Vec<Failover> {
        let mut all = Vec::new();
        for (place, server) in looks {
            self.wait(10);
            let changes = match server {
                Some(server) => self.run(*place, server, server.writable),
                None => self.fail(*place),
            };
            all.extend(failover(changes));
        }
        all
    }
}

#[test]
fn a_promotion_after_a_crash_is_a_failover_with_what_it_cost() {
    let mut stage = Stage::writing(5);
    // The standby has two of five.
    stage.wait(10);
    stage.look(STANDBY, &standby(1_000, 1_000).with(2));
    stage.fail(PRIMARY);
    stage.wait(10);
    let first = stage.look(STANDBY, &promoted(2).with(2));
    assert_eq!(first.found, None, "not confirmed");
    stage.wait(10);
    let told = failover(stage.look(STANDBY, &promoted(2).with(2))).expect("a failover");
    assert_eq!((&*told.from, &*told.to), ("a", "b"));
    assert_eq!((&*told.group, &*told.probe), ("shop", "orders"));
    assert!(!told.planned);
    assert_eq!((told.rpo_writes, told.rpo_seconds), (Some(3), Some(30.0)));
    assert_eq!(told.rpo_unknown, None);
    // From the last sight of the one at 50 s to the first of the other at 70 s.
    assert_eq!(told.rto_write_basis, RtoBasis::Roles);
    assert!((told.rto_write_seconds - 20.0).abs() < 1e-9);

    stage.wait(10);
    let updated = failover(stage.look(STANDBY, &promoted(2).with(2))).expect("an update");
    assert_eq!(updated.id, told.id);
    assert_eq!(updated.rto_write_basis, RtoBasis::Canary);
    assert!((updated.rto_write_seconds - 40.0).abs() < 1e-9);
    assert_eq!(updated.rpo_writes, Some(3));
    // The next ones tell nothing new.
    for _ in 0..3 {
        stage.wait(10);
        assert_eq!(stage.look(STANDBY, &promoted(2)).found, None);
    }
}

#[test]
fn a_failover_is_planned_if_the_old_primary_was_read_only_before() {
    let mut stage = Stage::writing(3);
    let told = stage.looks(&[
        (STANDBY, Some(standby(1_000, 1_000).with(3))),
        (PRIMARY, Some(read_only(1))),
        (STANDBY, Some(promoted(2).with(3))),
        (PRIMARY, Some(standby(1_000, 1_000))),
        (STANDBY, Some(promoted(2).with(3))),
    ]);
    assert_eq!(told.len(), 1);
    assert!(told[0].planned);
    assert_eq!(
        (told[0].rpo_writes, told[0].rpo_seconds),
        (Some(0), Some(0.0))
    );
}

#[test]
fn a_failover_that_lost_a_canary_was_not_planned() {
    let mut stage = Stage::writing(3);
    let told = stage.looks(&[
        (PRIMARY, Some(read_only(1))),
        (STANDBY, Some(promoted(2).with(2))),
        (STANDBY, Some(promoted(2).with(2))),
    ]);
    assert_eq!((told[0].planned, told[0].rpo_writes), (false, Some(1)));
}

#[test]
fn an_aborted_switchover_leaves_no_trace() {
    let mut stage = Stage::writing(3);
    let none = stage.looks(&[
        (PRIMARY, Some(read_only(1))),
        (PRIMARY, Some(primary(1_000))),
        (PRIMARY, Some(primary(1_000))),
        (PRIMARY, None),
    ]);
    assert_eq!(none, []);
    let told = stage.looks(&[(STANDBY, Some(promoted(2))), (STANDBY, Some(promoted(2)))]);
    assert!(!told[0].planned, "it was writable again since");
}

#[test]
fn a_daemon_that_starts_after_a_failover_does_not_tell_it() {
    let mut stage = Stage::set();
    let none = stage.looks(&[
        (PRIMARY, Some(standby(1_000, 1_000))),
        (STANDBY, Some(promoted(2))),
        (STANDBY, Some(promoted(2))),
        (STANDBY, Some(promoted(2))),
        (PRIMARY, None),
        (STANDBY, Some(promoted(2))),
    ]);
    assert_eq!(none, []);
    // The next one it does.
    let told = stage.looks(&[
        (STANDBY, None),
        (PRIMARY, Some(promoted(3))),
        (PRIMARY, Some(promoted(3))),
    ]);
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].from, &*told[0].to), ("b", "a"));
}

#[test]
fn a_restart_and_a_promotion_of_the_primary_itself_are_none() {
    let mut stage = Stage::writing(3);
    let none = stage.looks(&[
        (PRIMARY, None),
        (PRIMARY, Some(primary(1_000))),
        (PRIMARY, None),
        (PRIMARY, Some(standby(1_000, 1_000))),
        (PRIMARY, Some(promoted(2))),
        (PRIMARY, Some(promoted(2))),
        (PRIMARY, Some(promoted(2))),
    ]);
    assert_eq!(none, []);
}

#[test]
fn failing_back_is_another_failover() {
    let mut stage = Stage::writing(3);
    let there = stage.looks(&[
        (PRIMARY, None),
        (STANDBY, Some(promoted(2))),
        (STANDBY, Some(promoted(2))),
    ]);
    stage.looks(&[(PRIMARY, Some(standby(2_000, 2_000)))]);
    let back = stage.looks(&[
        (STANDBY, Some(read_only(2))),
        (PRIMARY, Some(promoted(3))),
        (STANDBY, Some(standby(1_000, 1_000))),
        (PRIMARY, Some(promoted(3))),
    ]);
    assert_eq!((there.len(), back.len()), (1, 1));
    assert_ne!(there[0].id, back[0].id);
    assert_eq!((&*back[0].from, &*back[0].to), ("b", "a"));
}

#[test]
fn a_split_brain_is_none_until_it_is_over_and_then_nobody_knows_what_is_lost() {
    let mut stage = Stage::writing(3);
    let mut both = Vec::new();
    for _ in 0..3 {
        both.push((STANDBY, Some(promoted(2).with(3))));
        both.push((PRIMARY, Some(primary(1_000).with(3))));
    }
    assert_eq!(stage.looks(&both), []);
    let told = stage.looks(&[
        (PRIMARY, None),
        (STANDBY, Some(promoted(2).with(3))),
        (STANDBY, Some(promoted(2).with(3))),
    ]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].rpo_writes, None);
    assert_eq!(told[0].rpo_unknown, Some(LossUnknown::SplitBrain));
    assert!(!told[0].planned);
}

#[test]
fn looks_that_flap_confirm_nobody() {
    let mut stage = Stage::writing(3);
    stage.looks(&[(PRIMARY, None)]);
    for _ in 0..5 {
        let none = stage.looks(&[(STANDBY, Some(promoted(2))), (STANDBY, None)]);
        assert_eq!(none, []);
    }
    let told = stage.looks(&[(STANDBY, Some(promoted(2))), (STANDBY, Some(promoted(2)))]);
    assert_eq!(told.len(), 1);
}

#[test]
fn what_is_lost_is_unknown_with_its_reason_and_never_none() {
    // Of another life.
    let mut stage = Stage::writing(3);
    let other = Server {
        mark: Some(Mark {
            epoch: Epoch(8),
            seq: 1,
        }),
        ..promoted(2)
    };
    let confirm = |server: &Server| {
        let look = Some(server.clone());
        [(PRIMARY, None), (STANDBY, look.clone()), (STANDBY, look)]
    };
    let told = stage.looks(&confirm(&other));
    assert_eq!(told[0].rpo_unknown, Some(LossUnknown::OtherLife));
    let told = Stage::writing(3).looks(&confirm(&promoted(2)));
    assert_eq!(told[0].rpo_unknown, Some(LossUnknown::OtherLife));

    // The writer failed for a while before the primary did.
    let mut stage = Stage::writing(3);
    for _ in 0..4 {
        stage.wait(10);
        stage.run(PRIMARY, &primary(1_000), false);
    }
    let told = stage.looks(&confirm(&promoted(2).with(3)));
    assert_eq!(told[0].rpo_unknown, Some(LossUnknown::Writer));
    assert_eq!((told[0].rpo_writes, told[0].rpo_seconds), (None, None));
    stage.wait(10);
    assert_eq!(stage.look(STANDBY, &promoted(2)).found, None, "nor the RTO");
}

#[test]
fn writes_without_an_answer_are_not_counted_as_lost() {
    let mut stage = Stage::writing(2);
    // The third takes its number with it.
    let order = stage.pens[PRIMARY].take().expect("an order");
    stage.wait(10);
    stage.fail(PRIMARY);
    assert_eq!(order.seq, 3);
    stage.looks(&[
        (PRIMARY, Some(primary(1_000))),
        (PRIMARY, Some(primary(1_000))),
        (PRIMARY, Some(primary(1_000))),
    ]);
    let told = stage.looks(&[
        (PRIMARY, None),
        (STANDBY, Some(promoted(2).with(1))),
        (STANDBY, Some(promoted(2).with(1))),
    ]);
    let acknowledged = stage.set.figures.canary_writes;
    assert_eq!(told[0].rpo_writes, Some(acknowledged - 1));
}

#[test]
fn every_vantage_names_the_same_failover_alike() {
    let mut one = Stage::writing(5);
    let mut other = Stage::writing(2);
    let a = one.looks(&[
        (PRIMARY, None),
        (STANDBY, Some(promoted(2).with(4))),
        (STANDBY, Some(promoted(2).with(4))),
    ]);
    let b = other.looks(&[
        (PRIMARY, Some(read_only(1))),
        (PRIMARY, None),
        (STANDBY, Some(promoted(2))),
        (STANDBY, None),
        (STANDBY, Some(promoted(2))),
        (STANDBY, Some(promoted(2))),
    ]);
    assert_eq!(a[0].id, b[0].id);
    let mut third = Stage::writing(2);
    let c = third.looks(&[
        (PRIMARY, None),
        (STANDBY, Some(promoted(3))),
        (STANDBY, Some(promoted(3))),
    ]);
    assert_ne!(a[0].id, c[0].id);
}

#[test]
fn a_primary_that_does_not_follow_from_the_one_before_is_no_failover() {
    let mut stage = Stage::writing(3);
    stage.fail(PRIMARY);
    stage.wait(10);
    stage.look(STANDBY, &promoted(1));
    stage.wait(10);
    let changes = stage.look(STANDBY, &promoted(1));
    let replaced = Found::Replaced {
        from: "a".into(),
        to: "b".into(),
    };
    assert_eq!(changes.found, Some(replaced));
}

#[test]
fn a_failover_is_told_alike_while_the_configuration_is_loaded_anew_and_again() {
    let told = |anew: bool| {
        let mut stage = Stage::writing(5);
        let mut told = Vec::new();
        for look in [
            (STANDBY, Some(standby(1_000, 1_000).with(2))),
            (PRIMARY, None),
            (STANDBY, Some(promoted(2).with(2))),
            (STANDBY, Some(promoted(2).with(2))),
            (STANDBY, Some(promoted(2).with(2))),
        ] {
            if anew {
                stage.succeed(&[0, 2, 1], &[0, 1, 2]);
            }
            told.extend(stage.looks(&[look]));
        }
        told
    };
    let failovers = told(true);
    assert_eq!(failovers.len(), 2, "and its update");
    assert_eq!(failovers, told(false));
}
