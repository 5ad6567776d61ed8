//! What a host knows of names: its servers, its search domains and its own table.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hickory_proto::rr::Name;
use resolv_conf::{Config, ScopedIp};
use smallvec::{SmallVec, smallvec};

use super::IpVersion;

/// Servers that are asked, as in glibc; further ones are not read.
const MAX_SERVERS: usize = 3;

/// How names are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The servers, in order.
    pub servers: SmallVec<[SocketAddr; MAX_SERVERS]>,
    /// The domains in which a short name is looked for.
    pub search: Vec<Name>,
    /// A name with at least so many dots is looked for as it is before it is in the domains.
    pub ndots: usize,
    /// Names in small letters with their addresses: they are not asked for.
    pub hosts: HashMap<Box<str>, SmallVec<[IpAddr; 2]>>,
}

impl Names {
    /// These servers only.
    pub fn at(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            servers: servers.into_iter().take(MAX_SERVERS).collect(),
            ndots: 1,
            ..Self::default()
        }
    }

    /// The addresses that need no server: those of the table, and of `localhost` (RFC 6761).
    pub fn known(&self, name: &str, version: IpVersion) -> SmallVec<[IpAddr; 2]> {
        let name = name.trim_end_matches('.');
        let listed = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.hosts.get(&*name.to_ascii_lowercase())
        } else {
            self.hosts.get(name)
        };
        if let Some(addresses) = listed {
            return addresses
                .iter()
                .copied()
                .filter(|ip| version.takes(*ip))
                .collect();
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if !last.eq_ignore_ascii_case("localhost") {
            return SmallVec::new();
        }
        [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
        .into_iter()
        .filter(|ip| version.takes(*ip))
        .collect()
    }

    /// The full names to ask for, in order.
    pub fn candidates(&self, name: &str) -> Result<SmallVec<[Name; 1]>, String> {
        let parsed = Name::from_ascii(name).map_err(|e| e.to_string())?;
        let mut absolute = parsed.clone();
        absolute.set_fqdn(true);
        if parsed.is_fqdn() || self.search.is_empty() {
            return Ok(smallvec![absolute]);
        }
        let mut names: SmallVec<[Name; 1]> = self
            .search
            .iter()
            // What does not fit into 255 bytes cannot exist.
            .filter_map(|domain| parsed.clone().append_domain(domain).ok())
            .collect();
        let dots = name.bytes().filter(|b| *b == b'.').count();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, absolute);
        Ok(names)
    }
}

/// The two files that say it, and whether they have changed.
#[derive(Debug)]
pub(super) struct NameFiles {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    seen: [Option<Stamp>; 2],
}

/// What changes when a file does: a rename gives another inode, a write another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl NameFiles {
    /// The files of the system.
    pub(super) fn system() -> Self {
        Self::new("/etc/resolv.conf".into(), "/etc/hosts".into())
    }

    /// Files elsewhere.
    pub(super) fn new(resolv_conf: PathBuf, hosts: PathBuf) -> Self {
        Self {
            resolv_conf,
            hosts,
            seen: [None; 2],
        }
    }

    /// Whether a file is another one than when last read. Costs two system calls.
    pub(super) fn changed(&self) -> bool {
        self.seen != [stamp(&self.resolv_conf), stamp(&self.hosts)]
    }

    /// Reads both. A missing file is an empty one, and without a server the one at 127.0.0.1 is
    /// asked, as in glibc. Lines that cannot be read are left out and logged.
    ///
    /// The error names the file that is there but cannot be read.
    pub(super) fn read(&mut self) -> Result<Names, String> {
        // Stamps first: a change while reading is then seen as one the next time.
        self.seen = [stamp(&self.resolv_conf), stamp(&self.hosts)];
        let mut names = parse_resolv_conf(&self.resolv_conf, &text_of(&self.resolv_conf)?);
        names.hosts = parse_hosts(&self.hosts, &text_of(&self.hosts)?);
        Ok(names)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode: metadata.ino(),
    })
}

fn text_of(path: &Path) -> Result<Vec<u8>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(format!("cannot read {}: {e}", path.display())),
    }
}

fn parse_resolv_conf(path: &Path, text: &[u8]) -> Names {
    let (config, errors) = Config::parse_with_errors(text);
    for error in errors {
        tracing::warn!(file = %path.display(), %error, "a line was left out");
    }
    let mut servers: SmallVec<_> = config
        .nameservers
        .iter()
        .filter_map(|ip| match server(ip) {
            Ok(address) => Some(address),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a server was left out");
                None
            }
        })
        .take(MAX_SERVERS)
        .collect();
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    Names {
        servers,
        search: config
            .get_last_search_or_domain()
            .filter_map(|domain| Name::from_ascii(domain).ok())
            .collect(),
        ndots: config.ndots as usize,
        hosts: HashMap::new(),
    }
}

fn server(ip: &ScopedIp) -> io::Result<SocketAddr> {
    let (ip, scope) = match ip {
        ScopedIp::V4(ip) => return Ok(SocketAddr::from((*ip, 53))),
        ScopedIp::V6(ip, None) => (*ip, 0),
        ScopedIp::V6(ip, Some(scope)) => (*ip, scope_id(scope)?),
    };
    Ok(SocketAddrV6::new(ip, 53, 0, scope).into())
}

/// The number of the interface behind `%` in a link-local address.
fn scope_id(scope: &str) -> io::Result<u32> {
    if let Ok(number) = scope.parse() {
        return Ok(number);
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
    Ok(rustix::net::netdevice::name_to_index(&socket, scope)?)
}

fn parse_hosts(path: &Path, text: &[u8]) -> HashMap<Box<str>, SmallVec<[IpAddr; 2]>> {
    let mut hosts: HashMap<Box<str>, SmallVec<[IpAddr; 2]>> = HashMap::new();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            tracing::warn!(file = %path.display(), address, "a line was left out");
            continue;
        };
        for name in words {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let addresses = hosts.entry(name.into()).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolv_conf(text: &str) -> Names {
        parse_resolv_conf(Path::new("resolv.conf"), text.as_bytes())
    }

    fn asked(names: &Names, name: &str) -> Vec<String> {
        let candidates = names.candidates(name).expect("a name");
        candidates.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn short_names_are_looked_for_in_the_domains_first_and_others_last() {
        let names = resolv_conf("nameserver 10.0.0.1\nsearch a.example b.example\n");
        assert_eq!(
            asked(&names, "db"),
            ["db.a.example.", "db.b.example.", "db."]
        );
        assert_eq!(
            asked(&names, "db.x"),
            ["db.x.", "db.x.a.example.", "db.x.b.example."]
        );
        assert_eq!(asked(&names, "db."), ["db."]);
        let patient = resolv_conf("search a.example\noptions ndots:3\n");
        assert_eq!(asked(&patient, "db.x.y"), ["db.x.y.a.example.", "db.x.y."]);
    }

    #[test]
    fn servers_are_at_most_three_and_never_none() {
        let many = resolv_conf(
            "nameserver 10.0.0.1\nnameserver ::1\nnameserver fe80::1%7\nnameserver 10.0.0.4\n",
        );
        let shown: Vec<_> = many.servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:53", "[::1]:53", "[fe80::1%7]:53"]);
        let none = resolv_conf("nonsense\nnameserver x\n");
        assert_eq!(
            none.servers.as_slice(),
            ["127.0.0.1:53".parse().expect("address")]
        );
    }

    #[test]
    fn an_interface_is_found_by_its_name() {
        assert_eq!(scope_id("lo").expect("every host has one"), 1);
        assert!(scope_id("no-such-interface").is_err());
    }

    #[test]
    fn the_table_answers_in_any_case_and_localhost_without_it() {
        let text = "10.0.0.1 DB.internal db # comment\n::2 db\n10.0.0.1 db\nx y\n\n10.0.0.3\n";
        let names = Names {
            hosts: parse_hosts(Path::new("hosts"), text.as_bytes()),
            ..Names::default()
        };
        let known = |name: &str, version| {
            let addresses = names.known(name, version);
            addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(known("db", IpVersion::Any), ["10.0.0.1", "::2"]);
        assert_eq!(known("Db.Internal.", IpVersion::Any), ["10.0.0.1"]);
        assert_eq!(known("db.internal", IpVersion::V6), [""; 0]);
        assert_eq!(known("y", IpVersion::Any), [""; 0]);
        assert_eq!(known("a.localhost", IpVersion::Any), ["127.0.0.1", "::1"]);
        assert_eq!(known("LOCALHOST", IpVersion::V6), ["::1"]);
    }

    #[test]
    fn a_change_is_seen_and_a_missing_file_is_empty() {
        let folder = tempfile::tempdir().expect("folder");
        let (resolv_conf, hosts) = (
            folder.path().join("resolv.conf"),
            folder.path().join("hosts"),
        );
        let mut files = NameFiles::new(resolv_conf.clone(), hosts.clone());
        assert_eq!(files.read().expect("missing is empty").ndots, 1);
        assert!(!files.changed());
        std::fs::write(&hosts, "10.0.0.1 db").expect("write");
        assert!(files.changed());
        assert_eq!(files.read().expect("read").hosts.len(), 1);
        assert!(!files.changed());
        std::fs::create_dir(&resolv_conf).expect("folder");
        let error = files.read().expect_err("a folder cannot be read");
        assert!(error.contains("resolv.conf"), "{error}");
    }
}
