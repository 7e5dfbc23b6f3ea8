//! A COPY of ours amid its rows. They go in the binary form as long as they can be told in it, and from the first that cannot on as text,
//! by a second COPY in the same transaction. What is refused is told as if one COPY had had all of them as text.

use std::pin::Pin;

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{CopyInSink, Error};

use crate::sources::postgres::binary::{Encoder, HEADER, TRAILER};
use crate::sources::postgres::connect::Session;

/// Rows are sent in pieces of this length, in bytes: the server copies each once more, and a longer one would not stay in its cache.
const PIECE: usize = 64 << 10;

/// What ends a COPY's statement; options stand before it.
pub const ENDS: &[u8] = b";\n";

/// How a COPY is said.
pub struct Copy {
    /// The table's name, as the server tells it of a row.
    pub table: String,
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
        [&self.says, options.as_bytes(), ENDS].concat()
    }
}

/// Why a COPY does not take its rows.
pub enum Refusal {
    /// By the server.
    Server(Error),
    /// As the server would have: a carriage return in this table's row of this number, which is not escaped and ended no row before. A second
    /// COPY would take it for a line's end.
    Return(String, u64),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Server(error)
    }
}

/// What takes its rows.
pub struct Copying {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    encoder: Option<Encoder>,
    /// The statement that takes binary rows.
    in_binary: Vec<u8>,
    /// The one that takes text.
    as_text: Vec<u8>,
    /// The table's name.
    pub table: String,
    /// How many rows another statement has taken before.
    pub before: u64,
    /// Amid the first row of the second statement: whether its next byte is escaped.
    first: Option<bool>,
}

impl Copying {
    /// Begins it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn begin(session: &Session, copy: Copy) -> Result<Copying, Error> {
        let (in_binary, as_text) = (copy.binary(), copy.text());
        let sink = match copy.encoder {
            Some(_) => binary(session, &in_binary).await?,
            None => sink(session, &as_text).await?,
        };
        Ok(Copying { sink, encoder: copy.encoder, in_binary, as_text, table: copy.table, before: 0, first: None })
    }

    /// Takes rows.
    ///
    /// # Errors
    /// When some are refused.
    pub async fn rows(&mut self, session: &Session, rows: Bytes) -> Result<(), Refusal> {
        let Some(encoder) = &mut self.encoder else { return self.text(rows).await };
        encoder.push(rows);
        while let Some(rows) = encoder.next(PIECE) {
            send(&mut self.sink, rows).await?;
            if encoder.ends_batch() {
                self.before += ended(&mut self.sink).await?;
                self.sink = binary(session, &self.in_binary).await?;
            }
        }
        if encoder.has_given_up() { self.goes_on_as_text(session).await } else { Ok(()) }
    }

    /// Ends it, and says how many rows it took.
    ///
    /// # Errors
    /// When some are refused.
    pub async fn end(&mut self, session: &Session) -> Result<u64, Refusal> {
        // A row that does not end is the server's to judge.
        if self.encoder.as_ref().is_some_and(Encoder::has_open) {
            self.goes_on_as_text(session).await?;
        }
        let rows = match self.encoder {
            Some(_) => ended(&mut self.sink).await?,
            None => self.sink.as_mut().finish().await?,
        };
        Ok(self.before + rows)
    }

    async fn goes_on_as_text(&mut self, session: &Session) -> Result<(), Refusal> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        self.before += ended(&mut self.sink).await?;
        tracing::debug!("rows go as text from row {} on", self.before + 1);
        self.sink = sink(session, &self.as_text).await?;
        self.first = (self.before > 0).then_some(false);
        for rows in encoder.rest() {
            self.text(rows).await?;
        }
        Ok(())
    }

    async fn text(&mut self, rows: Bytes) -> Result<(), Refusal> {
        if self.first.is_some() && returns(&mut self.first, &rows) {
            return Err(Refusal::Return(self.table.clone(), self.before + 1));
        }
        Ok(send(&mut self.sink, rows).await?)
    }
}

/// Whether a carriage return that is not escaped comes before the first row ends.
fn returns(first: &mut Option<bool>, rows: &[u8]) -> bool {
    for byte in rows {
        *first = match (*first, byte) {
            (None, _) => return false,
            (Some(false), b'\r') => return true,
            (Some(false), b'\n') => None,
            (Some(false), b'\\') => Some(true),
            (Some(_), _) => Some(false),
        };
    }
    false
}

async fn sink(session: &Session, sql: &[u8]) -> Result<Pin<Box<CopyInSink<Bytes>>>, Error> {
    Ok(Box::pin(session.copy_in(&*String::from_utf8_lossy(sql)).await?))
}

/// Begins a COPY of binary rows.
async fn binary(session: &Session, sql: &[u8]) -> Result<Pin<Box<CopyInSink<Bytes>>>, Error> {
    let mut sink = sink(session, sql).await?;
    sink.send(Bytes::from_static(HEADER)).await?;
    Ok(sink)
}

/// Ends one, and says how many rows it took.
async fn ended(sink: &mut Pin<Box<CopyInSink<Bytes>>>) -> Result<u64, Error> {
    sink.send(Bytes::from_static(TRAILER)).await?;
    sink.as_mut().finish().await
}

async fn send(sink: &mut Pin<Box<CopyInSink<Bytes>>>, mut rows: Bytes) -> Result<(), Error> {
    while !rows.is_empty() {
        sink.send(rows.split_to(rows.len().min(PIECE))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::returns;

    #[test]
    fn a_bare_carriage_return_is_found_in_the_first_row_alone() {
        for (rows, is_found) in [
            (&b"a\r\n"[..], true),
            (b"a\rb\n", true),
            (b"a\nb\r\n", false),
            (b"a\\\rb\n", false),
            (b"a\\\\\rb\n", true),
            (b"a\\\nb\r\n", true),
            (b"a", false),
        ] {
            // In one piece, and byte by byte.
            assert_eq!(returns(&mut Some(false), rows), is_found, "{rows:?}");
            let mut first = Some(false);
            assert_eq!(rows.chunks(1).any(|byte| returns(&mut first, byte)), is_found, "{rows:?}");
        }
    }
}
