//! How the server speaks TLS, from what the web configuration file says.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion, version,
};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use crate::metrics::HandshakeFailure;
use crate::model::{ClientAuth, Problem, TlsServerSettings, WebTlsVersion};

const CONFIG: &str = "tls_server_config";

/// What a session is opened with. Files that the settings name are read through `read`.
///
/// The error names the field below `tls_server_config`.
pub(super) fn session_config(
    settings: &TlsServerSettings,
    read: impl Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<ServerConfig, Problem> {
    let provider = Arc::new(provider(settings)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings)?)
        .map_err(|error| problem("cipher_suites", error.to_string()))?
        .with_client_cert_verifier(client_verifier(settings, &read, provider)?);
    let (chain, key) = identity(settings, &read)?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let field = if settings.cert.is_some() {
            "cert"
        } else {
            "cert_file"
        };
        problem(
            field,
            format!("the certificate and the key do not go together: {error}"),
        )
    })?;
    // The server's pages are HTTP/1.1; a client that would rather have HTTP/2 takes this one.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = settings.prefer_server_cipher_suites.unwrap_or(true);
    Ok(config)
}

fn problem(field: &str, message: impl Into<String>) -> Problem {
    Problem::new(field, message).below(CONFIG)
}

/// The versions between the bounds.
fn versions(
    settings: &TlsServerSettings,
) -> Result<Vec<&'static SupportedProtocolVersion>, Problem> {
    let (oldest, newest) = (settings.min_version.0, settings.max_version.0);
    for (field, version) in [("min_version", oldest), ("max_version", newest)] {
        if version < WebTlsVersion::TLS12 {
            let message = "TLS 1.0 and 1.1 are not spoken here: set TLS12 or TLS13";
            return Err(problem(field, message));
        }
    }
    if newest < oldest {
        return Err(problem("max_version", "it is older than min_version"));
    }
    let all = [
        (WebTlsVersion::TLS12, &version::TLS12),
        (WebTlsVersion::TLS13, &version::TLS13),
    ];
    let between = all
        .into_iter()
        .filter(|(version, _)| (oldest..=newest).contains(version));
    Ok(between.map(|(_, version)| version).collect())
}

/// The cipher suites and the groups that the file names, or all that there are.
fn provider(settings: &TlsServerSettings) -> Result<CryptoProvider, Problem> {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        let known = |name: &str| {
            let mut suites = provider.cipher_suites.iter();
            suites.find(|suite| suite_name(suite) == name)
        };
        let mut chosen = Vec::new();
        for (place, name) in settings.cipher_suites.iter().enumerate() {
            let suite = known(name).ok_or_else(|| {
                let names: Vec<_> = provider.cipher_suites.iter().map(suite_name).collect();
                problem(
                    &format!("cipher_suites[{place}]"),
                    format!(
                        "`{name}` is not spoken here; there are: {}",
                        names.join(", ")
                    ),
                )
            })?;
            chosen.push(*suite);
        }
        // As in Go's crypto/tls: there is nothing to choose among those of TLS 1.3.
        let modern = aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .filter(|suite| suite.tls13().is_some());
        chosen.retain(|suite| suite.tls13().is_none());
        chosen.splice(0..0, modern.copied());
        provider.cipher_suites = chosen;
    }
    if !settings.curve_preferences.is_empty() {
        let mut chosen = Vec::new();
        for (place, name) in settings.curve_preferences.iter().enumerate() {
            chosen.push(match name.as_str() {
                "CurveP256" => aws_lc_rs::kx_group::SECP256R1,
                "CurveP384" => aws_lc_rs::kx_group::SECP384R1,
                "X25519" => aws_lc_rs::kx_group::X25519,
                "X25519MLKEM768" => aws_lc_rs::kx_group::X25519MLKEM768,
                _ => {
                    return Err(problem(
                        &format!("curve_preferences[{place}]"),
                        format!(
                            "`{name}` is not spoken here; there are: CurveP256, CurveP384, X25519, \
                             X25519MLKEM768"
                        ),
                    ));
                }
            });
        }
        provider.kx_groups = chosen;
    }
    Ok(provider)
}

/// A suite's IANA name, which differs from the library's for those of TLS 1.3.
fn suite_name(suite: &rustls::SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(
    settings: &TlsServerSettings,
    read: &impl Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<Identity, Problem> {
    let cert = ("cert", settings.cert.as_deref());
    let (field, pem) = given(cert, ("cert_file", settings.cert_file.as_deref()), read)?
        .ok_or_else(|| {
            problem(
                "cert_file",
                "it is missing: without a certificate there is no TLS",
            )
        })?;
    let chain = certificates(field, &pem)?;
    let key = (
        "key",
        settings.key.as_ref().map(crate::model::Secret::expose),
    );
    let (field, pem) =
        given(key, ("key_file", settings.key_file.as_deref()), read)?.ok_or_else(|| {
            problem(
                "key_file",
                "it is missing: a certificate is no good without its key",
            )
        })?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| problem(field, format!("no private key (PEM): {error}")))?;
    Ok((chain, key))
}

/// What is written in one field or is in the file that another one names, and which of them it was.
fn given(
    (field, text): (&'static str, Option<&str>),
    (file_field, file): (&'static str, Option<&Path>),
    read: &impl Fn(&Path) -> Result<Vec<u8>, String>,
) -> Result<Option<(&'static str, Vec<u8>)>, Problem> {
    match (text, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(problem(
            field,
            format!("set either {field} or {file_field}"),
        )),
        (Some(text), None) => Ok(Some((field, text.as_bytes().to_vec()))),
        (None, Some(file)) => read(file)
            .map(|pem| Some((file_field, pem)))
            .map_err(|why| problem(file_field, why)),
    }
}

fn certificates(field: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(problem(field, "no certificate (PEM)")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(problem(field, format!("no certificate (PEM): {error}"))),
    }
}

/// What is asked of clients' certificates.
fn client_verifier(
    settings: &TlsServerSettings,
    read: &impl Fn(&Path) -> Result<Vec<u8>, String>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let ca = ("client_ca", settings.client_ca.as_deref());
    let given = given(
        ca,
        ("client_ca_file", settings.client_ca_file.as_deref()),
        read,
    )?;
    if settings.client_auth_type == ClientAuth::NoClientCert {
        let field = if given.is_some() {
            "client_ca_file"
        } else if settings.client_allowed_sans.is_empty() {
            return Ok(WebPkiClientVerifier::no_client_auth());
        } else {
            "client_allowed_sans"
        };
        let message = "it does nothing without client_auth_type: set RequireAndVerifyClientCert";
        return Err(problem(field, message));
    }
    let trusted = given
        .map(|(field, pem)| authorities(field, &pem))
        .transpose()?;
    let verifier = match settings.client_auth_type {
        ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert => {
            let trusted = trusted.ok_or_else(|| {
                problem(
                    "client_auth_type",
                    "set client_ca_file too: the system's authorities would let in whoever has a \
                     certificate from one of them",
                )
            })?;
            let builder =
                WebPkiClientVerifier::builder_with_provider(trusted.into(), Arc::clone(&provider));
            let built = builder.build();
            Some(built.map_err(|error| problem("client_ca_file", error.to_string()))?)
        }
        _ => None,
    };
    Ok(Arc::new(Clients {
        verifier,
        mandatory: matches!(
            settings.client_auth_type,
            ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert
        ),
        allowed: settings.client_allowed_sans.clone(),
        provider,
    }))
}

fn authorities(field: &str, pem: &[u8]) -> Result<RootCertStore, Problem> {
    let mut trusted = RootCertStore::empty();
    for certificate in certificates(field, pem)? {
        trusted
            .add(certificate)
            .map_err(|error| problem(field, error.to_string()))?;
    }
    Ok(trusted)
}

/// Asks clients for certificates.
#[derive(Debug)]
struct Clients {
    /// None: every certificate will do.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    /// Alternative names, one of which a certificate has to have; none: any will do.
    allowed: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let verifier = self.verifier.as_ref();
        verifier.map_or(&[], |verifier| verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(verifier) = &self.verifier {
            verifier.verify_client_cert(end_entity, intermediates, now)?;
        }
        if self.allowed.is_empty() || alternative_names(end_entity)?.any_of(&self.allowed) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Why a handshake failed.
pub(super) fn cause(error: &std::io::Error) -> HandshakeFailure {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => {
            HandshakeFailure::Certificate
        }
        Some(Error::AlertReceived(_)) => HandshakeFailure::Alert,
        Some(_) => HandshakeFailure::Protocol,
        None => HandshakeFailure::Closed,
    }
}

/// The alternative names of a certificate, as they are written.
struct Names(Vec<String>);

impl Names {
    fn any_of(&self, allowed: &[String]) -> bool {
        self.0.iter().any(|name| allowed.contains(name))
    }
}

fn alternative_names(certificate: &CertificateDer<'_>) -> Result<Names, Error> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let mut names = Vec::new();
    for extension in parsed.extensions() {
        if let ParsedExtension::SubjectAlternativeName(of) = extension.parsed_extension() {
            names.extend(of.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name)
                | GeneralName::RFC822Name(name)
                | GeneralName::URI(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => address(bytes),
                _ => None,
            }));
        }
    }
    Ok(Names(names))
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    v4.or_else(|_| v6()).ok().map(|address| address.to_string())
}
