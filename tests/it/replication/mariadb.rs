//! A MariaDB primary and its replica.

use super::campaign::Pair;
use super::{config, healthy, lag, setup};
use crate::daemon::{Daemon, Series};
use crate::link::Link;
use crate::mariadb_server::MariadbServer;

fn check(canary: &str) -> String {
    format!("{{ mysql: {{ user: hotspare_probe, password_file: pw, tls: disable, {canary} }} }}")
}

pub(super) struct Stage {
    primary: MariadbServer,
    /// Only kept.
    _replica: MariadbServer,
    /// What the replica receives through.
    stream: Link,
    daemon: Daemon,
}

fn started(id: u32) -> MariadbServer {
    let mut server = MariadbServer::init(id);
    server.start();
    server
}

impl Stage {
    pub(super) fn set() -> Self {
        let stage = Self::unwaited(&check("canary: true"));
        stage.daemon.wait_until("a healthy pair", healthy);
        stage
    }

    /// With a daemon that never writes, and that has not looked yet.
    pub(super) fn without_canary() -> Self {
        Self::unwaited(&check("canary: false"))
    }

    fn unwaited(check: &str) -> Self {
        let (primary, replica) = (started(1), started(2));
        primary.sql(&setup("mysql"));
        primary.sql(
            "ALTER USER hotspare_probe IDENTIFIED BY 'right' ACCOUNT UNLOCK;
             CREATE DATABASE shop; CREATE TABLE shop.orders (text TEXT)",
        );
        let stream = Link::to(primary.address());
        replica.replicate_from(stream.address());
        replica.catch_up_with(&primary);
        replica.sql("SET GLOBAL read_only = 1");
        let members = [("north", primary.address()), ("south", replica.address())];
        let daemon = Daemon::start_with(
            &config(check, &members),
            |folder| std::fs::write(folder.join("pw"), "right").expect("write"),
            &[],
        );
        Self {
            primary,
            _replica: replica,
            stream,
            daemon,
        }
    }
}

impl Pair for Stage {
    const MISSING: &str = "hotspare_replication_missing_transactions";
    const TELLS_SILENCE: bool = false;

    fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    fn stream(&self) -> &Link {
        &self.stream
    }

    fn write(&self) {
        self.primary.sql("INSERT INTO shop.orders VALUES ('one')");
    }

    /// `Seconds_Behind_Master`.
    fn claimed_lag(&self, series: &Series) -> f64 {
        lag(series, "native")
    }
}
