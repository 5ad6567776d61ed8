//! Standbys: what each vantage says, why, what a failover would cost, and what the last one did.

use serde_json::json;

use super::kit::{
    Annotation, Colour, Dashboard, Look, Panel, Query, Thresholds, Variable, collapsed_row, row,
};
use super::{overview, states};

/// Records of the global set know no daemon: they are what all say.
const AGREED: &str = r#"{group=~"$group",standby=~"$standby"}"#;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "hotspare-readiness",
        "Hotspare / Readiness",
        "Whether a standby could take over, why not, what a failover would cost, and what the last one did.",
    )
    .chooses(Variable::groups())
    .chooses(Variable::standbys())
    .marks(overview::failovers())
    .marks(drills())
    .has(row("Could it take over?", vec![verdicts(), vantages(), over_time()]))
    .has(row("Why not?", vec![failing(), failing_over_time()]))
    .has(row(
        "What would be lost",
        vec![lost_seconds(), lost_bytes(), lag()],
    ))
    .has(row(
        "How long it would take",
        vec![stages_over_time(), totals(), stages()],
    ))
    .has(row(
        "Which one is best",
        vec![ranks(), scores(), comparisons()],
    ))
    .has(row("When the primary is lost, and holds", vec![promotion(), holds()]))
    .has(row(
        "Failovers and drills",
        vec![last_failovers(), failovers(), last_drills()],
    ))
    .has(collapsed_row("All checks", vec![checks()]))
}

/// The time in which a drill is announced anywhere.
fn drills() -> Annotation {
    Annotation::during(
        "Drills",
        "blue",
        "max by (group, kind) (hotspare_drill_in_progress{GROUP}) == 1",
        ("Drill of {{group}}", "{{kind}}"),
    )
}

fn verdicts() -> Panel {
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("Value #A", "Agreed"),
        ("Value #B", "Say ready"),
        ("Value #C", "Needed"),
        ("Value #D", "Heard"),
        ("Value #E", "Expected"),
        ("Value #F", "Was ready"),
        ("Value #G", "Worst"),
    ];
    let agreed = |record: &str| {
        Query::rows(&format!(
            "max by (group, standby) (group_standby:{record}{AGREED})"
        ))
    };
    Panel::table("Verdict", &columns, vec![
        Query::rows(&states::agreed()),
        agreed("hotspare_vantages_ready:sum"),
        agreed("hotspare_vantages_needed:max"),
        agreed("hotspare_vantages_fresh:sum"),
        Query::rows("max by (group, standby) (hotspare_vantages_expected{STANDBY})"),
        Query::rows(&format!("avg by (group, standby) (avg_over_time(group_standby:hotspare_failover_ready:quorum{AGREED}[$__range]))")),
        Query::rows(&states::of_standbys("group, standby")),
    ])
    .says("Agreed: ready if as many vantages as needed say so. Silent vantages count against it: heard are those whose judgement goes on, expected those of the configuration. Worst: what the least content vantage says. All but expected and worst need the rules of the global set; an empty cell is not ready. Was ready: by agreement, of the recorded part of the time range.")
    .size(16, 7)
    .words("Agreed", &states::STANDBY)
    .words("Worst", &states::STANDBY)
    .field("Was ready", &[("unit", json!("percentunit")), ("decimals", json!(2))])
    .sorted("Worst", true)
    .or_says("no standby")
}

fn vantages() -> Panel {
    let state = states::of_standbys("group, standby, source_region");
    Panel::cross(
        "What each vantage says",
        &format!(r#"label_join({state}, "Standby", " ", "group", "standby")"#),
        ["Standby", "source_region"],
    )
    .says("A row for each standby, a column for the region of each vantage. One that differs from the others is most often cut off. An empty cell: this vantage says nothing, which is not ready.")
    .size(8, 7)
    .in_words(&states::STANDBY)
    .or_says("no vantage")
}

fn over_time() -> Panel {
    Panel::timeline("Verdicts", &states::STANDBY)
        .says("What all agree on, where the rules of the global set are, and what each vantage says. A gap: nobody said anything, which is not ready. Choose a standby if these are too many rows.")
        .size(24, 9)
        .query(Query::range(&states::agreed(), "{{group}} {{standby}}: agreed"))
        .query(Query::range(
            &states::of_standbys("group, standby, source_region"),
            "{{group}} {{standby}} from {{source_region}}",
        ))
        .or_says("no vantage says anything")
}

/// What tells a check of a standby and a vantage from all others; the group's own checks are of no
/// probe.
const CHECK_AT: &str = "group, standby, probe, check, source_region";

/// A query of a column of the table of checks, for those that do not pass.
fn of_failing(series: &str) -> Query {
    Query::rows(&format!(
        r#"label_replace({series} and on ({CHECK_AT}) (max by ({CHECK_AT}) (hotspare_readiness_check{{STANDBY,state=~"fail|unknown|stale"}}) == 1), "probe", "(group)", "probe", "")"#
    ))
}

fn failing() -> Panel {
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("probe", "Probe"),
        ("check", "Check"),
        ("gate", "Gate"),
        ("source_region", "From"),
        ("Value #A", "State"),
        ("reason", "Reason"),
        ("Value #C", "Value"),
        ("Value #D", "Limit"),
        ("Value #E", "Last answer"),
        ("Value #F", "Changes"),
    ];
    let least = |series: &str| of_failing(&format!("max by ({CHECK_AT}) ({series}{{STANDBY}})"));
    Panel::table("Checks that do not pass", &columns, vec![
        of_failing(&states::of_checks(&format!("{CHECK_AT}, gate"))),
        of_failing(&format!("max by ({CHECK_AT}, reason) (hotspare_readiness_check_reason{{STANDBY}}) == 1")),
        least("hotspare_readiness_check_value"),
        least("hotspare_readiness_check_threshold"),
        of_failing(&format!("max by ({CHECK_AT}) (hotspare_readiness_check_last_conclusive_timestamp_seconds{{STANDBY}}) * 1000")),
        of_failing(&format!("sum by ({CHECK_AT}) (increase(hotspare_readiness_check_transitions_total{{STANDBY}}[$__range]))")),
    ])
    .says("Why, from each vantage. A hard check is a gate; a scored one only ranks. The reason dependency: look at the check that it builds on. Value and limit are in seconds, bytes, parts of a whole or counts, as the check has them; the last answer is the last that was good or bad; changes are those of the time range. The reasons are explained in docs/metrics.md.")
    .size(24, 9)
    .words("State", &states::CHECK)
    .measured("Value", "short")
    .measured("Limit", "short")
    .moments("Last answer")
    .field("Changes", &[("decimals", json!(0))])
    .narrow("Gate", 75)
    .narrow("Changes", 85)
    .narrow("Limit", 90)
    .sorted("State", true)
    .or_says("every check passes, or nothing is known: see the verdict")
}

fn failing_over_time() -> Panel {
    let by = "group, standby, probe, check";
    Panel::timeline("Checks that did not always pass", &states::CHECK)
        .says("The worst that any vantage says, of the checks that some vantage did not see pass at some time in the range. Choose a standby if these are too many rows; all checks are at the bottom.")
        .size(24, 14)
        .query(Query::range(
            &format!(
                r#"{} and on ({by}) min by ({by}) (min_over_time(hotspare_readiness_check{{STANDBY,state="pass"}}[$__range] @ end())) == 0"#,
                states::of_checks(by)
            ),
            "{{standby}} {{probe}} {{check}}",
        ))
        .or_says("every check passed all the time, or nothing is known: see the verdict")
}

fn lost_seconds() -> Panel {
    Panel::time_series("What would be lost, in time (RPO)")
        .says("By the canary, if the primary died now: from each vantage an upper bound, as coarse as the probe's interval. Dashed: the objective. A vantage that does not reach the primary stands still at what it last knew. Nothing here: no probe writes a canary.")
        .size(24, 9)
        .unit("s")
        .query(Query::range(
            "max by (group, standby, probe, source_region) (hotspare_rpo_estimate_seconds{STANDBY})",
            "{{group}} {{standby}} {{probe}} from {{source_region}}",
        ))
        .query(Query::range(
            "min by (group) (hotspare_rpo_objective_seconds{STANDBY})",
            "objective of {{group}}",
        ))
        .limit("^objective of .*$")
        .or_says("no canary, or not known")
}

fn lost_bytes() -> Panel {
    let least = |series: &str| format!("min by (group, standby, probe) ({series}{{STANDBY}})");
    Panel::time_series("Not received, not applied")
        .says("Bytes that the primary has and the standby has not received are lost with it; those that were received and not applied delay the promotion. The least that any vantage sees, as each is an upper bound. MySQL counts transactions instead: see the databases.")
        .size(12, 8)
        .unit("bytes")
        .query(Query::range(
            &least("hotspare_replication_loss_bytes"),
            "{{standby}} {{probe}} not received",
        ))
        .query(Query::range(
            &least("hotspare_replication_apply_bytes"),
            "{{standby}} {{probe}} not applied",
        ))
        .legend_below()
        .or_says("no database that counts bytes")
        .leads_to("Databases", "hotspare-database", &[])
}

fn lag() -> Panel {
    Panel::time_series("Lag, by method")
        .says("ring: since when the primary was seen beyond the standby. canary: since when one is acknowledged and not seen. The least that any vantage sees. What the server says of itself is with the databases: nothing is judged by it.")
        .size(12, 8)
        .unit("s")
        .query(Query::range(
            r#"min by (group, standby, probe, method) (hotspare_replication_lag_seconds{STANDBY,method=~"ring|canary"})"#,
            "{{standby}} {{probe}} {{method}}",
        ))
        .query(Query::range(
            "min by (group) (hotspare_rpo_objective_seconds{STANDBY})",
            "objective of {{group}}",
        ))
        .limit("^objective of .*$")
        .legend_below()
        .or_says("no database")
        .leads_to("Databases", "hotspare-database", &[])
}

fn stages_over_time() -> Panel {
    Panel::time_series("Stages of a failover (RTO)")
        .says("Stage by stage, each measured or assumed, the longest of all chosen standbys and vantages: choose one standby for its own. They do not add up: promote with apply and pull with start go on at the same time, and the slower of the two counts. A stage that was to be measured and is not is not there: look at the table.")
        .size(12, 11)
        .unit("s")
        .query(Query::range(
            r#"max by (stage, basis) (hotspare_rto_estimate_seconds{STANDBY,stage!="total"})"#,
            "{{stage}} ({{basis}})",
        ))
        .legend_below()
        .or_says("no estimate")
}

fn totals() -> Panel {
    Panel::time_series("How long a failover would take, in all")
        .says("The longest that any vantage says, for each standby. Dashed: the objective.")
        .size(12, 11)
        .unit("s")
        .query(Query::range(
            r#"max by (group, standby) (hotspare_rto_estimate_seconds{STANDBY,stage="total"})"#,
            "{{group}} {{standby}}",
        ))
        .query(Query::range(
            "min by (group) (hotspare_rto_objective_seconds{STANDBY})",
            "objective of {{group}}",
        ))
        .limit("^objective of .*$")
        .legend_below()
        .or_says("no estimate")
}

fn stages() -> Panel {
    let estimate = "max by (group, standby, stage, basis) (hotspare_rto_estimate_seconds{STANDBY})";
    Panel::cross(
        "Stages by standby",
        &format!(
            r#"label_join(label_join({estimate}, "Standby", " ", "group", "standby"), "Stage", " ", "stage", "basis")"#
        ),
        ["Standby", "Stage"],
    )
    .says("Now; the total is the sum, and assumed if any part of it is. Not known: it was to be measured and is not. An empty cell: this standby has no such stage.")
    .size(24, 7)
    .unit("s")
    .or_says("no estimate")
}

/// Ranks: only the first is better than all others.
const RANK: Look = Look(&[
    (1, "1", Colour::Good),
    (2, "2", Colour::Plain),
    (3, "3", Colour::Other),
    (4, "4", Colour::Plain),
    (5, "5", Colour::Other),
]);

fn ranks() -> Panel {
    Panel::timeline("Rank", &RANK)
        .says("1 is the best, as each vantage has it; equal ones share a rank. Not known: not ranked yet, which takes two hours of measurements.")
        .size(12, 8)
        .query(Query::range(
            "max by (group, standby, source_region) (hotspare_standby_rank{STANDBY})",
            "{{group}} {{standby}} from {{source_region}}",
        ))
        .or_says("no standby")
}

fn scores() -> Panel {
    Panel::time_series("Score, and how much of it is known")
        .says("What the scored checks add up to; what is not known counts as nothing. The least that any vantage has. It makes no standby ready, and keeps none from it.")
        .size(12, 8)
        .unit("percentunit")
        .between(0.0, 1.0)
        .query(Query::range(
            "min by (group, standby) (hotspare_readiness_score_ratio{STANDBY})",
            "{{group}} {{standby}} score",
        ))
        .query(Query::range(
            "min by (group, standby) (hotspare_readiness_score_coverage_ratio{STANDBY})",
            "{{group}} {{standby}} known",
        ))
        .legend_below()
        .or_says("not known")
}

fn comparisons() -> Panel {
    let columns = [
        ("group", "Group"),
        ("source_region", "From"),
        ("standby", "Standby"),
        ("other", "Compared with"),
        ("Value #A", "Takes longer by"),
        ("Value #B", "At least"),
        ("Value #C", "At most"),
    ];
    let bound = |bound: &str| {
        Query::rows(&format!(
            r#"max by (group, source_region, standby, other) (hotspare_latency_comparison_seconds{{STANDBY,bound="{bound}"}})"#
        ))
    };
    let sure = |column: &'static str, panel: Panel, thresholds: &Thresholds| {
        panel.coloured(
            column,
            &[
                ("unit", json!("s")),
                ("thresholds", thresholds.json()),
                ("color", json!({ "mode": "thresholds" })),
            ],
        )
    };
    let panel = Panel::table("Latency, compared", &columns, ["median", "low", "high"].map(bound).into())
        .says("How much longer the one takes than the other, batch by batch, over six hours: the median, and the bounds between which it lies with a confidence of 99 %. Orange: slower for sure. Blue: faster for sure. If at least is below 0 and at most above it, they are equal. Not known: not enough was measured yet, or too many runs failed.")
        .size(24, 7)
        .coloured("Takes longer by", &[("unit", json!("s")), ("thresholds", Thresholds(Colour::None, &[]).json()), ("color", json!({ "mode": "thresholds" }))])
        .or_says("one standby, or no latency to compare");
    let panel = sure(
        "At least",
        panel,
        &Thresholds(Colour::None, &[(f64::MIN_POSITIVE, Colour::Warn)]),
    );
    sure(
        "At most",
        panel,
        &Thresholds(Colour::Plain, &[(0.0, Colour::None)]),
    )
}

fn promotion() -> Panel {
    let at = "group, standby, source_region";
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("source_region", "From"),
        ("Value #A", "Promotable"),
        ("Value #B", "Both last seen"),
        ("Value #C", "Lost then"),
        ("Value #D", "Objective"),
    ];
    let most = |series: &str| Query::rows(&format!("max by ({at}) ({series}{{STANDBY}})"));
    Panel::table("May it be promoted?", &columns, vec![
        Query::rows(&states::of_promotions(at)),
        Query::rows(&format!("max by ({at}) (hotspare_primary_last_seen_timestamp_seconds{{STANDBY}}) * 1000")),
        most("hotspare_primary_last_seen_rpo_seconds"),
        most("hotspare_rpo_objective_seconds"),
    ])
    .says("Once a vantage sees that the primary is lost: whether all that can still be asked of the standby passes, and what would have been lost when both were last seen (lost then) is within the objective. What was written after that moment is not in the figure. hotspare promotes nothing: it is your decision.")
    .size(15, 8)
    .words("Promotable", &states::PROMOTION)
    .moments("Both last seen")
    .measured("Lost then", "s")
    .measured("Objective", "s")
    .sorted("Promotable", true)
    .or_says("no standby")
}

fn holds() -> Panel {
    let by = "group, standby, reason";
    let columns = [
        ("group", "Group"),
        ("standby", "Standby"),
        ("reason", "Held by"),
        ("Value #A", "Vantages"),
        ("Value #B", "Ends"),
    ];
    Panel::table("Holds", &columns, vec![
        Query::rows(&format!("count by ({by}) (max by ({by}, source_region) (hotspare_hold{{STANDBY}}) == 1)")),
        Query::rows(&format!("max by ({by}) (hotspare_hold_expiry_timestamp_seconds{{STANDBY}} and on ({by}, source_region) hotspare_hold{{STANDBY}} == 1) * 1000")),
    ])
    .says("A standby that is held is not ready, whatever else is measured, and that pages nobody. maintenance: the configuration holds it. recent_failover: the group has just failed over.")
    .size(9, 8)
    .moments("Ends")
    .or_says("nothing is held, or nothing is known")
}

fn last_failovers() -> Panel {
    let columns = [
        ("group", "Group"),
        ("Value #A", "Last failover"),
        ("Value #B", "No writes for"),
        ("Value #C", "Users cut off for"),
        ("Value #D", "Lost, in time"),
        ("Value #E", "Lost canaries"),
        ("Value #F", "Seen by"),
    ];
    let most = |figure: &str| {
        Query::rows(&format!(
            "max by (group) (hotspare_failover_last_{figure}{{GROUP}}) and on (group) max by (group) (hotspare_failover_last_timestamp_seconds{{GROUP}}) > 0"
        ))
    };
    Panel::table("Last failover", &columns, vec![
        Query::rows("(max by (group) (hotspare_failover_last_timestamp_seconds{GROUP}) > 0) * 1000"),
        most("rto_write_seconds"),
        most("rto_user_seconds"),
        most("rpo_seconds"),
        most("rpo_writes"),
        Query::rows("count by (group) (hotspare_failover_last_timestamp_seconds{GROUP} > 0)"),
    ])
    .says("When the new primary was first seen writable, and what it cost: the largest figure that any vantage has. Not known: see `hotspare events` for the reason. The failovers of the time range are marked in all panels.")
    .size(24, 5)
    .moments("Last failover")
    .measured("No writes for", "s")
    .measured("Users cut off for", "s")
    .measured("Lost, in time", "s")
    .or_says("no failover was seen")
}

fn failovers() -> Panel {
    let columns = [
        ("group", "Group"),
        ("planned", "Planned"),
        ("drill", "In a drill"),
        ("Value", "Failovers"),
    ];
    Panel::table("Failovers in the time range", &columns, vec![Query::rows(
        "round(max by (group, planned, drill) (increase(hotspare_failover_events_total{GROUP}[$__range]))) > 0",
    )])
    .says("As many as any one vantage saw since it was started: there may have been more while none ran.")
    .size(10, 7)
    .sorted("Failovers", true)
    .or_says("none was seen, or nothing is known")
}

/// Whether a drill is announced.
const UNDER_WAY: Look = Look(&[(0, "no", Colour::Plain), (1, "yes", Colour::Warn)]);

fn last_drills() -> Panel {
    let by = "group, kind";
    let columns = [
        ("group", "Group"),
        ("kind", "Kind"),
        ("Value #A", "Under way"),
        ("Value #B", "To be over"),
        ("Value #C", "Last success"),
    ];
    let moment = |series: &str| {
        Query::rows(&format!(
            "(max by ({by}) (hotspare_drill_{series}_timestamp_seconds{{GROUP}}) > 0) * 1000"
        ))
    };
    Panel::table("Drills", &columns, vec![
        Query::rows(&format!("max by ({by}) (hotspare_drill_in_progress{{GROUP}})")),
        moment("deadline"),
        moment("last_success"),
    ])
    .says("A drill has succeeded once it was finished with every standby ready. An empty last success: none was. One that is under way and was to be over counts as unfinished.")
    .size(14, 7)
    .words("Under way", &UNDER_WAY)
    .moments("To be over")
    .moments("Last success")
    .sorted("Under way", true)
    .or_says("no group")
}

fn checks() -> Panel {
    Panel::timeline("Checks", &states::CHECK)
        .says("The worst that any vantage says of each check. Unknown and stale are never pass. Choose one standby: these are many rows.")
        .size(24, 16)
        .query(Query::range(
            &states::of_checks("group, standby, probe, check"),
            "{{group}} {{standby}} {{probe}} {{check}}",
        ))
        .or_says("no check")
}
