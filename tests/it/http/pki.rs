//! Certificates for the tests' servers and clients, and servers that speak TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, answer_one, finish, read_request};

/// An authority that only the tests know.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
    /// The authority between the certificate and the one that is trusted.
    intermediate: Option<CertificateDer<'static>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("hotspare test authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        Self(CertifiedIssuer::self_signed(params, key).expect("authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_until(names, 2100)
    }

    /// A certificate that expires on the first of January of the year.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Identity {
        let mut params = named("hotspare test server", names);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.sign(&params)
    }

    /// A certificate that expires in so many days, and an hour.
    pub(crate) fn issue_for_days(&self, names: &[&str], days: u64) -> Identity {
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let left = Duration::from_hours(24 * days + 1);
        let mut params = named("hotspare test server", names);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since + left;
        self.sign(&params)
    }

    /// A certificate of an authority that this one vouches for, until the first of January of the
    /// year.
    pub(crate) fn issue_by_intermediate(&self, names: &[&str], year: i32) -> Identity {
        let mut params = named("hotspare test intermediate", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("key");
        let between = CertifiedIssuer::signed_by(params, key, &self.0).expect("authority");
        let between = Self(between);
        Identity {
            intermediate: Some(between.0.der().clone()),
            ..between.issue(names)
        }
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("key");
        let certificate = params.signed_by(&key, &self.0).expect("certificate");
        Identity {
            certificate,
            key,
            intermediate: None,
        }
    }
}

impl Identity {
    /// A certificate that vouches for itself, marked as an authority.
    pub(crate) fn own_authority(names: &[&str]) -> Self {
        let mut params = named("hotspare test appliance", names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("certificate");
        Self {
            certificate,
            key,
            intermediate: None,
        }
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let own = self.certificate.der().clone();
        let chain = [own].into_iter().chain(self.intermediate.clone());
        (chain.collect(), key.into())
    }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

/// What a TLS server offers and asks for.
pub(crate) struct Tls<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) alpn: &'a [&'a [u8]],
    /// The authority of the clients that may come.
    pub(crate) clients: Option<&'a Authority>,
    pub(crate) versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl<'a> Tls<'a> {
    pub(crate) fn new(identity: &'a Identity) -> Self {
        Self {
            identity,
            alpn: &[b"h2", b"http/1.1"],
            clients: None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .expect("versions");
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).expect("authority");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .expect("verifier");
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = self.identity.parts();
        let mut config = builder.with_single_cert(chain, key).expect("certificate");
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A server that answers with the body, in HTTP/2 where that is agreed on. It notes the server
    /// name that it was asked for before each request.
    pub(crate) async fn answering(&self, body: &'static str) -> Server {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        self.start(answer, body, true).await
    }

    /// A server that sends the answer in HTTP/1.
    pub(crate) async fn sending(&self, answer: String) -> Server {
        self.start(answer, "", true).await
    }

    /// The same, but the session just stops.
    pub(crate) async fn cutting(&self, answer: &str) -> Server {
        self.start(answer.to_owned(), "", false).await
    }

    async fn start(&self, answer: String, body: &'static str, ends: bool) -> Server {
        let acceptor = self.acceptor();
        Server::start(move |stream, seen| {
            let acceptor = acceptor.clone();
            let answer = answer.clone();
            async move {
                let mut stream = match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => stream,
                    Err((_, stream)) => return finish(stream).await,
                };
                let session = stream.get_ref().1;
                let name = session.server_name().unwrap_or("no name").to_owned();
                seen.lock().expect("unpoisoned").push(name);
                if session.alpn_protocol() == Some(b"h2") {
                    serve_h2(stream, seen, body).await;
                } else if ends {
                    answer_one(stream, &seen, answer.as_bytes()).await;
                } else {
                    read_request(&mut stream).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.flush().await;
                    finish(stream.into_inner().0).await;
                }
            }
        })
        .await
    }
}

async fn serve_h2(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    seen: super::server::Seen,
    body: &'static str,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (head, _) = request.into_parts();
        seen.lock()
            .expect("unpoisoned")
            .push(format!("{} {} {:?}", head.method, head.uri, head.headers));
        async move { Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(body)))) }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
