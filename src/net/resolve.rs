//! From names to addresses, without `getaddrinfo`: it blocks a thread that nobody can take back.

use std::net::IpAddr;
use std::sync::OnceLock;

use hickory_resolver::config::{LookupIpStrategy, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Hosts, TokioResolver};
use smallvec::SmallVec;

use super::{Host, IpVersion, Stopwatch};
use crate::model::{Failure, Phase, Reason};

/// Resolves names by the host's `/etc/resolv.conf` (servers, search domains, options) and
/// `/etc/hosts`, and keeps answers for their time to live.
pub struct Resolver {
    config: ResolverConfig,
    options: ResolverOpts,
    /// One for each [`IpVersion`], made when first asked.
    resolvers: [OnceLock<Result<TokioResolver, String>>; 3],
}

impl Resolver {
    /// A resolver set up as the host is. The error names the file that cannot be used.
    pub fn from_system() -> Result<Self, String> {
        let (config, options) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|e| format!("cannot use /etc/resolv.conf: {e}"))?;
        Ok(Self::new(config, options))
    }

    /// A resolver with a configuration of its own.
    pub fn new(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        // One question is one attempt: the probe's schedule asks again.
        options.attempts = 1;
        options.max_active_requests = 4096;
        Self {
            config,
            options,
            resolvers: Default::default(),
        }
    }

    /// The host's addresses in the order to try them, at least one; in the phase
    /// [`Phase::Resolve`], which a literal address does not enter.
    pub async fn resolve(
        &self,
        host: &Host,
        version: IpVersion,
        watch: &mut Stopwatch,
    ) -> Result<SmallVec<[IpAddr; 2]>, Failure> {
        let name = match host {
            Host::Ip(ip) => return Ok(SmallVec::from_elem(*ip, 1)),
            Host::Name(name) => name,
        };
        watch.enter(Phase::Resolve);
        let answer = self
            .resolver(version)?
            .lookup_ip(&**name)
            .await
            .map_err(|e| failure(name, &e))?;
        let addresses: SmallVec<[IpAddr; 2]> = answer.iter().collect();
        if addresses.is_empty() {
            return Err(Failure::new(
                Reason::DnsNotFound,
                format_args!("resolve {name}: no address"),
            ));
        }
        watch.leave();
        Ok(addresses)
    }

    fn resolver(&self, version: IpVersion) -> Result<&TokioResolver, Failure> {
        let (slot, strategy) = match version {
            IpVersion::Any => (0, LookupIpStrategy::Ipv4AndIpv6),
            IpVersion::V4 => (1, LookupIpStrategy::Ipv4Only),
            IpVersion::V6 => (2, LookupIpStrategy::Ipv6Only),
        };
        self.resolvers[slot]
            .get_or_init(|| self.build(strategy))
            .as_ref()
            .map_err(|why| Failure::new(Reason::LocalResources, why))
    }

    fn build(&self, strategy: LookupIpStrategy) -> Result<TokioResolver, String> {
        let mut builder = TokioResolver::builder_with_config(
            self.config.clone(),
            TokioRuntimeProvider::default(),
        )
        .with_options(self.options.clone());
        builder.options_mut().ip_strategy = strategy;
        let mut resolver = builder.build().map_err(|e| e.to_string())?;
        if let Ok(hosts) = Hosts::from_system() {
            resolver.set_hosts(std::sync::Arc::new(hosts));
        }
        Ok(resolver)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn failure(name: &str, error: &NetError) -> Failure {
    let reason = match error {
        e if e.is_no_records_found() => Reason::DnsNotFound,
        NetError::Timeout => Reason::TimeoutResolve,
        _ => Reason::DnsFailed,
    };
    Failure::new(reason, format_args!("resolve {name}: {error}"))
}
