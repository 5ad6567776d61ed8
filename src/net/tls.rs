//! TLS sessions by rustls, with what their certificates said.

mod https;
mod mode;
mod recorder;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore, SignatureScheme,
};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use self::https::Https;
pub use self::mode::{TlsMode, TlsPolicy};

use self::recorder::Recorder;
use super::{Stopwatch, failure_of};
use crate::model::{Failure, Phase, Problem, Reason, TlsFacts, TlsVersion};

/// How a probe speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The authorities to trust instead of the system's (PEM).
    pub ca_file: Option<PathBuf>,
    /// The client certificate with its chain (PEM).
    pub cert_file: Option<PathBuf>,
    /// The client certificate's key (PEM).
    pub key_file: Option<PathBuf>,
    /// The name to ask for and to verify, instead of the target's host.
    pub server_name: Option<String>,
    /// Do not verify the server's certificate. Shown as a metric.
    pub insecure_skip_verify: bool,
}

impl TlsSettings {
    /// What [`TlsClient::new`] says is wrong with these settings, as a problem.
    pub fn problem(&self, (field, message): (&str, String)) -> Problem {
        Problem {
            // All else that can go wrong is what is in the files, or in the system's.
            of_host: field == "ca_file" || self.cert_file.is_some() == self.key_file.is_some(),
            field: field.to_owned(),
            message,
        }
    }
}

/// The system's authorities, read when first needed and shared by every probe.
#[derive(Debug, Default)]
pub struct Roots(OnceLock<Result<Arc<RootCertStore>, String>>);

impl Roots {
    /// The authorities, at least one. The error says why there is none.
    fn get(&self) -> Result<Arc<RootCertStore>, String> {
        self.0
            .get_or_init(|| {
                let found = rustls_native_certs::load_native_certs();
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(found.certs);
                match (store.is_empty(), found.errors.first()) {
                    (false, _) => Ok(Arc::new(store)),
                    (true, None) => Err("it has none".to_owned()),
                    (true, Some(error)) => Err(error.to_string()),
                }
            })
            .clone()
    }
}

/// Opens TLS sessions for one probe. Every session is a full handshake: a resumed one would not
/// show what a new client meets.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: ClientConfig,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    verify: bool,
}

impl TlsClient {
    /// Reads the files that the settings name through `read`.
    ///
    /// The error is the field's name and what is wrong with it.
    pub fn new(
        settings: &TlsSettings,
        roots: &Roots,
        read: impl Fn(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Self, (&'static str, String)> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // The first random number of a process takes some 50 ms: these are no latency of the first
        // server.
        let seeded = provider.secure_random.fill(&mut [0]);
        seeded.map_err(|_| ("tls", "the host gives no random numbers".to_owned()))?;
        let verifier = match authorities(settings, roots, &read)? {
            Some(store) => Some(
                WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider))
                    .build()
                    .map_err(|e| ("ca_file", e.to_string()))?,
            ),
            None => None,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| ("tls", e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Recorder::new(
                verifier.clone(),
                provider,
                true,
            )));
        let mut config = match client_identity(settings, read)? {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| ("cert_file", e.to_string()))?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            config,
            verifier,
            verify: !settings.insecure_skip_verify,
        })
    }

    /// Whether the server's certificate decides.
    pub fn verifies(&self) -> bool {
        self.verify
    }

    /// The same without the client certificate: for servers that it is not meant for.
    #[must_use]
    pub fn without_identity(&self) -> Self {
        let mut client = self.clone();
        client.config.client_auth_cert_resolver = Arc::new(NoIdentity);
        client
    }

    /// The configuration for one session, and what will remember what its handshake saw.
    fn session_config(&self, alpn: &[&[u8]]) -> (ClientConfig, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::new(
            self.verifier.clone(),
            Arc::clone(self.config.crypto_provider()),
            self.verify,
        ));
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&recorder) as _);
        (config, recorder)
    }

    /// Does the handshake, in the phase [`Phase::Tls`], and leaves what it told in `seen`. Also a
    /// refused certificate has its dates; where it did not get so far, `seen` stays as it is.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &ServerName<'static>,
        alpn: &[&[u8]],
        seen: &mut Option<Box<TlsFacts>>,
        watch: &mut Stopwatch,
    ) -> Result<TlsStream<S>, Failure> {
        watch.enter(Phase::Tls);
        let (config, recorder) = self.session_config(alpn);
        let result = TlsConnector::from(Arc::new(config))
            .connect(name.clone(), stream)
            .await;
        if result.is_ok() {
            watch.leave();
        }
        let facts = recorder.facts();
        match &result {
            Ok(stream) => *seen = Some(Box::new(established(facts, stream.get_ref().1))),
            // What was known before stays known through a server that is down.
            Err(_) if facts.verified.is_none() => {}
            Err(_) => *seen = Some(Box::new(facts)),
        }
        result.map_err(|error| tls_failure(&error))
    }
}

/// What the certificates told, and what a session that stands tells of itself.
fn established(mut facts: TlsFacts, session: &rustls::ClientConnection) -> TlsFacts {
    facts.version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => Some(TlsVersion::Tls12),
        Some(rustls::ProtocolVersion::TLSv1_3) => Some(TlsVersion::Tls13),
        _ => None,
    };
    facts.cipher = session
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str());
    facts
}

/// The failure for an error of a handshake.
fn tls_failure(error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => Failure::new(Reason::TlsCertificate, explain(why)),
        Some(Error::NoCertificatesPresented) => {
            Failure::new(Reason::TlsCertificate, "the server sent no certificate")
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Failure::new(Reason::TlsHandshake, "the server does not speak TLS")
        }
        Some(other) => Failure::new(Reason::TlsHandshake, other),
        None => failure_of(error, "TLS handshake"),
    }
}

fn explain(why: &CertificateError) -> String {
    let text = why.to_string();
    let advice = match why {
        CertificateError::Other(_) if text.contains("CaUsedAsEndEntity") => {
            "the server's certificate is marked as an authority; issue one that is not, or leave its \
             verification out"
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is not from a trusted authority, or it does not send the \
             certificates between; if the authority is your own, set ca_file"
        }
        CertificateError::BadSignature => {
            "the server's certificate was signed with another key than that of the trusted \
             authority of this name"
        }
        _ => return text,
    };
    format!("{text}: {advice}")
}

fn in_field(field: &'static str) -> impl Fn(String) -> (&'static str, String) {
    move |why| (field, why)
}

/// The authorities to trust; none only where nothing has to be verified.
fn authorities(
    settings: &TlsSettings,
    roots: &Roots,
    read: impl Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<Option<Arc<RootCertStore>>, (&'static str, String)> {
    if let Some(path) = &settings.ca_file {
        let store = read(path).and_then(|pem| parse_authorities(&pem));
        return store.map(Some).map_err(in_field("ca_file"));
    }
    match roots.get() {
        Ok(store) => Ok(Some(store)),
        Err(_) if settings.insecure_skip_verify => Ok(None),
        Err(why) => Err((
            "ca_file",
            format!("no certificate authority of this host can be used ({why}); set ca_file"),
        )),
    }
}

/// The authorities of a PEM file; the error says why there is none.
fn parse_authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| e.to_string())?;
        store.add(certificate).map_err(|e| e.to_string())?;
    }
    if store.is_empty() {
        return Err("the file has no PEM certificate".to_owned());
    }
    Ok(Arc::new(store))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_identity(
    settings: &TlsSettings,
    read: impl Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<Option<Identity>, (&'static str, String)> {
    let (cert, key) = match (&settings.cert_file, &settings.key_file) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => return Err(("key_file", "cert_file needs a key_file".to_owned())),
        (None, Some(_)) => return Err(("cert_file", "key_file needs a cert_file".to_owned())),
    };
    let chain = CertificateDer::pem_slice_iter(&read(cert).map_err(in_field("cert_file"))?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| ("cert_file", e.to_string()))?;
    if chain.is_empty() {
        return Err(("cert_file", "the file has no PEM certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key).map_err(in_field("key_file"))?)
        .map_err(|e| ("key_file", format!("no usable private key: {e}")))?;
    Ok(Some((chain, key)))
}

/// Has no certificate for anyone.
#[derive(Debug)]
struct NoIdentity;

impl ResolvesClientCert for NoIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_roots() -> Roots {
        Roots(OnceLock::from(Err("it has none".to_owned())))
    }

    #[test]
    fn a_host_without_authorities_can_still_skip_verification() {
        let read = |_: &Path| Err("unreadable".to_owned());
        let skip = TlsSettings {
            insecure_skip_verify: true,
            ..TlsSettings::default()
        };
        let client = TlsClient::new(&skip, &no_roots(), read).expect("usable");
        assert!(!client.verifies());
        let (field, why) =
            TlsClient::new(&TlsSettings::default(), &no_roots(), read).expect_err("refused");
        assert_eq!(field, "ca_file");
        assert_eq!(
            why,
            "no certificate authority of this host can be used (it has none); set ca_file"
        );
    }

    #[test]
    fn a_client_certificate_is_only_shown_where_it_is_meant() {
        let own = rcgen::generate_simple_self_signed(["client".to_owned()]).expect("certificate");
        let read = |path: &Path| {
            Ok(match path.to_str() {
                Some("key") => own.signing_key.serialize_pem(),
                _ => own.cert.pem(),
            }
            .into_bytes())
        };
        let settings = TlsSettings {
            ca_file: Some("ca".into()),
            cert_file: Some("cert".into()),
            key_file: Some("key".into()),
            ..TlsSettings::default()
        };
        let client = TlsClient::new(&settings, &no_roots(), read).expect("usable");
        let has_identity = |client: &TlsClient| {
            let (config, _) = client.session_config(&[]);
            config.client_auth_cert_resolver.has_certs()
        };
        assert!(client.verifies() && has_identity(&client));
        assert!(!has_identity(&client.without_identity()));
    }
}
