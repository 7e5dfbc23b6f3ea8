//! Tests of the lexer, the survey and the rewriter together, over real dumps and nasty ones.

mod golden;
mod growth;
mod properties;
mod rules;
mod survey;
mod traps;

use super::lexer::{DumpError, Event, Lexer};
use super::rewrite::{Keep, Policy, Report, as_filter};

/// An event, owned, with neighbours that may be split anywhere joined again.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Space(Vec<u8>),
    Comment(Vec<u8>),
    Statement(u64, Vec<u8>),
    Long(Vec<u8>, bool),
    Meta(Vec<u8>),
    Rows(Vec<u8>, u64),
    End(Vec<u8>),
}

fn events(input: &[u8], size: usize) -> (Vec<Owned>, Result<(), DumpError>) {
    let mut out: Vec<Owned> = Vec::new();
    let mut lexer = Lexer::new();
    let mut take = |place: super::lexer::Place, event: Event<'_>| {
        match (event, out.last_mut()) {
            (Event::Space(more), Some(Owned::Space(bytes))) => bytes.extend(more),
            (Event::CopyRows { bytes: more, rows: n }, Some(Owned::Rows(bytes, rows))) => {
                bytes.extend(more);
                *rows += n;
            }
            (Event::Long { bytes: more, first: false, last }, Some(Owned::Long(bytes, ended))) => {
                bytes.extend(more);
                *ended = last;
            }
            (Event::Space(bytes), _) => out.push(Owned::Space(bytes.to_vec())),
            (Event::Comment(bytes), _) => out.push(Owned::Comment(bytes.to_vec())),
            (Event::Statement(bytes), _) => out.push(Owned::Statement(place.line, bytes.to_vec())),
            (Event::Long { bytes, last, .. }, _) => out.push(Owned::Long(bytes.to_vec(), last)),
            (Event::Meta(bytes), _) => out.push(Owned::Meta(bytes.to_vec())),
            (Event::CopyRows { bytes, rows }, _) => out.push(Owned::Rows(bytes.to_vec(), rows)),
            (Event::CopyEnd(bytes), _) => out.push(Owned::End(bytes.to_vec())),
        }
        Ok(())
    };
    for chunk in input.chunks(size.max(1)) {
        if let Err(error) = lexer.push(chunk, &mut take) {
            return (out, Err(error));
        }
    }
    let end = lexer.finish(&mut take);
    (out, end)
}

fn filter(policy: Policy, keep: Keep, input: &[u8], size: usize) -> anyhow::Result<(Vec<u8>, Report)> {
    let mut out = Vec::new();
    let report = as_filter(policy, keep, input.chunks(size.max(1)).map(Ok), &mut out)?;
    Ok((out, report))
}

fn names(values: &[&str]) -> std::collections::BTreeSet<super::name::Name> {
    values.iter().map(|&value| value.into()).collect()
}
