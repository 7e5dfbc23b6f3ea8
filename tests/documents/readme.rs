//! The README: a first backup and a first restore, as a newcomer types them.

use super::page::Page;
use super::world::World;

#[test]
fn the_readme_is_played_from_an_empty_world() {
    let world = World::bare();
    let mut page = Page::of("README.md");
    // `make demo` and `make test` are what runs this.
    page.skip("bkp");
    page.play("First backup, first restore", &world).says("restored");
    // A backup of the time that the page speaks of: its name says when it was taken.
    world.shell("cd /var/backups/bkp/db && cp db_dump-*.bak.gz db_dump-20261119_231000.bak.gz").ok();
    page.play("First backup, first restore", &world).says("db_dump-20261119_231000");
    assert_eq!(world.cluster.psql("shop_copy", "SELECT count(*) FROM orders"), "1000");
    page.play("First backup, first restore", &world);
    assert_eq!(world.file("config/app.php").as_deref(), Some("a setting"));
    page.end();
}
