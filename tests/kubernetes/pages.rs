//! The pages that operators have: each is whole, names what its manifests have, and is played by a scenario block by block.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::manifests::{applications, name, objects, project};
use super::tool;
use crate::support::run::run;
use crate::support::workdir::WorkDir;

/// What every page begins its procedures with.
const PROCEDURES: [&str; 6] =
    ["Instead of", "The first time", "A backup by hand", "A restore", "Another ", "When something fails"];

fn text(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The commands of a page: the heading that they stand below, their number there, and what they are.
fn blocks(page: &str) -> Vec<(String, usize, String)> {
    let (mut heading, mut found, mut open) = (String::new(), Vec::new(), false);
    for line in page.lines() {
        match line {
            "```sh" => {
                let number = 1 + found.iter().filter(|(below, _, _)| *below == heading).count();
                found.push((heading.clone(), number, String::new()));
                open = true;
            }
            "```" => open = false,
            _ if open => {
                let (_, _, commands) = found.last_mut().expect("an open block");
                *commands += &format!("{line}\n");
            }
            _ => heading = line.strip_prefix("## ").map_or(heading, str::to_owned),
        }
    }
    found
}

#[test]
fn every_system_has_a_page_with_all_procedures() {
    for app in applications().iter().map(String::as_str).chain(["opsocket"]) {
        let page = text(&format!("docs/{app}.md"));
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings.len(), PROCEDURES.len(), "{app}: {headings:?}");
        for (heading, wanted) in headings.iter().zip(PROCEDURES) {
            assert!(heading.starts_with(wanted), "{app}: {heading} instead of {wanted}");
        }
    }
}

#[test]
fn every_block_of_a_page_is_played_by_the_scenario_of_that_name() {
    for app in applications() {
        let scenario = text(&format!("tests/kubernetes/scenarios/{app}.sh"));
        let played: BTreeSet<String> = scenario
            .lines()
            .filter_map(|line| line.strip_prefix("as_written \"")?.split_once('"'))
            .map(|(heading, rest)| format!("{heading} {}", rest.split_whitespace().next().expect("a number")))
            .collect();
        let blocks = blocks(&text(&format!("docs/{app}.md")));
        let there: BTreeSet<String> = blocks.iter().map(|(heading, number, _)| format!("{heading} {number}")).collect();
        assert_eq!(played, there, "{app}");
    }
    let played = text("tests/systemd/scenarios/opsocket.sh").matches("\nas_written ").count();
    assert_eq!(blocks(&text("docs/opsocket.md")).len(), played);
}

#[test]
fn a_page_names_its_own_namespace_and_what_its_overlay_has() {
    for app in applications() {
        let objects = objects(&project().join("k8s/apps").join(&app));
        let has =
            |kind: &str, wanted: &str| objects.iter().any(|object| object["kind"] == kind && name(object) == wanted);
        for (heading, _, commands) in blocks(&text(&format!("docs/{app}.md"))) {
            for command in commands.lines().filter(|line| line.starts_with("kubectl")) {
                let own = [format!("kubectl -n {app} "), format!("kubectl apply -k k8s/apps/{app}")];
                assert!(own.iter().any(|own| command.starts_with(own)), "{app}, {heading}: {command}");
                for word in command.split_whitespace() {
                    if let Some(cron_job) = word.strip_prefix("cronjob/") {
                        assert!(has("CronJob", cron_job), "{app}, {heading}: {command}");
                    }
                    if let Some(deployment) = word.strip_prefix("deployment/") {
                        assert!(has("Deployment", deployment), "{app}, {heading}: {command}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_run_book_types_at_what_there_is() {
    let there: BTreeSet<String> = ["k8s/base", "tests/kubernetes/live"]
        .iter()
        .flat_map(|overlay| objects(&project().join(overlay)))
        .filter(|object| object["kind"] == "Deployment")
        .map(|object| name(&object).to_owned())
        .collect();
    let page = text("docs/runbook.md");
    let typed = page.lines().filter(|line| line.starts_with("kubectl ")).flat_map(|line| line.split(" && "));
    let named = typed.map(|command| {
        let (_, name) = command.split_once("deployment").unwrap_or_else(|| panic!("of what? {command}"));
        (name[1..].split(' ').next().expect("a name").to_owned(), command.to_owned())
    });
    for (name, command) in named {
        assert!(there.contains(&name), "{command}");
    }
}

#[test]
fn no_two_applications_begin_in_the_same_minute() {
    let mut schedules = BTreeSet::new();
    for app in applications() {
        for object in objects(&project().join("k8s/apps").join(&app)) {
            if let (Some(schedule), None) = (object["spec"]["schedule"].as_str(), object["spec"]["suspend"].as_bool()) {
                assert!(schedules.insert(schedule.to_owned()), "{app}: {schedule}");
            }
        }
    }
    assert_eq!(schedules.len(), 2 * applications().len());
}

#[test]
fn the_commands_beside_the_run_book_do_what_is_said_of_them() {
    let blocks = blocks(&text("k8s/README.md"));
    let play = |wanted: &str| {
        let (_, _, commands) = blocks.iter().find(|(_, _, commands)| commands.starts_with(wanted)).expect("a block");
        let (work, path) = (WorkDir::new(), std::env::var("PATH").expect("a path"));
        let tools = tool("helm").parent().expect("a directory").display().to_string();
        let mut shell = Command::new("bash");
        shell.current_dir(project()).env("HOME", work.path()).env("PATH", format!("{tools}:{path}"));
        let ran = run(shell.args(["-ec", commands]), b"");
        assert!(ran.success, "{commands}: {}", ran.stderr);
        ran.text()
    };
    let schedule = play("name=shop");
    let minute: u32 = schedule.strip_suffix(" 23 * * *").and_then(|minute| minute.parse().ok()).expect(&schedule);
    assert!(minute < 60, "{schedule}");
    assert!(play("helm template").contains("name: cloud-backup"));
}
