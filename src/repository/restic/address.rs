//! The address of a repository as restic reads it: a path, `s3:…`, `rest:https://user:password@host/…`, `sftp:…`, and so on.

use std::fmt;
use std::path::Path;

/// Where a repository is. Printing it leaves out a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Takes what `RESTIC_REPOSITORY` says; restic judges it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Address {
        Address(text.into())
    }

    /// The address itself, for restic's environment; never for a message.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The directory of a repository that is one.
    pub fn directory(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("local:").unwrap_or(&self.0);
        // As restic tells them apart: what begins with a word and a colon is somewhere else.
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let elsewhere = path.len() == self.0.len() && path.split_once(':').is_some_and(|(word, _)| is_word(word));
        (!elsewhere).then(|| Path::new(path))
    }

    /// The repository one level below, as scripts that say `$RESTIC_REPOSITORY/files` mean it.
    #[must_use]
    pub fn at(&self, sub: &str) -> Address {
        let base = self.0.trim_end_matches('/');
        // The only form where a path needs no separator before it begins.
        let bucket_alone = base.strip_prefix("b2:").is_some_and(|rest| !rest.contains([':', '/']));
        Address(format!("{base}{}{sub}", if bucket_alone { ':' } else { '/' }))
    }

    /// Whether what is there asks for a cloud's credentials: a directory, a server of restic's own and SSH do not.
    pub(super) fn is_in_a_cloud(&self) -> bool {
        self.directory().is_none() && !["rest:", "sftp:"].into_iter().any(|scheme| self.0.starts_with(scheme))
    }

    /// What stands between the first colon and the last `@` after `://`, where user and password are.
    fn password(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        let (user, _) = rest.rsplit_once('@')?;
        user.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty())
    }

    /// A text of restic's without this address's password.
    pub fn scrub(&self, text: &str) -> String {
        match self.password() {
            Some(password) => text.replace(&format!(":{password}@"), ":***@"),
            None => text.to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scrub(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_without_its_password() {
        for (address, shown) in [
            ("rest:https://joe:hunter2@host:8000/x", "rest:https://joe:***@host:8000/x"),
            ("rest:https://joe:p@ss/word@host/x", "rest:https://joe:***@host/x"),
            ("rest:https://joe@host/x", "rest:https://joe@host/x"),
            ("s3:https://host:9000/bucket", "s3:https://host:9000/bucket"),
            ("sftp://joe@host:22//srv", "sftp://joe@host:22//srv"),
            ("/srv/a:b@c", "/srv/a:b@c"),
        ] {
            assert_eq!(Address::new(address).to_string(), shown);
            assert!(!format!("{:?}", Address::new(address)).contains("hunter2"));
        }
        let address = Address::new("rest:http://joe:hunter2@h/");
        assert_eq!(address.scrub("Head \"http://joe:hunter2@h/config\""), "Head \"http://joe:***@h/config\"");
    }

    #[test]
    fn a_directory_is_told_from_an_address() {
        let directory = |text: &str| Address::new(text).directory().map(|path| path.display().to_string());
        for (text, path) in [("/srv/a", "/srv/a"), ("local:/srv/a:b", "/srv/a:b"), ("./a:b", "./a:b"), ("a", "a")] {
            assert_eq!(directory(text).as_deref(), Some(path));
        }
        for text in ["s3:https://host/bucket", "sftp:joe@host:/srv", "b2:bucket:path", "rclone:a:b", "rest:http://h/"] {
            assert_eq!(directory(text), None, "{text}");
        }
    }

    #[test]
    fn only_clouds_ask_for_their_credentials() {
        for text in ["/srv/a", "rest:https://host/", "sftp:joe@host:/srv"] {
            assert!(!Address::new(text).is_in_a_cloud(), "{text}");
        }
        for text in ["s3:https://host/bucket", "gs:bucket:/", "rclone:remote:", "b2:bucket"] {
            assert!(Address::new(text).is_in_a_cloud(), "{text}");
        }
    }

    #[test]
    fn a_repository_below_is_where_old_scripts_put_it() {
        for (base, below) in [
            ("/srv/repo", "/srv/repo/files"),
            ("/srv/repo/", "/srv/repo/files"),
            ("/", "/files"),
            ("s3:https://host/bucket", "s3:https://host/bucket/files"),
            ("s3:host/bucket/app/", "s3:host/bucket/app/files"),
            ("rest:http://u:p@host:8000/", "rest:http://u:p@host:8000/files"),
            ("sftp:joe@host:/srv", "sftp:joe@host:/srv/files"),
            ("b2:bucket", "b2:bucket:files"),
            ("b2:bucket:app", "b2:bucket:app/files"),
            ("gs:bucket:/", "gs:bucket:/files"),
            ("rclone:remote:", "rclone:remote:/files"),
        ] {
            assert_eq!(Address::new(base).at("files"), Address::new(below));
        }
    }
}
