//! Tells the program what it was built from, for `bkp --version`.
//!
//! `BKP_COMMIT` may say the commit where there is no git, as in an image's build; with neither it is `unknown`.

#![allow(clippy::disallowed_methods, reason = "a build has no settings and asks git")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=BKP_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // A commit moves the log of HEAD; in a worktree git alone knows where that lies.
    for path in ["logs/HEAD", "index"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path])
            && std::path::Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // Without this, the word "dirty" would be as old as the last commit.
    println!("cargo::rerun-if-changed=src");

    let told = std::env::var("BKP_COMMIT").ok().filter(|commit| !commit.is_empty());
    let dirty = told.is_none() && git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    let commit = told.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])).unwrap_or_else(|| "unknown".into());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    let mark = if dirty { "-dirty" } else { "" };
    println!("cargo::rustc-env=BKP_COMMIT={commit}");
    println!("cargo::rustc-env=BKP_DIRTY={dirty}");
    println!("cargo::rustc-env=BKP_TARGET={target}");
    println!("cargo::rustc-env=BKP_BUILD={commit}{mark} {target}");
}

/// What git says, if it is there, knows this directory and says anything.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
