//! Mail, by a real server (aiosmtpd) and read by Python's own parser.

use std::process::Command;

use hotspare::model::AlertState;
use hotspare::notify::RefusalReason;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{alert, firing, folder, notification, prepare, refused, tell, write};
use crate::http::pki::Authority;
use crate::http::server::Server;
use crate::process::Process;

struct MailServer {
    port: u64,
    process: Process,
    folder: TempDir,
}

impl MailServer {
    fn start(mode: &str) -> Self {
        let folder = folder();
        let authority = Authority::new();
        let identity = authority.issue(&["127.0.0.1"]);
        write(&folder, "ca.pem", &authority.pem());
        write(&folder, "server.pem", &identity.certificate.pem());
        write(&folder, "server.key", &identity.key.serialize_pem());
        write(&folder, "server.py", include_str!("mail.py"));
        write(&folder, "password", "password-canary");
        let mut command = Command::new("/usr/bin/python3");
        command
            .current_dir(folder.path())
            .args(["server.py", mode, "server.pem", "server.key"]);
        let mut process = Process::start(command);
        let port = process.wait_for_line(|line| {
            let said: Value = serde_json::from_str(line).ok()?;
            said["port"].as_u64()
        });
        Self {
            port,
            process,
            folder,
        }
    }

    fn settings(&self, more: &Value) -> Value {
        let mut settings = json!({
            "server": format!("127.0.0.1:{}", self.port),
            "from": "hotspare <hotspare@a.example>",
            "to": ["ops@b.example", "Second <second@b.example>"],
            "tls": { "ca_file": "ca.pem" },
            "username": "me",
            "password_file": "password",
        });
        let map = settings.as_object_mut().expect("an object");
        map.extend(more.as_object().expect("an object").clone());
        map.retain(|_, value| !value.is_null());
        json!({ "email": settings })
    }

    /// The mails so far.
    fn mails(&mut self, count: usize) -> Vec<Value> {
        let mails = |process: &Process| {
            let lines = process.output();
            let lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines
                .filter(|mail: &Value| mail["sender"].is_string())
                .collect::<Vec<_>>()
        };
        let found = self.process.wait_until(|process| {
            let mails = mails(process);
            (mails.len() >= count).then_some(mails)
        });
        found.expect("it runs")
    }
}

#[tokio::test]
async fn mail_goes_over_tls_with_a_login_and_is_read_by_others() {
    for mode in ["starttls", "tls"] {
        let mut server = MailServer::start(mode);
        let notifier = prepare(
            server.settings(&json!({ "encryption": mode })),
            server.folder.path(),
        );
        let answer = tell(&notifier, &firing()).await.expect(mode);
        let place = format!("smtp://127.0.0.1:{}", server.port);
        assert_eq!(answer, format!("{place}: 250 it is with us"));
        let mut over = notification(vec![alert("db-ü", AlertState::Resolved)]);
        over.id = "second".into();
        tell(&notifier, &over).await.expect(mode);
        let mails = server.mails(2);
        let first = &mails[0];
        if mode == "starttls" {
            assert_eq!(first["encrypted"], true);
        }
        assert_eq!(first["login"], "me");
        assert_eq!(first["sender"], "hotspare@a.example");
        assert_eq!(
            first["recipients"],
            json!(["ops@b.example", "second@b.example"])
        );
        let headers = &first["headers"];
        assert_eq!(headers["Subject"], "[FIRING:1] shop b");
        assert_eq!(headers["Message-ID"], "<b7f3c1e2@a.example>");
        assert_eq!(mails[1]["headers"]["Message-ID"], "<second@a.example>");
        assert_eq!(headers["References"], mails[1]["headers"]["References"]);
        let plain = first["plain"].as_str().expect("text");
        assert!(plain.contains("<db-1> & co are not \"ready\""), "{plain}");
        let html = mails[1]["html"].as_str().expect("text");
        assert!(html.contains("&lt;db-ü&gt; &amp; co"), "{html}");
    }
}

#[tokio::test]
async fn what_a_mail_server_refuses_is_told_apart() {
    let server = MailServer::start("starttls");
    let path = server.folder.path();
    let to = |to: &str| server.settings(&json!({ "to": [to] }));
    let notifier = prepare(to("nobody@b.example"), path);
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Rejected,
        "550",
    );
    let notifier = prepare(to("full@b.example"), path);
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Server,
        "452",
    );
    // The password changes, and is right again.
    let notifier = prepare(to("ops@b.example"), path);
    write(&server.folder, "password", "wrong");
    refused(tell(&notifier, &firing()).await, RefusalReason::Auth, "535");
    write(&server.folder, "password", "password-canary");
    tell(&notifier, &firing()).await.expect("taken");
    // An authority that does not vouch for the server.
    write(&server.folder, "ca.pem", &Authority::named("other").pem());
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Tls,
        "certificate",
    );
}

#[tokio::test]
async fn mail_in_the_clear_is_for_this_host_and_never_a_fallback() {
    let mut server = MailServer::start("none");
    let path = server.folder.path();
    let none = json!({
        "encryption": "none", "tls": null, "username": null, "password_file": null,
    });
    let notifier = prepare(server.settings(&none), path);
    tell(&notifier, &firing()).await.expect("taken");
    assert_eq!(server.mails(1)[0]["encrypted"], false);
    // It offers no STARTTLS.
    let notifier = prepare(server.settings(&json!({})), server.folder.path());
    refused(
        tell(&notifier, &firing()).await,
        RefusalReason::Tls,
        "STARTTLS",
    );
    assert_eq!(server.mails(1).len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_floods_or_leaves_is_no_better_than_others() {
    let folder = folder();
    for (answer, detail) in [
        (b"220 hello\r\n".repeat(50_000), ""),
        (
            b"220 "
                .iter()
                .copied()
                .chain(std::iter::repeat_n(b'x', 1_000_000))
                .collect(),
            "",
        ),
        (b"554 go away\r\n".to_vec(), "554"),
        (Vec::new(), ""),
    ] {
        let server = Server::start(move |mut stream, _| {
            let answer = answer.clone();
            async move {
                use tokio::io::AsyncWriteExt as _;
                let _ = stream.write_all(&answer).await;
                crate::http::server::finish(stream).await;
            }
        })
        .await;
        let settings = json!({ "email": {
            "server": server.address.to_string(), "encryption": "none",
            "from": "a@a.example", "to": ["b@b.example"],
        } });
        let notifier = prepare(settings, folder.path());
        let refusal = tell(&notifier, &firing()).await.expect_err("no mail");
        assert!(refusal.detail.contains(detail), "{refusal}");
    }
}
