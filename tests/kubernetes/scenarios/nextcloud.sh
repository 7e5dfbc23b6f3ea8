# Nextcloud as docs/nextcloud.md has it: today's manifests with another image, the worst day, and then the overlay in their place, which
# goes on with what they saved. Sourced by `run`.

# shellcheck source=tests/kubernetes/apps/words.sh
. "$here/apps/words.sh"
start_s3
open_app nextcloud cloud-pvc 33
database cloud

quietly sql -c "CREATE ROLE oc_admin LOGIN CREATEDB PASSWORD 'oc); a canary'" -c "CREATE DATABASE cloud OWNER oc_admin"
quietly sql -d cloud -c "SET ROLE oc_admin" -c "CREATE TABLE oc_filecache AS SELECT i AS fileid, md5(i::text) AS path FROM generate_series(1, 3000) i"
as_owner "mkdir -p config data/alice apps && echo '<?php \$CONFIG = [];' >config/config.php && echo a photo >data/alice/1.jpg && echo 29 >.version"
content() {
    sql -c "SELECT rolname, rolcreatedb, rolpassword FROM pg_authid WHERE rolname LIKE 'oc_%'"
    sql -d cloud -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY fileid)) FROM oc_filecache o"
    tree
}
disaster() {
    quietly sql -d cloud -c "DROP TABLE oc_filecache"
    inside rm -rf "$files/data"
    as_owner "echo worse >.version && echo new >new.txt"
}
before=$(content)

# Today's manifests, and the image's name alone.
quietly in_app apply -f - <"$here/apps/old/nextcloud.yaml"
as_written "Instead of today's image" 1 "set image"
as_written "The first time" 1 "bkp init"
night cloud-backup
said "saved"
disaster
as_written "A restore" 1 "bkp restore"
said "Go ahead?"
same "what was saved, and what is there again" "$before" "$(content)"
as_written "A backup by hand" 1 "bkp backup"

# The overlay takes their place, and goes on with their repositories.
as_written "Instead of today's image" 2 "k8s/apps/nextcloud"
same "the account" 33 "$(in_app get cronjob cloud-backup --output=jsonpath='{.spec.jobTemplate.spec.template.spec.securityContext.runAsUser}')"
as_written "The first time" 1 "bkp init"
disaster
as_written "A restore" 1 "bkp restore"
same "what was saved, and what is there again" "$before" "$(content)"
as_written "Another password for the repositories" 1 "bkp change-password"
night cloud-backup
disaster
as_written "A restore" 1 "bkp restore"
same "what was saved, and what is there again" "$before" "$(content)"
job_of backup-drill drill-by-hand
close_app
