//! What the page of formats says is so of real files, and restores without bkp.

use super::page::Page;
use super::world::World;

#[test]
fn what_is_stored_is_restored_without_bkp() {
    let mut world = World::saved();
    world.pgpass();
    world.lose_everything();
    let mut page = Page::of("docs/formats.md");
    page.play("Formats", &world);
    let played = page.play("A dump", &world).says("CREATE ROLE shop").says("cluster dump complete").says("1000");
    assert_eq!(played.stderr.matches("ERROR").count(), 1, "{}", played.stderr);
    seal(&page.play("The seal", &world).stdout);
    let end = page.play("The gzip", &world).stdout;
    assert!(end.starts_with("-- bkp seal {\"format\":1,"), "{end}");
    page.play("restic", &world).says("item=database:shop").says("plan=").says("-- bkp seal");
    world.lose_everything();
    page.play("restic", &world).says("1000").says("config");
    page.end();
}

/// The seal that was printed, and the bytes that were counted below it.
#[track_caller]
fn seal(printed: &str) {
    let (seal, counted) = printed.trim().split_once('\n').expect("two lines");
    let seal: serde_json::Value = serde_json::from_str(seal).expect("JSON");
    assert_eq!(seal["bytes"].to_string(), counted.trim());
    assert_eq!(seal["databases"]["shop"]["tables"]["public.orders"], 1000, "{seal}");
    // The page has a row for each field, and says of what is left out that it may be.
    let page = super::page::text("docs/formats.md");
    for field in seal.as_object().expect("an object").keys() {
        assert!(page.contains(&format!("`{field}`")), "{field} is not in the page");
    }
}
