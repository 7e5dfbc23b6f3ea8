//! What psql says on its standard error, cut into messages: without statements, rows and the values that messages quote.

use crate::error::is_unprintable;

/// One message of the server's or of psql's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The line of psql's input that it had read by then.
    pub line: Option<u64>,
    /// The server's word for how bad it is; empty for psql's own messages.
    pub severity: String,
    /// SQLSTATE.
    pub code: Option<String>,
    /// What it says, less values.
    pub said: String,
    /// Where among rows it happened.
    pub copying: Option<String>,
    /// The server's hint.
    pub hint: Option<String>,
}

/// Severities after which the statement has worked. Every other word is taken for an error, in whatever language.
const FINE: [&str; 10] =
    ["WARNING", "NOTICE", "INFO", "LOG", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5"];

/// What stands before the number of a row.
const ROW: &str = ", row ";

/// The longest message that is told, in characters.
const TOLD_MAX: usize = 600;

impl Message {
    /// Reads a message's first line; nothing when the line goes on with the message before it.
    pub fn begin(line: &str) -> Option<Message> {
        let (at, rest) = match line.strip_prefix("psql:<stdin>:") {
            Some(rest) => {
                let (number, rest) = rest.split_once(": ")?;
                (Some(number.parse().ok()?), rest)
            }
            None => (None, line.strip_prefix("psql: ")?),
        };
        let from_server = rest.split_once(":  ").and_then(|(severity, rest)| {
            let (code, said) = (rest.get(..5)?, rest.get(5..)?.strip_prefix(": ")?);
            let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            (is_code && !severity.contains(' ')).then_some((severity, code, said))
        });
        Some(match from_server {
            Some((severity, code, said)) => Message {
                line: at,
                severity: severity.to_owned(),
                code: Some(code.to_owned()),
                said: short(&without_values(code, said)),
                ..Message::default()
            },
            None => Message { line: at, said: short(rest.trim()), ..Message::default() },
        })
    }

    /// What psql says in a form that we do not know.
    pub fn unknown(line: &str) -> Message {
        Message { said: short(line.trim()), ..Message::default() }
    }

    /// Takes in a further line of the message.
    pub fn go_on(&mut self, line: &str) {
        if self.copying.is_none() {
            self.copying = copy_context(line);
        }
        if self.hint.is_none() && line.starts_with("HINT:") {
            self.hint = Some(short(line));
        }
    }

    /// Whether it is no error.
    pub fn is_fine(&self) -> bool {
        match self.code {
            Some(_) => FINE.contains(&self.severity.as_str()),
            None => self.said.starts_with("warning: "),
        }
    }

    /// The row of a COPY that it is about, as psql's server counts.
    pub fn row(&self) -> Option<u64> {
        let (_, rest) = self.copying.as_ref()?.rsplit_once(ROW)?;
        rest.split(',').next()?.parse().ok()
    }

    /// All of it that is told, with another number for the row.
    pub fn told_of_row(&self, row: u64) -> String {
        let other = |copying: &String| match copying.rsplit_once(ROW) {
            Some((copy, rest)) => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                format!("{copy}{ROW}{row}{}", &rest[digits..])
            }
            None => copying.clone(),
        };
        Message { copying: self.copying.as_ref().map(other), ..self.clone() }.told()
    }

    /// All of it that is told.
    pub fn told(&self) -> String {
        [Some(&self.said), self.copying.as_ref(), self.hint.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Names may hold anything, a terminal's commands too.
fn short(text: &str) -> String {
    text.chars().take(TOLD_MAX).map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}

/// A message without the value that it quotes: data exceptions (class 22, but for settings: 22023) quote what a row holds,
/// and a syntax error (42601) what it stumbled over, which may be a password.
fn without_values(code: &str, said: &str) -> String {
    let near = said.split_once("at or near \"").map_or("", |(_, near)| near);
    let literal = near.contains('\'') || near.starts_with('$') || said.contains("connection string");
    let quotes = (code.starts_with("22") && code != "22023") || (code == "42601" && literal);
    match (said.find('"'), said.rfind('"')) {
        // The value may hold a line's end: then there is one quote only.
        (Some(from), Some(to)) if quotes => {
            format!("{}(a value, not shown){}", &said[..from], if from < to { &said[to + 1..] } else { "" })
        }
        _ => said.to_owned(),
    }
}

/// `COPY shop.items, line 3, column price`: where among the rows it failed, without the row.
fn copy_context(line: &str) -> Option<String> {
    let context = line.strip_prefix("CONTEXT:  COPY ")?;
    let (table, rest) = context.rsplit_once(", line ").filter(|(table, _)| !table.contains(": "))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let column = rest.strip_prefix(", column ").and_then(|column| column.split(':').next());
    let column = column.map_or(String::new(), |column| format!(", column {column}"));
    Some(format!("COPY {table}{ROW}{number}{column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message {
        let mut lines = text.lines();
        let mut message = Message::begin(lines.next().unwrap()).unwrap();
        lines.for_each(|line| message.go_on(line));
        message
    }

    #[test]
    fn errors_show_no_statement_and_no_row() {
        let said = read(
            "psql:<stdin>:12: ERROR:  42601: syntax error at or near \"x\"\nLINE 1: CREATE ROLE a PASSWORD 'secret';\n        ^\nDETAIL:  Failing row contains (secret).\nHINT:  Look.\n",
        );
        assert_eq!((said.line, said.code.as_deref(), said.is_fine()), (Some(12), Some("42601"), false));
        assert_eq!(said.told(), "syntax error at or near \"x\"; HINT:  Look.");
    }

    #[test]
    fn values_in_the_error_itself_are_left_out_and_names_stay() {
        for (code, line, shown) in [
            (
                "22P02",
                "invalid input syntax for type integer: \"s3cret\"",
                "invalid input syntax for type integer: (a value, not shown)",
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"s3cret",
                "invalid input syntax for type integer: (a value, not shown)",
            ),
            (
                "22003",
                "value \"99\" is out of range for type smallint",
                "value (a value, not shown) is out of range for type smallint",
            ),
            ("42601", "syntax error at or near \"'s3cret'\"", "syntax error at or near (a value, not shown)"),
            ("42601", "syntax error at or near \"E's3cret'\"", "syntax error at or near (a value, not shown)"),
            ("42601", "syntax error at or near \"$$s3cret$$\"", "syntax error at or near (a value, not shown)"),
            ("42601", "syntax error at or near \"OPTION\"", "syntax error at or near \"OPTION\""),
            ("42704", "role \"shop\" does not exist", "role \"shop\" does not exist"),
            (
                "22023",
                "invalid value for parameter \"TimeZone\": \"x\"",
                "invalid value for parameter \"TimeZone\": \"x\"",
            ),
        ] {
            assert_eq!(without_values(code, line), shown);
        }
    }

    #[test]
    fn what_is_not_known_to_be_fine_is_an_error() {
        for (line, fine) in [
            ("psql:<stdin>:3: NOTICE:  00000: extension exists, skipping", true),
            ("psql:<stdin>:3: WARNING:  01007: no privileges were granted", true),
            ("psql:<stdin>:3: ERROR:  00000: raised with a code of success", false),
            ("psql:<stdin>:3: FEHLER:  01000: raised so", false),
            ("psql:<stdin>:3: error: backslash commands are restricted", false),
            ("psql:<stdin>:3: server closed the connection unexpectedly", false),
            ("psql: error: connection to server failed", false),
        ] {
            assert_eq!(Message::begin(line).unwrap().is_fine(), fine, "{line}");
        }
        assert_eq!(Message::begin("LINE 1: psql:<stdin>:3: ERROR:  42601: x"), None);
        assert_eq!(Message::begin("\tThis probably means the server terminated abnormally"), None);
    }

    #[test]
    fn a_place_among_rows_is_told_without_the_row() {
        let said = read(
            "psql:<stdin>:12: ERROR:  22P02: invalid input syntax for type integer: \"s3cret\"\nCONTEXT:  COPY orders, line 3, column total: \"s3cret\"\n",
        );
        let shown = "invalid input syntax for type integer: (a value, not shown); COPY orders, row 3, column total";
        assert_eq!(said.told(), shown);
        assert_eq!(copy_context("CONTEXT:  COPY t, line 2: \"a, line 3, column s3cret\""), None);
        assert_eq!(copy_context("CONTEXT:  COPY t, line 2: \"a\""), Some("COPY t, row 2".to_owned()));
        assert_eq!(copy_context("CONTEXT:  SQL statement \"s3cret\""), None);
    }
}
