//! Finds the server among three generations of names.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::names::*;
use super::super::passfile::PassFile;
use super::super::reader::Reader;
use super::super::span::whole;
use super::address::{Address, Port, address, libpq_host, port, port_or_link};
use super::{Databases, Host, Postgres, SOCKET_DIRECTORIES, tls};

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// PostgreSQL cuts longer names short, silently: the wrong database would be asked for.
const NAME_LIMIT_BYTES: usize = 63;

/// Given to client programs as they are.
const PASSED_ON: [&str; 10] = [
    PGOPTIONS,
    PGCHANNELBINDING,
    PGSSLNEGOTIATION,
    PGSSLSNI,
    PGSSLMINPROTOCOLVERSION,
    PGSSLMAXPROTOCOLVERSION,
    PGREQUIREPEER,
    PGREQUIREAUTH,
    PGGSSENCMODE,
    PGKRBSRVNAME,
];

pub(in super::super) fn resolve(reader: &mut Reader<'_>) -> Option<Postgres> {
    if reader.value(PGSERVICE).is_some() {
        reader.fault(PGSERVICE, format!("service files are not supported; set {POSTGRES_HOST}, {POSTGRES_USER} and {POSTGRES_DB}, or {PGHOST}, {PGUSER} and {PGDATABASE}"));
    }
    let account = reader.environment.account();
    let (host, port, address) = server(reader);
    let user = reader.first(&[POSTGRES_USER, PGUSER]).map(|found| found.value).or(account.name);
    if user.is_none() {
        reader.fault(POSTGRES_USER, "not set, and the account that bkp runs as has no name");
    }
    let password = reader.secret(POSTGRES_PASSWORD);
    let libpq_password = reader.secret(PGPASSWORD);
    let connect_timeout =
        reader.parsed(PGCONNECT_TIMEOUT, |text| whole(text).ok_or_else(|| "must be whole seconds".into()));
    let databases = databases(reader);
    let maintenance = reader.parsed(BKP_MAINTENANCE_DB, name);
    let passfile = passfile(reader, account.home.as_deref());
    let tls = tls::resolve(reader, account.home.as_deref());
    let other = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), reader.value(name)?))).collect();
    Some(Postgres {
        host,
        address,
        port,
        user: user?,
        password: password.or(libpq_password),
        passfile,
        databases,
        maintenance,
        tls,
        connect_timeout: match connect_timeout {
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => Some(DEFAULT_CONNECT_TIMEOUT),
        },
        other,
    })
}

/// The host, the port and the address to use instead of the host's.
fn server(reader: &mut Reader<'_>) -> (Host, u16, Option<IpAddr>) {
    let named = reader.first(&[POSTGRES_SERVICE, POSTGRES_HOST, DB_HOST, PGHOST]);
    let from_libpq = named.as_ref().is_none_or(|found| found.name == PGHOST);
    let named = named.map(|found| {
        let parse = if from_libpq { libpq_host } else { address };
        // A faulty address is told as such; the default in its place is never used.
        reader.accept(found, parse).unwrap_or(Address { host: Host::Tcp("localhost".into()), port: None })
    });
    let hostaddr =
        reader.parsed(PGHOSTADDR, |text| text.parse::<IpAddr>().map_err(|_| "must be one numeric address".into()));
    let hostaddr = match hostaddr {
        Some(_) if !from_libpq => {
            reader.warn(format!("{PGHOSTADDR} is ignored: the server is named by a variable above it"));
            None
        }
        hostaddr => hostaddr,
    };
    let libpq_port = reader.parsed(PGPORT, port);
    let mut fallback = named.clone();
    let mut explicit = None;
    match reader.parsed(POSTGRES_PORT, port_or_link) {
        Some(Port::Number(port)) => explicit = Some(port),
        Some(Port::ServiceLink(link)) => {
            let own = |address: &Address| matches!(&address.host, Host::Tcp(host) if host.split('.').next() == Some("postgres"));
            match &mut fallback {
                // Nothing else names a server, so the service called `postgres` of our own namespace it is.
                None if hostaddr.is_none() => fallback = Some(link),
                Some(address) if own(address) => address.port = address.port.or(link.port),
                _ => reader.warn(format!(
                    "{POSTGRES_PORT} is ignored: Kubernetes set it for a service that is not the server named"
                )),
            }
        }
        None => {}
    }
    let stated = fallback.as_ref().and_then(|address| address.port);
    let port = explicit.or(stated).or(libpq_port).unwrap_or(DEFAULT_PORT);
    let host = match (fallback, hostaddr) {
        (Some(address), _) => address.host,
        (None, Some(hostaddr)) => Host::Tcp(hostaddr.to_string()),
        (None, None) => local(reader, port),
    };
    (host, port, hostaddr)
}

fn local(reader: &Reader<'_>, port: u16) -> Host {
    let name = format!(".s.PGSQL.{port}");
    for directory in SOCKET_DIRECTORIES {
        if reader.environment.stat(&Path::new(directory).join(&name)).is_some() {
            return Host::Socket(directory.into());
        }
    }
    Host::Tcp("localhost".into())
}

fn databases(reader: &mut Reader<'_>) -> Databases {
    let Some(found) = reader.first(&[BKP_DATABASES, POSTGRES_DB, PGDATABASE]) else { return Databases::All };
    let list = found.name == BKP_DATABASES;
    let parsed = reader.accept(found, |text| match text {
        "all" if list => Ok(Databases::All),
        _ if list => {
            let mut names = Vec::new();
            for part in text.split(',') {
                let name = name(part.trim())?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Ok(Databases::Named(names))
        }
        _ => Ok(Databases::Named(vec![name(text)?])),
    });
    parsed.unwrap_or(Databases::All)
}

fn name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("has an empty name".into()),
        1..=NAME_LIMIT_BYTES => Ok(text.into()),
        _ => Err(format!("has a name longer than PostgreSQL's {NAME_LIMIT_BYTES} bytes")),
    }
}

/// As libpq: a file that others can read is not used, and said; one that is not there is no fault.
fn passfile(reader: &mut Reader<'_>, home: Option<&Path>) -> PassFile {
    let Some(path) = reader.value(PGPASSFILE).map(PathBuf::from).or_else(|| home.map(|home| home.join(".pgpass")))
    else {
        return PassFile::default();
    };
    let Some(kind) = reader.environment.stat(&path) else { return PassFile::default() };
    if !kind.is_file {
        reader.warn(format!("{} is not used for passwords: it is not a plain file", path.display()));
        return PassFile::default();
    }
    if kind.mode & 0o077 != 0 {
        reader.warn(format!(
            "{} is not used for passwords: others can read it; it should have mode 0600",
            path.display()
        ));
        return PassFile::default();
    }
    match reader.environment.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => PassFile::parse(&text),
        Ok(Err(_)) => {
            reader.fault(PGPASSFILE, format!("{} is not UTF-8", path.display()));
            PassFile::default()
        }
        Err(error) => {
            reader.warn(format!("{} is not used for passwords: {error}", path.display()));
            PassFile::default()
        }
    }
}
