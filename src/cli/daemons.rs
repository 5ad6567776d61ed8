//! What the commands that ask daemons have in common: whom they ask, and what they say then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ask::{Client, Daemon, Trust};
use super::local;
use super::terminal::printable;
use super::waiting::waiting;
use super::written::{Format, Written, say};
use crate::files::Files;

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct Daemons {
    /// A daemon to ask (`http://HOST:9887`, `https://USER@HOST`, `unix:/run/hotspare/hotspare.sock`);
    /// may be given more than once, or with commas between (`rank` takes one). By default that of this
    /// host: by its socket /run/hotspare/hotspare.sock if this user may open it, otherwise by
    /// `http://127.0.0.1:9887`.
    #[arg(
        long = "server",
        visible_alias = "url",
        env = "HOTSPARE_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    urls: Vec<String>,

    /// The password of the users that the URLs name.
    #[arg(long, env = "HOTSPARE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// The authorities to trust instead of this host's (PEM).
    #[arg(long, env = "HOTSPARE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Why a command ends without what it is for.
pub(super) enum Failed {
    /// The command line is wrong.
    Usage(String),
    /// A daemon did not do what it was asked for.
    Daemon(String),
    /// The same, where the standard output tells it beside what the others answered.
    Told(String),
}

/// What came of each daemon, with its address.
pub(super) type Each<T> = Vec<(String, Result<T, String>)>;

impl Daemons {
    /// The daemons, if all can be asked.
    pub(super) fn parse(&self) -> Result<Vec<Daemon>, Failed> {
        let files = Files::new(None, PathBuf::new());
        let password = self.password_file.as_deref();
        let password = password.map(|path| files.read_secret(path)).transpose();
        let trust = Trust {
            password: password.map_err(Failed::Usage)?,
            ca_file: self.ca_file.clone(),
        };
        let daemons = match &*self.urls {
            [] => Daemon::local(local::daemon(), &trust).map(|daemon| vec![daemon]),
            urls => Daemon::all(urls, &trust),
        };
        daemons.map_err(Failed::Usage)
    }

    /// Does something with every daemon, one after the other, and gives what came of each with the
    /// daemon's address.
    pub(super) fn each<T>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
    ) -> Result<Each<T>, Failed> {
        let daemons = self.parse()?;
        let all = async |client: &Client| {
            let mut all = Vec::new();
            for daemon in &daemons {
                all.push((daemon.to_string(), work(client, daemon).await));
            }
            all
        };
        ask(all).map_err(Failed::Daemon)
    }

    /// The same, where one that fails spoils it.
    pub(super) fn all<T>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
    ) -> Result<Vec<T>, Failed> {
        let each = self.each(work)?.into_iter();
        let all =
            each.map(|(url, came)| came.map_err(|why| Failed::Daemon(format!("{url}: {why}"))));
        all.collect()
    }
}

impl Daemons {
    /// Gives an order to every daemon, and tells each one's answer in a line. What one of them refuses
    /// does not keep the others from it.
    pub(super) fn order<T>(
        &self,
        names: &[&str],
        order: &impl Serialize,
        (written, line): (&Written, impl Fn(&T) -> String),
    ) -> Result<String, Failed>
    where
        T: DeserializeOwned + Serialize,
    {
        let order = serde_json::to_vec(order).map_err(|error| Failed::Daemon(error.to_string()))?;
        let order = async |client: &Client, daemon: &Daemon| {
            let body = client.order(daemon, names, order.clone()).await?;
            read::<T>(&body)
        };
        self.told(&order, written, line)
    }

    /// Does something with every daemon, and tells what came of each in a line.
    pub(super) fn told<T: Serialize>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
        written: &Written,
        line: impl Fn(&T) -> String,
    ) -> Result<String, Failed> {
        self.listed(work, written, |answer| vec![line(answer)])
    }

    /// The same, where an answer may have any number of lines. What one of them refuses hides nothing of
    /// the others.
    pub(super) fn listed<T: Serialize>(
        &self,
        work: &impl AsyncFn(&Client, &Daemon) -> Result<T, String>,
        written: &Written,
        lines: impl Fn(&T) -> Vec<String>,
    ) -> Result<String, Failed> {
        let each = self.each(work)?;
        if written.format() == Format::Json {
            return each_as_json(&each);
        }
        let refused = each.iter().any(|(_, came)| came.is_err());
        let mut text = String::new();
        for (url, came) in each {
            let came = came.map_or_else(|why| vec![why], |answer| lines(&answer));
            for line in came {
                let _ = writeln!(text, "{url}: {}", printable(&line));
            }
        }
        if refused {
            return Err(Failed::Daemon(text.trim_end().to_owned()));
        }
        Ok(text)
    }
}

impl Failed {
    /// Says why.
    pub(super) fn tell(&self) -> ExitCode {
        match self {
            Self::Usage(why) => super::misused(why),
            Self::Daemon(why) => super::fail(why),
            Self::Told(text) => {
                say(text);
                ExitCode::FAILURE
            }
        }
    }
}

/// Asks daemons, and waits for what comes of it. The error says why none can be asked.
pub(super) fn ask<T>(work: impl AsyncFnOnce(&Client) -> T) -> Result<T, String> {
    let client = Client::new()?;
    let work = Box::pin(waiting("waiting for the answer", work(&client)));
    Ok(super::runtime()?.block_on(work))
}

/// Reads an answer.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not that of a daemon: {error}"))
}

/// Prints what came of a command.
pub(super) fn finish(came: Result<String, Failed>) -> ExitCode {
    match came {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(failed) => failed.tell(),
    }
}

/// A value as JSON, with the end of the line.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failed> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Failed::Daemon(error.to_string()))
}

/// What came of each daemon as one JSON object, by its address: its answer, or an object with the
/// `error` that it failed with.
pub(super) fn each_as_json<T: Serialize>(each: &Each<T>) -> Result<String, Failed> {
    let mut all = BTreeMap::new();
    for (url, came) in each {
        let value = match came {
            Ok(answer) => serde_json::to_value(answer),
            Err(why) => Ok(json!({ "error": why })),
        };
        let value = value.map_err(|error| Failed::Daemon(error.to_string()))?;
        all.insert(url, value);
    }
    let text = to_json(&all)?;
    if each.iter().all(|(_, came)| came.is_ok()) {
        Ok(text)
    } else {
        Err(Failed::Told(text))
    }
}

/// A moment in seconds since 1970 as RFC 3339 has it, to the second.
pub(super) fn moment(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "far from any limit, and saturating"
    )]
    let moment = OffsetDateTime::from_unix_timestamp(seconds as i64);
    let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}
