# Pods come to their end at any moment: the idle one at once, a backup without leaving a lock or half a snapshot. Sourced by `run`.

open_shop
as_written 1 backup-init
operator() { shop exec deployment/backup-restore --container backup-app -- "$@"; }

# What a command leaves behind is process 1's child, and does not stay when it is dead.
quietly shop scale deployment backup-restore --replicas=1
quietly shop rollout status deployment backup-restore --timeout=120s
adopted() { operator sh -c 'grep -lsE "^PPid:.1$" /proc/[0-9]*/status || true'; }
quietly operator sh -c "sleep 5 >/dev/null 2>&1 & exit 0"
[ -n "$(adopted)" ] || die "nothing is left behind"
reaped() { local left && left=$(adopted) && [ -z "$left" ]; }
until_so "process 1 reaps" reaped

# It need not be killed, for which a kubelet waits two minutes.
started=$SECONDS
quietly shop delete pod --selector=app=backup-restore --timeout=100s
[ $((SECONDS - started)) -lt 30 ] || die "an idle pod took $((SECONDS - started)) s to end"
quietly shop scale deployment backup-restore --replicas=0

# A backup that waits for a table is deleted. The next one finds no lock of it, and is the only one.
shop exec postgresql-0 -- psql -h /tmp -U postgres -d shop -c BEGIN -c "LOCK TABLE orders" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 &
holder=$!
waits() { [ "$(sql -c "SELECT count(*) FROM pg_locks WHERE NOT granted")" -gt 0 ]; }
begin backup cut-short
until_so "the backup waits for the table" waits
quietly shop delete job cut-short --timeout=60s
over() { [ -z "$(shop get pods --selector=job-name=cut-short --output=name)" ]; }
until_so "the backup's end" over
quietly sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
wait "$holder" || true
job backup after-that
ended_with after-that 0 || die "it was tried more than once: $(ended after-that)"
as_written 3 "bkp list"
[ "$(grep -c "yes, shop" "$work/said")" = 1 ] || die "not one backup: $(cat "$work/said")"
close_shop
