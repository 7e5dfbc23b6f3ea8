//! The README's table of variables is the one in `settings/names.rs`.

use std::fs;

use bkp::settings::names;

use crate::source::root;

const BEGIN: &str = "<!-- variables -->";
const END: &str = "<!-- /variables -->";

/// The text with the table between the markers; nothing where they are not.
fn with_table(readme: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}{END}{after}", names::table()))
}

#[test]
fn the_table_of_variables_is_that_of_the_program() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let wanted = with_table(&readme).expect("README.md lacks the markers of the table of variables");
    if std::env::var_os("BKP_BLESS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(readme == wanted, "README.md: the table of variables is old; BKP_BLESS=1 cargo test --test tidy writes it");
}

#[test]
fn an_old_table_is_found_and_written_anew() {
    let old = format!("# x\n{BEGIN}\n| `BKP_GONE` |\n{END}\ny\n");
    let new = with_table(&old).unwrap();
    assert_ne!(new, old);
    assert!(new.starts_with("# x\n") && new.ends_with("y\n") && new.contains("`BKP_APP`") && !new.contains("BKP_GONE"));
    assert_eq!(with_table(&new).unwrap(), new);
    assert!(with_table("no markers").is_none());
}
