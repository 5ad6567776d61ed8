//! The configuration is loaded anew while the daemon runs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::evaluate::sets::Sets;

/// A set of these targets, the first of which is the configured primary, with these pens.
fn of(targets: &[usize], pens: &[Arc<Pen>]) -> Set {
    let members = targets.iter().map(|place| Member {
        target: key(*place),
        region: ["a", "b", "c"][place % 3].into(),
        pair: (place % 3 > 0).then(|| PairKey(key(*place).0 % 3 - 1)),
        pen: Some(Arc::clone(&pens[place % 3])),
    });
    let members = members.collect();
    let timeout = Duration::from_secs(3);
    Set::new(SetKey(0), named(), members, INTERVAL, timeout, EPOCH)
}

impl Stage {
    /// Another configuration with these targets; those that have another pen come with a new one.
    pub(super) fn succeed(&mut self, targets: &[usize], other_pens: &[usize]) {
        for place in other_pens {
            self.pens[*place] = Arc::default();
        }
        let former = std::mem::replace(&mut self.set, of(targets, &self.pens));
        self.set.succeed(former);
    }

    /// A primary with canaries, which both standbys have.
    fn at_work() -> Self {
        let mut stage = Self::set();
        for round in 0..4 {
            stage.look(STANDBY, &standby(1_000, 900).with(round));
            stage.look(2, &standby(1_000, 900).with(round));
            stage.wait(1);
            stage.look(PRIMARY, &primary(1_050).with(round));
            stage.wait(9);
        }
        stage
    }

    /// The number of the order that the member has.
    fn order_of(&self, place: usize) -> Option<u64> {
        let order = self.pens[place].take();
        self.pens[place].settle();
        let seq = order.as_ref().map(|order| order.seq);
        self.pens[place].order(order);
        seq
    }
}

#[test]
fn another_target_of_a_standby_begins_anew_and_the_others_go_on() {
    let mut stage = Stage::at_work();
    let before = stage.pair(2).clone();
    assert!(before.loss_bytes.is_some() && before.lag_canary.is_some());
    let old = Arc::clone(&stage.pens[STANDBY]);
    stage.succeed(&[0, 4, 2], &[STANDBY]);
    assert_eq!(stage.pair(2), &before);
    assert_eq!(stage.pair(STANDBY), &PairFigures::default());
    assert_eq!(old.take(), None);
    // The primary is still known, and its canaries go on.
    assert_eq!(stage.ordered(), [PRIMARY]);
    let changes = stage.look(PRIMARY, &primary(1_100).with(4));
    assert!(changes.of_primary);
    let set = changes.set.expect("told");
    assert_eq!((set.canary_writes, set.writable), (4, 1));
    assert!(stage.pair(2).loss_bytes > before.loss_bytes);
}

#[test]
fn without_the_primarys_target_nothing_is_concluded_any_more() {
    let mut stage = Stage::at_work();
    let old = Arc::clone(&stage.pens[PRIMARY]);
    stage.succeed(&[3, 1, 2], &[PRIMARY]);
    assert_eq!(old.take(), None);
    assert_eq!(stage.ordered(), NOBODY);
    assert_eq!(stage.set.primary_region(), None);
    let told = stage.set.told();
    let set = told.set.expect("of the others something is known");
    assert_eq!((set.canary_writes, set.canary_acked_seq), (3, None));
    for (_, figures) in told.pairs {
        let expected = PairFigures {
            apply_bytes: Some(100),
            ..PairFigures::default()
        };
        assert_eq!(figures, expected);
    }
}

/// One that came again would be taken for the one that the standbys have long.
#[test]
fn no_number_of_a_canary_comes_again() {
    let stage = Stage::at_work();
    let pens: Vec<_> = (0..3).map(|_| Arc::default()).collect();
    let mut sets = Sets::new(vec![stage.set]);
    // One may be under way.
    let taken = stage.pens[PRIMARY].take().expect("an order").seq;
    sets.succeed(Vec::new());
    sets.succeed(vec![of(&[3, 4, 5], &pens)]);
    let mut stage = Stage {
        pens,
        ..Stage::set()
    };
    sets.all()
        .swap_with_slice(std::slice::from_mut(&mut stage.set));
    let at = stage.instant();
    let mut look = ReplicationFacts::new(at, at);
    look.role = Role::Primary;
    look.writable = Some(true);
    let database = DatabaseFacts {
        replication: Some(Box::new(look)),
        ..DatabaseFacts::default()
    };
    let facts = Facts {
        database: Some(Box::new(database)),
        ..Facts::default()
    };
    stage.end(3, Ok(facts));
    assert!(stage.order_of(PRIMARY) > Some(taken));
}

#[test]
fn what_became_of_an_order_is_open_over_a_new_pen_too() {
    let mut stage = Stage::at_work();
    let old = Arc::clone(&stage.pens[PRIMARY]);
    let taken = old.take().expect("an order").seq;
    stage.succeed(&[0, 1, 2], &[PRIMARY]);
    assert_eq!(stage.pens[PRIMARY].take(), None);
    let no_answer =
        |stage: &Stage| stage.set.figures.canary_failures[WriteFailure::NoAnswer as usize];
    assert_eq!(no_answer(&stage), 0);
    stage.fail(PRIMARY);
    assert_eq!(no_answer(&stage), 1);
    stage.look(PRIMARY, &primary(1_100));
    stage.wait(1);
    stage.look(PRIMARY, &primary(1_100));
    assert!(stage.order_of(PRIMARY) > Some(taken + 1));
    assert_eq!(old.take(), None);
}

#[test]
fn a_set_that_is_gone_writes_no_canary_any_more() {
    let stage = Stage::at_work();
    assert_eq!(stage.ordered(), [PRIMARY]);
    let mut sets = Sets::new(vec![stage.set]);
    sets.succeed(Vec::new());
    assert_eq!(stage.pens[PRIMARY].take(), None);
}

/// One step of a story.
#[derive(Clone, Debug)]
struct Step {
    place: usize,
    what: u8,
    position: u64,
    wait: u64,
    succession: Option<(bool, Vec<usize>)>,
}

fn step() -> impl Strategy<Value = Step> {
    let pens = proptest::collection::vec(0_usize..3, 0..3);
    let succession = proptest::option::of((any::<bool>(), pens));
    (0_usize..3, 0_u8..8, 0_u64..300, 1_u64..15, succession).prop_map(
        |(place, what, position, wait, succession)| Step {
            place,
            what,
            position,
            wait,
            succession,
        },
    )
}

fn play(stage: &mut Stage, step: &Step) -> Changes {
    stage.wait(step.wait);
    let behind = 1_000 + step.position;
    let mark = step.position % 5;
    let mut changes = match (step.place, step.what) {
        (_, 0) => stage.fail(step.place),
        (PRIMARY, 1) => stage.look(PRIMARY, &standby(behind, behind)),
        (PRIMARY, 2) => stage.run(PRIMARY, &primary(behind), false),
        (PRIMARY, _) => stage.look(PRIMARY, &primary(behind).with(mark)),
        (place, 1 | 2) => {
            let promoted = Server {
                timeline: 2,
                ..primary(behind)
            };
            stage.look(place, &promoted.with(mark))
        }
        (place, _) => stage.look(place, &standby(behind, behind - 50).with(mark)),
    };
    // What is told last of a pair counts, in whichever order.
    let told: BTreeMap<_, _> = std::mem::take(&mut changes.pairs).into_iter().collect();
    changes.pairs = told.into_iter().collect();
    changes.visible.sort_unstable();
    changes
}

proptest! {
    /// Whatever happens, a configuration with the same members changes nothing: not in another order,
    /// and not with new pens.
    #[test]
    fn the_same_members_go_on_as_if_nothing_were(story in proptest::collection::vec(step(), 1..60)) {
        let mut one = Stage::set();
        let mut other = Stage { start: one.start, ..Stage::set() };
        for step in &story {
            if let Some((turned, pens)) = &step.succession {
                let targets = if *turned { [0, 2, 1] } else { [0, 1, 2] };
                other.succeed(&targets, pens);
            }
            prop_assert_eq!(play(&mut one, step), play(&mut other, step));
            prop_assert_eq!(one.ordered(), other.ordered());
            prop_assert_eq!(one.order_of(PRIMARY), other.order_of(PRIMARY));
        }
    }
}
