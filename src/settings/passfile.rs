//! libpq's password file, read as `passwordFromFile` in `fe-connect.c` reads it.
//!
//! A line is `host:port:database:user:password`; `*` stands for anything in the first four; `\` takes the next character as it
//! is; the first line that fits wins; `#` begins a comment. `localhost` stands for sockets in libpq's own directory.

use super::secret::Secret;

/// The lines of a password file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassFile(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Host, port, database, user; `None` is `*`.
    fields: [Option<String>; 4],
    password: Secret,
}

impl PassFile {
    /// Reads a file's text. Lines that are no entries are passed over, as libpq does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split('\n').filter_map(line).collect())
    }

    /// The password of the first line that fits.
    #[must_use]
    pub fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<&Secret> {
        let port = port.to_string();
        let wanted = [host, &port, database, user];
        let fits = |line: &&Line| {
            line.fields.iter().zip(wanted).all(|(field, wanted)| field.as_deref().is_none_or(|field| field == wanted))
        };
        // The first line that fits decides, also when it has no password.
        self.0.iter().find(fits).map(|line| &line.password).filter(|password| !password.expose().is_empty())
    }
}

fn line(text: &str) -> Option<Line> {
    let mut rest = text.strip_suffix('\r').unwrap_or(text);
    if rest.starts_with('#') || rest.is_empty() {
        return None;
    }
    let mut fields = [None, None, None, None];
    for field in &mut fields {
        let (text, after) = field_of(rest)?;
        // Escaped, `\*` is a star; only a bare one stands for anything.
        *field = (&rest[..rest.len() - after.len() - 1] != "*").then_some(text);
        rest = after;
    }
    Some(Line { fields, password: Secret::new(unescape(rest)) })
}

/// The text up to a bare colon, unescaped, and what follows it.
fn field_of(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => return Some((unescape(&text[..at]), &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Takes escapes out. A password ends at a bare colon only in libpq's writers, never in its reader, so colons stay.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str, host: &str, database: &str) -> Option<String> {
        PassFile::parse(text).find(host, 5432, database, "me").map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# shop\nh:5433:*:*:no\nh:5432:shop:me:one\n*:*:*:*:two\n";
        assert_eq!(found(text, "h", "shop").as_deref(), Some("one"));
        assert_eq!(found(text, "h", "other").as_deref(), Some("two"));
    }

    #[test]
    fn escapes_are_taken_out_and_an_escaped_star_is_a_star() {
        assert_eq!(found("a\\:b:*:s\\\\p:*:p\\:w\\\\ x \r\n", "a:b", "s\\p").as_deref(), Some("p:w\\ x "));
        assert_eq!(found("\\*:*:*:*:x", "h", "d"), None);
        assert_eq!(found("h:*:*:*::lead:x", "h", "d").as_deref(), Some(":lead:x"));
    }

    #[test]
    fn lines_with_too_few_fields_are_passed_over() {
        assert_eq!(found("h:5432:me\n\nnonsense\nh:5432:d:me:yes", "h", "d").as_deref(), Some("yes"));
    }

    proptest! {
        #[test]
        fn every_password_reads_back(password in "[^\n\r]{1,40}", host in "[^\n\r]{1,10}") {
            let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
            prop_assume!(!host.starts_with('#') && host != "*");
            let text = format!("{}:*:*:*:{}\n", escape(&host), escape(&password));
            let file = PassFile::parse(&text);
            prop_assert_eq!(file.find(&host, 1, "d", "u").map(|secret| secret.expose().to_owned()), Some(password));
        }
    }
}
