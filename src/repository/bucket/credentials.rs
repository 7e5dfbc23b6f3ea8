//! Google's credential files: read, checked and completed before a request needs them.
//!
//! The library below skips a file that it does not understand and says "failed to load signing credential"; here the
//! reader learns which field of which file is wrong. Format: AIP-4110, AIP-4112 and AIP-4117 of google.aip.dev.

use std::path::Path;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::error::{Cause, StoreError};

/// The content of a credentials file, ready for use.
pub fn load(path: &Path) -> Result<String, StoreError> {
    let fault = |cause: String| StoreError::Credentials {
        what: format!("the credentials file {} cannot be used", path.display()),
        cause: Some(Cause(cause)),
    };
    let text = std::fs::read_to_string(path).map_err(|err| fault(err.to_string()))?;
    complete(&text).map_err(fault)
}

/// Checks a file's content and adds what Google's format leaves out. Errors name fields, never values.
pub fn complete(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut file: Value = serde_json::from_str(text)
        .map_err(|err| format!("it is no JSON (line {}, column {})", err.line(), err.column()))?;
    let kind = file["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "service_account" => {
            need(&file, &["client_email", "private_key"])?;
            check_private_key(file["private_key"].as_str().unwrap_or_default())?;
        }
        "external_account" => {
            need(&file, &["audience", "subject_token_type", "token_url"])?;
            complete_source(&mut file["credential_source"])?;
        }
        "authorized_user" => need(&file, &["client_id", "client_secret", "refresh_token"])?,
        "impersonated_service_account" => need(&file, &["service_account_impersonation_url"])?,
        "" => {
            return Err("it has no field `type`; a key file of a service account has one".to_owned());
        }
        _ => {
            return Err(
                "its `type` is none of service_account, external_account, authorized_user, impersonated_service_account"
                    .to_owned(),
            );
        }
    }
    Ok(file.to_string())
}

fn need(file: &Value, fields: &[&str]) -> Result<(), String> {
    let missing: Vec<_> = fields
        .iter()
        .filter(|field| file[**field].as_str().is_none_or(str::is_empty))
        .map(|f| format!("`{f}`"))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("it lacks {}", missing.join(", "))) }
}

/// A key that was cut, or pasted with its line ends lost, is found here and not in the night.
fn check_private_key(pem: &str) -> Result<(), String> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "its `private_key` is no PEM text (were its line ends lost?)".to_owned())?;
    rustls::crypto::ring::sign::any_supported_type(&key)
        .map(drop)
        .map_err(|_| "its `private_key` holds no whole RSA key".to_owned())
}

/// `format` is optional in Google's format (text, then), but not to the library.
fn complete_source(source: &mut Value) -> Result<(), String> {
    if !source.is_object() {
        return Err("it lacks `credential_source`".to_owned());
    }
    let kinds = ["file", "url", "environment_id", "executable"];
    if !kinds.iter().any(|kind| !source[*kind].is_null()) {
        return Err("its `credential_source` has none of `file`, `url`, `environment_id`, `executable`".to_owned());
    }
    if source["file"].is_null() && (source["url"].is_null() || !source["environment_id"].is_null()) {
        return Ok(());
    }
    if source["format"].is_null() || source["format"]["type"].is_null() {
        source["format"] = json!({"type": "text"});
    }
    let format = source["format"]["type"].as_str().unwrap_or_default();
    let has_name = source["format"]["subject_token_field_name"].is_string();
    if !(format == "text" || format == "json" && has_name) {
        return Err(
            "its `credential_source.format` is neither text nor json with `subject_token_field_name`".to_owned()
        );
    }
    if let Some(token) = source["file"].as_str() {
        std::fs::metadata(token)
            .map_err(|err| format!("the token file {token} that it names cannot be read: {err}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(value: Value) -> String {
        complete(&value.to_string()).expect_err("refused")
    }

    #[test]
    fn a_file_that_is_no_credential_is_told_why() {
        assert!(complete(" \n").is_err_and(|why| why.contains("empty")));
        assert!(complete("{\"type\":").is_err_and(|why| why.contains("no JSON")));
        assert!(fault(json!({})).contains("no field `type`"));
        assert!(fault(json!({"type": "other"})).contains("none of"));
        let lacking = fault(json!({"type": "service_account", "client_email": ""}));
        assert!(lacking.contains("`client_email`") && lacking.contains("`private_key`"), "{lacking}");
    }

    #[test]
    fn a_broken_key_is_found_and_not_told() {
        let key = |text: &str| json!({"type": "service_account", "client_email": "a@b", "private_key": text});
        assert!(fault(key("-----BEGIN PRIVATE KEY----- SECRET -----END PRIVATE KEY-----")).contains("line ends"));
        let cut = fault(key("-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n"));
        assert!(cut.contains("no whole RSA key") && !cut.contains("U0VD"), "{cut}");
    }

    fn federation(source: Value) -> Value {
        json!({"type": "external_account", "audience": "a", "subject_token_type": "t",
            "token_url": "http://127.0.0.1/token", "credential_source": source})
    }

    #[test]
    fn a_federation_file_without_a_format_is_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        let token = dir.path().join("token");
        std::fs::write(&token, "x").expect("written");
        let whole = complete(&federation(json!({"file": token})).to_string()).expect("accepted");
        assert!(whole.contains(r#""format":{"type":"text"}"#), "{whole}");
    }

    #[test]
    fn a_federation_file_that_names_no_token_is_refused() {
        assert!(fault(federation(json!({}))).contains("none of `file`"));
        assert!(fault(federation(json!({"file": "/nowhere/token"}))).contains("/nowhere/token"));
        assert!(
            fault(federation(json!({"url": "http://x", "format": {"type": "json"}})))
                .contains("subject_token_field_name")
        );
    }
}
