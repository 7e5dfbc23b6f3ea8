//! What a store needs to know besides its address: plain data, filled by the settings.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::{Bucket, Secret};

/// How to reach a store. `default()` is Google's, with the credentials of the machine.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// A service-account key, a federation file or the credentials that `gcloud` writes (JSON).
    pub gcs_credentials_file: Option<PathBuf>,
    /// Another place than Google's, for an emulator or a private endpoint. Without a credentials file requests are not signed.
    pub gcs_endpoint: Option<String>,
    /// Do not sign requests, whatever else is set.
    pub gcs_anonymous: bool,
    /// `host[:port]` of the metadata server, when it is not `metadata.google.internal`.
    pub gce_metadata_host: Option<String>,
    /// Cloud KMS key that new objects are encrypted with: `projects/…/cryptoKeys/…`.
    pub kms_key: Option<String>,
    pub s3: S3Options,
    pub azure: AzureOptions,
    /// Certificates (PEM) trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Proxy for `https` addresses; none: what the environment of the process says.
    pub proxy: Option<String>,
    /// Hosts reached without the proxy, as in `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// After how long one request that makes no progress is given up and tried again.
    pub op_timeout: Duration,
    /// How often a request is tried again.
    pub retries: usize,
    /// Wait before the first retry; doubles each time, up to 30 s, with jitter.
    pub retry_delay: Duration,
    /// How long to wait for a credential: a pod's metadata server is not there in the first seconds.
    pub credential_wait: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            gcs_credentials_file: None,
            gcs_endpoint: None,
            gcs_anonymous: false,
            gce_metadata_host: None,
            kms_key: None,
            s3: S3Options::default(),
            azure: AzureOptions::default(),
            ca_file: None,
            proxy: None,
            no_proxy: None,
            op_timeout: Duration::from_secs(120),
            retries: 7,
            retry_delay: Duration::from_millis(500),
            credential_wait: Duration::from_secs(20),
        }
    }
}

/// Amazon S3 and what speaks like it. Without keys: the credentials of the machine or of the pod's role.
#[derive(Clone, Debug, Default)]
pub struct S3Options {
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub session_token: Option<Secret>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    /// Do not send CRC-32C with each part, for servers that refuse the header.
    pub without_checksums: bool,
}

/// Azure Blob Storage. A key or a signature; without both, the identity of the machine.
#[derive(Clone, Debug, Default)]
pub struct AzureOptions {
    pub account: Option<String>,
    pub key: Option<Secret>,
    /// A shared access signature, with or without the leading `?`.
    pub sas: Option<Secret>,
    /// Another place than `https://ACCOUNT.blob.core.windows.net`.
    pub endpoint: Option<String>,
}

impl From<&Bucket> for StoreOptions {
    fn from(bucket: &Bucket) -> Self {
        Self {
            gcs_credentials_file: bucket.gcs.credentials_file.clone(),
            gcs_endpoint: bucket.gcs.emulator_host.as_deref().map(with_scheme),
            gce_metadata_host: bucket.gcs.metadata_host.clone(),
            kms_key: bucket.gcs.kms_key.clone(),
            s3: S3Options {
                access_key: bucket.s3.access_key_id.clone().map(Secret::new),
                secret_key: bucket.s3.secret_access_key.clone(),
                session_token: bucket.s3.session_token.clone(),
                region: bucket.s3.region.clone(),
                endpoint: bucket.s3.endpoint.clone(),
                without_checksums: false,
            },
            azure: AzureOptions {
                account: bucket.azure.account.clone(),
                key: bucket.azure.key.clone(),
                sas: bucket.azure.sas_token.clone(),
                endpoint: bucket.azure.endpoint.clone(),
            },
            ca_file: bucket.certificate_file.clone(),
            ..Self::default()
        }
    }
}

/// `STORAGE_EMULATOR_HOST` is `host:port` by Google's custom, and an address by that of some emulators.
fn with_scheme(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}
