//! A command line as words, without a shell: blanks part words, quotes keep them together, nothing is expanded.

use anyhow::{Result, bail};

/// The words of a command line. `'…'` is taken as it is; within `"…"` a backslash protects `"` and `\`; outside it protects
/// any character.
///
/// # Errors
/// When a quote is not closed, or a backslash stands at the end. The command line itself is not in the message: it may
/// hold a secret.
pub fn split(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if character.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(other) => word.push(other),
                        None => bail!("a ' is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(protected @ ('"' | '\\')) => word.push(protected),
                            Some(other) => word.extend(['\\', other]),
                            None => bail!("a \" is not closed"),
                        },
                        Some(other) => word.push(other),
                        None => bail!("a \" is not closed"),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(protected) => word.get_or_insert_default().push(protected),
                None => bail!("a backslash at the end protects nothing"),
            },
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_kept_together_by_quotes() {
        for (line, expected) in [
            ("  systemctl  stop app ", vec!["systemctl", "stop", "app"]),
            ("a 'b c' \"d \\\" e\" f\\ g", vec!["a", "b c", "d \" e", "f g"]),
            ("php occ --on=''", vec!["php", "occ", "--on="]),
            ("'' x", vec!["", "x"]),
            ("a\"b\"'c'd", vec!["abcd"]),
            ("echo $HOME `id` *;|", vec!["echo", "$HOME", "`id`", "*;|"]),
            ("\"C:\\new\"", vec!["C:\\new"]),
            ("", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused_without_repeating_it() {
        for line in ["secret 'a", "secret \"a", "secret \\", "secret \"a\\"] {
            let error = split(line).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
