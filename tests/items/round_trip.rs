//! Saved, lost, and back.

use super::{App, tree};

#[test]
fn databases_roles_and_files_come_back_as_they_were() {
    let app = App::open();
    app.bkp(["init"]).run().ok().says("made");
    app.bkp(["init"]).run().ok().says("is there");
    let (orders, files) = (app.orders(), tree(&app.files()));
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    app.bkp(["restore"]).run().ok();
    assert_eq!(app.orders(), orders);
    assert_eq!(tree(&app.files()), files);
    let snapshots = app.restic("", ["snapshots", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&snapshots.stdout).expect("JSON");
    assert_eq!(listed.as_array().expect("a list").len(), 3, "{listed}");
    assert!(app.restic("", ["check", "--read-data"]).success);
    app.bkp(["check", "--read-data"]).run().ok();
    app.bkp(["list"]).run().ok().says("sealed");
}
