//! The web configuration file: what promtool says of it too, and how a daemon follows it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use hotspare::app::WebConfig;

use crate::daemon::{Daemon, hotspare};
use crate::process::{run, wait_for};
use crate::prometheus::Prometheus;
use crate::web::{Folder, TLS, certificates, user};

/// One probe, of a port where nobody listens.
const CONFIG: &str = "region: eu-west\nregions: [{name: eu-west}]\nprobes: [{name: p, check: {tcp: {}}, \
     targets: {eu-west: \"127.0.0.1:1\"}}]\n";

/// What the documentation of the format shows, by parts.
const GOOD: [&str; 7] = [
    "",
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n",
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: \
     RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  min_version: TLS12\n  max_version: TLS13\n  \
     prefer_server_cipher_suites: false\n",
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  cipher_suites:\n  - \
     TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n  - \
     TLS_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256\n  curve_preferences: [X25519, \
     CurveP256]\n",
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  min_version: TLS13\n  \
     client_auth_type: RequireAnyClientCert\n",
    "basic_auth_users:\n  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n",
    "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: sameorigin\n    \
     X-Content-Type-Options: nosniff\n    X-XSS-Protection: 1; mode=block\n    \
     Content-Security-Policy: default-src 'self'\n    Strict-Transport-Security: max-age=1\n",
];

/// What is wrong for everybody, and where that is.
const BAD: [(&str, &str); 9] = [
    ("tls_config: {}\n", "1:1"),
    ("tls_server_config:\n  cert_file: server.pem\n", "1:1"),
    (
        "tls_server_config:\n  cert_file: absent.pem\n  key_file: server.key\n",
        "2:3",
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: client.key\n",
        "2:3",
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: Any\n",
        "4:21",
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: ca.pem\n",
        "4:3",
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  min_version: TLS14\n",
        "4:16",
    ),
    ("basic_auth_users:\n  alice: hunter2\n", "2:10"),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: maybe\n",
        "3:22",
    ),
];

/// What others would take, and this server cannot or will not.
const OURS: [(&str, &str); 6] = [
    (
        "  min_version: TLS10\n",
        "TLS 1.0 and 1.1 are not spoken here",
    ),
    (
        "  max_version: TLS11\n",
        "TLS 1.0 and 1.1 are not spoken here",
    ),
    (
        "  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n",
        "is not spoken here; there are: TLS_AES_",
    ),
    (
        "  curve_preferences: [CurveP521]\n",
        "is not spoken here; there are: CurveP256",
    ),
    (
        "  client_auth_type: RequireAndVerifyClientCert\n",
        "set client_ca_file too",
    ),
    (
        "  client_allowed_sans: [a.example.com]\n",
        "does nothing without client_auth_type",
    ),
];

fn read(folder: &Folder) -> Result<(), String> {
    WebConfig::read(Some(folder.path("web.yml").into()))
        .map(|_| ())
        .map_err(|problems| problems.to_string())
}

fn promtool_takes(folder: &Folder) -> bool {
    let mut command = Command::new("promtool");
    command.args(["check", "web-config", &folder.path("web.yml")]);
    command.output().expect("promtool runs").status.success()
}

#[test]
fn promtool_takes_what_we_take_and_refuses_what_is_wrong() {
    let folder = Folder::new();
    for text in GOOD {
        folder.write("web.yml", text);
        assert_eq!(read(&folder), Ok(()), "{text}");
        assert!(promtool_takes(&folder), "{text}");
    }
    for (text, place) in BAD {
        folder.write("web.yml", text);
        let why = read(&folder).expect_err(text);
        assert!(why.contains(&format!("web.yml:{place}: ")), "{text}{why}");
        assert!(!promtool_takes(&folder), "{text}");
    }
    for (text, told) in OURS {
        folder.write("web.yml", &format!("{TLS}{text}"));
        let why = read(&folder).expect_err(text);
        assert!(why.contains(told), "{text}{why}");
    }
    folder.write("web.yml", "rate_limit:\n  interval: 1s\n  burst: 20\n");
    assert_eq!(read(&folder), Ok(()));
}

#[test]
fn a_prometheus_scrapes_with_a_user_and_with_a_certificate() {
    let web = format!(
        "{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n{}",
        user("prometheus", "hunter2")
    );
    let folder = Folder::new();
    folder.write("web.yml", &web);
    let file = folder.path("web.yml");
    let daemon = Daemon::start_with(CONFIG, |_| {}, &["--web.config.file", &file]);
    let job = |name: &str, password: &str, certificate: bool| {
        let shown = if certificate {
            let (pem, key) = (folder.path("client.pem"), folder.path("client.key"));
            format!(", cert_file: {pem}, key_file: {key}")
        } else {
            String::new()
        };
        format!(
            "- job_name: {name}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  scheme: https\n  \
             tls_config: {{ca_file: {}{shown}}}\n  basic_auth: {{username: prometheus, password: \
             {password}}}\n  static_configs: [{{targets: [\"{}\"]}}]\n",
            folder.path("ca.pem"),
            daemon.address,
        )
    };
    let jobs = [
        job("user", "hunter2", false),
        job("certificate", "hunter2", true),
        job("wrong", "hunter3", false),
    ];
    let prometheus = Prometheus::start_with(&[], &jobs.concat(), |_| {});
    let query = "up{job!=\"hotspare\"} and on (job) count_over_time(up[1m]) > 3";
    let mut up = prometheus.wait_for(query, "job", |up| up.len() == 3);
    up.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("certificate", 1.0), ("user", 1.0), ("wrong", 0.0)];
    assert_eq!(up, expected.map(|(job, up)| (job.to_owned(), up)));
}

#[test]
fn a_change_is_followed_and_a_bad_one_leaves_the_old_in_force() {
    let folder = Folder::new();
    folder.write("web.yml", &user("alice", "hunter2"));
    let socket = format!("unix:{}", folder.path("s"));
    let file = folder.path("web.yml");
    let arguments = ["--web.config.file", &file, "--web.listen-address", &socket];
    let daemon = Daemon::start_with(CONFIG, |_| {}, &arguments);
    let ask = |arguments: &[&str], path: &str| {
        let mut command = Command::new("curl");
        run(command
            .args(["-sS", "--max-time", "60"])
            .args(arguments)
            .arg(path))
    };
    let healthy = format!("http://{}/-/healthy", daemon.address);
    let status = |credentials: &str| {
        ask(
            &["-o", "/dev/null", "-w", "%{http_code}", "-u", credentials],
            &healthy,
        )
    };
    // Whoever may open the socket needs no password.
    let gauge = || {
        let page = ask(&["--unix-socket", &folder.path("s")], "http://x/metrics");
        let name = "hotspare_web_config_last_reload_successful ";
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    let mode = std::fs::metadata(folder.path("s"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(
        (status("alice:hunter2"), gauge()),
        ("200".into(), Some("1".into()))
    );

    for bad in ["basic_auth_users:\n  alice: hunter3\n", ""] {
        folder.write("web.yml", bad);
        wait_for(gauge, |gauge| gauge.as_deref() == Some("0"));
        assert_eq!(status("alice:hunter2"), "200");
        assert_eq!(status("mallory:hunter3"), "401");
        folder.write("web.yml", &user("alice", "hunter2"));
        wait_for(gauge, |gauge| gauge.as_deref() == Some("1"));
    }
    folder.write("web.yml", &user("bob", "hunter4"));
    wait_for(|| status("bob:hunter4"), |status| status == "200");
    assert_eq!(status("alice:hunter2"), "401");
    let log = daemon.log();
    assert_eq!(
        log.matches("the web configuration is not good").count(),
        2,
        "{log}"
    );
    assert!(log.contains("authentication is not turned off"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections() {
    let folder = Folder::new();
    folder.write("web.yml", TLS);
    let file = folder.path("web.yml");
    let daemon = Daemon::start_with(CONFIG, |_| {}, &["--web.config.file", &file]);
    let trusts = |ca: &str| {
        let url = format!("https://{}/-/healthy", daemon.address);
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert", ca, &url]);
        command.output().expect("curl runs").status.success()
    };
    let before = folder.path("before.pem");
    std::fs::copy(folder.path("ca.pem"), &before).expect("copied");
    assert!(trusts(&before));
    certificates(Path::new(&folder.path("")));
    wait_for(|| trusts(&folder.path("ca.pem")), |trusts| *trusts);
    assert!(!trusts(&before));
}

#[test]
fn the_command_line_asks_as_a_user_and_over_the_socket() {
    let folder = Folder::new();
    folder.write("web.yml", &format!("{TLS}{}", user("alice", "hunter2")));
    folder.write("right", "hunter2\n");
    folder.write("wrong", "hunter3\n");
    let socket = format!("unix:{}", folder.path("s"));
    let file = folder.path("web.yml");
    let arguments = ["--web.config.file", &file, "--web.listen-address", &socket];
    let daemon = Daemon::start_with(CONFIG, |_| {}, &arguments);
    let url = format!("https://alice@{}", daemon.address);
    let ca = folder.path("ca.pem");
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path(name));
    for (arguments, told) in [
        (
            vec!["--url", &url, "--ca-file", &ca, "--password-file", &right],
            None,
        ),
        (vec!["--url", &socket], None),
        (
            vec!["--url", &url, "--ca-file", &ca, "--password-file", &wrong],
            Some("it asks who is there"),
        ),
        (
            vec!["--url", &url, "--password-file", &right],
            Some("ca_file"),
        ),
        (
            vec!["--url", &url, "--ca-file", &ca],
            Some("a user needs a password"),
        ),
    ] {
        let order = [
            "silence",
            "start",
            "--match",
            "alertname=Test",
            "--note",
            "a test",
            "--for",
            "1h",
        ];
        let mut command = hotspare();
        let output = command.args(order).args(&arguments).output();
        let output = output.expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.success(),
            told.is_none(),
            "{arguments:?}: {said}"
        );
        assert!(
            said.contains(told.unwrap_or_default()),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn a_daemon_does_not_start_with_a_bad_web_configuration() {
    let folder = Folder::new();
    folder.write("hotspare.yaml", CONFIG);
    folder.write("web.yml", "basic_auth_users:\n  alice: hunter2\n");
    let mut command = hotspare();
    command.args(["run", "--config.file", &folder.path("hotspare.yaml")]);
    command.args(["--web.config.file", &folder.path("web.yml")]);
    let output = command.output().expect("it ends");
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        told.contains("web.yml:2:10: basic_auth_users.alice: not a bcrypt hash"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn the_check_tells_what_is_wrong_with_both_files() {
    let folder = tempfile::tempdir().expect("folder");
    let (file, web) = (folder.path().join("h.yaml"), folder.path().join("w.yaml"));
    let check = |config: &str, settings: &str| {
        std::fs::write(&file, config).expect("written");
        std::fs::write(&web, settings).expect("written");
        let mut command = hotspare();
        command.args(["check", "--config.file"]).arg(&file);
        let output = command.arg("--web.config.file").arg(&web).output();
        let output = output.expect("it runs");
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), told)
    };
    assert_eq!(check(CONFIG, "").0, Some(0));
    let (code, told) = check(CONFIG, "tls_config: {}\n");
    assert_eq!(code, Some(64));
    assert!(told.contains("w.yaml:1:1"), "{told}");
    let (code, told) = check("regions: 7\n", "tls_config: {}\n");
    assert_eq!(code, Some(64));
    assert!(
        told.contains("w.yaml:1:1") && told.contains("h.yaml:1:10"),
        "{told}"
    );
}
