//! How a receiver is reached: a connection, and why there is none.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use super::{Context, Refusal, RefusalReason};
use crate::model::{Failure, Phase, Problem, Reason};
use crate::net::{Dial, Endpoint, IpVersion, Stopwatch, TlsClient, TlsSettings, Wire};

/// Addresses of a name that are tried until one takes the connection.
const ADDRESSES: usize = 3;
/// How long one of them has for that, if there is another.
const CONNECT: Duration = Duration::from_secs(3);

/// Connects to the first of the addresses that takes the connection; at most `cap` bytes can be read
/// from it. The failure is the first one's.
pub(super) async fn connect(
    to: &Endpoint,
    cap: u64,
    context: &Context,
    watch: &mut Stopwatch,
) -> Result<Wire, Failure> {
    let addresses = context.resolver.resolve(&to.host, IpVersion::Any, watch);
    let addresses = addresses.await?;
    if let [only] = addresses[..] {
        let address = SocketAddr::new(only, to.port);
        return Dial::default().connect(address, cap, watch).await;
    }
    let mut first = None;
    for ip in addresses.into_iter().take(ADDRESSES) {
        match connect_in_time(ip, to.port, cap, watch).await {
            Ok(wire) => return Ok(wire),
            Err(failure) => drop(first.get_or_insert(failure)),
        }
    }
    let none = || Failure::new(Reason::DnsNotFound, "the name has no address");
    Err(first.unwrap_or_else(none))
}

async fn connect_in_time(
    ip: IpAddr,
    port: u16,
    cap: u64,
    watch: &mut Stopwatch,
) -> Result<Wire, Failure> {
    let address = SocketAddr::new(ip, port);
    let connected = timeout(CONNECT, Dial::default().connect(address, cap, watch)).await;
    connected.unwrap_or_else(|_| {
        let why = format_args!("no connection to {address} within {CONNECT:?}");
        Err(Failure::new(Reason::timeout_in(Some(Phase::Connect)), why))
    })
}

/// The TLS that the settings ask for, with the files as they are now. The problem is below `tls`.
pub(super) fn tls(settings: &TlsSettings, context: &Context) -> Result<TlsClient, Problem> {
    TlsClient::new(settings, &context.roots, |path| context.files.read(path))
        .map_err(|problem| settings.problem(problem).below("tls"))
}

/// The refusal of a receiver at `place` that could not be asked.
pub(super) fn refusal(place: &str, failure: &Failure) -> Refusal {
    let reason = match failure.reason {
        Reason::DnsNotFound | Reason::DnsFailed | Reason::TimeoutResolve => RefusalReason::Dns,
        Reason::Refused | Reason::Unreachable => RefusalReason::Connect,
        Reason::TlsCertificate | Reason::TlsHandshake | Reason::TlsRefused => RefusalReason::Tls,
        Reason::TimeoutConnect
        | Reason::TimeoutTls
        | Reason::TimeoutProcessing
        | Reason::TimeoutTransfer => RefusalReason::Timeout,
        // Of the proxy: the receiver's own answer is no failure.
        Reason::Auth => RefusalReason::Auth,
        own if own.is_own() => RefusalReason::Local,
        _ => RefusalReason::Protocol,
    };
    Refusal::new(reason, format_args!("{place}: {}", failure.detail))
}
