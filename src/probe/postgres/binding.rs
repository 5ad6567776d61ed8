//! What ties a login to its TLS session (RFC 5929, `tls-server-end-point`): with it, a SCRAM login
//! that someone in the middle passes on does not work.

use aws_lc_rs::digest::{self, Algorithm};
use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use tokio_postgres::tls::ChannelBinding;
use x509_parser::oid_registry as oid;

/// The binding to the server's certificate; none where the certificate's signature has no hash of
/// its own (Ed25519), and then the login goes on without.
pub(super) fn of_session(session: &ClientConnection) -> ChannelBinding {
    session
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(of_certificate)
        .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
}

fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let hash = hash_of_signature(parsed.signature_algorithm.oid())?;
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

fn hash_of_signature(algorithm: &oid::Oid<'_>) -> Option<&'static Algorithm> {
    // MD5 and SHA-1 give way to SHA-256, as the RFC says.
    let sha256 = [
        oid::OID_PKCS1_MD5WITHRSAENC,
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
    ];
    let sha384 = [oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384];
    let sha512 = [oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512];
    if sha256.contains(algorithm) {
        Some(&digest::SHA256)
    } else if sha384.contains(algorithm) {
        Some(&digest::SHA384)
    } else if sha512.contains(algorithm) {
        Some(&digest::SHA512)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};

    fn binding(
        algorithm: &'static SignatureAlgorithm,
    ) -> Option<(Vec<u8>, CertificateDer<'static>)> {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("key");
        let params = rcgen::CertificateParams::new(vec!["db.test".to_owned()]).expect("name");
        let certificate = params.self_signed(&key).expect("certificate");
        let der = certificate.der().clone();
        of_certificate(&der).map(|hash| (hash, der))
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let (hash, der) = binding(&PKCS_ECDSA_P256_SHA256).expect("binding");
        assert_eq!(hash, digest::digest(&digest::SHA256, &der).as_ref());
        let (hash, der) = binding(&PKCS_ECDSA_P384_SHA384).expect("binding");
        assert_eq!(hash, digest::digest(&digest::SHA384, &der).as_ref());
        assert_eq!(binding(&PKCS_ED25519), None);
    }
}
