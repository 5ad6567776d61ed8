//! `email`: a mail over SMTP, on a connection of ours: with TLS, or to this host itself.

mod dialogue;
mod letter;

use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::{Context, Notification, Refusal, RefusalReason, Tell, Told, reach};
use crate::files::SecretSource;
use crate::model::{Problem, Secret};
use crate::net::{Endpoint, Host, TlsSettings};

/// The port for submission over TLS.
const TLS_PORT: u16 = 465;
/// The port for submission, with STARTTLS.
const SUBMISSION_PORT: u16 = 587;

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// TLS, asked for in the clear: the server must offer it.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: only to this host itself.
    None,
}

/// The settings of `email`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who gets the mail.
    pub to: Vec<String>,
    /// Who sends it.
    pub from: Option<String>,
    /// The server, with a port if it is another than that of the encryption.
    pub server: Option<String>,
    /// How the connection is encrypted: `tls` where the port is 465, else `starttls`.
    pub encryption: Option<Encryption>,
    /// How to speak TLS.
    pub tls: TlsSettings,
    /// The user to log in as.
    pub username: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the user's password.
    pub password_env: Option<String>,
}

/// Sends mail by one server.
#[derive(Debug)]
pub(super) struct Email {
    server: Endpoint,
    encryption: Encryption,
    name: ServerName<'static>,
    tls: TlsSettings,
    login: Option<(String, SecretSource)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    context: Context,
}

impl Settings {
    pub(super) fn prepare(&self, context: &Context) -> Result<Told<Email>, Vec<Problem>> {
        let mut problems = Vec::new();
        let to = self.recipients(&mut problems);
        let from = mailbox("from", self.from.as_deref(), &mut problems);
        let server = self.server(&mut problems);
        let login = self.login(context, &mut problems);
        let encrypted = server
            .as_ref()
            .is_none_or(|(_, how, _)| *how != Encryption::None);
        if encrypted {
            reach::tls(&self.tls, context).map_or_else(|problem| problems.push(problem), drop);
        } else if self.tls != TlsSettings::default() {
            let message = "it is not used with encryption: none";
            problems.push(Problem::new("tls", message));
        }
        match (server, from) {
            (Some((server, encryption, name)), Some(from)) if problems.is_empty() => {
                Ok(Told(Email {
                    server,
                    encryption,
                    name,
                    tls: self.tls.clone(),
                    login,
                    from,
                    to,
                    context: context.clone(),
                }))
            }
            _ => Err(problems),
        }
    }

    fn recipients(&self, problems: &mut Vec<Problem>) -> Vec<Mailbox> {
        if self.to.is_empty() {
            problems.push(Problem::new(
                "to",
                "name who gets the mail: [ops@example.com]",
            ));
        }
        let all = self.to.iter().enumerate();
        let all = all.filter_map(|(i, text)| mailbox(&format!("to[{i}]"), Some(text), problems));
        all.collect()
    }

    fn server(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Option<(Endpoint, Encryption, ServerName<'static>)> {
        let Some(text) = &self.server else {
            let message = "set it to the server, like smtp.example.com";
            problems.push(Problem::new("server", message));
            return None;
        };
        let default_port = match self.encryption {
            Some(Encryption::Tls) => TLS_PORT,
            Some(Encryption::None) => 25,
            _ => SUBMISSION_PORT,
        };
        let read = Endpoint::parse(text, Some(default_port)).and_then(|endpoint| {
            let name = endpoint
                .host
                .certified_name(self.tls.server_name.as_deref())?;
            Ok((endpoint, name))
        });
        let (endpoint, name) = read
            .map_err(|why| problems.push(Problem::new("server", why)))
            .ok()?;
        let encryption = self.encryption.unwrap_or(match endpoint.port {
            TLS_PORT => Encryption::Tls,
            _ => Encryption::Starttls,
        });
        if encryption == Encryption::None && !is_this_host(&endpoint.host) {
            let message = "mail in the clear goes to this host only (127.0.0.1, ::1, localhost)";
            problems.push(Problem::new("encryption", message));
        }
        Some((endpoint, encryption, name))
    }

    fn login(
        &self,
        context: &Context,
        problems: &mut Vec<Problem>,
    ) -> Option<(String, SecretSource)> {
        let (file, env) = (self.password_file.as_deref(), self.password_env.as_deref());
        let password = context.files.secret_of("password", file, env);
        let password = password.map_err(|problem| problems.push(problem)).ok()?;
        match (&self.username, password) {
            (Some(_), None) => {
                let message = "username needs a password_file";
                problems.push(Problem::new("password_file", message));
            }
            (None, Some(_)) => {
                let message = "password_file needs a username";
                problems.push(Problem::new("username", message));
            }
            _ => {}
        }
        let file = self.password_file.clone().map(SecretSource::File);
        let source = file.or(self.password_env.clone().map(SecretSource::Env));
        self.username.clone().zip(source)
    }
}

fn mailbox(field: &str, text: Option<&str>, problems: &mut Vec<Problem>) -> Option<Mailbox> {
    let Some(text) = text else {
        let message = "set it to an address, like hotspare@example.com";
        problems.push(Problem::new(field, message));
        return None;
    };
    text.parse()
        .map_err(|_| {
            let message = format!("`{text}` is no address; expected one like ops@example.com");
            problems.push(Problem::new(field, message));
        })
        .ok()
}

/// Whether what is sent there does not leave this host.
fn is_this_host(host: &Host) -> bool {
    match host {
        Host::Ip(IpAddr::V4(ip)) => ip.is_loopback(),
        Host::Ip(IpAddr::V6(ip)) => ip.is_loopback(),
        Host::Name(name) => &**name == "localhost",
    }
}

impl Email {
    /// The user and the password as it is now.
    fn credentials(&self) -> Result<Option<(&str, Secret)>, Refusal> {
        let Some((user, source)) = &self.login else {
            return Ok(None);
        };
        let password = self.context.files.secret_from(source);
        let password = password.map_err(|why| Refusal::new(RefusalReason::Local, why))?;
        Ok(Some((user, password)))
    }
}

impl Tell for Email {
    async fn tell(&self, notification: &Notification) -> Result<String, Refusal> {
        let message = letter::write(notification, &self.from, &self.to)
            .map_err(|why| Refusal::new(RefusalReason::Local, why))?;
        Box::pin(self.send(&message)).await
    }
}
