//! Secrets are where they belong, and nowhere else: each one is a word that nothing else has, every
//! target and receiver refuses it and says it back, the log tells all, and then the words are looked
//! for everywhere.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use hotspare::config::{Overrides, Shared, load_and_plan};

use crate::authority::{Authority, Identity};
use crate::daemon::{Daemon, Series, hotspare};
use crate::process::{PATIENCE, wait_for};
use crate::web::user;

/// What makes a word a secret of this test.
const MARK: &str = "canaryX";

/// The secrets that files hold, and what stands around them there.
const FILES: [(&str, &str); 17] = [
    ("basic", "@"),
    ("header", "@"),
    ("redis", "@"),
    ("postgres", "@"),
    ("mysql", "@"),
    ("hook-token", "@"),
    ("hook-key", "@"),
    ("hook-header", "@"),
    ("hook-url", "http://ADDRESS/hook/@"),
    ("slack-url", "http://ADDRESS/services/@"),
    ("teams-url", "http://ADDRESS/workflows/@?sig=@"),
    ("pagerduty", "@"),
    ("mail", "@"),
    ("alertmanager", "@"),
    ("heartbeat-url", "http://ADDRESS/ping/@"),
    ("proxy", "Basic @"),
    ("peers", "@"),
];

/// The secrets that the environment holds.
const VARIABLES: [&str; 2] = ["bearer", "env-header"];

/// What is probed: its name, its kind and its address.
const PROBES: [(&str, &str, &str); 11] = [
    (
        "basic",
        "http: { username: u, password_file: basic, headers_match: { X-Said: nothing }, valid_status: [403] }",
        "http://HTTP/",
    ),
    (
        "redirect",
        "http: { username: u, password_file: basic, follow_redirects: 2 }",
        "http://HTTP/redirect",
    ),
    (
        "tls",
        "http: { bearer_token_env: BEARER, tls: { cert_file: client.pem, key_file: client.key } }",
        "https://HTTP/",
    ),
    (
        "bearer",
        "http: { bearer_token_env: BEARER }",
        "http://HTTP/",
    ),
    (
        "header",
        "http: { secret_headers: { X-Key: { file: header } }, body_matches: [nothing], valid_status: [403] }",
        "http://HTTP/",
    ),
    (
        "env-header",
        "http: { secret_headers: { X-Key: { env: ENVYHEADER } }, json: [{ pointer: /a, equals: 1 }], valid_status: [403] }",
        "http://HTTP/",
    ),
    (
        "proxy",
        "http: { proxy: \"http://HTTP/\", secret_headers: { Proxy-Authorization: { file: proxy } } }",
        "http://127.0.0.9:1/",
    ),
    (
        "redis",
        "redis: { username: u, password_file: redis, allow_cleartext: true }",
        "REDIS",
    ),
    (
        "postgres",
        "postgres: { user: u, password_file: postgres, tls: disable, allow_cleartext: true }",
        "POSTGRES",
    ),
    (
        "mysql",
        "mysql: { user: u, password_file: mysql, tls: disable }",
        "MAIL",
    ),
    (
        "refuses",
        "postgres: { user: u, password_file: postgres, tls: disable }",
        "127.0.0.1:1",
    ),
];

/// Who is told of their failures: its name and its settings.
const RECEIVERS: [(&str, &str); 7] = [
    (
        "hook",
        "webhook: { url: \"http://HTTP/\", bearer_token_file: hook-token, secret_file: hook-key, \
         secret_headers: { X-Key: { file: hook-header } } }",
    ),
    ("hook-url", "webhook: { url_file: hook-url }"),
    ("slack", "slack: { url_file: slack-url }"),
    ("teams", "teams: { url_file: teams-url }"),
    (
        "pagerduty",
        "pagerduty: { routing_key_file: pagerduty, url: \"http://HTTP/\" }",
    ),
    (
        "mail",
        "email: { to: [a@example.com], from: b@example.com, server: \"MAIL\", encryption: none, \
         username: u, password_file: mail }",
    ),
    (
        "am",
        "alertmanager: { urls: [\"http://HTTP\"], username: u, password_file: alertmanager }",
    ),
];

/// What the daemon's own server is asked for, and with which header.
const PAGES: [(&str, &str); 19] = [
    ("/metrics", ""),
    (
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    ),
    ("/", ""),
    ("/targets", ""),
    ("/targets/header/here", ""),
    ("/targets/redis/here", ""),
    ("/sd", ""),
    ("/-/healthy", ""),
    ("/-/ready", ""),
    ("/api/v1/alerts", ""),
    ("/api/v1/groups", ""),
    ("/api/v1/events", ""),
    ("/api/v1/drills", ""),
    ("/api/v1/silences", ""),
    ("/api/v1/receivers", ""),
    ("/api/v1/status", ""),
    ("/api/v1/targets", ""),
    ("/api/v1/config", ""),
    ("/api/v1/matrix", ""),
];

/// The user of the daemon's own server.
const USER: &str = "web";

/// The word for the secret of this name. No other word begins with it.
fn word(name: &str) -> String {
    format!("{MARK}{}Z", name.replace('-', "Y"))
}

fn names() -> impl Iterator<Item = &'static str> {
    let files = FILES.iter().map(|(name, _)| *name);
    files.chain(VARIABLES).chain([USER])
}

/// How a protocol says back what it was told.
#[derive(Clone, Copy)]
enum Speech {
    Http,
    Redis,
    Postgres,
    Mail,
}

/// A server that refuses whatever it is told, and says it back.
struct Parrot {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Parrot {
    fn start(speech: Speech) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let heard = Arc::default();
        let notes = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&notes);
                std::thread::spawn(move || drop(speak(stream, speech, &notes)));
            }
        });
        Self { address, heard }
    }

    /// Whether it was told the word, in clear or as a password of `Basic` or `PLAIN`.
    fn heard(&self, word: &str) -> bool {
        let heard = String::from_utf8_lossy(&self.heard.lock().expect("not poisoned")).into_owned();
        let decoded = |text: &str| STANDARD.decode(text).unwrap_or_default();
        let mut words = heard.split_ascii_whitespace().map(decoded);
        heard.contains(word) || words.any(|text| String::from_utf8_lossy(&text).contains(word))
    }
}

/// One connection, until the client is gone.
fn speak(mut stream: TcpStream, speech: Speech, notes: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    if matches!(speech, Speech::Mail) {
        stream.write_all(b"220 parrot\r\n")?;
    }
    let mut bytes = [0; 16_384];
    loop {
        let length = stream.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        let heard = &bytes[..length];
        notes.lock().expect("not poisoned").extend_from_slice(heard);
        let text: String = String::from_utf8_lossy(heard)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match speech {
            Speech::Http => {
                let body = format!("no {text}");
                // It may be followed to itself only, so that what was said is in what is refused.
                let said: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let location = format!("http://127.0.0.1:1/{said}");
                let status = if text.contains("/redirect") { 302 } else { 403 };
                write!(
                    stream,
                    "HTTP/1.1 {status} no {text}\r\nX-Said: {text}\r\nLocation: {location}\r\n\
                     WWW-Authenticate: Basic realm=\"{text}\"\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
            Speech::Redis => write!(stream, "-WRONGPASS {text}\r\n")?,
            Speech::Postgres if heard.first() == Some(&b'p') => {
                let message = format!("SFATAL\0C28P01\0Mno {text}\0D{text}\0H{text}\0\0");
                let length = u32::try_from(message.len() + 4).expect("short");
                stream.write_all(b"E")?;
                stream.write_all(&length.to_be_bytes())?;
                stream.write_all(message.as_bytes())?;
            }
            // AuthenticationCleartextPassword
            Speech::Postgres => stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3])?,
            Speech::Mail if text.starts_with("EHLO") => {
                stream.write_all(b"250-parrot\r\n250 AUTH PLAIN LOGIN\r\n")?;
            }
            Speech::Mail => {
                let last = text.split_ascii_whitespace().last().unwrap_or_default();
                let said = STANDARD.decode(last).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).replace('\0', " ");
                write!(stream, "535 no {text} {said}\r\n")?;
            }
        }
    }
}

/// Everybody whom the daemon of the test talks to.
struct World {
    http: Parrot,
    redis: Parrot,
    postgres: Parrot,
    mail: Parrot,
    /// Of the daemon, as a client.
    identity: Identity,
}

impl World {
    fn start() -> Self {
        Self {
            http: Parrot::start(Speech::Http),
            redis: Parrot::start(Speech::Redis),
            postgres: Parrot::start(Speech::Postgres),
            mail: Parrot::start(Speech::Mail),
            identity: Authority::new("ours").identity(&["client"]),
        }
    }

    /// What gets the secret of this name, if it goes out as it is.
    fn place_of(&self, name: &str) -> Option<&Parrot> {
        Some(match name {
            "redis" => &self.redis,
            "postgres" => &self.postgres,
            "mail" => &self.mail,
            // A hash of it, an answer to a challenge, a signature.
            USER | "mysql" | "hook-key" => return None,
            _ => &self.http,
        })
    }

    fn write_files(&self, folder: &Path) {
        for (name, text) in FILES {
            let text = text.replace("ADDRESS", &self.http.address.to_string());
            fs::write(folder.join(name), text.replace('@', &word(name))).expect("written");
        }
        fs::write(folder.join("web.yaml"), user(USER, &word(USER))).expect("written");
        let key = &self.identity.key;
        fs::write(folder.join("client.pem"), &self.identity.certificate).expect("written");
        fs::write(folder.join("client.key"), key).expect("written");
    }

    fn config(&self, state: &Path) -> String {
        let mut text = format!(
            "region: here\nregions: [{{ name: here }}, {{ name: there, daemon: \"http://HTTP\" }}]\n\
             state_dir: {}\npeers: {{ username: u, password_file: peers }}\n\
             defaults: {{ interval: 1s, timeout: 900ms }}\n\
             heartbeat: {{ url_file: heartbeat-url, interval: 5s }}\n\
             alerting: {{ group_wait: 0s, group_interval: 1s }}\n\
             rules: [{{ name: Fails, when: {{ failures: {{}} }}, severity: warning }}]\n\
             probes:\n",
            state.display()
        );
        for (name, kind, address) in PROBES {
            let target = format!("targets: {{ here: \"{address}\" }}");
            writeln!(text, "- name: {name}\n  check: {{ {kind} }}\n  {target}").expect("text");
        }
        text += "receivers:\n";
        for (name, settings) in RECEIVERS {
            writeln!(text, "- {{ name: {name}, {settings} }}").expect("text");
        }
        for (parrot, place) in [
            (&self.http, "HTTP"),
            (&self.redis, "REDIS"),
            (&self.postgres, "POSTGRES"),
            (&self.mail, "MAIL"),
        ] {
            text = text.replace(place, &parrot.address.to_string());
        }
        text
    }
}

/// The test's binary with the secrets that its environment is to hold.
fn with_variables() -> Command {
    let mut command = hotspare();
    command
        .env("BEARER", word("bearer"))
        .env("ENVYHEADER", word("env-header"));
    command
}

/// One GET as the user, with more of a head.
fn get(address: SocketAddr, path: &str, head: &str) -> String {
    let known = STANDARD.encode(format!("{USER}:{}", word(USER)));
    let mut stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("guard");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Basic {known}\r\n{head}\r\n"
    )
    .expect("written");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answered");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every place where a secret was found that is not to be there.
struct Search {
    /// Each secret's name, and what it looks like.
    forms: Vec<(&'static str, String)>,
    found: Vec<String>,
    looked_at: usize,
}

impl Search {
    /// For every word, and for the client's key.
    fn of(world: &World) -> Self {
        let mut forms = Vec::new();
        for name in names() {
            forms.push((name, word(name)));
            // A word in base64 looks different by where it stands in its three bytes.
            for before in ["", "u:", "\0u\0"] {
                let form = STANDARD.encode(format!("{before}{}", word(name)));
                forms.push((name, form.trim_end_matches('=').to_owned()));
            }
        }
        let line = world.identity.key.lines().nth(1).expect("a line of base64");
        forms.push(("client.key", line.to_owned()));
        Self {
            forms,
            found: Vec::new(),
            looked_at: 0,
        }
    }

    fn through(&mut self, place: &str, text: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(text.as_ref());
        self.looked_at += usize::from(!text.is_empty());
        for (name, form) in &self.forms {
            if let Some((before, _)) = text.split_once(form) {
                let around: Vec<_> = before.chars().rev().take(200).collect();
                let around: String = around.into_iter().rev().collect();
                self.found.push(format!("{place}: {name} after …{around}"));
            }
        }
    }

    fn through_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("readable").flatten() {
            let text = fs::read(entry.path()).expect("readable");
            self.through(&entry.path().display().to_string(), text);
        }
    }

    fn ends(self, places: usize) {
        assert!(self.found.is_empty(), "{:#?}", self.found);
        assert!(self.looked_at >= places, "{} looked at", self.looked_at);
    }
}

#[test]
fn the_search_finds_what_it_is_to_find() {
    let world = World::start();
    let basic = STANDARD.encode(format!("u:{}", word("basic")));
    let told = format!("GET / Authorization: Basic {basic}");
    for text in [&word("redis"), &told, &world.identity.key] {
        let mut search = Search::of(&world);
        search.through("here", text);
        assert_eq!(search.found.len(), 1, "{:?}", search.found);
    }
}

#[test]
fn no_secret_is_anywhere_but_where_it_belongs() {
    let world = World::start();
    let state = tempfile::tempdir().expect("folder");
    let config = world.config(state.path());
    let prepared = tempfile::tempdir().expect("folder");
    world.write_files(prepared.path());
    let web = format!("--web.config.file={}/web.yaml", prepared.path().display());
    let arguments = ["--log.level=trace", &web];
    let prepare = |folder: &Path| world.write_files(folder);
    let mut daemon = Daemon::start_command(with_variables(), &config, prepare, &arguments);
    // Other daemons are asked once somebody looks.
    get(daemon.address, "/", "");
    // Every secret reaches its place: the search could find it.
    for name in names() {
        let Some(parrot) = world.place_of(name) else {
            continue;
        };
        wait_for(|| (name, parrot.heard(&word(name))), |(_, heard)| *heard);
    }
    let address = daemon.address;
    let page = || {
        let answer = get(address, "/metrics", "");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        Series::parse(body)
    };
    // Every target has failed, and every receiver was tried and refused.
    wait_for(
        || page().sum("hotspare_probe_failures_total", &[]),
        |failures| *failures > 20.0,
    );
    let looked = || get(address, "/", "");
    wait_for(looked, |page| page.contains("it refused the login"));
    let mut search = Search::of(&world);
    for (path, head) in PAGES {
        search.through(path, get(address, path, head));
    }
    // What a peer said is told in full.
    for (name, _, _) in PROBES {
        let path = format!("/api/v1/samples?probe={name}&target=here");
        let answer = || get(address, &path, "");
        let told = |answer: &String| answer.contains("\"failures\":[{");
        search.through(&path, wait_for(answer, told));
    }
    let id = daemon.process().id();
    let own = fs::read(format!("/proc/{id}/cmdline")).expect("alive");
    search.through("cmdline", own);
    let environment = fs::read_to_string(format!("/proc/{id}/environ")).expect("ours");
    let (meant, rest): (Vec<_>, Vec<_>) = environment
        .split('\0')
        .partition(|line| line.starts_with("BEARER=") || line.starts_with("ENVYHEADER="));
    assert_eq!(meant.len(), VARIABLES.len());
    search.through("environ", rest.join("\n"));
    // Nor is one told to somebody else: what alerts say is what targets said.
    for name in ["redis", "postgres", "mysql", "mail"] {
        assert!(!world.http.heard(&word(name)), "{name}");
    }
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("level=trace"), "nothing at trace level");
    search.through("log", log);
    search.through_folder(state.path());
    search.ends(16 + PROBES.len());
}

#[test]
fn a_plan_that_is_printed_shows_no_secret() {
    let world = World::start();
    let state = tempfile::tempdir().expect("folder");
    let folder = tempfile::tempdir().expect("folder");
    world.write_files(folder.path());
    // This process has none of the variables.
    let config = world.config(state.path());
    let config = config.replace("bearer_token_env: BEARER", "bearer_token_file: basic");
    let config = config.replace("{ env: ENVYHEADER }", "{ file: header }");
    let file = folder.path().join("hotspare.yaml");
    fs::write(&file, config).expect("written");
    let shared = Shared::from_system().expect("a host");
    let overrides = Overrides::new(None, std::iter::empty()).expect("none");
    let plan = load_and_plan(&file, &overrides, &shared, None);
    let plan = plan.unwrap_or_else(|problems| panic!("{problems}"));
    let mut search = Search::of(&world);
    search.through("plan", format!("{plan:#?}"));
    search.ends(1);
}

#[test]
fn no_command_prints_a_secret() {
    let world = World::start();
    let state = tempfile::tempdir().expect("folder");
    let folder = tempfile::tempdir().expect("folder");
    world.write_files(folder.path());
    let file = folder.path().join("hotspare.yaml");
    fs::write(&file, world.config(state.path())).expect("written");
    let mut search = Search::of(&world);
    for (probe, ..) in PROBES {
        for format in ["--format=text", "--format=json", "--count=2"] {
            let mut command = with_variables();
            command.args(["probe", probe, format, "--interval=0", "--config.file"]);
            let output = command.arg(&file).output().expect("run");
            assert!(!output.stdout.is_empty(), "{probe}: {output:?}");
            search.through(probe, [output.stdout, output.stderr].concat());
        }
    }
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["rank", "basic"],
        &["notify", "test", "--receiver=hook"],
        &["notify", "test", "--receiver=slack"],
        &["notify", "test", "--receiver=mail"],
        &["notify", "test", "--receiver=teams"],
        &["notify", "test", "--receiver=pagerduty"],
    ] {
        let mut command = with_variables();
        let output = command
            .args(arguments)
            .arg("--config.file")
            .arg(&file)
            .output()
            .expect("run");
        search.through(
            &arguments.join(" "),
            [output.stdout, output.stderr].concat(),
        );
    }
    search.ends(41);
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("hotspare.yaml");
    let mut search = Search::of(&World::start());
    let secret = word("basic");
    for wrong in [
        format!("http: {{}} }}\n  targets: {{ here: \"http://u:{secret}@127.0.0.1/\" }}"),
        format!("redis: {{}} }}\n  targets: {{ here: \"u:{secret}@127.0.0.1\" }}"),
        format!(
            "postgres: {{ user: u }} }}\n  targets: {{ here: \"postgres://u:{secret}@127.0.0.1\" }}"
        ),
        format!(
            "http: {{ proxy: \"http://u:{secret}@127.0.0.1/\" }} }}\n  targets: {{ here: \"http://127.0.0.1/\" }}"
        ),
    ] {
        let config = format!(
            "region: here\nregions: [{{ name: here }}]\nprobes:\n- name: p\n  check: {{ {wrong}\n"
        );
        fs::write(&file, config).expect("written");
        let output = hotspare()
            .args(["check", "--config.file"])
            .arg(&file)
            .output()
            .expect("run");
        assert!(!output.status.success(), "{wrong}");
        search.through(
            &wrong.replace(&secret, "@"),
            [output.stdout, output.stderr].concat(),
        );
    }
    search.ends(4);
}
