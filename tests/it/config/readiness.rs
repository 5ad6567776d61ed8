//! What comes of what a group says of readiness: its checks, its objectives and its holds.

use std::time::{Duration, SystemTime};

use hotspare::config::checks::{DEFAULTS, DefaultCheck, Limit, Need};
use hotspare::config::{Plan, summary};
use hotspare::model::{Beyond, CheckKind, GateKind, Hold, PlannedCheck, PlannedGroup};

use super::fixture::Folder;

const FILE: &str = r#"
region: a
regions:
  - { name: a, jurisdiction: EU }
  - { name: b, jurisdiction: EU }
  - { name: c, jurisdiction: US }
defaults: { interval: 1s, timeout: 500ms }
probes:
  - { name: net, check: { ping: {} }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
  - { name: port, check: { tcp: {} }, targets: { a: "10.0.0.1:1", b: "10.0.0.2:1", c: "10.0.0.3:1" } }
  - { name: mail, check: { tcp: { tls: {} } }, targets: { a: "10.0.0.1:1", b: "10.0.0.2:1", c: "10.0.0.3:1" } }
  - { name: plain, check: { http: {} }, targets: { a: "https://10.0.0.1/", b: "http://10.0.0.2/", c: "http://10.0.0.3/" } }
  - { name: web, check: { http: { version: { json: /v } } }, targets: { a: "http://10.0.0.1/", b: "http://10.0.0.2/", c: "HTTPS://10.0.0.3/" } }
  - { name: names, check: { dns: { name: x.example } }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
  - { name: orders, check: { postgres: { user: u, canary: true } }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
  - { name: cache, check: { redis: {} }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
  - { name: pool, check: { redis: { replication: false } }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
groups:
  - name: shop
    primary: a
    standbys: [b, c]
    probes: [net, port, mail, plain, web, names, orders, cache, pool]
"#;

/// One more probe, before the groups.
const CAPACITY: &str = "  - { name: capacity, check: { prometheus: { query: q } }, targets: { b: \"http://10.0.0.2:9090\" } }
groups:";

const OBJECTIVES: &str = "    objectives: { rpo: 5s, rto: 5m }\n";

fn plan(more: &str) -> Plan {
    Folder::with(&[FILE, more].concat())
        .plan()
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn group(more: &str) -> PlannedGroup {
    plan(more).groups.remove(0)
}

/// The warnings, without their places.
fn warnings(more: &str) -> Vec<String> {
    let warnings = plan(more).warnings;
    let warnings = warnings.iter().map(|warning| {
        let help = warning.help.as_deref().unwrap_or_default();
        [&warning.path, &warning.message, help].join(" | ")
    });
    warnings.collect()
}

/// `PROBE/CHECK gate rise/fall bound`.
fn described(check: &PlannedCheck) -> String {
    let PlannedCheck {
        name,
        probe,
        gate,
        rise,
        fall,
        ..
    } = check;
    let bound = check.bound.map(|bound| format!(" {bound}"));
    let gate = gate.as_str();
    format!(
        "{probe}/{name} {gate} {rise}/{fall}{}",
        bound.unwrap_or_default()
    )
}

fn find<'a>(group: &'a PlannedGroup, probe: &str, name: &str) -> &'a PlannedCheck {
    let mut checks = group.checks.iter();
    let found = checks.find(|check| *check.probe == *probe && *check.name == *name);
    found.unwrap_or_else(|| panic!("{probe}/{name}"))
}

#[test]
fn checks_come_with_the_probes_as_these_are_configured() {
    let checks: Vec<_> = group(OBJECTIVES).checks.iter().map(described).collect();
    let expected = "\
net/reachable hard 2/3
net/loss scored 2/3 above 5%, warn 1%
port/reachable hard 2/3
mail/reachable hard 2/3
mail/certificate hard 1/1 below 7d, warn 30d
plain/healthy hard 2/3
web/healthy hard 2/3
web/certificate hard 1/1 below 7d, warn 30d
web/version scored 1/1 above 15m
names/answers hard 2/3
names/ttl hard 1/1 above 5m, warn 1m
orders/reachable hard 2/3
orders/identity hard 5/1
orders/single_primary hard 5/1
orders/config hard 1/1
orders/role hard 5/1
orders/slot hard 1/1
orders/link hard 2/3 above 45s
orders/loss hard 2/3 above 16MiB
orders/apply scored 2/3 above 64MiB
orders/lag hard 2/3 above 5s
orders/canary hard 2/3 above 5s
cache/reachable hard 2/3
cache/identity hard 5/1
cache/single_primary hard 5/1
cache/role hard 5/1
cache/link hard 2/3 above 20s
cache/loss hard 2/3 above 16MiB
cache/apply scored 2/3 above 64MiB
cache/lag hard 2/3 above 5s
cache/keys hard 2/3 below 50%
pool/reachable hard 2/3
/hold hard 1/1
/rto scored 1/1 above 5m";
    assert_eq!(checks.join("\n"), expected);
}

#[test]
fn without_an_objective_nothing_is_held_against_it() {
    let checks = group("").checks;
    let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
    for name in ["lag", "canary", "rto"] {
        assert!(!names.contains(&name), "{name}");
    }
    let tuned = group(
        "    checks: [{ probe: orders, check: lag, above: 1m }, { check: rto, above: 1h }]\n",
    );
    assert_eq!(
        described(find(&tuned, "orders", "lag")),
        "orders/lag hard 2/3 above 1m"
    );
    assert_eq!(
        described(find(&tuned, "", "rto")),
        "/rto scored 1/1 above 1h"
    );
}

#[test]
fn what_a_check_builds_on_comes_before_it() {
    let checks = group(OBJECTIVES).checks;
    let mut parents = 0;
    for (place, check) in checks.iter().enumerate() {
        for parent in check.parents {
            parents += 1;
            let mut before = checks[..place].iter();
            assert!(
                before.any(|other| other.probe == check.probe && *other.name == **parent),
                "{}: {parent}",
                described(check)
            );
        }
    }
    assert!(parents > 20, "{parents}");
}

#[test]
fn a_check_is_tuned_in_everything_that_is_its_own() {
    let group = group(
        "    checks:
      - { probe: net, check: loss, above: 10%, warn: 0.5%, over: 1h, rise: 4, fall: 5, gate: hard }
      - { probe: web, check: latency, above: 250ms, quantile: 0.99, over: 30s }
      - { probe: web, check: certificate, below: 60d }
      - { probe: orders, check: loss, above: 1GiB }
      - { probe: cache, check: keys, below: 90% }
      - { probe: cache, check: role, gate: off }
      - { check: drill_age, above: 180d }
",
    );
    for line in [
        "net/loss hard 4/5 above 10%, warn 0.5%",
        "web/latency scored 2/3 above 250ms",
        "web/certificate hard 1/1 below 60d",
        "orders/loss hard 2/3 above 1GiB",
        "cache/keys hard 2/3 below 90%",
        "cache/role off 5/1",
        "/drill_age scored 1/1 above 180d",
    ] {
        assert!(
            group.checks.iter().any(|check| described(check) == line),
            "{line}"
        );
    }
    let kind = |probe, name| find(&group, probe, name).kind.clone();
    let over = Duration::from_hours(1);
    assert_eq!(kind("net", "loss"), CheckKind::PacketLoss { over });
    let latency = CheckKind::Latency {
        quantile: 0.99,
        over: Duration::from_secs(30),
    };
    assert_eq!(kind("web", "latency"), latency);
    // Meant as it is written: not more where the primary writes much.
    assert_eq!(
        kind("orders", "loss"),
        CheckKind::LossBytes { writes: None }
    );
    let writes = Some(Duration::from_secs(10));
    assert_eq!(kind("cache", "loss"), CheckKind::LossBytes { writes });
}

#[test]
fn the_number_of_a_query_is_bad_on_the_side_whose_limit_is_set() {
    for (tuning, expected) in [
        (
            "below: 1.0, warn: 1.2",
            "capacity/value hard 2/3 below 1, warn 1.2",
        ),
        (
            "above: 5, gate: scored, rise: 1, fall: 1",
            "capacity/value scored 1/1 above 5",
        ),
    ] {
        let file = FILE
            .replace("groups:", CAPACITY)
            .replace("pool]", "pool, capacity]");
        let checks = format!("    checks: [{{ probe: capacity, check: value, {tuning} }}]\n");
        let plan = Folder::with(&(file + &checks)).plan().expect("good");
        let check = find(&plan.groups[0], "capacity", "value");
        assert_eq!(described(check), expected);
        assert_eq!(check.kind, CheckKind::Value);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
}

#[test]
fn a_query_whose_number_nothing_judges_is_warned_of() {
    let file = FILE
        .replace("groups:", CAPACITY)
        .replace("pool]", "pool, capacity]");
    let plan = Folder::with(&file).plan().expect("good");
    let messages: Vec<_> = plan.warnings.iter().map(|w| &*w.message).collect();
    assert_eq!(
        messages,
        ["nothing judges what the probe `capacity` answers: it has no limit"]
    );
    let names = plan.groups[0].checks.iter().map(|check| &*check.name);
    assert!(!names.collect::<Vec<_>>().contains(&"value"));
    let off = "    checks: [{ probe: capacity, check: value, gate: off }]\n";
    let plan = Folder::with(&(file + off)).plan().expect("good");
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn a_region_that_judges_without_a_gate_is_warned_of() {
    let from = |regions: &str, more: &str| {
        let file = FILE.replace("{ name: pool,", &format!("{{ name: pool, from: {regions},"));
        let plan = Folder::with(&(file + more)).plan().expect("good");
        let messages = plan.warnings.iter().map(|w| w.message.clone());
        messages.collect::<Vec<_>>()
    };
    assert_eq!(from("[a, b, c]", ""), [""; 0]);
    let without = "the probe `pool` does not run from a, c, where the group is judged without its \
                   gates";
    assert_eq!(from("[b]", ""), [without]);
    let scored = "    checks: [{ probe: pool, check: reachable, gate: scored }]\n";
    assert_eq!(from("[b]", scored), [""; 0]);
}

#[test]
fn standbys_under_another_law_are_known() {
    for (names, outside) in [
        ("[EU]", ["c"].as_slice()),
        ("[US]", &["b"]),
        ("[US, EU]", &[]),
    ] {
        let group = group(&format!("    jurisdictions: {names}\n"));
        let CheckKind::Jurisdiction { outside: found } = &find(&group, "", "jurisdiction").kind
        else {
            panic!("{names}");
        };
        let found: Vec<_> = found.iter().map(|region| &**region).collect();
        assert_eq!(found, outside, "{names}");
    }
}

#[test]
fn promises_preferences_and_holds_are_taken_as_they_are_written() {
    let group = group(
        "    objectives: { rto: 5m }
    preference: [c]
    assume: { promote: 1m }
    holds:
      - { standby: c, reason: disk swap, until: 2026-12-01T06:00:00Z }
      - { reason: moving, until: 2026-12-01T08:30:00.5+02:30 }
",
    );
    assert_eq!(group.objectives.rpo, None);
    assert_eq!(group.objectives.rto, Some(Duration::from_mins(5)));
    let preference: Vec<_> = group.preference.iter().map(|region| &**region).collect();
    assert_eq!(preference, ["c"]);
    let assumed = group.assumed;
    assert_eq!(
        [assumed.decide, assumed.promote, assumed.warm].map(|value| value.as_secs()),
        [300, 60, 0]
    );
    let until = SystemTime::UNIX_EPOCH + Duration::from_hours(498_918);
    let hold = |standby: Option<&str>, reason: &str, until| Hold {
        standby: standby.map(Into::into),
        reason: reason.into(),
        until,
    };
    assert_eq!(
        group.holds,
        [
            hold(Some("c"), "disk swap", until),
            hold(None, "moving", until + Duration::from_millis(500)),
        ]
    );
}

/// A moment so many days from now, as RFC 3339 has it.
fn days_ahead(days: u64) -> String {
    let moment = SystemTime::now() + Duration::from_hours(24 * days);
    let date = time::OffsetDateTime::from(moment).date();
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year}-{month:02}-{day:02}T00:00:00Z")
}

#[test]
fn holds_that_are_over_or_very_long_are_warned_of() {
    let holds = |until: &str| warnings(&format!("    holds: [{{ reason: x, until: {until} }}]\n"));
    assert_eq!(
        holds("2020-01-01T00:00:00Z"),
        ["groups[0].holds[0].until | the hold has expired: remove it, or give it another end | "]
    );
    assert_eq!(
        holds("9999-12-31T23:59:59Z"),
        [
            "groups[0].holds[0].until | the hold ends in more than 90 days: until then, the standby \
          is not ready whatever is measured | "
        ]
    );
    assert_eq!(holds(&days_ahead(80)), [""; 0]);
}

#[test]
fn an_objective_that_nothing_tells_of_is_warned_of() {
    let alone =
        "  - { name: alone, primary: a, standbys: [b], probes: [net], objectives: { rpo: 5s } }\n";
    assert_eq!(
        warnings(alone),
        [
            "groups[1].objectives.rpo | no probe of the group tells what would be lost: it has no \
          database | "
        ]
    );
    assert_eq!(warnings(&alone.replace("rpo", "rto")), [""; 0]);
}

#[test]
fn a_limit_that_the_interval_is_too_long_for_is_warned_of() {
    let message = "1500ms is less than two intervals of the probe `orders` (1s each): a standby \
                   would be beyond it with nothing wrong | give the probe an interval of 300ms or less";
    let message = message.replace("1500ms", "1s500ms");
    let of_objective = warnings("    objectives: { rpo: 1500ms }\n");
    assert_eq!(of_objective.len(), 2, "{of_objective:?}");
    assert_eq!(
        of_objective[0],
        format!("groups[0].objectives.rpo | {message}")
    );
    assert_eq!(of_objective[1], of_objective[0].replace("orders", "cache"));
    let tuned = "    checks: [{ probe: orders, check: lag, above: 1500ms }]\n";
    assert_eq!(
        warnings(tuned),
        [format!("groups[0].checks[0].above | {message}")]
    );
    assert_eq!(warnings(&tuned.replace("1500ms", "2s")), [""; 0]);
    let off = tuned.replace("above", "gate: off, above");
    assert_eq!(warnings(&off), [""; 0]);
}

#[test]
fn a_group_whose_gates_measure_nothing_is_warned_of() {
    let alone = "  - { name: alone, primary: a, standbys: [b], probes: [port], checks: [{ probe: port, check: reachable, gate: scored }] }\n";
    assert_eq!(
        warnings(alone),
        [
            "groups[1].checks | no gate of the group measures anything: its standbys would be ready \
          whatever state they are in | "
        ]
    );
}

#[test]
fn check_lists_the_checks_of_each_group() {
    let small = FILE.replace(
        "[net, port, mail, plain, web, names, orders, cache, pool]",
        "[net, orders, cache]",
    );
    let more = "    objectives: { rpo: 5s, rto: 5m }
    jurisdictions: [EU]
    checks:
      - { probe: net, check: latency, above: 250ms, over: 1h }
      - { probe: cache, check: apply, gate: off }
";
    let plan = Folder::with(&[&small, more].concat()).plan().expect("good");
    let text = summary::text(&plan);
    let group = text.split("\ngroup ").nth(1).expect("a group");
    let group = group.split("\n\n").next().expect("text");
    assert_eq!(
        group,
        "shop: primary a, standbys b, c
  objectives: rpo 5s, rto 5m
  orders (postgres) with a canary
  cache (redis) without a canary
  ranking: median of orders
  checks:
  CHECK           PROBE   GATE    RISE/FALL  THRESHOLD
  reachable       net     hard    2/3        -
  loss            net     scored  2/3        above 5%, warn 1%, over 5m
  latency         net     scored  2/3        above 250ms, quantile 0.95 over 1h
  reachable       orders  hard    2/3        -
  identity        orders  hard    5/1        -
  single_primary  orders  hard    5/1        -
  config          orders  hard    1/1        -
  role            orders  hard    5/1        -
  slot            orders  hard    1/1        -
  link            orders  hard    2/3        above 45s
  loss            orders  hard    2/3        above 16MiB, or 10s of writes if more
  apply           orders  scored  2/3        above 64MiB
  lag             orders  hard    2/3        above 5s
  canary          orders  hard    2/3        above 5s
  reachable       cache   hard    2/3        -
  identity        cache   hard    5/1        -
  single_primary  cache   hard    5/1        -
  role            cache   hard    5/1        -
  link            cache   hard    2/3        above 20s
  loss            cache   hard    2/3        above 16MiB, or 10s of writes if more
  apply           cache   off     2/3        above 64MiB
  lag             cache   hard    2/3        above 5s
  keys            cache   hard    2/3        below 50%, from 1000 keys on
  jurisdiction    -       hard    1/1        -
  hold            -       hard    1/1        -
  rto             -       scored  1/1        above 5m"
    );
}

/// The cells of the table of checks that the code tells, without what they mean.
fn cells(check: &DefaultCheck) -> String {
    let code = |text: &str| format!("`{text}`");
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| code(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let of = if check.of.is_empty() {
        "the group".to_owned()
    } else {
        list(check.of)
    };
    let gate = if check.gate == GateKind::Hard {
        "hard"
    } else {
        "scored"
    };
    let threshold = check.bound.map_or_else(String::new, |bound| {
        let (beyond, unit) = (
            bound.beyond.map_or("above` or `below", Beyond::as_str),
            bound.unit,
        );
        let limit = match bound.limit {
            Limit::At(limit) => format!("`{beyond}: {}`", unit.display(limit)),
            Limit::Rpo => format!("`{beyond}`: `objectives.rpo`"),
            Limit::Rto => format!("`{beyond}`: `objectives.rto`"),
            Limit::Unset => format!("`{beyond}`: only if set"),
        };
        let warn = bound
            .warn
            .map(|warn| format!(", `warn: {}`", unit.display(warn)));
        limit + &warn.unwrap_or_default()
    });
    let needs = match check.needs {
        Need::Nothing | Need::Replication => "",
        Need::Tls => "TLS",
        Need::Version => "`version`",
        Need::Canary => "`canary: true`",
        Need::Jurisdictions => "`jurisdictions`",
    };
    let DefaultCheck {
        name,
        rise,
        fall,
        parents,
        ..
    } = check;
    let cells = [
        code(name),
        of,
        gate.to_owned(),
        format!("{rise}/{fall}"),
        threshold,
        needs.to_owned(),
        list(parents),
    ];
    cells.join(" | ")
}

#[test]
fn the_reference_has_every_check_that_comes_by_itself_and_no_other() {
    let docs = include_str!("../../../docs/configuration.md");
    let (_, section) = docs
        .split_once("\n### checks of a group\n")
        .expect("a section");
    let section = section.split("\n#").next().expect("text");
    let (_, table) = section
        .split_once("| check | of | gate |")
        .expect("a table");
    let table = table.split("\n\n").next().expect("text");
    let documented: Vec<_> = table.lines().skip(2).collect();
    let expected: Vec<_> = DEFAULTS
        .iter()
        .map(|check| format!("| {} | ", cells(check)))
        .collect();
    for (row, expected) in documented.iter().zip(&expected) {
        let meaning = row.strip_prefix(expected.as_str());
        assert!(
            meaning.is_some_and(|meaning| meaning.len() > 10),
            "{row}\n{expected}"
        );
    }
    assert_eq!(documented.len(), expected.len(), "{}", expected.join("\n"));
}
