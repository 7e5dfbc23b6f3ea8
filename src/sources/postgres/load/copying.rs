//! A COPY of ours amid its rows. They go in the binary form as long as they can be told in it, and from the first that cannot on as text,
//! by a second COPY in the same transaction.

use std::pin::Pin;

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{CopyInSink, Error};

use crate::sources::postgres::binary::{Encoder, HEADER, TRAILER};
use crate::sources::postgres::connect::Session;

/// Rows are sent in pieces of this length, in bytes: the server copies each once more, and a longer one would not stay in its cache.
const PIECE: usize = 64 << 10;

/// How a COPY is said.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The dump's words, without what ends them.
    pub says: Bytes,
    /// Whether its rows are to come frozen.
    pub is_frozen: bool,
    /// Tells its rows in the binary form, where all its columns can be.
    pub encoder: Option<Encoder>,
}

impl Copy {
    /// The statement that takes text.
    pub fn text(&self) -> Vec<u8> {
        self.with(if self.is_frozen { " WITH (FREEZE)" } else { "" })
    }

    fn binary(&self) -> Vec<u8> {
        self.with(if self.is_frozen { " WITH (FREEZE, FORMAT binary)" } else { " WITH (FORMAT binary)" })
    }

    fn with(&self, options: &str) -> Vec<u8> {
        [&self.says, options.as_bytes(), b";\n"].concat()
    }
}

/// What takes its rows.
pub struct Copying {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    encoder: Option<Encoder>,
    /// The statement that takes text.
    text: Vec<u8>,
    /// How many rows another statement has taken before.
    pub before: u64,
}

impl Copying {
    /// Begins it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn begin(session: &Session, copy: Copy) -> Result<Copying, Error> {
        let text = copy.text();
        let sql = if copy.encoder.is_some() { copy.binary() } else { text.clone() };
        let mut copying = Copying { sink: sink(session, &sql).await?, encoder: copy.encoder, text, before: 0 };
        if copying.encoder.is_some() {
            copying.sink.send(Bytes::from_static(HEADER)).await?;
        }
        Ok(copying)
    }

    /// Takes rows.
    ///
    /// # Errors
    /// When the server refuses some.
    pub async fn rows(&mut self, session: &Session, rows: Bytes) -> Result<(), Error> {
        let Some(encoder) = &mut self.encoder else { return self.send(rows).await };
        encoder.push(rows);
        while let Some(rows) = encoder.next(PIECE) {
            send(&mut self.sink, rows).await?;
        }
        if encoder.has_given_up() { self.goes_on_as_text(session).await } else { Ok(()) }
    }

    /// Ends it, and says how many rows it took.
    ///
    /// # Errors
    /// When the server refuses some.
    pub async fn end(&mut self, session: &Session) -> Result<u64, Error> {
        match &self.encoder {
            // A row that does not end is the server's to judge.
            Some(encoder) if encoder.has_open() => self.goes_on_as_text(session).await?,
            Some(_) => self.sink.send(Bytes::from_static(TRAILER)).await?,
            None => {}
        }
        Ok(self.before + self.sink.as_mut().finish().await?)
    }

    async fn goes_on_as_text(&mut self, session: &Session) -> Result<(), Error> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        self.sink.send(Bytes::from_static(TRAILER)).await?;
        self.before = self.sink.as_mut().finish().await?;
        tracing::debug!("rows go as text from row {} on", self.before + 1);
        self.sink = sink(session, &self.text).await?;
        for rows in encoder.rest() {
            self.send(rows).await?;
        }
        Ok(())
    }

    async fn send(&mut self, rows: Bytes) -> Result<(), Error> {
        send(&mut self.sink, rows).await
    }
}

async fn sink(session: &Session, sql: &[u8]) -> Result<Pin<Box<CopyInSink<Bytes>>>, Error> {
    Ok(Box::pin(session.copy_in(&*String::from_utf8_lossy(sql)).await?))
}

async fn send(sink: &mut Pin<Box<CopyInSink<Bytes>>>, mut rows: Bytes) -> Result<(), Error> {
    while !rows.is_empty() {
        sink.send(rows.split_to(rows.len().min(PIECE))).await?;
    }
    Ok(())
}
