//! Who is told how a run ended, besides whoever reads its log.

use std::path::PathBuf;

use super::bucket;
use super::names::*;
use super::reader::Reader;
use super::secret::Secret;

/// Where metrics and heartbeats go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// The file for a textfile collector.
    pub metrics_file: Option<PathBuf>,
    /// The Pushgateway, `http://…` or `https://…` without a slash at its end; may hold a password.
    pub pushgateway: Option<Secret>,
    /// Who watches the backups; the path is often all that is needed to speak for us.
    pub heartbeat: Option<Secret>,
    /// Who watches the drills.
    pub drill_heartbeat: Option<Secret>,
    /// Certificate authorities besides the usual ones, PEM.
    pub certificate_file: Option<PathBuf>,
}

pub(super) fn resolve(reader: &mut Reader<'_>) -> Notify {
    Notify {
        metrics_file: reader.value(BKP_METRICS_FILE).map(PathBuf::from),
        pushgateway: reader.parsed(BKP_PUSHGATEWAY_URL, base),
        heartbeat: reader.parsed(BKP_HEARTBEAT_URL, url),
        drill_heartbeat: reader.parsed(BKP_DRILL_HEARTBEAT_URL, url),
        certificate_file: bucket::path(reader, CERTIFICATE_FILE),
    }
}

/// What it must be, never what it is.
fn url(text: &str) -> Result<Secret, String> {
    let is_one = reqwest::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    match is_one {
        true => Ok(Secret::new(text.to_owned())),
        false => Err("must be a URL that begins with http:// or https://".to_owned()),
    }
}

/// A URL that paths are put behind.
fn base(text: &str) -> Result<Secret, String> {
    let plain = url(text)?.expose().trim_end_matches('/').to_owned();
    match plain.contains(['?', '#']) {
        true => Err("must be a URL without ? and #".to_owned()),
        false => Ok(Secret::new(plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_told_without_its_value() {
        for (parse, wrong) in [
            (url as fn(&str) -> Result<Secret, String>, "hc-ping.com/c4n4ry"),
            (url, "ftp://host/c4n4ry"),
            (url, "http:///c4n4ry"),
            (base, "http://gate:9091/?c4n4ry"),
        ] {
            // `http:///x` is the host `x` to those who write the standard.
            let Err(why) = parse(wrong) else { continue };
            assert!(!why.contains("c4n4ry"), "{why}");
        }
        assert_eq!(
            base("http://u:p@gate:9091/").map(|url| url.expose().to_owned()).as_deref(),
            Ok("http://u:p@gate:9091")
        );
        assert!(url("ftp://host/").is_err() && url("host/path").is_err());
    }
}
