//! Help, manual pages and completions: of one source, and true.

mod examples;
mod generated;

use crate::support::bkp::Bkp;

/// The commands that the help of bkp names.
fn commands() -> Vec<String> {
    let help = Bkp::bare().args(["--help"]).run().ok().stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A long description goes on in the next line, further in.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

/// What `bkp help COMMAND` says.
fn help(command: &str) -> String {
    Bkp::bare().args(["help", command]).run().ok().stdout
}

/// The command lines below `Examples:`, as they stand.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn every_command_says_what_it_does_shows_it_and_tells_how_it_ends() {
    let commands = commands();
    for name in ["backup", "restore", "list", "doctor", "wait", "completions"] {
        assert!(commands.iter().any(|command| command == name), "{commands:?}");
    }
    for command in &commands {
        let help = help(command);
        assert!(!help.starts_with("Usage") && !help.starts_with('\n'), "{command}: {help}");
        assert!(help.contains("\nExit codes: "), "{command}: {help}");
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{command} has no example");
        assert!(examples.iter().all(|line| line.contains(&format!("bkp {command}"))), "{command}: {examples:?}");
        // The same by the other way to it, and no wider than a terminal.
        assert_eq!(Bkp::bare().args([command, "--help"]).run().ok().stdout, help);
        let shown = help.lines().skip_while(|line| *line != "Examples:");
        assert!(shown.clone().all(|line| line.chars().count() <= 120), "{help}");
    }
}
