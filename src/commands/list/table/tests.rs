//! What a list looks like, line by line.

use super::super::row::Shown;
use super::*;

fn row(run: &str, time: &str) -> Row {
    Row {
        run: Some(run.into()),
        time: time.parse().unwrap(),
        object: Some("db/db_dump-20261121_201004.bak.gz".into()),
        snapshots: vec![],
        items: vec!["dump".into()],
        missing: vec![],
        stored_bytes: Some(9_100),
        restored_bytes: Some(40_200),
        sql_bytes: Some(40_200),
        sealed: true,
        safety: false,
        shrunk: vec![],
        proven: None,
        proven_from: vec![],
        app: Some("shop".into()),
        server: None,
        databases: vec!["shop".into()],
        rows: Some(1100),
        problem: None,
    }
}

fn shown(item: &str) -> Shown {
    Shown { item: item.into(), id: "0a1b2c3d4e5f".into(), host: "h".into(), bytes: Some(1) }
}

fn rows() -> Vec<Row> {
    let night = |time| row("20261121T201004Z-7f3a9c", time);
    vec![
        Row { shrunk: vec!["database shop has 100 rows, and had 1100".into()], ..night("2026-11-21T20:10:04Z") },
        Row { proven: Some("2026-11-21T05:00:00Z".parse().unwrap()), ..night("2026-11-20T20:10:04Z") },
        Row {
            object: None,
            stored_bytes: None,
            sealed: false,
            missing: vec!["database shop".into()],
            snapshots: (0..6).map(|number| shown(&format!("files /var/www/application/{number}"))).collect(),
            ..night("2026-10-19T20:10:04Z")
        },
        Row {
            run: None,
            sealed: false,
            app: None,
            databases: vec![],
            rows: None,
            restored_bytes: None,
            ..night("2020-01-01T00:00:00Z")
        },
        Row { safety: true, app: Some("other\x1b[31m".into()), ..night("2019-01-01T00:00:00Z") },
    ]
}

fn shown_to(colours: bool) -> String {
    table(&rows(), Look { now: "2026-11-21T23:10:00Z".parse().unwrap(), app: "shop", colours })
}

#[test]
fn a_list_is_told_in_lines_that_fit() {
    let text = shown_to(false);
    let wanted = "\
AGE      TIME (UTC)           RUN                      STATE       PROVEN      RESTORES  STORED
2 h ago  2026-11-21 20:10:04  20261121T201004Z-7f3a9c  SHRANK      -           40.2 kB   9.1 kB
    database shop (1100 rows) in db/db_dump-20261121_201004.bak.gz
  ! database shop has 100 rows, and had 1100
26 h ago  2026-11-20 20:10:04  20261121T201004Z-7f3a9c  sealed      2026-11-21  40.2 kB   9.1 kB
    database shop (1100 rows) in db/db_dump-20261121_201004.bak.gz
33 d ago  2026-10-19 20:10:04  20261121T201004Z-7f3a9c  incomplete  -           40.2 kB   -
";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(&text).starts_with(&squeezed(wanted)), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    assert!(
        text.contains("  ! MISSING database shop\n") && text.contains("(safety),\n    of application other?[31m\n"),
        "{text}"
    );
    let columns: Vec<usize> =
        text.lines().filter(|line| !line.starts_with("  ")).filter_map(|line| line.find("20261121T")).collect();
    assert!(columns.iter().all(|at| *at == columns[0]), "{text}");
}

#[test]
fn the_widest_backup_fits_too() {
    let widest = Row {
        proven: Some("2026-11-21T05:00:00Z".parse().unwrap()),
        shrunk: vec![],
        sealed: false,
        restored_bytes: Some(999_900_000),
        stored_bytes: Some(999_900_000),
        ..row("20261121T201004Z-7f3a9c", "2026-11-21T22:11:00Z")
    };
    let look = Look { now: "2026-11-21T23:10:00Z".parse().unwrap(), app: "shop", colours: false };
    let text = table(&[widest], look);
    assert_eq!(text.lines().map(|line| line.chars().count()).max(), Some(WIDTH), "{text}");
}

#[test]
fn colours_add_nothing_but_colours() {
    let (plain, coloured) = (shown_to(false), shown_to(true));
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[31;1m2 h ago"), "{coloured}");
    let mut rest = coloured;
    for code in ["\x1b[31;1m", "\x1b[33m", "\x1b[2m", "\x1b[0m"] {
        rest = rest.replace(code, "");
    }
    assert_eq!(rest, plain);
}
