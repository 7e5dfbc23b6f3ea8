//! What other programs saved restores by the commands of the page. It is made here as those programs make it.

use super::page::Page;
use super::world::World;

/// What the others left: pg_dump's plain and custom formats, a Borg repository, and a restic repository with a dump from a stream.
const OLD: &str = r#"
export PGHOST=postgresql-service PGUSER=postgres PGPASSFILE=/var/run/secrets/postgres/pgpass
mkdir -p /var/backups/old/borgmatic/postgresql_databases/localhost; cd /var/backups/old
pg_dumpall | gzip >all-2026-11-20.sql.gz
pg_dump shop | gzip >shop-2026-11-20.sql.gz
pg_dump --format=custom shop >shop_2026-11-20T23:10:00.dump
pg_dump --no-password --clean --if-exists --format custom shop >borgmatic/postgresql_databases/localhost/shop
export RESTIC_REPOSITORY=/var/backups/old-restic RESTIC_PASSWORD_FILE=/var/run/secrets/restic-password
borg init --encryption=repokey --make-parent-dirs /var/backups/borg/shop
borg create /var/backups/borg/shop::host-2026-11-20 borgmatic && rm -r borgmatic
restic init
pg_dump --format=custom --no-owner --no-privileges shop | restic backup --stdin --stdin-filename databases-shop-postgres.pgdump \
    --tag kamal-backup --tag type:database
restic backup --tag kamal-backup --tag type:files /var/www/shop
"#;

#[test]
fn what_other_programs_saved_is_restored() {
    let mut world = World::saved();
    world.pgpass();
    world.set("BORG_PASSPHRASE", "words that open Borg's");
    world.shell(OLD).ok();
    let mut page = Page::of("docs/moving.md");
    for heading in [
        "From pg_dump and pg_dumpall",
        "From pg_dump and pg_dumpall",
        "From postgres-backup-s3",
        "From borgmatic",
        "From kamal-backup",
    ] {
        world.sql("DELETE FROM orders");
        page.play(heading, &world).says("restored");
        assert_eq!(world.orders(), "1000", "{heading}");
        let owner = world.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'");
        assert_eq!(owner, "shop", "{heading}");
    }
    assert!(world.work.join("backups/old/files/var/www/shop/config/app.php").exists());
    page.end();
}
