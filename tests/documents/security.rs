//! The least rights that the page of security names are enough, and are those of no superuser.

use super::page::Page;
use super::world::World;

#[test]
fn accounts_with_the_least_rights_save_and_restore() {
    let world = World::saved();
    world.work.file("secrets/postgres/bkp", "a long one\n");
    world.work.file("secrets/postgres/bkp_restore", "another long one\n");
    let mut page = Page::of("docs/security.md");
    page.play("Least rights on the server", &world);
    page.play("Least rights on the server", &world);
    world.sql("CREATE TABLE hidden (a int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, OWNER TO shop");
    world.sql("INSERT INTO hidden VALUES (1)");
    page.play("Least rights on the server", &world).says("restored");
    let owned = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'";
    assert_eq!((world.orders().as_str(), world.sql(owned).as_str()), ("1000", "shop"));
    assert_eq!(world.sql("SELECT count(*) FROM hidden"), "1");
    let superusers = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'bkp%' AND rolsuper";
    assert_eq!(world.sql(superusers), "0");
    page.end();
}
