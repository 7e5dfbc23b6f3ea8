//! The backslash commands that pg_dump writes, and no others.
//!
//! `\connect` is read as psql's `read_connect_arg` reads it: an unquoted name is taken verbatim,
//! a quoted one loses its quotes, and `-reuse-previous=on` takes a connection string, which
//! pg_dump writes only as `dbname='…'` (`appendPsqlMetaConnect`, `appendConnStrVal`).

use crate::sources::postgres::name::Name;

/// A backslash command of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meta {
    /// `\restrict KEY`: psql refuses every other backslash command until the same key comes again.
    Restrict,
    /// `\unrestrict KEY`
    Unrestrict,
    /// `\connect NAME`
    Connect(Name),
    /// `\encoding NAME`
    Encoding(String),
}

impl Meta {
    /// What a line with a backslash command says; `Err` is the command's word, or the whole
    /// of what is wrong with it, never its arguments.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line = line.trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (command, argument) = (&line[..end], line[end..].trim_ascii());
        let plain = |allowed: &[u8]| {
            let fits = |b: &u8| b.is_ascii_alphanumeric() || allowed.contains(b);
            !argument.is_empty() && argument.iter().all(fits)
        };
        match command {
            b"\\restrict" if plain(b"") => Ok(Self::Restrict),
            b"\\unrestrict" if plain(b"") => Ok(Self::Unrestrict),
            b"\\encoding" if plain(b"_-") => Ok(Self::Encoding(String::from_utf8_lossy(argument).into_owned())),
            b"\\connect" => match database(argument) {
                Some(name) => Ok(Self::Connect(name)),
                None => Err("\\connect (with arguments that pg_dump does not write)".into()),
            },
            _ => Err(String::from_utf8_lossy(&command[..command.len().min(40)]).escape_debug().collect()),
        }
    }

    /// The line that makes psql connect to `name`, as pg_dump would write it.
    pub fn connect_line(name: &Name) -> Vec<u8> {
        let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        let mut out = b"\\connect ".to_vec();
        if name.as_bytes().iter().all(safe) {
            out.extend(name.quoted());
        } else {
            let mut value = b"dbname='".to_vec();
            for &byte in name.as_bytes() {
                if matches!(byte, b'\'' | b'\\') {
                    value.push(b'\\');
                }
                value.push(byte);
            }
            value.push(b'\'');
            out.extend(b"-reuse-previous=on ");
            out.extend(Name::new(value).quoted());
        }
        out.push(b'\n');
        out
    }
}

fn database(argument: &[u8]) -> Option<Name> {
    if let Some(rest) = argument.strip_prefix(b"-reuse-previous=on") {
        let string = Name::parse(rest.trim_ascii_start()).filter(|_| rest.trim_ascii_start().starts_with(b"\""))?;
        return connection_string(string.as_bytes());
    }
    let name = if argument.starts_with(b"\"") {
        Name::parse(argument)?
    } else {
        // Verbatim, not folded; anything that psql would read as more than a name is none.
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-') || *b >= 0x80;
        (argument != b"-" && !argument.starts_with(b"-") && !argument.is_empty() && argument.iter().all(plain))
            .then(|| Name::new(argument))?
    };
    // psql takes such a name for a connection string even when it is quoted.
    let value = name.as_bytes();
    let is_string = value.contains(&b'=') || value.starts_with(b"postgres://") || value.starts_with(b"postgresql://");
    (!is_string).then_some(name)
}

/// The value of exactly `dbname='…'`, where a backslash escapes.
fn connection_string(string: &[u8]) -> Option<Name> {
    let inside = match string.strip_prefix(b"dbname=")? {
        [b'\'', inside @ .., b'\''] => inside,
        bare => {
            return bare.iter().all(u8::is_ascii_alphanumeric).then(|| Name::new(bare));
        }
    };
    let mut value = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => value.push(*bytes.next()?),
            b'\'' => return None,
            _ => value.push(byte),
        }
    }
    (!value.is_empty() && !value.contains(&b'\n')).then(|| Name::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_is_read_exactly() {
        let name = |line: &str| match Meta::parse(line.as_bytes()) {
            Ok(Meta::Connect(name)) => name.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(name("\\connect shop\n"), "shop");
        assert_eq!(name("\\connect Shop\r\n"), "Shop");
        assert_eq!(name("\\connect \"user\""), "user");
        let odd = "\\connect -reuse-previous=on \"dbname='odd \"\"db\"\" name; it\\'s'\"\n";
        assert_eq!(name(odd), "odd \"db\" name; it's");
    }

    #[test]
    fn a_connect_that_goes_elsewhere_is_refused() {
        for line in [
            "\\connect shop user",
            "\\connect shop - evil",
            "\\connect -",
            "\\connect",
            "\\connect \"host=evil\"",
            "\\connect postgres://evil/",
            "\\connect -reuse-previous=on \"dbname='a' host='evil'\"",
            "\\connect `id`",
            "\\connect :x",
            "\\connect a \\! id",
            "\\connect \"a\" \\! id",
            "\\connect -reuse-previous=off \"dbname='a'\"",
            "\\connect -reuse-previous=on \"dbname='a' \\! id",
            "\\connect 'a'",
        ] {
            assert!(Meta::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn any_other_command_is_refused_by_its_name_alone() {
        assert_eq!(Meta::parse(b"\\! rm secret"), Err("\\\\!".into()));
        for line in ["\\i x", "\\restrict a \\! b", "\\copy t from x", "\\.", "\\encoding `x`", "\\restrict"] {
            assert!(Meta::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_connect_line_reads_back_as_its_name() {
        for value in ["shop", "CamelCase", "odd \"db\" name; it's", "a\\b", "a=b", "é"] {
            let line = Meta::connect_line(&value.into());
            assert_eq!(Meta::parse(&line), Ok(Meta::Connect(value.into())), "{value}");
        }
    }
}
