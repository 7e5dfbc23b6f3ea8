//! What there is to restore, as people and programs are told it; and that what shrank is never restored by mistake.

mod columns;
mod filters;
mod schema;
mod shrunk;

use serde_json::Value;

use crate::items::App;
use crate::items::quick::listed;

/// An application with a bucket besides, so that its runs lie in both.
fn with_bucket(app: &App, arguments: &[&str]) -> crate::support::bkp::Bkp {
    app.bkp([]).bucket(&app.work.dir("dumps")).args(arguments)
}

/// The newest run.
fn newest(app: &App) -> String {
    let rows: Vec<Value> = listed(with_bucket(app, &["list", "--json"]));
    rows[0]["run"].as_str().expect("a run").to_owned()
}
