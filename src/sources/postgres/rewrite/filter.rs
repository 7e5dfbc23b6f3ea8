//! The rewriter as a filter: one stream in, one stream for psql out.

use std::io::Write;

use super::{Piece, Policy, Purpose, Report, Rewriter};
use crate::sources::postgres::lexer::Meta;

/// What becomes of backslash commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They pass: the result is a dump again.
    Meta,
    /// Only `\connect` is left, written anew from the name that was read.
    Nothing,
}

/// Rewrites `chunks` to `out`. With [`Keep::Meta`] and the default policy the output is the input.
///
/// Fails with a `DumpError`, or with the error of `chunks` or `out`.
pub fn as_filter<C: AsRef<[u8]>>(
    policy: Policy,
    keep: Keep,
    chunks: impl IntoIterator<Item = std::io::Result<C>>,
    out: &mut impl Write,
) -> anyhow::Result<Report> {
    let purpose = if keep == Keep::Meta { Purpose::Store } else { Purpose::Replay };
    let rename = policy.rename.clone();
    let wanted = policy.sections_wanted.clone();
    let mut rewriter = Rewriter::new(Policy { purpose, ..policy });
    let mut sink = |piece: Piece<'_>| {
        match piece {
            Piece::Section(Some(name)) if keep == Keep::Nothing => {
                if wanted.as_ref().is_none_or(|wanted| wanted.contains(name)) {
                    out.write_all(&Meta::connect_line(rename.get(name).unwrap_or(name)))?;
                }
            }
            _ => out.write_all(piece.bytes())?,
        }
        Ok(())
    };
    for chunk in chunks {
        rewriter.push(chunk?.as_ref(), &mut sink)?;
    }
    let report = rewriter.finish(&mut sink)?;
    out.flush()?;
    Ok(report)
}
