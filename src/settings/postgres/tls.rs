//! How the line to the server is protected: libpq's six modes and its certificates.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::environment::Environment;
use super::super::names::*;
use super::super::reader::Reader;

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only if the server refuses a plain line.
    Allow,
    /// If the server has it and it works; else a plain line.
    Prefer,
    /// Always; the authority is verified if root certificates are there.
    Require,
    /// Always; the authority is verified.
    VerifyCa,
    /// Always; the authority and the server's name are verified.
    VerifyFull,
}

impl TlsMode {
    /// As libpq writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| "must be disable, allow, prefer, require, verify-ca or verify-full".into())
    }
}

/// Whom we trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// Nobody in particular: the line is encrypted but its other end is not known.
    None,
    /// The authorities that the system trusts; `bundle` is their file, none where the image has none.
    System {
        /// PEM.
        bundle: Option<PathBuf>,
    },
    /// The authorities in this file, PEM. It may be absent: then only the two verifying modes fail, as in libpq.
    File(PathBuf),
}

/// How the line is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether, and what is verified.
    pub mode: TlsMode,
    /// Whom we trust.
    pub root_cert: RootCert,
    /// Our certificate, PEM.
    pub cert: Option<PathBuf>,
    /// Its key, PEM; set when `cert` is.
    pub key: Option<PathBuf>,
}

impl Tls {
    pub(super) fn child_env(&self, set: &mut impl FnMut(&str, OsString)) {
        set(PGSSLMODE, self.mode.as_str().into());
        match &self.root_cert {
            // A path that is not there means the same to libpq, and keeps it from looking in a home of its own.
            RootCert::None => set(PGSSLROOTCERT, "/nonexistent".into()),
            // Clients before 16 take `system` for a file's name, so they are given the file.
            RootCert::System { bundle: Some(bundle) } => set(PGSSLROOTCERT, bundle.into()),
            RootCert::System { bundle: None } => set(PGSSLROOTCERT, "system".into()),
            RootCert::File(path) => set(PGSSLROOTCERT, path.into()),
        }
        if let Some(cert) = &self.cert {
            set(PGSSLCERT, cert.into());
        }
        if let Some(key) = &self.key {
            set(PGSSLKEY, key.into());
        }
    }
}

/// Where distributions keep the authorities; OpenSSL's own variable comes first.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

pub(super) fn resolve(reader: &mut Reader<'_>, home: Option<&Path>) -> Tls {
    for name in [PGSSLCRL, PGSSLCRLDIR] {
        if reader.value(name).is_some() {
            reader.fault(name, "lists of revoked certificates are not supported; unset it, or renew what was revoked");
        }
    }
    let mode = reader.parsed(PGSSLMODE, TlsMode::parse);
    let default = |name: &str| home.map(|home| home.join(".postgresql").join(name));
    let there = |reader: &Reader<'_>, path: &PathBuf| reader.environment.stat(path).is_some();
    let root_cert = match reader.value(PGSSLROOTCERT) {
        Some(text) if text == "system" => RootCert::System { bundle: bundle(reader.environment) },
        Some(path) => RootCert::File(path.into()),
        None => match default("root.crt").filter(|path| there(reader, path)) {
            Some(path) => RootCert::File(path),
            None => RootCert::None,
        },
    };
    let system = matches!(root_cert, RootCert::System { .. });
    if system && mode.is_some_and(|mode| mode < TlsMode::VerifyFull) {
        // As libpq: anyone can have a certificate of a public authority, so its name is all that tells.
        reader.fault(PGSSLMODE, format!("must be verify-full, or unset, with {PGSSLROOTCERT}=system"));
    }
    let set_cert = reader.value(PGSSLCERT).map(PathBuf::from);
    let cert = set_cert.or_else(|| default("postgresql.crt").filter(|path| there(reader, path)));
    let key = reader.value(PGSSLKEY).map(PathBuf::from).or_else(|| default("postgresql.key"));
    let key = cert.is_some().then_some(key).flatten();
    if cert.is_some() && key.is_none() {
        reader.fault(PGSSLKEY, format!("not set, but {PGSSLCERT} is"));
    }
    Tls { mode: mode.unwrap_or(if system { TlsMode::VerifyFull } else { TlsMode::Prefer }), root_cert, cert, key }
}

fn bundle(environment: &dyn Environment) -> Option<PathBuf> {
    let own = environment.get("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    own.into_iter()
        .chain(BUNDLES.into_iter().map(PathBuf::from))
        .find(|path| environment.stat(path).is_some_and(|kind| kind.is_file))
}
