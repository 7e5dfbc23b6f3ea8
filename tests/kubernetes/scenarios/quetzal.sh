# Quetzal as docs/quetzal.md has it: the chart's CronJob with another image, then the overlay, and a restore of what each saved. The bucket is an
# emulator's: the one thing that the manifests are told besides is where that is. Sourced by `run`.

# shellcheck source=tests/kubernetes/apps/words.sh
. "$here/apps/words.sh"
start_gcs
open_app quetzal
database postgres
emulated() { quietly in_app set env "$@" STORAGE_EMULATOR_HOST=http://$node_address:4443; }
bucket() { ls "$work/gcs/backups/db"; }

quietly sql -c "CREATE ROLE db_user LOGIN PASSWORD 'a canary'" -c "CREATE ROLE db_ro_user LOGIN PASSWORD 'a canary'" \
    -c "CREATE DATABASE quetzal OWNER db_user" -c "CREATE DATABASE unittests OWNER db_user"
for database in quetzal unittests; do
    quietly sql -d $database -c "SET ROLE db_user" -c "CREATE TABLE metadata AS SELECT i AS id, md5(i::text) AS json FROM generate_series(1, 3000) i" \
        -c "GRANT SELECT ON metadata TO db_ro_user"
done
content() {
    sql -c "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'db_%' ORDER BY 1"
    for database in quetzal unittests; do sql -d $database -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM metadata o"; done
}
disaster() { quietly sql -d quetzal -c "DELETE FROM metadata" && quietly sql -c "DROP DATABASE unittests"; }
before=$(content)

# The chart's CronJob, and the image's name alone.
quietly in_app apply -f - <"$here/apps/old/quetzal.yaml"
emulated cronjob/quetzal-db-backup
as_written "Instead of today's image" 1 "set image"
night quetzal-db-backup
[ "$(bucket | wc -l)" = 1 ] || die "in the bucket: $(bucket)"

# The overlay, which restores it.
as_written "Instead of today's image" 2 "k8s/apps/quetzal"
emulated cronjobs,deployments --all
same "CronJobs" "backup backup-drill backup-init" "$(in_app get cronjobs --output=jsonpath='{.items[*].metadata.name}')"
disaster
as_written "A restore" 1 "bkp restore"
same "what was saved, and what is there again" "$before" "$(content)"
as_written "The first time" 1 "bkp init"
as_written "A backup by hand" 1 "bkp backup"
disaster
as_written "A restore" 1 "bkp restore"
same "what was saved, and what is there again" "$before" "$(content)"
job_of backup-drill drill-by-hand

mkdir -p "$work/keys" && echo '{"type": "another"}' >"$work/keys/credentials.json"
as_written "Another key for the bucket" 1 "credentials.json" "$work/keys"
same "the key" '{"type": "another"}' "$(in_app get secret backup-secret --output=jsonpath='{.data.credentials\.json}' | base64 --decode)"
close_app
