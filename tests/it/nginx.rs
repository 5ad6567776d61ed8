//! A real nginx on loopback.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::process::{Process, free_port};

/// An nginx with a plain port and a TLS port, on every address of 127/8.
pub(crate) struct Nginx {
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// The authority that signed its certificate (PEM).
    pub(crate) ca: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts it; its certificate is for `name`. It answers `/` with 200 `ok`, `/json` with a
    /// small document, and `/503` with that status.
    pub(crate) fn start(name: &str) -> Self {
        // A port can be taken between our closing and its opening: then others.
        (0..5)
            .find_map(|_| Self::attempt(name))
            .expect("nginx finds free ports")
    }

    /// Starts it once; nothing if it ended, because of its ports.
    fn attempt(name: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (http, https) = (free_port(), free_port());
        let ca = certificates(folder.path(), name);
        std::fs::write(
            folder.path().join("nginx.conf"),
            configuration(folder.path(), http, https),
        )
        .expect("writable");
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .args(["-e", "stderr"]);
        let mut process = Process::start(command);
        // It writes its id once it listens, so that nobody else's port is taken for its own.
        let listens = process.wait_until(|_| folder.path().join("pid").exists().then_some(()));
        if listens.is_err() {
            let output = process.output().join("\n");
            // The second can also be what the first was: it is free again.
            let taken = ["Address already in use", "duplicate listen"];
            assert!(taken.iter().any(|said| output.contains(said)), "{output}");
            return None;
        }
        Some(Self {
            http,
            https,
            ca,
            _process: process,
            _folder: folder,
        })
    }
}

fn certificates(folder: &Path, name: &str) -> String {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("signed");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("signed");
    std::fs::write(folder.join("cert.pem"), leaf.pem()).expect("writable");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("writable");
    ca_certificate.pem()
}

fn configuration(folder: &Path, http: u16, https: u16) -> String {
    let folder = folder.display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "{kind}_temp_path {folder}/{kind};").expect("a string");
    }
    // One process, so that none is left when it is killed.
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; {temporary}
  server {{
    listen 0.0.0.0:{http} backlog=4096;
    listen 0.0.0.0:{https} ssl http2;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location / {{ return 200 'ok'; }}
    location /json {{ return 200 '{{\"status\": \"up\", \"build\": {{\"sha\": \"abc123\"}}}}'; }}
    location /503 {{ return 503 'down'; }}
  }}
}}
"
    )
}
