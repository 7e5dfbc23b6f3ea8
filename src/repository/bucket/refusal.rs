//! From what opendal and the store say to [`StoreError`]. Pure.

use opendal::ErrorKind;

use super::error::{Cause, StoreError};
use super::transport::{Refusal, Wire};

/// What was asked of the store when it refused.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    List,
    Look(&'a str),
    Read(&'a str),
    Create(&'a str),
    Delete(&'a str),
}

impl Act<'_> {
    /// Goes after "does not allow to", "has no space left to".
    fn words(self) -> String {
        match self {
            Self::List => "list the bucket".to_owned(),
            Self::Look(name) => format!("look at object {name}"),
            Self::Read(name) => format!("read object {name}"),
            Self::Create(name) => format!("create object {name}"),
            Self::Delete(name) => format!("delete object {name}"),
        }
    }
}

/// Codes of refusals that say: not who you claim to be. Amazon and Azure answer them with 403.
const CREDENTIAL_CODES: [&str; 9] = [
    "Server failed to authenticate",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
];

/// Codes and words of refusals that say: no such bucket.
const BUCKET_CODES: [&str; 4] = ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "bucket does not exist"];

/// The requests that begin an upload, of the three protocols.
const BEGINNINGS: [&str; 5] = ["InitiateResumableUpload", "CreateMultipartUpload", "PutObject", "PutBlob", "PutBlock"];

/// Codes of refusals that say: no space.
const FULL_CODES: [&str; 4] = ["XMinioStorageFull", "QuotaExceeded", "XAmzQuotaExceeded", "AccountStorageFull"];

/// Google's words when the checksum that came with an upload is not the one of the bytes that came.
const CHECKSUM_WORDS: &str = "doesn't match calculated";

/// Turns opendal's error into ours, with what the wire noted.
pub fn translate(err: &opendal::Error, wire: &Wire, address: &str, act: Act<'_>) -> StoreError {
    let noted = wire.noted();
    if let Some(trouble) = &noted.credential_trouble {
        let what = "no credential for the store could be had".to_owned();
        return StoreError::Credentials { what, cause: Some(Cause(trouble.clone())) };
    }
    if err.message() == "signing http request" {
        let what = "the credentials for the store cannot be used".to_owned();
        return StoreError::Credentials { what, cause: Some(Cause(innermost(err))) };
    }
    let refusal = noted.refusal.as_ref();
    let cause = Some(cause_of(err, refusal));
    let status = refusal.map_or(0, |refusal| refusal.status);
    let says = |codes: &[&str]| refusal.is_some_and(|refusal| codes.iter().any(|code| refusal.words.contains(code)));
    let name = match act {
        Act::Look(name) | Act::Read(name) | Act::Create(name) | Act::Delete(name) => name.to_owned(),
        Act::List => String::new(),
    };

    if says(&[CHECKSUM_WORDS]) {
        let how = "the store received other bytes than were sent, and refused them".to_owned();
        return StoreError::Corrupt { name, how };
    }
    if status == 401 || says(&CREDENTIAL_CODES) {
        let what = "the store does not accept the credentials".to_owned();
        return StoreError::Credentials { what, cause };
    }
    if says(&BUCKET_CODES) {
        return StoreError::BucketMissing { address: address.to_owned(), cause };
    }
    if matches!(status, 413 | 507) || says(&FULL_CODES) {
        return StoreError::Full { what: act.words(), cause };
    }
    match err.kind() {
        ErrorKind::NotFound => match act {
            Act::List => StoreError::BucketMissing { address: address.to_owned(), cause },
            // A name that is to be created cannot be missing: no bucket, or an upload that vanished half-way.
            Act::Create(_) if refusal.is_none_or(|refusal| BEGINNINGS.contains(&refusal.operation)) => {
                StoreError::BucketMissing { address: address.to_owned(), cause }
            }
            Act::Create(_) => {
                StoreError::Unavailable { what: format!("the upload of {name} was lost by the store"), cause }
            }
            _ => StoreError::NotFound { name, cause },
        },
        ErrorKind::PermissionDenied => StoreError::Forbidden { what: act.words(), cause },
        ErrorKind::ConditionNotMatch => match act {
            Act::Create(_) => StoreError::Exists { name },
            _ => StoreError::Changed { name },
        },
        ErrorKind::ConfigInvalid => StoreError::Settings { what: "the store cannot be set up".to_owned(), cause },
        _ if status == 410 => {
            StoreError::Unavailable { what: format!("the upload of {name} was given up by the store"), cause }
        }
        _ if err.is_temporary() || err.is_persistent() => {
            StoreError::Unavailable { what: format!("the store does not answer to {}", act.words()), cause }
        }
        _ => StoreError::Failed { what: format!("the store refused to {}", act.words()), cause },
    }
}

fn cause_of(err: &opendal::Error, refusal: Option<&Refusal>) -> Cause {
    Cause(match refusal {
        Some(Refusal { status, words, .. }) if words.is_empty() => format!("HTTP {status}"),
        Some(Refusal { status, words, .. }) => format!("HTTP {status}: {words}"),
        None => innermost(err),
    })
}

/// The last error of the chain: opendal's own text holds addresses, which may hold signatures.
fn innermost(err: &opendal::Error) -> String {
    let mut text = err.message().to_owned();
    let mut source = std::error::Error::source(err);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    one_line(&text)
}

/// What a store says in the body of a refusal: Google's JSON, OAuth's JSON, or the XML of Amazon and Azure.
pub(super) fn words_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let error = &json["error"];
        let words = [&error["message"], &json["error_description"], &json["message"], error];
        return words.iter().find_map(|words| words.as_str()).map(one_line).unwrap_or_default();
    }
    match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) => one_line(&format!("{code}: {message}")),
        (Some(words), None) | (None, Some(words)) => one_line(words),
        (None, None) => String::new(),
    }
}

pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let length = xml[start..].find(&format!("</{name}>"))?;
    Some(&xml[start..start + length])
}

fn one_line(text: &str) -> String {
    let line: String = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: ErrorKind, status: u16, words: &str, act: Act<'_>) -> StoreError {
        let wire = Wire::default();
        wire.noted().refusal = Some(Refusal { operation: "GetObject", status, words: words.to_owned() });
        translate(&opendal::Error::new(kind, "x"), &wire, "gs://bucket", act)
    }

    #[test]
    fn every_store_says_it_in_its_own_words() {
        for (body, words) in [
            (r#"{"error":{"code":403,"message":"nobody may","errors":[]}}"#, "nobody may"),
            (r#"{"error":"invalid_grant","error_description":"clock is off"}"#, "clock is off"),
            ("<?xml?><Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>", "NoSuchBucket: gone"),
            ("<html>a proxy's page</html>", ""),
            ("", ""),
        ] {
            assert_eq!(words_of(body.as_bytes()), words);
        }
    }

    #[test]
    fn a_forbidden_act_is_not_a_wrong_credential() {
        let forbidden = told(ErrorKind::PermissionDenied, 403, "AccessDenied: no", Act::List);
        assert!(matches!(forbidden, StoreError::Forbidden { .. }), "{forbidden:?}");
        let wrong = told(ErrorKind::PermissionDenied, 403, "SignatureDoesNotMatch: no", Act::List);
        assert!(matches!(wrong, StoreError::Credentials { .. }), "{wrong:?}");
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        let bucket = told(ErrorKind::NotFound, 404, "The specified bucket does not exist.", Act::Read("a"));
        assert!(matches!(bucket, StoreError::BucketMissing { .. }), "{bucket:?}");
        let object = told(ErrorKind::NotFound, 404, "No such object: bucket/a", Act::Read("a"));
        assert!(matches!(object, StoreError::NotFound { .. }), "{object:?}");
    }

    #[test]
    fn a_full_store_is_said_to_be_full() {
        for (status, words) in [(507, ""), (413, ""), (403, "QuotaExceeded: x"), (400, "XMinioStorageFull: x")] {
            let err = told(ErrorKind::Unexpected, status, words, Act::Create("a"));
            assert!(matches!(err, StoreError::Full { .. }), "{err:?}");
        }
    }

    #[test]
    fn an_address_with_a_signature_is_never_told() {
        let err = opendal::Error::new(ErrorKind::Unexpected, "send http request")
            .with_context("url", "https://a.blob.core.windows.net/c/x?sig=SECRET")
            .set_temporary();
        let told = translate(&err, &Wire::default(), "az://c", Act::Read("x"));
        assert!(!format!("{told:?} {told}").contains("SECRET"));
    }
}
