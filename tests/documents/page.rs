//! A document as its reader plays it: block after block. What was exported stays so below the same heading; below the page's title,
//! for all of the page.

use std::collections::VecDeque;
use std::path::Path;

use super::world::World;
use crate::support::bkp::Output;

/// The text of a document.
pub fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between two fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The heading that it stands below, without its marks.
    pub heading: String,
    /// What stands behind the opening fence: `sh` is run here, `sh elsewhere` needs a cluster or a cloud.
    pub kind: String,
    /// The lines.
    pub lines: String,
}

/// All blocks of a document, in order.
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut heading, mut found, mut open) = ("", Vec::new(), None::<Block>);
    for line in text.lines() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                found.push(block);
            } else {
                block.lines += &format!("{line}\n");
                open = Some(block);
            }
        } else if let Some(kind) = line.strip_prefix("```") {
            open = Some(Block { heading: heading.to_owned(), kind: kind.to_owned(), lines: String::new() });
        } else if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        }
    }
    assert!(open.is_none(), "a block that does not end, below {heading}");
    found
}

/// A document that is being played. All that can be run here has to be, in order.
pub struct Page {
    path: String,
    title: String,
    left: VecDeque<Block>,
    /// The heading that the last block stood below, and what was exported there.
    here: (String, String),
    /// What was exported below the title.
    everywhere: String,
}

impl Page {
    /// The document, nothing of it played.
    pub fn of(path: &str) -> Self {
        let text = text(path);
        let title = text.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned();
        let left = blocks(&text).into_iter().filter(|block| is_run(&block.kind)).collect();
        Self { path: path.to_owned(), title, left, here: Default::default(), everywhere: String::new() }
    }

    /// Plays the next block, which stands below this heading.
    ///
    /// # Panics
    /// When it does not, or when one of its commands fails.
    #[track_caller]
    pub fn play(&mut self, heading: &str, world: &World) -> Output {
        let block = self.left.pop_front().unwrap_or_else(|| panic!("{}: nothing left below {heading}", self.path));
        assert_eq!(block.heading, heading, "{}: played in the order of the page", self.path);
        if block.kind == "sql" {
            world.cluster.psql("postgres", &block.lines);
            return world.shell("true");
        }
        if self.here.0 != heading {
            self.here = (heading.to_owned(), String::new());
        }
        let output = world.shell(&format!("{}{}{}", self.everywhere, self.here.1, block.lines));
        let exports = block.lines.lines().filter(|line| line.starts_with("export ") || line.starts_with("unset "));
        let kept = if heading == self.title { &mut self.everywhere } else { &mut self.here.1 };
        kept.extend(exports.flat_map(|line| [line, "\n"]));
        let said =
            format!("{}\n{}\n--- stdout\n{}\n--- stderr\n{}", self.path, block.lines, output.stdout, output.stderr);
        assert!(output.code == 0, "exit {} of what stands below {heading} in {said}", output.code);
        output
    }

    /// The document in two: what stands before a heading, and the rest.
    ///
    /// # Panics
    /// When no block stands below that heading.
    #[track_caller]
    pub fn split_at(mut self, heading: &str) -> [Self; 2] {
        let at = self.left.iter().position(|block| block.heading == heading).expect("a heading with a block");
        let rest = self.left.split_off(at);
        let (path, title) = (self.path.clone(), self.title.clone());
        [self, Self { path, title, left: rest, here: Default::default(), everywhere: String::new() }]
    }

    /// Leaves out the next block, which is run by whoever runs these tests.
    ///
    /// # Panics
    /// When it stands below another heading.
    #[track_caller]
    pub fn skip(&mut self, heading: &str) {
        let block = self.left.pop_front();
        assert_eq!(block.map(|block| block.heading).as_deref(), Some(heading), "{}", self.path);
    }

    /// Sees that nothing was left out.
    ///
    /// # Panics
    /// When blocks are left that nobody has played.
    #[track_caller]
    pub fn end(self) {
        assert!(self.left.is_empty(), "{}: blocks that nobody runs: {:#?}", self.path, self.left);
    }
}

/// Whether a block of this kind is run by these tests.
pub fn is_run(kind: &str) -> bool {
    matches!(kind, "sh" | "sql")
}

#[test]
fn blocks_are_found_with_what_they_stand_below() {
    let found = blocks("# a\n```sh\nb\n# no heading\n```\n## c\n```sh elsewhere\nd\n```\n");
    let told: Vec<_> = found.iter().map(|it| (it.heading.as_str(), it.kind.as_str(), it.lines.as_str())).collect();
    assert_eq!(told, [("a", "sh", "b\n# no heading\n"), ("c", "sh elsewhere", "d\n")]);
}
