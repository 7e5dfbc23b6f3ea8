//! Server certificates that OpenSSL accepts and webpki does not.
//!
//! PostgreSQL's manual has people sign with `openssl x509 -req` without extensions, which makes X.509 version 1, and run with a
//! certificate that signed itself and is its own root. libpq takes both, and takes the common name where no alternative
//! name of the right kind is there. webpki takes none of these. Nothing here is weaker than OpenSSL: the issuer's
//! signature and the time are always checked.

use std::fmt;
use std::net::IpAddr;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The certificate is not the named server's.
#[derive(Debug)]
pub struct WrongName {
    wanted: String,
    found: Vec<String>,
}

impl fmt::Display for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found[..] {
            [] => write!(f, "the server's certificate has no name, so it is not that of \"{}\"", self.wanted),
            names => {
                write!(f, "the server's certificate is for \"{}\", not for \"{}\"", names.join("\", \""), self.wanted)
            }
        }
    }
}

impl std::error::Error for WrongName {}

/// Whether it is older than version 3, which webpki does not read.
pub(super) fn is_old(der: &CertificateDer<'_>) -> bool {
    Certificate::from_der(der).is_ok_and(|parsed| parsed.tbs_certificate.version != Version::V3)
}

/// The key that the certificate is about.
pub(super) fn public_key(der: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let bytes = parse(der)?.tbs_certificate.subject_public_key_info.to_der().map_err(|_| bad_encoding())?;
    Ok(SubjectPublicKeyInfoDer::from(bytes))
}

/// Whether one of `roots` is this very certificate, or signed it itself.
pub(super) fn is_vouched_for(
    der: &CertificateDer<'_>,
    roots: &[CertificateDer<'_>],
    now: UnixTime,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    let Ok(server) = Certificate::from_der(der) else { return false };
    if !is_understood(&server) || !may_serve(&server) || !is_in_its_time(&server, now) {
        return false;
    }
    roots.iter().any(|root| {
        root == der
            || Certificate::from_der(root).is_ok_and(|root| {
                is_understood(&root)
                    && is_in_its_time(&root, now)
                    && may_sign(&root)
                    && root.tbs_certificate.subject == server.tbs_certificate.issuer
                    && is_signed_by(der, &server, &root, algorithms)
            })
    })
}

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// With critical extensions that we do not read, as constraints on names, a certificate says more than we know.
fn is_understood(certificate: &Certificate) -> bool {
    let known = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME];
    let mut extensions = certificate.tbs_certificate.extensions.iter().flatten();
    extensions.all(|extension| {
        (!extension.critical || known.contains(&extension.extn_id)) && extension.extn_id != NAME_CONSTRAINTS
    })
}

/// A server: one that names its purposes names this one.
fn may_serve(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, ExtendedKeyUsage(purposes)))) => purposes.contains(&SERVER_AUTH) || purposes.contains(&ANY_PURPOSE),
        Err(_) => false,
    }
}

/// An authority: of version 3 with the basic constraint that says so; older ones cannot say.
fn may_sign(root: &Certificate) -> bool {
    let tbs = &root.tbs_certificate;
    let is_authority = matches!(tbs.get::<BasicConstraints>(), Ok(Some((_, constraints))) if constraints.ca);
    let usage_fits = match tbs.get::<KeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, usage))) => usage.key_cert_sign(),
        Err(_) => false,
    };
    tbs.version != Version::V3 || (is_authority && usage_fits)
}

fn is_in_its_time(certificate: &Certificate, now: UnixTime) -> bool {
    let validity = &certificate.tbs_certificate.validity;
    let now = now.as_secs();
    validity.not_before.to_unix_duration().as_secs() <= now && now <= validity.not_after.to_unix_duration().as_secs()
}

fn is_signed_by(
    der: &[u8],
    server: &Certificate,
    root: &Certificate,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    let Some(signed) = signed_part(der) else { return false };
    let Some(signature) = server.signature.as_bytes() else { return false };
    if server.signature_algorithm != server.tbs_certificate.signature {
        return false;
    }
    let Ok(scheme) = algorithm_id(&server.signature_algorithm) else { return false };
    let key = &root.tbs_certificate.subject_public_key_info;
    let (Ok(key_kind), Some(key)) = (algorithm_id(&key.algorithm), key.subject_public_key.as_bytes()) else {
        return false;
    };
    algorithms
        .iter()
        .filter(|known| known.signature_alg_id().as_ref() == scheme && known.public_key_alg_id().as_ref() == key_kind)
        .any(|known| known.verify_signature(key, signed, signature).is_ok())
}

/// What the issuer signed: the first element within the outer sequence, byte for byte.
fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    reader.tlv_bytes().ok()
}

/// An algorithm as webpki names it: the inside of its sequence.
fn algorithm_id(algorithm: &x509_cert::spki::AlgorithmIdentifierOwned) -> Result<Vec<u8>, x509_cert::der::Error> {
    let mut inside = algorithm.oid.to_der()?;
    if let Some(parameters) = &algorithm.parameters {
        inside.extend(parameters.to_der()?);
    }
    Ok(inside)
}

/// The server's proof in TLS 1.2 that it has the key, for certificates that webpki does not read.
pub(super) fn verify_tls12_signature(
    message: &[u8],
    der: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = parse(der)?;
    let key = &certificate.tbs_certificate.subject_public_key_info;
    let kind = algorithm_id(&key.algorithm).map_err(|_| bad_encoding())?;
    let key = key.subject_public_key.as_bytes().ok_or_else(bad_encoding)?;
    let known =
        algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme).flat_map(|(_, known)| known.iter());
    let holds = known
        .filter(|known| known.public_key_alg_id().as_ref() == kind)
        .any(|known| known.verify_signature(key, message, dss.signature()).is_ok());
    if holds {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

/// Whether the certificate is the named server's, as libpq decides: alternative names, and the common name where there is no
/// alternative name of the wanted kind.
pub(super) fn verify_name(der: &CertificateDer<'_>, wanted: &ServerName<'_>) -> Result<(), WrongName> {
    let wanted = wanted.to_str().into_owned();
    let ip = wanted.parse::<IpAddr>().ok();
    let mut found = Vec::new();
    let mut use_common_name = true;
    let mut fits = false;
    if let Ok(certificate) = Certificate::from_der(der) {
        if let Ok(Some((_, SubjectAltName(names)))) = certificate.tbs_certificate.get::<SubjectAltName>() {
            for name in names {
                match name {
                    GeneralName::DnsName(name) => {
                        use_common_name &= ip.is_some();
                        fits |= name_fits(name.as_str(), &wanted, ip.is_some());
                        found.push(name.to_string());
                    }
                    GeneralName::IpAddress(bytes) => {
                        let address = address_of(bytes.as_bytes());
                        use_common_name &= ip.is_none();
                        fits |= address.is_some() && address == ip;
                        found.extend(address.map(|address| address.to_string()));
                    }
                    _ => {}
                }
            }
        }
        if use_common_name && let Some(name) = common_name(&certificate) {
            fits |= name_fits(&name, &wanted, ip.is_some());
            found.push(name);
        }
    }
    if fits { Ok(()) } else { Err(WrongName { wanted, found }) }
}

/// A star stands for one whole label at the beginning, and never in an address.
fn name_fits(pattern: &str, wanted: &str, is_address: bool) -> bool {
    if pattern.eq_ignore_ascii_case(wanted) {
        return true;
    }
    match (pattern.strip_prefix('*'), wanted.split_once('.')) {
        (Some(tail), Some((label, rest))) if !is_address && !label.is_empty() && tail.len() > 1 => {
            tail.strip_prefix('.').is_some_and(|tail| tail.eq_ignore_ascii_case(rest))
        }
        _ => false,
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let names = certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    let value = names.filter(|part| part.oid == COMMON_NAME).map(|part| part.value.value()).next()?;
    // A zero byte is the old trick against readers that stop there.
    String::from_utf8(value.to_vec()).ok().filter(|name| !name.contains('\0'))
}

fn parse(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|_| bad_encoding())
}

fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_at_the_beginning() {
        assert!(name_fits("*.example.org", "db.Example.org", false));
        assert!(name_fits("DB", "db", false));
        for (pattern, wanted) in [
            ("*.example.org", "a.b.example.org"),
            ("*.example.org", "example.org"),
            ("*", "db"),
            ("*.", "db."),
            ("d*.org", "db.org"),
        ] {
            assert!(!name_fits(pattern, wanted, false), "{pattern} {wanted}");
        }
        assert!(!name_fits("*.0.0.1", "127.0.0.1", true));
    }
}
