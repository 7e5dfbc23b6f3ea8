//! What the rewriter changes it says, what is no statement never becomes one, and no command for psql leaves it.

use std::collections::BTreeSet;

use bkp::sources::postgres::name::Name;
use bkp::sources::postgres::rewrite::{Keep, Policy, Report, RoleMode, RolePolicy, as_filter};
use bkp::sources::postgres::survey::{Survey, Surveyor};

use super::lexer::cut;

/// The first byte says what the target is like, the rest is the dump.
pub fn holds(input: &[u8]) {
    let Some((&target, dump)) = input.split_first() else { return };
    let mut surveyor = Surveyor::new();
    let survey = surveyor.push(dump).and_then(|()| surveyor.finish());
    let Ok(survey) = survey else {
        assert!(filter(Policy::default(), Keep::Nothing, dump).is_none(), "replayed, but not read");
        return;
    };
    let (same, report) = filter(Policy::default(), Keep::Meta, dump).expect("a dump that was read");
    assert!(same == dump && report == Report::default(), "what is stored was changed");

    // A dump that is refused for this target is refused; there is nothing to hold.
    let Some((out, report)) = filter(policy(target, &survey), Keep::Nothing, dump) else { return };
    let (before, _) = cut(dump, usize::MAX);
    let (after, end) = cut(&out, usize::MAX);
    assert_eq!(end, Ok(()), "its own output cannot be read");
    // Real dumps come out the same the second time (`sources/postgres/tests/properties.rs`); what no server would take may lose more.
    let (twice, _) = filter(policy(target, &survey), Keep::Nothing, &out).expect("its own output is refused");
    assert!(twice.len() <= out.len(), "it adds to its own output");
    for (kind, line) in &after {
        assert!(*kind != "meta" || line.starts_with(b"\\connect "), "a command for psql: {}", line.escape_ascii());
    }

    // What was commented out does not run, and what was a comment, a literal or a row does not either.
    let mut new = statements(&after);
    let old = statements(&before);
    let commands = before.iter().filter(|(kind, _)| *kind == "meta").count();
    assert!(new.len() <= old.len() + commands, "{} statements became {}", old.len(), new.len());
    assert_eq!(rows(&before), rows(&after), "rows are changed, or others became rows");

    // Nothing is changed unsaid: a statement that is not there as it was has a line in the report.
    let mut changed = old;
    changed.retain(|old| match new.iter().position(|new| new == old) {
        Some(at) => {
            new.remove(at);
            false
        }
        None => true,
    });
    let said = report.changes.len() as u64 + report.more;
    let shown = || changed.iter().map(|sql| sql.escape_ascii().to_string()).collect::<Vec<_>>().join("\n");
    assert!(changed.len() as u64 <= said, "{} changed, {said} told:\n{}", changed.len(), shown());
}

fn rows<'a>(cut: &'a [(&'static str, Vec<u8>)]) -> Vec<&'a [u8]> {
    cut.iter().filter(|(kind, _)| kind.contains("rows")).map(|(_, bytes)| bytes.as_slice()).collect()
}

fn statements<'a>(cut: &'a [(&'static str, Vec<u8>)]) -> Vec<&'a [u8]> {
    cut.iter().filter(|(kind, _)| *kind == "statement").map(|(_, sql)| sql.as_slice()).collect()
}

fn filter(policy: Policy, keep: Keep, dump: &[u8]) -> Option<(Vec<u8>, Report)> {
    let mut out = Vec::new();
    let report = as_filter(policy, keep, [Ok(dump)], &mut out).ok()?;
    Some((out, report))
}

/// Targets from one that lacks nothing to one that lacks nearly all.
fn policy(target: u8, survey: &Survey) -> Policy {
    let bit = |at: u8| target & (1 << at) != 0;
    let names = |names: &[&str]| names.iter().map(|name| Name::from(*name)).collect::<BTreeSet<Name>>();
    let known = ["client_encoding", "standard_conforming_strings", "search_path", "statement_timeout"];
    Policy {
        layout: survey.layout,
        rename: if bit(0) {
            [("shop".into(), "shop__side".into()), ("d".into(), "D \"x\"".into())].into()
        } else {
            [].into()
        },
        roles: RolePolicy {
            mode: [RoleMode::Missing, RoleMode::All, RoleMode::None, RoleMode::Missing][usize::from(target >> 1 & 3)],
            existing: names(&["a", "reader"]),
            connecting: Some("admin".into()),
            superuser: bit(3),
            only: None,
        },
        known_settings: bit(4).then(|| known.map(str::to_owned).into()),
        server_major: bit(5).then_some(14),
        tablespaces: bit(6).then(BTreeSet::new),
        provided_extensions: names(&["pg_trgm"]),
        provided_schemas: if bit(7) { names(&["cron"]) } else { BTreeSet::new() },
        one_transaction: bit(7),
        ..Policy::default()
    }
}
