//! What a statement is and where names stand in it: the facts that the rules decide by.

mod forbidden;
mod roles;
mod session;
mod shown;
mod subject;

use super::name::Name;
use super::token::{Kind, TOKENS, Token, Tokens, head};
use shown::Shown;

pub use self::forbidden::forbidden;
pub use self::roles::Membership;
pub use self::session::{Session, Setting, setting, value};
pub use self::subject::{LONG_KINDS, Manner, Subject};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// CREATE
    Create,
    /// ALTER
    Alter,
    /// DROP
    Drop,
    /// COMMENT ON
    Comment,
    /// SECURITY LABEL ON
    Label,
    /// GRANT or REVOKE … ON
    Grant,
}

/// What a statement is about; numbers are places in [`Statement::tokens`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// A role. `database` is that of ALTER ROLE … IN DATABASE; `role` is `None` for ALL.
    Role {
        /// What is done.
        act: Act,
        /// The role's name.
        role: Option<usize>,
        /// The database's name.
        database: Option<usize>,
    },
    /// GRANT or REVOKE of roles to roles.
    Membership,
    /// A database; GRANT may name several.
    Database {
        /// What is done.
        act: Act,
        /// The databases' names.
        names: Vec<usize>,
    },
    /// UPDATE of pg_database.
    UpdatePgDatabase,
    /// A tablespace.
    Tablespace {
        /// What is done.
        act: Act,
        /// The tablespace's name.
        name: usize,
    },
    /// GRANT or REVOKE … ON PARAMETER.
    Parameter,
    /// SET or RESET of one parameter.
    Set(Setting),
    /// An extension.
    Extension {
        /// What is done.
        act: Act,
        /// The extension's name.
        name: usize,
    },
    /// DROP of anything else, or ALTER TABLE … DROP CONSTRAINT, DEFAULT and the like.
    Drop,
    /// SELECT pg_catalog.lo_unlink(…)
    LoUnlink,
    /// SELECT pg_catalog.lo_create(…), or lo_import and the like.
    LoCreate,
    /// Anything else.
    Other,
}

/// A statement that is held whole, and its tokens.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Its bytes.
    pub sql: &'a [u8],
    /// Its tokens; only the first few of statements that hold data.
    pub tokens: Vec<Token<'a>>,
    /// What it is about.
    pub class: Class,
}

impl<'a> Statement<'a> {
    /// Reads a whole statement.
    pub fn parse(sql: &'a [u8], standard_strings: bool) -> Self {
        let mut all = Tokens::new(sql, standard_strings);
        let first = all.next();
        let data = first.is_some_and(|t| t.is("insert") || t.is("copy"));
        let mut tokens = Vec::with_capacity(if data { 2 } else { TOKENS });
        tokens.extend(first);
        if data {
            tokens.extend(all.next())
        } else {
            tokens.extend(all)
        }
        let class = if data { Class::Other } else { classify(&tokens) };
        Self { sql, tokens, class }
    }

    /// The identifier's value at a place.
    pub fn name(&self, at: usize) -> Option<Name> {
        self.tokens.get(at)?.name()
    }

    /// Whether there is this keyword at a place.
    pub fn is(&self, at: usize, keyword: &str) -> bool {
        self.tokens.get(at).is_some_and(|t| t.is(keyword))
    }

    /// The place of the first such keyword outside parentheses, at `from` or later.
    pub fn find(&self, from: usize, keyword: &str) -> Option<usize> {
        (from..self.tokens.len()).find(|&at| self.tokens[at].depth == 0 && self.tokens[at].is(keyword))
    }

    /// The options of CREATE DATABASE, whose name is at `at`: places of keyword and value.
    pub fn database_options(&self, at: usize) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let mut next = at + 1 + usize::from(self.is(at + 1, "with"));
        while self.tokens.get(next).is_some_and(|t| t.kind == Kind::Word) {
            // CONNECTION LIMIT is the one keyword of two words.
            let key = next + usize::from(self.is(next, "connection"));
            let value = key + 1 + usize::from(self.tokens.get(key + 1).is_some_and(|t| t.is_punct(b'=')));
            // A negative number is two tokens.
            let value = value + usize::from(self.tokens.get(value).is_some_and(|t| t.is_punct(b'-')));
            if value >= self.tokens.len() {
                break;
            }
            out.push((next, value));
            next = value + 1;
        }
        out
    }

    /// Whether it is one of those that every section begins with and that make nothing: the one call of `set_config` that pg_dump
    /// writes, and nothing beside it.
    pub fn is_session(&self) -> bool {
        let is = |at, keyword| self.is(at, keyword);
        let config = || match self.tokens.as_slice() {
            [select, schema, dot, call @ ..]
                if select.is("select") && schema.is("pg_catalog") && dot.is_punct(b'.') =>
            {
                is_config(call)
            }
            _ => false,
        };
        is(0, "set") || is(0, "reset") || self.tokens.len() <= 1 || config()
    }

    /// What it is, for people: its first words and its first name, never a literal.
    pub fn title(&self) -> String {
        let mut out = Shown::new(64);
        let mut sets = false;
        for token in self.tokens.iter().take(12) {
            sets |= token.is("set");
            if token.is_punct(b'.') && !out.is_empty() {
                out.push(b".");
                continue;
            }
            // A parameter's value may be a secret without being a literal.
            if !matches!(token.kind, Kind::Word | Kind::Quoted) || out.len() > 80 || (sets && token.is("to")) {
                break;
            }
            if !out.is_empty() && !out.ends_with(b".") {
                out.push(b" ");
            }
            out.push(token.text);
            // Whatever follows a password's keyword is nobody's business, literal or not.
            if token.is("password") {
                break;
            }
        }
        out.text()
    }
}

/// Whether a statement that begins so has to be seen whole by some rule; all such are small.
///
/// The others (INSERT, SELECT, CREATE FUNCTION, TABLE, VIEW, …) may be of any size.
pub fn holds_whole(beginning: &[u8], standard_strings: bool) -> bool {
    let words = head(beginning, standard_strings, 3);
    let [first, second, _] = words.as_slice() else {
        return true;
    };
    let object = ["role", "user", "group", "database", "tablespace", "default", "extension", "subscription"];
    match first {
        _ if first.is("create") || first.is("alter") => object.into_iter().any(|o| second.is(o)),
        _ => ["grant", "revoke", "set", "reset", "drop", "update", "copy", "comment", "security"]
            .into_iter()
            .any(|word| first.is(word)),
    }
}

fn classify(tokens: &[Token<'_>]) -> Class {
    let Some(first) = tokens.first() else {
        return Class::Other;
    };
    let act = match first {
        t if t.is("create") => (Act::Create, 1),
        t if t.is("alter") => (Act::Alter, 1),
        t if t.is("drop") => (Act::Drop, 1),
        t if t.is("comment") => (Act::Comment, 2),
        t if t.is("security") => match tokens.iter().position(|t| t.is("on")) {
            Some(on) => (Act::Label, on + 1),
            None => return Class::Other,
        },
        t if t.is("grant") || t.is("revoke") => return granted(tokens),
        t if t.is("set") || t.is("reset") => {
            return setting(tokens).map_or(Class::Other, Class::Set);
        }
        t if t.is("update") && tokens.iter().take(6).any(|t| t.is("pg_database")) => {
            return Class::UpdatePgDatabase;
        }
        t if t.is("select") => return selected(tokens),
        _ => return Class::Other,
    };
    object(tokens, act.0, act.1)
}

/// CREATE, ALTER, DROP, COMMENT ON or SECURITY LABEL ON the object named at `at`.
fn object(tokens: &[Token<'_>], act: Act, at: usize) -> Class {
    let is = |at: usize, keyword: &str| tokens.get(at).is_some_and(|t| t.is(keyword));
    let mut name = at + 1;
    if is(name, "if") {
        name += if is(name + 1, "not") { 3 } else { 2 };
    }
    let role = is(at, "role") || is(at, "group") || (is(at, "user") && !is(at + 1, "mapping"));
    let dropped = |at: usize| ["constraint", "default", "identity", "expression"].into_iter().any(|what| is(at, what));
    let drops = || (0..tokens.len()).any(|i| tokens[i].depth == 0 && is(i, "drop") && dropped(i + 1));
    let named = tokens.get(name).and_then(Token::name).is_some();
    match () {
        () if role && named => {
            let database = (is(name + 1, "in") && is(name + 2, "database")).then_some(name + 3);
            Class::Role { act, role: (!is(name, "all")).then_some(name), database }
        }
        () if is(at, "database") && named => Class::Database { act, names: vec![name] },
        () if is(at, "tablespace") && named => Class::Tablespace { act, name },
        () if is(at, "extension") && named && act != Act::Drop => Class::Extension { act, name },
        () if act == Act::Drop && !is(at, "owned") => Class::Drop,
        () if act == Act::Alter && is(at, "table") && drops() => Class::Drop,
        () => Class::Other,
    }
}

fn granted(tokens: &[Token<'_>]) -> Class {
    let Some(on) = tokens.iter().position(|t| t.depth == 0 && t.is("on")) else {
        return Class::Membership;
    };
    let object = |keyword: &str| tokens.get(on + 1).is_some_and(|t| t.is(keyword));
    let names = roles::list(tokens, on + 2);
    match names.first() {
        Some(_) if object("database") => Class::Database { act: Act::Grant, names },
        Some(&name) if object("tablespace") => Class::Tablespace { act: Act::Grant, name },
        _ if object("parameter") => Class::Parameter,
        _ => Class::Other,
    }
}

/// `set_config('name', 'value', false);` and no more.
fn is_config(call: &[Token<'_>]) -> bool {
    let puncts = b"( , , ) ;".split(|byte| *byte == b' ');
    match call {
        [call, a, name, b, value, c, local, d, e] => {
            let puncts = puncts.zip([a, b, c, d, e]).all(|(wanted, token)| token.text == wanted);
            let literals = name.kind == Kind::Literal && value.kind == Kind::Literal;
            session::is_set_config(call) && puncts && literals && local.kind == Kind::Word
        }
        _ => false,
    }
}

fn selected(tokens: &[Token<'_>]) -> Class {
    let call = if tokens.get(2).is_some_and(|t| t.is_punct(b'.')) { 3 } else { 1 };
    match tokens.get(call) {
        Some(t) if t.is("lo_unlink") => Class::LoUnlink,
        Some(t) if t.is("lo_create") => Class::LoCreate,
        _ => Class::Other,
    }
}

/// The value of a plain `'…'` literal: what dumps write where a name or a setting is a literal.
pub(super) fn literal(text: &[u8]) -> Option<Vec<u8>> {
    let inside = text.strip_prefix(b"'")?.strip_suffix(b"'")?;
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'\'' && bytes.next() != Some(&b'\'') {
            return None;
        }
        out.push(byte);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(sql: &str) -> Class {
        Statement::parse(sql.as_bytes(), true).class
    }

    #[test]
    fn user_mappings_are_not_roles() {
        assert_eq!(class("CREATE USER MAPPING FOR shop SERVER s;"), Class::Other);
        assert_eq!(class("DROP USER MAPPING FOR shop SERVER s;"), Class::Drop);
        let role = Class::Role { act: Act::Create, role: Some(2), database: None };
        assert_eq!(class("create /* x */ USER \"mapping\";"), role);
    }

    #[test]
    fn objects_with_names_like_statements_are_what_they_are() {
        assert_eq!(class("CREATE TABLE public.\"CREATE ROLE dbuser;\" (a int);"), Class::Other);
        assert_eq!(class("GRANT SELECT ON TABLE \"DATABASE\" TO \"on\";"), Class::Other);
        assert_eq!(class("GRANT \"on\" TO \"to\";"), Class::Membership);
    }

    #[test]
    fn a_title_tells_no_literal() {
        let sql = "ALTER ROLE \"a;b\" WITH LOGIN PASSWORD 'hush';";
        assert_eq!(Statement::parse(sql.as_bytes(), true).title(), "ALTER ROLE \"a;b\" WITH LOGIN PASSWORD");
    }

    #[test]
    fn what_rules_must_see_is_held_whole() {
        for sql in ["ALTER ROLE x", "GRANT a TO b", "COPY t (a", "CREATE /* c */ DATABASE x", "COPY"] {
            assert!(holds_whole(sql.as_bytes(), true), "{sql}");
        }
        for sql in ["INSERT INTO t VALUES", "CREATE FUNCTION f()", "ALTER TABLE x ADD", "SELECT 1, 2"] {
            assert!(!holds_whole(sql.as_bytes(), true), "{sql}");
        }
    }
}
