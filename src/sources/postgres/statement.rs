//! What a statement is and where names stand in it: the facts that the rules decide by.

mod forbidden;
mod roles;
mod session;
mod shown;
mod subject;

use std::cell::OnceCell;

use memchr::memchr2_iter;

use super::name::Name;
use super::token::{Kind, TOKENS, Token, Tokens, head};
use shown::Shown;

pub use self::forbidden::forbidden;
pub use self::roles::Membership;
pub use self::session::{Session, Setting, setting, value};
pub use self::subject::{About, LONG_KINDS, Manner, Subject, act, manner};

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

/// How many tokens are read of every statement. More is hardly ever asked of CREATE, COMMENT ON and SELECT, which are the longest.
const HEAD: usize = 4;

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
    /// What it is about.
    pub class: Class,
    head: [Option<Token<'a>>; HEAD],
    rest: Tokens<'a>,
    /// Head and rest, once somebody has asked for more than the head.
    all: OnceCell<Vec<Token<'a>>>,
}

impl<'a> Statement<'a> {
    /// Reads a whole statement.
    pub fn parse(sql: &'a [u8], standard_strings: bool) -> Self {
        let mut rest = Tokens::new(sql, standard_strings);
        let (first, second) = (rest.next(), rest.next());
        let holds_data = first.is_some_and(|t| t.is("insert") || t.is("copy"));
        if holds_data {
            rest = Tokens::new(b"", standard_strings);
        }
        let head = [first, second, rest.next(), rest.next()];
        let mut statement = Self { sql, class: Class::Other, head, rest, all: OnceCell::new() };
        statement.class = classify(&statement);
        statement
    }

    /// A statement of which only these tokens are looked at.
    pub fn of(sql: &'a [u8], tokens: Vec<Token<'a>>) -> Self {
        let head = std::array::from_fn(|at| tokens.get(at).copied());
        Self { sql, class: Class::Other, head, rest: Tokens::new(b"", true), all: OnceCell::from(tokens) }
    }

    /// Its tokens; only the first few of statements that hold data.
    pub fn tokens(&self) -> &[Token<'a>] {
        self.all.get_or_init(|| {
            let mut all = Vec::with_capacity(TOKENS);
            all.extend(self.head.iter().flatten());
            all.extend(self.rest.clone());
            all
        })
    }

    /// The token at a place.
    pub fn token(&self, at: usize) -> Option<&Token<'a>> {
        match self.head.get(at) {
            Some(token) => token.as_ref(),
            None => self.tokens().get(at),
        }
    }

    /// Whether the word stands anywhere, if only within another one or a literal: to know that it does not costs less than to read
    /// all tokens.
    pub fn may_say(&self, word: &str) -> bool {
        let first = word.as_bytes()[0];
        let mut places = memchr2_iter(first, first.to_ascii_uppercase(), self.sql);
        places
            .any(|at| self.sql[at..].get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes())))
    }

    /// The identifier's value at a place.
    pub fn name(&self, at: usize) -> Option<Name> {
        self.token(at)?.name()
    }

    /// Whether there is this keyword at a place.
    pub fn is(&self, at: usize, keyword: &str) -> bool {
        self.token(at).is_some_and(|t| t.is(keyword))
    }

    /// The place of the first such keyword outside parentheses, at `from` or later.
    pub fn find(&self, from: usize, keyword: &str) -> Option<usize> {
        (from..)
            .map_while(|at| Some((at, self.token(at)?)))
            .find(|(_, t)| t.depth == 0 && t.is(keyword))
            .map(|(at, _)| at)
    }

    /// The options of CREATE DATABASE, whose name is at `at`: places of keyword and value.
    pub fn database_options(&self, at: usize) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let mut next = at + 1 + usize::from(self.is(at + 1, "with"));
        while self.token(next).is_some_and(|t| t.kind == Kind::Word) {
            // CONNECTION LIMIT is the one keyword of two words.
            let key = next + usize::from(self.is(next, "connection"));
            let value = key + 1 + usize::from(self.token(key + 1).is_some_and(|t| t.is_punct(b'=')));
            // A negative number is two tokens.
            let value = value + usize::from(self.token(value).is_some_and(|t| t.is_punct(b'-')));
            if self.token(value).is_none() {
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
        let config = || match self.tokens() {
            [select, schema, dot, call @ ..]
                if select.is("select") && schema.is("pg_catalog") && dot.is_punct(b'.') =>
            {
                is_config(call)
            }
            _ => false,
        };
        is(0, "set") || is(0, "reset") || self.token(1).is_none() || (is(0, "select") && config())
    }

    /// What it is, for people: its first words and its first name, never a literal.
    pub fn title(&self) -> String {
        let mut out = Shown::new(64);
        let mut sets = false;
        for token in (0..12).map_while(|at| self.token(at)) {
            sets |= token.is("set");
            if token.is_punct(b'.') && !out.is_empty() {
                out.apart(b'.');
                continue;
            }
            // A parameter's value may be a secret without being a literal.
            if !matches!(token.kind, Kind::Word | Kind::Quoted) || out.len() > 80 || (sets && token.is("to")) {
                break;
            }
            if !out.is_empty() && !out.ends_with(b".") {
                out.apart(b' ');
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
    let [Some(first), Some(second), Some(_)] = head(beginning, standard_strings) else {
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

fn classify(statement: &Statement<'_>) -> Class {
    let Some(first) = statement.token(0) else {
        return Class::Other;
    };
    let act = match first {
        t if t.is("create") => (Act::Create, 1),
        t if t.is("alter") => (Act::Alter, 1),
        t if t.is("drop") => (Act::Drop, 1),
        t if t.is("comment") => (Act::Comment, 2),
        t if t.is("security") => match statement.tokens().iter().position(|t| t.is("on")) {
            Some(on) => (Act::Label, on + 1),
            None => return Class::Other,
        },
        t if t.is("grant") || t.is("revoke") => return granted(statement),
        t if t.is("set") || t.is("reset") => {
            return setting(statement.tokens()).map_or(Class::Other, Class::Set);
        }
        t if t.is("update") && (0..6).any(|at| statement.is(at, "pg_database")) => {
            return Class::UpdatePgDatabase;
        }
        t if t.is("select") => return selected(statement),
        _ => return Class::Other,
    };
    object(statement, act.0, act.1)
}

/// CREATE, ALTER, DROP, COMMENT ON or SECURITY LABEL ON the object named at `at`.
fn object(statement: &Statement<'_>, act: Act, at: usize) -> Class {
    let is = |at: usize, keyword: &str| statement.is(at, keyword);
    let mut name = at + 1;
    if is(name, "if") {
        name += if is(name + 1, "not") { 3 } else { 2 };
    }
    let role = is(at, "role") || is(at, "group") || (is(at, "user") && !is(at + 1, "mapping"));
    let dropped = |at: usize| ["constraint", "default", "identity", "expression"].into_iter().any(|what| is(at, what));
    let drops = || statement.tokens().iter().zip(1..).any(|(t, next)| t.depth == 0 && t.is("drop") && dropped(next));
    let named = || statement.name(name).is_some();
    match () {
        () if role && named() => {
            let database = (is(name + 1, "in") && is(name + 2, "database")).then_some(name + 3);
            Class::Role { act, role: (!is(name, "all")).then_some(name), database }
        }
        () if is(at, "database") && named() => Class::Database { act, names: vec![name] },
        () if is(at, "tablespace") && named() => Class::Tablespace { act, name },
        () if is(at, "extension") && named() && act != Act::Drop => Class::Extension { act, name },
        () if act == Act::Drop && !is(at, "owned") => Class::Drop,
        () if act == Act::Alter && is(at, "table") && statement.may_say("drop") && drops() => Class::Drop,
        () => Class::Other,
    }
}

fn granted(statement: &Statement<'_>) -> Class {
    let Some(on) = statement.find(0, "on") else {
        return Class::Membership;
    };
    let object = |keyword: &str| statement.is(on + 1, keyword);
    let names = roles::list(statement, on + 2);
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

fn selected(statement: &Statement<'_>) -> Class {
    let call = if statement.token(2).is_some_and(|t| t.is_punct(b'.')) { 3 } else { 1 };
    match statement.token(call) {
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
    use crate::sources::postgres::token::tokens;

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
    fn a_token_is_the_same_whether_few_were_read_or_all() {
        for sql in ["", ";", "SELECT 1;", "ALTER TABLE t ADD CHECK (a > 0) /* ; */;", "CREATE TABLE \"a b\" (c int)  "]
        {
            let (statement, all) = (Statement::parse(sql.as_bytes(), true), tokens(sql.as_bytes(), true));
            for at in 0..=all.len() {
                let place = |token: &Token<'_>| (token.range(), token.kind, token.depth);
                assert_eq!(statement.token(at).map(place), all.get(at).map(place), "{sql} {at}");
            }
            assert_eq!(statement.tokens().len(), all.len(), "{sql}");
        }
    }

    #[test]
    fn a_word_is_never_overlooked() {
        let says = |sql: &str| Statement::parse(sql.as_bytes(), true).may_say("drop");
        for sql in ["drop", "ALTER TABLE d DROP COLUMN c;", "ALTER TABLE t ADD c int, dDrop", "a 'DrOp'"] {
            assert!(says(sql), "{sql}");
        }
        assert!(!says("ALTER TABLE d DRO P COLUMN dro"));
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
