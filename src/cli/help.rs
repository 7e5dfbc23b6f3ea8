//! What stands at the end of each help and manual page: commands to copy, and the exit codes that matter there. Every example is run by a
//! test as it stands.

/// Of bkp as a whole.
pub const BKP: &str = "Settings come from the environment, each NAME also as NAME_FILE; docs/variables.md has them all:
  POSTGRES_HOST, POSTGRES_USER, POSTGRES_PASSWORD_FILE   the server (or libpq's PGHOST, PGUSER, ...)
  POSTGRES_DB    one database; without it, all of them
  BKP_BUCKET     gs://, s3://, az:// or file:///; default file:///var/lib/bkp
  BKP_FILES      directories whose files are saved too, into RESTIC_REPOSITORY
  RESTIC_REPOSITORY, RESTIC_PASSWORD_FILE                restic instead of a bucket, or besides
  BKP_APP        the application's stable name

Examples:
  bkp doctor              # before the first night, and whenever something looks odd
  bkp backup
  bkp list
  bkp restore --dry-run   # then without --dry-run
  bkp help restore        # more of them, for each command

Exit codes: 0 done, 1 failed and nothing lost, 2 wrong use or settings,
3 saved but some files could not be read, 4 saved but old backups not forgotten,
5 a proof failed, 10 no repository, 11 locked, 12 wrong password,
129/130/143 ended by HUP/INT/TERM after cleaning up.";

/// Of `init`.
pub const INIT: &str = "Examples:
  bkp init   # once, before the first backup

Exit codes: 0 made, or there already; 12 a repository is there and has another password.";

/// Of `backup`.
pub const BACKUP: &str = "Examples:
  bkp backup --dry-run              # what would be saved
  bkp backup                        # saves it, then forgets what the rules no longer keep
  bkp backup --tag before-upgrade   # to be found again with restic
  bkp backup --allow-shrink         # once, when it is meant to be so much smaller

Exit codes: 0 saved; 1 failed, or stored but much smaller than before; 3 saved without some files; 4 saved, but nothing old was \
    forgotten; 10 no repository (bkp init); 11 another run is at work; 12 wrong password.";

/// Of `restore`.
pub const RESTORE: &str = "Examples:
  bkp restore --dry-run                    # the plan, and every statement that would be rewritten
  bkp restore                              # the newest sealed backup; on a terminal it asks first
  bkp restore \"2026-11-20 13:00\"           # the newest at or before, in UTC
  bkp restore --yes \"2h ago\"               # without asking
  bkp restore --only shop                  # one database; or files, or roles
  bkp restore --only shop --as shop_copy   # beside everything, to look at
  bkp restore --table public.orders        # one table, beside the live one
  bkp restore --path config/app.php        # one file or directory, in its place
  bkp restore --to look                    # the files, into an empty directory
  bkp restore --undo                       # back to what was there before the last restore

A backup that shrank (bkp list: SHRANK) is restored only by its name: bkp restore RUN.

Exit codes: 0 restored; 1 failed or nothing fits, and what is live is untouched; 2 wrong use, or the answer was no; 5 what is stored is \
    not what was sealed; 11 another run is at work; 12 wrong password.";

/// Of `list`.
pub const LIST: &str = "Examples:
  bkp list
  bkp list --since 7d --item files   # of the last seven days; or shop, roles, a directory
  bkp list --before 2026-11-21       # before that day began, in UTC
  bkp list --replaced                # what bkp restore --undo would bring back
  bkp list --json                    # docs/list.schema.json describes it

STATE says what to expect: sealed is whole; SHRANK is whole, but much smaller than before; incomplete lacks what is MISSING; safety was \
    taken by a restore of what it replaced; no seal is by another tool.

Exit codes: 0 listed; 1 failed, or there are backups and none fits the options; 10 no repository; 12 wrong password.";

/// Of `check`.
pub const CHECK: &str = "Examples:
  bkp check               # ends and structures, every day
  bkp check --read-data   # all of it, every week

Exit codes: 0 all is as it was sealed; 1 failed, for instance because the store gives no answer; 5 something is damaged.";

/// Of `drill`.
pub const DRILL: &str = "Examples:
  bkp drill                            # of the newest backup; or of another, said as for restore
  bkp drill --evidence evidence.json   # with something to show

Exit codes: 0 it restores; 1 it could not be tried; 5 it does not restore, or a check does not hold; 11 another drill is at work.";

/// Of `change-password`.
pub const CHANGE_PASSWORD: &str = "Examples:
  RESTIC_NEW_PASSWORD_FILE=new-password bkp change-password

Exit codes: 0 every repository has it; 1 failed, and each repository still opens: say it again; 12 neither password opens one.";

/// Of `doctor`.
pub const DOCTOR: &str = "Examples:
  bkp doctor
  bkp doctor --within 20s   # where a store or server may hang

Exit codes: 0 all is well, or there are warnings; 2 there is a fault.";

/// Of `resume`.
pub const RESUME: &str = "Examples:
  bkp resume   # when a pod was killed; every backup and restore begins with it too

Exit codes: 0 given back, or there was nothing; 1 something cannot be given back yet; 11 another run is at work.";

/// Of `forget`.
pub const FORGET: &str = "Examples:
  bkp forget --dry-run   # what would go
  bkp forget

Exit codes: 0 forgotten, or there was nothing; 1 or 4 something stays that should go; 11 another run is at work.";

/// Of `rewrite`.
pub const REWRITE: &str = "Examples:
  gunzip -c dump.sql.gz | bkp rewrite --explain >rewritten.sql
  gunzip -c dump.sql.gz | bkp rewrite --database shop=shop_copy >shop_copy.sql

Exit codes: 0 rewritten; 1 or 5 refused, and the output ends with a statement that fails, so that psql fails too.";

/// Of `wait`.
pub const WAIT: &str = "Examples:
  bkp wait   # as the command of a pod in which backups are made by kubectl exec

Exit codes: 0 ended by TERM or INT, after the commands beside it have cleaned up.";

/// Of `completions`.
pub const COMPLETIONS: &str = "Examples:
  source <(bkp completions bash)    # in ~/.bashrc
  bkp completions zsh >_bkp         # in a directory of $fpath
  bkp completions fish >bkp.fish    # in ~/.config/fish/completions

Exit codes: 0 printed; 2 a shell that it does not know.";

/// Of `man`.
pub const MAN: &str = "Examples:
  bkp man pages   # then: man -l pages/bkp-restore.1

Exit codes: 0 written; 1 the directory cannot be made or written to.";
