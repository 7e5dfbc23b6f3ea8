//! What an error of a drill says: that the backup does not restore, or that it could not be tried here.

use crate::error::statements::failures_of;
use crate::error::{Failure, exit_of};
use crate::exit::Exit;

/// Classes of SQLSTATE that speak of the server's state and our rights, not of the dump: connection, resources, intervention, system.
const NOT_THE_DUMP: [&str; 5] = ["08", "53", "57", "58", "42501"];

/// Whether an error of this SQLSTATE speaks of the server's state or our rights, and so says nothing of the backup.
pub fn is_of_the_server(code: &str) -> bool {
    NOT_THE_DUMP.iter().any(|class| code.starts_with(class))
}

/// restic's words for data that is there and is not what was written, and for data that is gone.
fn damaged(said: &str) -> bool {
    let is_gone = ["no such file", "does not exist", "NoSuchKey"].iter().any(|words| said.contains(words));
    let is_changed =
        ["ciphertext verification failed", "wrong data returned, hash is"].iter().any(|words| said.contains(words));
    is_changed || (said.contains("Load(<data/") && is_gone)
}

/// A statement of a sealed dump that fails is a backup that does not restore, unless the server or our rights are why; so is a
/// repository that gives back something else than it was given.
pub fn judged(error: anyhow::Error) -> anyhow::Error {
    if exit_of(&error) == Exit::Failed && error.chain().any(|cause| damaged(&cause.to_string())) {
        let hint = "see what is damaged: bkp check --read-data; take another backup: bkp list";
        return Failure::new("the repository is damaged").hint(hint).exit(Exit::ProofFailed).because(error).into();
    }
    // "can only be loaded via shared_preload_libraries", "must be preloaded": each extension has its own words and code.
    if exit_of(&error) == Exit::Failed && error.chain().any(|cause| cause.to_string().contains("preload")) {
        let hint = "this says nothing of the backup; drill on a server that loads the extension when it starts: --server configured";
        return Failure::new("the server lacks what an extension needs").hint(hint).because(error).into();
    }
    // The first: what comes after it may be its echo.
    let first =
        failures_of(&error).and_then(|failures| failures.listed.first()).and_then(|failed| failed.code.as_deref());
    match first {
        Some(code) if exit_of(&error) == Exit::Failed && !is_of_the_server(code) => {
            Failure::new("the backup does not restore").exit(Exit::ProofFailed).because(error).into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::statements::{Failed, Failures};

    fn exit(codes: &[Option<&str>]) -> Exit {
        judge(codes, "")
    }

    fn judge(codes: &[Option<&str>], message: &str) -> Exit {
        let failed = |code: &Option<&str>| Failed {
            code: code.map(str::to_owned),
            message: message.into(),
            ..Failed::default()
        };
        let failures = Failures { listed: codes.iter().map(failed).collect(), ..Failures::default() };
        exit_of(&judged(Failure::new("the replay into x failed").because(failures).into()))
    }

    #[test]
    fn a_statement_that_fails_is_no_proof_unless_the_server_is_why() {
        assert_eq!(exit(&[Some("42P01")]), Exit::ProofFailed);
        assert_eq!(exit(&[Some("22P02"), Some("42501")]), Exit::ProofFailed);
        for not in [[Some("53100"), Some("42P01")], [Some("42501"), Some("42704")], [None, None]] {
            assert_eq!(exit(&not), Exit::Failed, "{not:?}");
        }
        assert_eq!(judge(&[Some("55000")], "pg_cron can only be loaded via shared_preload_libraries"), Exit::Failed);
        assert_eq!(judge(&[Some("55000")], "another message"), Exit::ProofFailed);
    }

    #[test]
    fn a_store_that_cannot_be_reached_is_not_taken_for_damage() {
        assert!(damaged("read blob <data/970b> from 8460: wrong data returned, hash is c1e3"));
        assert!(damaged("decrypting blob <tree/b4bf> from 7fd2 failed: ciphertext verification failed"));
        assert!(damaged("Load(<data/7fd2>, 0, 0) failed: open /r/data/7f/7fd2: no such file or directory"));
        assert!(!damaged("Load(<data/7fd2>, 0, 0) failed: dial tcp: connection refused"));
        assert!(!damaged("open /etc/restic/password: no such file or directory"));
    }
}
