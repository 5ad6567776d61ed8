//! The only place that opens sockets to targets: names, connections, TLS, caps.

mod capped;
mod dial;
mod endpoint;
mod handle;
pub mod http;
mod icmp;
mod kept;
mod lookup;
mod names;
mod names_cost;
mod question;
mod resolve;
mod route;
mod share;
mod starttls;
mod stopwatch;
#[cfg(test)]
pub(crate) mod test_dns;
mod tls;
mod transport;

pub use capped::Capped;
pub use dial::{Addresses, Dial, IpVersion, Wire, failure_at, failure_of};
pub use endpoint::{Endpoint, Host};
pub use handle::handle_of;
#[cfg(test)]
pub(crate) use icmp::namespace;
pub use icmp::{EchoPlan, Echoes, Family, Icmp, IcmpCounters, IcmpOptions, IcmpSocket, SocketType};
pub use kept::{Connection, Kept, Opened};
pub use names::Names;
pub use question::{Manner, Packet, Question};
pub use resolve::{Resolver, ResolverCounters};
pub use route::Route;
pub use share::{Share, Shares};
pub use starttls::StartTls;
pub use stopwatch::Stopwatch;
pub use tls::{Https, Roots, TlsClient, TlsMode, TlsPolicy, TlsSettings};
pub use transport::Transport;
