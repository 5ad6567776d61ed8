//! The daemons of other regions, as the pages of one show what they say: those too that ask who is there.

use std::fs;
use std::path::Path;

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
