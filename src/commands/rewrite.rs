//! `bkp rewrite`: the restore's rewriter as a filter, from standard input to standard output.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::cli::Rewrite;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Keep, Policy, Report as Changes, RoleMode, RolePolicy, as_filter};
use crate::sources::postgres::survey::{Layout, Surveyor};
use anyhow::{Result, bail};

/// What the operator asked for.
pub struct Request {
    policy: Policy,
    explain: bool,
    allow_unproven: bool,
}

impl Request {
    /// Reads the arguments.
    ///
    /// # Errors
    /// When a database is not given as `OLD=NEW`.
    pub fn new(given: Rewrite) -> Result<Request> {
        let Rewrite { existing_roles, databases, all_roles, explain, allow_unproven } = given;
        let mut rename = BTreeMap::new();
        for pair in &databases {
            let Some((old, new)) = pair.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty()) else {
                bail!(
                    Failure::new(format!("--database wants OLD=NEW, not {pair:?}"))
                        .hint("for example: --database shop=shop_copy")
                        .exit(Exit::Usage)
                );
            };
            rename.insert(Name::from(old.to_owned()), Name::from(new.to_owned()));
        }
        let roles = RolePolicy {
            mode: if all_roles { RoleMode::All } else { RoleMode::Missing },
            existing: existing_roles.into_iter().map(Name::from).collect(),
            superuser: true,
            ..RolePolicy::default()
        };
        Ok(Request {
            policy: Policy { rename, roles, layout: Layout::Cluster, ..Policy::default() },
            explain,
            allow_unproven,
        })
    }
}

/// Rewrites until the input ends.
///
/// # Errors
/// When the input is no dump, is cut short, or holds what a dump must not hold. What was written by then ends in a statement
/// that fails.
pub fn rewrite(request: &Request) -> Result<Exit> {
    let mut out = report::output();
    let changed = rewritten(request, &mut out).inspect_err(|_| {
        // Best effort: the reader may be why it failed.
        let _ = out.write_all(REFUSED.as_bytes()).and_then(|()| out.flush());
    })?;
    if request.explain {
        for change in &changed.changes {
            tracing::info!("line {}: {}: {}", change.line, change.what, change.why);
        }
    }
    Ok(Exit::Done)
}

fn rewritten(request: &Request, out: &mut impl Write) -> Result<Changes> {
    let mut input = std::io::stdin().lock();
    let mut surveyor = Surveyor::new();
    let chunks = std::iter::from_fn(|| {
        let mut chunk = vec![0; CHUNK_BYTES];
        match input.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => {
                chunk.truncate(n);
                // What it refuses, the rewriter refuses.
                let _ = surveyor.push(&chunk);
                Some(Ok(chunk))
            }
            Err(error) => Some(Err(error)),
        }
    });
    let changed = as_filter(request.policy.clone(), Keep::Nothing, chunks, out)?;
    if !request.allow_unproven && !surveyor.finish()?.trailer {
        bail!(
            Failure::new("the input does not end as a dump ends: cut short, or empty because what made it failed")
                .hint("if it is meant to be so: --allow-unproven")
                .exit(Exit::ProofFailed)
        );
    }
    Ok(changed)
}

/// What was written before a refusal looks like a dump that merely ends. This makes whoever runs it fail, wherever it ends:
/// in rows, where the first line is none, or between statements.
const REFUSED: &str = "\n\\.\n\nDO $refused$ BEGIN RAISE EXCEPTION 'bkp rewrite did not reach the end of this dump: do not use it'; \
    END $refused$;\n";

const CHUNK_BYTES: usize = 1 << 18;
