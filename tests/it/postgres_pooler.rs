//! The probe `postgres` through `pgbouncer`, which gives each transaction another session.

use std::sync::Arc;

use futures_util::future::join_all;
use hotspare::model::{Order, Reason, Role};
use hotspare::probe::Probe;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::local_server::LocalServer;
use crate::postgres::{probe, run};
use crate::postgres_canary::server;
use crate::postgres_replication::{GUARD, with};
use crate::postgres_server::PostgresServer;

/// A pooler with two sessions for all its clients.
struct Pooler(LocalServer);

impl Pooler {
    fn before(server: &PostgresServer) -> Self {
        let mut local = LocalServer::new("postgres");
        let port = server.port();
        let pooler = |local: &LocalServer| {
            let listen = local.port();
            local.write(
                "pgbouncer.ini",
                &format!(
                    "[databases]\npostgres = host=127.0.0.1 port={port} user=hotspare_probe\n\
                     [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\n\
                     unix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
                     default_pool_size = 2\nquery_wait_timeout = 1\n"
                ),
            );
            let mut command = local.command("/usr/sbin/pgbouncer");
            command.arg("pgbouncer.ini");
            command
        };
        local.start(pooler, |local| {
            std::net::TcpStream::connect(local.address()).is_ok()
        });
        Self(local)
    }

    fn probe(&self, changes: &Value) -> Arc<dyn Probe> {
        let mut settings = with(changes);
        settings["canary"] = json!(true);
        let folder = tempfile::tempdir().expect("folder");
        let address = self.0.address().to_string();
        probe(&settings, &address, folder.path(), GUARD).expect("prepared")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.0.stop(Signal::TERM);
    }
}

#[tokio::test]
async fn facts_and_canaries_come_through_and_leave_nothing_on_the_sessions() {
    let mut server = server();
    // What the pooler's sessions have of their own, so that it shows what is left on them.
    server.sql("ALTER ROLE hotspare_probe RESET ALL");
    let pooler = Pooler::before(&server);
    let connections = ["fresh", "reuse"].map(|how| json!({ "connection": how }));
    let probes: Vec<_> = connections
        .iter()
        .cycle()
        .map(|changes| pooler.probe(changes))
        .take(8)
        .collect();
    let to = run(&*probes[0], GUARD).await.replication().incarnation();
    for seq in 1..6 {
        let order = Order {
            seq,
            to: to.clone(),
        };
        let writer = &probes[usize::from(seq % 2 == 0)];
        let pen = writer.pen().expect("a pen");
        pen.settle();
        pen.order(Some(order));
        let runs = probes.iter().map(|probe| run(&**probe, GUARD));
        let mut written = 0;
        for outcome in join_all(runs).await {
            assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
            assert_eq!(outcome.database().withheld, None);
            let told = outcome.replication();
            assert_eq!((told.role, told.writable), (Role::Primary, Some(true)));
            let canary = outcome.database().canary.as_ref().expect("looked for");
            let mark = canary.seen.mark.expect("seen");
            let seen = mark.map_or(0, |mark| mark.seq);
            assert!((seq - 1..=seq).contains(&seen), "{seen}");
            if let Some(write) = &canary.write {
                assert!(write.outcome.is_ok(), "{write:?}");
                written += 1;
            }
        }
        assert_eq!(written, 1);
        assert_eq!(
            server.sql("SELECT seq FROM hotspare.canary"),
            seq.to_string()
        );
    }
    let setting =
        "SELECT current_setting('lock_timeout') || current_setting('transaction_read_only')";
    let clean = json!({ "query": setting, "expect": "0off", "read_only": false });
    let both = [pooler.probe(&clean), pooler.probe(&clean)];
    for outcome in join_all(both.iter().map(|probe| run(&**probe, GUARD))).await {
        assert_eq!(outcome.reason(), None, "{:?}", outcome.result);
    }

    // A pooler that has no server any more takes the client in, and gives it up over its query.
    server.stop();
    for probe in &probes[..2] {
        let outcome = run(&**probe, GUARD).await;
        assert_eq!(
            outcome.reason(),
            Some(Reason::NotAccepting),
            "{:?}",
            outcome.result
        );
    }
}
