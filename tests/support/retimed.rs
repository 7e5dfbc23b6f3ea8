//! A dump of another time than it was made at.

use std::fs;
use std::path::{Path, PathBuf};

use bkp::repository::bucket::pack::{End, read_end, sealed_end};

/// Makes a dump in a bucket one of `stamp` (`20250101_000000`, in UTC), by its name and by the run in its seal; gives its new path. What
/// follows the time in its name stays.
pub fn retimed(dump: &Path, stamp: &str) -> PathBuf {
    let bytes = fs::read(dump).expect("a dump");
    let Ok(End::Line(line)) = read_end(&bytes) else { panic!("{} has no seal", dump.display()) };
    let line = String::from_utf8(line).expect("a seal");
    let old_end = sealed_end(&line).expect("an end").len();
    let (day, time) = stamp.split_once('_').expect("a day and a time");
    let run = line.split("\"run\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a run");
    let (_, own) = run.split_once('-').expect("a run's id");
    let end = sealed_end(&line.replacen(run, &format!("{day}T{time}Z-{own}"), 1)).expect("an end");
    let name = dump.file_name().expect("a name").to_string_lossy().into_owned();
    let (begin, rest) = name.split_once("db_dump-").expect("a dump's name");
    let to = dump.with_file_name(format!("{begin}db_dump-{stamp}{}", &rest[stamp.len()..]));
    fs::remove_file(dump).expect("removed");
    fs::write(&to, [&bytes[..bytes.len() - old_end], &end[..]].concat()).expect("written");
    to
}
