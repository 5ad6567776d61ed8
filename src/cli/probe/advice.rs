//! What a failure means in words, and what to do about it.

use crate::model::Reason;

/// What happened, and where to look first.
pub(super) struct Advice {
    /// What the reason means.
    pub(super) what: &'static str,
    /// What to do.
    pub(super) todo: &'static str,
}

/// The advice for a reason.
#[expect(clippy::too_many_lines, reason = "a row for each reason")]
pub(super) const fn advice(reason: Reason) -> Advice {
    let (what, todo) = match reason {
        Reason::DnsNotFound => (
            "the name does not exist, or has no address of the protocol that was asked for",
            "check the address in the configuration, and `ip_version`",
        ),
        Reason::DnsFailed => (
            "the name servers answered with an error, or with what cannot be read",
            "ask the servers of /etc/resolv.conf yourself: `dig NAME`",
        ),
        Reason::TimeoutResolve => (
            "the name servers did not answer in time",
            "check that this host reaches the servers of /etc/resolv.conf",
        ),
        Reason::Refused => (
            "the host is there, and nothing listens on that port",
            "check that the service runs, on which address it listens, and whether a firewall rejects",
        ),
        Reason::Unreachable => (
            "the network says that there is no way to the host",
            "check routes, tunnels between the regions and firewalls that reject",
        ),
        Reason::TimeoutConnect => (
            "nobody answered the connection: packets are lost or dropped on the way",
            "check firewalls that drop, routes back, and whether the host is up",
        ),
        Reason::Reset => (
            "the connection was reset after it stood",
            "look into the service's log, and into that of proxies on the way",
        ),
        Reason::Eof => (
            "the connection was closed before the answer was complete",
            "look into the service's log; a proxy may have closed it for want of a server behind it",
        ),
        Reason::TlsCertificate => (
            "the certificate is not valid for this name, this time or these authorities",
            "renew it, or set `server_name` or `ca_file` of the check's TLS",
        ),
        Reason::TlsHandshake => (
            "there is no TLS session, for another reason than the certificate",
            "check that the port speaks TLS, in version 1.2 or later, and whether it wants a client \
             certificate",
        ),
        Reason::TlsRefused => (
            "the server does not offer the TLS that the configuration asks for",
            "turn TLS on in the server, or ask for less with `tls`",
        ),
        Reason::TimeoutTls => (
            "the handshake did not end in time",
            "look at the load of the server; small packets that pass where large ones do not point to \
             the MTU",
        ),
        Reason::Auth => (
            "the server refused the credentials",
            "check the user, its password's file, and which hosts the server lets in; `hotspare sql` \
             prints what to set up",
        ),
        Reason::TimeoutAuth => (
            "the login did not end in time",
            "look at the load of the server, and at what it asks for logins itself (LDAP, names)",
        ),
        Reason::NotAccepting => (
            "the server is there and takes no session now",
            "look into its log: it may be starting, shutting down, closed to queries or out of \
             connections",
        ),
        Reason::Protocol => (
            "the answer breaks the rules of its protocol",
            "check that the service on this port is of this kind",
        ),
        Reason::TooLarge => (
            "the answer is larger than its limit",
            "ask for less, or raise the limit in the check",
        ),
        Reason::TimeoutProcessing => (
            "there was no first byte of an answer in time",
            "look at the load of the service and at what it waits for itself",
        ),
        Reason::TimeoutTransfer => (
            "the answer began and did not end in time",
            "look for loss on the way (`ping`) and for a service that stalls",
        ),
        Reason::TimeoutQuery => (
            "the query had no answer in time",
            "look for locks, and at the load of the server",
        ),
        Reason::Status => (
            "the status is not one of the valid ones",
            "look into the service's log; `valid_status` says which are valid",
        ),
        Reason::Header => (
            "a header is not as expected",
            "compare the answer with what the check expects of its headers",
        ),
        Reason::Body => (
            "the body is not as expected",
            "compare the answer with what the check expects of the body",
        ),
        Reason::Redirect => (
            "there were too many redirects, or one to where the probe may not go",
            "name the address that it leads to as the target",
        ),
        Reason::Query => (
            "the server answered the query with an error",
            "run the query yourself as this user",
        ),
        Reason::Answer => (
            "the answer is not the expected one",
            "compare it with what the check expects",
        ),
        Reason::Lost => (
            "no packet came back in time",
            "check whether the host is up and whether a firewall drops pings",
        ),
        Reason::TtlExceeded => (
            "the packets' time to live ended on the way",
            "look for a loop of routes (`traceroute`), or raise `ttl`",
        ),
        Reason::NoPermission => (
            "this process may not open the socket that it needs: nothing is known of the target",
            "run it as root, or let everybody ping: `sysctl -w net.ipv4.ping_group_range='0 2147483647'`",
        ),
        Reason::LocalResources => (
            "this host ran out of file descriptors, buffers or memory: nothing is known of the target",
            "look at the limits of this process (`ulimit -n`) and the memory of the host",
        ),
        Reason::LocalAddress => (
            "this host cannot send from there: nothing is known of the target",
            "check `source_address` and `ip_version` against the addresses of this host (`ip address`)",
        ),
        Reason::Stalled => (
            "this host was too busy to measure: nothing is known of the target",
            "run it again, on a host with less to do",
        ),
        Reason::Panic => (
            "a bug of hotspare: nothing is known of the target",
            "please report it, with what is printed here",
        ),
    };
    Advice { what, todo }
}
