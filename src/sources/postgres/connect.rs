//! Control sessions: a client, the task that serves it, and what went wrong in words that help.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use super::connect_error::ConnectError;
use super::tls;
use crate::settings::names::{PGCHANNELBINDING, PGOPTIONS};
use crate::settings::postgres::TlsMode;
use crate::settings::{Host, Postgres};

/// A dead server must not hold a run for hours: gone after about 30 + 3 × 10 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long a session may take to say that it is at nothing, and a server to take the wish that it were.
const IDLE: Duration = Duration::from_millis(500);
const CANCEL: Duration = Duration::from_secs(5);
/// How often a server that is starting up is asked again.
const STARTING_UP_PAUSE: Duration = Duration::from_millis(250);
/// How long such a server is waited for where attempts have no limit of their own.
const STARTING_UP_LIMIT: Duration = Duration::from_secs(60);

/// What an account, a database or a server may set for every session, and what would end ours while pg_dump or psql work, or
/// hinder them; and how strings of a dump's own statements are read. Each major knows some of these; none of them needs a right.
const UNHINDERED: &str = "SELECT pg_catalog.set_config(name, CASE name WHEN 'default_transaction_read_only' THEN 'off'
        WHEN 'standard_conforming_strings' THEN 'on' WHEN 'search_path' THEN '' ELSE '0' END, false)
    FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
        'idle_session_timeout', 'transaction_timeout', 'default_transaction_read_only', 'standard_conforming_strings', 'search_path')";

/// A session; ends when dropped. Used as the [`Client`] that it is.
pub struct Session {
    client: Client,
    server_version_num: u32,
    database: String,
    /// How it was opened, for another one like it.
    opened: (Postgres, String),
    tls: Option<MakeRustlsConnect>,
    gate: Arc<Gate>,
}

/// Whether a session may read what the server has sent.
#[derive(Debug, Default)]
struct Gate {
    shut: AtomicBool,
    waiting: AtomicWaker,
}

impl Gate {
    fn is_shut(&self, context: &Context<'_>) -> bool {
        self.waiting.register(context.waker());
        self.shut.load(Ordering::SeqCst)
    }
}

/// Keeps a session from reading on until it is dropped.
#[derive(Debug)]
pub struct Held(Arc<Gate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.shut.store(false, Ordering::SeqCst);
        self.0.waiting.wake();
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// Opens a session, as libpq would with the same settings. While the server is starting up it is asked again, for as
    /// long as an attempt to connect may take.
    ///
    /// # Errors
    /// Why there is no session; never holds the password.
    pub async fn connect(postgres: &Postgres, database: &str, application_name: &str) -> Result<Self, ConnectError> {
        let give_up = Instant::now() + postgres.connect_timeout.unwrap_or(STARTING_UP_LIMIT);
        loop {
            match attempt(postgres, database, application_name).await {
                Err(ConnectError::StartingUp { .. }) if Instant::now() + STARTING_UP_PAUSE < give_up => {
                    sleep(STARTING_UP_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The database that the session is in.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Another session like this one, in another database of the server.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn in_database(&self, database: &str) -> Result<Session, ConnectError> {
        let (postgres, application_name) = &self.opened;
        Session::connect(postgres, database, application_name).await
    }

    /// Ends what the session is still at on the server. Whoever stops waiting for a statement does not end it there: it works on, or waits
    /// for somebody's lock, and whatever is asked next waits behind it.
    pub async fn interrupt(&self) {
        let mut idle = pin!(self.client.batch_execute(""));
        while timeout(IDLE, idle.as_mut()).await.is_err() {
            // By a connection of its own, which needs neither an account nor a free slot; perhaps it finds the statement's end.
            let (token, tls) = (self.client.cancel_token(), self.tls.clone());
            let cancelled = timeout(CANCEL, async move {
                match tls {
                    Some(tls) => token.cancel_query(tls).await,
                    None => token.cancel_query(NoTls).await,
                }
            });
            if let Ok(Err(error)) = cancelled.await {
                tracing::debug!(%error, "a statement that nobody waits for cannot be cancelled yet");
            }
        }
    }

    /// Reads nothing more from the server for now: a session reads ahead of whoever asks, some messages however long they are, which
    /// for long rows is too much.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.gate.shut.store(true, Ordering::SeqCst);
        Held(self.gate.clone())
    }

    /// As the server numbers itself: 150014 is 15.14.
    #[must_use]
    pub fn server_version_num(&self) -> u32 {
        self.server_version_num
    }

    /// The major version: 15.
    #[must_use]
    pub fn server_version_major(&self) -> u32 {
        self.server_version_num / 10_000
    }

    /// Whether the account of this session is a superuser.
    ///
    /// # Errors
    /// The session's.
    pub async fn is_superuser(&self) -> Result<bool, tokio_postgres::Error> {
        Ok(self.word("SHOW is_superuser").await?.as_deref() == Some("on"))
    }

    /// The first column of the first row.
    async fn word(&self, query: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let answer = self.client.simple_query(query).await?;
        Ok(answer.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }
}

/// One line of libpq's plan for a mode: what to ask for, and whether TLS is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Plain,
    /// TLS where the server has it, else plain.
    TlsIfOffered,
    Tls,
}

fn lines(postgres: &Postgres) -> &'static [Line] {
    match (&postgres.host, postgres.tls.mode) {
        // libpq has no TLS on sockets, whatever the mode.
        (Host::Socket(_), _) | (_, TlsMode::Disable) => &[Line::Plain],
        (_, TlsMode::Allow) => &[Line::Plain, Line::Tls],
        (_, TlsMode::Prefer) => &[Line::TlsIfOffered, Line::Plain],
        (_, TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull) => &[Line::Tls],
    }
}

async fn attempt(postgres: &Postgres, database: &str, application_name: &str) -> Result<Session, ConnectError> {
    let mut refused: Option<ConnectError> = None;
    for line in lines(postgres) {
        match open(postgres, database, application_name, *line).await {
            Ok(session) => return Ok(session),
            // Only what another kind of line may mend. A wrong password is not sent again over a plain one.
            Err(error) if !error.depends_on_tls() => {
                // A plain line that wants a password we were never given: the TLS line, with its certificate, was the way.
                return Err(refused.filter(|_| error.lacks_password()).unwrap_or(error));
            }
            // Of two errors the one of the TLS line tells more.
            Err(error) if *line == Line::Plain => refused = refused.or(Some(error)),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| ConnectError::other("there is no way to connect")))
}

async fn open(
    postgres: &Postgres,
    database: &str,
    application_name: &str,
    line: Line,
) -> Result<Session, ConnectError> {
    let place = || place(postgres);
    let mut config = config(postgres, database, application_name);
    let tls = match line {
        Line::Plain => None,
        Line::TlsIfOffered | Line::Tls => {
            config.ssl_mode(if line == Line::Tls { SslMode::Require } else { SslMode::Prefer });
            let setup = |source| ConnectError::Tls { place: place(), source: Box::new(source) };
            Some(tls::connector(&postgres.tls).map_err(setup)?)
        }
    };
    let gate = Arc::new(Gate::default());
    let opening = async {
        let client = match &tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(serve(connection, gate.clone()));
                client
            }
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(serve(connection, gate.clone()));
                client
            }
        };
        let opened = (postgres.clone(), application_name.to_owned());
        let database = database.to_owned();
        let mut session = Session { client, server_version_num: 0, database, opened, tls: tls.clone(), gate };
        session.client.batch_execute(UNHINDERED).await?;
        let version = session.word("SHOW server_version_num").await?;
        session.server_version_num = version.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(session)
    };
    let opened = match postgres.connect_timeout {
        Some(limit) => timeout(limit, opening)
            .await
            .map_err(|_| ConnectError::Unreachable { place: place(), source: std::io::ErrorKind::TimedOut.into() })?,
        None => opening.await,
    };
    opened.map_err(|error| ConnectError::from_postgres(error, place(), &postgres.user, database))
}

fn config(postgres: &Postgres, database: &str, application_name: &str) -> Config {
    let mut config = Config::new();
    match &postgres.host {
        Host::Tcp(host) => config.host(host),
        Host::Socket(directory) => config.host_path(directory),
    };
    if let Some(address) = postgres.address {
        config.hostaddr(address);
    }
    config
        .port(postgres.port)
        .user(&postgres.user)
        .dbname(database)
        .application_name(application_name)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    if let Some(password) = postgres.password_for(database) {
        config.password(password.expose());
    }
    if let Some(limit) = postgres.connect_timeout {
        config.connect_timeout(limit);
    }
    if let Some(options) = postgres.other(PGOPTIONS) {
        config.options(options);
    }
    match postgres.other(PGCHANNELBINDING) {
        Some("require") => config.channel_binding(ChannelBinding::Require),
        Some("disable") => config.channel_binding(ChannelBinding::Disable),
        _ => config.channel_binding(ChannelBinding::Prefer),
    };
    config
}

async fn serve<S, T>(connection: tokio_postgres::Connection<S, T>, gate: Arc<Gate>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut connection = pin!(connection);
    let ended =
        poll_fn(|context| if gate.is_shut(context) { Poll::Pending } else { connection.as_mut().poll(context) });
    // Whoever uses the session gets the error with the next answer; here it would be told twice.
    if let Err(error) = ended.await
        && error.code() != Some(&SqlState::ADMIN_SHUTDOWN)
    {
        tracing::debug!(%error, "a database session ended");
    }
}

/// The server as messages name it.
fn place(postgres: &Postgres) -> String {
    match &postgres.host {
        Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", postgres.port),
        Host::Tcp(host) => format!("{host}:{}", postgres.port),
        Host::Socket(directory) => directory.join(format!(".s.PGSQL.{}", postgres.port)).display().to_string(),
    }
}
