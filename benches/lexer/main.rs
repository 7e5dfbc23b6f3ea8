//! How fast SQL is read on one core, by what it consists of: `make bench-lexer`.
//!
//! `lex` cuts it into events, `survey` is the first reading of a restore (facts, rows, digest), `rewrite` the second. `digest` is what
//! BLAKE3 alone takes of a survey.

mod dumps;

use std::hint::black_box;

use bkp::sources::postgres::lexer::{DumpError, Event, Lexer, Place};
use bkp::sources::postgres::rewrite::{Piece, Policy, Purpose, Rewriter};
use bkp::sources::postgres::survey::Surveyor;
use divan::Bencher;
use divan::counter::BytesCount;
use dumps::{Dump, text};

/// What one slice of gzip unpacks to, about.
const CHUNK_BYTES: usize = 64 << 10;

const DUMPS: [Dump; 4] = [Dump::Wide, Dump::Narrow, Dump::Statements, Dump::Inserts];

fn main() {
    divan::main();
}

/// Runs `read` over a dump, chunk by chunk.
fn over(bencher: Bencher, dump: Dump, read: impl Fn(&mut dyn Iterator<Item = &[u8]>) + Sync) {
    let sql = text(dump);
    bencher.counter(BytesCount::new(sql.len())).bench(|| read(&mut sql.chunks(CHUNK_BYTES)));
}

#[divan::bench(args = DUMPS)]
fn lex(bencher: Bencher, dump: Dump) {
    over(bencher, dump, |chunks| {
        let mut lexer = Lexer::new();
        let mut sink = |_: Place, event: Event<'_>| {
            black_box(event.bytes());
            Ok::<(), DumpError>(())
        };
        chunks.for_each(|chunk| lexer.push(chunk, &mut sink).expect("a dump"));
        lexer.finish(&mut sink).expect("a dump");
    });
}

#[divan::bench(args = DUMPS)]
fn survey(bencher: Bencher, dump: Dump) {
    over(bencher, dump, |chunks| {
        let mut surveyor = Surveyor::new();
        chunks.for_each(|chunk| surveyor.push(chunk).expect("a dump"));
        black_box(surveyor.finish().expect("a dump"));
    });
}

/// As a restore of one database has it.
#[divan::bench(args = DUMPS)]
fn rewrite(bencher: Bencher, dump: Dump) {
    over(bencher, dump, |chunks| {
        let policy = Policy {
            purpose: Purpose::Replay,
            known_settings: Some(dumps::SETTINGS.iter().map(|name| (*name).to_owned()).collect()),
            server_major: Some(17),
            tablespaces: Some(["pg_default".into(), "pg_global".into()].into()),
            ..Policy::default()
        };
        let mut rewriter = Rewriter::new(policy);
        let mut sink = |piece: Piece<'_>| {
            black_box(piece.bytes());
            Ok(())
        };
        chunks.for_each(|chunk| rewriter.push(chunk, &mut sink).expect("a dump"));
        black_box(rewriter.finish(&mut sink).expect("a dump"));
    });
}

#[divan::bench(args = [Dump::Wide])]
fn digest(bencher: Bencher, dump: Dump) {
    over(bencher, dump, |chunks| {
        let mut hasher = blake3::Hasher::new();
        for chunk in chunks {
            hasher.update(chunk);
        }
        black_box(hasher.finalize());
    });
}
