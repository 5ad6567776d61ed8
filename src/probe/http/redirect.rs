//! Where a redirect may lead. A target chooses it, so it must not choose what this host can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::model::{Failure, Reason};
use crate::net::http::{Destination, Names};

/// Whether the answer sends the client elsewhere.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The method of the request that follows: as browsers do it, 303 asks with GET, and so do 301 and
/// 302 after a POST.
pub(super) fn method_after(status: StatusCode, method: &Method) -> Method {
    match (status.as_u16(), method) {
        (303, &Method::HEAD) => Method::HEAD,
        (303, _) | (301 | 302, &Method::POST) => Method::GET,
        _ => method.clone(),
    }
}

/// Where the answer to a request to `current` leads.
///
/// A target is asked for under the name `first` has: a redirect that stays on that name stays on
/// the target's address, or a probe of the standby would end at whomever the name belongs to.
pub(super) fn next(
    first: &Destination,
    current: &Destination,
    names: &Names,
    headers: &HeaderMap,
) -> Result<Destination, Failure> {
    let location = headers
        .get(LOCATION)
        .ok_or_else(|| denied("a redirect without Location"))?
        .to_str()
        .map_err(|_| denied("a redirect to a Location that is not text"))?;
    let url = Url::parse(&current.uri.to_string())
        .and_then(|base| base.join(location))
        .map_err(|e| denied(format_args!("a redirect to a Location that is no URL: {e}")))?;
    if current.tls.is_some() && url.scheme() == "http" {
        return Err(denied("a redirect from https to http"));
    }
    let mut next = Destination::new(&url, &Names::default())
        .map_err(|why| denied(format_args!("a redirect that cannot be followed: {why}")))?;
    if next.is_same_host(first) {
        next.dial.host = first.dial.host.clone();
        if next.is_same_origin(first) {
            next.dial.port = first.dial.port;
        }
        if let (Some(name), Some(own)) = (&mut next.tls, &names.server) {
            *name = own.clone();
        }
    }
    Ok(next)
}

/// Checks the address that a redirect is about to dial; `first` is the one that the run dialled,
/// if it was this host that did.
///
/// A host may redirect to itself, and a test on this host to another service of this host;
/// otherwise a redirect must not lead to what only this host can reach.
pub(super) fn check(first: Option<IpAddr>, next: IpAddr) -> Result<(), Failure> {
    let next = plain(next);
    let is_near = |first: IpAddr| next == first || (first.is_loopback() && next.is_loopback());
    if !is_special(next) || first.map(plain).is_some_and(is_near) {
        return Ok(());
    }
    Err(denied(format_args!(
        "a redirect to {next}, which is not a public or private address"
    )))
}

fn denied(what: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::Redirect, format_args!("{what}"))
}

/// The IPv4 address inside an IPv6 one that maps or translates it.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            IpAddr::V4(Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)))
        }
        _ => v6.to_canonical(),
    }
}

/// This host, this link, nobody in particular, or a cloud's metadata service.
fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.octets()[0] == 0
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || METADATA_V4.contains(&ip)
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip == METADATA_V6
        }
    }
}

/// Metadata services outside the link-local range (Alibaba, Azure, Oracle).
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// The same of AWS.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn destination(address: &str) -> Destination {
        Destination::parse(address, &Names::default()).expect(address)
    }

    fn led(first: &Destination, current: &str, location: &str) -> Result<Destination, String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::try_from(location).unwrap())]);
        next(first, &destination(current), &Names::default(), &headers).map_err(|failure| {
            assert_eq!(failure.reason, Reason::Redirect);
            failure.detail.into()
        })
    }

    #[test]
    fn resolves_locations_against_the_current_url() {
        let first = destination("http://a.example/x/y");
        for (location, uri) in [
            ("/z", "http://a.example/z"),
            ("z?q", "http://a.example/x/z?q"),
            ("//b.example", "http://b.example/"),
            ("https://b.example:444/", "https://b.example:444/"),
        ] {
            let next = led(&first, "http://a.example/x/y", location).expect(location);
            assert_eq!(next.uri, uri);
        }
    }

    #[test]
    fn refuses_what_must_not_be_followed() {
        let first = destination("https://a.example/");
        for (location, detail) in [
            ("http://a.example/", "a redirect from https to http"),
            (
                "file:///etc/passwd",
                "a redirect that cannot be followed: the scheme is `file`, expected http or https",
            ),
            (
                "https://me:pw@a.example/",
                "a redirect that cannot be followed: credentials do not belong in a URL",
            ),
            (
                "https://",
                "a redirect to a Location that is no URL: empty host",
            ),
        ] {
            assert_eq!(
                led(&first, "https://a.example/", location).err().as_deref(),
                Some(detail)
            );
        }
    }

    #[test]
    fn a_redirect_within_the_name_stays_on_the_targets_address() {
        let names = Names {
            host: Some("shop.example".parse().expect("authority")),
            server: None,
        };
        let first = Destination::parse("https://10.1.0.20:8443/", &names).expect("valid");
        let go = |location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            let next = next(&first, &first, &names, &headers).expect(location);
            (next.dial.to_string(), next.is_same_origin(&first))
        };
        for (location, dial, same_origin) in [
            ("/login", "10.1.0.20:8443", true),
            ("https://SHOP.example/login", "10.1.0.20:8443", true),
            ("https://shop.example:9443/", "10.1.0.20:9443", false),
            ("https://login.example/", "login.example:443", false),
        ] {
            assert_eq!(go(location), (dial.to_owned(), same_origin), "{location}");
        }
    }

    #[test]
    fn redirects_cannot_reach_what_only_this_host_can() {
        let allowed =
            |first: &str, next: &str| check(first.parse().ok(), next.parse().unwrap()).is_ok();
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::",
        ] {
            assert!(!allowed("10.1.0.20", special), "{special}");
            assert!(!allowed("", special), "{special} by a proxy");
            assert!(allowed(special, special), "{special} to itself");
        }
        for usual in [
            "10.2.0.20",
            "192.168.1.1",
            "203.0.113.9",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(allowed("10.1.0.20", usual), "{usual}");
        }
        assert!(allowed("127.0.0.1", "127.0.0.2"));
        assert!(!allowed("127.0.0.1", "169.254.169.254"));
    }

    #[test]
    fn only_307_and_308_repeat_a_post() {
        for (status, method, after) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (303, Method::PUT, Method::GET),
            (303, Method::HEAD, Method::HEAD),
            (307, Method::POST, Method::POST),
            (308, Method::PUT, Method::PUT),
            (302, Method::HEAD, Method::HEAD),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            assert_eq!(method_after(status, &method), after, "{status} {method}");
        }
    }
}
