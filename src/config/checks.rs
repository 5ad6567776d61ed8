//! The checks that come with every kind of probe, and with every group, without being listed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Beyond, Bound, CheckKind, GateKind, Objectives, PlannedCheck, Unit};

/// A check that comes without being listed.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultCheck {
    /// The kinds of probes that bring it; empty for one that every group has.
    pub of: &'static [&'static str],
    /// Its name.
    pub name: &'static str,
    /// What is asked.
    pub kind: CheckKind,
    /// What it counts for.
    pub gate: GateKind,
    /// Good answers in a row after which it passes.
    pub rise: u32,
    /// Bad answers in a row after which it fails.
    pub fall: u32,
    /// Beyond which value the answer is bad.
    pub bound: Option<DefaultBound>,
    /// What must be configured for the question to arise.
    pub needs: Need,
    /// The checks of the same probe that it builds on.
    pub parents: &'static [&'static str],
}

/// The bound of a check before anyone has tuned it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DefaultBound {
    /// On which side of the limit values are bad; `None`: on the one whose limit is set.
    pub beyond: Option<Beyond>,
    /// What it is measured in.
    pub unit: Unit,
    /// The limit.
    pub limit: Limit,
    /// From which value on it is worth less than everything if it is scored.
    pub warn: Option<f64>,
}

/// Where a limit comes from that nobody sets. A check whose limit is not known is not asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// From here.
    At(f64),
    /// It is the group's objective for loss.
    Rpo,
    /// It is the group's objective for time.
    Rto,
    /// From nowhere: there is none that would be sensible everywhere.
    Unset,
}

/// What a check needs to be asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing more.
    Nothing,
    /// That the probe speaks TLS with a standby.
    Tls,
    /// That the probe reads versions.
    Version,
    /// That the probe asks a database for its replication.
    Replication,
    /// That the probe has a canary.
    Canary,
    /// That the group says which laws it may be under.
    Jurisdictions,
}

const DATABASES: &[&str] = &["postgres", "mysql", "redis"];
/// Those whose positions are counted in bytes.
const IN_BYTES: &[&str] = &["postgres", "redis"];
const NONE: &[&str] = &[];

/// How far back a latency or a loss is looked at.
const WINDOW: Duration = Duration::from_mins(5);
const DAY: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;

/// Every check that comes without being listed; each after those that it builds on.
///
/// Thresholds are those at which operators and HA managers act: see `docs/configuration.md`, which
/// has this table with the reasons, and a test that the two are the same.
pub const DEFAULTS: &[DefaultCheck] = &[
    check(&["ping", "tcp"], "reachable", CheckKind::Reachable),
    check(&["http"], "healthy", CheckKind::Healthy),
    check(&["dns"], "answers", CheckKind::Answers),
    check(DATABASES, "reachable", CheckKind::Reachable),
    check(&["ping"], "loss", CheckKind::PacketLoss { over: WINDOW })
        .scored()
        .above(Unit::Ratio, Limit::At(0.05))
        .warn(0.01)
        .on(&["reachable"]),
    check(&["ping", "tcp"], "latency", LATENCY)
        .scored()
        .above(Unit::Seconds, Limit::Unset)
        .on(&["reachable"]),
    check(&["http"], "latency", LATENCY)
        .scored()
        .above(Unit::Seconds, Limit::Unset)
        .on(&["healthy"]),
    check(&["dns"], "latency", LATENCY)
        .scored()
        .above(Unit::Seconds, Limit::Unset)
        .on(&["answers"]),
    check(DATABASES, "latency", LATENCY)
        .scored()
        .above(Unit::Seconds, Limit::Unset)
        .on(&["reachable"]),
    check(&["http"], "certificate", CheckKind::Certificate)
        .at_once()
        .below(Unit::Seconds, Limit::At(7.0 * DAY))
        .warn(30.0 * DAY)
        .needs(Need::Tls)
        .on(&["healthy"]),
    check(&["tcp"], "certificate", CheckKind::Certificate)
        .at_once()
        .below(Unit::Seconds, Limit::At(7.0 * DAY))
        .warn(30.0 * DAY)
        .needs(Need::Tls)
        .on(&["reachable"]),
    check(&["http"], "version", CheckKind::Version)
        .scored()
        .at_once()
        .above(Unit::Seconds, Limit::At(900.0))
        .needs(Need::Version)
        .on(&["healthy"]),
    check(&["dns"], "ttl", CheckKind::Ttl)
        .at_once()
        .above(Unit::Seconds, Limit::At(300.0))
        .warn(60.0)
        .on(&["answers"]),
    replicated(DATABASES, "identity", CheckKind::Identity)
        .safety()
        .on(&["reachable"]),
    replicated(DATABASES, "single_primary", CheckKind::SinglePrimary)
        .safety()
        .on(&["reachable"]),
    replicated(&["postgres"], "config", CheckKind::Config)
        .at_once()
        .on(&["reachable"]),
    replicated(DATABASES, "role", CheckKind::Role)
        .safety()
        .on(&["reachable"]),
    replicated(&["postgres"], "slot", CheckKind::Slot)
        .at_once()
        .on(&["role"]),
    replicated(&["mysql"], "errant", CheckKind::Errant)
        .safety()
        .on(&["role"]),
    replicated(&["mysql"], "unrecoverable", CheckKind::Unrecoverable)
        .at_once()
        .on(&["role"]),
    replicated(&["postgres", "mysql"], "link", CheckKind::Link)
        .above(Unit::Seconds, Limit::At(45.0))
        .on(&["role"]),
    replicated(&["redis"], "link", CheckKind::Link)
        .above(Unit::Seconds, Limit::At(20.0))
        .on(&["role"]),
    replicated(
        IN_BYTES,
        "loss",
        CheckKind::LossBytes {
            writes: Some(Duration::from_secs(10)),
        },
    )
    .above(Unit::Bytes, Limit::At(16.0 * MIB))
    .on(&["link"]),
    replicated(&["mysql"], "loss", CheckKind::LossTransactions)
        .above(Unit::Count, Limit::At(1000.0))
        .on(&["link"]),
    replicated(IN_BYTES, "apply", CheckKind::Apply)
        .scored()
        .above(Unit::Bytes, Limit::At(64.0 * MIB))
        .on(&["link"]),
    replicated(DATABASES, "lag", CheckKind::Lag)
        .above(Unit::Seconds, Limit::Rpo)
        .on(&["link"]),
    replicated(DATABASES, "canary", CheckKind::Canary)
        .above(Unit::Seconds, Limit::Rpo)
        .needs(Need::Canary)
        .on(&["link"]),
    replicated(&["redis"], "keys", CheckKind::Keys { least: 1000 })
        .below(Unit::Ratio, Limit::At(0.5))
        .on(&["link"]),
    check(&["prometheus"], "value", CheckKind::Value).either(Unit::Number),
    check(&["patroni"], "manager", CheckKind::Manager).scored(),
    check(
        NONE,
        "jurisdiction",
        CheckKind::Jurisdiction {
            outside: Vec::new(),
        },
    )
    .at_once()
    .needs(Need::Jurisdictions),
    check(NONE, "hold", CheckKind::Hold).at_once(),
    check(NONE, "drill_age", CheckKind::DrillAge)
        .scored()
        .at_once()
        .above(Unit::Seconds, Limit::Unset),
    check(NONE, "rto", CheckKind::Rto)
        .scored()
        .at_once()
        .above(Unit::Seconds, Limit::Rto),
];

const LATENCY: CheckKind = CheckKind::Latency {
    quantile: 0.95,
    over: WINDOW,
};

/// A gate that answers over a network: see [`crate::model::PlannedCheck`] for rise and fall.
const fn check(of: &'static [&'static str], name: &'static str, kind: CheckKind) -> DefaultCheck {
    DefaultCheck {
        of,
        name,
        kind,
        gate: GateKind::Hard,
        rise: 2,
        fall: 3,
        bound: None,
        needs: Need::Nothing,
        parents: &[],
    }
}

/// The same of what a database tells of its replication.
const fn replicated(
    of: &'static [&'static str],
    name: &'static str,
    kind: CheckKind,
) -> DefaultCheck {
    check(of, name, kind).needs(Need::Replication)
}

impl DefaultCheck {
    /// Not a gate: an estimate, or what makes a failover slow and not impossible.
    const fn scored(mut self) -> Self {
        self.gate = GateKind::Scored;
        self
    }

    /// One sight is enough, and it takes several to believe that it is over.
    const fn safety(mut self) -> Self {
        (self.rise, self.fall) = (5, 1);
        self
    }

    /// It is no chance event: what is seen is so.
    const fn at_once(mut self) -> Self {
        (self.rise, self.fall) = (1, 1);
        self
    }

    const fn above(self, unit: Unit, limit: Limit) -> Self {
        self.bounded(Some(Beyond::Above), unit, limit)
    }

    const fn below(self, unit: Unit, limit: Limit) -> Self {
        self.bounded(Some(Beyond::Below), unit, limit)
    }

    /// Bad on the side whose limit somebody sets.
    const fn either(self, unit: Unit) -> Self {
        self.bounded(None, unit, Limit::Unset)
    }

    const fn bounded(mut self, beyond: Option<Beyond>, unit: Unit, limit: Limit) -> Self {
        self.bound = Some(DefaultBound {
            beyond,
            unit,
            limit,
            warn: None,
        });
        self
    }

    const fn warn(mut self, warn: f64) -> Self {
        if let Some(bound) = &mut self.bound {
            bound.warn = Some(warn);
        }
        self
    }

    const fn needs(mut self, needs: Need) -> Self {
        self.needs = needs;
        self
    }

    const fn on(mut self, parents: &'static [&'static str]) -> Self {
        self.parents = parents;
        self
    }

    /// Where its limit comes from.
    pub(super) fn limit(&self) -> Limit {
        self.bound.map_or(Limit::Unset, |bound| bound.limit)
    }

    /// The check of the given probe, or of the group if that is empty; with its own limit unless
    /// one is given. `None` if there is no limit.
    pub(super) fn planned(
        &self,
        probe: Arc<str>,
        limit: Option<(Beyond, f64)>,
        objectives: Objectives,
    ) -> Option<PlannedCheck> {
        let bound = match self.bound {
            None => None,
            Some(bound) => {
                let own = || bound.beyond.zip(bound.limit.of(objectives));
                Some(bound.planned(limit.or_else(own)?))
            }
        };
        Some(PlannedCheck {
            name: self.name.into(),
            probe,
            kind: self.kind.clone(),
            bound,
            gate: self.gate,
            rise: count(self.rise),
            fall: count(self.fall),
            parents: self.parents,
        })
    }
}

impl Limit {
    fn of(self, objectives: Objectives) -> Option<f64> {
        match self {
            Self::At(limit) => Some(limit),
            Self::Rpo => objectives.rpo.map(|rpo| rpo.as_secs_f64()),
            Self::Rto => objectives.rto.map(|rto| rto.as_secs_f64()),
            Self::Unset => None,
        }
    }
}

impl DefaultBound {
    /// With this limit; without the warning if that is beyond it.
    fn planned(self, (beyond, limit): (Beyond, f64)) -> Bound {
        let bound = Bound {
            beyond,
            unit: self.unit,
            limit,
            warn: None,
        };
        let warn = self.warn.filter(|warn| bound.warns_at(*warn));
        Bound { warn, ..bound }
    }
}

/// A count that was checked to be at least one.
pub(super) fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_has_two_checks_of_one_name_and_parents_come_first() {
        let kinds = DEFAULTS.iter().flat_map(|check| check.of);
        for kind in kinds {
            let mut seen: Vec<&str> = Vec::new();
            for check in DEFAULTS.iter().filter(|check| check.of.contains(kind)) {
                assert!(!seen.contains(&check.name), "{kind} {}", check.name);
                for parent in check.parents {
                    assert!(seen.contains(parent), "{kind} {}: {parent}", check.name);
                }
                seen.push(check.name);
            }
        }
    }

    #[test]
    fn a_kind_of_probe_that_has_no_check_of_its_own_can_be_reached_or_not() {
        for kind in crate::probe::Check::KINDS {
            let own = DEFAULTS.iter().filter(|check| check.of.contains(kind));
            let roots = own.filter(|check| check.parents.is_empty());
            let roots: Vec<_> = roots.collect();
            // That the standby is bad is another manager's opinion.
            let gate = match *kind {
                "patroni" => GateKind::Scored,
                _ => GateKind::Hard,
            };
            assert!(
                matches!(roots.as_slice(), [root] if root.gate == gate),
                "{kind}: {roots:?}"
            );
        }
    }

    #[test]
    fn warnings_are_on_the_good_side_of_the_limit() {
        for check in DEFAULTS {
            if let Some(DefaultBound {
                limit: Limit::At(limit),
                warn: Some(warn),
                beyond: Some(beyond),
                unit,
            }) = check.bound
            {
                let bound = Bound {
                    beyond,
                    unit,
                    limit,
                    warn: None,
                };
                assert!(
                    bound.admits(warn) && warn.total_cmp(&limit).is_ne(),
                    "{}",
                    check.name
                );
            }
        }
    }
}
