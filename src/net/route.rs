//! The way to the targets of a probe: which of their addresses, and how connections leave this host.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Dial, Endpoint, IpVersion, Resolver, Stopwatch, Wire};
use crate::model::{Facts, Failure};

/// How a probe gets to its targets.
#[derive(Debug)]
pub struct Route {
    resolver: Arc<Resolver>,
    ip_version: IpVersion,
    dial: Dial,
}

impl Route {
    /// The way that a probe's settings want.
    ///
    /// The error is the setting's name and what is wrong with it, as in [`Dial::from_settings`].
    pub fn from_settings(
        resolver: &Arc<Resolver>,
        source_address: Option<IpAddr>,
        dscp: Option<u8>,
        version: IpVersion,
    ) -> Result<Self, (&'static str, String)> {
        let (dial, ip_version) = Dial::from_settings(source_address, dscp, version)?;
        Ok(Self {
            resolver: Arc::clone(resolver),
            ip_version,
            dial,
        })
    }

    /// Reads the address of a target, which must be one that this way can lead to.
    pub fn endpoint(&self, address: &str, default_port: u16) -> Result<Endpoint, String> {
        let endpoint = Endpoint::parse(address, Some(default_port))?;
        self.ip_version.check(&endpoint.host)?;
        Ok(endpoint)
    }

    /// Connects to the first address of the target; at most `cap` bytes can be read from the result.
    /// The addresses of a name are left in `facts`, also when that failed.
    pub async fn connect(
        &self,
        to: &Endpoint,
        cap: u64,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<Wire, Failure> {
        let resolver = &self.resolver;
        let addresses = resolver.resolve(&to.host, self.ip_version, watch).await?;
        let address = SocketAddr::new(addresses[0], to.port);
        if to.host.is_name() {
            facts.addresses = addresses;
        }
        self.dial.connect(address, cap, watch).await
    }
}
