//! The address of a bucket: `gs://bucket/prefix`, `s3://…`, `az://container/prefix` or `file:///directory`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where dumps live. Printing it gives the text that it was read from, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketAddress {
    /// Google Cloud Storage.
    Gcs { bucket: String, prefix: String },
    /// Amazon S3 and what speaks like it.
    S3 { bucket: String, prefix: String },
    /// Azure Blob Storage; the account is a setting of its own.
    Azure { container: String, prefix: String },
    /// A directory of this machine, absolute.
    Directory(PathBuf),
}

/// Why a text is no address. Never repeats the text: people paste credentials into addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    Scheme,
    BucketName,
    Prefix,
    NotAbsolute,
    Directory,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an address of a bucket begins with gs://, s3://, az:// or file:///",
            Self::BucketName => {
                "a bucket's name has 3 to 222 letters, digits, dots, dashes or underscores, and begins and ends with a letter or digit"
            }
            Self::Prefix => "the prefix after the bucket's name has an empty part, a part `.` or `..`, or a control character",
            Self::NotAbsolute => "a directory is written with three slashes, as in file:///var/lib/bkp",
            Self::Directory => "the directory is the root itself, or has a part `.` or `..` or a control character",
        })
    }
}

impl std::error::Error for AddressError {}

impl FromStr for BucketAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        match scheme {
            "gs" => bucket_and_prefix(rest).map(|(bucket, prefix)| Self::Gcs { bucket, prefix }),
            "s3" => bucket_and_prefix(rest).map(|(bucket, prefix)| Self::S3 { bucket, prefix }),
            "az" => bucket_and_prefix(rest).map(|(container, prefix)| Self::Azure { container, prefix }),
            "file" => directory(rest),
            _ => Err(AddressError::Scheme),
        }
    }
}

fn bucket_and_prefix(rest: &str) -> Result<(String, String), AddressError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let known = bucket.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if !known || !(3..=222).contains(&bucket.len()) || !edge(bucket.chars().next()) || !edge(bucket.chars().last()) {
        return Err(AddressError::BucketName);
    }
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty() && !is_plain_path(plain) {
        return Err(AddressError::Prefix);
    }
    Ok((bucket.to_owned(), plain.to_owned()))
}

fn directory(rest: &str) -> Result<BucketAddress, AddressError> {
    let inside = rest.strip_prefix('/').ok_or(AddressError::NotAbsolute)?;
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    if !is_plain_path(inside) {
        return Err(AddressError::Directory);
    }
    Ok(BucketAddress::Directory(PathBuf::from(format!("/{inside}"))))
}

/// Whether every part of a relative path is a name: what an object or a prefix may be called.
pub fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.chars().any(char::is_control)
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, bucket, prefix) = match self {
            Self::Gcs { bucket, prefix } => ("gs", bucket, prefix),
            Self::S3 { bucket, prefix } => ("s3", bucket, prefix),
            Self::Azure { container, prefix } => ("az", container, prefix),
            Self::Directory(path) => return write!(f, "file://{}", path.display()),
        };
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "{scheme}://{bucket}{slash}{prefix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_as_it_was_written() {
        for text in [
            "gs://quetzal-backup",
            "gs://quetzal.example.com/prod/db",
            "s3://my-bucket/a b/ü",
            "az://container/x",
            "file:///var/lib/bkp",
        ] {
            assert_eq!(text.parse::<BucketAddress>().map(|a| a.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_trailing_slash_means_nothing() {
        for (text, plain) in [
            ("gs://bucket/", "gs://bucket"),
            ("s3://bucket/a/", "s3://bucket/a"),
            ("file:///srv/dumps/", "file:///srv/dumps"),
        ] {
            assert_eq!(text.parse::<BucketAddress>().map(|a| a.to_string()).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_reason() {
        use AddressError::*;
        for (text, reason) in [
            ("", Scheme),
            ("bucket", Scheme),
            ("/var/lib/bkp", Scheme),
            ("http://example.com/bucket", Scheme),
            ("GS://bucket", Scheme),
            ("gs://", BucketName),
            ("gs://ab", BucketName),
            ("gs:///bucket", BucketName),
            ("gs://-bucket", BucketName),
            ("gs://user:secret@bucket", BucketName),
            ("gs://bucket?x=1", BucketName),
            ("gs://bucket/../other", Prefix),
            ("s3://bucket/a//b", Prefix),
            ("az://bucket/a\nb", Prefix),
            ("gs://bucket//a", Prefix),
            ("gs://bucket//", Prefix),
            ("file://relative/dir", NotAbsolute),
            ("file://", NotAbsolute),
            ("file:///", Directory),
            ("file:///srv/../etc", Directory),
        ] {
            assert_eq!(text.parse::<BucketAddress>(), Err(reason), "{text:?}");
            assert!(!reason.to_string().contains("secret"));
        }
    }
}
