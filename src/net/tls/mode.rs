//! How much TLS a session with a database must have.

use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use serde::Deserialize;

use super::{Roots, TlsClient, TlsSettings, parse_authorities};
use crate::model::{Facts, Failure, Reason};
use crate::net::{Stopwatch, Transport, Wire};

/// How much TLS a session must have; the names are those of `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// None.
    Disable,
    /// TLS where the server offers it, and whoever the server is. Anyone on the way can take it
    /// off, so it proves nothing; `disable` or `require` say what is meant.
    Prefer,
    /// TLS, whoever the server is: keeps out who listens, not who is in the middle.
    Require,
    /// TLS, and an authority of `ca_file` vouches for the server, under any name.
    VerifyCa,
    /// TLS, and an authority vouches for the server under the name that is connected to.
    #[default]
    VerifyFull,
}

impl TlsMode {
    /// Whether TLS is asked for.
    pub fn asks(self) -> bool {
        self != Self::Disable
    }

    /// Whether a session counts only if an authority vouches for the server.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }

    /// What contradicts the mode among the settings beside it: their fields, and why.
    pub fn problems(self, settings: &TlsSettings) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if settings.ca_file.is_some() && !self.verifies() {
            problems.push((
                "ca_file",
                "it is not used: only tls: verify-ca and verify-full verify the server",
            ));
        }
        if settings.ca_file.is_none() && self == Self::VerifyCa {
            problems.push((
                "ca_file",
                "tls: verify-ca needs it: the system's authorities vouch for anyone's server",
            ));
        }
        let unused = [
            ("cert_file", settings.cert_file.is_some()),
            ("key_file", settings.key_file.is_some()),
            ("server_name", settings.server_name.is_some()),
        ];
        for (field, set) in unused {
            if set && !self.asks() {
                problems.push((field, "it is not used with tls: disable"));
            }
        }
        problems
    }
}

/// A mode that asks for TLS, and what its sessions need.
#[derive(Debug)]
pub struct TlsPolicy {
    mode: TlsMode,
    client: TlsClient,
    /// The authorities for [`TlsMode::VerifyCa`].
    authorities: Option<Authorities>,
}

impl TlsPolicy {
    /// Reads the files that the settings name through `read`; none where the mode asks for no TLS.
    /// What the mode does not use is left alone, see [`TlsMode::problems`].
    ///
    /// The error is the field's name and what is wrong with it.
    pub fn new(
        mode: TlsMode,
        settings: &TlsSettings,
        roots: &Roots,
        read: impl Fn(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Option<Self>, (&'static str, String)> {
        if !mode.asks() {
            return Ok(None);
        }
        let settings = TlsSettings {
            ca_file: settings.ca_file.clone().filter(|_| mode.verifies()),
            insecure_skip_verify: mode != TlsMode::VerifyFull,
            ..settings.clone()
        };
        let client = TlsClient::new(&settings, roots, &read)?;
        let authorities = match (&settings.ca_file, mode) {
            (Some(path), TlsMode::VerifyCa) => {
                let parsed = read(path).and_then(|pem| Authorities::parse(&pem));
                Some(parsed.map_err(|why| ("ca_file", why))?)
            }
            _ => None,
        };
        Ok(Some(Self {
            mode,
            client,
            authorities,
        }))
    }

    /// How much TLS it is.
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    /// Does the handshake with a server that consented to it, in the phase
    /// [`Phase::Tls`](crate::model::Phase::Tls), and leaves what it told in `facts`, also when it
    /// failed.
    pub async fn secure(
        &self,
        wire: Wire,
        name: &ServerName<'static>,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<Transport, Failure> {
        let client = &self.client;
        let stream = client
            .handshake(wire, name, &[], &mut facts.tls, watch)
            .await?;
        let verdict = self.authorities.as_ref().map(|authorities| {
            let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
            vouched(presented, authorities)
        });
        if let (Some(verdict), Some(seen)) = (&verdict, &mut facts.tls) {
            seen.verified = Some(verdict.is_ok());
        }
        match verdict {
            Some(Err(why)) => Err(Failure::new(Reason::TlsCertificate, why)),
            _ => Ok(Transport::Tls(Box::new(stream))),
        }
    }
}

/// The certificates of `ca_file`.
#[derive(Debug)]
struct Authorities {
    store: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads a PEM file; the error says what is wrong with it.
    fn parse(pem: &[u8]) -> Result<Self, String> {
        Ok(Self {
            store: parse_authorities(pem)?,
            certificates: CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|e| e.to_string())?,
        })
    }
}

/// Whether an authority vouches for the certificate, whatever name it has. The handshake showed
/// already that the server has its key.
///
/// A certificate that is in `ca_file` itself vouches for itself, as it does for libpq: `openssl req
/// -x509` marks what it makes as an authority, which webpki takes from no server.
fn vouched(
    presented: &[CertificateDer<'_>],
    authorities: &Authorities,
) -> Result<(), rustls::Error> {
    let (leaf, intermediates) = presented
        .split_first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    if authorities.certificates.contains(leaf) {
        return within_its_dates(leaf);
    }
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &authorities.store,
        intermediates,
        UnixTime::now(),
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .all,
    )
}

fn within_its_dates(certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CertificateError::BadEncoding)?;
    let now = x509_parser::time::ASN1Time::now();
    if now < parsed.validity().not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that vouches for itself, marked as an authority.
    fn own_authority(until: i32) -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::new(["db.test".to_owned()]).expect("name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().expect("key");
        params.self_signed(&key).expect("certificate")
    }

    #[test]
    fn a_certificate_of_ca_file_vouches_for_itself_within_its_dates() {
        let (good, expired, other) = (
            own_authority(2100),
            own_authority(2001),
            own_authority(2100),
        );
        let pem = [good.pem(), expired.pem()].concat();
        let authorities = Authorities::parse(pem.as_bytes()).expect("authorities");
        let verdict =
            |presented: &rcgen::Certificate| vouched(&[presented.der().clone()], &authorities);
        assert_eq!(verdict(&good), Ok(()));
        assert_eq!(verdict(&expired), Err(CertificateError::Expired.into()));
        assert!(verdict(&other).is_err());
    }
}
