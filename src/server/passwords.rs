//! Whether whoever asks knows a user's password.
//!
//! bcrypt is slow on purpose. So it runs on threads of its own, one at a time, no more often than an
//! address may try; and what was found good is known again by a keyed hash.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::rate::Bucket;
use crate::metrics::Refused;
use crate::model::{PasswordHash, Secret};

/// Users with the hashes of their passwords.
pub(super) type Users = BTreeMap<String, PasswordHash>;

/// Passwords that are known again without bcrypt.
const MAX_KNOWN: usize = 256;
/// Who may wait for bcrypt at once.
const MAX_WAITING: usize = 16;
/// How often an address may try passwords that are not known, after a rest.
const TRIES: u32 = 10;
/// How long it then waits for the next one.
const TRY_EVERY: Duration = Duration::from_secs(6);
/// Addresses whose attempts are remembered.
const MAX_ADDRESSES: usize = 4096;
/// Bytes of a name with its password.
const MAX_CREDENTIALS: usize = 1024;
/// The salt and the hash that a password of nobody is compared with: nothing is known that leads to it.
const NOBODY: &str = ".....................................................";

/// What is remembered of passwords, which outlives a change of the users.
pub(super) struct Passwords {
    /// Marks of good ones. A mark has the stored hash in it, so that it is void once that changes.
    known: Mutex<HashSet<[u8; 32]>>,
    key: hmac::Key,
    tries: Mutex<HashMap<IpAddr, Bucket>>,
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Passwords {
    /// The error says that this host has no random numbers.
    pub(super) fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| "there are no random numbers".to_owned())?;
        Ok(Self {
            known: Mutex::default(),
            key,
            tries: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether the header names one of the users and the user's password.
    pub(super) async fn check(
        &self,
        users: &Users,
        header: Option<&HeaderValue>,
        client: IpAddr,
    ) -> Result<(), Refused> {
        let header = header.ok_or(Refused::NoCredentials)?;
        let (name, password) = credentials(header).ok_or(Refused::WrongCredentials)?;
        let user = users.get(&name);
        let mark = user.map(|hash| self.mark(&name, hash, &password));
        if mark.is_some_and(|mark| lock(&self.known).contains(&mark)) {
            return Ok(());
        }
        self.try_once(client)?;
        // Somebody unknown takes as long as the slowest of those who are known.
        let hash = user.map_or_else(|| nobody(users), |hash| hash.expose().to_owned());
        let good = self.compare(password, Secret::new(hash)).await?;
        match mark.filter(|_| good) {
            Some(mark) => {
                self.remember(mark);
                self.succeeded(client);
                Ok(())
            }
            None => Err(Refused::WrongCredentials),
        }
    }

    /// A client that leaves gives up its place, but not a turn that has begun: that goes with the work.
    async fn compare(&self, password: Secret, hash: Secret) -> Result<bool, Refused> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refused::TooManyAttempts)?;
        let turn = Arc::clone(&self.turn)
            .acquire_owned()
            .await
            .map_err(|_| Refused::TooManyAttempts)?;
        let work = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            bcrypt::verify(password.expose(), hash.expose()).unwrap_or(false)
        });
        Ok(work.await.unwrap_or(false))
    }

    fn mark(&self, name: &str, hash: &PasswordHash, password: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name, hash.expose(), password.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    fn remember(&self, mark: [u8; 32]) {
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(mark);
    }

    fn try_once(&self, client: IpAddr) -> Result<(), Refused> {
        let now = Instant::now();
        let mut tries = lock(&self.tries);
        if tries.len() >= MAX_ADDRESSES {
            tries.retain(|_, bucket| !bucket.is_full(now));
        }
        if tries.len() >= MAX_ADDRESSES && !tries.contains_key(&client) {
            return Err(Refused::TooManyAttempts);
        }
        let bucket = tries
            .entry(client)
            .or_insert_with(|| Bucket::new(TRY_EVERY, TRIES, now));
        if bucket.take(now) {
            return Ok(());
        }
        Err(Refused::TooManyAttempts)
    }

    /// A good password is no attempt.
    fn succeeded(&self, client: IpAddr) {
        if let Some(bucket) = lock(&self.tries).get_mut(&client) {
            bucket.give_back();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name and the password in an `Authorization` header.
fn credentials(header: &HeaderValue) -> Option<(String, Secret)> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > MAX_CREDENTIALS {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), Secret::new(password.to_owned())))
}

/// A hash that is nobody's, of the highest cost among those of the users.
fn nobody(users: &Users) -> String {
    let cost = users.values().map(PasswordHash::cost).max().unwrap_or(10);
    format!("$2y${cost:02}${NOBODY}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password `hunter2`, at the lowest cost.
    fn users() -> Users {
        let hash = bcrypt::hash("hunter2", 4).expect("hashed");
        BTreeMap::from([(
            "alice".to_owned(),
            PasswordHash::try_from(hash).expect("a hash"),
        )])
    }

    fn basic(text: &str) -> HeaderValue {
        let text = format!("Basic {}", STANDARD.encode(text));
        HeaderValue::from_str(&text).expect("a header")
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn only_a_user_with_the_right_password_is_let_in() {
        let users = users();
        for (header, expected) in [
            (None, Err(Refused::NoCredentials)),
            (Some(basic("alice:hunter2")), Ok(())),
            (Some(basic("alice:hunter3")), Err(Refused::WrongCredentials)),
            (Some(basic("alice:")), Err(Refused::WrongCredentials)),
            (Some(basic("alice")), Err(Refused::WrongCredentials)),
            (Some(basic("Alice:hunter2")), Err(Refused::WrongCredentials)),
            (Some(basic("bob:hunter2")), Err(Refused::WrongCredentials)),
            (
                Some(basic("alice:hunter2\0")),
                Err(Refused::WrongCredentials),
            ),
            (
                Some(HeaderValue::from_static("Bearer hunter2")),
                Err(Refused::WrongCredentials),
            ),
            (
                Some(HeaderValue::from_static("Basic !")),
                Err(Refused::WrongCredentials),
            ),
        ] {
            let passwords = Passwords::new().expect("random numbers");
            let came = passwords.check(&users, header.as_ref(), HERE).await;
            assert_eq!(came, expected, "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_good_password_is_known_again_until_the_hash_changes() {
        let passwords = Passwords::new().expect("random numbers");
        let (first, header) = (users(), basic("alice:hunter2"));
        assert_eq!(passwords.check(&first, Some(&header), HERE).await, Ok(()));
        // Nobody can compare any more: only what is known is let in.
        passwords.turn.close();
        assert_eq!(passwords.check(&first, Some(&header), HERE).await, Ok(()));
        let rehashed = users();
        let came = passwords.check(&rehashed, Some(&header), HERE).await;
        assert_eq!(came, Err(Refused::TooManyAttempts));
    }

    #[tokio::test]
    async fn an_address_may_not_guess_on_and_keeps_nobody_else_out() {
        let passwords = Passwords::new().expect("random numbers");
        let users = users();
        let (good, bad) = (basic("alice:hunter2"), basic("alice:guess"));
        let mut refused = Vec::new();
        for _ in 0..=TRIES {
            refused.extend(passwords.check(&users, Some(&bad), HERE).await.err());
        }
        assert_eq!(refused[0], Refused::WrongCredentials);
        assert_eq!(refused.last(), Some(&Refused::TooManyAttempts));
        let there = "10.1.0.5".parse().expect("an address");
        assert_eq!(passwords.check(&users, Some(&good), there).await, Ok(()));
        // What is known needs no attempt.
        assert_eq!(passwords.check(&users, Some(&good), HERE).await, Ok(()));
    }

    #[test]
    fn the_hash_of_nobody_is_compared_at_the_cost_of_the_users() {
        let hash = nobody(&users());
        assert!(hash.starts_with("$2y$04$"), "{hash}");
        assert!(PasswordHash::try_from(hash.clone()).is_ok());
        // An error would come at once, and tell by its time that there is no such user.
        assert_eq!(bcrypt::verify("hunter2", &hash).ok(), Some(false));
    }
}
