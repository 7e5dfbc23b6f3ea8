//! One run of restic: what it is given, what it says, and what happens when the repository is locked.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::oneshot;

use super::address::Address;
use super::locks::{Here, Lock};
use super::output::{Message, message, status};
use super::refusal::{self, Cause, cause};
use super::repo::{Password, Repository};
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{self, How, Line, Overdue, Program};
use crate::report::progress::Step;

/// How often a locked repository is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// More than a million unreadable files say.
const KEPT_BYTES: usize = 256 << 20;

/// A command with its own arguments.
pub(super) struct Call<'a> {
    /// What it does, as in "restic could not …".
    pub to_do: &'a str,
    /// The command's name and arguments.
    pub arguments: Vec<OsString>,
    /// Directory and input.
    pub how: How<'a>,
    /// Whether it is answered at once, or not at all.
    short: bool,
    /// What moves, for whoever watches how far it is.
    watched: Option<Watched>,
}

/// What moves, and how many bytes that will be, as soon as somebody knows.
struct Watched(String, Expected);

/// How many bytes will move: a guess, for which nothing waits. Whoever learns it while restic is at work tells it then.
pub type Expected = Arc<OnceLock<u64>>;

impl<'a> Call<'a> {
    /// A command without a time limit: what moves data takes as long as it takes.
    pub fn new<I: IntoIterator<Item: Into<OsString>>>(to_do: &'a str, arguments: I) -> Call<'a> {
        Call {
            to_do,
            arguments: arguments.into_iter().map(Into::into).collect(),
            how: How::default(),
            short: false,
            watched: None,
        }
    }

    /// A command that is answered at once, or not at all.
    pub fn short(mut self) -> Call<'a> {
        self.short = true;
        self
    }

    /// One that takes as long as much data takes.
    pub fn watched(mut self, what: impl Into<String>, expected: Expected) -> Call<'a> {
        self.watched = Some(Watched(what.into(), expected));
        self
    }

    /// More arguments.
    pub fn with<I: IntoIterator<Item: Into<OsString>>>(mut self, arguments: I) -> Call<'a> {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }
}

/// How a run ended, and what it said but for its progress.
pub(super) struct Answer {
    pub status: ExitStatus,
    pub out: Vec<u8>,
    pub err: String,
}

/// What a run says while it lasts.
struct Heard {
    address: Address,
    told: bool,
    out: Vec<u8>,
    err: Vec<u8>,
    step: Option<(Step, Expected)>,
    /// Who is told that trying again is of no use, once.
    in_vain: Option<oneshot::Sender<String>>,
}

impl Heard {
    fn new(address: &Address, watched: Option<&Watched>) -> Heard {
        let step =
            watched.map(|Watched(what, expected)| (Step::begin(what, expected.get().copied()), expected.clone()));
        Heard { address: address.clone(), told: false, out: Vec::new(), err: Vec::new(), step, in_vain: None }
    }

    /// Keeps a line, unless it is of restic's progress.
    fn line(&mut self, line: Line<'_>) {
        if let Line::Err(bytes) = line
            && !self.told
            && let Some(why) = refusal::trying_again(bytes)
        {
            // For minutes: nobody is to wonder meanwhile what bkp waits for.
            self.told = true;
            if refusal::refuses_keys(&why)
                && let Some(tell) = self.in_vain.take()
            {
                // Nobody listens who has ended meanwhile.
                let _ = tell.send(why);
                return;
            }
            tracing::warn!(
                "the store of {} does not answer, restic tries again: {}",
                self.address,
                self.address.scrub(&why)
            );
        }
        let (kept, bytes) = match line {
            Line::Out(bytes) => (&mut self.out, bytes),
            Line::Err(bytes) => (&mut self.err, bytes),
        };
        if bytes.starts_with(br#"{"message_type":"status""#) {
            if let (Some((step, guess)), Some((bytes, known))) = (&self.step, status(bytes)) {
                step.reached(bytes, known.or_else(|| guess.get().copied()));
            }
        } else if kept.len() < KEPT_BYTES {
            kept.extend_from_slice(bytes);
            kept.push(b'\n');
        }
    }

    fn answer(self, status: ExitStatus) -> Answer {
        Answer { status, out: self.out, err: String::from_utf8_lossy(&self.err).into_owned() }
    }
}

impl Answer {
    /// All messages, those on standard error first.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.err
            .as_bytes()
            .split(|byte| *byte == b'\n')
            .chain(self.out.split(|byte| *byte == b'\n'))
            .filter_map(message)
    }
}

impl Repository {
    /// restic with these arguments and this repository. The address and the password are in its environment alone.
    pub(super) fn program(&self, arguments: &[OsString]) -> Program {
        let mut environment = self.restic.environment();
        if !matches!(self.password, Password::FromEnvironment) {
            environment.retain(|(name, _)| !name.starts_with("RESTIC_PASSWORD"));
        }
        // A command that prints the password may be the cloud's own.
        if !self.address.is_in_a_cloud() && matches!(self.password, Password::File(_) | Password::Secret(_)) {
            let of_a_cloud = ["AWS_", "AZURE_", "B2_", "GOOGLE_", "OS_", "ST_", "SWIFT_"];
            environment.retain(|(name, _)| !of_a_cloud.into_iter().any(|start| name.starts_with(start)));
        }
        environment.push(("RESTIC_REPOSITORY".into(), self.address.expose().into()));
        environment.extend(self.password.variable("RESTIC_PASSWORD"));
        self.program_in(environment, arguments)
    }

    pub(super) fn program_in(&self, environment: Vec<(String, OsString)>, arguments: &[OsString]) -> Program {
        let mut all = self.restic.global_arguments();
        all.extend_from_slice(arguments);
        Program { path: self.restic.path.clone(), arguments: all, environment }
    }

    /// Runs it once.
    pub(super) async fn run(&self, program: &Program, call: &Call<'_>) -> Result<Answer> {
        let (tell, in_vain) = oneshot::channel();
        let mut heard = Heard::new(&self.address, call.watched.as_ref());
        // What moves data may be in the middle of new keys; what only asks would ask for a quarter of an hour.
        heard.in_vain = call.short.then_some(tell);
        let how = How { limit: call.short.then_some(self.restic.options.answer_within), ..call.how };
        let ended = tokio::select! {
            ended = process::run(program, how, |line| heard.line(line)) => ended,
            Ok(words) = in_vain => return Err(refusal::of_words(&self.address, call.to_do, &words).into()),
        };
        let status = ended.map_err(|error| match error.downcast::<Overdue>() {
            Ok(overdue) => {
                let err = String::from_utf8_lossy(&heard.err);
                let words = err.lines().last().map(|last| format!("; it said last: {}", self.address.scrub(last)));
                Failure::new(format!("restic could not {} ({}) in time", call.to_do, self.address))
                    .hint("see whether the store can be reached from here: address, DNS, network policy, proxy")
                    .because(anyhow::anyhow!("{overdue}{}", words.unwrap_or_default()))
                    .into()
            }
            Err(error) => error,
        })?;
        Ok(heard.answer(status))
    }

    /// Runs it; a bad end is a failure.
    pub(super) async fn ask(&self, call: Call<'_>) -> Result<Vec<u8>> {
        let answer = self.run(&self.program(&call.arguments), &call).await?;
        if answer.status.success() { Ok(answer.out) } else { Err(self.failure(&call, &answer)) }
    }

    /// Runs what takes a lock. Where another holds one, a dead holder's is cleared and a living one's waited for.
    pub(super) async fn act(&self, call: &Call<'_>) -> Result<Answer> {
        self.act_as(&self.program(&call.arguments), call).await
    }

    /// The same for what only reads: where no lock can be left, because the repository is read-only or its disk is full, it reads
    /// without one.
    pub(super) async fn act_reading(&self, call: &Call<'_>) -> Result<Answer> {
        let answer = self.act(call).await?;
        if cause(answer.status, &answer.err) != Cause::Unlockable {
            return Ok(answer);
        }
        self.run(&self.unlocked(self.program(&call.arguments)), call).await
    }

    /// The same call, without a lock. What could harm it is a prune meanwhile, by somebody who may write there.
    pub(super) fn unlocked(&self, mut program: Program) -> Program {
        tracing::info!("{} takes no lock, so it is read without one: nothing may be pruned meanwhile", self.address);
        program.arguments.insert(self.restic.global_arguments().len(), "--no-lock".into());
        program
    }

    pub(super) async fn act_as(&self, program: &Program, call: &Call<'_>) -> Result<Answer> {
        let mut patience = Patience::new(self.restic.options.lock_wait);
        loop {
            let answer = self.run(program, call).await?;
            if cause(answer.status, &answer.err) != Cause::Locked {
                return Ok(answer);
            }
            let (cleared, left) = self.clear_dead_locks().await?;
            if !left.is_empty() || (cleared == 0 && !patience.once_more()) {
                patience.wait_for(self, &left).await?;
            }
        }
    }

    /// After a command that only adds or reads was refused for a lock: clears the dead, and waits where somebody living keeps
    /// others out. Whoever asks tries again then.
    pub(super) async fn make_way(&self, patience: &mut Patience) -> Result<()> {
        let (cleared, mut locks) = self.clear_dead_locks().await?;
        locks.retain(|lock| lock.exclusive);
        if locks.is_empty() && (cleared > 0 || patience.once_more()) {
            return Ok(());
        }
        patience.wait_for(self, &locks).await
    }

    pub(super) fn failure(&self, call: &Call<'_>, answer: &Answer) -> anyhow::Error {
        refusal::failure(&self.address, call.to_do, answer.status, &answer.err).into()
    }
}

/// What is left of the time that a lock is waited for.
pub(super) struct Patience {
    limit: Duration,
    /// From the first time that somebody was in the way.
    until: Option<tokio::time::Instant>,
    said: bool,
    missed: u8,
}

impl Patience {
    pub fn new(limit: Duration) -> Patience {
        Patience { limit, until: None, said: false, missed: 0 }
    }

    /// Whether to try again at once where the holder was gone when we looked; not for ever, should others come and go.
    fn once_more(&mut self) -> bool {
        self.missed += 1;
        self.missed <= 3
    }

    async fn wait_for(&mut self, repository: &Repository, holders: &[Lock]) -> Result<()> {
        let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
        let held = match names.as_slice() {
            [] => "the repository is locked by somebody who is gone again".to_owned(),
            names => format!("the repository at {} is locked by {}", repository.address, names.join(", and by ")),
        };
        let now = tokio::time::Instant::now();
        let left = self.until.get_or_insert(now + self.limit).saturating_duration_since(now);
        if left.is_zero() {
            let failure = Failure::new(held).exit(Exit::Locked);
            let hint = if Here::look().name_is_shared() {
                "set BKP_LOCK_WAIT to wait for it; a host name that is shared with others proves nobody dead, so a dead one's lock counts as such after 30 minutes"
            } else {
                "set BKP_LOCK_WAIT to wait for it; one that was killed elsewhere counts as dead after 30 minutes, and its lock is removed then"
            };
            return Err(failure.hint(hint).into());
        }
        if !std::mem::replace(&mut self.said, true) {
            tracing::info!("{held}; waiting for up to {} s", left.as_secs().max(1));
        }
        tokio::time::sleep(left.min(AGAIN)).await;
        Ok(())
    }
}
