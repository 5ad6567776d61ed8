//! What the daemons say, asked over their API as anybody would.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::fleet::GROUP;
use super::regions::Region;
use crate::net::http::{Answer, Exchange, wire_cap};
use crate::net::{Dial, Stopwatch};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// And one that comes once another configuration is in force.
const PATIENCE_TO_RELOAD: Duration = Duration::from_mins(1);
const MAX_BODY: u64 = 1 << 20;

/// A daemon, to be asked.
#[derive(Clone, Copy)]
pub(super) struct Daemon {
    region: Region,
    address: SocketAddr,
}

/// What a daemon says of the group.
#[derive(Clone, Debug, Deserialize)]
struct Group {
    standbys: Vec<Standby>,
}

/// What it says of a standby, as far as the demo looks at it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Standby {
    #[serde(rename = "standby")]
    region: String,
    pub(super) state: String,
    pub(super) promotion: String,
    pub(super) reasons: Vec<Check>,
    pub(super) rpo_seconds: Option<f64>,
    pub(super) rpo_bytes: Option<u64>,
    pub(super) rto_seconds: Option<f64>,
    pub(super) last_sight: Option<Sight>,
}

/// A gate that does not pass.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Check {
    pub(super) check: String,
    pub(super) state: String,
}

/// What was known when the primary and the standby were last both seen.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Sight {
    pub(super) rpo_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Failover>,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    rule: String,
    state: String,
}

/// A failover that it saw.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Failover {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) rto_write_seconds: f64,
    pub(super) rto_write_basis: String,
    pub(super) rpo_writes: Option<u64>,
    pub(super) rpo_seconds: Option<f64>,
    pub(super) rto_user_seconds: Option<f64>,
}

impl Standby {
    /// Whether a gate of this name fails.
    pub(super) fn fails(&self, checks: &[&str]) -> bool {
        let fails = |check: &Check| check.state == "fail" && checks.contains(&check.check.as_str());
        self.reasons.iter().any(fails)
    }
}

impl Daemon {
    pub(super) const fn new(region: Region, address: SocketAddr) -> Self {
        Self { region, address }
    }

    /// The region in which it runs.
    pub(super) const fn region(&self) -> Region {
        self.region
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says of a standby.
    pub(super) async fn standby(&self, standby: Region) -> Result<Standby, String> {
        let group: Group = self.json(&format!("/api/v1/groups/{GROUP}")).await?;
        let mut standbys = group.standbys.into_iter();
        let found = standbys.find(|each| each.region == standby.name());
        found.ok_or_else(|| format!("it knows no standby {standby}"))
    }

    /// The same in one line, as load balancers are told.
    pub(super) async fn line(&self, standby: Region) -> Result<String, String> {
        let path = format!("/ready/{GROUP}/{standby}");
        let answer = self.ask(Method::GET, &path, PATIENCE).await?;
        Ok(String::from_utf8_lossy(&answer.body).trim_end().to_owned())
    }

    /// The failovers that it saw.
    pub(super) async fn failovers(&self) -> Result<Vec<Failover>, String> {
        let events: Events = self.json("/api/v1/events").await?;
        Ok(events.events)
    }

    /// The names of the alerts that fire, each once.
    pub(super) async fn fires(&self) -> Result<Vec<String>, String> {
        let alerts: Alerts = self.json("/api/v1/alerts").await?;
        let firing = alerts
            .alerts
            .into_iter()
            .filter(|alert| alert.state == "firing");
        let names: BTreeSet<_> = firing.map(|alert| alert.rule).collect();
        Ok(names.into_iter().collect())
    }

    /// Has it read its file again.
    pub(super) async fn reload(&self) -> Result<(), String> {
        let answer = self.ask(Method::POST, "/-/reload", PATIENCE_TO_RELOAD);
        let answer = answer.await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&answer.body);
        Err(format!(
            "the daemon in {} takes no new file: {why}",
            self.region
        ))
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = self.ask(Method::GET, path, PATIENCE).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("{path} is answered with {}", answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("{path}: {error}"))
    }

    async fn ask(&self, method: Method, path: &str, patience: Duration) -> Result<Answer, String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .body(Full::<Bytes>::default())
            .map_err(|error| error.to_string())?;
        let exchange = Exchange {
            request,
            max_body_bytes: MAX_BODY,
            keep_body: true,
        };
        let mut watch = Stopwatch::start();
        let asked = async {
            let dial = Dial::default();
            let wire = dial
                .connect(self.address, wire_cap(MAX_BODY), &mut watch)
                .await?;
            exchange.http1(wire, &mut watch).await
        };
        let asked = timeout(patience, asked).await;
        let asked = asked.map_err(|_| format!("no answer within {}s", patience.as_secs()))?;
        asked.map_err(|failure| failure.detail.to_string())
    }
}
