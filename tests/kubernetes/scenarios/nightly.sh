# The way of every night and of the worst day: a CronJob fires, another backup by hand, disaster, a restore by `kubectl exec`. Sourced by `run`.

shop() { kubectl --namespace shop "$@"; }
sql() { shop exec postgresql-0 -- psql -h /tmp -U postgres -AtX -v ON_ERROR_STOP=1 "$@"; }
# What a volume's directory looks like on the node.
media=/run/bkp-test/volumes/media
content() {
    sql -d shop -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
    # Without what the restore put aside.
    inside sh -c "cd $media && find . -name '.bkp-*' -prune -o -type f -exec sha256sum {} + | sort"
}
# Jobs of a name's beginning that came to an end, and how many of them well.
succeeded() { [ "$(shop get "job/$1" --output=jsonpath='{.status.succeeded}')" = 1 ]; }
jobs_of() { shop get jobs --output=name | grep -c "^job.batch/$1" || true; }
fired() { [ "$(jobs_of backup-)" -gt 0 ]; }
# A command in the idle pod.
operator() { shop exec deployment/backup-restore --container backup-app -- "$@"; }
runs() { operator bkp list | grep -c "yes, shop" || true; }

inside install -d -o 65532 -g 65532 $media /run/bkp-test/volumes/repository
inside setpriv --reuid=65532 --regid=65532 --clear-groups sh -c "mkdir $media/photos && echo a photo >$media/photos/1 && echo settings >$media/.hidden"
apply "$here/shop"
bound() { [ "$(shop get persistentvolumeclaims --output=jsonpath='{.items[*].status.phase}')" = "Bound Bound" ]; }
until_so "the volumes" bound
until_so "PostgreSQL" sql -c "SELECT 1"
sql -c "CREATE ROLE seller LOGIN PASSWORD 'a canary'" -c "CREATE DATABASE shop OWNER seller" >"$work/said"
sql -d shop -c "SET ROLE seller" -c "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS what FROM generate_series(1, 5000) i" >"$work/said"

# Initialised once, by hand, as the run book has it.
shop scale deployment backup-restore --replicas=1 >"$work/said"
shop wait --for=condition=Available --timeout=120s deployment/backup-restore >"$work/said" || die "backup-restore: $(cat "$work/said")"
operator bkp init >"$work/said" 2>&1 || die "init: $(cat "$work/said")"

# The CronJob fires, within the minute.
before=$(content)
shop patch cronjob backup --patch '{"spec": {"suspend": false}}' >"$work/said"
until_so "the CronJob fires" fired
shop patch cronjob backup --patch '{"spec": {"suspend": true}}' >"$work/said"
job=$(shop get jobs --output=jsonpath='{.items[0].metadata.name}')
until_so "the nightly backup" succeeded "$job"
[ "$(runs)" = 1 ] || die "no snapshot, or several: $(operator bkp list)"

# Another one, by hand.
shop create job --from=cronjob/backup backup-by-hand >"$work/said"
until_so "the backup by hand" succeeded backup-by-hand
[ "$(runs)" = 2 ] || die "not two of them: $(operator bkp list)"

# Disaster, and what comes back.
sql -d shop -c "DROP TABLE orders" >"$work/said"
inside rm -rf $media/photos
inside sh -c "echo damaged >$media/.hidden"
operator bkp restore >"$work/said" 2>&1 || die "restore: $(cat "$work/said")"
after=$(content)
[ "$before" = "$after" ] || die "not what was saved: $before / $after"
shop scale deployment backup-restore --replicas=0 >"$work/said"

# No secret in any log.
for pod in $(shop get pods --output=name); do
    if shop logs "$pod" --all-containers | grep -F canary >"$work/said"; then die "$pod: $(cat "$work/said")"; fi
done
