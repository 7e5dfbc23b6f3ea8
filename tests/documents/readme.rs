//! The README: a first backup and a first restore, as a newcomer types them.

use super::page::Page;
use super::world::World;
use crate::support::retimed::retimed;

#[test]
fn the_readme_is_played_from_an_empty_world() {
    let world = World::bare();
    let mut page = Page::of("README.md");
    // `make demo` and `make test` are what runs this.
    page.skip("bkp");
    page.play("First backup, first restore", &world).says("restored");
    // A backup of the time that the page speaks of.
    let dumps = world.work.join("backups/bkp/db");
    let newest = dumps.read_dir().expect("dumps").flatten().next().expect("a dump").path();
    let copy = dumps.join("db_dump-20000101_000000.bak.gz");
    std::fs::copy(newest, &copy).expect("copied");
    retimed(&copy, "20261119_231000");
    page.play("First backup, first restore", &world).says("db_dump-20261119_231000");
    assert_eq!(world.cluster.psql("shop_copy", "SELECT count(*) FROM orders"), "1000");
    page.play("First backup, first restore", &world);
    assert_eq!(world.file("config/app.php").as_deref(), Some("a setting"));
    page.end();
}
