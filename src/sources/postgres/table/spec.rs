//! How an operator names a table: as in psql, `shop.orders`, `orders`, `shop."Weird.Name"`. No wildcards: what is restored is named.

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::exit::Exit;

/// A table's name as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its schema, if that was said.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

impl Spec {
    /// Takes a name apart: folded to lower case outside double quotes, as the server does.
    ///
    /// # Errors
    /// When it is no name of a table.
    pub fn parse(text: &str) -> Result<Spec> {
        let wrong = |why: &str| {
            Failure::new(format!("--table {text}: {why}"))
                .hint("write schema.table, with double quotes where SQL needs them: --table 'shop.\"Odd Name\"'")
                .exit(Exit::Usage)
        };
        let (mut parts, mut part, mut in_quotes) = (Vec::new(), String::new(), false);
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '"' if in_quotes && characters.peek() == Some(&'"') => {
                    characters.next();
                    part.push('"');
                }
                '"' => in_quotes = !in_quotes,
                '.' if !in_quotes => parts.push(std::mem::take(&mut part)),
                '*' | '?' if !in_quotes => bail!(wrong("wildcards are not understood; name each table")),
                c => part.push(if in_quotes { c } else { c.to_ascii_lowercase() }),
            }
        }
        parts.push(part);
        if in_quotes {
            bail!(wrong("a double quote is not closed"));
        }
        if parts.iter().any(String::is_empty) {
            bail!(wrong("a part of the name is empty"));
        }
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if !parts.is_empty() {
            bail!(wrong("that is more than a schema and a table; the database is chosen with --only or POSTGRES_DB"));
        }
        Ok(Spec { schema, name })
    }

    /// As people read it.
    pub fn shown(&self) -> String {
        self.schema.iter().chain([&self.name]).map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Of `(schema, name)` the one that is meant: without a schema that of `public`, or the only one.
///
/// # Errors
/// When there is none or more than one; names those that may be meant.
pub fn pick(there: &[(String, String)], spec: &Spec) -> Result<usize> {
    let shown = |at: usize| format!("{}.{}", there[at].0, there[at].1);
    let named: Vec<usize> = (0..there.len())
        .filter(|at| there[*at].1 == spec.name && spec.schema.as_ref().is_none_or(|schema| *schema == there[*at].0))
        .collect();
    if let Some(public) = named.iter().find(|at| there[**at].0 == "public") {
        return Ok(*public);
    }
    match named.as_slice() {
        [one] => Ok(*one),
        [] => {
            let near: Vec<String> = near(there, spec).into_iter().map(shown).collect();
            let failure = Failure::new(format!("the backup has no table {}", spec.shown()));
            bail!(match near.as_slice() {
                [] => failure.hint("choose another backup (bkp list), or another database (--only NAME)"),
                near => failure.hint(format!("it has {}", near.join(", "))),
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(|at| shown(*at)).collect();
            bail!(
                Failure::new(format!("the backup has more than one table {}", spec.name))
                    .hint(format!("say which: {}", names.join(", ")))
                    .exit(Exit::Usage)
            )
        }
    }
}

/// How many near names are told.
const MOST_NEAR: usize = 5;

/// The same name in another schema or case, then what differs in two letters or holds it.
fn near(there: &[(String, String)], spec: &Spec) -> Vec<usize> {
    let wanted = spec.name.to_lowercase();
    let distance = |at: usize| {
        let name = there[at].1.to_lowercase();
        if name == wanted {
            return Some(0);
        }
        let letters = letters_apart(&name, &wanted);
        if letters <= 2 && letters < wanted.chars().count() {
            return Some(letters);
        }
        (wanted.len() > 2 && (name.contains(&wanted) || wanted.contains(&name))).then_some(3)
    };
    let mut all: Vec<(usize, usize)> = (0..there.len()).filter_map(|at| Some((distance(at)?, at))).collect();
    all.sort_unstable();
    all.into_iter().take(MOST_NEAR).map(|(_, at)| at).collect()
}

/// Levenshtein's distance.
pub fn letters_apart(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut left_above = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in two.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (left_above + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            left_above = above;
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<(String, String)> {
        [("public", "orders"), ("old", "orders"), ("a", "items"), ("b", "items"), ("c", "only")]
            .map(|(schema, name)| (schema.to_owned(), name.to_owned()))
            .to_vec()
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        for (text, schema, name) in [
            ("Shop.Orders", Some("shop"), "orders"),
            ("orders", None, "orders"),
            ("shop.\"Weird.Name\"", Some("shop"), "Weird.Name"),
            ("\"a\"\"b\"", None, "a\"b"),
        ] {
            assert_eq!(Spec::parse(text).unwrap(), Spec { schema: schema.map(str::to_owned), name: name.into() });
        }
        for bad in ["", "a.b.c", "a.", ".b", "a*", "\"a", "a.\"\""] {
            assert!(Spec::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_one_that_is_meant_is_picked_or_candidates_are_named() {
        let pick = |text: &str| super::pick(&tables(), &Spec::parse(text).unwrap());
        assert_eq!((pick("orders").unwrap(), pick("old.orders").unwrap(), pick("only").unwrap()), (0, 1, 4));
        let said = |text: &str| crate::error::hints_of(&pick(text).unwrap_err()).join("");
        assert!(said("items").contains("a.items, b.items"), "{}", said("items"));
        assert!(said("ordres").contains("public.orders"), "{}", said("ordres"));
        assert!(said("c.items").contains("a.items"), "{}", said("c.items"));
        assert!(said("nothing_like_it").contains("bkp list"));
    }
}
