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

    /// The verdict on the handshake's signature. webpki does not read every certificate (none of
    /// X.509 v1); where the certificate does not decide, that must not either: its key still does.
    fn signed(
        &self,
        verdict: Result<HandshakeSignatureValid, Error>,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verdict {
            Err(Error::InvalidCertificate(_))
                if !self.enforce && self.key_signed(message, cert, signature) =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            verdict => verdict,
        }
    }

    fn key_signed(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> bool {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(cert) else {
            return false;
        };
        let key = &parsed.public_key().subject_public_key.data;
        self.provider
            .signature_verification_algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signature.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                algorithm
                    .verify_signature(key, message, signature.signature())
                    .is_ok()
            })
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
        let verdict = rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms);
        self.signed(verdict, message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms);
        self.signed(verdict, message, cert, signature)
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::{ClientConfig, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// The tag, the contents and the whole of the value that `der` starts with.
    fn value(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (head, length) = match der[1] {
            0x81 => (3, usize::from(der[2])),
            0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
            short => (2, usize::from(short)),
        };
        (der[0], &der[head..head + length], &der[..head + length])
    }

    fn sequence(contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len()).expect("short").to_be_bytes();
        let head: &[u8] = match contents.len() {
            0..0x80 => &[0x30, length[1]],
            0x80..0x100 => &[0x30, 0x81, length[1]],
            _ => &[0x30, 0x82, length[0], length[1]],
        };
        [head, contents].concat()
    }

    /// The certificate without the version and the extensions, as X.509 v1 had it.
    fn first_version(der: &[u8]) -> CertificateDer<'static> {
        let (_, certificate, _) = value(der);
        let (_, mut fields, signed) = value(certificate);
        let mut kept = Vec::new();
        while !fields.is_empty() {
            let (tag, _, field) = value(fields);
            if tag != 0xa0 && tag != 0xa3 {
                kept.extend_from_slice(field);
            }
            fields = &fields[field.len()..];
        }
        let signature = &certificate[signed.len()..];
        sequence(&[&sequence(&kept), signature].concat()).into()
    }

    /// A handshake with a server that has this certificate and key.
    async fn handshake(
        certificate: &CertificateDer<'static>,
        key: &rcgen::KeyPair,
        version: &'static rustls::SupportedProtocolVersion,
        enforce: bool,
    ) -> std::io::Result<TlsFacts> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = provider.key_provider.load_private_key(key).expect("key");
        let identity = CertifiedKey::new(vec![certificate.clone()], key);
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .expect("version")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        let recorder = Arc::new(Recorder::new(None, Arc::clone(&provider), enforce));
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("version")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as _)
            .with_no_client_auth();
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("old.example").expect("name");
        let (client, _) = tokio::join!(
            TlsConnector::from(Arc::new(client)).connect(name, near),
            TlsAcceptor::from(Arc::new(server)).accept(far),
        );
        client.map(|_| recorder.facts())
    }

    #[tokio::test]
    async fn a_certificate_of_the_first_version_will_do_where_none_is_verified() {
        let old = rcgen::generate_simple_self_signed(["old.example".to_owned()]).expect("made");
        let certificate = first_version(old.cert.der());
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).expect("readable");
        assert_eq!(parsed.version(), x509_parser::x509::X509Version::V1);
        let other = rcgen::KeyPair::generate().expect("key");
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let facts = handshake(&certificate, &old.signing_key, version, false).await;
            let facts = facts.expect("a session");
            assert_eq!(facts.verified, Some(false));
            assert!(facts.leaf_not_after.is_some());
            let refused = handshake(&certificate, &old.signing_key, version, true).await;
            assert!(refused.is_err(), "{version:?}: verified");
            // Whoever has the certificate only, and not its key, has no session.
            let stolen = handshake(&certificate, &other, version, false).await;
            assert!(stolen.is_err(), "{version:?}: without the key");
        }
    }
}
