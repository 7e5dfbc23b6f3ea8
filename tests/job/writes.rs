//! A backup while the application writes as fast as it can: the dump is of one moment. Every transfer takes from one account what it gives to
//! another, and writes it down in a third table: the sum of all accounts never changes, and each account is what the journal says.

use super::produced::Large;
use super::producers::clients_with;
use super::{Shop, dumps};

/// Accounts that are large enough to be read by several sessions, and a journal that pg_dump reads itself.
const BANK: &str = "CREATE TABLE accounts AS SELECT n AS id, 1000::bigint AS balance, repeat('x', 1900) AS note FROM generate_series(1, 6000) n;
    ALTER TABLE accounts ADD PRIMARY KEY (id), ALTER note SET STORAGE PLAIN;
    CREATE TABLE journal (giver int, taker int, amount int);
    CREATE TABLE counted (transfers bigint);
    INSERT INTO counted VALUES (0)";

/// A transfer, and a commit: the next dump may begin between any two of them.
const TRANSFER: &str = "WITH t AS (SELECT 1 + (random() * 5999)::int AS giver, 1 + (random() * 5999)::int AS taker, (random() * 100)::int AS amount),
      j AS (INSERT INTO journal SELECT * FROM t RETURNING *),
      c AS (UPDATE counted SET transfers = transfers + 1),
      d AS (SELECT giver AS id, -amount AS change FROM j UNION ALL SELECT taker, amount FROM j)
    UPDATE accounts a SET balance = balance + s.change FROM (SELECT id, sum(change) AS change FROM d GROUP BY id) s WHERE s.id = a.id;
    COMMIT;";

/// What holds at every moment: the sum, the count, and each account against the journal; and how many transfers there were.
const HOLDS: &str = "SELECT (SELECT sum(balance) = 6000000 FROM accounts)
      AND (SELECT count(*) FROM journal) = (SELECT transfers FROM counted)
      AND NOT EXISTS (SELECT FROM accounts a LEFT JOIN (SELECT id, sum(change) AS change
        FROM (SELECT giver AS id, -amount AS change FROM journal UNION ALL SELECT taker, amount FROM journal) d GROUP BY id) s USING (id)
        WHERE a.balance <> 1000 + coalesce(s.change, 0)), transfers FROM counted";

/// Whether what a dump restores to, beside the bank, is of one moment, and how many transfers it has.
fn of_one_moment(bank: &Large, dump: &std::path::Path) -> (bool, u64) {
    let name = dump.file_name().expect("a name").to_string_lossy().into_owned();
    bank.bkp("2", "shop").args(["restore", &name, "--as", "copy"]).run().ok();
    let said = bank.cluster.psql("copy", HOLDS);
    bank.cluster.psql("postgres", "DROP DATABASE copy");
    let (holds, transfers) = said.trim().split_once('|').expect("two columns");
    (holds == "t", transfers.parse().expect("a number"))
}

#[test]
fn a_dump_is_of_one_moment_however_fast_the_application_writes() {
    let bank = Large::with(17, "shop.sql");
    bank.cluster.psql("shop", BANK);
    {
        let _writer = bank.looping(TRANSFER);
        bank.bkp("1", "shop").args(["backup"]).run().ok();
        bank.bkp("3", "shop").args(["backup"]).run().ok().says("3 sessions read its ");
    }
    let (holds, at_the_end) = {
        let said = bank.cluster.psql("shop", HOLDS);
        let (holds, transfers) = said.trim().split_once('|').expect("two columns");
        (holds == "t", transfers.parse::<u64>().expect("a number"))
    };
    assert!(holds, "the bank itself");
    let found: Vec<(bool, u64)> =
        dumps(&bank.work.join("bucket")).iter().map(|dump| of_one_moment(&bank, dump)).collect();
    assert!(found.iter().all(|(holds, _)| *holds), "{found:?}");
    assert!(0 < found[0].1 && found[0].1 < found[1].1 && found[1].1 < at_the_end, "{found:?}, {at_the_end} at the end");
}

/// What the test above would not miss: a pg_dump that reads from a moment of its own.
#[test]
fn a_dump_of_two_moments_would_be_noticed() {
    let later = "sleep 1; for word; do shift; case $word in --snapshot=*) ;; *) set -- \"$@\" \"$word\" ;; esac; done; exec $REAL \"$@\"";
    let shop = Shop::open_on(17);
    let clients = clients_with(&shop, "pg_dump", later);
    let bank = Large { cluster: shop.cluster, work: shop.work };
    bank.cluster.psql("shop", BANK);
    {
        let _writer = bank.looping(TRANSFER);
        bank.bkp("3", "shop").env("BKP_PG_BIN", &clients).args(["backup"]).run().ok();
    }
    let dump = dumps(&bank.work.join("bucket")).pop().expect("a dump");
    assert!(!of_one_moment(&bank, &dump).0, "the sums hold for a dump of two moments");
}
