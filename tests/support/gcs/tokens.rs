//! Tokens: the metadata server of a virtual machine or pod, the exchange of workload identity federation, and the
//! impersonation of a service account.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::reply::{Reply, error, form, json};

#[derive(Default)]
pub struct Tokens {
    pub required: bool,
    /// Grows when the tokens given out are revoked.
    generation: u32,
    /// What the exchange accepts; none: anything.
    pub subject: Option<String>,
    /// Claims of the last signed assertion.
    pub last_assertion: Option<Value>,
}

impl Tokens {
    pub fn revoke(&mut self) {
        self.generation += 1;
    }

    fn current(&self) -> String {
        format!("ya29.token-{}", self.generation)
    }

    /// The refusal of a request without a good token.
    pub fn refusal(&self, authorization: Option<&str>) -> Option<Reply> {
        if !self.required || authorization == Some(&format!("Bearer {}", self.current())) {
            return None;
        }
        let message = match authorization {
            None => "Anonymous caller does not have access to the Google Cloud Storage bucket.",
            Some(_) => "Invalid Credentials",
        };
        Some(error(401, message))
    }

    /// `GET /computeMetadata/v1/instance/service-accounts/default/token`.
    pub fn metadata(&self, flavor: Option<&str>) -> Reply {
        if flavor != Some("Google") {
            return error(403, "Missing Metadata-Flavor:Google header.");
        }
        json(200, &json!({"access_token": self.current(), "expires_in": 3599, "token_type": "Bearer"}))
    }

    /// `POST /v1/token` of the security token service, and `/token` of OAuth.
    pub fn exchange(&mut self, body: &[u8]) -> Reply {
        let fields = form(&String::from_utf8_lossy(body));
        if let Some(assertion) = fields.get("assertion") {
            let claims = assertion.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            self.last_assertion = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        }
        if let (Some(wanted), Some(got)) = (&self.subject, fields.get("subject_token"))
            && got != wanted
        {
            return json(
                400,
                &json!({"error": "invalid_grant", "error_description": "The given credential is rejected."}),
            );
        }
        json(
            200,
            &json!({"access_token": self.current(), "expires_in": 3599, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}),
        )
    }

    /// `POST /v1/projects/-/serviceAccounts/…:generateAccessToken`.
    pub fn impersonate(&self) -> Reply {
        let until = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3600).expect("a time");
        json(200, &json!({"accessToken": self.current(), "expireTime": until.to_string()}))
    }
}
