//! Completions that shells take, and manual pages that say what the help says.

use std::fs;
use std::process::Command;

use super::{commands, examples, help};
use crate::support::bkp::Bkp;
use crate::support::run::run;
use crate::support::workdir::WorkDir;

fn completions(shell: &str) -> String {
    Bkp::bare().args(["completions", shell]).run().ok().stdout
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> String {
    let script = format!(
        "source /dev/stdin; COMP_WORDS=({}); COMP_CWORD={}; _bkp bkp '{}' ''; echo \"${{COMPREPLY[*]}}\"",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1]
    );
    let ran = run(Command::new("bash").args(["--norc", "-c", &script]), completions("bash").as_bytes());
    assert!(ran.success, "{}", ran.stderr);
    ran.text().to_owned()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered(&["bkp", "comp"]).trim(), "completions");
    assert!(offered(&["bkp", "list", "--s"]).contains("--since"));
    assert!(offered(&["bkp", "completions", "f"]).contains("fish"));
}

#[test]
fn every_shell_is_told_every_command_without_any_setting() {
    for shell in ["bash", "zsh", "fish"] {
        let script = completions(shell);
        for command in commands() {
            assert!(script.contains(&command), "{shell} lacks {command}");
        }
    }
    let out = Bkp::bare().args(["completions", "tcsh"]).run().fails_with(2);
    out.says("bash, zsh, fish");
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let work = WorkDir::new();
    let pages = work.join("man");
    Bkp::bare().args(["man"]).args([&pages]).run().ok();
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("bkp.1").contains("BKP_BUCKET"));
    for command in commands() {
        let page = page(&format!("bkp-{command}.1")).replace("\\-", "-").replace("\\(aq", "'").replace("\\*(Aq", "'");
        assert!(page.contains(".SH EXAMPLES\nExamples:\n.nf\n  ") && page.contains("\n.fi\n"), "{command}: {page}");
        for line in examples(&help(&command)) {
            assert!(page.contains(&line.replace('\\', "\\\\")), "{command}: {line}\n{page}");
        }
    }
    assert!(!pages.join("bkp-help.1").exists());
}
