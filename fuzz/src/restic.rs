//! What restic says is read or refused, never half; and whatever it says, no password of its address is shown.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use bkp::repository::restic::{Address, output, refusal};
use serde_json::Value;

/// Part of each password here, and of nothing that restic says by itself.
const MARK: &str = "Zq7hunter2";

/// The first two bytes are restic's exit code and how long the address's password is; then comes that, then what restic said. A `@` alone
/// in a line stands for the address.
pub fn holds(input: &[u8]) {
    let [code, length, rest @ ..] = input else { return };
    listed(rest);
    let (password, said) = rest.split_at(usize::from(length % 32).min(rest.len()));
    let Ok(password) = std::str::from_utf8(password) else { return };
    // What an address can hold.
    let plain: String =
        password.chars().filter(|character| !character.is_control() && !character.is_whitespace()).collect();
    let text = format!("rest:https://joe:{plain}{MARK}@host/repository");
    let address = Address::new(text.clone());
    let said = String::from_utf8_lossy(said).replace(MARK, "").replace("\n@\n", &format!("\nFatal: {text}: refused\n"));
    let shown = output::plain(&said);
    assert!(shown.lines().count() <= 12, "a flood of words");
    assert!(shown.lines().all(|line| !line.trim().is_empty()), "an empty line");
    assert!(
        !shown.contains(|character: char| character.is_control() && character != '\n'),
        "what a terminal obeys: {shown:?}"
    );
    let failure = refusal::failure(&address, "list", ExitStatus::from_raw(i32::from(*code) << 8), &said);
    let error = anyhow::Error::from(failure);
    for shown in [format!("{error:#}"), format!("{error:?}"), format!("{address} {address:?}")] {
        assert!(!shown.contains(MARK), "the password is shown: {shown}");
    }
    let why = refusal::trying_again(said.as_bytes());
    assert!(why.is_none_or(|why| !address.scrub(&why).contains(MARK)), "the password is shown");
}

/// Lists of snapshots and of files, held against a reader that knows nothing of them.
fn listed(said: &[u8]) {
    // It is stricter: what nobody asks for is not looked into by ours.
    if let (Ok(snapshots), Ok(all)) = (output::snapshots(said), serde_json::from_slice::<Value>(said)) {
        let ids: Vec<&str> = all.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(snapshots.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ids, "a snapshot is left out");
    }
    if let Ok(entries) = output::entries(said) {
        let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        assert_eq!(entries.len(), lines.count().saturating_sub(1), "a file is left out");
    }
    for line in said.split(|byte| *byte == b'\n') {
        if let (Some((done, _)), Ok(any)) = (output::status(line), serde_json::from_slice::<Value>(line)) {
            let told = [&any["bytes_done"], &any["bytes_restored"]];
            assert!(done == 0 || told.iter().any(|told| told.as_u64() == Some(done)), "bytes from nowhere");
        }
    }
}
