//! What is damaged is told, and never loaded over live data.

use std::fs;

use super::{Shop, gunzip, gzip};
use crate::support::bkp::Output;

/// A shop with one dump, which `damage` changes; the restore must refuse and touch nothing.
fn is_refused(damage: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Output {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let path = shop.dumps().pop().expect("the dump");
    let bytes = fs::read(&path).expect("the dump");
    fs::remove_file(&path).expect("removed");
    fs::write(&path, damage(bytes)).expect("written");
    shop.cluster.psql("shop", "CREATE TABLE since_the_backup (i int)");
    let orders = shop.orders();
    let out = shop.bkp(["restore", "--yes"]).run();
    assert_ne!(out.code, 0, "{out:?}");
    assert_eq!(shop.orders(), orders);
    shop.cluster.psql("shop", "SELECT * FROM since_the_backup");
    assert!(shop.databases_of_ours().is_empty());
    shop.bkp(["check", "--read-data"]).run().fails_with(5);
    out
}

#[test]
fn gzip_cut_short_is_refused() {
    is_refused(|bytes| bytes[..bytes.len() / 2].to_vec()).fails_with(5);
}

#[test]
fn gzip_cut_at_the_end_of_a_member_is_refused() {
    // Everything but the seal and its footer: gunzip -t calls this good.
    let cut = |bytes: Vec<u8>| {
        let sql = gunzip(&bytes);
        let at = sql.windows(12).rposition(|w| w == b"-- bkp seal ").expect("the seal");
        gzip(&sql[..at / 2])
    };
    is_refused(cut).fails_with(5).says("cut");
}

#[test]
fn one_flipped_bit_is_refused() {
    is_refused(|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        bytes
    })
    .fails_with(5);
}

#[test]
fn rubbish_behind_the_dump_is_refused() {
    is_refused(|mut bytes| {
        bytes.extend_from_slice(b"rubbish");
        bytes
    })
    .fails_with(5);
}

fn resealed(change: impl FnOnce(String) -> String) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    |bytes| gzip(change(String::from_utf8(gunzip(&bytes)).expect("a dump in UTF-8")).as_bytes())
}

#[test]
fn a_row_that_is_missing_is_refused_by_the_seal() {
    is_refused(resealed(|sql| {
        let at = sql.find("COPY public.orders").expect("orders");
        let start = at + sql[at..].find('\n').expect("a line") + 1;
        let end = start + sql[start..].find('\n').expect("a line") + 1;
        format!("{}{}", &sql[..start], &sql[end..])
    }))
    .fails_with(5);
}

#[test]
fn one_changed_byte_is_refused_by_the_digest() {
    is_refused(resealed(|sql| {
        let at = sql.find("COPY public.orders").expect("orders");
        let digit = at + sql[at..].find('\n').expect("a line") + 1;
        let mut bytes = sql.into_bytes();
        bytes[digit] = if bytes[digit] == b'9' { b'8' } else { b'9' };
        String::from_utf8(bytes).expect("UTF-8")
    }))
    .fails_with(5)
    .says("digest");
}

#[test]
fn a_seal_whose_rows_do_not_fit_is_refused() {
    is_refused(resealed(|sql| {
        let at = sql.rfind("-- bkp seal ").expect("the seal");
        let (dump, seal) = sql.split_at(at);
        format!("{dump}{}", seal.replacen("\"public.orders\":1", "\"public.orders\":2", 1))
    }))
    .fails_with(5)
    .says("public.orders");
}

#[test]
fn an_empty_file_and_a_gzip_of_nothing_are_refused() {
    is_refused(|_| Vec::new());
    // What a pipeline without pipefail uploads when pg_dump fails: 20 bytes.
    is_refused(|_| gzip(b"")).fails_with(5);
}
