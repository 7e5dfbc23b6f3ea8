//! A restore in place keeps nothing of the database: an undo says so, and never takes the restore before it for the last one.

use super::{as_customer, content, managed, wreck};
use crate::support::compare::assert_same;

#[test]
fn after_a_restore_in_place_an_undo_does_not_take_an_older_one_for_the_last() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore"]).run().ok();
    wreck(&shop);
    let wrecked = content(&shop);
    let before = shop.databases_of_ours();
    assert_eq!(before.len(), 1, "{before:?}");
    as_customer(&shop, ["restore"]).run().ok();
    let restored = content(&shop);

    let told = shop.bkp(["restore", "--undo"]).run().fails_with(1);
    let told = told.says("was in place, which --undo cannot take back").says("what run").says("is still there");
    assert_same(&restored, &content(&shop));
    assert_eq!(shop.databases_of_ours(), before);
    // The run that it names has what was there.
    let safety = told.stderr.split("bkp restore ").nth(1).and_then(|rest| rest.split([';', '\n']).next());
    let safety = safety.expect("a run").trim().to_owned();
    shop.bkp(["restore", &safety]).run().ok();
    assert_same(&wrecked, &content(&shop));
    // That one kept the state that was loaded in place, so it can be undone.
    shop.bkp(["restore", "--undo"]).run().ok();
    assert_same(&restored, &content(&shop));
}

#[test]
fn a_restore_in_place_that_failed_leaves_the_older_undo_as_it_was() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    wreck(&shop);
    let wrecked = content(&shop);
    shop.bkp(["restore"]).run().ok();
    super::in_place::with_statement(&shop, "CREATE TABLE public.last (i nowhere);");
    as_customer(&shop, ["restore"]).run().fails_with(1);
    shop.bkp(["restore", "--undo"]).run().ok();
    assert_same(&wrecked, &content(&shop));
}

#[test]
fn what_cannot_be_told_of_a_restore_in_place_is_named_before_it_begins() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore"]).run().ok();
    let kept = shop.databases_of_ours().remove(0);
    shop.cluster.psql("postgres", &format!("ALTER DATABASE \"{kept}\" OWNER TO postgres"));
    let live = content(&shop);
    let told = as_customer(&shop, ["restore"]).run().fails_with(1);
    told.says(&kept)
        .says("belongs to postgres")
        .says("--undo would take it for the last state")
        .says("nothing was begun");
    assert_same(&live, &content(&shop));
}
