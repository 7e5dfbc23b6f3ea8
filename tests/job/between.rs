//! Dumps of each major into each other one: newer ones, and older ones where nothing newer is in them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::workdir::WorkDir;

const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// Rows and catalogue in words that mean the same in every major.
const CONTENT: &str = r"
SET extra_float_digits = 3; SET timezone = 'UTC';
SELECT 'items', count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM app.items t;
SELECT 'lines', count(*), md5(string_agg(tableoid::regclass || t::text, ',' ORDER BY id)) FROM app.lines t;
SELECT 'sums', count(*), md5(string_agg(t::text, ',' ORDER BY day)) FROM app.sums t;
SELECT 'dear', count(*), md5(string_agg(t::text, ',' ORDER BY name)) FROM app.dear t;
SELECT 'orders', count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM orders t;
SELECT 'file', encode(lo_get(4242), 'escape');
SELECT 'relation', oid::regclass, relkind, relowner::regrole, relrowsecurity, relispartition, array(SELECT a::text FROM unnest(relacl) a WHERE a::text !~ '^postgres=' ORDER BY 1),
       obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace IN ('app'::regnamespace, 'public'::regnamespace) ORDER BY oid::regclass::text;
SELECT 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation, attacl,
       (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE c.relkind IN ('r', 'p') AND attnum > 0
 AND relnamespace IN ('app'::regnamespace, 'public'::regnamespace) ORDER BY attrelid::regclass::text, attnum;
SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype <> 'n' AND connamespace IN ('app'::regnamespace, 'public'::regnamespace) ORDER BY 2, 3;
SELECT 'index', indexdef FROM pg_indexes WHERE schemaname IN ('app', 'public') ORDER BY 2;
SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2;
SELECT 'event trigger', evtname, evtevent, evtfoid::regproc FROM pg_event_trigger ORDER BY 2;
SELECT 'function', oid::regprocedure, md5(prosrc) FROM pg_proc WHERE pronamespace = 'app'::regnamespace ORDER BY 2;
SELECT 'enum', enumtypid::regtype, enumlabel FROM pg_enum ORDER BY enumtypid::regtype::text, enumsortorder;
SELECT 'policy', polname, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY 2;
SELECT 'statistics', pg_get_statisticsobjdef(oid) FROM pg_statistic_ext ORDER BY 2;
SELECT 'publication', pubname, prrelid::regclass FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid ORDER BY 2;
SELECT 'extension', extname FROM pg_extension ORDER BY 2;
SELECT 'sequence', schemaname, sequencename, last_value FROM pg_sequences ORDER BY 2, 3;
";

#[test]
fn every_major_comes_back_on_every_other_one() {
    let work = WorkDir::new();
    let bkp = |cluster: &Cluster, from: u32, arguments: &[&str]| {
        let bkp = Bkp::new(cluster).bucket(&work.join(&format!("from-{from}"))).env("POSTGRES_DB", "shop");
        bkp.env("BKP_KEEP_REPLACED", "never").args(arguments).run()
    };
    let clusters: Vec<(Cluster, String)> = thread::scope(|scope| {
        let begun: Vec<_> = MAJORS
            .map(|major| {
                let bkp = &bkp;
                scope.spawn(move || {
                    let cluster = Cluster::start(major);
                    fixtures::shop(&cluster);
                    fixtures::load(&cluster, "shop", "between.sql");
                    bkp(&cluster, major, &["init"]).ok();
                    bkp(&cluster, major, &["backup"]).ok();
                    let content = cluster.psql("shop", CONTENT);
                    assert!(content.lines().count() > 60, "{content}");
                    (cluster, content)
                })
            })
            .into();
        begun.into_iter().map(|one| one.join().expect("a server with content")).collect()
    });
    let (newer, older) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (to, (cluster, _)) in MAJORS.iter().zip(&clusters) {
            let (bkp, clusters, newer, older) = (&bkp, &clusters, &newer, &older);
            scope.spawn(move || {
                for (from, (_, content)) in MAJORS.iter().zip(clusters).filter(|(from, _)| *from != to) {
                    cluster.psql("shop", "DROP SCHEMA app CASCADE; DROP TABLE orders CASCADE");
                    let said = bkp(cluster, *from, &["restore"]).ok();
                    let here = cluster.psql("shop", CONTENT);
                    let (before, after): (Vec<&str>, Vec<&str>) = (content.lines().collect(), here.lines().collect());
                    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
                    let strange: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
                    assert!(lost.is_empty() && strange.is_empty(), "{from} into {to}:\n- {lost:#?}\n+ {strange:#?}");
                    if from > to {
                        older.fetch_add(1, Ordering::Relaxed);
                        if *from >= 17 && *to < 17 {
                            said.says("transaction_timeout");
                        }
                    } else {
                        newer.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (newer, older) = (newer.into_inner(), older.into_inner());
    println!("pairs of majors: {newer} into newer ones, {older} into older ones");
    assert_eq!((newer, older), (15, 15));
}

#[test]
fn what_an_older_server_cannot_have_fails_clearly_and_touches_nothing() {
    let (old, new) = (Shop::open_on(14), Shop::open_on(15));
    new.cluster.psql("shop", "CREATE TABLE newer (i int, UNIQUE NULLS NOT DISTINCT (i))");
    new.bkp(["backup"]).run().ok();
    old.lose_orders();
    let live = old.orders();
    let restored = old.bkp(["restore"]).bucket(&new.bucket()).run();
    restored.fails_with(1).says("syntax error at or near \"NULLS\"");
    assert_eq!(old.orders(), live);
    assert!(old.databases_of_ours().is_empty());
}
