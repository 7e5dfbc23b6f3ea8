//! What a restore does and what it leaves alone, from its beginning to its end.

use super::*;

fn restore(bench: &Bench, run: &str) -> Replaced {
    let staging = bench.staged(run);
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap(plan).unwrap()
}

#[test]
fn a_restore_replaces_undoes_and_drops() {
    let bench = Bench::filled();
    let replaced = restore(&bench, "r1");
    assert_eq!(replaced, Replaced { run: "r1".into(), aside: 6, added: 1 });
    assert_eq!(bench.tree(), expected_new());
    assert_eq!(leftovers(&bench.root()).unwrap(), [Leftover { run: "r1".into(), found: Found::Replaced }]);
    assert!(replaced_bytes(&bench.root(), "r1").unwrap() > 0);
    assert_eq!(recover(&bench.root(), Way::AsBegun).unwrap(), []);

    write(&bench.root().join("since"), "made since");
    assert_eq!(undo(&bench.root(), Some("r1")).unwrap(), "r1");
    let mut expected = expected_old();
    expected.insert("since".into(), bench.tree()[Path::new("since")].clone());
    assert_eq!(bench.tree(), expected);
    assert_eq!(leftovers(&bench.root()).unwrap()[0].found, Found::Undone);
    assert!(undo(&bench.root(), None).unwrap_err().to_string().contains("nothing to bring back"));
    drop_replaced(&bench.root(), "r1").unwrap();
    assert_eq!((bench.tree(), bench.own()), (expected, vec![]));
}

#[test]
fn only_the_last_restore_can_be_undone_first() {
    let bench = Bench::filled();
    restore(&bench, "r1");
    restore(&bench, "r2");
    assert!(undo(&bench.root(), Some("r1")).unwrap_err().to_string().contains("not the last"));
    undo(&bench.root(), None).unwrap();
    assert_eq!(bench.tree(), expected_new());
    undo(&bench.root(), Some("r1")).unwrap();
    assert_eq!(bench.tree(), expected_old());
}

#[test]
fn an_undo_brings_back_even_where_the_application_removed_or_made_anew() {
    let bench = Bench::filled();
    restore(&bench, "r1");
    std::fs::remove_file(bench.root().join("index/is a directory")).unwrap();
    std::fs::remove_dir(bench.root().join("index")).unwrap();
    write(&bench.root().join("gone"), "a file by now");
    undo(&bench.root(), None).unwrap();
    assert_eq!(bench.tree(), expected_old());
    assert_eq!(std::fs::read_to_string(bench.root().join(".bkp-r1/stray/0/gone")).unwrap(), "a file by now");
}

#[test]
fn what_was_taken_back_is_dropped_but_never_what_the_application_made_meanwhile() {
    let bench = Bench::filled();
    restore(&bench, "r1");
    drop_taken_back(&bench.root(), "r1").unwrap();
    assert_eq!((bench.tree(), bench.own()), (expected_new(), vec![".bkp-r1".to_owned()]), "it is live, not taken back");
    write(&bench.root().join("gone"), "precious");
    undo(&bench.root(), None).unwrap();
    drop_taken_back(&bench.root(), "r1").unwrap();
    assert_eq!(std::fs::read_to_string(bench.root().join(".bkp-r1/stray/0/gone")).unwrap(), "precious");
    drop_replaced(&bench.root(), "r1").unwrap();

    restore(&bench, "r2");
    undo(&bench.root(), None).unwrap();
    drop_taken_back(&bench.root(), "r2").unwrap();
    assert_eq!((bench.tree(), bench.own()), (expected_old(), vec![]));
}

#[test]
fn a_fresh_volume_takes_everything_even_what_is_to_be_kept() {
    let bench = Bench::new();
    restore(&bench, "r1");
    let mut expected = made_by(fill_staged);
    expected.retain(|path, _| !path.starts_with("lost+found"));
    assert_eq!(bench.tree(), expected);
    undo(&bench.root(), None).unwrap();
    assert_eq!(bench.tree(), Tree::new());
}

#[test]
fn a_selection_goes_where_it_is_said_and_nowhere_else() {
    let bench = Bench::filled();
    write(&bench.root().join("import/a.zip"), "old import");
    let before = bench.tree();
    let staging = stage(&bench.root(), "r1").unwrap();
    for name in ["export/a.zip", "export/b.zip", "export/c.txt", "data/deep/er/d"] {
        write(&staging.target().join(name), &format!("new {name}"));
    }
    let selects = select::parse("export/*.zip:import/,data/deep/er:.,data/deep/er/d:made/for/it").unwrap();
    let error = staging.plan(&[], &select::parse("export/*.tar").unwrap()).unwrap_err();
    assert!(error.to_string().contains("fits export/*.tar"), "{error}");
    let plan = staging.plan(&keep(), &selects[..1]).unwrap();
    assert_eq!(plan.replaced().collect::<Vec<_>>(), [Path::new("import/a.zip")]);
    let plan = staging.plan(&keep(), &[selects[0].clone(), selects[2].clone()]).unwrap();
    let root = staging.hidden.root_path().to_owned();
    staging.swap(plan).unwrap();

    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    assert_eq!(read("import/a.zip"), "new export/a.zip");
    assert_eq!(read("import/b.zip"), "new export/b.zip");
    assert_eq!(read("made/for/it/d"), "new data/deep/er/d");
    let mut after = bench.tree();
    after.retain(|path, _| !path.starts_with("import") && !path.starts_with("made"));
    assert!(after.iter().all(|(path, content)| before.get(path) == Some(content)));
    undo(&root, None).unwrap();
    assert_eq!(bench.tree(), before);
}

#[test]
fn a_selection_comes_back_where_its_directory_is_gone() {
    let bench = Bench::filled();
    let staging = bench.staged("r1");
    let plan = staging.plan(&[], &select::parse("data/a").unwrap()).unwrap();
    staging.swap(plan).unwrap();
    std::fs::remove_dir_all(bench.root().join("data")).unwrap();
    undo(&bench.root(), None).unwrap();
    assert_eq!(std::fs::read_to_string(bench.root().join("data/a")).unwrap(), "old data/a");
}

#[test]
fn no_link_takes_a_selection_out_of_the_root() {
    let bench = Bench::filled();
    symlink(bench.dir.path().join("root2"), bench.root().join("out")).unwrap();
    let staging = bench.staged("r1");
    let error = staging.plan(&[], &select::parse("data/a:out").unwrap()).unwrap_err();
    assert!(error.to_string().contains("out is no directory"), "{error}");
    staging.discard().unwrap();
    assert_eq!(bench.own(), Vec::<String>::new());
}

#[test]
fn nothing_is_replaced_by_nothing() {
    let bench = Bench::filled();
    let staging = stage(&bench.root(), "r1").unwrap();
    assert!(staging.plan(&[], &[]).unwrap_err().to_string().contains("holds no files"));
    staging.discard().unwrap();
    assert_eq!((bench.tree(), bench.own()), (expected_old(), vec![]));
}

#[test]
fn what_cannot_be_recognised_is_left_alone() {
    let bench = Bench::filled();
    write(&bench.root().join(".bkp-foreign/data"), "precious");
    write(&bench.root().join(".bkp-damaged/journal.json"), "{\"format\":1");
    std::fs::create_dir(bench.root().join(".bkp-empty")).unwrap();
    // Where an exchange was, there is more than the staged tree.
    for anew in [".bkp-20261121T231004Z-7f3a9c/new/a", ".bkp-20261121T231005Z-7f3a9c/new/a", ".bkp-theirs/new/a"] {
        write(&bench.root().join(anew), "precious, or made anew");
    }
    std::fs::create_dir(bench.root().join(".bkp-20261121T231005Z-7f3a9c/old")).unwrap();
    let found: Vec<_> = leftovers(&bench.root()).unwrap().into_iter().map(|left| (left.run, left.found)).collect();
    assert!(matches!(&found[0].1, Found::Garbage), "{found:?}");
    assert!(matches!(&found[2].1, Found::Unknown { why } if why.contains("damaged")), "{found:?}");
    assert!(matches!(&found[3], (run, Found::Garbage) if run == "empty"), "{found:?}");
    assert!(matches!(&found[4].1, Found::Unknown { why } if why.contains("no journal")), "{found:?}");
    recover(&bench.root(), Way::AsBegun).unwrap();
    assert_eq!(bench.own(), [".bkp-20261121T231005Z-7f3a9c", ".bkp-damaged", ".bkp-foreign", ".bkp-theirs"]);
    assert!(drop_replaced(&bench.root(), "foreign").is_err());
    assert!(undo(&bench.root(), None).is_err());
}

#[test]
fn an_owner_is_given_to_the_tree_and_its_root_and_taken_back() {
    let bench = Bench::filled();
    let own = bench.root().metadata().unwrap();
    // Only root may give away; anybody may give to themselves.
    let user = if rustix::process::geteuid().is_root() { 901 } else { own.uid() };
    let group = if rustix::process::geteuid().is_root() { 902 } else { own.gid() };
    let mut staging = bench.staged("r1");
    staging.chown(Owner { user, group: Some(group) }).unwrap();
    let plan = staging.plan(&keep(), &[]).unwrap();
    staging.swap(plan).unwrap();
    for path in ["", "data", "data/a", "fresh/y", "link"] {
        let metadata = bench.root().join(path).symlink_metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (user, group), "{path}");
    }
    assert_eq!(bench.root().join("config").metadata().unwrap().uid(), own.uid());
    assert_eq!(bench.root().join(".bkp-r1/old/data").metadata().unwrap().uid(), own.uid());
    undo(&bench.root(), None).unwrap();
    assert_eq!(bench.root().metadata().unwrap().uid(), own.uid());
    assert_eq!(bench.tree(), expected_old());
}
