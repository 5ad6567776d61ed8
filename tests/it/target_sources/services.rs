//! Services that DNS tells of, asked of a real server.

use hotspare::net::Names;

use super::{Fleet, with_probe};
use crate::dns::Dnsmasq;

#[tokio::test]
async fn the_hosts_and_ports_of_srv_records_are_targets_and_stay_when_the_server_is_gone() {
    let server = Dnsmasq::start().await;
    let keys = "targets_dns: [{ names: [_pg._tcp.example], region: b, refresh_interval: 5s }]";
    let names = Names::at([server.address]);
    let mut fleet = Fleet::resolving(&with_probe(keys), names, |_| {})
        .first()
        .await;
    assert_eq!(fleet.targets(), ["b db.example:5432 db.example:5432"]);
    assert_eq!(fleet.fault(), "");
    drop(server);
    fleet.until("a failure", |of| !of.good).await;
    assert_eq!(fleet.targets(), ["b db.example:5432 db.example:5432"]);
}

#[tokio::test]
async fn a_name_without_records_hides_no_other() {
    let server = Dnsmasq::start().await;
    let keys = "targets_dns: [{ names: [_none._tcp.example, _pg._tcp.example], region: b }]";
    let names = Names::at([server.address]);
    let fleet = Fleet::resolving(&with_probe(keys), names, |_| {})
        .first()
        .await;
    assert_eq!(fleet.targets(), ["b db.example:5432 db.example:5432"]);
    assert_eq!(
        fleet.fault(),
        "resolve _none._tcp.example: it has no SRV record"
    );
}
