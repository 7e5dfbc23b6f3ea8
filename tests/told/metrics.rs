//! Metrics as a real Prometheus reads them, from a real Pushgateway and through a real node exporter.

use std::fs;

use super::Shop;
use crate::support::authority::certificate;
use crate::support::bkp::Bkp;
use crate::support::prometheus::{Server, promtool};

/// `$2b$` of `c4n4ry-gate`, the cheapest there is.
const HASH: &str = "$2b$04$oqAot./4ZTX29DID8QQJ/uhRrSIoyFgCoVIDCgxpQ8aogG62sTzza";

/// What Prometheus has of the shop.
fn of(name: &str, command: &str) -> String {
    format!("{name}{{app=\"shop\",command=\"{command}\"}}")
}

/// A night with a backup, a proof, and a backup that fails; `bkp` is told where metrics go.
fn nights(shop: &Shop, prometheus: &Server, tell: impl Fn(Bkp) -> Bkp) {
    let succeeded = of("bkp_last_success_timestamp_seconds", "backup");
    tell(shop.bkp(["backup"])).run().ok();
    prometheus.until_is(&of("bkp_last_run_exit_status", "backup"), "0");
    prometheus.until_is("bkp_backup_rows{app=\"shop\"}", "1100");
    prometheus.until_is("bkp_item_rows{app=\"shop\",item=\"database shop\"}", "1100");
    prometheus.until_is("bkp_retention_failing{app=\"shop\"}", "0");
    prometheus.until_is(&format!("time() - {succeeded} < bool 600"), "1");
    let [(_, when)] = &prometheus.query(&succeeded)[..] else { panic!("one success") };

    tell(shop.bkp(["drill"])).run().ok();
    prometheus.until_is("bkp_drill_success{app=\"shop\"}", "1");
    prometheus.until_is("time() - bkp_last_proof_timestamp_seconds{app=\"shop\"} < bool 600", "1");
    prometheus.until_is(&of("bkp_last_run_exit_status", "drill"), "0");

    tell(shop.bkp(["backup"])).env("POSTGRES_DB", "absent").run().fails_with(1);
    prometheus.until_is(&of("bkp_last_run_exit_status", "backup"), "1");
    prometheus.until_is(&succeeded, when);
    prometheus.until_is(&of("bkp_last_run_exit_status", "drill"), "0");
    prometheus.until_is("count(ALERTS{alertname=\"BkpBackupFailed\",alertstate=\"firing\"})", "1");
    assert_eq!(prometheus.firing(), ["BkpBackupFailed"]);

    tell(shop.bkp(["backup"])).run().ok();
    prometheus.until_is(&of("bkp_last_run_exit_status", "backup"), "0");
    prometheus.until_is(&format!("{succeeded} > bool {when}"), "1");
}

#[test]
fn a_prometheus_reads_from_a_pushgateway_what_runs_have_said() {
    let shop = Shop::open();
    let gateway = Server::pushgateway(&shop.work, &[]);
    let prometheus = Server::prometheus(&shop.work, &[("pushgateway", &gateway)]);
    let url = format!("http://127.0.0.1:{}", gateway.port());
    nights(&shop, &prometheus, |bkp| bkp.env("BKP_PUSHGATEWAY_URL", &url));
    assert_eq!(prometheus.query("count by (job) (bkp_last_run_exit_status)")[0].0["job"], "bkp");
    // Without a timestamp of its own it never goes stale; so what is told must be a time, not a colour.
    let said = gateway.get("/metrics");
    assert!(
        promtool(["check", "metrics"], said.as_bytes()).text().lines().all(|line| !line.contains("bkp_")),
        "{said}"
    );
}

#[test]
fn a_prometheus_reads_from_a_textfile_what_runs_have_said() {
    let shop = Shop::open();
    let directory = shop.work.dir("textfile");
    let path = directory.join("bkp.prom");
    let exporter = Server::node_exporter(&shop.work, &directory);
    let prometheus = Server::prometheus(&shop.work, &[("node", &exporter)]);
    nights(&shop, &prometheus, |bkp| bkp.env("BKP_METRICS_FILE", &path));
    prometheus.until_is("node_textfile_scrape_error", "0");
    let text = fs::read(&path).expect("metrics");
    let checked = promtool(["check", "metrics"], &text);
    assert!(checked.success && checked.stderr.is_empty(), "{}{}", checked.text(), checked.stderr);
    let others = fs::read_dir(&directory).expect("entries").count();
    assert_eq!(others, 1, "something is left beside it");
}

#[test]
fn a_pushgateway_behind_tls_and_a_password_is_reached_and_neither_is_said() {
    let shop = Shop::open();
    let tls = shop.work.dir("tls");
    certificate(&tls, "IP:127.0.0.1");
    let web = format!(
        "tls_server_config: {{cert_file: leaf.pem, key_file: leaf.key}}\nbasic_auth_users: {{bkp: '{HASH}'}}\n"
    );
    let web = shop.work.file("tls/web.yaml", web);
    let gateway = Server::pushgateway(&shop.work, &[format!("--web.config.file={}", web.display())]);
    let url = |password: &str| format!("https://bkp:{password}@127.0.0.1:{}/", gateway.port());
    let backup = |password: &str| {
        let file = shop.work.file("gate", url(password));
        shop.bkp(["backup"]).env("BKP_PUSHGATEWAY_URL_FILE", file).env("RUST_LOG", "trace")
    };
    let trusting = |bkp: Bkp| bkp.env("CERTIFICATE_FILE", tls.join("ca.pem"));
    let out = trusting(backup("c4n4ry-gate")).run().ok().never_says("c4n4ry");
    out.never_says("could not be pushed");
    let out = trusting(backup("c4n4ry-wrong")).run().ok().never_says("c4n4ry");
    out.says("the metrics could not be pushed: it answers 401");
    let out = backup("c4n4ry-gate").run().ok().never_says("c4n4ry");
    out.says("the metrics could not be pushed: invalid peer certificate");
}

#[test]
fn metrics_that_cannot_be_kept_change_nothing_and_are_told() {
    let shop = Shop::open();
    let bkp = |arguments| shop.bkp(arguments).env("BKP_METRICS_FILE", shop.work.join("absent/bkp.prom"));
    bkp(["backup"]).run().ok().says("the metrics could not be kept: writing ");
    bkp(["drill"]).run().ok().says("the metrics could not be kept: writing ");
    bkp(["backup"]).env("POSTGRES_DB", "absent").run().fails_with(1).says("the metrics could not be kept");
}

#[test]
fn wrong_settings_are_told_as_a_run_that_failed_and_each_command_tells_its_own() {
    let shop = Shop::open();
    let path = shop.work.join("bkp.prom");
    let backup = || shop.bkp(["backup"]).env("BKP_METRICS_FILE", &path);
    let says = |line: &str| {
        let text = fs::read_to_string(&path).expect("metrics");
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    };
    backup().env("BKP_KEEP_LAST", "many").run().fails_with(2);
    says("bkp_last_run_exit_status{app=\"shop\",command=\"backup\"} 2");
    assert!(!fs::read_to_string(&path).expect("metrics").contains("bkp_last_success"), "it never succeeded");
    backup().run().ok();
    says("bkp_last_run_exit_status{app=\"shop\",command=\"backup\"} 0");
    shop.bkp(["check"]).env("BKP_METRICS_FILE", &path).run().ok();
    shop.bkp(["restore", "--yes"]).env("BKP_METRICS_FILE", &path).run().ok();
    says("bkp_last_run_exit_status{app=\"shop\",command=\"restore\"} 0");
    says("bkp_last_run_exit_status{app=\"shop\",command=\"check\"} 0");
}
