//! TLS sessions by rustls, with what their certificates said.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Stopwatch, failure_of};
use crate::model::{Failure, Phase, Reason, TlsFacts, TlsVersion};

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

/// The system's authorities, read when first needed and shared by every probe.
#[derive(Debug, Default)]
pub struct Roots(OnceLock<Arc<RootCertStore>>);

impl Roots {
    fn get(&self) -> Arc<RootCertStore> {
        let store = self.0.get_or_init(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        });
        Arc::clone(store)
    }
}

/// An established session and what is known of it.
#[derive(Debug)]
pub struct Session<S> {
    /// The stream inside.
    pub stream: TlsStream<S>,
    /// What the handshake told.
    pub facts: TlsFacts,
}

/// Opens TLS sessions for one probe. Every session is a full handshake: a resumed one would not
/// show what a new client meets.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
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
        let store = match &settings.ca_file {
            Some(path) => Arc::new(authorities(&read(path).map_err(in_field("ca_file"))?)?),
            None => roots.get(),
        };
        if store.is_empty() {
            return Err((
                "ca_file",
                "no certificate authority: the system has none, and none is configured".to_owned(),
            ));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider))
            .build()
            .map_err(|e| ("ca_file", e.to_string()))?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| ("tls", e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Recorder::new(
                Arc::clone(&verifier),
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

    /// The configuration for one session, and where its handshake's facts will be.
    ///
    /// For protocols whose driver does the handshake itself; others use [`Self::handshake`].
    pub fn session_config(&self, alpn: &[&[u8]]) -> (ClientConfig, Handshake) {
        let recorder = Arc::new(Recorder::new(
            Arc::clone(&self.verifier),
            Arc::clone(self.config.crypto_provider()),
            self.verify,
        ));
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&recorder) as _);
        (config, Handshake(recorder))
    }

    /// Does the handshake, in the phase [`Phase::Tls`].
    ///
    /// The failure carries what the certificates said, also when they were refused.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &ServerName<'static>,
        alpn: &[&[u8]],
        watch: &mut Stopwatch,
    ) -> Result<Session<S>, Failure> {
        watch.enter(Phase::Tls);
        let (config, handshake) = self.session_config(alpn);
        let result = TlsConnector::from(Arc::new(config))
            .connect(name.clone(), stream)
            .await;
        match result {
            Ok(stream) => {
                watch.leave();
                let facts = handshake.facts(Some(stream.get_ref().1));
                Ok(Session { stream, facts })
            }
            Err(error) => Err(tls_failure(&error, &handshake)),
        }
    }
}

/// What one handshake saw.
#[derive(Debug)]
pub struct Handshake(Arc<Recorder>);

impl Handshake {
    /// What is known: of the certificates once they were seen, of the session once it stands.
    pub fn facts(&self, session: Option<&rustls::ClientConnection>) -> TlsFacts {
        let mut facts = self.0.facts();
        if let Some(session) = session {
            facts.version = match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => Some(TlsVersion::Tls12),
                Some(rustls::ProtocolVersion::TLSv1_3) => Some(TlsVersion::Tls13),
                _ => None,
            };
            facts.cipher = session
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str());
        }
        facts
    }
}

/// The failure for an error of a handshake, with the certificates' facts.
pub fn tls_failure(error: &std::io::Error, handshake: &Handshake) -> Failure {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    let failure = match inner {
        Some(Error::InvalidCertificate(why)) => Failure::new(Reason::TlsCertificate, explain(why)),
        Some(Error::NoCertificatesPresented) => {
            Failure::new(Reason::TlsCertificate, "the server sent no certificate")
        }
        Some(other) => Failure::new(Reason::TlsHandshake, other),
        None => failure_of(error, "TLS handshake"),
    };
    failure.with_facts(crate::model::Facts {
        tls: Some(Box::new(handshake.facts(None))),
        ..Default::default()
    })
}

fn explain(why: &CertificateError) -> String {
    let text = why.to_string();
    match why {
        CertificateError::Other(_) if text.contains("CaUsedAsEndEntity") => format!(
            "{text}: the server's certificate is marked as an authority; issue one that is not, \
             or set insecure_skip_verify"
        ),
        _ => text,
    }
}

fn in_field(field: &'static str) -> impl Fn(String) -> (&'static str, String) {
    move |why| (field, why)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, (&'static str, String)> {
    let fail = |why: &dyn std::fmt::Display| ("ca_file", why.to_string());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| fail(&e))?;
        store.add(certificate).map_err(|e| fail(&e))?;
    }
    if store.is_empty() {
        return Err(fail(&"the file has no PEM certificate"));
    }
    Ok(store)
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

/// Verifies as webpki does, and remembers what it saw before the verdict counts.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    enforce: bool,
    seen: Mutex<TlsFacts>,
}

impl Recorder {
    fn new(
        verifier: Arc<WebPkiServerVerifier>,
        provider: Arc<CryptoProvider>,
        enforce: bool,
    ) -> Self {
        Self {
            verifier,
            provider,
            enforce,
            seen: Mutex::default(),
        }
    }

    fn facts(&self) -> TlsFacts {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self
            .verifier
            .verify_server_cert(leaf, intermediates, name, ocsp, now);
        let leaf_not_after = not_after(leaf);
        let chain_min_not_after = intermediates
            .iter()
            .filter_map(not_after)
            .chain(leaf_not_after)
            .min();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = TlsFacts {
            leaf_not_after,
            chain_min_not_after,
            verified: Some(verdict.is_ok()),
            ..TlsFacts::default()
        };
        if self.enforce {
            verdict
        } else {
            Ok(ServerCertVerified::assertion())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
