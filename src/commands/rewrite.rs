//! `bkp rewrite`: the restore's rewriter as a filter, from standard input to standard output.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Keep, Policy, RoleMode, RolePolicy, as_filter};
use crate::sources::postgres::survey::Layout;
use anyhow::{Result, bail};

/// What the operator asked for.
pub struct Request {
    policy: Policy,
    explain: bool,
}

impl Request {
    /// Reads the arguments: `databases` are `OLD=NEW`.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn new(existing_roles: Vec<String>, databases: &[String], all_roles: bool, explain: bool) -> Result<Request> {
        let mut rename = BTreeMap::new();
        for pair in databases {
            let Some((old, new)) = pair.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty()) else {
                bail!(Failure::new(format!("--database wants OLD=NEW, not {pair:?}")).exit(Exit::Usage));
            };
            rename.insert(Name::from(old.to_owned()), Name::from(new.to_owned()));
        }
        let roles = RolePolicy {
            mode: if all_roles { RoleMode::All } else { RoleMode::Missing },
            existing: existing_roles.into_iter().map(Name::from).collect(),
            superuser: true,
            ..RolePolicy::default()
        };
        Ok(Request { policy: Policy { rename, roles, layout: Layout::Cluster, ..Policy::default() }, explain })
    }
}

/// Rewrites until the input ends.
///
/// # Errors
/// When the input is no dump, ends inside anything, or holds what a dump must not hold.
pub fn rewrite(request: &Request) -> Result<Exit> {
    let mut input = std::io::stdin().lock();
    let chunks = std::iter::from_fn(|| {
        let mut chunk = vec![0; CHUNK_BYTES];
        match input.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => Some(Ok(chunk[..n].to_vec())),
            Err(error) => Some(Err(error)),
        }
    });
    let mut out = report::output();
    let changed = match as_filter(request.policy.clone(), Keep::Nothing, chunks, &mut out) {
        Ok(changed) => changed,
        Err(error) => {
            // Best effort: the reader may be why it failed.
            let _ = out.write_all(REFUSED.as_bytes()).and_then(|()| out.flush());
            return Err(error);
        }
    };
    if request.explain {
        for change in &changed.changes {
            tracing::info!("line {}: {}: {}", change.line, change.what, change.why);
        }
    }
    Ok(Exit::Done)
}

/// What was written before a refusal looks like a dump that merely ends. This makes whoever runs it fail, wherever it ends:
/// in rows, where the first line is none, or between statements.
const REFUSED: &str = "\n\\.\n\nDO $refused$ BEGIN RAISE EXCEPTION 'bkp rewrite did not reach the end of this dump: do not use it'; \
    END $refused$;\n";

const CHUNK_BYTES: usize = 1 << 18;
