//! Whether a server of restic's own protocol only appends, asked without a trace.
//!
//! restic has no command for it: what it would remove to try, it would first have to leave there. So this one request is made here:
//! to remove a snapshot that nobody has, which a server that only appends refuses before it looks for it.

use std::path::Path;
use std::time::Duration;

use super::repo::Repository;
use crate::authorities;

/// Enough for a server that is there; restic has just been answered by it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Repository {
    /// Whether it takes what is new and lets nothing go. Nothing where that cannot be told: in other stores than `rest:`, with a client's
    /// certificate, or when the server says something else.
    pub async fn only_appends(&self) -> Option<bool> {
        let url = self.address.expose().strip_prefix("rest:").filter(|url| url.starts_with("http"))?;
        if self.restic.variable("RESTIC_TLS_CLIENT_CERT").is_some() {
            return None;
        }
        let url = format!("{}/snapshots/{}", url.trim_end_matches('/'), "0".repeat(64));
        let url = reqwest::Url::parse(&url).ok()?;
        let variable = |name| self.restic.variable(name).and_then(|value| value.to_str());
        let user = variable("RESTIC_REST_USERNAME").filter(|_| url.username().is_empty());
        // What the address has of them is sent as restic sends it.
        let mut request = client(self.restic.authorities())?.delete(url);
        if let Some(user) = user {
            request = request.basic_auth(user, variable("RESTIC_REST_PASSWORD"));
        }
        match request.send().await.ok()?.status().as_u16() {
            403 | 405 => Some(true),
            200..300 | 404 => Some(false),
            _ => None,
        }
    }
}

fn client(authorities: Option<&Path>) -> Option<reqwest::Client> {
    let tls = authorities::tls(authorities::roots(authorities).ok()?).ok()?;
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(ANSWER_WITHIN);
    builder.redirect(reqwest::redirect::Policy::none()).build().ok()
}
