//! What comes of good groups: the sets of a plan, their slots, and what `check` says of them.

use std::time::Duration;

use hotspare::config::summary;
use hotspare::config::{Plan, PlannedSet, PlannedTarget};
use hotspare::model::{PlannedGroup, PlannedRanking, TargetKey};

use super::fixture::{Folder, region};

const FILE: &str = r"
region: a
regions: [{ name: a }, { name: b }, { name: c }]
defaults: { interval: 10s, timeout: 3s }
probes:
  - { name: net, check: { ping: {} }, targets: { a: 10.0.0.1, b: 10.0.0.2, c: 10.0.0.3 } }
  - name: orders
    check: { postgres: { user: u, canary: true } }
    targets:
      a: [{ name: a1, address: 10.0.1.1 }, { name: a2, address: 10.0.1.2 }]
      b: [{ name: b1, address: 10.0.1.3 }, { name: b2, address: 10.0.1.4 }]
      c: 10.0.1.5
  - name: stock
    check: { postgres: { user: u } }
    interval: 2s
    timeout: 300ms
    from: [a, b]
    targets: { a: 10.0.2.1, b: 10.0.2.2 }
groups:
  - name: shop
    primary: a
    standbys: [c, b]
    probes: [net, { name: orders, targets: { a: a1, b: b2 } }]
  - { name: stock, primary: b, standbys: [a], probes: [{ name: net, targets: { a: a } }, stock] }
";

fn plan() -> Plan {
    Folder::with(FILE)
        .plan()
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn name(plan: &Plan, key: TargetKey) -> String {
    plan.target(key).expect("planned").target.to_string()
}

fn described(plan: &Plan, set: &PlannedSet) -> String {
    let standbys = set.standbys.iter();
    let standbys = standbys.map(|(region, key)| format!("{region}={}", name(plan, *key)));
    format!(
        "{} {} from {}, canary {}, {:?}/{:?}: {} <- {}",
        set.set.group,
        set.set.probe,
        set.set.source_region,
        set.set.canary,
        set.interval,
        set.timeout,
        name(plan, set.primary),
        standbys.collect::<Vec<_>>().join(" "),
    )
}

#[test]
fn every_database_of_a_group_is_a_set_of_one_target_for_each_region() {
    let plan = plan();
    let sets: Vec<_> = plan.sets.iter().map(|set| described(&plan, set)).collect();
    assert_eq!(
        sets,
        [
            "shop orders from a, canary true, 10s/3s: orders/a1 <- c=orders/c b=orders/b2",
            "stock stock from a, canary false, 2s/300ms: stock/b <- a=stock/a",
        ]
    );
}

#[test]
fn what_does_not_run_from_here_is_no_set_and_still_a_group() {
    let mut folder = Folder::with(FILE);
    folder.overrides = region("c");
    let plan = folder.plan().expect("good");
    assert_eq!(plan.sets.len(), 1);
    assert_eq!(plan.groups.len(), 2);
}

#[test]
fn the_members_of_a_set_have_one_slot_and_the_primary_comes_later_in_it() {
    let plan = plan();
    let turn = |key: TargetKey| &plan.target(key).expect("planned").turn;
    // A fifth of the interval, or the timeout if that is shorter.
    for (set, delay) in plan
        .sets
        .iter()
        .zip([2_000, 300].map(Duration::from_millis))
    {
        assert_eq!(turn(set.primary).delay, delay);
        for (_, standby) in &set.standbys {
            assert_eq!(turn(*standby).delay, Duration::ZERO);
            assert_eq!(turn(*standby).identity, turn(set.primary).identity);
        }
    }
    assert_ne!(
        turn(plan.sets[0].primary).identity,
        turn(plan.sets[1].primary).identity
    );
    let in_sets = |name: &str| ["orders/a1", "orders/b2", "orders/c"].contains(&name);
    let others = plan.targets.iter().filter(|planned| {
        let target = &planned.target;
        &*target.probe != "stock" && !in_sets(&target.to_string())
    });
    let mut count = 0;
    for planned in others {
        count += 1;
        assert_eq!(planned.turn.identity, planned.target.identity());
        assert_eq!(planned.turn.delay, Duration::ZERO);
    }
    assert_eq!(count, 5, "three pings and two that are in no group");
}

#[test]
fn a_target_in_two_sets_follows_the_first() {
    let more = "  - { name: back, primary: a, standbys: [b], probes: [stock] }\n";
    let plan = Folder::with(&(FILE.to_owned() + more))
        .plan()
        .expect("good");
    let [first, second] = [&plan.sets[1], &plan.sets[2]];
    assert_eq!(
        (first.primary, second.primary),
        (second.standbys[0].1, first.standbys[0].1)
    );
    let turn = |key: TargetKey| &plan.target(key).expect("planned").turn;
    assert_eq!(turn(first.primary).identity, first.set.identity());
    assert_eq!(turn(first.primary).delay, Duration::from_millis(300));
    assert_eq!(turn(second.primary).identity, first.set.identity());
    assert_eq!(turn(second.primary).delay, Duration::ZERO);
}

#[test]
fn what_tells_nothing_of_replication_is_no_database_of_its_group() {
    let quiet = FILE.replace("{ user: u }", "{ user: u, replication: false }");
    let plan = Folder::with(&quiet).plan().expect("good");
    let databases = plan.groups.iter().map(|group| group.databases.len());
    assert_eq!(databases.collect::<Vec<_>>(), [1, 0]);
    assert_eq!(plan.sets.len(), 1);
}

#[test]
fn groups_may_be_in_included_files() {
    let (main, groups) = FILE.split_once("groups:").expect("groups");
    let folder = Folder::with(&format!("include: [groups.yaml]{main}"));
    let folder = folder.add("groups.yaml", &format!("groups:{groups}"));
    assert_eq!(folder.plan().expect("good").sets, plan().sets);
}

#[test]
fn check_lists_groups_and_hints_at_canaries() {
    let plan = plan();
    let of_target = |planned: &PlannedTarget| {
        let (buckets, phases) = (planned.buckets.len(), planned.phase_buckets.len());
        summary::series(
            planned.target.kind,
            &planned.probe.shape(),
            buckets,
            phases,
            false,
        )
    };
    let of_set = |planned: &PlannedSet| {
        summary::set_series(&planned.set)
            + planned.standbys.len() * summary::pair_series(&planned.set)
    };
    let series: usize = plan.targets.iter().map(of_target).sum();
    let series = series + plan.sets.iter().map(of_set).sum::<usize>() + plan.members.len();
    let groups = plan.groups.iter();
    let of_group =
        |group: &PlannedGroup| group.standbys.len() * summary::standby_series(&group.checks);
    let series = series + groups.map(of_group).sum::<usize>();
    let text = summary::text(&plan);
    assert!(
        text.contains(&format!(", about {series} series\n")),
        "{text}"
    );
    let groups = &text[text.find("\ngroup ").expect("groups")..];
    // The tables of checks are shown elsewhere to be right.
    let lines = groups.lines().filter(|line| {
        !line.contains('/') && !line.contains("  checks:") && !line.contains("  ranking:")
    });
    let groups: String = lines.map(|line| line.to_owned() + "\n").collect();
    assert_eq!(
        groups,
        "
group shop: primary a, standbys c, b
  orders (postgres) with a canary

group stock: primary b, standbys a
  stock (postgres) without a canary

hint: `canary: true` in the check of stock would also show that what the primary commits becomes \
visible on its standbys, and how many seconds of writes would be lost; `hotspare sql postgres` \
prints what to set up

hint: with `objectives: { rpo: … }`, the group shop would also be judged by how far in time its \
standbys are behind

hint: with `objectives: { rpo: … }`, the group stock would also be judged by how far in time its \
standbys are behind
"
    );
    let all = FILE.replace("{ user: u }", "{ user: u, canary: true }");
    let objectives = "objectives: { rpo: 1m }";
    let all = all.replace("primary: b,", &format!("primary: b, {objectives},"));
    let all = all.replace("primary: a\n", &format!("primary: a\n    {objectives}\n"));
    let text = summary::text(&Folder::with(&all).plan().expect("good"));
    assert!(!text.contains("hint"), "{text}");
}

fn targets(plan: &Plan, ranking: &PlannedRanking) -> String {
    let names = |keys: &Vec<TargetKey>| {
        let names = keys.iter().map(|key| name(plan, *key));
        names.collect::<Vec<_>>().join("+")
    };
    let targets: Vec<_> = ranking.targets.iter().map(names).collect();
    targets.join(" ")
}

#[test]
fn one_probe_of_a_group_ranks_its_standbys() {
    let plan = plan();
    let shop = &plan.groups[0].ranking;
    assert_eq!(
        shop.probe.as_deref(),
        Some("orders"),
        "a database before a ping"
    );
    assert_eq!(targets(&plan, shop), "orders/c orders/b2");
    assert_eq!(shop.interval, Duration::from_secs(10));
    let group = |probes: &str, ranking: &str| {
        format!("  - {{ name: x, primary: a, standbys: [b, c], probes: [{probes}]{ranking} }}\n")
    };
    let web = "https://10.0.0.9/";
    let probes = format!(
        "probes:\n  - {{ name: web, check: {{ http: {{}} }}, targets: {{ b: [\"{web}1\", \"{web}2\"], c: \"{web}\" }} }}\n  - {{ name: part, check: {{ http: {{}} }}, targets: {{ b: \"{web}\" }} }}\n  - {{ name: far, check: {{ http: {{}} }}, from: [b], targets: {{ b: \"{web}\", c: \"{web}\" }} }}\n"
    );
    for (names, ranking_of, probe, expected) in [
        // The best kind wins, and it has to have every standby, from here.
        (
            "net, part, far, web",
            "",
            Some("web"),
            "web/b/1+web/b/2 web/c",
        ),
        ("net, part, far", "", Some("net"), "net/b net/c"),
        ("far", "", None, ""),
        (
            "net, web",
            ", ranking: { probe: net }",
            Some("net"),
            "net/b net/c",
        ),
        ("net, far", ", ranking: { probe: far }", None, ""),
        (
            "net, { name: web, targets: { b: b/2 } }",
            "",
            Some("web"),
            "web/b/2 web/c",
        ),
    ] {
        let file = FILE.replace(
            "probes:\n  - { name: net",
            &(probes.clone() + "  - { name: net"),
        );
        let file = file + &group(names, ranking_of);
        let plan = Folder::with(&file).plan();
        let plan = plan.unwrap_or_else(|problems| panic!("{problems}"));
        let found = &plan.groups[2].ranking;
        assert_eq!(found.probe.as_deref(), probe, "{names}");
        assert_eq!(targets(&plan, found), expected, "{names}");
    }
}
