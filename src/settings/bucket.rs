//! Where dumps go, and what the store there wants to know.

use std::path::{Path, PathBuf};

use super::address::{AddressError, BucketAddress};
use super::names::*;
use super::reader::Reader;
use super::secret::Secret;

/// Where dumps go when nothing is said.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/bkp";

/// Where the service account's key is mounted in charts that name it nowhere.
pub const MOUNTED_CREDENTIALS: &str = "/conf/credentials.json";

/// A store's address and all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `gs://…`, `s3://…`, `az://…` or `file:///…`, without a slash at its end; holds no secret.
    pub address: BucketAddress,
    /// For `gs://`.
    pub gcs: Gcs,
    /// For `s3://`.
    pub s3: S3,
    /// For `az://`.
    pub azure: Azure,
    /// Certificate authorities besides the usual ones, PEM.
    pub certificate_file: Option<PathBuf>,
}

/// Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gcs {
    /// A key, or a federation's configuration; none: the metadata server.
    pub credentials_file: Option<PathBuf>,
    /// Another endpoint; no credentials are used with it.
    pub emulator_host: Option<String>,
    /// Another metadata server.
    pub metadata_host: Option<String>,
    /// `projects/…/cryptoKeys/…`.
    pub kms_key: Option<String>,
}

/// S3 and what speaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// With `secret_access_key` or not at all.
    pub access_key_id: Option<String>,
    /// With `access_key_id` or not at all.
    pub secret_access_key: Option<Secret>,
    /// Of a temporary key.
    pub session_token: Option<Secret>,
    /// None: the store's default.
    pub region: Option<String>,
    /// An URL; none: Amazon's.
    pub endpoint: Option<String>,
}

/// Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// The storage account.
    pub account: Option<String>,
    /// The account's key.
    pub key: Option<Secret>,
    /// A shared access signature.
    pub sas_token: Option<Secret>,
    /// An URL; none: Microsoft's.
    pub endpoint: Option<String>,
}

/// The bucket, unless a restic repository alone was named.
pub(super) fn resolve(reader: &mut Reader<'_>) -> Option<Bucket> {
    let named = reader.first(&[BKP_BUCKET, GCP_BACKUP_BUCKET]);
    if named.is_none() && reader.value(RESTIC_REPOSITORY).is_some() {
        return None;
    }
    let address = named.and_then(|found| {
        let old = found.name == GCP_BACKUP_BUCKET;
        reader.accept(found, |text| match text.parse().map_err(|error: AddressError| error.to_string())? {
            address if old && !matches!(address, BucketAddress::Gcs { .. }) => Err("must begin with gs://".to_owned()),
            address => Ok(address),
        })
    });
    let bucket = Bucket {
        address: address.unwrap_or_else(|| BucketAddress::Directory(DEFAULT_DIRECTORY.into())),
        gcs: gcs(reader),
        s3: S3 {
            access_key_id: reader.value(AWS_ACCESS_KEY_ID),
            secret_access_key: reader.secret(AWS_SECRET_ACCESS_KEY),
            session_token: reader.secret(AWS_SESSION_TOKEN),
            region: reader.first(&[AWS_REGION, AWS_DEFAULT_REGION]).map(|found| found.value),
            endpoint: reader.parsed(AWS_ENDPOINT_URL, url),
        },
        azure: Azure {
            account: reader.value(AZURE_STORAGE_ACCOUNT),
            key: reader.secret(AZURE_STORAGE_KEY),
            sas_token: reader.secret(AZURE_STORAGE_SAS_TOKEN),
            endpoint: reader.parsed(AZURE_STORAGE_ENDPOINT, url),
        },
        certificate_file: path(reader, CERTIFICATE_FILE),
    };
    check(reader, &bucket);
    Some(bucket)
}

fn gcs(reader: &mut Reader<'_>) -> Gcs {
    let emulator_host = reader.value(STORAGE_EMULATOR_HOST);
    let mut credentials_file = path(reader, GOOGLE_APPLICATION_CREDENTIALS);
    let mounted = Path::new(MOUNTED_CREDENTIALS);
    if credentials_file.is_none()
        && emulator_host.is_none()
        && reader.environment.stat(mounted).is_some_and(|kind| kind.is_file)
    {
        credentials_file = Some(mounted.into());
    }
    Gcs {
        credentials_file,
        emulator_host,
        metadata_host: reader.value(GCE_METADATA_HOST),
        kms_key: reader.value(BKP_GCS_KMS_KEY),
    }
}

/// Half of a pair is a mistake, but only where the pair is used: other programs share these names.
fn check(reader: &mut Reader<'_>, bucket: &Bucket) {
    if matches!(bucket.address, BucketAddress::S3 { .. }) {
        match (&bucket.s3.access_key_id, &bucket.s3.secret_access_key) {
            (Some(_), None) => reader.fault(AWS_SECRET_ACCESS_KEY, format!("not set, but {AWS_ACCESS_KEY_ID} is")),
            (None, Some(_)) => reader.fault(AWS_ACCESS_KEY_ID, format!("not set, but {AWS_SECRET_ACCESS_KEY} is")),
            _ if bucket.s3.region.is_none() && bucket.s3.endpoint.is_none() => {
                reader.fault(AWS_REGION, "not set, and Amazon takes no request without the bucket's region");
            }
            _ => {}
        }
    }
    if matches!(bucket.address, BucketAddress::Azure { .. }) && bucket.azure.account.is_none() {
        reader.fault(AZURE_STORAGE_ACCOUNT, format!("not set, but {BKP_BUCKET} is in Azure"));
    }
}

pub(super) fn path(reader: &mut Reader<'_>, name: &'static str) -> Option<PathBuf> {
    let path = PathBuf::from(reader.value(name)?);
    // Read once here, so that a missing mount is told with the other faults and not in the middle of an upload.
    if let Err(error) = reader.environment.read(&path) {
        reader.fault(name, format!("cannot read {}: {error}", path.display()));
    }
    Some(path)
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if rest.contains('@') => Err("must not hold an account".into()),
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => Ok(text.trim_end_matches('/').into()),
        _ => Err("must begin with https:// or http://".into()),
    }
}
