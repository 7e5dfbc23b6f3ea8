//! The application is paused around what needs it to be still, and resumed whatever comes of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustix::fs::Access;

use super::{Context, Run};
use crate::error::hints_of;
use crate::pause::{self, Commands, Config, Maintenance, Pause, Scaled};
use crate::process::Stop;
use crate::settings::Settings;
use crate::settings::names::{BKP_PAUSE_COMMAND, BKP_RESUME_COMMAND};

/// The longest that a pause or resume command may take.
const LIMIT: Duration = Duration::from_secs(600);

/// How long the Kubernetes API may be away before a pause is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for giving back: a cluster whose API is upgraded is without one for a minute or more.
const PATIENCE_BACK: Duration = Duration::from_secs(180);

/// How often pods are looked for that are to go.
const PACE: Duration = Duration::from_secs(1);

/// Why it would be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is saved.
    Backup,
    /// It is restored.
    Restore,
    /// Nothing of it is touched: what is made beside it is for somebody to look at.
    Beside,
}

/// What the settings say of pausing.
pub fn config(settings: &Settings) -> Result<Config> {
    let pause = &settings.pause;
    let commands = Commands::parse(pause.pause_command.as_deref(), pause.resume_command.as_deref())?;
    Ok(Config {
        app: settings.app.clone(),
        maintenance: pause.maintenance.clone().map(|(path, content)| Maintenance { path, content }),
        commands,
        scaled: scaled(settings),
        state: settings.state_dir.clone(),
        limit: LIMIT,
        environment: Vec::new(),
    })
}

fn scaled(settings: &Settings) -> Option<Scaled> {
    let pause = &settings.pause;
    (!pause.scaled.is_empty()).then(|| Scaled {
        objects: pause.scaled.clone(),
        cluster: pause.cluster.clone(),
        wait: pause.scaled_wait,
        patience: PATIENCE,
        patience_back: PATIENCE_BACK,
        pace: PACE,
        changing: Arc::default(),
    })
}

/// What mends a program that [`runs`] does not find.
pub const MEND_PROGRAM: &str = "name it by its whole path, and let it be executable";

/// The programs that pause and resume, each with the variable that names it.
pub fn programs(settings: &Settings) -> Vec<(&'static str, String)> {
    let commands = config(settings).ok().and_then(|config| config.commands);
    let of = |name, words: Vec<String>| words.into_iter().next().map(|program| (name, program));
    let both = |Commands { pause, resume }| [of(BKP_PAUSE_COMMAND, pause), of(BKP_RESUME_COMMAND, resume)];
    commands.into_iter().flat_map(both).flatten().collect()
}

/// Where a program is that can be run. Without running it: it would pause the application.
pub fn runs(program: &str) -> Option<PathBuf> {
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![program.into()],
        // Where the system looks for programs when there is no PATH: the commands get none of ours.
        false => ["/usr/local/bin", "/usr/bin", "/bin"].iter().map(|at| Path::new(at).join(program)).collect(),
    };
    places.into_iter().find(|at| at.is_file() && rustix::fs::access(at.as_path(), Access::EXEC_OK).is_ok())
}

/// Whether the settings ask for a pause then.
///
/// # Errors
/// When the commands cannot be read.
pub fn is_wanted(settings: &Settings, reason: Reason) -> Result<bool> {
    let wanted = match reason {
        Reason::Backup => settings.pause.on_backup,
        Reason::Restore => settings.pause.on_restore,
        Reason::Beside => false,
    };
    Ok(wanted && !config(settings)?.is_empty())
}

/// Does the work, paused if the settings ask for that.
///
/// # Errors
/// The pause's, the work's or the resuming's.
pub async fn around<T>(
    context: &Context,
    run: &Run,
    reason: Reason,
    work: impl AsyncFnOnce(Option<&mut Pause<'_>>) -> Result<T>,
) -> Result<T> {
    let settings = &context.settings;
    if !is_wanted(settings, reason)? {
        return work(None).await;
    }
    let config = config(settings)?;
    pause::during(&config, &run.id, &context.stop, async |pause| work(Some(pause)).await).await
}

/// Gives back what dead runs left paused, and names those that it resumed; the caller holds the application's locks.
///
/// # Errors
/// When something cannot be resumed.
pub async fn resume_left(context: &Context, dry_run: bool) -> Result<Vec<String>> {
    let config = config(&context.settings)?;
    let mut resumed = Vec::new();
    if !dry_run {
        pause::drop_unfinished(&config);
    }
    for left in pause::left_paused(&config)? {
        if dry_run {
            tracing::info!("run {} left the application paused; a run would resume it", left.run);
            continue;
        }
        pause::resume_left(&config, &left).await?;
        tracing::warn!("resumed the application, which run {} left paused when it died", left.run);
        resumed.push(left.run);
    }
    for run in resume_scaled(&config, &context.stop, dry_run).await? {
        if !resumed.contains(&run) {
            resumed.push(run);
        }
    }
    Ok(resumed)
}

/// A backup that pauses nothing must not fail because nobody can tell what is paused; who does pause is told by that.
async fn resume_scaled(config: &Config, stop: &Stop, dry_run: bool) -> Result<Vec<String>> {
    // Nothing is paused by this run yet, and an API that is silent is waited for.
    let (left, unseen) = stop.or(async { Ok(pause::seen_scaled(config).await) }).await?;
    for error in &unseen {
        tracing::warn!("whether a dead run left something scaled to zero cannot be seen: {error:#}");
        for hint in hints_of(error) {
            tracing::warn!("hint: {hint}");
        }
    }
    for pause::kubernetes::Left { object, run } in &left {
        match dry_run {
            true => tracing::info!("run {run} left {object} scaled to zero; a run would scale it back"),
            false => tracing::warn!("run {run} left {object} scaled to zero when it died; giving it back"),
        }
    }
    if left.is_empty() || dry_run {
        return Ok(Vec::new());
    }
    pause::resume_scaled(config, &left).await?;
    Ok(left.into_iter().map(|left| left.run).collect())
}

/// Whether it can be seen what is paused: for whoever asks for nothing else.
///
/// # Errors
/// When the Kubernetes API cannot be asked.
pub async fn can_be_seen(settings: &Settings) -> Result<()> {
    pause::left_scaled(&config(settings)?).await.map(|_| ())
}
