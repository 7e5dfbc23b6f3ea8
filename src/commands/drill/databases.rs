//! The databases of a drill: loaded under names that are nobody's, compared, asked, dropped.
//!
//! It writes only into databases whose name says that this drill made them. Of roles it changes none: those that the dump names and
//! the server lacks are made without any right, not even to log in, and dropped at the end. So a role that was taken away on purpose
//! does not come back with its password, not even for a minute; mapping all owners to one role instead would not prove the grants.

use anyhow::{Context as _, Result, bail};

use super::Steps;
use super::checks::{self, Check};
use super::count;
use super::evidence::{Compared, Evidence, Server};
use crate::commands::restore::loading::{self, Loading};
use crate::commands::restore::plan::{Load, Plan};
use crate::commands::restore::preflight::{self, Target, Wish};
use crate::commands::restore::reading::{Read, Stored};
use crate::commands::restore::roles;
use crate::commands::restore::room::Room;
use crate::commands::restore::undo::Undo;
use crate::commands::restore::{rights, tried};
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::Postgres;
use crate::sources::postgres::clients::{self, Client};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::RoleMode;
use crate::sources::postgres::server::{self, literal};
use crate::sources::postgres::side::{self, Journal, State};

/// The server that it is tried on.
#[derive(Clone, Copy)]
pub struct On<'a> {
    /// How to reach it.
    pub postgres: &'a Postgres,
    /// A session on it.
    pub main: &'a Session,
    /// Why it is a throwaway one, if it is.
    pub throwaway: Option<&'a str>,
}

/// What is decided before anything is made.
pub struct Trial<'a> {
    context: &'a Context,
    postgres: &'a Postgres,
    run: &'a Run,
    main: &'a Session,
    stored: &'a Stored,
    read: &'a Read,
    target: Target,
    client: Client,
    plan: Plan,
    missing: Vec<Name>,
}

impl<'a> Trial<'a> {
    /// Decides.
    ///
    /// # Errors
    /// When it cannot be tried here; nothing is made then.
    pub async fn prepare(
        context: &'a Context,
        run: &'a Run,
        On { postgres, main, throwaway }: On<'a>,
        (stored, read): (&'a Stored, &'a Read),
        evidence: &mut Evidence,
    ) -> Result<Trial<'a>> {
        let settings = &context.settings;
        let survey = &read.survey;
        let wanted = preflight::wanted(survey, &postgres.databases, &Wish::default())?;
        let mut target = Target::ask(main).await?;
        let mut missing: Vec<Name> = survey.roles_referenced.difference(&target.roles).cloned().collect();
        if throwaway.is_some() {
            missing.retain(|role| !survey.globals.created.contains(role));
        }
        let mut faults = Vec::new();
        if !missing.is_empty() && !target.create_role {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            faults.push(format!(
                "the account {} may not create roles, and the dump needs some that the server lacks: {}",
                target.connecting,
                names.join(", ")
            ));
        }
        // Who makes a role may give it objects.
        for roles in [&mut target.roles, &mut target.becomes] {
            roles.extend(missing.iter().cloned());
        }
        let named = |database: &str| side::drill_name(database, &run.id);
        let mut plan = Plan::beside(named, settings, survey, &wanted, &target);
        if throwaway.is_none() {
            plan.policy.roles.mode = RoleMode::None;
            plan.new_roles.clear();
            faults.extend(Room::ask(main, postgres.port, survey, &wanted).await?.fault());
        }
        plan.policy.provided_extensions = rights::provided_extensions(&target, None);
        plan.policy.provided_schemas = rights::provided_schemas(&target, None);
        let here: Vec<&str> = target.databases.iter().map(|database| database.name.as_str()).collect();
        faults.extend(collisions(&plan.loads, &here, &run.id));
        faults.extend(preflight::no_side_database(&target));
        faults.extend(preflight::faults((survey, &plan.policy.provided_schemas), &wanted, &target, settings, false));
        faults.extend(rights::faults(main, (survey, &wanted), &target, None).await?);
        faults.extend(tried::creations(main, survey, &wanted, &target).await?);
        let installed = clients::installed(&settings.client_dirs).await?;
        let client = clients::for_load(&installed, target.major)?.clone();
        evidence.server = Some(Server {
            place: if throwaway.is_some() { "throwaway" } else { "configured" },
            why: throwaway.map(str::to_owned),
            version: server::version(main).await?,
            client: client.version.to_string(),
            roles_made: missing.iter().map(ToString::to_string).collect(),
            roles_loaded: plan.new_roles.clone(),
        });
        if !faults.is_empty() {
            let failure = Failure::new(format!(
                "the drill cannot be tried here, so nothing was begun:\n  - {}",
                faults.join("\n  - ")
            ));
            bail!(match throwaway {
                None => failure.hint("put right what is listed, or drill in a PostgreSQL made for it: --server throwaway"),
                Some(_) => failure.hint(format!(
                    "this says nothing of the backup: install what is missing for PostgreSQL {} on this machine, or drill on the configured server: --server configured",
                    target.major
                )),
            });
        }
        let tried: Vec<usize> = plan.loads.iter().map(|load| load.section).collect();
        for (at, section) in survey.sections.iter().enumerate().filter(|(_, section)| !section.empty) {
            if !tried.contains(&at) {
                let name = section.database.as_ref().map(ToString::to_string).unwrap_or_default();
                evidence.not_tried.push(format!("database {name}"));
            }
        }
        Ok(Trial { context, postgres, run, main, stored, read, target, client, plan, missing })
    }

    /// Loads, compares and asks. What is made is in `undo` before it is made.
    ///
    /// # Errors
    /// At the first thing that does not come back; the checks are all asked.
    pub async fn run(
        &self,
        checks: &[Check],
        undo: &mut Undo,
        steps: &mut Steps,
        evidence: &mut Evidence,
    ) -> Result<()> {
        self.make_roles(undo).await?;
        let here = (self.context, self.postgres, self.run);
        let server = (&self.target, &self.client);
        let loading = Loading::new(here, self.read, &self.plan, server, self.main, State::Drill);
        loading::load(&loading, self.stored, undo).await?;
        steps.done("load", evidence);
        for load in &self.plan.loads {
            let tables = &self.read.survey.sections[load.section].tables;
            let session = self.session(load).await?;
            let counted = count::count(&session, &load.target, tables).await?;
            let compared = Compared {
                loaded_as: load.side.clone(),
                tables: tables.len() as u64,
                rows: tables.iter().map(|table| table.rows).sum(),
                counted_tables: counted.tables,
                counted_rows: counted.rows,
            };
            tracing::info!(
                "proven: {}: the server counts {} rows in {} tables, as in the dump",
                load.target,
                counted.rows,
                counted.tables
            );
            evidence.databases.insert(load.target.clone(), compared);
        }
        steps.done("count", evidence);
        self.check(checks, evidence).await?;
        steps.done("checks", evidence);
        Ok(())
    }

    async fn check(&self, checks: &[Check], evidence: &mut Evidence) -> Result<()> {
        for check in checks {
            let load = match (&check.database, self.plan.loads.as_slice()) {
                (None, [one]) => one,
                (None, _) => bail!(
                    Failure::new("the backup holds several databases, and a check does not say which one it is for")
                        .hint("put a line \\connect NAME before it")
                        .exit(Exit::Usage)
                ),
                (Some(name), loads) => loads.iter().find(|load| load.target == *name).with_context(|| {
                    Failure::new(format!("a check is for database {name}, which the backup does not hold"))
                        .hint("correct the line \\connect before it, or drill a backup that holds it: bkp list")
                        .exit(Exit::ProofFailed)
                })?,
            };
            let session = self.session(load).await?;
            evidence.checks.push(checks::ask(&session, &load.target, check).await?);
        }
        let failed: Vec<String> = evidence
            .checks
            .iter()
            .filter_map(|answer| {
                Some(format!("{}: {} gives {}", answer.database, answer.query, answer.instead.as_ref()?))
            })
            .collect();
        if !failed.is_empty() {
            bail!(
                Failure::new(format!(
                    "{} of {} checks do not hold:\n  - {}",
                    failed.len(),
                    checks.len(),
                    failed.join("\n  - ")
                ))
                .hint(
                    "restore it beside everything to look at it: bkp restore --as NAME; the live data was not touched"
                )
                .exit(Exit::ProofFailed)
            );
        }
        Ok(())
    }

    /// A session in what this drill made, and in nothing else.
    async fn session(&self, load: &Load) -> Result<Session> {
        if side::drill_in_name(&load.side) != Some(self.run.id.as_str()) {
            bail!(Failure::new(format!("{} is no database of this drill", load.side)));
        }
        Session::connect(self.postgres, &load.side, &self.run.session_name("drill")).await.map_err(server::told)
    }

    /// In one transaction, each with its journal: a death before its end leaves no role, one after it none that cannot be told.
    async fn make_roles(&self, undo: &mut Undo) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let journal = Journal {
            state: State::Drill,
            app: self.context.settings.app.clone(),
            run: self.run.id.clone(),
            database: String::new(),
            comment: None,
            act: None,
        };
        let names: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
        let (before, after) = roles::acting_for(&self.target, &names);
        let mut sql = format!("BEGIN;\n{before}");
        for role in &self.missing {
            let quoted = String::from_utf8_lossy(&role.quoted()).into_owned();
            let comment = literal(&journal.comment_text());
            sql.push_str(&format!("CREATE ROLE {quoted} NOLOGIN;\nCOMMENT ON ROLE {quoted} IS {comment};\n"));
        }
        sql.push_str(&format!("{after}COMMIT"));
        if let Err(error) = self.main.batch_execute(&sql).await {
            let _ = self.main.batch_execute("ROLLBACK").await;
            return Err(error).context("making the roles that the server lacks");
        }
        undo.roles.extend(names);
        tracing::info!(
            "made {} roles that the server lacks, without any right, for the time of the drill",
            self.missing.len()
        );
        Ok(())
    }
}

/// Names that are taken, or that are no drill's of this run. Nothing is begun then.
fn collisions(loads: &[Load], here: &[&str], run: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, load) in loads.iter().enumerate() {
        if here.contains(&load.side.as_str()) {
            faults.push(format!("a database {} is there already", load.side));
        }
        if side::drill_in_name(&load.side) != Some(run) || load.side == load.target {
            faults.push(format!("{} is no name for a database of this drill", load.side));
        }
        if loads[..at].iter().any(|other| other.side == load.side) {
            faults.push(format!("two databases would be loaded as {}", load.side));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261121T231004Z-7f3a9c";

    fn load(target: &str, side: &str) -> Load {
        Load { section: 0, name: None, target: target.into(), side: side.into(), replaces: true }
    }

    #[test]
    fn a_name_that_is_taken_or_no_drills_is_refused() {
        let good = load("shop", &side::drill_name("shop", RUN));
        assert!(collisions(std::slice::from_ref(&good), &["shop", "postgres"], RUN).is_empty());
        assert_eq!(collisions(std::slice::from_ref(&good), &["shop", &good.side], RUN).len(), 1, "somebody's own");
        assert_eq!(collisions(&[load("shop", "shop")], &[], RUN).len(), 1, "the live name");
        assert_eq!(
            collisions(&[load("shop", &side::loading_name("shop", RUN))], &[], RUN).len(),
            1,
            "a restore's name"
        );
        assert_eq!(collisions(&[good.clone(), good], &[], RUN).len(), 1, "twice the same");
        let other = side::drill_name("shop", "20261121T231004Z-000000");
        assert_eq!(collisions(&[load("shop", &other)], &[], RUN).len(), 1, "another drill's");
    }
}
