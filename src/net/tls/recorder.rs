//! Looks at the certificates of one handshake before the verdict on them counts.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::model::TlsFacts;

/// Verifies as webpki does, and remembers what it saw before the verdict counts.
#[derive(Debug)]
pub(super) struct Recorder {
    /// None where there is no authority at all: then nothing is found valid.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    enforce: bool,
    seen: Mutex<TlsFacts>,
}

impl Recorder {
    pub(super) fn new(
        verifier: Option<Arc<WebPkiServerVerifier>>,
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

    pub(super) fn facts(&self) -> TlsFacts {
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
        let verdict = match &self.verifier {
            Some(webpki) => webpki.verify_server_cert(leaf, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
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
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
