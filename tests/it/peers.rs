//! The daemons of other regions, as the pages of one show what they say: those too that ask who is there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::daemon::Daemon;
use crate::process::wait_for;
use crate::web::{Folder, TLS, user};

/// A fleet of two regions, whose other daemon is there.
fn fleet(there: &str, peers: &str) -> String {
    format!(
        "region: here\n\
         regions: [{{ name: here }}, {{ name: there{there} }}]\n\
         {peers}\n\
         groups: [{{ name: shop, primary: here, standbys: [there], probes: [p] }}]\n\
         probes:\n- name: p\n  check: {{ tcp: {{}} }}\n  \
         targets: {{ here: \"127.0.0.1:1\", there: \"127.0.0.1:1\" }}\n"
    )
}

/// The other daemon, with such a web configuration.
fn other(folder: &Folder, web: &str) -> Daemon {
    folder.write("web.yml", web);
    let web = folder.path("web.yml");
    let arguments = ["--region=there", "--web.config.file", &web];
    Daemon::start_with(&fleet("", ""), |_| {}, &arguments)
}

/// A daemon with the certificates of the folder beside its configuration.
fn looking(folder: &Folder, config: &str) -> Daemon {
    let copy = |to: &Path| {
        for name in [
            "ca.pem",
            "client.pem",
            "client.key",
            "foreign.pem",
            "foreign.key",
        ] {
            fs::copy(folder.path(name), to.join(name)).expect("copied");
        }
        fs::write(to.join("peers.pw"), "hunter3\n").expect("written");
    };
    Daemon::start_with(config, copy, &[])
}

/// What its page tells of the other one.
fn told(daemon: &Daemon) -> String {
    let page = daemon.get("/?fragment").text();
    let part = page.split_once("id=\"vantages\"").map(|(_, part)| part);
    let part = part.and_then(|part| part.split("</section>").next());
    part.unwrap_or_default().to_owned()
}

/// Whether it answered: there is a verdict of it.
fn is_answered(told: &str) -> bool {
    let cell = told.split_once("<td data-label=\"there\">");
    cell.is_some_and(|(_, cell)| cell.starts_with("<span class=\"pill"))
}

#[test]
fn a_daemon_with_users_is_asked_as_one_of_them() {
    let folder = Folder::new();
    let there = other(&folder, &format!("{TLS}{}", user("fleet", "hunter2")));
    let url = format!(", daemon: \"https://{}\"", there.address);
    let config = fleet(
        &url,
        "peers: { username: fleet, password_file: peers.pw, tls: { ca_file: ca.pem } }",
    );
    let here = looking(&folder, &config);
    let refused = wait_for(|| told(&here), |told| told.contains("it refused the login"));
    assert!(!is_answered(&refused), "{refused}");
    // A reload asks anew at once, with what the file has by then.
    here.put("peers.pw", "hunter2\n");
    here.take(&config);
    let answered = wait_for(|| told(&here), |told| is_answered(told));
    assert!(!answered.contains("cannot be reached"), "{answered}");
    // So it does without the setting.
    here.take(&fleet(&url, "peers: { tls: { ca_file: ca.pem } }"));
    let needed = "it needs a login, and `peers` has none";
    wait_for(|| told(&here), |told| told.contains(needed));
    let (_, log) = here.stop();
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn a_daemon_that_wants_certificates_is_shown_one() {
    let folder = Folder::new();
    let web =
        format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n");
    let there = other(&folder, &web);
    let url = format!(", daemon: \"https://{}\"", there.address);
    let peers = |name: &str| {
        format!(
            "peers: {{ tls: {{ ca_file: ca.pem, cert_file: {name}.pem, key_file: {name}.key }} }}"
        )
    };
    let here = looking(&folder, &fleet(&url, &peers("foreign")));
    let refused = wait_for(|| told(&here), |told| told.contains("cannot be reached"));
    assert!(!is_answered(&refused), "{refused}");
    here.take(&fleet(&url, &peers("client")));
    wait_for(|| told(&here), |told| is_answered(told));
}

/// Somebody in the place of a daemon.
struct Impostor {
    address: SocketAddr,
    /// How often it was asked.
    asked: Arc<AtomicUsize>,
}

impl Impostor {
    /// One that answers to each path in some way, and leaves the connection open.
    fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let asked: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..length]);
                let path = head.split(' ').nth(1).unwrap_or_default();
                // Who asks may have enough of it.
                let _ = stream.write_all(&answer(path));
                open.push(stream);
            }
        });
        Self { address, asked }
    }

    /// One that answers 200 with such a body to the question for groups, and for the matrix.
    fn saying(groups: impl Into<String>, matrix: impl Into<String>) -> Self {
        let (groups, matrix) = (groups.into(), matrix.into());
        Self::answering(move |path| {
            let body = if path.ends_with("groups") {
                &groups
            } else {
                &matrix
            };
            ok("", body)
        })
    }
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// What a daemon of a region says whose answers are as large as they may be.
fn hostile(region: &str) -> Impostor {
    let evil = "<script>alert(1)</script>".repeat(4096);
    let reasons = format!(r#"[{{"check":"{evil}","probe":"\u0000\u001b[2J","reason":null}}]"#);
    let standby = format!(r#"{{"standby":"{region}","state":"not_ready","reasons":{reasons}}}"#);
    let group = |name: &str, standbys: &str| {
        format!(r#"{{"group":"{name}","source_region":"{region}","standbys":[{standbys}]}}"#)
    };
    let mut groups = vec![group("shop", &standby)];
    groups.extend((0..50_000).map(|at| group(&format!("g{at}"), "")));
    let cells = (0..60_000).map(|at| {
        format!(r#"{{"region":"<b>{at}","down":1,"unknown":0,"targets":1,"line":[1,2]}}"#)
    });
    let cells: Vec<_> = cells.collect();
    let probes = format!(r#"{{"probe":"p","regions":[{}]}}"#, cells.join(","));
    Impostor::saying(
        format!(r#"{{"groups":[{}]}}"#, groups.join(",")),
        format!(r#"{{"source_region":"{region}","probes":[{probes}]}}"#),
    )
}

/// Others in the place of daemons, by the names of their regions, and what is told of each.
fn impostors(elsewhere: SocketAddr) -> [(&'static str, Impostor, &'static str); 7] {
    let location = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
    );
    [
        ("hostile", hostile("hostile"), ""),
        (
            "deep",
            Impostor::saying("[".repeat(8 << 20), ""),
            "its answer cannot be read",
        ),
        (
            "huge",
            Impostor::saying("[".repeat((8 << 20) + 1), ""),
            "the body is larger than",
        ),
        (
            "wrong",
            Impostor::saying(r#"{"groups":{"shop":7}}"#, ""),
            "its answer cannot be read",
        ),
        (
            "packed",
            Impostor::answering(|_| ok("Content-Encoding: gzip\r\n", "\u{1f}\u{8b}\u{8}")),
            "its answer cannot be read",
        ),
        (
            "slow",
            Impostor::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec()),
            "no whole answer within 3 s",
        ),
        (
            "elsewhere",
            Impostor::answering(move |_| location.clone().into_bytes()),
            "307 Temporary Redirect",
        ),
    ]
}

#[test]
fn whatever_answers_in_the_place_of_a_daemon_the_page_is_one_that_can_be_read() {
    let elsewhere = Impostor::saying("{}", "{}");
    let itself = Daemon::start_with(&fleet("", ""), |_| {}, &[]);
    let others = impostors(elsewhere.address);
    let url = |address| format!("daemon: \"http://{address}\" }}");
    let mut regions = vec![format!("{{ name: mirror, {}", url(itself.address))];
    let region =
        |(name, of, _): &(&str, Impostor, &str)| format!("{{ name: {name}, {}", url(of.address));
    regions.extend(others.iter().map(region));
    let config = format!(
        "region: here\nregions: [{{ name: here }}, {}]\n\
         peers: {{ username: fleet, password_file: peers.pw }}\n\
         groups: [{{ name: shop, primary: here, standbys: [hostile], probes: [p] }}]\n\
         probes:\n- name: p\n  check: {{ tcp: {{}} }}\n  \
         targets: {{ here: \"127.0.0.1:1\", hostile: \"127.0.0.1:1\" }}\n",
        regions.join(", ")
    );
    let here = looking(&Folder::new(), &config);
    // All of them were asked once there is an answer at all.
    let part = wait_for(|| told(&here), |told| told.contains("cannot be reached"));
    assert!(
        part.contains("not ready") && part.contains("alert(1)"),
        "{part}"
    );
    let own = "mirror cannot be reached";
    assert!(
        part.contains(own) && part.contains("that of the region here"),
        "{part}"
    );
    for (name, _, why) in others.iter().filter(|(_, _, why)| !why.is_empty()) {
        let line = part
            .split("<p class=\"warn\"")
            .find(|line| line.contains(&format!("away {name}\"")));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{name}: {why}\n{part}"
        );
    }
    let page = here.get("/?fragment").text();
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(!page.contains("<script") && !page.contains("<b>0") && !page.contains('\u{1b}'));
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
}
