//! TLS as libpq does it, on rustls.
//!
//! What is verified follows `initialize_SSL` and `fe-secure-common.c`: with root certificates there, the server's chain is
//! verified in every mode; without them only the two verifying modes fail. The name is verified in `verify-full` alone.
//! Certificates that PostgreSQL's own manual tells people to make are accepted, see [`super::certificate`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme, version,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificate;
use crate::settings::names::{PGSSLCERT, PGSSLKEY, PGSSLMODE, PGSSLROOTCERT};
use crate::settings::postgres::{RootCert, Tls, TlsMode};

/// Why TLS cannot even be tried; says what and where, holds no secret.
#[derive(Debug)]
pub struct TlsSetupError(String);

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsSetupError {}

/// Makes what `tokio_postgres` needs to begin TLS. Reads the certificates' files.
///
/// # Errors
/// When a file cannot be used, or a verifying mode has no root certificates.
pub fn connector(tls: &Tls) -> Result<MakeRustlsConnect, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier {
        trusted: trusted(tls)?,
        check_name: tls.mode == TlsMode::VerifyFull,
        algorithms: provider.signature_verification_algorithms,
    });
    let config = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| TlsSetupError(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => config.with_client_cert_resolver(Arc::new(identity(&provider, cert, key)?)),
        _ => config.with_no_client_auth(),
    };
    // Required by servers from 17 on when TLS begins at once, and harmless elsewhere.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// Whom to trust; `None`: whoever answers.
fn trusted(tls: &Tls) -> Result<Option<Trusted>, TlsSetupError> {
    let certificates = match &tls.root_cert {
        RootCert::System { bundle: Some(bundle) } => certificates(PGSSLROOTCERT, bundle)?,
        RootCert::System { bundle: None } => webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
        RootCert::File(path) if path.exists() => certificates(PGSSLROOTCERT, path)?,
        RootCert::File(path) if tls.mode >= TlsMode::VerifyCa => {
            return Err(TlsSetupError(format!("{PGSSLROOTCERT}: {} does not exist", path.display())));
        }
        RootCert::None if tls.mode >= TlsMode::VerifyCa => {
            return Err(TlsSetupError(format!(
                "{PGSSLMODE} is {}, but there are no root certificates: {PGSSLROOTCERT} is not set and ~/.postgresql/root.crt does not exist",
                tls.mode.as_str()
            )));
        }
        RootCert::File(_) | RootCert::None => return Ok(None),
    };
    let mut anchors = RootCertStore::empty();
    // One that webpki cannot use as an anchor, as a version 1 certificate, may still be what the server itself presents.
    anchors.add_parsable_certificates(certificates.iter().cloned());
    Ok(Some(Trusted { anchors, certificates }))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let fault = |error: &dyn fmt::Display| TlsSetupError(format!("{name}: cannot use {}: {error}", path.display()));
    let read = CertificateDer::pem_file_iter(path).map_err(|error| fault(&error))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| fault(&error))?;
    if certificates.is_empty() {
        return Err(fault(&"it holds no certificate"));
    }
    Ok(certificates)
}

/// Our certificate and its key. rustls' own comparison of the two cannot read certificates of version 1, so it is done here.
fn identity(provider: &CryptoProvider, cert: &Path, key: &Path) -> Result<SingleCertAndKey, TlsSetupError> {
    let chain = certificates(PGSSLCERT, cert)?;
    let fault = |error: &dyn fmt::Display| TlsSetupError(format!("{PGSSLKEY}: cannot use {}: {error}", key.display()));
    let signer = provider.key_provider.load_private_key(private_key(key)?).map_err(|error| fault(&error))?;
    let public = certificate::public_key(&chain[0]).map_err(|error| fault(&error))?;
    if signer.public_key().is_some_and(|ours| ours.as_ref() != public.as_ref()) {
        return Err(fault(&format_args!("it is not the key of {}", cert.display())));
    }
    Ok(SingleCertAndKey::from(CertifiedKey::new(chain, signer)))
}

/// As libpq: a key that others can read is refused; root's may be read by its group.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    use std::os::unix::fs::MetadataExt;
    let fault = |error: &dyn fmt::Display| TlsSetupError(format!("{PGSSLKEY}: cannot use {}: {error}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|error| fault(&error))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(fault(&"others can read it; it should have mode 0600, or 0640 when it is root's"));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| fault(&error))
}

#[derive(Debug)]
struct Trusted {
    anchors: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Verifier {
    trusted: Option<Trusted>,
    check_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn verify_chain(
        &self,
        trusted: &Trusted,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let refused = match ParsedCertificate::try_from(server).and_then(|parsed| {
            let all = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &trusted.anchors, intermediates, now, all)
        }) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        // What is certain stays refused: a wrong signature, a certificate out of its time.
        let profile = matches!(
            refused,
            Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer | CertificateError::BadEncoding
            )
        );
        if profile && certificate::is_vouched_for(server, &trusted.certificates, now, self.algorithms.all) {
            return Ok(());
        }
        Err(refused)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            self.verify_chain(trusted, server, intermediates, now)?;
        }
        if self.check_name {
            certificate::verify_name(server, name)
                .map_err(|error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error)))))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if certificate::is_old(cert) {
            return certificate::verify_tls12_signature(message, cert, dss, &self.algorithms);
        }
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if certificate::is_old(cert) {
            let key = certificate::public_key(cert)?;
            return rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms);
        }
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
