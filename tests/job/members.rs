//! What a dump is packed into: members that stay the same while their rows do, at the level that is asked for.

use std::collections::HashSet;
use std::fs;

use super::{Shop, gunzip};

/// How a member begins that says its length, in the four bytes behind this.
const HEAD: &[u8] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0Bm\x04\0";

/// Member after member by their lengths, and last what lies behind them.
fn members(mut stored: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some(said) = stored.strip_prefix(HEAD) {
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
