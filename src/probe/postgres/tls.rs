//! From a connection to a transport: the request for TLS, the handshake, and what counts.

use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::channel::Transport;
use crate::model::{Facts, Failure, Phase, Reason};
use crate::net::{Session, Stopwatch, TlsClient, Wire, failure_of, parse_authorities};

/// How much TLS a session must have; the names are those of `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
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

impl Mode {
    /// Whether TLS is asked for.
    pub(super) fn asks(self) -> bool {
        self != Self::Disable
    }

    /// Whether a session counts only if an authority vouches for the server.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// What TLS sessions of one probe need.
pub(super) struct Tls {
    pub(super) mode: Mode,
    pub(super) client: TlsClient,
    /// The authorities for [`Mode::VerifyCa`].
    pub(super) authorities: Option<Authorities>,
}

/// The certificates of `ca_file`.
pub(super) struct Authorities {
    store: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads a PEM file; the error says what is wrong with it.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, String> {
        Ok(Self {
            store: parse_authorities(pem)?,
            certificates: CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|e| e.to_string())?,
        })
    }
}

/// Asks a server for TLS.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

impl Tls {
    /// Turns a connection into what the mode asks for, in the phase [`Phase::Tls`].
    pub(super) async fn secure(
        &self,
        mut wire: Wire,
        name: &ServerName<'static>,
        facts: &mut Facts,
        watch: &mut Stopwatch,
    ) -> Result<Transport, Failure> {
        watch.enter(Phase::Tls);
        if !self.offered(&mut wire).await? {
            watch.leave();
            return Ok(Transport::Plain(wire));
        }
        // Only the one byte of the answer was read, so whatever the peer sent behind it is part of
        // the handshake and breaks it, rather than being taken for the server's words inside.
        let Session {
            stream,
            facts: mut seen,
        } = self.client.handshake(wire, name, &[], watch).await?;
        let verdict = self.authorities.as_ref().map(|authorities| {
            let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
            vouched(presented, authorities)
        });
        if let Some(verdict) = &verdict {
            seen.verified = Some(verdict.is_ok());
        }
        facts.tls = Some(Box::new(seen));
        match verdict {
            Some(Err(why)) => Err(Failure::new(Reason::TlsCertificate, why)),
            _ => Ok(Transport::Tls(Box::new(stream))),
        }
    }

    async fn offered(&self, wire: &mut Wire) -> Result<bool, Failure> {
        let broken = |e: std::io::Error| failure_of(&e, "ask for TLS");
        wire.write_all(&REQUEST).await.map_err(broken)?;
        match wire.read_u8().await.map_err(broken)? {
            b'S' => Ok(true),
            b'N' if self.mode == Mode::Prefer => Ok(false),
            b'N' => Err(Failure::new(
                Reason::TlsRefused,
                "the server does not offer TLS (ssl = off?)",
            )),
            // Its text comes from who knows whom, so it is not repeated.
            b'E' => Err(Failure::new(
                Reason::NotAccepting,
                "the server answered the request for TLS with an error",
            )),
            other => Err(Failure::new(
                Reason::Protocol,
                format_args!("the answer to the request for TLS was the byte {other:#04x}"),
            )),
        }
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
        let (good, expired, other) = (own_authority(2100), own_authority(2001), own_authority(2100));
        let pem = [good.pem(), expired.pem()].concat();
        let authorities = Authorities::parse(pem.as_bytes()).expect("authorities");
        let verdict = |presented: &rcgen::Certificate| vouched(&[presented.der().clone()], &authorities);
        assert_eq!(verdict(&good), Ok(()));
        assert_eq!(verdict(&expired), Err(CertificateError::Expired.into()));
        assert!(verdict(&other).is_err());
    }
}
