//! Where a request goes: whom to dial, whom to expect there and what to ask for.

use std::net::IpAddr;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use url::Url;

use crate::model::Problem;
use crate::net::{Endpoint, Host};

/// One URL, taken apart for the connection.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The host and port of the URL itself.
    pub dial: Endpoint,
    /// The name to verify; none without TLS.
    pub tls: Option<ServerName<'static>>,
    /// The whole URL, with the name under which the service is asked.
    pub uri: Uri,
    /// Its path and query.
    pub path: Uri,
    /// The value of the header `Host`.
    pub host: HeaderValue,
}

/// The names under which a target is asked, where they are not its URL's.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// For `Host`, and for TLS unless that has its own.
    pub host: Option<Authority>,
    /// For TLS.
    pub server: Option<ServerName<'static>>,
}

impl Names {
    /// The names that settings have in `host` and `tls.server_name`; what is wrong with them is added to
    /// the problems.
    pub fn new(host: Option<&str>, server: Option<&str>, problems: &mut Vec<Problem>) -> Self {
        let mut names = Self::default();
        match host.map(host_of).transpose() {
            Ok(authority) => names.host = authority,
            Err(why) => problems.push(Problem::new("host", why)),
        }
        match server.map(server_name).transpose() {
            Ok(name) => names.server = name,
            Err(why) => problems.push(Problem::new("tls.server_name", why)),
        }
        names
    }
}

fn host_of(text: &str) -> Result<Authority, String> {
    let endpoint = Endpoint::parse(text, Some(80))
        .map_err(|why| format!("{why}; expected a name like shop.example.com"))?;
    let text = match endpoint.host {
        Host::Ip(IpAddr::V6(_)) if !text.starts_with('[') => format!("[{text}]"),
        _ => text.to_owned(),
    };
    text.parse()
        .map_err(|_| format!("`{text}` is not the name of a host"))
}

impl Destination {
    /// Reads a target's address: an `http` or `https` URL without credentials.
    pub fn parse(address: &str, names: &Names) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|e| match e {
            url::ParseError::RelativeUrlWithoutBase => {
                "not a URL; write it like https://10.1.0.20/healthz".to_owned()
            }
            e => format!("not a URL: {e}"),
        })?;
        if has_credentials(&url) {
            return Err(format!(
                "{CREDENTIALS}; use username and password_file, or bearer_token_file"
            ));
        }
        Self::new(&url, names)
    }

    /// The destination of a URL.
    pub fn new(url: &Url, names: &Names) -> Result<Self, String> {
        let default_port = match url.scheme() {
            "http" => 80,
            "https" => 443,
            other => return Err(format!("the scheme is `{other}`, expected http or https")),
        };
        if has_credentials(url) {
            return Err(CREDENTIALS.to_owned());
        }
        let port = url.port().unwrap_or(default_port);
        let host = Host::parse(url.host_str().unwrap_or_default())?;
        let own = own_authority(url)?;
        let authority = names.host.clone().unwrap_or(own);
        let tls = match (url.scheme(), &names.server) {
            ("https", Some(name)) => Some(name.clone()),
            ("https", None) => Some(server_name(authority.host())?),
            _ => None,
        };
        let path =
            PathAndQuery::try_from(&url[url::Position::BeforePath..url::Position::AfterQuery])
                .map_err(|e| e.to_string())?;
        let uri = Uri::builder()
            .scheme(url.scheme())
            .authority(authority.clone())
            .path_and_query(path.clone())
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            dial: Endpoint { host, port },
            tls,
            uri,
            path: Uri::from(path),
            host: HeaderValue::try_from(authority.as_str()).map_err(|e| e.to_string())?,
        })
    }

    /// Whether the two are one origin: what may see the other's credentials.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.uri.scheme() == other.uri.scheme()
            && self.is_same_host(other)
            && self.port() == other.port()
    }

    /// Whether the two are asked under one name.
    pub fn is_same_host(&self, other: &Self) -> bool {
        let host = |of: &Self| of.uri.host().map(str::to_ascii_lowercase);
        host(self) == host(other)
    }

    /// The port that the URL means, which is not the dialled one when the name is another.
    pub fn port(&self) -> u16 {
        let default = if self.tls.is_some() { 443 } else { 80 };
        self.uri.port_u16().unwrap_or(default)
    }
}

const CREDENTIALS: &str = "credentials do not belong in a URL";

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn own_authority(url: &Url) -> Result<Authority, String> {
    url[url::Position::BeforeHost..url::Position::AfterPort]
        .parse()
        .map_err(|_| "the URL has no host".to_owned())
}

/// The name to verify for a host, which may be an address in brackets.
fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| format!("`{host}` is not a name that a certificate can have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(host: &str) -> Names {
        Names {
            host: Some(host.parse().expect("authority")),
            server: None,
        }
    }

    #[test]
    fn takes_urls_apart() {
        for (address, dial, host, path, name) in [
            (
                "https://10.1.0.20/healthz?full=1#top",
                "10.1.0.20:443",
                "10.1.0.20",
                "/healthz?full=1",
                Some("10.1.0.20"),
            ),
            ("http://a.example", "a.example:80", "a.example", "/", None),
            (
                "http://[::1]:8080/x",
                "[::1]:8080",
                "[::1]:8080",
                "/x",
                None,
            ),
            (
                "https://A.example.:8443",
                "a.example.:8443",
                "a.example.:8443",
                "/",
                Some("a.example"),
            ),
        ] {
            let d = Destination::parse(address, &Names::default()).expect(address);
            assert_eq!(d.dial.to_string(), dial);
            assert_eq!(d.host, host);
            assert_eq!(d.path, path);
            assert_eq!(d.tls.map(|n| n.to_str().into_owned()).as_deref(), name);
        }
    }

    #[test]
    fn a_host_of_its_own_names_everything_but_the_dialled_address() {
        let d = Destination::parse("https://10.1.0.20:8443/x", &names("shop.example.com"))
            .expect("valid");
        assert_eq!(d.dial.to_string(), "10.1.0.20:8443");
        assert_eq!(d.uri, "https://shop.example.com/x");
        assert_eq!(d.host, "shop.example.com");
        assert_eq!(d.port(), 443);
        assert_eq!(d.tls.expect("tls").to_str(), "shop.example.com");
    }

    #[test]
    fn refuses_addresses_with_a_message_that_tells_what_to_do() {
        for (address, message) in [
            (
                "10.1.0.20",
                "not a URL; write it like https://10.1.0.20/healthz",
            ),
            (
                "ftp://10.1.0.20/",
                "the scheme is `ftp`, expected http or https",
            ),
            (
                "https://me:hunter2@10.1.0.20/",
                "credentials do not belong in a URL; use username and password_file, or \
                 bearer_token_file",
            ),
            (
                "https://me@10.1.0.20/",
                "credentials do not belong in a URL; use username and password_file, or \
                 bearer_token_file",
            ),
            ("http://", "not a URL: empty host"),
            ("http://a:99999/", "not a URL: invalid port number"),
        ] {
            let error = Destination::parse(address, &Names::default()).expect_err(address);
            assert_eq!(error, message);
        }
    }
}
