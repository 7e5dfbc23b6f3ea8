# Forgejo as docs/forgejo.md has it, on a new host. Sourced by `run`.

# shellcheck source=tests/kubernetes/apps/words.sh
. "$here/apps/words.sh"
start_s3
open_app forgejo forgejo-data-pvc 1000
database forgejo
stand_ins forgejo

quietly sql -c "CREATE ROLE forgejo LOGIN PASSWORD 'a canary'" -c "CREATE DATABASE forgejo OWNER forgejo"
quietly sql -d forgejo -c "SET ROLE forgejo" -c "CREATE TABLE repository AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 3000) i"
as_owner "mkdir -p gitea/conf git/repositories/a/b.git ssh && echo ini >gitea/conf/app.ini && echo HEAD >git/repositories/a/b.git/HEAD && echo key >ssh/host_key"
content() {
    sql -d forgejo -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM repository o"
    tree
}
before=$(content)

as_written "Instead of today's image" 2 "k8s/apps/forgejo"
as_written "Instead of today's image" 1 "set image"
as_written "The first time" 1 "bkp init"
as_written "A backup by hand" 1 "bkp backup"
quietly sql -d forgejo -c "DROP TABLE repository"
inside rm -rf "$files/git/repositories/a"
as_written "A restore" 1 "bkp restore"
said "scaled deployment/forgejo back to 1"
same "scaled back" 1 "$(in_app get deployment forgejo --output=jsonpath='{.spec.replicas}')"
same "what was saved, and what is there again" "$before" "$(content)"
as_written "Another password for the repositories" 1 "bkp change-password"
night forgejo-backup
close_app
