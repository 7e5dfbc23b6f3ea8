//! The HTTP client under every object store, built so that it works in an image without certificates.

use std::time::Duration;

use super::error::{Cause, StoreError};
use super::options::StoreOptions;
use crate::authorities::{self, Unusable};

/// Builds the client. The platform's own verifier is not used: it panics where there is no bundle of certificates.
pub fn build(options: &StoreOptions) -> Result<reqwest::Client, StoreError> {
    let settings = |what: String, cause: String| StoreError::Settings { what, cause: Some(Cause(cause)) };
    let roots =
        authorities::roots(options.ca_file.as_deref()).map_err(|Unusable { what, cause }| settings(what, cause))?;
    let tls = authorities::tls(roots).map_err(|err| settings("TLS cannot be set up".to_owned(), err.to_string()))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("bkp/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10).min(options.op_timeout));
    if let Some(address) = &options.proxy {
        // The address may hold a password, and the error would repeat it.
        let proxy = reqwest::Proxy::https(address.as_str())
            .map_err(|_| StoreError::Settings { what: "the proxy's address cannot be read".to_owned(), cause: None })?
            .no_proxy(options.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string));
        builder = builder.no_proxy().proxy(proxy);
    }
    builder
        .build()
        .map_err(|err| settings("the HTTP client cannot be set up".to_owned(), err.without_url().to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with(ca_file: &Path) -> StoreOptions {
        StoreOptions { ca_file: Some(ca_file.to_owned()), ..StoreOptions::default() }
    }

    #[test]
    fn a_client_needs_no_certificates_of_the_system() {
        assert!(build(&StoreOptions::default()).is_ok());
    }

    #[test]
    fn a_certificate_file_that_is_none_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("ca.pem");
        for content in [None, Some("no certificate")] {
            if let Some(content) = content {
                std::fs::write(&file, content).expect("written");
            }
            let err = build(&with(&file)).expect_err("refused");
            assert!(matches!(err, StoreError::Settings { .. }));
            assert!(err.to_string().contains("ca.pem"), "{err}");
        }
    }
}
