//! The forms in which a server's address comes: `host`, `host:port`, `[v6]:port`, `tcp://host:port` and a socket directory.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::Host;

/// A host and the port that stood with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub host: Host,
    pub port: Option<u16>,
}

/// Reads any form but `tcp://`.
pub(super) fn address(text: &str) -> Result<Address, String> {
    if text.starts_with('/') {
        return Ok(Address { host: Host::Socket(PathBuf::from(text)), port: None });
    }
    if text.contains(',') {
        return Err("must be one server; of several, name the primary, or a service that leads to it".into());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or("lacks the ] of an IPv6 address")?;
        inside.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address between [ and ]")?;
        let port = match after.strip_prefix(':') {
            Some(text) => Some(port(text)?),
            None if after.is_empty() => None,
            None => return Err("must be [address]:port".into()),
        };
        return Ok(Address { host: Host::Tcp(inside.into()), port });
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(Address { host: Host::Tcp(text.into()), port: None });
    }
    let (name, port) = match text.split_once(':') {
        Some((name, text)) => (name, Some(port(text)?)),
        None => (text, None),
    };
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        return Err("must be host, host:port, [address]:port or a socket directory".into());
    }
    Ok(Address { host: Host::Tcp(name.into()), port })
}

/// Reads `PGHOST`, which as libpq has it never holds a port.
pub(super) fn libpq_host(text: &str) -> Result<Address, String> {
    match address(text)? {
        Address { port: Some(_), .. } => Err("must be a host alone; its port belongs in PGPORT".into()),
        address => Ok(address),
    }
}

/// Reads a port: 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err("must have a port from 1 to 65535".into()),
    }
}

/// What `POSTGRES_PORT` holds: a port, or what Kubernetes puts there for a service called `postgres`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Port {
    Number(u16),
    ServiceLink(Address),
}

pub(super) fn port_or_link(text: &str) -> Result<Port, String> {
    match text.strip_prefix("tcp://") {
        Some(rest) => match address(rest)? {
            address @ Address { host: Host::Tcp(_), port: Some(_) } => Ok(Port::ServiceLink(address)),
            _ => Err("must be a port, or tcp://host:port".into()),
        },
        None => port(text).map(Port::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: Option<u16>) -> Address {
        Address { host: Host::Tcp(host.into()), port }
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(address("db").unwrap(), tcp("db", None));
        assert_eq!(address("postgresql-service:5432").unwrap(), tcp("postgresql-service", Some(5432)));
        assert_eq!(address("[fd00::1]:5433").unwrap(), tcp("fd00::1", Some(5433)));
        assert_eq!(address("[::1]").unwrap(), tcp("::1", None));
        assert_eq!(address("::1").unwrap(), tcp("::1", None));
        assert_eq!(address("/run/postgresql").unwrap().host, Host::Socket("/run/postgresql".into()));
        for wrong in [
            "",
            "a,b",
            "db:",
            "db:0",
            "db:65536",
            "db:+1",
            ":5432",
            "[::1",
            "[db]:1",
            "[::1]5",
            "a b",
            "@abstract",
            "tcp://x:1",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_link_is_no_port() {
        assert_eq!(port_or_link("5432").unwrap(), Port::Number(5432));
        assert_eq!(port_or_link("tcp://10.0.0.1:5432").unwrap(), Port::ServiceLink(tcp("10.0.0.1", Some(5432))));
        assert!(port_or_link("udp://10.0.0.1:5432").is_err() && port_or_link("tcp://10.0.0.1").is_err());
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(text in ".*") {
            let _ = (address(&text), port_or_link(&text), libpq_host(&text));
        }
    }
}
