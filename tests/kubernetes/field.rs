//! What is in the field: names, volumes and commands that manifests of today have, which the overlays and the image go on with.

use std::fs;

use serde_json::Value;

use super::manifests::{applications, name, objects, project, template};

/// Of one application: the CronJob, its volume's claim and where that is, whether the nightly job only reads it.
struct Field {
    cron_job: &'static str,
    volume: Option<(&'static str, &'static str, bool)>,
    settings: &'static [&'static str],
}

const RESTIC: [&str; 6] = [
    "AWS_ACCESS_KEY_ID_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_SECRET_ACCESS_KEY_FILE",
    "RESTIC_NEW_PASSWORD_FILE",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_REPOSITORY",
];
const POSTGRES: [&str; 4] = ["POSTGRES_DB", "POSTGRES_HOST", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER_FILE"];
const BUCKET: [&str; 4] = ["DB_HOST", "GCP_BACKUP_BUCKET", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER_FILE"];

fn field(app: &str) -> Field {
    let (cron_job, volume) = match app {
        "nextcloud" => ("cloud-backup", Some(("cloud-pvc", "/var/backups", false))),
        "taiga" => ("taiga-backup", Some(("taiga-media-data", "/media", true))),
        "forgejo" => ("forgejo-backup", Some(("forgejo-data-pvc", "/var/backups", true))),
        "jira" => ("backup", Some(("jira-pvc", "/var/backups", true))),
        _ => ("backup", None),
    };
    let settings: &[&str] = match app {
        "quetzal" => &BUCKET,
        "jira" => &[],
        _ => &POSTGRES,
    };
    Field { cron_job, volume, settings }
}

fn named<'a>(objects: &'a [Value], kind: &str, wanted: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && name(object) == wanted);
    found.unwrap_or_else(|| panic!("no {kind} {wanted}"))
}

#[test]
fn an_overlay_has_the_names_volumes_and_settings_that_are_in_the_field() {
    for app in applications() {
        let objects = objects(&project().join("k8s/apps").join(&app));
        let field = field(&app);
        let cron_job = named(&objects, "CronJob", field.cron_job);
        let deployment = named(&objects, "Deployment", "backup-restore");
        assert_eq!(deployment["spec"]["replicas"], 0, "{app}");
        assert_eq!(cron_job["metadata"]["namespace"], app.as_str());
        for (object, reads) in [(cron_job, true), (deployment, false)] {
            let spec = &template(object).expect("a template")["spec"];
            let container = &spec["containers"][0];
            assert_eq!(container["name"], "backup-app", "{app}");
            if let Some((claim, path, only_read)) = field.volume {
                let volumes = spec["volumes"].as_array().expect("volumes");
                let volume =
                    volumes.iter().find(|volume| volume["persistentVolumeClaim"]["claimName"] == claim).expect(claim);
                let mounts = container["volumeMounts"].as_array().expect("mounts");
                let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).expect(claim);
                assert_eq!(mount["mountPath"], path, "{app}");
                assert_eq!(mount["readOnly"] == true, reads && only_read, "{app}");
            }
            let mut settings: Vec<&str> = container["env"].as_array().expect("settings").iter().map(name_of).collect();
            // How the application is paused is not of the field.
            settings.retain(|setting| *setting != "BKP_QUIESCE");
            settings.sort_unstable();
            let mut wanted: Vec<&str> = field.settings.to_vec();
            if app != "quetzal" {
                wanted.extend(RESTIC);
            }
            wanted.sort_unstable();
            assert_eq!(settings, wanted, "{app}");
        }
    }
}

fn name_of(entry: &Value) -> &str {
    entry["name"].as_str().expect("a name")
}

#[test]
fn the_account_of_an_image_has_its_group_where_kubernetes_looks_for_it() {
    let base = fs::read_to_string(project().join("images/Dockerfile")).expect("the Dockerfile");
    let numbers =
        base.split_once("for number in ").and_then(|(_, rest)| rest.split_once(';')).expect("a list of accounts").0;
    // www-data is Debian's own.
    let known: Vec<&str> = numbers.split_whitespace().chain(["33"]).collect();
    for app in applications() {
        let dockerfile = fs::read_to_string(project().join("images").join(&app).join("Dockerfile")).expect("an image");
        let Some(user) = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")) else { continue };
        let (number, group) = user.split_once(':').expect("a user and a group");
        assert!(number == group && known.contains(&number), "{app}: {user}");
    }
}
