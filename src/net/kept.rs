//! The connection that one run leaves to the next.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// Which connection a run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Its own, as a new client does.
    #[default]
    Fresh,
    /// That of the run before, while it works.
    Reuse,
}

impl Connection {
    /// The age at which a connection is replaced, if none is set.
    const DEFAULT_MAX_AGE: Duration = Duration::from_mins(5);

    /// How old a connection gets that runs share; none where each has its own.
    ///
    /// The error is what is wrong with the age that was set.
    pub fn max_age(self, set: Option<Duration>) -> Result<Option<Duration>, &'static str> {
        match (self, set) {
            (Self::Fresh, Some(_)) => Err("it is not used without connection: reuse"),
            (Self::Reuse, Some(Duration::ZERO)) => Err("it must be longer than 0"),
            (Self::Fresh, None) => Ok(None),
            (Self::Reuse, set) => Ok(Some(set.unwrap_or(Self::DEFAULT_MAX_AGE))),
        }
    }
}

/// The place for the connection that the runs of one target share: one, for they run one after the
/// other.
///
/// A run takes the connection out, and puts it back only after a whole exchange. A run that fails,
/// or is dropped at its deadline, leaves none: a connection that is half read is never used again.
#[derive(Debug)]
pub struct Kept<T> {
    max_age: Option<Duration>,
    place: Mutex<Option<Opened<T>>>,
}

/// A connection and when it was made.
#[derive(Debug)]
pub struct Opened<T> {
    /// The connection.
    pub connection: T,
    at: Instant,
}

impl<T> Opened<T> {
    /// A connection made now.
    pub fn now(connection: T) -> Self {
        Self {
            connection,
            at: Instant::now(),
        }
    }
}

impl<T> Kept<T> {
    /// A place for connections up to the given age; none keeps nothing.
    pub fn new(max_age: Option<Duration>) -> Self {
        Self {
            max_age,
            place: Mutex::new(None),
        }
    }

    /// Takes the connection out. One that became too old goes to `part`.
    pub fn take(&self, part: impl FnOnce(T)) -> Option<Opened<T>> {
        let kept = self.place().take()?;
        if self.keeps(&kept) {
            return Some(kept);
        }
        part(kept.connection);
        None
    }

    /// Leaves a connection to the next run. One that is too old for it goes to `part`.
    pub fn put(&self, opened: Opened<T>, part: impl FnOnce(T)) {
        if self.keeps(&opened) {
            *self.place() = Some(opened);
        } else {
            part(opened.connection);
        }
    }

    fn keeps(&self, opened: &Opened<T>) -> bool {
        self.max_age.is_some_and(|age| opened.at.elapsed() < age)
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Opened<T>>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_given_out_once_and_not_beyond_its_age() {
        let kept = Kept::new(Some(Duration::from_secs(3)));
        let unexpected = |_| panic!("it is young");
        kept.put(Opened::now(1), unexpected);
        tokio::time::advance(Duration::from_secs(2)).await;
        let opened = kept.take(unexpected).expect("kept");
        assert!(kept.take(unexpected).is_none());

        kept.put(opened, unexpected);
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut parted = Vec::new();
        assert!(kept.take(|old| parted.push(old)).is_none());
        kept.put(
            Opened {
                connection: 2,
                at: Instant::now() - Duration::from_secs(3),
            },
            |old| {
                parted.push(old);
            },
        );
        Kept::new(None).put(Opened::now(3), |unwanted| parted.push(unwanted));
        assert_eq!(parted, [1, 2, 3]);
    }

    #[test]
    fn an_age_is_for_shared_connections() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(Connection::Fresh.max_age(None), Ok(None));
        assert_eq!(Connection::Reuse.max_age(second), Ok(second));
        let default = Some(Connection::DEFAULT_MAX_AGE);
        assert_eq!(Connection::Reuse.max_age(None), Ok(default));
        assert!(Connection::Fresh.max_age(second).is_err());
        assert!(Connection::Reuse.max_age(Some(Duration::ZERO)).is_err());
    }
}
