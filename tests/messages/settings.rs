//! Wrong settings and arguments: told by name, all at once, before anything is tried.

use super::Messages;
use crate::support::bkp::Bkp;
use crate::support::workdir::WorkDir;

#[test]
fn settings_and_arguments() {
    let work = WorkDir::new();
    let mut messages = Messages::of("settings").hide(work.path().display(), "<work>");
    let bkp = |arguments: &[&str]| Bkp::bare().env("BKP_APP", "shop").bucket(&work.dir("bucket")).args(arguments);
    let both = bkp(&["backup"]).env("POSTGRES_PASSWORD", "canary").env("POSTGRES_PASSWORD_FILE", work.join("x"));
    messages.case("a_variable_and_its_file", both);
    let missing = bkp(&["backup"]).env("POSTGRES_PASSWORD_FILE", work.join("nowhere"));
    messages.case("a_secret_file_that_is_not_there", missing);
    let several = bkp(&["backup"]).env("BKP_GZIP_LEVEL", "canary").env("BKP_KEEP_DAILY", "-1");
    let several =
        several.env("BKP_LOCK_WAIT", "canary").env("BKP_KEPP_WEEKLY", "4").env("BKP_PAUSE_COMMAND", "/bin/true");
    messages.case("several_faults_at_once", several);
    messages.case("an_address_of_no_kind", bkp(&["backup"]).env("BKP_BUCKET", "ftp://canary@host/x"));
    messages.case("an_option_that_there_is_not", bkp(&["backup", "--frob"]));
    messages.case("a_command_that_there_is_not", bkp(&["bakcup"]));
    messages.case("options_that_exclude_each_other", bkp(&["restore", "--undo", "--only", "files"]));
    messages.case("a_host_where_there_are_no_snapshots", bkp(&["restore", "--host", "web-1"]));
    messages.case("a_renaming_that_is_none", bkp(&["rewrite", "--database", "shop"]));
    messages.case("a_dump_that_is_none", bkp(&["rewrite"]).stdin("SELECT 1;\n"));
    messages.all_as_agreed();
}
