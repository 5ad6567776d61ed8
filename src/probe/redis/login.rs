//! The login: who asks, and for which database.

use super::failure;
use super::reply::{Reply, packed};
use super::session::Session;
use crate::model::{Failure, Secret};

/// What a session starts with.
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<u32>,
}

impl Login {
    /// Whether there is anything to say.
    pub(super) fn is_needed(&self) -> bool {
        self.password.is_some() || self.database.is_some()
    }

    /// Logs in, in one round trip.
    pub(super) async fn perform(&self, session: &mut Session) -> Result<(), Failure> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let words = [self.username.as_deref(), Some(password.expose())];
            let words = words.into_iter().flatten().map(str::as_bytes);
            let words: Vec<_> = std::iter::once(&b"AUTH"[..]).chain(words).collect();
            commands.push(packed(&words));
        }
        if let Some(database) = self.database {
            commands.push(packed(&[b"SELECT", database.to_string().as_bytes()]));
        }
        session.send(&commands.concat()).await?;
        for _ in commands {
            if let Reply::Error(error) = session.reply().await? {
                return Err(failure::of_login(&error, self.password.as_ref()));
            }
        }
        session.settle()
    }
}
