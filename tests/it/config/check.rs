//! What `hotspare check` says of a plan and of the host.

use std::net::UdpSocket;
use std::time::Duration;

use hotspare::config::host::{self, Patience};
use hotspare::config::summary;
use hotspare::net::{Family, Resolver};

use super::fixture::Folder;

const FILE: &str = r#"
region: eu-west
regions: [{ name: eu-west }, { name: us-east }]
probes:
  - { name: web, check: { tcp: {} }, interval: 5s, targets: { eu-west: "10.0.0.1:80", us-east: ["10.0.0.2:80", "10.0.0.3:80"] } }
  - { name: far, check: { tcp: {} }, from: [us-east], targets: { eu-west: "10.0.0.1:80" } }
  - { name: nightly, check: { tcp: {} }, interval: 1h, targets: { us-east: "10.0.0.9:80" } }
"#;

#[test]
fn the_summary_says_what_is_probed_from_where() {
    let plan = Folder::with(FILE).plan().expect("good");
    let series: usize = plan
        .targets
        .iter()
        .map(|t| {
            let (buckets, phase_buckets) = (t.buckets.len(), t.phase_buckets.len());
            summary::series(
                t.target.kind,
                &t.probe.shape(),
                buckets,
                phase_buckets,
                t.objective.is_some(),
            )
        })
        .sum();
    let expected = format!(
        "from eu-west: 4 targets, 0.6 runs/s, about {series} series\n\
         \n\
         PROBE    KIND  INTERVAL  TIMEOUT  RUNS/S  TARGETS\n\
         web      tcp   5s        3s       0.6     eu-west 1, us-east 2\n\
         far      tcp   10s       3s       -       only from us-east\n\
         nightly  tcp   1h        3s       0.0003  us-east 1\n\
         \n\
         from us-east: 5 targets, 0.7 runs/s\n"
    );
    assert_eq!(summary::text(&plan), expected);
    let receivers = "receivers:\n  - { name: ops, webhook: { url: \"http://h/secret\" } }\n  \
                     - { name: chat, slack: { url: \"http://h/secret\" } }\n";
    let plan = Folder::with(&format!("{FILE}{receivers}"))
        .plan()
        .expect("good");
    let table = "\nRECEIVER  KIND\nops       webhook\nchat      slack\n";
    let text = summary::text(&plan);
    let (text, _) = text.split_once("\nhint: ").expect("a hint");
    assert_eq!(text, expected + table);
    assert!(!format!("{plan:?}").contains("secret"));
}

#[test]
fn the_summary_lists_the_rules() {
    let rules = "groups: [{ name: shop, primary: eu-west, standbys: [us-east], probes: [web] }]
rules:
  - { name: Slow, when: { latency: { probe: web, above: 150ms, to: [us-east] } }, for: 2m, severity: warning }
  - { name: Down, when: { failures: { probe: web } }, severity: critical }
  - { name: NotReady, when: { readiness: { state: not_ready } }, for: 1m, severity: critical }
  - { name: None, when: { no_standby: { group: shop } }, severity: critical }
  - { name: Own, when: { health: {} }, severity: info }
";
    let plan = Folder::with(&(FILE.to_owned() + rules)).plan();
    let text = summary::text(&plan.unwrap_or_else(|problems| panic!("{problems}")));
    let (_, rules) = text.split_once("rules:\n").expect("rules");
    let expected = [
        "  RULE      SEVERITY  OF                    WHEN                                                  FOR",
        "  Slow      warning   probe web to us-east  the p95 latency over 5m above 150ms                   2m",
        "  Down      critical  probe web             the number of failures in the last 5 runs at least 3  0s",
        "  NotReady  critical  every group           not ready                                             1m",
        "  None      critical  group shop            the number of standbys that can take over below 1     0s",
        "  Own       info      the daemon            the number of faults of the daemon above 0            0s",
    ];
    let rules: Vec<_> = rules.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(rules, expected);
}

#[test]
fn a_limit_of_files_that_is_too_low_comes_with_its_fix() {
    let plan = Folder::with(FILE).plan().expect("good");
    assert_eq!(host::file_descriptors(&plan, None), None);
    assert_eq!(host::file_descriptors(&plan, Some(516)), None);
    let lack = host::file_descriptors(&plan, Some(515)).expect("a lack");
    assert!(
        lack.to_string()
            .contains("fix: in the unit's [Service]: LimitNOFILE=1024"),
        "{lack}"
    );
    let limits = std::fs::read_to_string("/proc/self/limits").expect("readable");
    let told = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .expect("the limit");
    assert_eq!(host::open_files(), told.parse().ok(), "{told}");
}

#[test]
fn the_permission_to_ping_matters_to_plans_with_pings() {
    let plan = Folder::with(FILE).plan().expect("good");
    assert_eq!(host::icmp(&plan, |_| panic!("not tried")), None);
    let mut plan = plan;
    plan.targets[0].target.kind = "ping";
    assert_eq!(host::icmp(&plan, |_| Ok(())), None);
    let lack = host::icmp(&plan, |_| Err("Permission denied".to_owned())).expect("a lack");
    assert!(lack.to_string().contains("(Permission denied)"), "{lack}");
    assert!(
        lack.to_string().contains("net.ipv4.ping_group_range"),
        "{lack}"
    );
    let tried = |plan: &_| {
        let mut tried = Vec::new();
        host::icmp(plan, |family| {
            tried.push(family);
            Ok(())
        });
        tried
    };
    assert_eq!(tried(&plan), [Family::V4]);
    plan.targets[0].target.address = "2001:db8::1".into();
    assert_eq!(tried(&plan), [Family::V6]);
    plan.targets[1].target.kind = "ping";
    assert_eq!(tried(&plan), [Family::V4, Family::V6]);
}

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(30);

fn patience(each: Duration, all: Duration) -> Patience {
    Patience { each, all }
}

/// A resolver whose one server is the given socket.
fn resolver(server: &UdpSocket) -> Resolver {
    Resolver::at(server.local_addr().expect("bound"))
}

fn named() -> hotspare::config::Plan {
    let file = FILE
        .replace("10.0.0.2:80", "web.hotspare.test:80")
        .replace("10.0.0.9:80", "web.hotspare.test:81");
    Folder::with(&file).plan().expect("good")
}

/// Says of everything that it does not exist.
async fn deny(server: UdpSocket) {
    let server = tokio::net::UdpSocket::from_std(server).expect("socket");
    let mut packet = [0; 512];
    loop {
        let (length, from) = server.recv_from(&mut packet).await.expect("question");
        packet[2] |= 0x80;
        packet[3] = 0x83;
        server.send_to(&packet[..length], from).await.expect("sent");
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_told_once() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind");
    server.set_nonblocking(true).expect("set");
    let (plan, resolver) = (named(), resolver(&server));
    let lacks = tokio::select! {
        lacks = host::names(&plan, &resolver, patience(LONG, LONG)) => lacks,
        () = deny(server) => panic!("it never ends"),
    };
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    let text = lacks[0].to_string();
    let said =
        "the name web.hotspare.test of the target web/us-east/1 does not resolve: dns_not_found";
    assert!(text.starts_with(said), "{text}");
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let lacks = host::names(
        &named(),
        &resolver(&server),
        patience(Duration::from_millis(50), LONG),
    )
    .await;
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    assert!(
        lacks[0].what.ends_with("no answer within 50ms"),
        "{}",
        lacks[0]
    );
}

#[tokio::test]
async fn names_are_not_waited_for_beyond_the_patience_for_all() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let short = patience(LONG, Duration::from_millis(50));
    let lacks = host::names(&named(), &resolver(&server), short).await;
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    assert_eq!(
        lacks[0].to_string(),
        "not every name was looked up within 50ms: 1 left"
    );
}

#[test]
fn check_says_where_nobody_is_told_and_where_there_is_nothing_to_tell() {
    const RULES: &str = "rules: [{ name: R, severity: info, when: { failures: {} } }]\n";
    const RECEIVERS: &str = "receivers: [{ name: ops, webhook: { url: \"http://h\" } }]\n";
    for (more, hint) in [
        (RULES, "hint: nobody is told of alerts without `receivers`"),
        (
            RECEIVERS,
            "hint: without `rules`, the receivers are told of nothing",
        ),
    ] {
        let text = |more: &str| {
            let file = format!(
                "region: a\nregions: [{{ name: a }}]\n\
                 probes: [{{ name: p, check: {{ tcp: {{}} }}, targets: {{ a: \"10.0.0.1:80\" }} }}]\n{more}"
            );
            summary::text(&Folder::with(&file).plan().expect("good"))
        };
        assert!(text(more).contains(hint), "{}", text(more));
        assert!(
            !text(&[RULES, RECEIVERS].concat()).contains("hint:"),
            "{hint}"
        );
        assert!(!text("").contains("hint:"), "{hint}");
    }
}
