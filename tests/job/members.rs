//! What a dump is packed into: members that stay the same while their rows do, at the level that is asked for.

use std::collections::HashSet;
use std::fs;

use bkp::repository::bucket::{member, pack};
use bkp::sources::postgres::seal::{Seal, Stored};

use super::{Shop, gunzip};

/// How a member begins that says its length, in the four bytes behind this; the second says its lines as well.
const HEADS: [&[u8]; 2] =
    [b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0Bm\x04\0", b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x10\0Bm\x04\0"];

/// Member after member by their lengths, and last what lies behind them.
pub fn members(mut stored: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some(said) = HEADS.iter().find_map(|head| stored.strip_prefix(*head)) {
        let length = u32::from_le_bytes(said[..4].try_into().expect("four bytes")) as usize;
        let (member, behind) = stored.split_at(length);
        assert!(!gunzip(member).is_empty(), "a member by itself");
        all.push(member);
        stored = behind;
    }
    all.push(stored);
    all
}

fn shop_with_notes() -> Shop {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE TABLE notes AS SELECT n, md5(n::text) || repeat(' of ' || n, 12) AS text FROM generate_series(1, 70000) n",
    );
    shop
}

#[test]
fn the_next_night_s_dump_differs_only_where_its_rows_do() {
    let shop = shop_with_notes();
    shop.bkp(["backup"]).run().ok();
    // Everything behind this row is moved by its length.
    shop.cluster.psql("shop", "DELETE FROM notes WHERE n = 2000");
    shop.bkp(["backup"]).run().ok();
    let [first, second] = shop.dumps().try_into().expect("two dumps");
    let (first, second) = (fs::read(first).expect("read"), fs::read(second).expect("read"));
    let known: HashSet<&[u8]> = members(&first).into_iter().collect();
    let all = members(&second);
    let new = all.iter().filter(|member| !known.contains(*member)).count();
    assert!(all.len() >= 10, "{} members", all.len());
    // The first and the last hold pg_dump's key; the row's own and its neighbour; the seal.
    assert!(new <= 5, "{new} of {} members are new", all.len());
}

#[test]
fn the_level_is_chosen_and_changes_nothing_but_the_size() {
    let shop = shop_with_notes();
    let size = |level: &str| {
        shop.bkp(["backup"]).env("BKP_GZIP_LEVEL", level).run().ok();
        let stored = fs::read(shop.dumps().pop().expect("a dump")).expect("read");
        assert!(gunzip(&stored).ends_with(b"}\n"));
        stored.len()
    };
    let (fast, small) = (size("1"), size("9"));
    assert!(small < fast * 95 / 100, "{small} against {fast} bytes");
    shop.bkp(["check", "--read-data"]).run().ok();
    shop.bkp(["backup"]).env("BKP_GZIP_LEVEL", "13").run().fails_with(2).says("BKP_GZIP_LEVEL");
}

fn digest(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// What of a dump of other members its seal owns to.
#[derive(Clone, Copy, PartialEq)]
pub enum Says {
    /// What it said before.
    Nothing,
    /// What is stored.
    Stored,
    /// That, and what it unpacks to.
    All,
}

/// A dump of other members.
pub fn with_members(of: &[u8], with: &[Vec<u8>], says: Says) -> Vec<u8> {
    let end = *members(of).last().expect("an end");
    let line = gunzip(end);
    let mut seal = Seal::parse(line.strip_prefix(b"-- bkp seal ").expect("a seal")).expect("a seal");
    let mut dump = with.concat();
    let first = of.len() - end.len();
    assert_eq!(seal.stored.as_ref().map(|stored| stored.bytes), Some(first as u64));
    if says != Says::Nothing {
        seal.stored = Some(Stored { bytes: dump.len() as u64, digest: digest(&dump) });
    }
    if says == Says::All {
        let sql = gunzip(&dump);
        (seal.bytes, seal.digest) = (sql.len() as u64, digest(&sql));
    }
    dump.extend_from_slice(&pack::sealed_end(&seal.line().expect("a line")).expect("an end"));
    dump
}

#[test]
fn rows_that_are_not_unpacked_at_the_first_reading_are_proven_at_the_second() {
    let shop = shop_with_notes();
    shop.bkp(["backup"]).run().ok();
    let [path] = shop.dumps().try_into().expect("one dump");
    let good = fs::read(&path).expect("read");
    let all = members(&good);
    let (_, all) = all.split_last().expect("members");
    let rows = all.iter().filter(|member| member::lines(member).is_some()).count();
    assert!(rows >= 5, "{rows} members of nothing but rows");

    let repacked: Vec<Vec<u8>> = all.iter().map(|one| member::packed(&gunzip(one), 2).expect("packed")).collect();
    let changed: Vec<Vec<u8>> = all
        .iter()
        .map(|one| {
            let mut sql = gunzip(one);
            let found = memchr::memmem::find(&sql, b" of 33333\n");
            if let Some(at) = found {
                sql[at + 4] = b'4';
            }
            member::packed(&sql, 6).expect("packed")
        })
        .collect();
    let noted = || shop.cluster.psql("shop", "SELECT count(*), md5(string_agg(text, '' ORDER BY n)) FROM notes");
    let (before, saved) = (|| shop.cluster.databases(), noted());
    for says in [Says::Nothing, Says::Stored] {
        fs::write(&path, with_members(&good, &changed, says)).expect("written");
        let there = before();
        let refused = shop.bkp(["restore"]).run().fails_with(5).says("its digest differs");
        if says == Says::Stored {
            refused.says("loading shop");
        } else {
            refused.never_says("loading shop");
        }
        shop.bkp(["restore", "--dry-run"]).run().fails_with(5).says("its digest differs");
        assert_eq!((before(), noted()), (there, saved.clone()), "nothing was made or changed");
        shop.bkp(["check", "--read-data"]).run().fails_with(5).says("its digest differs");
    }

    // The same SQL, packed again by somebody: unpacked, it is what was sealed.
    fs::write(&path, with_members(&good, &repacked, Says::Nothing)).expect("written");
    shop.cluster.psql("shop", "DELETE FROM notes WHERE n % 2 = 0");
    shop.bkp(["restore"]).run().ok();
    assert_eq!(noted(), saved);
}
