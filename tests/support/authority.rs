//! An authority of a test's own, and a certificate by it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Makes both as files in `directory` (the authority's certificate is `ca.pem`) and gives what a server of those names needs:
/// `DNS:localhost,IP:127.0.0.1`.
pub fn certificate(directory: &Path, names: &str) -> rustls::ServerConfig {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    openssl(
        &[&["req", "-x509", "-subj", "/CN=authority of a test", "-keyout", "ca.key", "-out", "ca.pem"], &key[..]]
            .concat(),
    );
    let names = format!("subjectAltName={names}");
    let leaf =
        ["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl(
        &[&["req", "-x509", "-subj", "/CN=test", "-keyout", "leaf.key", "-out", "leaf.pem"], &key[..], &leaf[..]]
            .concat(),
    );
    let certificates = vec![CertificateDer::from_pem_file(directory.join("leaf.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(directory.join("leaf.key")).expect("a key");
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a configuration")
}
