//! The table of variables in `docs/variables.md` is the one in `settings/names.rs`, that of the metrics the one in `report/metrics/names.rs`.

use std::fs;

use bkp::report::metrics;
use bkp::settings::names;

use crate::source::root;

/// The text with the table between the markers of this name; nothing where they are not.
fn with_table(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

/// Holds a document against the program's own table.
fn is_that_of_the_program(path: &str, name: &str, table: &str) {
    let file = root().join(path);
    let text = fs::read_to_string(&file).unwrap();
    let wanted = with_table(&text, name, table).unwrap_or_else(|| panic!("{path} lacks the markers of its table"));
    if std::env::var_os("BKP_BLESS").is_some() {
        fs::write(&file, wanted).unwrap();
        return;
    }
    assert!(text == wanted, "{path}: the table of {name} is old; BKP_BLESS=1 cargo test --test tidy writes it");
}

#[test]
fn the_table_of_variables_is_that_of_the_program() {
    is_that_of_the_program("docs/variables.md", "variables", &names::table());
}

#[test]
fn the_table_of_metrics_is_that_of_the_program() {
    is_that_of_the_program("docs/metrics.md", "metrics", &metrics::names::table());
}

#[test]
fn an_old_table_is_found_and_written_anew() {
    let old = "# x\n<!-- variables -->\n| `BKP_GONE` |\n<!-- /variables -->\ny\n";
    let with_table = |text: &str| with_table(text, "variables", &names::table());
    let new = with_table(old).unwrap();
    assert_ne!(new, old);
    assert!(new.starts_with("# x\n") && new.ends_with("y\n") && new.contains("`BKP_APP`") && !new.contains("BKP_GONE"));
    assert_eq!(with_table(&new).unwrap(), new);
    assert!(with_table("no markers").is_none());
}
