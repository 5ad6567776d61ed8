//! Who is asking, and whether they are answered at all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    AUTHORIZATION, CONNECTION, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Request, Uri};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::admission::client;
use super::pages;
use super::passwords::Passwords;
use super::problem::{Kind, Problem, is_api};
use super::web::Web;
use crate::metrics::{Own, Refused};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A host.
    Host(IpAddr),
    /// A process that may open the socket's file.
    Socket,
}

impl Origin {
    /// The address that counts.
    pub(super) const fn address(self) -> IpAddr {
        match self {
            Self::Host(address) => address,
            Self::Socket => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where the connection comes from.
    pub(super) origin: Origin,
    /// Whether it has been shown who it is: by a certificate that was verified, or by a password.
    pub(super) known: bool,
}

/// Answers those who may ask.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) router: Router,
    pub(super) own: Arc<Own>,
    pub(super) passwords: Arc<Passwords>,
}

impl Access {
    /// The answer to a request over a connection of this peer.
    pub(super) async fn answer(
        self,
        web: Arc<Web>,
        mut peer: Peer,
        mut request: Request<Incoming>,
    ) -> Response {
        let mut answer = match self.check(&web, &mut peer, &request).await {
            Ok(()) => {
                request.extensions_mut().insert(peer);
                match self.router.oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            Err(cause) => {
                self.own.refused(cause);
                let mut refusal = refusal(cause, request.uri());
                pages::guard(refusal.headers_mut());
                refusal
            }
        };
        web.dress(answer.headers_mut());
        answer
    }

    async fn check(
        &self,
        web: &Web,
        peer: &mut Peer,
        request: &Request<Incoming>,
    ) -> Result<(), Refused> {
        // A proxy before this daemon may go by another length than the one in the chunks, and pass on as
        // a part of one request what here would be the next one, of somebody on this host.
        if request.headers().contains_key(TRANSFER_ENCODING) {
            return Err(Refused::Malformed);
        }
        // The socket's file has a mode: whoever can open it needs no password, and is not held up by hosts.
        let Origin::Host(address) = peer.origin else {
            return Ok(());
        };
        if !web.admits() {
            return Err(Refused::RateLimit);
        }
        if !web.users.is_empty() {
            let header = request.headers().get(AUTHORIZATION);
            let checked = self.passwords.check(&web.users, header, client(address));
            checked.await?;
            peer.known = true;
        }
        Ok(())
    }
}

fn refusal(cause: Refused, path: &Uri) -> Response {
    let (kind, text) = match cause {
        Refused::RateLimit => (Kind::TooManyRequests, "too many requests"),
        Refused::TooManyAttempts => (Kind::TooManyAttempts, "too many attempts"),
        Refused::Order => (Kind::OrderNotAllowed, "not allowed"),
        Refused::NoCredentials | Refused::WrongCredentials => {
            (Kind::Unauthenticated, "a user and a password are needed")
        }
        Refused::Malformed => (
            Kind::LengthRequired,
            "a body comes whole, with its content-length",
        ),
        Refused::Large => (Kind::TooLarge, "too large"),
    };
    let problem = Problem::new(kind, text);
    let mut answer = if is_api(path) {
        problem.into_response()
    } else {
        problem.text()
    };
    let (name, value) = match cause {
        Refused::RateLimit | Refused::TooManyAttempts => (RETRY_AFTER, "1"),
        Refused::NoCredentials | Refused::WrongCredentials => {
            (WWW_AUTHENTICATE, "Basic realm=\"hotspare\"")
        }
        Refused::Order | Refused::Malformed | Refused::Large => (CONNECTION, "close"),
    };
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    answer
}
