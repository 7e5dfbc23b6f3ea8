//! Sessions with a real PostgreSQL 15: every TLS mode, certificates as people make them, and each way to fail.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use bkp::settings::environment::Made;
use bkp::settings::{Overrides, Postgres, resolve};
use bkp::sources::postgres::connect::{ConnectError, Session};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const NOBODY: u32 = 65534;

/// A server that lives as long as the tests do.
struct Server {
    directory: PathBuf,
    port: u16,
}

impl Server {
    fn start(extra: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("bkp-connect-").tempdir().unwrap().keep();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { directory, port };
        server.certificates();
        chown(&server.directory, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(&server.directory, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(server.path("password"), "r00t pass").unwrap();
        let data = server.path("data");
        let pwfile = format!("--pwfile={}", server.path("password"));
        server.postgres("initdb", &["-D", &data, "-U", "root", "-A", "scram-sha-256", &pwfile, "--no-sync"]);
        fs::write(server.path("data/pg_hba.conf"), HBA).unwrap();
        for key in ["server.key", "old.key", "self.key"] {
            chown(server.path(key), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut options = format!(
            "-c ssl=on -c ssl_cert_file={0}/server.crt -c ssl_key_file={0}/server.key -c ssl_ca_file={0}/root.crt \
             -c listen_addresses=127.0.0.1,localhost -c port={1} -c unix_socket_directories={0} -c fsync=off -c max_connections=12",
            server.directory.display(),
            server.port
        );
        for option in extra {
            options += &format!(" -c {}", option.replace("DIR", &server.directory.display().to_string()));
        }
        let log = server.path("log");
        server.postgres("pg_ctl", &["-D", &data, "-w", "-s", "-l", &log, "-o", &options, "start"]);
        server
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn postgres(&self, program: &str, arguments: &[&str]) {
        let program = format!("{PROGRAMS}/{program}");
        let mut all = vec!["--reuid=65534", "--regid=65534", "--clear-groups", &program];
        all.extend(arguments);
        // A server keeps what it inherits open, so nothing of it may be a pipe of ours.
        run(Command::new("setpriv").args(all).current_dir("/"), self.path("out"));
    }

    /// A root, a server's certificate as of today, one as PostgreSQL's manual makes it (version 1), one that signed itself,
    /// another root, and a client's.
    fn certificates(&self) {
        let make = format!(
            r#"set -e; cd {}
            root() {{ openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1 root" -keyout $1.key -out $1.crt; }}
            request() {{ openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout $1.key -out $1.csr; }}
            root root; root other
            request server wrong.example
            printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > san
            openssl x509 -req -in server.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -extfile san -out server.crt
            request old localhost
            openssl x509 -req -in old.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -out old.crt
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout self.key -out self.crt
            request client certified
            openssl x509 -req -in client.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -out client.crt
            chmod 600 *.key"#,
            self.directory.display()
        );
        run(Command::new("sh").args(["-c", &make]), self.path("out"));
    }

    /// Settings as a cluster would have them.
    fn settings(&self, variables: &[(&str, &str)]) -> Postgres {
        let port = self.port.to_string();
        let mut all = vec![
            ("POSTGRES_HOST", "localhost"),
            ("POSTGRES_PORT", &port),
            ("PGUSER", "root"),
            ("PGPASSWORD", "r00t pass"),
        ];
        all.extend(variables);
        resolve(&Made::of(&all), &Overrides::default()).unwrap().postgres.unwrap()
    }

    async fn connect(&self, variables: &[(&str, &str)]) -> Result<Session, ConnectError> {
        Session::connect(&self.settings(variables), "postgres", "bkp test").await
    }
}

const HBA: &str = "
local   all all           scram-sha-256
hostssl all tls_only      all scram-sha-256
hostnossl all plain_only  all scram-sha-256
hostssl all certified     all cert
host    all refused       all reject
hostssl all tls_only,plain_only all reject
host    all all           all scram-sha-256
";

fn run(command: &mut Command, out: impl AsRef<Path> + AsRef<OsStr>) {
    let file = fs::File::create(&out).unwrap();
    let status =
        command.stdout(file.try_clone().unwrap()).stderr(file).stdin(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {}", fs::read_to_string(Path::new(&out)).unwrap());
}

/// Stops the servers when the tests end: PostgreSQL outlives us otherwise.
#[expect(clippy::zombie_processes, reason = "it is to outlive us")]
fn watch(server: &Server) {
    let script = format!(
        "while kill -0 {} 2>/dev/null; do sleep 0.2; done; kill -INT $(head -1 {1}/data/postmaster.pid); sleep 1; rm -rf {1}",
        std::process::id(),
        server.directory.display()
    );
    let null = std::process::Stdio::null;
    Command::new("setsid").args(["sh", "-c", &script]).stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(&[]);
        watch(&server);
        server
    })
}

/// The same with another certificate.
fn server_with(certificate: &str) -> Server {
    let server = Server::start(&[
        &format!("ssl_cert_file=DIR/{certificate}.crt"),
        &format!("ssl_key_file=DIR/{certificate}.key"),
    ]);
    watch(&server);
    server
}

async fn is_protected(session: &Session) -> bool {
    session.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// The whole chain, as the edge prints it.
fn chain(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_knows_its_server() {
    let session = server().connect(&[]).await.unwrap();
    assert_eq!(session.server_version_major(), 15);
    assert!(session.server_version_num() > 150_000);
    assert!(session.is_superuser().await.unwrap());
    let name: String = session.query_one("SHOW application_name", &[]).await.unwrap().get(0);
    assert_eq!(name, "bkp test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_used_without_tls_in_every_mode() {
    let directory = server().directory.display().to_string();
    for mode in ["disable", "prefer", "require", "verify-full"] {
        let session = server().connect(&[("POSTGRES_HOST", &directory), ("PGSSLMODE", mode)]).await.unwrap();
        assert!(!is_protected(&session).await, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_protects_the_line_as_libpq_does() {
    for (mode, protected) in [("disable", false), ("allow", false), ("prefer", true), ("require", true)] {
        let session = server().connect(&[("PGSSLMODE", mode)]).await.unwrap();
        assert_eq!(is_protected(&session).await, protected, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_answers_are_those_of_libpq() {
    // Where libpq gets in and whether it is protected, asked of the real psql with the same settings and environment.
    let server = server();
    for role in ["tls_only", "plain_only"] {
        let session = server.connect(&[]).await.unwrap();
        session
            .batch_execute(&format!("DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'r00t pass'"))
            .await
            .unwrap();
    }
    let (root, other) = (server.path("root.crt"), server.path("other.crt"));
    for mode in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
        for trust in ["/absent", &root, &other] {
            for (host, address) in
                [("localhost", "127.0.0.1"), ("elsewhere.example", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")]
            {
                for user in ["root", "tls_only", "plain_only"] {
                    let variables = [
                        ("POSTGRES_HOST", ""),
                        ("PGHOST", host),
                        ("PGHOSTADDR", address),
                        ("PGUSER", user),
                        ("PGSSLMODE", mode),
                        ("PGSSLROOTCERT", trust),
                    ];
                    let postgres = server.settings(&variables);
                    let ours = match Session::connect(&postgres, "postgres", "x").await {
                        Ok(session) => Ok(is_protected(&session).await),
                        Err(error) => Err(chain(&error)),
                    };
                    let libpq = psql(&postgres, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                        .map(|word| word == "t");
                    assert_eq!(
                        ours.clone().ok(),
                        libpq.clone().ok(),
                        "{mode} {trust} {host} {user}: {ours:?} {libpq:?}"
                    );
                }
            }
        }
    }
}

/// What the real psql says, with the environment that its kin would get from us and nothing else.
fn psql(postgres: &Postgres, query: &str) -> Result<String, String> {
    let output = Command::new(format!("{PROGRAMS}/psql"))
        .args(["-XAtc", query])
        .env_clear()
        .envs(postgres.child_env("postgres", "bkp"))
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().into()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_as_the_manual_makes_them_are_accepted_by_their_root_alone() {
    for (certificate, root) in [("old", "root"), ("self", "self")] {
        let server = server_with(certificate);
        for mode in ["prefer", "require", "verify-ca", "verify-full"] {
            for version in ["TLSv1.2", "TLSv1.3"] {
                server
                    .connect(&[])
                    .await
                    .unwrap()
                    .batch_execute(&format!("ALTER SYSTEM SET ssl_max_protocol_version = '{version}'"))
                    .await
                    .unwrap();
                server.connect(&[]).await.unwrap().batch_execute("SELECT pg_reload_conf()").await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
                let trust = server.path(&format!("{root}.crt"));
                let session = server.connect(&[("PGSSLMODE", mode), ("PGSSLROOTCERT", &trust)]).await;
                let session =
                    session.unwrap_or_else(|error| panic!("{certificate} {mode} {version}: {}", chain(&error)));
                assert!(is_protected(&session).await, "{certificate} {mode} {version}");
            }
        }
        let trust = server.path("other.crt");
        let error = server.connect(&[("PGSSLMODE", "require"), ("PGSSLROOTCERT", &trust)]).await.err().unwrap();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_way_in() {
    let server = server();
    server.connect(&[]).await.unwrap().batch_execute("CREATE ROLE certified LOGIN").await.unwrap();
    let (cert, key) = (server.path("client.crt"), server.path("client.key"));
    let with = [("PGUSER", "certified"), ("PGPASSWORD", ""), ("PGSSLCERT", cert.as_str()), ("PGSSLKEY", key.as_str())];
    assert!(is_protected(&server.connect(&with).await.unwrap()).await);
    let error = server.connect(&with[..2]).await.err().unwrap();
    assert!(!matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_own_name_and_hint() {
    let server = server();
    let error = async |variables: &[(&str, &str)]| server.connect(variables).await.err().unwrap();
    let wrong = error(&[("PGPASSWORD", "c4n4ry")]).await;
    assert!(matches!(wrong, ConnectError::WrongPassword { missing: false, .. }), "{wrong:?}");
    assert!(!format!("{} {wrong:?}", chain(&wrong)).contains("c4n4ry") && wrong.hint().is_some());
    let none = error(&[("PGPASSWORD", "")]).await;
    assert!(matches!(none, ConnectError::WrongPassword { missing: true, .. }), "{none:?}");
    let refused = error(&[("PGUSER", "refused")]).await;
    assert!(matches!(refused, ConnectError::NotAdmitted { .. }), "{refused:?}");
    let nobody = error(&[("POSTGRES_PORT", "1")]).await;
    assert!(matches!(nobody, ConnectError::Unreachable { .. }), "{nobody:?}");
    let nowhere = error(&[("POSTGRES_HOST", "no-such-host.invalid")]).await;
    assert!(matches!(nowhere, ConnectError::Unreachable { .. }), "{nowhere:?}");
    let socket = error(&[("POSTGRES_HOST", "/nonexistent")]).await;
    assert!(
        matches!(socket, ConnectError::Unreachable { .. }) && socket.hint().unwrap().contains("socket"),
        "{socket:?}"
    );
    let root = error(&[("PGSSLMODE", "verify-full")]).await;
    assert!(chain(&root).contains("PGSSLROOTCERT"), "{}", chain(&root));
    let absent = Session::connect(&server.settings(&[]), "absent", "x").await.err().unwrap();
    assert!(matches!(absent, ConnectError::NoDatabase { .. }), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_special_character_of_a_password_gets_in_by_both_ways() {
    let server = server();
    let admin = server.connect(&[]).await.unwrap();
    for password in [":lead", "trail  ", "q'uo\"te\\", "a:b\\:c", "€ ñ", "$(x) `y` %s", "#*"] {
        let quoted = password.replace('\'', "''");
        admin
            .batch_execute(&format!("DROP ROLE IF EXISTS odd; CREATE ROLE odd LOGIN PASSWORD '{quoted}'"))
            .await
            .unwrap();
        let postgres = server.settings(&[("PGUSER", "odd"), ("PGPASSWORD", password)]);
        Session::connect(&postgres, "postgres", "x")
            .await
            .unwrap_or_else(|error| panic!("{password}: {}", chain(&error)));
        assert_eq!(psql(&postgres, "SELECT 1").as_deref(), Ok("1"), "{password}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_and_one_that_hangs_are_told_apart() {
    let server = Server::start(&["max_connections=4", "superuser_reserved_connections=0"]);
    watch(&server);
    let mut open = Vec::new();
    let error = loop {
        match server.connect(&[]).await {
            Ok(session) => open.push(session),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ConnectError::TooManyConnections { .. }), "{error:?}");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let hangs = server.connect(&[("POSTGRES_PORT", &port), ("PGCONNECT_TIMEOUT", "1")]).await.err().unwrap();
    assert!(matches!(hangs, ConnectError::Unreachable { .. }), "{hangs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_starting_up_is_waited_for() {
    // A server of three answers: twice that it is starting up, then the real one's.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let real = server().port;
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut line, _) = listener.accept().await.unwrap();
            if turn >= 2 {
                let mut onward = tokio::net::TcpStream::connect(("127.0.0.1", real)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut line, &mut onward).await;
                continue;
            }
            let _ = line.read(&mut [0; 1024]).await;
            let mut answer = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0".to_vec();
            let mut message = vec![b'E'];
            message.extend((answer.len() as u32 + 4).to_be_bytes());
            message.append(&mut answer);
            line.write_all(&message).await.unwrap();
        }
    });
    let session = server().connect(&[("POSTGRES_PORT", &port), ("PGSSLMODE", "disable")]).await.unwrap();
    assert_eq!(session.server_version_major(), 15);
}
