//! The parts that a run killed in the middle of an upload leaves on Amazon's protocol: found and removed.
//!
//! They are in no list of objects and cost money until somebody aborts the upload. opendal has no call for it, so the
//! two requests (`ListMultipartUploads`, `AbortMultipartUpload`) are made and signed here.

use http::{Method, Request};
use jiff::Timestamp;
use opendal::raw::ServiceOperation;
use opendal::{Buffer, Error, ErrorKind, HttpTransporter};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, OsEnv, Signer};
use reqsign_file_read_tokio::TokioFileRead;

use super::error::StoreError;
use super::options::S3Options;
use super::refusal::{Act, element};
use super::remote::Remote;
use super::transport::Wire;

/// Where the requests go, and who signs them.
pub struct Sweeper {
    /// With the bucket's name, without a slash at the end.
    endpoint: String,
    /// Of every key: empty, or with a slash at its end.
    prefix: String,
    signer: Signer<Credential>,
}

impl Sweeper {
    /// None where the region is left to the environment: a request to a wrong one would only fail.
    pub fn new(bucket: &str, prefix: &str, options: &S3Options) -> Option<Self> {
        let (base, region) = match (&options.endpoint, &options.region) {
            (Some(endpoint), region) => {
                let scheme = if endpoint.starts_with("http") { "" } else { "https://" };
                let region = region.as_deref().unwrap_or("us-east-1");
                (format!("{scheme}{}", endpoint.trim_end_matches('/')), region)
            }
            (None, Some(region)) => (format!("https://s3.{region}.amazonaws.com"), region.as_str()),
            (None, None) => return None,
        };
        let signing = RequestSigner::new("s3", region);
        let signer = match (&options.access_key, &options.secret_key) {
            (Some(access), Some(secret)) => {
                let mut keys = StaticCredentialProvider::new(access.expose(), secret.expose());
                if let Some(token) = &options.session_token {
                    keys = keys.with_session_token(token.expose());
                }
                Signer::new(Context::new(), keys, signing)
            }
            _ => Signer::new(Context::new(), DefaultCredentialProvider::new(), signing),
        };
        let slash = if prefix.is_empty() { "" } else { "/" };
        Some(Self { endpoint: format!("{base}/{bucket}"), prefix: format!("{prefix}{slash}"), signer })
    }

    /// Signs and sends one request; its answer as text.
    async fn send(
        &self,
        transport: &HttpTransporter,
        method: Method,
        operation: &'static str,
        path_and_query: &str,
    ) -> opendal::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path_and_query}", self.endpoint))
            .header("x-amz-content-sha256", reqsign_aws_v4::EMPTY_STRING_SHA256)
            .extension(ServiceOperation(operation))
            .body(Buffer::new())
            .map_err(|err| Error::new(ErrorKind::Unexpected, "the request cannot be built").set_source(err))?;
        let (mut parts, body) = request.into_parts();
        let context = Context::new().with_file_read(TokioFileRead).with_env(OsEnv).with_http_send(transport.clone());
        // The words by which a failure to sign is known to `translate`.
        let unsigned =
            |err: reqsign_core::Error| Error::new(ErrorKind::Unexpected, "signing http request").set_source(err);
        self.signer.clone().with_context(context).sign(&mut parts, None).await.map_err(unsigned)?;
        parts.headers.remove(http::header::HOST);
        let response = transport.send(Request::from_parts(parts, body)).await?;
        let kind = match response.status().as_u16() {
            200..300 => {
                return Ok(String::from_utf8_lossy(&response.into_body().to_bytes()).into_owned());
            }
            403 => ErrorKind::PermissionDenied,
            404 => ErrorKind::NotFound,
            _ => ErrorKind::Unexpected,
        };
        Err(Error::new(kind, "the store refused"))
    }
}

/// Aborts what [`super::store::Store::sweep`] says. An upload that ended meanwhile counts as aborted.
pub async fn sweep(
    remote: &Remote,
    begun_before: Timestamp,
    is_ours: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<usize, StoreError> {
    let Some(sweeper) = &remote.sweeper else {
        return Ok(0);
    };
    let wire = Wire::default();
    let transport = remote.transport(&wire);
    let mut aborted = 0;
    let mut markers = String::new();
    loop {
        let query = format!("?uploads=&prefix={}{markers}", encode(&sweeper.prefix, false));
        let page = sweeper.send(&transport, Method::GET, "ListMultipartUploads", &query).await;
        let page = Page::read(&page.map_err(|err| remote.fault(&err, &wire, Act::List))?);
        for upload in page.uploads {
            let Some(name) = upload.key.strip_prefix(&sweeper.prefix) else {
                continue;
            };
            if upload.begun >= begun_before || !is_ours(name) {
                continue;
            }
            let path = format!("/{}?uploadId={}", encode(&upload.key, true), encode(&upload.id, false));
            match sweeper.send(&transport, Method::DELETE, "AbortMultipartUpload", &path).await {
                Ok(_) => tracing::info!(
                    "removed the parts of {name}, whose upload was begun {} and never ended",
                    upload.begun
                ),
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(remote.fault(&err, &wire, Act::Delete(name))),
            }
            aborted += 1;
        }
        match page.next {
            Some((key, id)) => {
                markers = format!("&key-marker={}&upload-id-marker={}", encode(&key, false), encode(&id, false))
            }
            None => return Ok(aborted),
        }
    }
}

/// One answer of `ListMultipartUploads`.
#[derive(Debug, PartialEq)]
struct Page {
    uploads: Vec<Unfinished>,
    /// Key and upload id after which the next page begins.
    next: Option<(String, String)>,
}

#[derive(Debug, PartialEq)]
struct Unfinished {
    key: String,
    id: String,
    begun: Timestamp,
}

impl Page {
    /// Entries that say no time are left out: what is not known to be old is not touched.
    fn read(xml: &str) -> Self {
        let text = |part: &str, name: &str| element(part, name).map(unescape);
        let uploads = xml.split("<Upload>").skip(1).filter_map(|part| {
            let begun = element(part, "Initiated")?.trim().parse().ok()?;
            Some(Unfinished { key: text(part, "Key")?, id: text(part, "UploadId")?, begun })
        });
        let more = element(xml, "IsTruncated").is_some_and(|text| text.trim() == "true");
        let next = text(xml, "NextKeyMarker").filter(|key| more && !key.is_empty());
        Self {
            uploads: uploads.collect(),
            next: next.map(|key| (key, text(xml, "NextUploadIdMarker").unwrap_or_default())),
        }
    }
}

fn unescape(text: &str) -> String {
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
    let text = plain.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain));
    text.replace("&amp;", "&")
}

/// Percent-encodes all but unreserved characters, as signatures of version 4 want it.
fn encode(text: &str, keep_slashes: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep_slashes && byte == b'/' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_unfinished_uploads_is_read() {
        let xml = "<ListMultipartUploadsResult><KeyMarker/><NextKeyMarker>a&amp;b</NextKeyMarker>\
            <NextUploadIdMarker>7</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>a&amp;b &#39;c</Key><UploadId>5</UploadId><Initiated>2026-11-20T23:10:04.000Z</Initiated></Upload>\
            <Upload><Key>timeless</Key><UploadId>6</UploadId></Upload></ListMultipartUploadsResult>";
        let begun = "2026-11-20T23:10:04Z".parse().expect("a time");
        let uploads = vec![Unfinished { key: "a&b 'c".to_owned(), id: "5".to_owned(), begun }];
        assert_eq!(Page::read(xml), Page { uploads, next: Some(("a&b".to_owned(), "7".to_owned())) });
        let last = xml.replace("true", "false");
        assert_eq!(Page::read(&last).next, None);
    }

    #[test]
    fn keys_are_encoded_as_signatures_want_it() {
        assert_eq!(encode("a b/ü+~", true), "a%20b/%C3%BC%2B~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
