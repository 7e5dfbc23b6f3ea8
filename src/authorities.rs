//! Whom TLS trusts: who speaks to a store, a Pushgateway or the receiver of a heartbeat does so from an image without certificates, too.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where distributions keep the certificates of public authorities.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A file that holds no authority.
#[derive(Debug)]
pub struct Unusable {
    /// Which one.
    pub what: String,
    /// Why.
    pub cause: String,
}

/// The system's authorities, or Mozilla's where there are none, and those of the file `besides`, in PEM form.
///
/// # Errors
/// When that file cannot be read, or holds none.
pub fn roots(besides: Option<&Path>) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for bundle in SYSTEM_BUNDLES {
        if let Ok(certificates) = read_pem(Path::new(bundle)) {
            roots.add_parsable_certificates(certificates);
            break;
        }
    }
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    if let Some(path) = besides {
        let unusable =
            |cause| Unusable { what: format!("the certificate file {} cannot be used", path.display()), cause };
        let (added, _) = roots.add_parsable_certificates(read_pem(path).map_err(unusable)?);
        if added == 0 {
            return Err(unusable("it holds no certificate in PEM form".to_owned()));
        }
    }
    Ok(roots)
}

/// TLS that trusts these, by the one implementation that is linked.
///
/// # Errors
/// When that implementation has no version of TLS that is safe: a fault of the build.
pub fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|err| err.to_string())?;
    CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|err| err.to_string())
}
