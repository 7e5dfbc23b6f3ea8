//! Where roles stand in a statement.

use super::{Class, Statement, literal};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::token::{Kind, Token};

/// The roles that a GRANT or REVOKE of memberships names; places in the statement's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The roles that are granted.
    pub roles: Vec<usize>,
    /// The roles that they are granted to.
    pub members: Vec<usize>,
    /// Places of WITH and of the token after its options.
    pub options: Option<(usize, usize)>,
    /// Places of GRANTED and of the grantor's name.
    pub granted_by: Option<(usize, usize)>,
}

impl Statement<'_> {
    /// The parts of a GRANT or REVOKE of memberships.
    pub fn membership(&self) -> Option<Membership> {
        let grants = self.is(0, "grant");
        let start = if self.is(2, "option") && self.is(3, "for") { 4 } else { 1 };
        let to = self.find(1, if grants { "to" } else { "from" })?;
        let granted_by = self.find(to, "granted").map(|at| (at, at + 2));
        let end = granted_by.map_or(self.tokens().len().saturating_sub(1), |(at, _)| at);
        let options = self.find(to, "with").map(|at| (at, end));
        Some(Membership { roles: list(self, start), members: list(self, to + 1), options, granted_by })
    }

    /// Every role that the statement needs or makes, except PUBLIC, the server's own, and those
    /// that are only keywords (CURRENT_USER).
    pub fn roles(&self) -> Vec<Name> {
        let mut places = Vec::new();
        match &self.class {
            Class::Role { role, .. } => places.extend(*role),
            Class::Membership => {
                if let Some(membership) = self.membership() {
                    places.extend(membership.roles.iter().chain(&membership.members));
                    places.extend(membership.granted_by.map(|(_, at)| at));
                }
            }
            _ => self.elsewhere(&mut places),
        }
        places.into_iter().filter_map(|at| role(self.token(at)?)).collect()
    }

    /// The role that the statement gives an object to, or acts as: who runs it has to be allowed to become that one. Nothing for
    /// `public`, which belongs to its owner already wherever it was not made by the dump.
    pub fn owner(&self) -> Option<Name> {
        let at = match self.token(0)? {
            t if t.is("alter") && self.is(1, "schema") && self.name(2)?.as_bytes() == b"public" => return None,
            t if t.is("alter") => self.owner_to()?,
            t if t.is("create") && self.is(1, "schema") => self.find(2, "authorization")? + 1,
            t if t.is("set") && self.is(1, "session") && self.is(2, "authorization") => 3,
            _ => return None,
        };
        role(self.token(at)?)
    }

    /// The place of `role` in `… OWNER TO role;`.
    fn owner_to(&self) -> Option<usize> {
        let at = self.tokens().len().checked_sub(4).filter(|at| *at > 0)?;
        (self.is(at, "owner") && self.is(at + 1, "to")).then_some(at + 2)
    }

    fn elsewhere(&self, places: &mut Vec<usize>) {
        let second = |keyword: &str| self.is(1, keyword);
        let after = |from: usize, keyword: &str| self.find(from, keyword).map(|at| at + 1);
        match self.token(0) {
            Some(t) if t.is("alter") && second("default") => {
                let role = after(2, "role").or_else(|| after(2, "user"));
                places.extend(role.into_iter().flat_map(|at| list(self, at)));
                let grants = self.find(2, "grant").or_else(|| self.find(2, "revoke")).unwrap_or(self.tokens().len());
                self.grantees(grants, places);
            }
            Some(t) if t.is("grant") || t.is("revoke") => self.grantees(1, places),
            Some(t) if t.is("alter") && self.owner_to().is_some() => places.extend(self.owner_to()),
            Some(t) if (t.is("create") || t.is("alter")) && second("policy") => {
                places.extend(after(3, "to").into_iter().flat_map(|at| list(self, at)));
            }
            Some(_) if second("user") && self.is(2, "mapping") => places.extend(after(3, "for")),
            Some(t) if t.is("create") && second("schema") => places.extend(after(2, "authorization")),
            Some(t) if t.is("create") && (second("tablespace") || second("database")) => {
                places.extend(
                    after(3, "owner").map(|at| at + usize::from(self.token(at).is_some_and(|t| t.is_punct(b'=')))),
                );
            }
            Some(t) if t.is("set") && second("session") && self.is(2, "authorization") => places.push(3),
            Some(t) if t.is("set") && second("role") => places.push(2),
            _ => {}
        }
    }

    fn grantees(&self, from: usize, places: &mut Vec<usize>) {
        let to = self.find(from, "to").or_else(|| self.find(from, "from"));
        places.extend(to.into_iter().flat_map(|at| list(self, at + 1)));
        places.extend(self.find(from, "granted").map(|at| at + 2));
    }
}

/// The places of names in a comma-separated list that starts at `at`; `GROUP x` is `x`.
pub(super) fn list(statement: &Statement<'_>, mut at: usize) -> Vec<usize> {
    let mut out = Vec::new();
    loop {
        let named = |at: usize| statement.token(at).is_some_and(|t| matches!(t.kind, Kind::Word | Kind::Quoted));
        if statement.is(at, "group") && named(at + 1) {
            at += 1;
        }
        if !named(at) {
            return out;
        }
        out.push(at);
        if !statement.token(at + 1).is_some_and(|t| t.is_punct(b',')) {
            return out;
        }
        at += 2;
    }
}

fn role(token: &Token<'_>) -> Option<Name> {
    let keyword = ["current_user", "current_role", "session_user", "default", "none"];
    if keyword.into_iter().any(|k| token.is(k)) {
        return None;
    }
    let name = match token.kind {
        Kind::Literal => literal(token.text).map(Name::new),
        _ => token.name(),
    };
    name.filter(|name| !name.is_builtin_role())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_those_that_objects_are_given_to() {
        for (sql, expected) in [
            ("ALTER TABLE public.t OWNER TO shop;", Some("shop")),
            ("ALTER FUNCTION f(\"owner\" int) OWNER TO \"A b\";", Some("A b")),
            ("ALTER SCHEMA stock OWNER TO a;", Some("a")),
            ("ALTER SCHEMA public OWNER TO a;", None),
            ("CREATE SCHEMA s AUTHORIZATION a;", Some("a")),
            ("SET SESSION AUTHORIZATION 'o''r';", Some("o'r")),
            ("SET SESSION AUTHORIZATION DEFAULT;", None),
            ("GRANT SELECT ON TABLE t TO a;", None),
            ("ALTER TABLE t OWNER TO pg_database_owner;", None),
        ] {
            let owner = Statement::parse(sql.as_bytes(), true).owner();
            assert_eq!(owner.map(|name| name.to_string()), expected.map(str::to_owned), "{sql}");
        }
    }

    #[test]
    fn roles_are_found_wherever_they_stand() {
        for (sql, expected) in [
            ("ALTER TABLE public.t OWNER TO shop;", "shop"),
            ("ALTER LARGE OBJECT 1 OWNER TO \"A b\";", "A b"),
            ("GRANT SELECT(\"to\") ON TABLE public.\"from\" TO a,PUBLIC, \"B\" WITH GRANT OPTION;", "a B"),
            ("REVOKE ALL ON SCHEMA public FROM GROUP a GRANTED BY g;", "a g"),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE a, b IN SCHEMA s REVOKE ALL ON TABLES FROM c;", "a b c"),
            ("CREATE POLICY p ON public.t FOR SELECT TO a, \"b\" USING ((to_x() = x));", "a b"),
            ("CREATE POLICY p ON public.t USING (true);", ""),
            ("SET SESSION AUTHORIZATION 'o''r';", "o'r"),
            ("SET SESSION AUTHORIZATION DEFAULT;", ""),
            ("CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'x');", "a"),
            ("CREATE SCHEMA s AUTHORIZATION a;", "a"),
            ("CREATE TABLESPACE f OWNER a LOCATION '/x';", "a"),
            ("GRANT pg_monitor TO m WITH ADMIN OPTION, INHERIT TRUE GRANTED BY g;", "m g"),
            ("CREATE VIEW v AS SELECT 'GRANT a TO b';", ""),
            ("COMMENT ON ROLE a IS 'x';", "a"),
        ] {
            let roles = Statement::parse(sql.as_bytes(), true).roles();
            let roles: Vec<_> = roles.iter().map(Name::to_string).collect();
            assert_eq!(roles.join(" "), expected, "{sql}");
        }
    }
}
