//! What restic's bad end means, in words that say what to do.

use std::process::ExitStatus;

use super::address::Address;
use super::output::plain;
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::ended;

/// restic's words for what it was given back and did not write, whatever finds it out: the key, the digest, the compression.
const CHANGED: [&str; 6] = [
    "invalid data returned",
    "wrong data returned",
    "ciphertext verification failed",
    "trying to decrypt invalid data",
    "hash does not match",
    "decompressing blob",
];

/// What restic 0.17.0 says where later ones exit with 12.
const WRONG_PASSWORD: &str = "wrong password or no key found";

/// What a bad end is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NoRepository,
    Locked,
    WrongPassword,
    /// There is no way to leave a lock there: read-only, or full.
    Unlockable,
    Damaged,
    Other,
}

/// Reads restic's exit code, and its words where the code says too little.
pub(super) fn cause(status: ExitStatus, said: &str) -> Cause {
    match status.code() {
        Some(10) => Cause::NoRepository,
        Some(11) => Cause::Locked,
        Some(12) => Cause::WrongPassword,
        _ if said.contains(WRONG_PASSWORD) => Cause::WrongPassword,
        _ if unlockable(said) => Cause::Unlockable,
        _ if damage(said).is_some() => Cause::Damaged,
        _ => Cause::Other,
    }
}

/// Whether it is the place of the repository that takes no lock, and not somebody who holds one.
fn unlockable(said: &str) -> bool {
    let why = [
        "read-only file system",
        "permission denied",
        "no such file",
        "no space left",
        "Access Denied",
        "AccessDenied",
        "403 Forbidden",
    ];
    said.contains("unable to create lock in backend") && why.iter().any(|words| said.contains(words))
}

/// What restic's words say of a repository that does not give back what it was given; nothing when they speak of something else. restic
/// knows its files by their digests, so what was cut and what was mixed up is changed to it, as a rule.
fn damage(said: &str) -> Option<&'static str> {
    // Of the store or the network: nothing that was saved.
    if network(said) {
        return None;
    }
    // Nor is a lock, and another's may go while restic reads it, beside what it fails of.
    let said = said
        .lines()
        .filter(|line| !line.contains("<lock/") && !line.contains("invalid lock file"))
        .collect::<Vec<_>>()
        .join("\n");
    let said = said.as_str();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if has(&["not found in repository"])
        || (has(&["Load(<", "LoadRaw(<"]) && has(&["no such file", "does not exist", "NoSuchKey"]))
    {
        Some("is damaged: something that it should hold is gone")
    } else if has(&["has zero size", "file is too short", "> is too short", "unexpected EOF"]) {
        Some("is damaged: something in it was cut short")
    } else if has(&["walker.walk("]) && has(&["panic: "]) {
        // restic 0.18 goes on with a directory that it could not read.
        Some("is damaged: restic dies of a directory in it that cannot be read")
    } else if has(&CHANGED) {
        Some("is damaged: something in it is not what was written")
    } else {
        None
    }
}

/// The failure of an attempt "to list the snapshots of …".
pub fn failure(address: &Address, to_do: &str, status: ExitStatus, said: &str) -> Failure {
    let words = address.scrub(&plain(said));
    let because = |failure: Failure| {
        let words = if words.is_empty() { format!("restic {}", ended(status)) } else { format!("restic: {words}") };
        failure.because(anyhow::anyhow!(words))
    };
    match cause(status, said) {
        Cause::NoRepository => because(Failure::new(format!("there is no repository at {address}")))
            .hint("correct the address, or make the repository: bkp init")
            .exit(Exit::NoRepository),
        Cause::WrongPassword => Failure::new(format!("the password does not open the repository at {address}"))
            .hints([
                "correct RESTIC_PASSWORD_FILE; if the password was changed, the secret still holds the old one",
                "if it is the right one, its file is gone from the repository's keys: bring it back from a copy of the store",
            ])
            .exit(Exit::WrongPassword),
        Cause::Locked => because(Failure::new(format!("the repository at {address} is locked"))).exit(Exit::Locked),
        Cause::Damaged => {
            let what = damage(said).unwrap_or("is damaged");
            because(Failure::new(format!("the repository at {address} {what}")))
                .hint(mend(&words))
                .exit(Exit::ProofFailed)
        }
        Cause::Unlockable | Cause::Other => {
            let failure = because(Failure::new(format!("restic could not {to_do} ({address})")));
            match hint(&words) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    }
}

/// What can be done about a damage, by the kind of file that restic names.
fn mend(words: &str) -> &'static str {
    let has = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    if has(&["config", "<key/"]) {
        "restore its config and keys from a copy of the store"
    } else if has(&["<index/"]) {
        "an index can be made anew from the rest: copy the repository, then restic repair index"
    } else if has(&["<snapshot/"]) {
        "without that snapshot the others can be read: copy the repository, remove that file from its snapshots, then bkp list"
    } else {
        "keep the repository as it is; another backup may be whole: bkp list; the next one is safest in a new repository"
    }
}

/// What to do about words that restic leaves to stand for themselves.
fn hint(words: &str) -> Option<&'static str> {
    let has = |text: &str| words.contains(text);
    let has_any = |texts: &[&str]| texts.iter().any(|text| has(text));
    // Here and not at the store something was refused.
    if has("snapshot is empty") {
        Some("let bkp run as the account that the files belong to (in a pod: runAsUser and runAsGroup), or as root")
    } else if has("restic-temp-pack") || has("temporary file") || (has("/tmp") && has("read-only file system")) {
        Some("restic needs a writable directory for its packs: mount an emptyDir and name it in TMPDIR")
    } else if has("no space left on device") {
        Some("free some space where TMPDIR is, or in the repository if it is on this machine")
    } else if has("empty password") || has("Resolving password failed") {
        Some("set RESTIC_PASSWORD_FILE to a file that holds the password")
    } else if has("invalid backend") {
        Some(
            "correct RESTIC_REPOSITORY: a path, or s3:, rest:, sftp:, b2:, azure:, gs:, swift: or rclone: and what follows",
        )
    } else if has("invalid lock file") {
        Some(
            "a lock in it is damaged; when nothing of restic's runs on it anywhere, remove all locks: restic unlock --remove-all",
        )
    } else if has("Remove(<") && has_any(&["403 Forbidden", "Access Denied", "permission denied"]) {
        // As is right for an account that saves: docs/security.md.
        Some(
            "this account may add there and not remove: run bkp forget and bkp change-password as one that may, or at an address of the repository that lets it, and set no BKP_KEEP_* here",
        )
    } else if has("401 Unauthorized") {
        Some(
            "correct the server's user and password: RESTIC_REPOSITORY=rest:https://USER:PASSWORD@HOST/, or RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD",
        )
    } else if has_any(&["403 Forbidden", "Access Denied"]) || refuses_keys(words) {
        Some(
            "look at the keys of the account, and at its rights: to list, read and create, and to delete what is below locks/",
        )
    } else if has("x509:") {
        Some("name the CA of the store in CERTIFICATE_FILE or RESTIC_CACERT")
    } else if network(words) {
        Some("see whether the store can be reached from here: address, DNS, network policy, proxy")
    } else {
        None
    }
}

/// The failure of an attempt that restic would make again and again, by what it says of the first one.
pub(super) fn of_words(address: &Address, to_do: &str, words: &str) -> Failure {
    let words = address.scrub(&plain(words));
    let failure = Failure::new(format!("restic could not {to_do} ({address})"));
    let failure = hint(&words).into_iter().fold(failure, |failure, hint| failure.hint(hint));
    failure.because(anyhow::anyhow!("restic: {words}"))
}

/// Whether the store does not know the keys. Not every store says so in a way that restic takes for an end.
pub(super) fn refuses_keys(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["access key id you provided does not exist", "signature we calculated does not match"]
        .iter()
        .any(|text| words.contains(text))
}

/// Whether words tell of a store that cannot be reached, or does not let us in, rather than of what is in it.
pub(super) fn network(words: &str) -> bool {
    [
        "dial tcp",
        "connection re",
        "no such host",
        "i/o timeout",
        "TLS handshake",
        "x509:",
        "context canceled",
        "context deadline",
        "Access Denied",
        "permission denied",
        "unexpected HTTP response",
        "Service Unavailable",
        "broken pipe",
    ]
    .iter()
    .any(|text| words.contains(text))
}

/// Why restic goes on trying, when that is what a line of its standard error says.
pub fn trying_again(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let (_, after) = line.split_once("returned error, retrying after ")?;
    after.split_once(": ").map(|(_, why)| why.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::error::exit_of;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn exit_codes_are_told_apart() {
        let address = Address::new("rest:http://u:hunter2@h/");
        for (code, said, exit) in [
            (10, "", Exit::NoRepository),
            (11, "", Exit::Locked),
            (12, "", Exit::WrongPassword),
            (1, "Fatal: wrong password or no key found", Exit::WrongPassword),
            (1, "Fatal: config or key 40 is damaged: ciphertext verification failed", Exit::ProofFailed),
            (1, "Fatal: unable to open config file: dial tcp http://u:hunter2@h/", Exit::Failed),
            (130, "", Exit::Failed),
        ] {
            let error = anyhow::Error::from(failure(&address, "list", exited(code), said));
            assert_eq!(exit_of(&error), exit, "{code} {said}");
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        }
    }

    #[test]
    fn what_is_gone_cut_or_changed_is_told_apart_from_what_is_not_of_the_repository() {
        for (said, what) in [
            ("Load(<data/11>, 0, 0) failed: open 11: no such file or directory", Some("gone")),
            ("loading tree failed: id 11 not found in repository", Some("gone")),
            ("Fatal: config file has zero size, invalid repository?", Some("cut short")),
            ("Load(<data/11>, 347, 252) failed: file is too short", Some("cut short")),
            ("cached file <data/11> is too short\nReadFull(<data/11>)", Some("cut short")),
            ("LoadRaw(<index/11>): invalid data returned", Some("not what was written")),
            ("decrypting blob <tree/11> from 22 failed: ciphertext verification failed", Some("not what was written")),
            ("read blob <data/11> from 22: wrong data returned, hash is 33", Some("not what was written")),
            (
                "panic: runtime error: nil pointer\ngithub.com/restic/restic/internal/walker.walk({0x1})",
                Some("cannot be read"),
            ),
            ("panic: runtime error: nil pointer\ngithub.com/restic/restic/cmd/restic.runLs({0x1})", None),
            ("invalid lock file: LoadRaw(<lock/11>): invalid data returned", None),
            ("Load(<lock/11>, 0, 0) failed: open locks/11: no such file or directory", None),
            (
                "Load(<lock/1>) failed: no such file\nLoadRaw(<index/22>): invalid data returned",
                Some("not what was written"),
            ),
            ("Load(<lock/1>) failed: connection reset by peer\nLoad(<index/2>): unexpected EOF", None),
            ("Load(<data/11>) failed: dial tcp: no such host", None),
            ("lstat b: no such file or directory", None),
        ] {
            let told = damage(said);
            assert_eq!(told.is_some(), what.is_some(), "{said}: {told:?}");
            assert!(told.is_none_or(|told| told.ends_with(what.unwrap_or_default())), "{said}: {told:?}");
        }
        assert!(unlockable("unable to create lock in backend: open a/locks/b: read-only file system"));
        assert!(unlockable("unable to create lock in backend: unexpected HTTP response (403): 403 Forbidden"));
        assert!(!unlockable("unable to create lock in backend: repository is already locked by PID 1"));
    }

    #[test]
    fn files_that_nobody_may_read_are_no_matter_of_the_store() {
        let words =
            "openfile for readdirnames failed: open b: permission denied\nunable to save snapshot: snapshot is empty";
        assert!(hint(words).is_some_and(|hint| hint.contains("runAsUser")), "{:?}", hint(words));
        let words = "Fatal: unable to open config file: mkdir /repository: permission denied";
        assert!(hint(words).is_some_and(|hint| hint.contains("store")), "{:?}", hint(words));
    }

    #[test]
    fn what_an_account_may_not_do_is_no_matter_of_the_network() {
        for (words, told) in [
            ("Remove(<key/11>) failed: unexpected HTTP response (403): 403 Forbidden", "may add there and not remove"),
            ("Remove(<snapshot/11>) failed: client.RemoveObject: Access Denied.", "may add there and not remove"),
            ("Remove(<snapshot/11>) failed: remove a/11: permission denied", "may add there and not remove"),
            ("unable to open config file: unexpected HTTP response (401): 401 Unauthorized", "RESTIC_REST_PASSWORD"),
            ("unable to open config file: Stat: Access Denied.", "the keys of the account"),
            ("Stat: The AWS Access Key Id you provided does not exist in our records.", "the keys of the account"),
        ] {
            assert!(hint(words).is_some_and(|hint| hint.contains(told)), "{words}: {:?}", hint(words));
        }
    }

    #[test]
    fn a_store_that_is_tried_again_is_told_apart() {
        let line = b"Stat(<config/>) returned error, retrying after 1.4s: Head \"http://h/config\": dial tcp: refused";
        assert_eq!(trying_again(line).as_deref(), Some("Head \"http://h/config\": dial tcp: refused"));
        assert_eq!(trying_again(b"Fatal: unable to open config file: context canceled"), None);
    }
}
