//! The databases of an undo: the copies take their names back in one transaction, and what bears them now is put aside.

use anyhow::Result;

use super::find::{Last, Turn};
use crate::commands::restore::aside;
use crate::commands::restore::undo::{Taken, Undo};
use crate::commands::{Context, Run};
use crate::settings::Postgres;
use crate::sources::act::{Act, Rename};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::swap::{self, Swap};
use crate::sources::postgres::{lock, obstacles, renames, server, side};

/// The databases of an undo.
pub struct Databases<'a> {
    context: &'a Context,
    postgres: &'a Postgres,
    run: &'a Run,
    main: &'a Session,
    turns: &'a [Turn],
    slots: Vec<String>,
    made: Undo,
    swapper: Option<Session>,
}

impl<'a> Databases<'a> {
    /// Asks the server, and adds what cannot work to `faults`. `main` holds the lock.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn prepare(
        context: &'a Context,
        run: &'a Run,
        main: &'a Session,
        last: &'a Last,
        faults: &mut Vec<String>,
    ) -> Result<Databases<'a>> {
        let live: Vec<&str> = last.turns.iter().filter_map(|turn| Some(turn.live.as_ref()?.name.as_str())).collect();
        let copies = last.turns.iter().filter_map(|turn| Some(turn.copy.as_ref()?.0.name.as_str()));
        let all: Vec<&str> = live.iter().copied().chain(copies).collect();
        faults.extend(renames::hindrances(main, &all).await?);
        faults.extend(obstacles::of_swap(main, &all).await?);
        let slots = obstacles::slots(main, &live).await?;
        let (postgres, turns) = (context.postgres()?, last.turns.as_slice());
        Ok(Databases { context, postgres, run, main, turns, slots, made: Undo::default(), swapper: None })
    }

    /// Tells the plan.
    pub fn say(&self) {
        for turn in self.turns {
            let (name, aside) = (&turn.name, self.aside(turn));
            match (&turn.copy, &turn.live) {
                (Some((copy, _)), Some(_)) => {
                    tracing::info!("plan: {} becomes {name} again; the {name} of now is kept as {aside}", copy.name);
                }
                (Some((copy, _)), None) => {
                    tracing::info!("plan: {} becomes {name} again; there is no {name} now", copy.name);
                }
                (None, Some(_)) => {
                    tracing::info!("plan: there was no {name} before; the {name} of now is kept as {aside}");
                }
                (None, None) => tracing::info!("plan: there was no {name} before, and there is none now"),
            }
        }
        for slot in &self.slots {
            tracing::warn!(
                "the logical replication slot {slot} stays with the database that is put aside; its consumer needs a new one"
            );
        }
    }

    fn aside(&self, turn: &Turn) -> String {
        side::replaced_name(&turn.name, &self.run.id)
    }

    fn session_name(&self) -> String {
        self.run.session_name("restore")
    }

    /// What will be renamed.
    pub fn renames(&self) -> Vec<Rename> {
        let mut renames = Vec::new();
        for turn in self.turns {
            let goes =
                turn.live.iter().map(|live| Rename { oid: live.oid, from: turn.name.clone(), to: self.aside(turn) });
            let comes = turn.copy.iter().map(|(copy, _)| Rename {
                oid: copy.oid,
                from: copy.name.clone(),
                to: turn.name.clone(),
            });
            renames.extend(goes.chain(comes));
        }
        renames
    }

    /// Finds a place beside all of them to rename from.
    ///
    /// # Errors
    /// When there is none and none can be made.
    pub async fn stand(&mut self) -> Result<()> {
        let targets: Vec<String> = self.renames().into_iter().map(|rename| rename.from).collect();
        self.swapper = aside::session(self.context, self.run, self.main, &targets, &mut self.made).await?;
        Ok(())
    }

    /// Renames them all, in one transaction.
    ///
    /// # Errors
    /// When the lock was lost or the server refuses: nothing was renamed then, unless [`Databases::outcome`] says otherwise.
    pub async fn swap(&mut self, act: &Act) -> Result<()> {
        let settings = &self.context.settings;
        lock::held(self.main, &settings.app).await?;
        let main = self.swapper.as_ref().unwrap_or(self.main);
        let session_name = self.session_name();
        let helper = Session::connect(self.postgres, main.database(), &session_name).await.map_err(server::told)?;
        let turned = self.turns.iter().filter(|turn| turn.live.is_some() || turn.copy.is_some());
        let swaps: Vec<Swap> = turned
            .map(|turn| Swap {
                database: turn.name.clone(),
                side: turn.copy.as_ref().map(|(copy, _)| copy.name.clone()),
                replaced: turn.live.as_ref().map(|_| self.aside(turn)),
                comment: turn.copy.as_ref().and_then(|(_, journal)| journal.comment.clone()),
                live_comment: turn.live.as_ref().and_then(|live| live.comment.clone()),
            })
            .collect();
        let swapped = swap::swap(main, &helper, &swaps, &[], (&settings.app, &self.run.id, act)).await;
        self.made.in_doubt = swapped.as_ref().is_err_and(|error| error.is::<swap::InDoubt>());
        swapped?;
        for swap in &swaps {
            swap::comment_in_its_own_encoding(self.postgres, &session_name, swap).await;
        }
        Ok(())
    }

    /// Whether the renames turn out to be done.
    pub async fn outcome(&self) -> Taken {
        // Without a COMMIT on its way nothing can be done any more, whether the server answers or not.
        if !self.made.in_doubt {
            return Taken::Back;
        }
        let session_name = self.session_name();
        let again = self.context.stop.or_after(self.made.reconnect(self.postgres, &session_name)).await.flatten();
        let Some(session) = again else { return Taken::Unknown };
        // A session that we have lost may still be at its COMMIT, which nobody sees before it is over.
        if obstacles::end_sessions_named(&session, &session_name).await.is_err() {
            return Taken::Unknown;
        }
        match renames::are_done(&session, &self.renames()).await {
            Ok(Some(true)) => Taken::NotBack,
            Ok(Some(false)) => Taken::Back,
            Ok(None) | Err(_) => Taken::Unknown,
        }
    }

    /// Drops what was made to stand in, when nothing was renamed.
    pub async fn clear(&self) {
        let _ = self.context.stop.or_after(self.made.clear(self.main, self.postgres, &self.session_name())).await;
    }

    /// After the swap: clears up; names what is kept.
    pub async fn finish(&self) -> Vec<String> {
        let replaced = self.turns.iter().filter(|turn| turn.live.is_some()).map(|turn| self.aside(turn)).collect();
        aside::finish(self.context, self.run, self.main, replaced).await
    }
}
