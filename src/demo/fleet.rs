//! The configuration of the three daemons. Their files differ in `region` and in addresses only: each
//! has paths of its own to the others' regions.

use std::fmt::Write;
use std::net::SocketAddr;

use super::regions::{Each, Region};

/// The group's name.
pub(super) const GROUP: &str = "shop";
/// What may be lost.
pub(super) const RPO_SECONDS: u32 = 10;
/// The latency above which a standby is too slow.
pub(super) const SLOW_MILLIS: u32 = 400;

/// What a daemon's file is made of.
pub(super) struct Fleet {
    /// Where the daemons are.
    pub(super) daemons: Each<SocketAddr>,
    /// Whether this host lets its daemons ping.
    pub(super) ping: bool,
    /// The region that serves.
    pub(super) primary: Region,
}

/// How one daemon reaches everything.
pub(super) struct Ways {
    /// The service in each region.
    pub(super) web: Each<SocketAddr>,
    /// The databases, and the address that users know; none without databases.
    pub(super) shop: Option<ShopWays>,
}

/// How one daemon reaches the shop.
pub(super) struct ShopWays {
    /// The database in each region.
    pub(super) orders: Each<SocketAddr>,
    /// The public address.
    pub(super) front: SocketAddr,
}

impl Fleet {
    /// The file of the daemon in a region.
    pub(super) fn file(&self, region: Region, ways: &Ways) -> String {
        let mut text = format!(
            "# The file of hotspare's daemon in {region}. Those of the other regions differ in `region`\n\
             # and in addresses only: this region's own paths lead to each target.\n\n\
             region: {region}\nregions:\n"
        );
        for region in Region::ALL {
            let daemon = self.daemons[region.place()];
            let _ = writeln!(
                text,
                "  - {{ name: {region}, daemon: \"http://{daemon}\" }}"
            );
        }
        text.push_str("\ndefaults: { interval: 1s, timeout: 900ms }\n");
        text.push_str(&self.probes(ways));
        text.push_str(&self.group(ways));
        text.push_str(if ways.shop.is_some() {
            RULES_OF_DATABASES
        } else {
            RULES
        });
        text
    }

    fn probes(&self, ways: &Ways) -> String {
        let mut text = "\nprobes:\n".to_owned();
        if self.ping {
            text.push_str(&probe(
                "net",
                "ping: { count: 3, spacing: 20ms }",
                |region| format!("127.0.0.{}", region.place() + 1),
            ));
        }
        let web = |region: Region| format!("\"http://{}/healthz\"", ways.web[region.place()]);
        text.push_str(&probe("web", "http: { valid_status: [200] }", web));
        if let Some(shop) = &ways.shop {
            let check = "postgres: { user: hotspare_probe, database: postgres, \
                         password_file: orders.pw, tls: disable, canary: true }";
            text.push_str(&probe("orders", check, |region| {
                format!("\"{}\"", shop.orders[region.place()])
            }));
            let _ = writeln!(
                text,
                "  # What users see: the public name, which leads to wherever orders are taken.\n  \
                 - name: front\n    check: {{ http: {{ valid_status: [200] }} }}\n    \
                 targets: {{ {}: \"http://{}/\" }}",
                Region::ALL[0],
                shop.front
            );
        }
        text
    }

    fn group(&self, ways: &Ways) -> String {
        let standbys = Region::ALL.into_iter().filter(|r| *r != self.primary);
        let standbys: Vec<_> = standbys.map(Region::name).collect();
        let standbys = standbys.join(", ");
        let ping = if self.ping { "net, " } else { "" };
        let mut text = format!(
            "\ngroups:\n  - name: {GROUP}\n    primary: {}\n    standbys: [{standbys}]\n    preference: [{standbys}]\n",
            self.primary
        );
        if ways.shop.is_some() {
            let _ = write!(
                text,
                "    probes: [{ping}web, orders]\n    user_path: front\n    \
                 objectives: {{ rpo: {RPO_SECONDS}s, rto: 2m }}\n    \
                 # So short for the demo; an hour by itself.\n    block_after_failover: 5s\n"
            );
        } else {
            let _ = write!(
                text,
                "    probes: [{ping}web]\n    objectives: {{ rto: 2m }}\n"
            );
        }
        let _ = write!(
            text,
            "    assume: {{ decide: 30s, promote: 10s }}\n    checks:\n      \
             - {{ probe: web, check: latency, gate: hard, quantile: 0.95, over: 6s, above: {SLOW_MILLIS}ms }}\n"
        );
        text
    }
}

/// A probe with a target in each region.
fn probe(name: &str, check: &str, address: impl Fn(Region) -> String) -> String {
    let mut text = format!("  - name: {name}\n    check: {{ {check} }}\n    targets:\n");
    for region in Region::ALL {
        let _ = writeln!(text, "      {region}: {}", address(region));
    }
    text
}

const RULES: &str = "
rules:
  - { name: StandbyNotReady, when: { readiness: { state: not_ready } }, severity: warning }
  - { name: NoStandbyCanTakeOver, when: { no_standby: {} }, severity: critical }
  - { name: DaemonUnwell, when: { health: {} }, severity: warning }
";

const RULES_OF_DATABASES: &str = "
rules:
  - { name: StandbyNotReady, when: { readiness: { state: not_ready } }, severity: warning }
  - { name: PrimaryLost, when: { readiness: { state: primary_lost } }, severity: critical }
  - { name: NoStandbyCanTakeOver, when: { no_standby: {} }, severity: critical }
  - { name: LossBeyondObjective, when: { rpo: {} }, severity: critical }
  - { name: FailedOver, when: { failover: {} }, severity: critical }
  - { name: DaemonUnwell, when: { health: {} }, severity: warning }
";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn ways(offset: u16, databases: bool) -> Ways {
        let each = |port: u16| [0, 1, 2].map(|place| address(port + place + offset));
        Ways {
            web: each(1000),
            shop: databases.then(|| ShopWays {
                orders: each(2000),
                front: address(3000 + offset),
            }),
        }
    }

    fn fleet(primary: Region) -> Fleet {
        Fleet {
            daemons: [9887, 9888, 9889].map(address),
            ping: true,
            primary,
        }
    }

    /// The lines of a file that are not about this one daemon.
    fn common(region: Region, offset: u16) -> Vec<String> {
        let text = fleet(Region::EuWest).file(region, &ways(offset, true));
        let own = |line: &&str| {
            !line.starts_with("region:") && !line.starts_with('#') && !line.contains("127.0.0.1:")
        };
        text.lines().filter(own).map(str::to_owned).collect()
    }

    #[test]
    fn the_files_differ_in_region_and_addresses_only() {
        let first = common(Region::EuWest, 0);
        assert!(first.len() > 30, "{first:#?}");
        assert_eq!(common(Region::UsEast, 10), first);
    }

    #[test]
    fn the_standbys_are_the_regions_that_do_not_serve() {
        let text = fleet(Region::EuCentral).file(Region::EuWest, &ways(0, true));
        assert!(text.contains("primary: eu-central\n    standbys: [eu-west, us-east]"));
    }

    #[test]
    fn without_databases_nothing_is_said_of_them() {
        let text = fleet(Region::EuWest).file(Region::EuWest, &ways(0, false));
        for word in ["postgres", "rpo", "user_path", "front", "failover"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}
