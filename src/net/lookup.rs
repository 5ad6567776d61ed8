//! One look-up of a name: which servers are asked, when the next one is, and what the answers mean.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::capped::Capped;
use super::question::{Manner, Question};
use super::{Dial, Endpoint, Host, IpVersion, Names, Share, failure_at};
use crate::model::Reason;

/// After so much silence of a server the next one is asked too; the silent one may still answer.
const NEXT_SERVER: Duration = Duration::from_millis(300);
/// After so much silence the question is sent again: a datagram may have been lost.
const RESEND: Duration = Duration::from_secs(1);
/// How long IPv4's answer waits for IPv6's: some servers never answer for IPv6.
const LATE_V6: Duration = Duration::from_millis(500);
/// How long IPv6's answer waits for IPv4's: long enough to ask twice more, as nearly every name with
/// IPv6 has IPv4, and without it another address would be probed.
const LATE_V4: Duration = Duration::from_millis(2500);
/// How long IPv4 addresses are kept when the question for IPv6 failed.
const HALF_TTL: Duration = Duration::from_secs(5);

/// As glibc asks: no random case and no EDNS, because a server that cannot take them would leave
/// this host without names. The probe of DNS asks the other way.
const MANNER: Manner = Manner {
    recursion_desired: true,
    random_case: false,
    edns: false,
};

/// Addresses, and for how long they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub addresses: SmallVec<[IpAddr; 2]>,
    pub ttl: Duration,
}

/// Why there are none. In order: what is said when a look-up met several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Miss {
    /// The name does not exist, or has no such address.
    NotFound,
    /// No server could say; the text tells of the last one.
    Failed(String),
    /// This host could not ask.
    Own(Reason, String),
}

/// What outlives a look-up.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The server that answered last: it is asked first.
    preferred: AtomicUsize,
    /// Questions sent, over all look-ups.
    pub queries: AtomicU64,
}

/// Looks the name up in the ways of the host; ends only by an answer or by being dropped when a
/// server stays silent.
pub(super) async fn look_up(
    names: &Names,
    memory: &Memory,
    name: &str,
    version: IpVersion,
) -> Result<Found, Miss> {
    let candidates = names.candidates(name).map_err(Miss::Failed)?;
    let mut worst = Miss::NotFound;
    for candidate in &candidates {
        let ask = |kind| {
            let read = move |answer: &Message| addresses(answer, candidate, kind);
            at_servers(names, memory, candidate, kind, read)
        };
        let result = match version {
            IpVersion::V4 => ask(RecordType::A).await,
            IpVersion::V6 => ask(RecordType::AAAA).await,
            IpVersion::Any => both(ask(RecordType::A), ask(RecordType::AAAA)).await,
        };
        match result {
            Ok(found) => return Ok(found),
            Err(miss) => worst = worst.max(miss),
        }
    }
    Err(worst)
}

/// Looks up where a service is (SRV, RFC 2782), as [`look_up`] does a name. There is none where the
/// one record's target is the root.
pub(super) async fn look_up_service(
    names: &Names,
    memory: &Memory,
    name: &str,
) -> Result<Vec<Endpoint>, Miss> {
    let candidates = names.candidates(name).map_err(Miss::Failed)?;
    let mut worst = Miss::NotFound;
    for candidate in &candidates {
        let read = |answer: &Message| endpoints(answer, candidate);
        match at_servers(names, memory, candidate, RecordType::SRV, read).await {
            Ok(found) => return found.map_err(Miss::Failed),
            Err(miss) => worst = worst.max(miss),
        }
    }
    Err(worst)
}

/// IPv4 and IPv6 at the same time. When one has addresses, the other has a short while left.
async fn both(
    v4: impl Future<Output = Result<Found, Miss>>,
    v6: impl Future<Output = Result<Found, Miss>>,
) -> Result<Found, Miss> {
    let (v4, v6) = match select(pin!(v4), pin!(v6)).await {
        Either::Left((v4, rest)) => {
            let v6 = rest_of(rest, v4.is_ok(), LATE_V6).await;
            (v4, v6)
        }
        Either::Right((v6, rest)) => (rest_of(rest, v6.is_ok(), LATE_V4).await, v6),
    };
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.addresses.extend(v6.addresses);
            v4.ttl = v4.ttl.min(v6.ttl);
            Ok(v4)
        }
        (Ok(found), Err(Miss::NotFound)) | (Err(Miss::NotFound), Ok(found)) => Ok(found),
        (Ok(v4), Err(_)) => Ok(Found {
            ttl: v4.ttl.min(HALF_TTL),
            ..v4
        }),
        // Used once and not kept: the name most likely has IPv4, which is tried first.
        (Err(_), Ok(v6)) => Ok(Found {
            ttl: Duration::ZERO,
            ..v6
        }),
        (Err(v4), Err(v6)) => Err(v4.max(v6)),
    }
}

/// The other family's answer; it has to hurry where there are addresses already.
async fn rest_of(
    rest: impl Future<Output = Result<Found, Miss>>,
    hurry: bool,
    patience: Duration,
) -> Result<Found, Miss> {
    if !hurry {
        return rest.await;
    }
    let late = |_| Err(Miss::Failed("the other family's answer is late".to_owned()));
    timeout(patience, rest).await.unwrap_or_else(late)
}

/// Asks the servers in turn: the next one at once when one fails, and soon when one is silent.
async fn at_servers<T>(
    names: &Names,
    memory: &Memory,
    name: &Name,
    kind: RecordType,
    read: impl Fn(&Message) -> Option<T> + Copy,
) -> Result<T, Miss> {
    let count = names.servers.len();
    let first = memory.preferred.load(Ordering::Relaxed) % count.max(1);
    let mut order = (0..count).map(|i| (first + i) % count);
    let mut asked = FuturesUnordered::new();
    let mut last = Miss::Failed("no server is configured".to_owned());
    loop {
        let next = order.next();
        if let Some(index) = next {
            let server = names.servers[index];
            asked.push(async move { (index, at_server(memory, server, name, kind, read).await) });
        }
        let outcome = if next.is_some() {
            timeout(NEXT_SERVER, asked.next()).await
        } else {
            Ok(asked.next().await)
        };
        match outcome {
            // Silent so far: on to the next.
            Err(_) => {}
            Ok(None) => return Err(last),
            Ok(Some((index, answer @ (Ok(_) | Err(Miss::NotFound))))) => {
                memory.preferred.store(index, Ordering::Relaxed);
                return answer;
            }
            Ok(Some((_, Err(miss)))) => last = miss,
        }
    }
}

async fn at_server<T>(
    memory: &Memory,
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    read: impl Fn(&Message) -> Option<T>,
) -> Result<T, Miss> {
    let failed = |why: &dyn std::fmt::Display| Miss::Failed(format!("server {server}: {why}"));
    let question = Question::new(name, kind, MANNER).map_err(|e| failed(&e))?;
    let answer = exchange(memory, server, &question)
        .await
        .map_err(|e| match failure_at(server, &e, "server") {
            own if own.reason.is_own() => Miss::Own(own.reason, own.detail.into()),
            theirs => Miss::Failed(theirs.detail.into()),
        })?
        .map_err(|why| failed(&why))?;
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => read(&answer).ok_or(Miss::NotFound),
        code => Err(failed(&code)),
    }
}

async fn exchange(
    memory: &Memory,
    server: SocketAddr,
    question: &Question,
) -> std::io::Result<Result<Box<Message>, String>> {
    let dial = Dial {
        share: Share::Lookup,
        ..Dial::default()
    };
    let socket = dial.open_datagram(server)?;
    let mut ignored = 0;
    let answer = {
        let mut received = pin!(question.receive(&socket, &mut ignored));
        loop {
            memory.queries.fetch_add(1, Ordering::Relaxed);
            socket.send(question.bytes()).await?;
            match select(received, pin!(sleep(RESEND))).await {
                Either::Left((answer, _)) => break answer?,
                Either::Right(((), rest)) => received = rest,
            }
        }
    };
    match answer {
        Ok(cut) if cut.metadata.truncation => {
            memory.queries.fetch_add(1, Ordering::Relaxed);
            let stream = TcpStream::connect(server).await?;
            question
                .exchange(&mut Capped::new(stream, 2 + u64::from(u16::MAX)))
                .await
        }
        whole => Ok(whole),
    }
}

/// The addresses at the end of the chain of aliases that the answer holds. The server has followed
/// it; a chain that leads to nothing or in a circle has none.
fn addresses(answer: &Message, name: &Name, kind: RecordType) -> Option<Found> {
    let mut owner = name;
    let mut ttl = u32::MAX;
    // Each record can be one step at most, so that a circle ends.
    for _ in 0..=answer.answers.len() {
        let mut found = Found {
            addresses: SmallVec::new(),
            ttl: Duration::ZERO,
        };
        let mut alias = None;
        for record in answer.answers.iter().filter(|r| r.name == *owner) {
            match &record.data {
                RData::CNAME(target) => alias = Some((&target.0, record.ttl)),
                data if record.record_type() == kind => {
                    found.addresses.extend(data.ip_addr());
                    ttl = ttl.min(record.ttl);
                }
                _ => {}
            }
        }
        if !found.addresses.is_empty() {
            found.ttl = Duration::from_secs(ttl.into());
            return Some(found);
        }
        let (target, alias_ttl) = alias?;
        owner = target;
        ttl = ttl.min(alias_ttl);
    }
    None
}

/// Where the records at the end of the chain of aliases say that the service is; `None` without such
/// a record. The error says of a target that it is no name.
fn endpoints(answer: &Message, name: &Name) -> Option<Result<Vec<Endpoint>, String>> {
    let mut owner = name;
    for _ in 0..=answer.answers.len() {
        let of_owner = || answer.answers.iter().filter(|r| r.name == *owner);
        let records = of_owner().filter_map(|record| match &record.data {
            RData::SRV(service) => Some(service),
            _ => None,
        });
        let records: Vec<_> = records.collect();
        if !records.is_empty() {
            let there = records.into_iter().filter(|of| !of.target.is_root());
            let endpoints = there.map(|service| {
                let host = service.target.to_ascii();
                let host = Host::parse(host.trim_end_matches('.'))?;
                Ok(Endpoint {
                    host,
                    port: service.port,
                })
            });
            return Some(endpoints.collect());
        }
        owner = of_owner().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(&target.0),
            _ => None,
        })?;
    }
    None
}
