//! An object store behind opendal: built from an address and options, and asked.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};
use opendal::services::{Azblob, Gcs, S3};
use opendal::{HttpTransporter, Metadata, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::error::{Cause, StoreError};
use super::options::{AzureOptions, S3Options, StoreOptions};
use super::refusal::{Act, translate};
use super::store::{Object, Version};
use super::sweep::Sweeper;
use super::transport::{Policy, Transport, Wire};
use super::{client, credentials};
use crate::settings::address::BucketAddress;

/// One object store.
pub struct Remote {
    operator: Operator,
    client: ReqwestTransport,
    policy: Arc<Policy>,
    address: String,
    /// Google pins by generation; the others by ETag, which is theirs for one content. And the library cuts what goes to it into parts
    /// by itself.
    pub(super) is_google: bool,
    /// Finds what dead runs left; of Amazon's protocol only.
    pub(super) sweeper: Option<Sweeper>,
}

/// A dump each minute for a year and a half. A store that lies may go on for ever, and we would hold it all.
const LISTED_MAX: usize = 1_000_000;

impl Remote {
    /// Builds the client; asks nothing of the store.
    pub fn open(address: &BucketAddress, options: &StoreOptions) -> Result<Self, StoreError> {
        let operator = match address {
            BucketAddress::Gcs { bucket, prefix } => Operator::new(gcs(bucket, prefix, options)?),
            BucketAddress::S3 { bucket, prefix } => Operator::new(s3(bucket, prefix, &options.s3)?),
            BucketAddress::Azure { container, prefix } => Operator::new(azure(container, prefix, &options.azure)?),
            BucketAddress::Directory(_) => return Err(fault("a directory is no object store")),
        };
        let operator = operator.map_err(|err| StoreError::Settings {
            what: format!("the store of {address} cannot be set up"),
            cause: Some(Cause(err.message().to_owned())),
        })?;
        // The time-out is inside the retry: the other way round it would end the retries and lose the writer's state.
        let operator = operator
            .layer(TimeoutLayer::new().with_timeout(options.op_timeout).with_io_timeout(options.op_timeout))
            .layer(
                RetryLayer::new()
                    .with_jitter()
                    .with_min_delay(options.retry_delay)
                    .with_max_delay(Duration::from_secs(30))
                    .with_max_times(options.retries)
                    .with_notify(tell_retry),
            );
        Ok(Self {
            operator,
            client: ReqwestTransport::new(client::build(options)?),
            policy: Arc::new(Policy {
                kms_key: options.kms_key.clone(),
                metadata_host: options.gce_metadata_host.clone(),
                credential_wait: options.credential_wait,
                retry_delay: options.retry_delay,
            }),
            address: address.to_string(),
            is_google: matches!(address, BucketAddress::Gcs { .. }),
            sweeper: match address {
                BucketAddress::S3 { bucket, prefix } => Sweeper::new(bucket, prefix, &options.s3),
                _ => None,
            },
        })
    }

    /// The store for one operation, with the wire where its transport takes notes.
    pub(super) fn operation(&self) -> (Operator, Wire) {
        let wire = Wire::default();
        let context = self.operator.base_context().with_http_transport(self.transport(&wire));
        (self.operator.clone().with_context(context), wire)
    }

    pub(super) fn transport(&self, wire: &Wire) -> HttpTransporter {
        let (client, policy, wire) = (self.client.clone(), self.policy.clone(), wire.clone());
        HttpTransporter::new(Transport { client, policy, wire })
    }

    pub(super) fn fault(&self, err: &opendal::Error, wire: &Wire, act: Act<'_>) -> StoreError {
        translate(err, wire, &self.address, act)
    }

    /// Whether the bucket answers; makes nothing.
    pub async fn check(&self) -> Result<(), StoreError> {
        let (operator, wire) = self.operation();
        let first = async {
            let mut lister = operator.lister_with("").recursive(true).limit(1).await?;
            lister.try_next().await
        };
        first.await.map(drop).map_err(|err| self.fault(&err, &wire, Act::List))
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let (operator, wire) = self.operation();
        let all = async {
            let mut objects = Vec::new();
            let mut lister = operator.lister_with(prefix).recursive(true).await?;
            while let Some(entry) = lister.try_next().await? {
                let name = entry.path();
                if entry.metadata().is_file() && name.starts_with(prefix) {
                    objects.push(self.object(name, entry.metadata()));
                }
                if objects.len() > LISTED_MAX {
                    return Ok(None);
                }
            }
            Ok(Some(objects))
        };
        let listed = all.await.map_err(|err| self.fault(&err, &wire, Act::List))?;
        listed.ok_or_else(|| StoreError::Failed {
            what: format!("the bucket has more than {LISTED_MAX} objects, or its list never ends"),
            cause: None,
        })
    }

    pub async fn stat(&self, name: &str) -> Result<Object, StoreError> {
        self.metadata(name).await.map(|metadata| self.object(name, &metadata))
    }

    pub(super) async fn metadata(&self, name: &str) -> Result<Metadata, StoreError> {
        let (operator, wire) = self.operation();
        operator.stat(name).await.map_err(|err| self.fault(&err, &wire, Act::Look(name)))
    }

    /// Deletes an object; one that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (operator, wire) = self.operation();
        match operator.delete(name).await.map_err(|err| self.fault(&err, &wire, Act::Delete(name))) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    pub(super) fn object(&self, name: &str, metadata: &Metadata) -> Object {
        let version = if self.is_google { metadata.version() } else { metadata.etag() };
        Object {
            name: name.to_owned(),
            bytes: metadata.content_length(),
            modified: metadata.last_modified().map_or(jiff::Timestamp::UNIX_EPOCH, Into::into),
            version: version.map(|version| Version::new(version.to_owned())),
        }
    }
}

/// The default observer prints a backtrace with each retry.
fn tell_retry(event: RetryEvent<'_>) {
    tracing::info!(
        operation = %event.op, attempt = event.attempt, seconds = event.retry_after.as_secs_f32(),
        "the store did not answer well, trying again"
    );
}

fn gcs(bucket: &str, prefix: &str, options: &StoreOptions) -> Result<Gcs, StoreError> {
    // Without this the library would look for credentials by itself, and take whatever it finds.
    let mut builder = Gcs::default().bucket(bucket).root(prefix).disable_config_load();
    if let Some(endpoint) = &options.gcs_endpoint {
        // Emulators are often named by host and port alone.
        let scheme = if endpoint.contains("://") { "" } else { "http://" };
        builder = builder.endpoint(&format!("{scheme}{}", endpoint.trim_end_matches('/')));
    }
    let anonymous = options.gcs_anonymous || options.gcs_endpoint.is_some() && options.gce_metadata_host.is_none();
    if let Some(path) = options.gcs_credentials_file.as_deref().filter(|_| !options.gcs_anonymous) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        builder = builder.credential(&STANDARD.encode(credentials::load(path)?)).disable_vm_metadata();
    } else if anonymous {
        builder = builder.skip_signature();
    }
    Ok(builder)
}

fn s3(bucket: &str, prefix: &str, options: &S3Options) -> Result<S3, StoreError> {
    let mut builder = S3::default().bucket(bucket).root(prefix);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint(endpoint.trim_end_matches('/'));
    }
    match (&options.region, &options.endpoint) {
        (Some(region), _) => builder = builder.region(region),
        // Servers that only speak like Amazon's take any region, but a signature needs one.
        (None, Some(_)) => builder = builder.region("us-east-1"),
        (None, None) => {}
    }
    match (&options.access_key, &options.secret_key) {
        (Some(access), Some(secret)) => {
            builder = builder.access_key_id(access.expose()).secret_access_key(secret.expose());
            builder = builder.disable_config_load().disable_ec2_metadata();
            if let Some(token) = &options.session_token {
                builder = builder.session_token(token.expose());
            }
        }
        (None, None) => {}
        _ => {
            return Err(fault("of the two S3 keys, access and secret, one is missing"));
        }
    }
    if !options.without_checksums {
        builder = builder.checksum_algorithm("crc32c");
    }
    Ok(builder)
}

fn azure(container: &str, prefix: &str, options: &AzureOptions) -> Result<Azblob, StoreError> {
    let mut builder = Azblob::default().container(container).root(prefix);
    let endpoint = match (&options.endpoint, &options.account) {
        (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
        (None, Some(account)) => format!("https://{account}.blob.core.windows.net"),
        (None, None) => {
            return Err(fault("Azure needs the name of the storage account, or an endpoint"));
        }
    };
    builder = builder.endpoint(&endpoint);
    if let Some(account) = &options.account {
        builder = builder.account_name(account);
    }
    if let Some(key) = &options.key {
        builder = builder.account_key(key.expose());
    }
    if let Some(sas) = &options.sas {
        builder = builder.sas_token(sas.expose().trim_start_matches('?'));
    }
    Ok(builder)
}

fn fault(what: &str) -> StoreError {
    StoreError::Settings { what: what.to_owned(), cause: None }
}
