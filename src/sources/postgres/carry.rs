//! Database-level properties that come along from the live database when the dump does not say them: owner, grants, settings,
//! connection limit and template flag.

use anyhow::{Context, Result};

use super::connect::Session;
use super::server::{ident, literal, text};

/// How the live database was made, as the options of a CREATE DATABASE that makes one like it.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn create_like(session: &Session, database: &str, side: &str) -> Result<String> {
    let major = session.server_version_major();
    // The column was renamed with every new kind of provider.
    let (provider, locale, rules) = match major {
        17.. => ("datlocprovider::text", "datlocale::text", "daticurules::text"),
        16 => ("datlocprovider::text", "daticulocale::text", "daticurules::text"),
        15 => ("datlocprovider::text", "daticulocale::text", "NULL::text"),
        _ => ("'c'::text", "NULL::text", "NULL::text"),
    };
    let query = format!("SELECT pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, {provider}, {locale}, {rules},
            (SELECT spcname::text FROM pg_catalog.pg_tablespace t WHERE t.oid = dattablespace), pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database WHERE datname = $1");
    let row = session.query_one(&query, &[&database]).await.context("reading how the live database was made")?;
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let mut sql = format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        ident(side),
        ident(&text(7).unwrap_or_default()),
        literal(&text(0).unwrap_or_default()),
        literal(&text(1).unwrap_or_default()),
        literal(&text(2).unwrap_or_default())
    );
    match (text(3).as_deref(), text(4)) {
        (Some("i"), Some(locale)) => sql.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(&locale))),
        (Some("b"), Some(locale)) => {
            sql.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(&locale)))
        }
        _ => {}
    }
    if let Some(rules) = text(5) {
        sql.push_str(&format!(" ICU_RULES {}", literal(&rules)));
    }
    // The default one takes a right when it is named, and none when it is not.
    if let Some(tablespace) = text(6).filter(|tablespace| tablespace != "pg_default") {
        sql.push_str(&format!(" TABLESPACE {}", ident(&tablespace)));
    }
    Ok(sql)
}

/// Statements that give `side` what `database` has.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn properties(session: &Session, database: &str, side: &str) -> Result<Vec<String>> {
    let to = ident(side);
    let row = session
        .query_one("SELECT pg_catalog.pg_get_userbyid(datdba)::text, datconnlimit, datistemplate, datacl IS NOT NULL, oid FROM pg_catalog.pg_database WHERE datname = $1", &[&database])
        .await
        .context("reading the live database's properties")?;
    let mut statements = vec![format!("ALTER DATABASE {to} OWNER TO {}", ident(row.get(0)))];
    if row.get::<_, i32>(1) >= 0 {
        statements.push(format!("ALTER DATABASE {to} CONNECTION LIMIT {}", row.get::<_, i32>(1)));
    }
    if row.get::<_, bool>(2) {
        statements.push(format!("ALTER DATABASE {to} IS_TEMPLATE true"));
    }
    if row.get::<_, bool>(3) {
        statements.push(format!("REVOKE ALL ON DATABASE {to} FROM PUBLIC"));
        statements.push(format!("REVOKE ALL ON DATABASE {to} FROM {}", ident(row.get(0))));
        let grants = session
            .query(
                "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type::text, a.is_grantable
                 FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = $1",
                &[&database],
            )
            .await
            .context("reading the live database's grants")?;
        for grant in grants {
            let to_whom = grant.get::<_, Option<String>>(0).map_or("PUBLIC".to_owned(), |role| ident(&role));
            let option = if grant.get(2) { " WITH GRANT OPTION" } else { "" };
            statements.push(format!("GRANT {} ON DATABASE {to} TO {to_whom}{option}", grant.get::<_, String>(1)));
        }
    }
    statements.extend(settings(session, row.get(4), &to).await?);
    Ok(statements)
}

async fn settings(session: &Session, database_oid: u32, to: &str) -> Result<Vec<String>> {
    let rows = session
        .query(
            "SELECT CASE s.setrole WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole)::text END, pg_catalog.textsend(c)
             FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c WHERE s.setdatabase = $1",
            &[&database_oid],
        )
        .await
        .context("reading the live database's settings")?;
    let mut statements = Vec::new();
    for row in rows {
        let setting = text(row.get(1));
        let Some((name, value)) = setting.split_once('=') else { continue };
        let value = if is_list(name) { list(value) } else { literal(value) };
        let value = if value.is_empty() { "''".to_owned() } else { value };
        let name = name.split('.').map(ident).collect::<Vec<_>>().join(".");
        statements.push(match row.get::<_, Option<String>>(0) {
            None => format!("ALTER DATABASE {to} SET {name} TO {value}"),
            Some(role) => format!("ALTER ROLE {} IN DATABASE {to} SET {name} TO {value}", ident(&role)),
        });
    }
    Ok(statements)
}

/// Parameters whose value is a list of identifiers (GUC_LIST_QUOTE; `variable_is_guc_list_quote` in pg_dump's dumputils.c).
fn is_list(name: &str) -> bool {
    [
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    ]
    .contains(&name)
}

/// A stored list, whose elements are quoted already where they need it, element by element as literals.
fn list(value: &str) -> String {
    let (mut elements, mut element, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            c if c.is_whitespace() && !quoted => {}
            c => element.push(c),
        }
    }
    elements.push(element);
    if elements == [""] {
        String::new()
    } else {
        elements.iter().map(|element| literal(element)).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_elements() {
        assert_eq!(list("\"$user\", public"), "'$user', 'public'");
        assert_eq!(list("\"a\"\"b, c\",d"), "'a\"b, c', 'd'");
        assert_eq!(list(""), "");
        assert_eq!(list("\"\""), "");
    }
}
