//! Everything that the demo runs, put up and taken down as one.

use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinSet;

use super::Options;
use super::daemons::{Daemons, addresses, other_addresses};
use super::databases::Databases;
use super::fleet::{Fleet, Ways};
use super::folder::Folder;
use super::path::{Path, Route, Upstream};
use super::postgres::{Cluster, Programs};
use super::regions::{Each, Region};
use super::sweeper::Sweeper;
use super::terminal::Terminal;
use super::web::App;

/// How often the daemons are started anew on other ports. A free one can be taken at any time, by whoever
/// connects to somewhere.
const ATTEMPTS: u32 = 10;

/// What runs. It ends in the order of these fields: those that look before what they look at.
pub(super) struct Stage {
    pub(super) daemons: Daemons,
    pub(super) databases: Option<Databases>,
    pub(super) apps: Each<App>,
    /// From each region to the service in each.
    pub(super) webs: Each<Each<Path>>,
    fleet: Fleet,
    ways: Each<Ways>,
    _tasks: JoinSet<()>,
    _folder: Folder,
    _sweeper: Sweeper,
}

/// Opens paths, each with a seed of its own.
pub(super) struct Paths {
    pub(super) tasks: JoinSet<()>,
    seeds: fastrand::Rng,
}

impl Paths {
    /// A path between two regions.
    pub(super) async fn open(
        &mut self,
        from: Region,
        to: Region,
        upstream: Upstream,
    ) -> Result<Path, String> {
        let one_way = from.one_way_to(to);
        let route = Route { upstream, one_way };
        Path::open(&mut self.tasks, route, self.seeds.u64(..)).await
    }

    /// A path from each region to each.
    pub(super) async fn mesh(
        &mut self,
        upstream: impl Fn(Region) -> Upstream,
    ) -> Result<Each<Each<Path>>, String> {
        let [one, two, three] = Region::ALL;
        Ok([
            self.fan(one, &upstream).await?,
            self.fan(two, &upstream).await?,
            self.fan(three, &upstream).await?,
        ])
    }

    /// A path from one region to each.
    async fn fan(
        &mut self,
        from: Region,
        upstream: &impl Fn(Region) -> Upstream,
    ) -> Result<Each<Path>, String> {
        let [one, two, three] = Region::ALL;
        Ok([
            self.open(from, one, upstream(one)).await?,
            self.open(from, two, upstream(two)).await?,
            self.open(from, three, upstream(three)).await?,
        ])
    }
}

impl Stage {
    /// Puts everything up, and says what.
    pub(super) async fn put_up(options: Options, terminal: &Terminal) -> Result<Self, String> {
        let (folder, seed) = (Folder::make()?, options.seed);
        let sweeper = Sweeper::watch(&folder)?;
        let mut paths = Paths {
            tasks: JoinSet::new(),
            seeds: fastrand::Rng::with_seed(seed),
        };
        terminal.aside(format_args!(
            "everything is below {}",
            folder.path().display()
        ));
        let ping = may_ping(terminal);
        let databases = databases(options, &folder, &mut paths, terminal).await?;
        let apps = apps(&mut paths, seed).await?;
        let webs = paths.mesh(|region| Upstream::Tcp(apps[region.place()].address));
        let webs = webs.await?;
        let ways = Region::ALL.map(|from| Ways {
            web: webs[from.place()].each_ref().map(Path::address),
            shop: databases.as_ref().map(|databases| databases.ways(from)),
        });
        let mut fleet = Fleet {
            daemons: addresses()?,
            ping,
            primary: Region::EuWest,
        };
        let password = databases.as_ref().map(Databases::password);
        let mut daemons = Daemons::start(folder.path(), &fleet, &ways, password)?;
        let mut attempts = ATTEMPTS;
        while let Err(why) = daemons.listen().await {
            // Somebody else took one of the ports since.
            drop(daemons);
            attempts = attempts.checked_sub(1).ok_or(why)?;
            fleet.daemons = other_addresses()?;
            daemons = Daemons::start(folder.path(), &fleet, &ways, password)?;
        }
        Ok(Self {
            daemons,
            databases,
            apps,
            webs,
            fleet,
            ways,
            _tasks: paths.tasks,
            _folder: folder,
            _sweeper: sweeper,
        })
    }

    /// An error once something has ended by itself.
    pub(super) fn runs(&mut self) -> Result<(), String> {
        self.daemons.run()?;
        self.databases.as_mut().map_or(Ok(()), Databases::run)
    }

    /// Tells the daemons that another region serves.
    pub(super) async fn served_by(&mut self, primary: Region) -> Result<(), String> {
        self.fleet.primary = primary;
        self.daemons.reconfigure(&self.fleet, &self.ways).await
    }
}

/// The service in each region.
async fn apps(paths: &mut Paths, seed: u64) -> Result<Each<App>, String> {
    let [one, two, three] = Region::ALL;
    Ok([
        App::open(&mut paths.tasks, one, seed).await?,
        App::open(&mut paths.tasks, two, seed).await?,
        App::open(&mut paths.tasks, three, seed).await?,
    ])
}

/// The databases, if there can be some; says why not otherwise.
async fn databases(
    options: Options,
    folder: &Folder,
    paths: &mut Paths,
    terminal: &Terminal,
) -> Result<Option<Databases>, String> {
    let programs = if options.no_databases {
        Err("as asked for".to_owned())
    } else {
        Programs::find()
    };
    let programs = match programs {
        Ok(programs) => programs,
        Err(why) => {
            terminal.plain(format_args!(
                "without databases, and so without a failover: {why}"
            ));
            return Ok(None);
        }
    };
    let cluster = Arc::new(Cluster::new(programs, folder.path())?);
    let version = cluster.version();
    terminal.plain(format_args!(
        "PostgreSQL {version}: a primary in eu-west is copied to two standbys …"
    ));
    Databases::put_up(cluster, paths).await.map(Some)
}

/// Whether a daemon of this account may ping; says why not.
fn may_ping(terminal: &Terminal) -> bool {
    let opens = |kind| Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4)).is_ok();
    let may = opens(Type::DGRAM) || opens(Type::RAW);
    if !may {
        terminal.plain("without ping: this account may not (sysctl net.ipv4.ping_group_range)");
    }
    may
}
