//! The databases: which is the primary, what would be lost, and could a standby take over from it?

use serde_json::json;

use super::kit::{
    Annotation, Colour, Dashboard, Look, Panel, Query, Thresholds, Variable, among, row,
};
use super::{overview::failovers, states};

/// Whether the daemons reach a database: the least and the most of them that do, added up.
const REACHED: Look = Look(&[
    (2, "from everywhere", Colour::Good),
    (1, "NOT FROM EVERYWHERE", Colour::Warn),
    (0, "FROM NOWHERE", Colour::Bad),
]);

/// The part that a database plays. Whoever knows it wins over who does not; of two that disagree,
/// the one that says primary.
const ROLE: Look = Look(&[
    (3, "primary", Colour::Plain),
    (2, "standby", Colour::Other),
    (1, "not known", Colour::Unknown),
]);

const WRITABLE: Look = Look(&[
    (1, "writable", Colour::Plain),
    (0, "read-only", Colour::Other),
]);

/// How many primaries are writable, all that are too many being one number.
const PRIMARIES: Look = Look(&[
    (1, "one", Colour::Good),
    (0, "NONE", Colour::Bad),
    (2, "SEVERAL", Colour::Bad),
]);

const LINK: Look = Look(&[(1, "up", Colour::Good), (0, "DOWN", Colour::Bad)]);
const REPLAY: Look = Look(&[(0, "applies", Colour::Good), (1, "PAUSED", Colour::Bad)]);
const COPY: Look = Look(&[
    (0, "complete", Colour::Good),
    (1, "FIRST COPY", Colour::Warn),
]);

const IDENTITY: Look = Look(&[
    (0, "same", Colour::Good),
    (1, "ANOTHER CLUSTER", Colour::Bad),
]);
const SLOT: Look = Look(&[(0, "kept", Colour::Good), (1, "LOST", Colour::Bad)]);
const PARAMETER: Look = Look(&[
    (0, "high enough", Colour::Good),
    (1, "TOO LOW", Colour::Bad),
]);

/// Why something is not told.
const WITHHELD: Look = Look(&[
    (0, "all is told", Colour::Good),
    (1, "UNSUPPORTED", Colour::Warn),
    (2, "ERROR", Colour::Bad),
    (3, "NO GRANT", Colour::Bad),
]);

/// By what a database is known.
const SERVER: &str = "probe, target_region, target";
const SERVER_NAME: &str = "{{probe}} {{target}}";

/// By what a primary and a standby are known.
const PAIR: &str = "group, probe, standby";
const PAIR_NAME: &str = "{{group}} {{probe}} → {{standby}}";

pub(super) fn dashboard() -> Dashboard {
    chosen(Dashboard::new(
        "hotspare-database",
        "Hotspare / Databases",
        "Which database is the primary, what would be lost if it died now, and what keeps a standby from taking over.",
    ))
    .marks(failovers())
    .marks(role_changes())
    .has(row("What is wrong", wrong()))
    .has(row("Who is what", vec![servers(), roles(), primaries()]))
    .has(row(
        "What would be lost, and what would take time",
        vec![objective(), lag(), loss(), apply()],
    ))
    .has(row(
        "Does the standby receive and apply?",
        vec![link(), replay(), copy(), silence()],
    ))
    .has(row(
        "What can never be caught up, and what would diverge",
        vec![
            transactions(),
            retained(),
            slots(),
            identity(),
            parameters(),
            timelines(),
        ],
    ))
    .has(row(
        "The canary",
        vec![
            canaries(),
            canary_failures(),
            canaries_missing(),
            visibility(),
            visibility_spread(),
        ],
    ))
    .has(row(
        "Connect, log in, query",
        vec![
            phases("p50 by phase", "0.5"),
            phases("p99 by phase", "0.99"),
            visits(),
            visits_spread(),
            errors(),
        ],
    ))
    .has(row("What they hold, and what they do not tell", vec![keys(), keys_ratio(), withheld()]))
}

/// What is chosen at the top.
fn chosen(dashboard: Dashboard) -> Dashboard {
    dashboard
    .chooses(
        // A database can be probed without being in a group.
        Variable::many(
            "group",
            "Group",
            "label_values(hotspare_writable_primaries{DAEMON}, group)",
        )
        .or_none(),
    )
    .chooses(Variable::many(
        "standby",
        "Standby",
        "label_values(hotspare_db_identity_mismatch{GROUP}, standby)",
    ))
    .chooses(
        // What a server says of itself has no group: the probes of the group stand for it.
        Variable::many(
            "probe",
            "Probe",
            r#"label_values({__name__=~"hotspare_db_role|hotspare_writable_primaries",GROUP}, probe)"#,
        )
        .only_offered(),
    )
    .chooses(Variable::many(
        "target",
        "Target",
        r#"label_values(hotspare_db_role{DAEMON,probe=~"$probe"}, target)"#,
    ))
}

/// What the servers said: a role other than before.
fn role_changes() -> Annotation {
    Annotation::during(
        "Role changes",
        "blue",
        "max by (probe, target_region, target) (increase(hotspare_db_role_changes_total{SERVER}[2m])) > 0",
        (
            "{{target}} of {{probe}} changed its role",
            "{{target_region}}",
        ),
    )
}

/// A series of servers as the most that any vantage says, only of those that are not the primary:
/// a primary has no link.
fn of_standbys(series: &str) -> String {
    format!(
        r#"max by ({SERVER}) ({series}{{SERVER}}) unless on ({SERVER}) max by ({SERVER}) (hotspare_db_role{{SERVER,role="primary"}}) == 1"#
    )
}

/// The least that any vantage says of a pair: each figure is an upper bound.
fn least(series: &str) -> String {
    format!("min by ({PAIR}) ({series}{{REPLICA}})")
}

/// A series for lines: where it is not known is a gap, and no last value in the legend.
fn known(series: &str) -> String {
    format!("{series} > -Inf")
}

/// The most that any vantage says of a pair.
fn most(series: &str) -> String {
    format!("max by ({PAIR}) ({series}{{REPLICA}})")
}

/// Members that clients can write to: by all vantages together where the rules record it, so that
/// each side of a partition may have one, and otherwise the most that one vantage sees.
fn writable() -> &'static str {
    r#"(group_probe:hotspare_writable_primaries:count{group=~"$group",probe=~"$probe"} or max by (group, probe) (hotspare_writable_primaries{SET}))"#
}

/// How many there are that something is wrong with.
fn count(title: &str, series: &str, comparison: &str) -> Panel {
    one_number(title, &among(series, comparison))
}

/// How many pairs there are of which either is more than 0.
fn either(title: &str, one: &str, other: &str) -> Panel {
    let [one, other] = [one, other].map(|series| format!("{series}{{REPLICA}}"));
    let expression = format!(
        "count(max by ({PAIR}) ({one} > 0 or {other} > 0)) or 0 * count({one} > -Inf or {other} > -Inf)"
    );
    one_number(title, &expression)
}

fn one_number(title: &str, expression: &str) -> Panel {
    Panel::stat(title)
        .query(Query::now(expression, title))
        .size(3, 4)
        .thresholds(&Thresholds::NONE_IS_GOOD)
}

fn wrong() -> Vec<Panel> {
    let mut panels = wrong_now();
    panels.extend(wrong_once_it_is_needed());
    panels
}

/// What would harm, or harms, at once.
fn wrong_now() -> Vec<Panel> {
    vec![
        count("Not one primary", &format!("({} > -Inf)", writable()), "!= 1")
            .says("Sets with no writable member, or with several. None means that nothing can be written; several, that two copies go different ways.")
            .or_says("no set"),
        count(
            "Unreachable",
            &format!("max by ({SERVER}) (hotspare_probe_up{{SERVER}})"),
            "!= 1",
        )
        .says("Databases whose last visit from every daemon failed, or told nothing.")
        .or_says("no database"),
        count("Links down", &format!("({})", of_standbys("hotspare_replication_link_up")), "== 0")
            .says("Standbys that call their link to the primary down. A link through which nothing comes may be called up for a minute longer: see the silence below.")
            .or_says("no standby"),
        count(
            "RPO exceeded",
            &format!(
                "({} - on (group, standby) group_left () max by (group, standby) (hotspare_rpo_objective_seconds{{STANDBY}}))",
                states::lost("REPLICA")
            ),
            "> 0",
        )
        .says("Standbys that would lose more seconds of writes than the objective of their group allows, by the least bound of the vantages whose canary is acknowledged. Only groups with an objective and a canary are counted.")
        .or_says("no objective, or not known"),
    ]
}

/// What shows when the standby has to take over, or when somebody looks closer.
fn wrong_once_it_is_needed() -> Vec<Panel> {
    vec![
        either(
            "Would diverge",
            "hotspare_replication_errant_transactions",
            "hotspare_db_identity_mismatch",
        )
            .says("Standbys that have transactions of their own (MySQL, MariaDB), or belong to another cluster than the primary.")
            .or_says("no pair"),
        either(
            "Never catch up",
            "hotspare_replication_unrecoverable_transactions",
            "hotspare_replication_slot_lost",
        )
            .says("Standbys that lack what the primary does not have any more: a lost slot (PostgreSQL), or purged logs (MySQL, MariaDB). They have to be made anew.")
            .or_says("no such pair"),
        count(
            "Low parameters",
            &most("hotspare_db_parameter_too_low"),
            "> 0",
        )
        .says("PostgreSQL standbys with a parameter smaller than their primary's: they could not start, or stop applying.")
        .or_says("no PostgreSQL pair"),
        count(
            "Do not tell all",
            &format!("max by ({SERVER}) (hotspare_db_facts_withheld{{SERVER}})"),
            "> 0",
        )
        .says("Databases that withhold something that was asked for, mostly as a grant is missing. What they do not tell is not known, and raises no alarm of its own.")
        .thresholds(&Thresholds::NONE_IS_BETTER)
        .or_says("no database"),
    ]
}

fn servers() -> Panel {
    let up = "hotspare_probe_up{SERVER}";
    let columns = [
        ("probe", "Probe"),
        ("target", "Target"),
        ("target_region", "Region"),
        ("Value #A", "Reached"),
        ("Value #B", "Role"),
        ("Value #C", "Writable"),
        ("engine", "Engine"),
        ("version", "Version"),
    ];
    Panel::table(
        "Databases",
        &columns,
        vec![
            Query::rows(&format!("min by ({SERVER}) ({up}) + max by ({SERVER}) ({up})")),
            Query::rows(&role()),
            Query::rows(&format!("max by ({SERVER}) (hotspare_db_writable{{SERVER}})")),
            Query::rows(&format!("max by ({SERVER}, engine, version) (hotspare_db_info{{SERVER}})")),
        ],
    )
    .says("Every database, as the chosen daemons last saw it. Role and writable are the server's own words; engine and version are those last seen. Two lines of one target are two versions that different daemons saw.")
    .size(24, 9)
    .sorted("Probe", false)
    .field("Version", &[("custom.width", json!(310))])
    .words("Reached", &REACHED)
    .words("Role", &ROLE)
    .words("Writable", &WRITABLE)
    .or_says("no database is probed")
}

/// The roles as numbers of [`ROLE`].
fn role() -> String {
    format!(
        r#"max by ({SERVER}) (3 * hotspare_db_role{{SERVER,role="primary"}} or 2 * hotspare_db_role{{SERVER,role="standby"}} or hotspare_db_role{{SERVER,role="unknown"}})"#
    )
}

fn roles() -> Panel {
    Panel::timeline("Role", &ROLE)
        .says("The part that each database plays by its own words. Two bars of one probe that say primary at a time are a switchover, or a split brain.")
        .size(12, 8)
        .query(Query::range(&role(), SERVER_NAME))
}

fn primaries() -> Panel {
    Panel::timeline("Writable primaries", &PRIMARIES)
        .says("Members of each set that clients can write to: one is right. With the recording rules, all daemons together are asked, so that the two sides of a partition are seen; without them, the most that a single daemon sees.")
        .size(12, 8)
        .query(Query::range(
            &format!("clamp_max({}, 2)", writable()),
            "{{group}} {{probe}}",
        ))
        .or_says("no database is in a group")
}

fn objective() -> Panel {
    Panel::time_series("Seconds of writes that would be lost")
        .says("What would be lost if the primary died now, by the canary: an upper bound, as coarse as the interval of the probe. Dashed: the objective. Each daemon by itself: one that lost sight of the primary goes on saying what it last saw. Empty without a canary.")
        .size(24, 8)
        .unit("s")
        .query(Query::range(
            &known(&format!("min by ({PAIR}, source_region) (hotspare_rpo_estimate_seconds{{REPLICA}})")),
            "{{group}} {{probe}} → {{standby}} by {{source_region}}",
        ))
        .query(Query::range(
            "max by (group, standby) (hotspare_rpo_objective_seconds{STANDBY})",
            "objective {{group}} {{standby}}",
        ))
        .limit("objective .*")
        .or_says("no canary")
}

fn lag() -> Panel {
    Panel::time_series("Lag, by method")
        .says("How long ago the primary had what the standby shows. ring and canary are measured, the least of the daemons; native is what the standby says of itself, and lies while nothing arrives. A gap: not known. Redis has no native one, and without a canary there is none of it.")
        .size(24, 8)
        .unit("s")
        .query(Query::range(
            &known(&format!("min by ({PAIR}, method) (hotspare_replication_lag_seconds{{REPLICA}})")),
            "{{group}} {{probe}} → {{standby}} {{method}}",
        ))
}

fn loss() -> Panel {
    Panel::time_series("Bytes not received")
        .says("What the primary has and the standby has not received: lost if the primary died now. The least of the daemons, as each figure is an upper bound. PostgreSQL and Redis; MySQL and MariaDB count transactions.")
        .unit("bytes")
        .query(Query::range(&known(&least("hotspare_replication_loss_bytes")), PAIR_NAME))
        .or_says("no PostgreSQL or Redis pair")
}

fn apply() -> Panel {
    Panel::time_series("Bytes received and not applied")
        .says("Nothing of it would be lost, but a promotion waits for it. It grows while replay is paused. PostgreSQL and Redis only.")
        .unit("bytes")
        .query(Query::range(&known(&least("hotspare_replication_apply_bytes")), PAIR_NAME))
        .or_says("no PostgreSQL or Redis pair")
}

fn link() -> Panel {
    Panel::timeline("Link, by the standby's word", &LINK)
        .says("Whether the standby calls its link to the primary established. Look at the silence, too: a link through which nothing comes is called up until the standby's own timeout. Databases that are the primary are left out.")
        .query(Query::range(&of_standbys("hotspare_replication_link_up"), SERVER_NAME))
        .or_says("no standby")
}

fn replay() -> Panel {
    Panel::timeline("Replay", &REPLAY)
        .says("Whether received changes are applied, or someone or an error stopped that. PostgreSQL, MySQL and MariaDB; Redis has no such thing.")
        .query(Query::range(&of_standbys("hotspare_replication_replay_paused"), SERVER_NAME))
        .or_says("no standby that could be paused")
}

fn copy() -> Panel {
    Panel::timeline("First copy", &COPY)
        .says("Whether the standby still gets its first copy of the data: until then it has nothing to take over with. Redis only.")
        .query(Query::range(&of_standbys("hotspare_replication_initial_sync"), SERVER_NAME))
        .or_says("no Redis standby")
}

fn silence() -> Panel {
    Panel::time_series("Silence of the link")
        .says("How long nothing has come over the link, by the standby's own clock, the least that a daemon saw. Idle servers are silent between two keepalives, ten seconds or so; more than that is a link that is up in name only. PostgreSQL and Redis.")
        .unit("s")
        .query(Query::range(
            &format!("min by ({SERVER}) (hotspare_replication_receiver_silence_seconds{{SERVER}}) >= 0"),
            SERVER_NAME,
        ))
        .or_says("no standby tells")
}

fn transactions() -> Panel {
    Panel::time_series("Transactions")
        .says("Missing ones come later; any other is bad. Errant: only the standby has them, and a promotion would diverge. Unrecoverable: the primary does not have them any more, so the standby never catches up. MySQL and MariaDB only.")
        .unit("short")
        .decimals(0)
        .query(Query::range(
            &known(&least("hotspare_replication_missing_transactions")),
            &format!("missing {PAIR_NAME}"),
        ))
        .query(Query::range(
            &known(&most("hotspare_replication_errant_transactions")),
            &format!("errant {PAIR_NAME}"),
        ))
        .query(Query::range(
            &known(&most("hotspare_replication_unrecoverable_transactions")),
            &format!("unrecoverable {PAIR_NAME}"),
        ))
        .fields(
            "(errant|unrecoverable) .*",
            &[
                ("color", json!({ "mode": "thresholds" })),
                (
                    "thresholds",
                    json!({ "mode": "absolute", "steps": [
                        { "color": Colour::Plain.name(), "value": null },
                        { "color": Colour::Bad.name(), "value": 1 },
                    ] }),
                ),
                ("custom.lineWidth", json!(2)),
            ],
        )
        .or_says("no MySQL or MariaDB pair")
}

fn retained() -> Panel {
    Panel::time_series("Log kept for the standby's slot")
        .says("Bytes that the primary keeps until the standby has them. A standby that is gone lets it grow until the primary's disk is full, or the slot is lost. PostgreSQL with slots only.")
        .unit("bytes")
        .query(Query::range(&known(&most("hotspare_replication_slot_retained_bytes")), PAIR_NAME))
        .or_says("no PostgreSQL pair with a slot")
}

fn slots() -> Panel {
    Panel::timeline("Slot", &SLOT)
        .says("Whether the standby's slot still has all that the standby needs. PostgreSQL with slots only.")
        .query(Query::range(&most("hotspare_replication_slot_lost"), PAIR_NAME))
        .or_says("no PostgreSQL pair with a slot")
}

fn identity() -> Panel {
    Panel::timeline("Identity", &IDENTITY)
        .says("Whether standby and primary are of one cluster. Another cluster has other data, whatever its name leads to.")
        .query(Query::range(&most("hotspare_db_identity_mismatch"), PAIR_NAME))
        .or_says("no pair")
}

fn parameters() -> Panel {
    Panel::timeline("Parameters", &PARAMETER)
        .says("Parameters of the standby that have to be at least as high as the primary's. With one that is too low, the standby could not start or would stop applying. PostgreSQL only.")
        .query(Query::range(
            &format!("max by ({PAIR}, parameter) (hotspare_db_parameter_too_low{{REPLICA}})"),
            &format!("{PAIR_NAME} {{{{parameter}}}}"),
        ))
        .or_says("no PostgreSQL pair")
}

fn timelines() -> Panel {
    Panel::time_series("Timeline")
        .says("It grows by one with each promotion. All members of a set have the same, but for a moment after one: a standby that stays behind does not follow the new primary. PostgreSQL only.")
        .unit("short")
        .decimals(0)
        .steps()
        .query(Query::range(
            &known(&format!("max by ({SERVER}) (hotspare_db_timeline{{SERVER}})")),
            SERVER_NAME,
        ))
        .or_says("no PostgreSQL server")
}

fn canaries() -> Panel {
    Panel::time_series("Canaries written")
        .says("Acknowledged by the primary, by each daemon: one in each interval of the probe is right.")
        .size(8, 8)
        .unit("ops")
        .legend_below()
        .query(Query::range(
            "sum by (group, probe, source_region) (rate(hotspare_canary_writes_total{SET}[$__rate_interval]))",
            "{{group}} {{probe}} by {{source_region}}",
        ))
        .or_says("no canary")
}

fn canary_failures() -> Panel {
    let by_reason = |series: &str| {
        format!("sum by (group, probe, reason) (rate({series}{{SET}}[$__rate_interval])) > 0")
    };
    Panel::time_series("Canaries not written")
        .says("failed: sent, and not acknowledged or refused. suppressed: not sent, so that nothing is harmed, as no member could be known to be the one primary. Empty: all were written, or there is no canary.")
        .size(8, 8)
        .unit("ops")
        .stacked()
        .legend_below()
        .query(Query::range(
            &by_reason("hotspare_canary_write_failures_total"),
            "failed: {{reason}} {{group}} {{probe}}",
        ))
        .query(Query::range(
            &by_reason("hotspare_canary_suppressed_total"),
            "suppressed: {{reason}} {{group}} {{probe}}",
        ))
        .or_says("none, or no canary")
}

fn canaries_missing() -> Panel {
    Panel::time_series("Canaries that would be lost")
        .says("Acknowledged by the primary and not shown by the standby, for the daemon that misses the most. One or two are on their way. A gap: the standby shows none yet, or could not be asked.")
        .size(8, 8)
        .unit("short")
        .decimals(0)
        .legend_below()
        .query(Query::range(
            &format!(
                "max by ({PAIR}) (hotspare_canary_acked_seq{{SET}} - on (job, instance, group, probe, source_region) group_right () hotspare_canary_seen_seq{{REPLICA}}) > -Inf"
            ),
            PAIR_NAME,
        ))
        .or_says("no canary")
}

fn visibility() -> Panel {
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by ({PAIR}, le) (rate(hotspare_canary_visibility_seconds_bucket{{REPLICA}}[$__rate_interval]))) >= 0"
        )
    };
    Panel::time_series("How long until a write is visible: p50 and p99")
        .says("From the acknowledgement to when the standby was seen to show it: at most, as it is looked for once in an interval.")
        .unit("s")
        .query(Query::range(&quantile("0.5"), &format!("{PAIR_NAME} p50")))
        .query(Query::range(&quantile("0.99"), &format!("{PAIR_NAME} p99")))
        .or_says("no canary was seen")
}

fn visibility_spread() -> Panel {
    Panel::heatmap(
        "How long until a write is visible: all chosen pairs",
        "sum by (le) (rate(hotspare_canary_visibility_seconds_bucket{REPLICA}[$__rate_interval]))",
    )
    .says("How many canaries took how long to be seen. Those that never came are not among them.")
    .or_says("no canary was seen")
}

fn phases(title: &str, quantile: &str) -> Panel {
    Panel::time_series(title)
        .says("Of successful visits, of all chosen daemons together; choose one instance to see one region's way. auth is the login, query_read the probe's query and query_write the canary.")
        .size(24, 8)
        .unit("s")
        .query(Query::range(
            &format!(
                "histogram_quantile({quantile}, sum by ({SERVER}, phase, le) (rate(hotspare_probe_phase_duration_seconds_bucket{{SERVER}}[$__rate_interval]))) >= 0"
            ),
            "{{probe}} {{target}} {{phase}}",
        ))
}

fn visits() -> Panel {
    Panel::time_series("Whole visits: p99 by vantage")
        .says("Of successful visits, from each region. Dashed: the timeout, after which a visit fails. Ten times as much is one step more.")
        .size(12, 9)
        .unit("s")
        .logarithmic()
        .query(Query::range(
            &format!(
                "histogram_quantile(0.99, sum by (source_region, {SERVER}, le) (rate(hotspare_probe_duration_seconds_bucket{{SERVER}}[$__rate_interval]))) >= 0"
            ),
            "{{source_region}} → {{probe}} {{target}}",
        ))
        .query(Query::range(
            "max by (probe) (hotspare_probe_timeout_seconds{SERVER})",
            "timeout {{probe}}",
        ))
        .limit("timeout .*")
}

fn visits_spread() -> Panel {
    Panel::heatmap(
        "Whole visits: all chosen databases",
        "sum by (le) (rate(hotspare_probe_duration_seconds_bucket{SERVER}[$__rate_interval]))",
    )
    .says("How many successful visits took how long. Two bands are two regions, or two ways to answer.")
    .size(12, 9)
}

fn errors() -> Panel {
    Panel::time_series("Failed visits, by reason")
        .says("Why visits failed, per second. Empty: none failed, or none was made. The reasons are in docs/metrics.md.")
        .size(24, 8)
        .unit("ops")
        .stacked()
        .query(Query::range(
            &format!("sum by ({SERVER}, reason) (rate(hotspare_probe_failures_total{{SERVER}}[$__rate_interval])) > 0"),
            "{{probe}} {{target}} {{reason}}",
        ))
        .or_says("none failed, or none was made")
}

fn keys() -> Panel {
    Panel::time_series("Keys")
        .says("How many keys each server has, in all its databases. Redis only.")
        .size(8, 8)
        .unit("short")
        .legend_below()
        .query(Query::range(
            &known(&format!("max by ({SERVER}) (hotspare_db_keys{{SERVER}})")),
            SERVER_NAME,
        ))
        .or_says("no Redis server")
}

fn keys_ratio() -> Panel {
    Panel::time_series("Keys of the standby per key of the primary")
        .says("About 1. A standby that evicts or was made without all of the data has fewer. Not known while the primary has none. Redis only.")
        .size(8, 8)
        .unit("percentunit")
        .legend_below()
        .query(Query::range(&known(&least("hotspare_db_keys_ratio")), PAIR_NAME))
        .or_says("no Redis pair")
}

fn withheld() -> Panel {
    let reason = |number: u32, reason: &str| {
        format!(r#"{number} * hotspare_db_facts_withheld{{SERVER,reason="{reason}"}}"#)
    };
    Panel::timeline("Facts withheld", &WITHHELD)
        .says("Why a server does not tell something that was asked for. hotspare sql prints the grants. What is not told is not known, and an alert on it alone stays silent.")
        .size(8, 8)
        .query(Query::range(
            &format!(
                "max by ({SERVER}) ({} or {} or {})",
                reason(1, "unsupported"),
                reason(2, "error"),
                reason(3, "permission")
            ),
            SERVER_NAME,
        ))
        .or_says("no facts")
}
