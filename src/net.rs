//! The only place that opens sockets to targets: names, connections, TLS, caps.

mod capped;
mod dial;
mod endpoint;
mod icmp;
mod resolve;
mod stopwatch;
mod tls;

pub use capped::Capped;
pub use dial::{Dial, IpVersion, Wire, failure_of};
pub use endpoint::{Endpoint, Host};
#[cfg(test)]
pub(crate) use icmp::namespace;
pub use icmp::{EchoPlan, Echoes, Family, Icmp, IcmpCounters, IcmpOptions, IcmpSocket, SocketType};
pub use resolve::Resolver;
pub use stopwatch::Stopwatch;
pub use tls::{Handshake, Roots, Session, TlsClient, TlsSettings, tls_failure};
