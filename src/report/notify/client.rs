//! One request to whoever watches. Its address is a secret, so no error says it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::time::sleep;

use crate::authorities::{self, Unusable};
use crate::error::plain;
use crate::settings::Secret;

/// Between two attempts; the second pause is the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// Whoever answers with much does not answer us.
const ANSWER_CHARS: usize = 200;

/// A client that goes through the proxy of the environment, if there is one, and follows nobody elsewhere.
///
/// # Errors
/// When the file of authorities holds none.
pub fn build(authorities: Option<&Path>) -> Result<reqwest::Client> {
    let roots = authorities::roots(authorities).map_err(|Unusable { what, cause }| anyhow!("{what}: {cause}"))?;
    let tls = authorities::tls(roots).context("TLS cannot be set up")?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("bkp/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| anyhow!("the HTTP client cannot be set up: {}", error.without_url()))
}

/// Sends a text. One that does not arrive, or that the other side cannot take at the moment, is sent again: a lost packet is no alarm.
///
/// # Errors
/// When it does not arrive or is refused; says nothing of the address.
pub async fn post(client: &reqwest::Client, url: &Secret, kind: &'static str, text: String) -> Result<()> {
    let mut pauses = PAUSES.iter();
    loop {
        let sent = client.post(url.expose()).header(CONTENT_TYPE, kind).body(text.clone()).send().await;
        let error = match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let said = words(answer).await;
                let error = anyhow!("it answers {}{said}", status.as_u16());
                if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                    return Err(error);
                }
                error
            }
            Err(error) => anyhow!(innermost(&error.without_url())),
        };
        match pauses.next() {
            Some(pause) => sleep(*pause).await,
            None => bail!(error),
        }
    }
}

/// The first line of what it says, if that is for people.
async fn words(answer: reqwest::Response) -> String {
    let is_plain = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    if !is_plain || answer.content_length().is_none_or(|length| length > 1 << 16) {
        return String::new();
    }
    let text = answer.text().await.unwrap_or_default();
    let line: String = text.lines().next().unwrap_or_default().chars().take(ANSWER_CHARS).collect();
    if line.trim().is_empty() { String::new() } else { format!(": {}", plain(&line)) }
}

/// What the system or the library under it says: what is around that is `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said = inner.to_string();
        cause = inner.source();
    }
    said
}
