use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::model::{
    CanaryFacts, DatabaseFacts, Epoch, Facts, Failure, Identity, Laps, Mark, Position, Reason,
    Reply, Role, Sighting, Suppressed, Write, WriteFailure,
};

mod failovers;
mod succession;

const EPOCH: Epoch = Epoch(7);
const INTERVAL: Duration = Duration::from_secs(10);
const PRIMARY: usize = 0;
const STANDBY: usize = 1;
const NOBODY: [usize; 0] = [];

/// A group of three on a clock of its own.
struct Stage {
    set: Set,
    pens: Vec<Arc<Pen>>,
    start: Instant,
    now: Duration,
}

fn named() -> DatabaseSet {
    DatabaseSet {
        group: "shop".into(),
        probe: "orders".into(),
        kind: "postgres",
        source_region: "here".into(),
        canary: true,
    }
}

/// A server as it would answer.
#[derive(Clone)]
struct Server {
    role: Role,
    writable: bool,
    system: u64,
    timeline: u64,
    position: u64,
    received: Option<u64>,
    /// The canary in it.
    mark: Option<Mark>,
}

fn primary(position: u64) -> Server {
    Server {
        role: Role::Primary,
        writable: true,
        system: 1,
        timeline: 1,
        position,
        received: None,
        mark: None,
    }
}

fn standby(received: u64, applied: u64) -> Server {
    Server {
        role: Role::Standby,
        writable: false,
        received: Some(received),
        ..primary(applied)
    }
}

impl Server {
    fn with(self, seq: u64) -> Self {
        let mark = Some(Mark { epoch: EPOCH, seq });
        Self { mark, ..self }
    }
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn set() -> Self {
        let pens: Vec<Arc<Pen>> = (0..3).map(|_| Arc::default()).collect();
        let members = pens.iter().enumerate().map(|(place, pen)| Member {
            target: key(place),
            region: ["a", "b", "c"][place].into(),
            pair: key(place).0.checked_sub(1).map(PairKey),
            pen: Some(Arc::clone(pen)),
        });
        let members = members.collect();
        Self {
            set: Set::new(
                SetKey(0),
                named(),
                members,
                INTERVAL,
                Duration::from_secs(3),
                EPOCH,
            ),
            pens,
            start: Instant::now(),
            now: Duration::ZERO,
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    /// A run that finds the server so and, where it has an order, carries it out if `writes`.
    fn run(&mut self, place: usize, server: &Server, writes: bool) -> Changes {
        let at = self.instant();
        let mut look = ReplicationFacts::new(at, at);
        look.role = server.role;
        look.writable = Some(server.writable);
        look.identity = Some(Identity::System(server.system));
        look.timeline = Some(server.timeline);
        look.position = Some(Position::Lsn(server.position));
        look.received = server.received.map(Position::Lsn);
        let write = self.pens[place].take().map(|order| Write {
            seq: order.seq,
            sent: at,
            outcome: if writes && order.to == look.incarnation() {
                Ok(at)
            } else {
                Err(crate::model::NotWritten::Changed)
            },
        });
        let seen = Sighting {
            asked: at,
            answered: at,
            mark: Ok(server.mark),
        };
        let database = DatabaseFacts {
            replication: Some(Box::new(look)),
            canary: Some(CanaryFacts { seen, write }),
            ..DatabaseFacts::default()
        };
        let facts = Facts {
            database: Some(Box::new(database)),
            ..Facts::default()
        };
        self.end(place, Ok(facts))
    }

    fn fail(&mut self, place: usize) -> Changes {
        self.end(place, Err(Failure::new(Reason::TimeoutConnect, "")))
    }

    fn end(&mut self, place: usize, outcome: Result<Facts, Failure>) -> Changes {
        let at = self.instant();
        self.set.observe(&Sample {
            target: key(place),
            due: at,
            started: at,
            ended: at,
            at: SystemTime::UNIX_EPOCH,
            laps: Laps::default(),
            outcome: outcome.map(|facts| Reply {
                latencies: smallvec::smallvec![],
                facts,
            }),
        })
    }

    fn look(&mut self, place: usize, server: &Server) -> Changes {
        self.run(place, server, true)
    }

    /// Who has an order.
    fn ordered(&self) -> Vec<usize> {
        let has = |pen: &Arc<Pen>| {
            let order = pen.take();
            pen.settle();
            let has = order.is_some();
            pen.order(order);
            has
        };
        (0..3).filter(|place| has(&self.pens[*place])).collect()
    }

    fn pair(&self, place: usize) -> &PairFigures {
        &self.set.members[place].figures
    }
}

fn key(place: usize) -> TargetKey {
    TargetKey(u32::try_from(place).expect("few"))
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn loss_is_what_the_primary_has_beyond_what_the_standby_received_before() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(900, 850));
    assert_eq!(stage.pair(STANDBY).loss_bytes, None, "one side only");
    assert_eq!(stage.pair(STANDBY).apply_bytes, Some(50));
    stage.wait(2);
    let changes = stage.look(PRIMARY, &primary(1_000));
    assert_eq!(stage.pair(STANDBY).loss_bytes, Some(100));
    assert_eq!(stage.pair(STANDBY).identity_mismatch, Some(false));
    let told = changes.pairs.iter().find(|(pair, _)| *pair == PairKey(0));
    assert_eq!(told.map(|(_, figures)| figures.loss_bytes), Some(Some(100)));

    // Neither side alone tells anything; what was told is not kept.
    stage.wait(8);
    stage.fail(PRIMARY);
    assert_eq!(stage.pair(STANDBY).loss_bytes, None);
    assert_eq!(stage.pair(STANDBY).apply_bytes, Some(50));
    stage.look(PRIMARY, &primary(1_000));
    assert_eq!(stage.pair(STANDBY).loss_bytes, Some(100));
    stage.fail(STANDBY);
    assert_eq!(stage.pair(STANDBY), &PairFigures::default());
}

#[test]
fn a_standby_that_was_read_after_the_primary_waits_for_the_next_look() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1_000));
    stage.wait(1);
    // It has more than the primary had then: a difference would be negative, or a lie.
    stage.look(STANDBY, &standby(1_200, 1_200));
    assert_eq!(stage.pair(STANDBY).loss_bytes, None);
    stage.wait(9);
    stage.look(PRIMARY, &primary(1_500));
    assert_eq!(stage.pair(STANDBY).loss_bytes, Some(300));
}

#[test]
fn a_black_hole_shows_as_lag_and_loss_and_an_idle_primary_shows_neither() {
    let mut stage = Stage::set();
    for round in 0..60 {
        stage.look(STANDBY, &standby(1_000, 1_000));
        stage.wait(1);
        stage.look(PRIMARY, &primary(1_000));
        stage.wait(9);
        assert_eq!(stage.pair(STANDBY).loss_bytes, Some(0), "round {round}");
    }
    assert_eq!(stage.pair(STANDBY).lag_ring, Some(secs(0)));
    for round in 1..=6 {
        stage.look(STANDBY, &standby(1_000, 1_000));
        stage.wait(1);
        stage.look(PRIMARY, &primary(1_000 + round * 50));
        stage.wait(9);
        assert_eq!(stage.pair(STANDBY).loss_bytes, Some(round * 50));
    }
    stage.look(STANDBY, &standby(1_000, 1_000));
    assert_eq!(stage.pair(STANDBY).lag_ring, Some(secs(59)));
    stage.fail(PRIMARY);
    stage.look(STANDBY, &standby(1_000, 1_000));
    assert_eq!(
        stage.pair(STANDBY).lag_ring,
        None,
        "nobody knows what the primary has"
    );
}

#[test]
fn paused_replay_is_apply_and_not_loss() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(5_000, 1_000));
    stage.look(PRIMARY, &primary(5_000));
    let figures = stage.pair(STANDBY);
    assert_eq!(
        (figures.loss_bytes, figures.apply_bytes),
        (Some(0), Some(4_000))
    );
}

#[test]
fn the_configured_primary_is_written_to_at_once_and_nobody_else() {
    let mut stage = Stage::set();
    assert_eq!(stage.ordered(), NOBODY);
    stage.look(STANDBY, &standby(1, 1));
    assert_eq!(stage.ordered(), NOBODY);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.set.figures().canary_writes, 1);
    assert_eq!(stage.set.figures().canary_acked_seq, Some(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
}

#[test]
fn two_writable_members_stop_every_write() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    let rogue = Server {
        timeline: 2,
        ..primary(1)
    };
    for _ in 0..3 {
        stage.look(STANDBY, &rogue);
        assert_eq!(stage.ordered(), NOBODY);
        assert_eq!(stage.set.figures().writable, 2);
        stage.run(PRIMARY, &primary(1), false);
        assert_eq!(stage.ordered(), NOBODY);
    }
    let suppressed = stage.set.figures().canary_suppressed;
    assert_eq!(suppressed[Suppressed::TwoWritable as usize], 6);
    // The rogue is made a standby again.
    stage.look(STANDBY, &standby(1, 1));
    assert_eq!(stage.ordered(), [PRIMARY]);
}

#[test]
fn a_new_primary_is_written_to_after_two_looks_that_agree() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    stage.look(STANDBY, &standby(1, 1));
    stage.fail(PRIMARY);
    let promoted = Server {
        timeline: 2,
        ..primary(1)
    };
    stage.look(STANDBY, &promoted);
    assert_eq!(stage.ordered(), NOBODY, "once is not enough");
    let other = Server {
        timeline: 3,
        ..primary(1)
    };
    stage.look(STANDBY, &other);
    assert_eq!(stage.ordered(), NOBODY, "they do not agree");
    stage.look(STANDBY, &other);
    assert_eq!(stage.ordered(), [STANDBY]);
    let suppressed = stage.set.figures().canary_suppressed;
    assert_eq!(suppressed[Suppressed::Unconfirmed as usize], 2);
    // The old one comes back and still thinks that it is the primary.
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), NOBODY);
}

#[test]
fn a_primary_that_was_seen_otherwise_has_to_be_confirmed_again() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    let read_only = Server {
        writable: false,
        ..primary(1)
    };
    stage.look(PRIMARY, &read_only);
    assert_eq!(stage.ordered(), NOBODY);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), NOBODY);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
    // An outage alone is no change: the session that writes looks again anyway.
    stage.fail(PRIMARY);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
}

#[test]
fn another_cluster_behind_a_name_is_told_and_never_written_to() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(1, 1));
    let stranger = Server {
        system: 2,
        ..primary(1)
    };
    stage.look(PRIMARY, &stranger);
    stage.look(PRIMARY, &stranger);
    assert_eq!(stage.ordered(), NOBODY);
    let suppressed = stage.set.figures().canary_suppressed;
    assert_eq!(suppressed[Suppressed::Identity as usize], 2);

    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(9));
    stage.look(
        STANDBY,
        &Server {
            system: 2,
            ..standby(1, 1)
        },
    );
    stage.look(2, &standby(8, 8));
    stage.look(PRIMARY, &primary(9));
    assert_eq!(stage.pair(STANDBY).identity_mismatch, Some(true));
    assert_eq!(
        stage.pair(STANDBY).loss_bytes,
        None,
        "positions of two clusters"
    );
    assert_eq!(stage.pair(2).identity_mismatch, Some(false));
    assert_eq!(
        stage.ordered(),
        [PRIMARY],
        "the other standby vouches for it"
    );
}

#[test]
fn how_far_another_cluster_is_says_nothing_of_ours() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(100));
    stage.look(STANDBY, &standby(100, 100));
    assert_eq!(stage.pair(STANDBY).lag_ring, Some(secs(0)));
    let other = Server {
        system: 2,
        ..standby(50, 50)
    };
    for _ in 0..2 {
        stage.wait(10);
        stage.look(PRIMARY, &primary(100));
        stage.look(STANDBY, &other);
        assert_eq!(stage.pair(STANDBY).lag_ring, None);
    }
}

#[test]
fn the_canary_tells_lag_exposure_and_the_writes_that_would_be_lost() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(1, 1));
    stage.look(PRIMARY, &primary(1));
    let mut shown = 0;
    for round in 1..=10 {
        stage.look(PRIMARY, &primary(1));
        stage.wait(1);
        if round <= 4 {
            shown = round;
        }
        stage.look(STANDBY, &standby(1, 1).with(shown));
        stage.wait(9);
    }
    let figures = stage.pair(STANDBY);
    assert_eq!(stage.set.figures().canary_acked_seq, Some(10));
    assert_eq!(figures.canary_seen_seq, Some(4));
    // Canary 5 was acknowledged at 40 s, the last look was at 91 s; canary 4 was sent at 30 s.
    assert_eq!(figures.lag_canary, Some(secs(51)));
    assert_eq!(figures.rpo_seconds, Some(secs(61)));
}

#[test]
fn a_canary_that_is_seen_tells_how_long_it_took_at_most() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(1, 1));
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    stage.wait(3);
    stage.look(PRIMARY, &primary(1));
    stage.wait(4);
    let changes = stage.look(STANDBY, &standby(1, 1).with(2));
    let took: Vec<_> = changes
        .visible
        .iter()
        .map(|(pair, took)| (*pair, took.as_secs()))
        .collect();
    assert_eq!(took, [(PairKey(0), 7), (PairKey(0), 4)]);
    let again = stage.look(STANDBY, &standby(1, 1).with(2));
    assert_eq!(again.visible, []);

    // What was written while nobody looked may have been visible all the time.
    stage.look(PRIMARY, &primary(1));
    stage.fail(STANDBY);
    let changes = stage.look(STANDBY, &standby(1, 1).with(3));
    assert_eq!(changes.visible, []);
    assert_eq!(stage.pair(STANDBY).canary_seen_seq, Some(3));
}

#[test]
fn a_dead_writer_makes_no_standby_late() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(1, 1));
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    stage.wait(1);
    stage.look(STANDBY, &standby(1, 1).with(1));
    stage.look(PRIMARY, &primary(1));
    for _ in 0..4 {
        stage.wait(10);
        stage.fail(PRIMARY);
        stage.look(STANDBY, &standby(1, 1).with(1));
    }
    let figures = stage.pair(STANDBY);
    assert_eq!(figures.lag_canary, None);
    // The exposure stopped growing with the last write: sent at 0 s, the other at 1 s.
    assert_eq!(figures.rpo_seconds, Some(secs(1)));
}

#[test]
fn a_canary_of_another_life_is_none_of_ours() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    let foreign = Server {
        mark: Some(Mark {
            epoch: Epoch(8),
            seq: 99,
        }),
        ..standby(1, 1)
    };
    stage.wait(5);
    stage.look(STANDBY, &foreign);
    assert_eq!(stage.pair(STANDBY).canary_seen_seq, None);
    assert_eq!(
        stage.pair(STANDBY).lag_canary,
        Some(secs(5)),
        "ours is not there"
    );
    assert_eq!(
        stage.pair(STANDBY).rpo_seconds,
        None,
        "not known since when"
    );
}

#[test]
fn a_member_may_show_any_number() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    for shown in [u64::MAX, u64::MAX, 1] {
        stage.look(STANDBY, &standby(1, 1).with(shown));
        assert_eq!(stage.pair(STANDBY).canary_seen_seq, Some(shown));
    }
}

#[test]
fn a_write_without_an_answer_uses_up_its_number() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    // The order is taken and the run ends without a word.
    let order = stage.pens[PRIMARY].take().expect("an order");
    assert_eq!(order.seq, 1);
    stage.fail(PRIMARY);
    let failures = stage.set.figures().canary_failures;
    assert_eq!(failures[WriteFailure::NoAnswer as usize], 1);
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.set.figures().canary_acked_seq, Some(2));

    // A run that never came to take its order lost nothing.
    stage.fail(PRIMARY);
    assert_eq!(stage.set.figures().canary_failures, failures);
}

#[test]
fn a_server_that_changed_under_the_order_is_not_written_to() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    stage.look(
        PRIMARY,
        &Server {
            timeline: 2,
            ..primary(1)
        },
    );
    assert_eq!(stage.set.figures().canary_writes, 0);
    let suppressed = stage.set.figures().canary_suppressed;
    assert_eq!(suppressed[Suppressed::Changed as usize], 1);
    assert_eq!(suppressed[Suppressed::Unconfirmed as usize], 1);
    assert_eq!(stage.ordered(), NOBODY);
}

#[test]
fn a_look_is_forgotten_when_none_follows() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(900, 900));
    stage.look(PRIMARY, &primary(1_000));
    stage.look(2, &primary(1_000));
    assert_eq!(stage.set.figures().writable, 2);
    stage.wait(34);
    let changes = stage.look(PRIMARY, &primary(1_000));
    assert_eq!(stage.set.figures().writable, 1);
    assert_eq!(stage.pair(STANDBY), &PairFigures::default());
    assert!(
        changes
            .pairs
            .contains(&(PairKey(0), PairFigures::default()))
    );
}

/// The standby that was promoted shares its slot with the other one: their runs overlap.
#[test]
fn looks_that_always_overlap_are_paired_all_the_same() {
    let mut stage = Stage::set();
    let other = 2;
    let both = |stage: &mut Stage, position: u64| {
        let at = stage.instant();
        for (place, server, asked, answered) in [
            (other, standby(1_000, 1_000), 1, 5),
            (STANDBY, primary(position), 2, 6),
        ] {
            let mut look = ReplicationFacts::new(
                at + Duration::from_millis(asked),
                at + Duration::from_millis(answered),
            );
            look.role = server.role;
            look.writable = Some(server.writable);
            look.identity = Some(Identity::System(1));
            look.position = Some(Position::Lsn(server.position));
            look.received = server.received.map(Position::Lsn);
            let database = DatabaseFacts {
                replication: Some(Box::new(look)),
                ..DatabaseFacts::default()
            };
            let facts = Facts {
                database: Some(Box::new(database)),
                ..Facts::default()
            };
            stage.end(place, Ok(facts));
        }
        stage.wait(10);
    };
    for round in 0..10 {
        both(&mut stage, 1_000 + round * 50);
    }
    // The last look ended too late: the one before had 1,000, when the primary had 1,450 already.
    assert_eq!(stage.pair(other).loss_bytes, Some(450));
}

/// It may have received what the new primary never had: no position tells.
#[test]
fn a_standby_that_follows_the_old_timeline_has_no_loss_to_tell() {
    let mut stage = Stage::set();
    stage.look(2, &standby(900, 900));
    stage.look(PRIMARY, &primary(1_000));
    stage.fail(PRIMARY);
    let promoted = Server {
        timeline: 2,
        ..primary(800)
    };
    for _ in 0..3 {
        stage.wait(10);
        stage.look(2, &standby(900, 900));
        stage.look(STANDBY, &promoted);
    }
    stage.look(2, &standby(900, 900));
    let figures = stage.pair(2);
    assert_eq!((figures.loss_bytes, figures.lag_ring), (None, None));
    assert_eq!(figures.identity_mismatch, Some(false));
    let follows = Server {
        timeline: 2,
        ..standby(790, 790)
    };
    stage.look(2, &follows);
    stage.look(STANDBY, &promoted);
    assert_eq!(stage.pair(2).loss_bytes, Some(10));
}

/// The daemon came when the standby was late already, nobody knows since when.
#[test]
fn a_lag_that_is_older_than_the_daemon_is_at_least_so_long() {
    let mut stage = Stage::set();
    let mut round = |applied: u64, position: u64| {
        stage.look(STANDBY, &standby(2_000, applied));
        let figures = stage.pair(STANDBY);
        let told = (figures.lag_ring, figures.lag_ring_at_least);
        stage.look(PRIMARY, &primary(position));
        stage.wait(10);
        told
    };
    assert_eq!(round(500, 1_000), (None, false));
    assert_eq!(round(500, 1_100), (Some(secs(10)), true));
    assert_eq!(round(500, 1_200), (Some(secs(20)), true));
    // It has what was there at first, and the rest is as late as it is.
    assert_eq!(round(1_000, 1_300), (Some(secs(20)), false));
    assert_eq!(round(1_300, 1_400), (Some(secs(0)), false));
}

/// What the primary wrote while nobody saw it may be as old as that time.
#[test]
fn a_lag_from_a_time_when_the_primary_was_not_seen_is_at_least_so_long() {
    let mut stage = Stage::set();
    for look in 0..3 {
        stage.look(STANDBY, &standby(1_000, 1_000));
        stage.look(PRIMARY, &primary(1_000 + look));
        stage.wait(10);
    }
    let told = |stage: &Stage| {
        let figures = stage.pair(STANDBY);
        (figures.lag_ring, figures.lag_ring_at_least)
    };
    stage.look(STANDBY, &standby(1_001, 1_001));
    stage.fail(PRIMARY);
    stage.wait(10);
    stage.look(PRIMARY, &primary(1_003));
    stage.wait(10);
    stage.look(STANDBY, &standby(1_002, 1_002));
    assert_eq!(told(&stage), (Some(secs(10)), false), "one look was lost");
    stage.look(STANDBY, &standby(1_003, 1_003));
    stage.fail(PRIMARY);
    stage.wait(3_600);
    stage.look(PRIMARY, &primary(9_000));
    stage.wait(10);
    stage.look(STANDBY, &standby(9_000, 1_003));
    assert_eq!(told(&stage), (Some(secs(10)), true));
}

/// What it lacks is not forgotten while it cannot be asked: not even if the others have it.
#[test]
fn a_standby_that_was_silent_is_as_late_as_it_is() {
    let mut stage = Stage::set();
    let round = |stage: &mut Stage, position: u64| {
        stage.look(2, &standby(position, position));
        stage.look(PRIMARY, &primary(position));
        stage.wait(10);
    };
    stage.look(STANDBY, &standby(1_000, 1_000));
    round(&mut stage, 1_000);
    stage.fail(STANDBY);
    for position in [1_100, 1_200, 1_200, 1_200, 1_200] {
        round(&mut stage, position);
    }
    stage.look(STANDBY, &standby(1_000, 1_000));
    assert_eq!(stage.pair(STANDBY).lag_ring, Some(secs(50)));
    // One that all had, and that one of them has lost again.
    stage.look(STANDBY, &standby(1_200, 1_200));
    round(&mut stage, 1_200);
    stage.look(STANDBY, &standby(1_000, 1_000));
    let lag = stage.pair(STANDBY).lag_ring;
    assert_eq!(lag, Some(secs(50)), "since 1,200 was seen first");
}

/// The number comes from a server, which can say anything.
#[test]
fn a_number_that_was_never_given_is_borne() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    for _ in 0..3 {
        stage.look(PRIMARY, &primary(1));
        stage.look(STANDBY, &standby(1, 1).with(u64::MAX));
    }
    assert_eq!(stage.pair(STANDBY).canary_seen_seq, Some(u64::MAX));
    stage.look(STANDBY, &standby(1, 1).with(3));
    assert_eq!(stage.pair(STANDBY).canary_seen_seq, Some(3));
}

#[test]
fn an_order_ends_with_the_look_that_it_was_given_for() {
    let mut stage = Stage::set();
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
    stage.wait(33);
    stage.set.expire(stage.instant());
    assert_eq!(stage.ordered(), [PRIMARY], "still good");
    stage.wait(1);
    stage.set.expire(stage.instant());
    assert_eq!(stage.ordered(), NOBODY);
    stage.look(PRIMARY, &primary(1));
    assert_eq!(stage.ordered(), [PRIMARY]);
}

/// Whether the primary is dead or its canary alone fails: as long as it answers, others may write.
#[test]
fn the_exposure_grows_while_the_primary_lives_and_its_canary_does_not() {
    let mut stage = Stage::set();
    stage.look(STANDBY, &standby(1, 1));
    stage.look(PRIMARY, &primary(1));
    stage.look(PRIMARY, &primary(1));
    stage.wait(1);
    stage.look(STANDBY, &standby(1, 1).with(1));
    for _ in 0..6 {
        stage.wait(10);
        stage.look(STANDBY, &standby(1, 1).with(1));
        stage.run(PRIMARY, &primary(2), false);
    }
    stage.look(STANDBY, &standby(1, 1).with(1));
    assert_eq!(stage.pair(STANDBY).rpo_seconds, Some(secs(61)));
    stage.fail(PRIMARY);
    for _ in 0..3 {
        stage.wait(10);
        stage.look(STANDBY, &standby(1, 1).with(1));
        stage.fail(PRIMARY);
    }
    assert_eq!(stage.pair(STANDBY).rpo_seconds, Some(secs(61)), "it ended");
}
