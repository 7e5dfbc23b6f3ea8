//! Whether the server took what the dump has.

use anyhow::{Result, bail};

use crate::error::Failure;
use crate::exit::Exit;
use crate::sources::postgres::survey::Copied;

/// Proves that the server took every row of every table.
///
/// # Errors
/// Exit code 5, naming the first table whose rows differ.
pub fn prove_rows(database: &str, expected: &[Copied], loaded: &[u64]) -> Result<()> {
    if expected.len() != loaded.len() {
        bail!(
            Failure::new(format!(
                "database {database}: {} tables were to be loaded, the server took {}",
                expected.len(),
                loaded.len()
            ))
            .exit(Exit::ProofFailed)
        );
    }
    for (copied, rows) in expected.iter().zip(loaded) {
        if copied.rows != *rows {
            bail!(
                Failure::new(format!(
                    "database {database}: table {} has {} rows in the dump, the server took {rows}",
                    copied.table, copied.rows
                ))
                .exit(Exit::ProofFailed)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_are_named() {
        let expected = [Copied { table: "public.a".into(), rows: 2 }, Copied { table: "public.b".into(), rows: 3 }];
        assert!(prove_rows("shop", &expected, &[2, 3]).is_ok());
        assert!(prove_rows("shop", &expected, &[2]).is_err());
        let said = prove_rows("shop", &expected, &[2, 1]).unwrap_err().to_string();
        assert!(said.contains("public.b") && said.contains("took 1"), "{said}");
    }
}
