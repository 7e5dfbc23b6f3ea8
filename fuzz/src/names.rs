//! Names of what is stored, of buckets and of databases: what is read as one is written as it was, and nothing is read as one that
//! leaves its folder.

use bkp::commands::when::{day, moment};
use bkp::repository::bucket::layout::{FOLDER, dump_name, taken, time_of};
use bkp::settings::BucketAddress;
use bkp::settings::address::is_plain_path;
use bkp::sources::postgres::lexer::Meta;
use bkp::sources::postgres::name::Name;

/// Any bytes, taken for each kind of name.
pub fn holds(input: &[u8]) {
    database(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    object(text);
    object(&format!("{FOLDER}db_dump-{text}.bak.gz"));
    bucket(text);
    for scheme in ["gs", "s3", "az", "file"] {
        bucket(&format!("{scheme}://{text}"));
    }
    let now = "2026-11-22T02:03:04Z".parse().expect("a time");
    let _ = (day(text), moment(text, now), moment(&format!("{text} ago"), now));
}

/// A name that holds a time is the one that this time's dump gets; retention forgets by it.
fn object(name: &str) {
    let Some(time) = time_of(name) else { return };
    let packed = format!("{}.gz", name.strip_suffix(".gz").unwrap_or(name));
    assert_eq!(dump_name(time, taken(name)), packed, "read as another name's time");
    assert!(is_plain_path(name), "{name:?}");
}

fn bucket(text: &str) {
    let Ok(address) = text.parse::<BucketAddress>() else { return };
    let shown = address.to_string();
    assert_eq!(shown.parse(), Ok(address), "{text:?}");
    assert_eq!(shown, text.strip_suffix('/').unwrap_or(text));
    let (_, path) = shown.split_once("://").expect("a scheme");
    assert!(is_plain_path(path.trim_start_matches('/')), "{shown:?}");
    assert!(!shown.chars().any(char::is_control) && shown.split('/').all(|part| part != ".."), "{shown:?}");
}

/// A name that PostgreSQL can have comes back from SQL and from the line that connects to it.
fn database(name: &[u8]) {
    if name.is_empty() || name.contains(&0) {
        return;
    }
    let name = Name::new(name);
    assert_eq!(Name::parse(&name.quoted()), Some(name.clone()));
    // pg_dumpall refuses such databases, because no line can hold them.
    if !name.as_bytes().contains(&b'\n') && !name.as_bytes().contains(&b'\r') {
        assert_eq!(Meta::parse(&Meta::connect_line(&name)), Ok(Meta::Connect(name)));
    }
}
