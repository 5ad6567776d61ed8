//! Hosts and ports as the configuration writes them.

use std::net::{IpAddr, Ipv6Addr};

use rustls::pki_types::ServerName;

/// What a host and a port never have. Text with it may be a URL with a user or a token, and is not
/// repeated in an error.
const PRIVATE: [char; 5] = ['@', '/', '\\', '?', '#'];

/// A literal address or a name to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A literal address; nothing to resolve.
    Ip(IpAddr),
    /// A name.
    Name(Box<str>),
}

impl Host {
    /// Reads a host: an IPv4 or IPv6 address (brackets allowed) or a name.
    ///
    /// The error does not repeat text that may hold a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(PRIVATE) {
            let why = "expected an address or a host name, without scheme, user, path or query";
            return Err(why.to_owned());
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse() {
            return Ok(Self::Ip(ip));
        }
        let valid = !text.is_empty()
            && text.len() <= 253
            && text.split('.').enumerate().all(|(i, label)| {
                is_label(label) || (label.is_empty() && i > 0 && text.ends_with('.'))
            })
            && !text.contains("..");
        if valid {
            Ok(Self::Name(text.into()))
        } else {
            Err(format!("`{text}` is neither an address nor a host name"))
        }
    }

    /// The name that the certificate of a server there must have: another one where the settings say
    /// so.
    pub fn certified_name(&self, instead: Option<&str>) -> Result<ServerName<'static>, String> {
        if let Some(name) = instead {
            return Self::parse(name)?.certified_name(None);
        }
        match self {
            Self::Ip(ip) => Ok(ServerName::from(*ip)),
            Self::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| format!("`{name}` cannot be the name in a certificate")),
        }
    }

    /// Whether it is this host, by whatever name resolution says.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            Self::Name(name) => **name == *"localhost",
        }
    }

    /// Whether the host has to be resolved.
    pub fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `[v6]:port`, or without the port where there is a default.
    ///
    /// The error does not repeat text that may hold a secret.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        if text.contains(PRIVATE) {
            return Err(
                "expected a host and a port like db.internal:5432, without scheme, user, path or \
                 query"
                    .to_owned(),
            );
        }
        let (host, port) = split_port(text);
        let port = match (port, default_port) {
            (Some(port), _) => port
                .parse()
                .ok()
                .filter(|p| *p != 0)
                .ok_or_else(|| format!("`{port}` is not a port"))?,
            (None, Some(port)) => port,
            (None, None) => return Err(format!("`{text}` has no port")),
        };
        Ok(Self {
            host: Host::parse(host)?,
            port,
        })
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.parse::<Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_names_with_and_without_port() {
        for (text, shown) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:5432"),
            ("db.internal", "db.internal:5432"),
            ("db.internal.:1", "db.internal.:1"),
        ] {
            let endpoint = Endpoint::parse(text, Some(5432)).expect(text);
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_is_neither() {
        for text in [
            "",
            ":80",
            "a b:80",
            "host:0",
            "host:99999",
            "host:x",
            "a..b:1",
            "http://x:1",
        ] {
            assert!(Endpoint::parse(text, Some(1)).is_err(), "{text}");
        }
        assert!(Endpoint::parse("host", None).is_err());
    }
}
