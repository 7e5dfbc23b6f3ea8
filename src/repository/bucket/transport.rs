//! Between opendal and the network: what the stores' protocols need and opendal does not do.
//!
//! Every operation gets a [`Wire`] of its own, where the transport leaves what it saw: the words of the last refusal
//! (opendal would print them as a debug structure, next to addresses that hold signatures), trouble with
//! credentials, and the checksums that came with an object. Requests are told apart by the name that opendal's
//! services give them; a request without a name fetches a credential, and is retried here, because opendal does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, Uri};
use opendal::raw::ServiceOperation;
use opendal::{Buffer, HttpBody, HttpTransport};
use opendal_http_transport_reqwest::ReqwestTransport;
use tokio::time::{Instant, sleep};

use super::checksum::StoredChecksum;
use super::refusal::words_of;

/// What one operation wants of its requests, and what it learned from the answers.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Sent with the last chunk of an upload: the store refuses a damaged one before it is visible.
    pub crc32c: Option<String>,
    /// The last answer that was no success; forgotten at the next success.
    pub refusal: Option<Refusal>,
    /// Why there is no credential.
    pub credential_trouble: Option<String>,
    /// What the store said about the object that it sent.
    pub stored: StoredChecksum,
}

/// An answer that was no success.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// opendal's name of the request.
    pub operation: &'static str,
    pub status: u16,
    /// What the store says about it, on one line.
    pub words: String,
}

impl Wire {
    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is the same for all operations of a store.
#[derive(Clone, Debug)]
pub struct Policy {
    pub kms_key: Option<String>,
    /// `host[:port]` that stands for `metadata.google.internal`.
    pub metadata_host: Option<String>,
    pub credential_wait: Duration,
    pub retry_delay: Duration,
}

/// The transport of one operation.
pub struct Transport {
    pub client: ReqwestTransport,
    pub policy: Arc<Policy>,
    pub wire: Wire,
}

impl HttpTransport for Transport {
    async fn fetch(&self, mut request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let Some(operation) = request.extensions().get::<ServiceOperation>().copied() else {
            return self.fetch_credential(request).await;
        };
        match operation.0 {
            "InitiateResumableUpload" => self.add_kms_key(&mut request),
            "UploadResumableChunk" => self.add_checksum(&mut request),
            _ => {}
        }
        let response = self.client.fetch(request).await?;
        self.note(operation.0, response).await
    }
}

impl Transport {
    fn add_kms_key(&self, request: &mut Request<Buffer>) {
        let Some(key) = &self.policy.kms_key else {
            return;
        };
        let encoded = key.replace('/', "%2F");
        if let Ok(uri) = format!("{}&kmsKeyName={encoded}", request.uri()).parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }

    /// Only the request that names the total is the last one; on others the store would refuse the header.
    fn add_checksum(&self, request: &mut Request<Buffer>) {
        let range = request.headers().get(http::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        if range.is_none_or(|range| range.ends_with("/*")) {
            return;
        }
        let header =
            self.wire.noted().crc32c.as_ref().and_then(|sum| HeaderValue::try_from(format!("crc32c={sum}")).ok());
        if let Some(header) = header {
            request.headers_mut().insert("x-goog-hash", header);
        }
    }

    async fn note(&self, operation: &'static str, response: Response<HttpBody>) -> opendal::Result<Response<HttpBody>> {
        if response.status().as_u16() < 400 {
            let mut noted = self.wire.noted();
            noted.refusal = None;
            if operation == "GetObject" {
                for value in response.headers().get_all("x-goog-hash") {
                    noted.stored.add_goog_hash(value.to_str().unwrap_or_default());
                }
            }
            drop(noted);
            return Ok(response);
        }
        let (mut parts, mut body) = response.into_parts();
        let body = body.to_buffer().await?;
        self.wire.noted().refusal =
            Some(Refusal { operation, status: parts.status.as_u16(), words: words_of(&body.to_bytes()) });
        // opendal takes these two for final, on some stores or on all.
        if matches!(parts.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
            parts.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        let length = body.len() as u64;
        let body = HttpBody::new(futures::stream::iter([Ok(body)]), Some(length));
        Ok(Response::from_parts(parts, body))
    }

    /// A token, from a metadata server or an exchange: tried again while the wait lasts.
    async fn fetch_credential(&self, mut request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        self.redirect_metadata(&mut request);
        let host = request.uri().authority().map_or_else(String::new, |host| host.as_str().to_owned());
        let until = Instant::now() + self.policy.credential_wait;
        let mut delay = self.policy.retry_delay;
        loop {
            let answer = self.client.fetch(request.clone()).await;
            let again = match &answer {
                Ok(response) => is_passing(response.status()),
                Err(err) => err.is_temporary(),
            };
            if again && Instant::now() + delay < until {
                tracing::debug!(host, "no credential yet, trying again");
                sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(5));
                continue;
            }
            return self.note_credential(&host, answer).await;
        }
    }

    async fn note_credential(
        &self,
        host: &str,
        answer: opendal::Result<Response<HttpBody>>,
    ) -> opendal::Result<Response<HttpBody>> {
        let response = match answer {
            Ok(response) => response,
            Err(err) => {
                self.wire.noted().credential_trouble = Some(format!("{host} does not answer"));
                return Err(err);
            }
        };
        if response.status().is_success() {
            self.wire.noted().credential_trouble = None;
            return Ok(response);
        }
        let (parts, mut body) = response.into_parts();
        let body = body.to_buffer().await?;
        let words = words_of(&body.to_bytes());
        let colon = if words.is_empty() { "" } else { ": " };
        self.wire.noted().credential_trouble = Some(format!("{host} answered {}{colon}{words}", parts.status.as_u16()));
        let length = body.len() as u64;
        Ok(Response::from_parts(parts, HttpBody::new(futures::stream::iter([Ok(body)]), Some(length))))
    }

    fn redirect_metadata(&self, request: &mut Request<Buffer>) {
        let Some(host) = &self.policy.metadata_host else {
            return;
        };
        if request.uri().host() != Some("metadata.google.internal") {
            return;
        }
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if let Ok(uri) = format!("http://{host}{path}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
}

/// Whether the same request may be answered better a little later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}
