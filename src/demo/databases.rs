//! The shop's databases in the three regions, the paths that lead there, and what a script does to
//! them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::fleet::ShopWays;
use super::path::{Path, Route, Upstream};
use super::postgres::{Cluster, Server};
use super::regions::{Each, Region};
use super::shop::{Cost, Shop};
use super::stage::Paths;
use super::web;

/// The servers, none where one was killed.
pub(super) struct Databases {
    servers: Each<Option<Server>>,
    primary: Region,
    cluster: Arc<Cluster>,
    /// What the server of each region receives through.
    streams: Each<Path>,
    /// From each region to the database in each.
    orders: Each<Each<Path>>,
    /// From each region to where orders are taken.
    fronts: Each<Path>,
    front: SocketAddr,
    /// From the shop to its database.
    till: Path,
    shop: Shop,
}

impl Databases {
    /// Makes a primary in the first region and standbys in the others, and opens the shop.
    pub(super) async fn put_up(cluster: Arc<Cluster>, paths: &mut Paths) -> Result<Self, String> {
        let [first, second, third] = Region::ALL;
        let at = |region| Upstream::Unix(cluster.socket(region));
        let orders = paths.mesh(&at).await?;
        let streams = [
            paths.open(first, first, at(first)).await?,
            paths.open(second, first, at(first)).await?,
            paths.open(third, first, at(first)).await?,
        ];
        let till = paths.open(first, first, at(first)).await?;
        let shop = Shop::default();
        let front = web::serve(&mut paths.tasks, shop.front()).await?;
        let fronts = [
            paths.open(first, first, Upstream::Tcp(front)).await?,
            paths.open(second, first, Upstream::Tcp(front)).await?,
            paths.open(third, first, Upstream::Tcp(front)).await?,
        ];
        let primary = Server::primary(&cluster, first).await?;
        let port = |region: Region| streams[region.place()].address().port();
        let (one, other) = tokio::try_join!(
            Server::standby_of(&primary, second, port(second)),
            Server::standby_of(&primary, third, port(third)),
        )?;
        let password = cluster.password().to_owned();
        paths
            .tasks
            .spawn(shop.clone().trade(till.address(), password));
        Ok(Self {
            servers: [Some(primary), Some(one), Some(other)],
            primary: first,
            cluster,
            streams,
            orders,
            fronts,
            front,
            till,
            shop,
        })
    }

    /// How a daemon reaches the shop.
    pub(super) fn ways(&self, from: Region) -> ShopWays {
        ShopWays {
            orders: self.orders[from.place()].each_ref().map(Path::address),
            front: self.fronts[from.place()].address(),
        }
    }

    /// The password of hotspare's user.
    pub(super) fn password(&self) -> &str {
        self.cluster.password()
    }

    /// An error once a server has ended by itself.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.servers.iter_mut().flatten().try_for_each(Server::runs)
    }

    /// What the server of a region receives through.
    pub(super) fn stream(&self, region: Region) -> &Path {
        &self.streams[region.place()]
    }

    /// What `PostgreSQL` itself says of a standby: its link, and how many seconds it is behind by the
    /// question that is asked everywhere.
    pub(super) async fn own_word(&self, standby: Region) -> Result<(String, String), String> {
        const LAG: &str = "SELECT CASE \
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0.0 \
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END";
        const LINK: &str = "SELECT coalesce((SELECT status FROM pg_stat_wal_receiver), 'none')";
        let server = self.server(standby)?;
        Ok((server.value(LINK).await?, server.value(LAG).await?))
    }

    /// How many orders the primary has.
    pub(super) async fn orders_in(&self, region: Region) -> Result<usize, String> {
        Ok(self.numbers(region).await?.len())
    }

    /// Ends the primary as in a crash, and its connections with it.
    pub(super) async fn kill_primary(&mut self) {
        if let Some(server) = self.servers[self.primary.place()].take() {
            server.kill().await;
        }
        for stream in &self.streams {
            stream.break_off();
        }
    }

    /// Makes a standby the primary, from which the others receive now, and sends the shop there. When
    /// that was.
    pub(super) async fn promote(&mut self, standby: Region) -> Result<Instant, String> {
        // Nothing is taken by the new primary before this.
        let begun = Instant::now();
        let ahead = self.ahead_of(standby).await?;
        self.server(standby)?.promote().await?;
        self.primary = standby;
        self.lead_to(standby);
        for region in ahead {
            self.rebuild(region).await?;
        }
        Ok(begun)
    }

    /// The other standbys that have received more than this one: they could not follow it.
    async fn ahead_of(&self, standby: Region) -> Result<Vec<Region>, String> {
        const RECEIVED: &str = "SELECT pg_last_wal_receive_lsn()";
        let received = self.server(standby)?.value(RECEIVED).await?;
        let mut ahead = Vec::new();
        for region in Region::ALL {
            let Ok(other) = self.server(region) else {
                continue;
            };
            let more = format!("SELECT pg_last_wal_receive_lsn() > '{received}'");
            if other.value(&more).await? == "t" {
                ahead.push(region);
            }
        }
        Ok(ahead)
    }

    /// Has everybody receive from the region's server, and the shop write there.
    fn lead_to(&self, standby: Region) {
        for region in Region::ALL {
            let one_way = region.one_way_to(standby);
            let upstream = Upstream::Unix(self.cluster.socket(standby));
            self.streams[region.place()].lead(Route { upstream, one_way });
            self.streams[region.place()].pass();
            let upstream = Upstream::Tcp(self.front);
            self.fronts[region.place()].lead(Route { upstream, one_way });
        }
        self.till.lead(Route {
            upstream: Upstream::Unix(self.cluster.socket(standby)),
            one_way: standby.one_way_to(standby),
        });
    }

    /// Makes the server of a region anew, as a standby of the primary.
    pub(super) async fn rebuild(&mut self, region: Region) -> Result<(), String> {
        if let Some(server) = self.servers[region.place()].take() {
            server.kill().await;
        }
        let port = self.stream(region).address().port();
        let server = Server::standby_of(self.server(self.primary)?, region, port).await?;
        self.servers[region.place()] = Some(server);
        Ok(())
    }

    /// What the failover cost, by the shop's own book.
    pub(super) async fn cost(&self, promoted: Instant) -> Result<Cost, String> {
        let there = self.numbers(self.primary).await?;
        let cost = self.shop.cost(&there, promoted);
        cost.ok_or_else(|| "the shop has taken no order since".to_owned())
    }

    async fn numbers(&self, region: Region) -> Result<BTreeSet<i64>, String> {
        let rows = self
            .server(region)?
            .sql("SELECT number FROM orders")
            .await?;
        let numbers = rows.iter().map(|row| row.parse());
        numbers
            .collect::<Result<_, _>>()
            .map_err(|e| format!("orders: {e}"))
    }

    fn server(&self, region: Region) -> Result<&Server, String> {
        let server = self.servers[region.place()].as_ref();
        server.ok_or_else(|| format!("there is no server in {region}"))
    }
}
