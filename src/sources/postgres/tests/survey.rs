//! What a survey knows of real dumps, of seals and of trailers.

use super::golden::dumps;
use super::*;
use crate::sources::postgres::name::Name;
use crate::sources::postgres::survey::{Layout, Survey, Surveyor};

fn survey(input: &[u8]) -> Survey {
    let mut surveyor = Surveyor::new();
    surveyor.push(input).expect("a dump");
    surveyor.finish().expect("a dump")
}

fn real(name: &str) -> Vec<u8> {
    dumps().into_iter().find(|(found, _)| found == name).expect("a golden dump").1
}

#[test]
fn a_cluster_is_known_by_its_databases() {
    for major in [14, 15, 16, 17, 18] {
        let read = survey(&real(&format!("{major}-all-clean")));
        assert_eq!(read.layout, Layout::Cluster);
        let databases: Vec<_> = read.sections.iter().flat_map(|s| s.database.clone()).map(|n| n.to_string()).collect();
        assert_eq!(databases, ["template1", "CamelCase", "odd \"db\" name; it's", "postgres", "shop"]);
        let empty: Vec<_> = read.sections.iter().map(|s| s.empty).collect();
        assert_eq!(empty, [true, false, true, true, false], "{major}");
        assert_eq!(read.sections[1].encoding.as_deref(), Some("LATIN1"));
        assert_eq!(read.sections[0].encoding.as_deref(), Some("UTF8"));
        let shop = &read.sections[4];
        assert_eq!(shop.extensions, names(&["pg_trgm"]));
        assert_eq!(shop.large_objects, 1, "{major}");
        assert_eq!(shop.create.as_ref().and_then(|c| c.encoding.as_deref()), Some("UTF8"));
        assert_eq!(shop.create.as_ref().and_then(|c| c.locale.as_deref()), Some("C"));
        assert!(shop.tables.iter().any(|t| t.table == "public.t" && t.rows == 4), "{:?}", shop.tables);
        assert!(shop.tables.iter().any(|t| t.table == "public.nocols" && t.rows == 2));
        assert!(read.server_banner.as_deref().is_some_and(|v| v.starts_with(&major.to_string())));
        assert!(read.globals.created.is_superset(&names(&["shop", "reader", "two\nlines", "CREATE ROLE"])));
        assert_eq!(read.globals.memberships.len(), 4);
        assert!(read.trailer);
    }
}

#[test]
fn globals_alone_are_a_cluster_without_databases() {
    let read = survey(&real("18-globals"));
    assert_eq!((read.layout, read.sections.len(), read.trailer), (Layout::Cluster, 0, true));
    let filtered = survey(b"CREATE ROLE oc_a;\nALTER ROLE oc_a WITH LOGIN PASSWORD 'x';\n");
    assert_eq!((filtered.layout, filtered.sections.len()), (Layout::Cluster, 0));
}

#[test]
fn roles_are_known_from_a_single_database() {
    let read = survey(&real("15-single"));
    assert_eq!(read.layout, Layout::Single);
    assert_eq!(read.roles_referenced, names(&["odd \"role\"; x", "postgres", "reader", "shop", "two\nlines"]));
    assert_eq!(read.globals.statements, 0);
}

#[test]
fn the_seal_is_the_last_line_and_covers_what_is_before() {
    let mut input = real("15-single");
    let digest = blake3::hash(&input).to_hex().to_string();
    let bytes = input.len() as u64;
    input.extend(b"-- bkp seal {\"format\":1}\n\n");
    for size in [1, 5, 10_000] {
        let mut surveyor = Surveyor::new();
        for chunk in input.chunks(size) {
            surveyor.push(chunk).expect("a dump");
        }
        let read = surveyor.finish().expect("a dump");
        assert_eq!(read.seal.as_deref(), Some(&b"{\"format\":1}"[..]));
        assert_eq!((read.bytes, &read.digest, read.trailer), (bytes, &digest, true));
    }
    for after in ["SELECT 1;\n", "-- x\n", "\\unrestrict K\n", "/* x */"] {
        let longer = [&input[..], after.as_bytes()].concat();
        let read = survey(&longer);
        assert_eq!((read.seal, read.bytes), (None, longer.len() as u64), "{after}");
    }
    let twice = [&input[..], b"-- bkp seal {2}"].concat();
    assert_eq!(survey(&twice).seal.as_deref(), Some(&b"{2}"[..]));
}

#[test]
fn a_seal_inside_something_is_none() {
    for input in [
        "SELECT 1; -- bkp seal {}\n",
        "  -- bkp seal {}\n",
        "/*\n-- bkp seal {}\n*/",
        "SELECT '\n-- bkp seal {}\n';",
        "COPY t FROM stdin;\n-- bkp seal {}\n\\.\n",
    ] {
        assert_eq!(survey(input.as_bytes()).seal, None, "{input}");
    }
}

#[test]
fn the_trailer_is_the_right_one_and_the_last_word() {
    let all = real("15-all-clean");
    let text = String::from_utf8_lossy(&all);
    let cut = text.rfind("--\n-- PostgreSQL database cluster dump complete").expect("a trailer");
    assert!(!survey(&all[..cut]).trailer, "a cluster cut after its last database");
    let create = real("15-create");
    assert!(survey(&create).trailer);
    assert!(!survey(&[&create[..], b"SELECT 1;\n"].concat()).trailer);
    assert!(!survey(&[&create[..], b"-- PostgreSQL database dump\n"].concat()).trailer);
    assert!(!survey(b"/*\n-- PostgreSQL database dump complete\n*/\n").trailer);
}

#[test]
fn it_is_known_who_is_given_what_and_where_that_lies() {
    let sql = "CREATE SCHEMA s;\nALTER SCHEMA s OWNER TO a;\nALTER TABLE s.t OWNER TO b;\nALTER FUNCTION public.f(x s.y) OWNER TO c;\n\
        ALTER LARGE OBJECT 1 OWNER TO d;\nGRANT ALL ON SCHEMA public TO e;\nGRANT USAGE ON SCHEMA public TO f;\nGRANT CREATE ON SCHEMA s TO g;\nALTER PUBLICATION p OWNER TO h;\n";
    let section = survey(sql.as_bytes()).sections.remove(0);
    let name = |text: &str| Name::from(text);
    assert_eq!(section.schemas, [(name("s"), name("a"))].into());
    assert_eq!(section.placed, [(name("s"), name("b")), (name("public"), name("c"))].into());
    assert_eq!(section.owners, ["b", "c", "d", "h"].map(name).into());
    assert_eq!(section.publishers, [name("h")].into());
    assert_eq!(section.creators_in_public, [name("e")].into());
}
