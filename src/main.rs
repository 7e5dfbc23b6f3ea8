//! Parse, resolve, watch signals, run, tell an error once, exit.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anyhow::Result;
use bkp::cli::{self, Cli, Command};
use bkp::commands::rewrite::Request;
use bkp::commands::{self, Context, backup, beforehand, restore};
use bkp::error::{Failure, exit_of};
use bkp::exit::Exit;
use bkp::process::{self, Stop};
use bkp::report::facts::{Ended, Told};
use bkp::report::log::{Wanted, Warned};
use bkp::report::notify::Watch;
use bkp::settings::names::{NO_COLOR, RUST_LOG};
use bkp::settings::{self, Environment, Faults, Log, Overrides, Process};
use bkp::{aliases, report};
use futures::FutureExt;
use tracing::Instrument;

fn main() -> ExitCode {
    process::leave_no_core();
    // Before all else that is said: restic starts us so, between itself and the run that it stores for.
    if Process.arguments().get(1).is_some_and(|word| word == process::RELAY_WORD) {
        return if process::relay().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // A server that must not outlive us is started so; it becomes that server.
    if let [_, word, program @ ..] = Process.arguments().as_slice()
        && word == process::HOLD_WORD
    {
        // Into the log of what it did not become.
        eprintln!("bkp: {}", process::hold(program));
        return ExitCode::FAILURE;
    }
    // Faults, too, are told in the form that was asked for.
    let log = settings::log_form(&Process);
    let filter = Process.get(RUST_LOG);
    let wanted = Wanted { form: log, filter: filter.as_deref().and_then(OsStr::to_str), colours: !no_color() };
    let warned = report::log::start(wanted);
    let cli = match Cli::of(given()) {
        Ok(cli) => cli,
        Err(said) if said.use_stderr() => {
            refused(&said, log);
            return ExitCode::from(Exit::Usage.code());
        }
        Err(said) => return printed(&said),
    };
    if process::is_main() {
        report::start_last_words();
    }
    let exit = in_runtime(told(cli, &warned)).unwrap_or_else(|error| {
        report::error(&error);
        Exit::Failed
    });
    ExitCode::from(exit.code())
}

/// Help and versions are results as others are: one that could not be written is not there.
fn printed(said: &cli::Said) -> ExitCode {
    let written = said.print().and_then(|()| io::stdout().flush());
    match written.or_else(report::unless_gone) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::from(Exit::Failed.code())
        }
    }
}

fn in_runtime<T>(what: impl Future<Output = T>) -> Result<T> {
    process::has_room()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(what);
    // A thread that waits for a dead peer must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    process::wait_for_the_ending();
    Ok(done)
}

/// Tells what is wrong with the arguments: whoever gave them, and whoever waits for the command that was meant. On a terminal somebody has just
/// typed them and sees it: that is nothing of the nights that others wait for.
fn refused(said: &cli::Said, log: Log) {
    let error = Failure::new(said.to_string().trim_end()).exit(Exit::Usage).into();
    match log {
        Log::Json => report::error(&error),
        // With colours, where somebody sees them; one who does not read it any more is no reason to fail otherwise.
        Log::Text => drop(said.print()),
    }
    let Some(command) = cli::meant(&given()).filter(|_| !io::stderr().is_terminal()) else { return };
    let ended = in_runtime(async {
        let (now, (notify, app)) = (commands::now(), settings::notify_at_least(&Process));
        let (app, error, facts) = (app.as_deref(), Some(&error), Told::default().facts());
        let ended = Ended { command, app, began: now, ended: now, exit: Exit::Usage, error, facts };
        Watch::begin(notify, command).end(&ended).await;
    });
    if let Err(error) = ended {
        tracing::warn!("nobody could be told: {error:#}");
    }
}

/// What any value of it asks for.
fn no_color() -> bool {
    Process.get(NO_COLOR).is_some_and(|value| !value.is_empty())
}

/// Does it, and tells how it ended: in the log, and to whoever watches.
async fn told(cli: Cli, warned: &Warned) -> Exit {
    let (began, told) = (commands::now(), Told::default());
    // In a box: the compiler nests no deeper what holds everything.
    let Some(command) = cli.command.told_as() else {
        return caught(Box::pin(run(cli, &told))).await.unwrap_or_else(|error| {
            report::error(&error);
            exit_of(&error)
        });
    };
    // Before the settings are resolved as a whole: that they are wrong is told, too.
    let (notify, app) = settings::notify_at_least(&Process);
    let span = tracing::info_span!("run", command, app = app.as_deref(), run = tracing::field::Empty);
    let watch = Watch::begin(notify, command);
    let ended = caught(Box::pin(run(cli, &told))).instrument(span.clone()).await;
    let (exit, error) = match &ended {
        Ok(exit) => (*exit, None),
        Err(error) => (exit_of(error), Some(error)),
    };
    let (app, facts) = (app.as_deref(), told.facts());
    let ended = Ended { command, app, began, ended: commands::now(), exit, error, facts };
    // Out of threads or memory nobody else can be told; the exit code is the truth all the same.
    let _ = AssertUnwindSafe(end(watch, &ended, warned)).catch_unwind().instrument(span).await;
    exit
}

/// A fault of our own, or memory that ran out in a library, is told as any other: in the log, in metrics and by an exit code of the table.
async fn caught(run: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    // In a box: a command's futures are more nested than the compiler follows through one more.
    AssertUnwindSafe(Box::pin(run)).catch_unwind().await.unwrap_or_else(|_| {
        Err(Failure::new("bkp itself failed, as told above; this is no fault of your settings")
            .hint("if memory was short, give it more; else please report what is told above, with the version: bkp --version")
            .into())
    })
}

fn wrong_settings(faults: &Faults) -> Failure {
    Failure::new(faults.to_string()).exit(Exit::Usage).hint(
        "nothing was tried; what each variable takes is told in the README, and whether all of them work by: bkp doctor",
    )
}

/// The one place where the end of a run is told. The log first: it needs nobody's answer.
async fn end(watch: Watch, ended: &Ended<'_>, warned: &Warned) {
    warned.again();
    if let Some(error) = ended.error {
        report::error(error);
    }
    watch.end(ended).await;
}

/// The program and its arguments; those that an old name means.
fn given() -> Vec<OsString> {
    let given = Process.arguments();
    let meant = given.split_first().and_then(|(program, rest)| aliases::arguments(program, rest));
    meant.unwrap_or(given)
}

async fn run(cli: Cli, told: &Told) -> Result<Exit> {
    let (settings, mut faults) = settings::inspect(&Process, &Overrides::default());
    // These need no settings: a pod that idles must not die of a wrong one, a filter touches nothing, and a shell has none.
    match cli.command {
        Command::Completions { shell } => return commands::shells::completions(shell),
        Command::Man { directory } => return commands::shells::man(&directory),
        Command::Wait => return commands::wait::wait_for_signal().await,
        Command::Rewrite(given) => return commands::rewrite::rewrite(&Request::new(given)?),
        _ => {}
    }
    if let Command::Doctor { within } = cli.command {
        return commands::doctor::doctor(&Process, Stop::on_signals()?, cli.json, within).await;
    }
    faults.0.extend(beforehand::faults(&settings, &cli.command));
    if !faults.0.is_empty() {
        return Err(wrong_settings(&faults).into());
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let context = Context { settings, stop: Stop::on_signals()?, json: cli.json, told: told.clone() };
    match cli.command {
        Command::Init { split } => commands::init::init(&context, split).await,
        Command::Backup { dry_run, tags, allow_shrink } => {
            backup::backup(&context, &backup::Request { dry_run, tags, allow_shrink }).await
        }
        Command::Restore(given) => restore::restore(&context, &given).await,
        Command::List(given) => commands::list::list(&context, &given, no_color()).await,
        Command::Check { read_data } => commands::check::check(&context, read_data).await,
        Command::Drill(given) => commands::drill::drill(&context, &given).await,
        Command::ChangePassword => commands::change_password::change_password(&context).await,
        Command::Resume => commands::resume::resume(&context).await,
        Command::Forget { dry_run } => commands::forget::forget(&context, dry_run).await,
        Command::Rewrite(_)
        | Command::Wait
        | Command::Doctor { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(Exit::Done),
    }
}
