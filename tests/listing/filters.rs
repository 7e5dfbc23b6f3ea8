//! A part of the list, by time and by what is in it.

use serde_json::Value;

use crate::items::quick::{Plain, listed};
use crate::job::Shop;

fn names(shop: &Shop, arguments: &[&str]) -> Vec<String> {
    let rows: Vec<Value> = listed(shop.bkp(["list", "--json"]).args(arguments));
    rows.iter().map(|row| row["object"].as_str().expect("an object").to_owned()).collect()
}

#[test]
fn times_are_said_as_a_restore_takes_them() {
    let shop = Shop::open();
    let old = ["db/db_dump-20250103_000000.bak.gz", "db/db_dump-20250102_120000.bak.gz"];
    for name in old {
        shop.work.file(&format!("bucket/{name}"), "not a dump");
    }
    shop.bkp(["backup"]).run().ok();
    assert_eq!(names(&shop, &[]).len(), 3);
    for (arguments, wanted) in [
        (&["--before", "1h"][..], &old[..]),
        (&["--before", "2h ago"], &old[..]),
        (&["--before", "2025-01-03"], &old[1..]),
        (&["--since", "2025-01-03", "--before", "2025-01-04"], &old[..1]),
        (&["--since", "2025-01-02 12:00", "--before", "2025-01-02 12:00:01"], &old[1..]),
        (&["--item", "dump"], &old[..]),
    ] {
        assert_eq!(names(&shop, arguments), wanted, "{arguments:?}");
    }
    for arguments in [&["--since", "1h"][..], &["--item", "shop"], &["--item", "roles", "--since", "1d"]] {
        let found = names(&shop, arguments);
        assert!(found.len() == 1 && !old.contains(&found[0].as_str()), "{arguments:?}: {found:?}");
    }
}

#[test]
fn a_filter_that_nothing_fits_says_so_and_what_there_is() {
    let plain = Plain::open();
    plain.bkp(["list", "--item", "files"]).run().ok().says("no backups yet");
    plain.bkp(["backup"]).run().ok();
    for arguments in [&["--item", "shop"][..], &["--before", "2025-01-01"], &["--json", "--item", "roles"]] {
        let out = plain.bkp(["list"]).args(arguments).run().fails_with(1);
        assert_eq!(out.stdout, "", "{arguments:?}");
        out.says("no backup fits").says("there is one, of 20").says(&format!("files {}", plain.files().display()));
    }
    plain.bkp(["list", "--host", "nobody"]).run().fails_with(1).says("there are backups of: shop");
    assert_eq!(listed(plain.bkp(["list", "--json", "--item", "files", "--since", "1h"])).len(), 1);
}

#[test]
fn a_time_that_is_none_is_wrong_use() {
    let plain = Plain::open();
    plain.bkp(["list", "--since", "yesterday"]).run().fails_with(2).says("an age (7d");
    plain.bkp(["list", "--since", "1h", "--before", "2h"]).run().fails_with(2).says("not earlier");
    plain.bkp(["list", "--replaced", "--since", "1h"]).run().fails_with(2);
}
