//! Links from one document to another lead somewhere: the file is there, and so is the heading.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::source::{files, root};

/// What a document links to, less what is elsewhere in the world.
fn links(text: &str) -> Vec<&str> {
    let after = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    after.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).filter(|link| !link.contains("://")).collect()
}

/// The anchor that a heading gets, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}

/// The anchors of a document; what looks like a heading within a block of commands is a comment there.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), false);
    for line in text.lines() {
        open ^= line.starts_with("```");
        if let (false, Some((marks, heading))) = (open, line.split_once(' '))
            && !marks.is_empty()
            && marks.bytes().all(|byte| byte == b'#')
        {
            found.insert(anchor(heading));
        }
    }
    found
}

/// A path without `..`, which the documents use and a listing of files does not.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
        plain
    })
}

/// What is wrong with the links of one document.
fn faults(path: &str, text: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let fault = |link: &&str| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { PathBuf::from(path) } else { plain(&folder.join(file)) };
        let there = match read(&target) {
            Some(text) => heading.is_empty() || anchors(&text).contains(heading),
            None => heading.is_empty() && root().join(&target).is_dir(),
        };
        !there
    };
    links(text).iter().filter(|link| fault(link)).map(|link| format!("{path}: {link}")).collect()
}

fn of_the_project(path: &Path) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let documents = files(&["README.md", "CHANGELOG.md", "docs", "k8s", "systemd", "images", "monitoring"], &[".md"]);
    let faults: Vec<_> = documents.iter().flat_map(|it| faults(&it.path, &it.text, of_the_project)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_link_to_nowhere_is_found() {
    let read =
        |path: &Path| (path == Path::new("docs/a.md")).then(|| "# A page\n```sh\n# no heading\n```\n".to_owned());
    let faults = |text: &str| faults("docs/b.md", text, read).len();
    assert_eq!(faults("[a](a.md) [a](a.md#a-page) [a](../docs/a.md) [x](https://example.org/x)"), 0);
    assert_eq!(faults("[a](c.md)"), 1);
    assert_eq!(faults("[a](a.md#no-heading)"), 1);
    assert_eq!(faults("[a](a.md#another-page)"), 1);
}
