# Taiga as docs/taiga.md has it: today's manifests with another image, where the operator scales by hand, then the overlay, where a restore
# does. Sourced by `run`.

# shellcheck source=tests/kubernetes/apps/words.sh
. "$here/apps/words.sh"
start_s3
open_app taiga taiga-media-data 999
database taiga
taiga=(taiga-gateway-deployment taiga-front-deployment taiga-back-deployment taiga-async-deployment)
stand_ins "${taiga[@]}"

quietly sql -c "CREATE ROLE taiga LOGIN PASSWORD 'a canary'" -c "CREATE DATABASE taiga OWNER taiga"
quietly sql -d taiga -c "SET ROLE taiga" -c "CREATE TABLE userstories AS SELECT i AS id, md5(i::text) AS subject FROM generate_series(1, 3000) i"
as_owner "mkdir -p attachments/1 && echo a drawing >attachments/1/drawing.svg && echo settings >.hidden"
content() {
    sql -d taiga -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM userstories o"
    tree
}
disaster() {
    quietly sql -d taiga -c "DELETE FROM userstories WHERE id > 7"
    inside rm -rf "$files/attachments"
}
replicas() { in_app get deployments "${taiga[@]}" --output=jsonpath='{.items[*].spec.replicas}'; }
before=$(content)

# Today's manifests, and the image's name alone.
quietly in_app apply -f - <"$here/apps/old/taiga.yaml"
as_written "Instead of today's image" 1 "set image"
as_written "The first time" 1 "bkp init"
night taiga-backup
disaster
as_written "A restore" 2 "--replicas=0"
same "scaled down" "0 0 0 0" "$(replicas)"
as_written "A restore" 1 "bkp restore"
as_written "A restore" 3 "--replicas=1"
same "what was saved, and what is there again" "$before" "$(content)"

# The overlay takes their place; a restore scales, and scales back.
as_written "Instead of today's image" 2 "k8s/apps/taiga"
as_written "A backup by hand" 1 "bkp backup"
disaster
as_written "A restore" 1 "bkp restore"
for name in "${taiga[@]}"; do said "scaled deployment/$name back to 1"; done
same "scaled back" "1 1 1 1" "$(replicas)"
same "what was saved, and what is there again" "$before" "$(content)"
as_written "Another password for the repositories" 1 "bkp change-password"
night taiga-backup
close_app
