# The node's kubelet is restarted while a backup is under way: the backup does not notice. Sourced by `run`.

open_shop
as_written 1 backup-init
shop exec postgresql-0 -- psql -h /tmp -U postgres -d shop -c BEGIN -c "LOCK TABLE orders" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 &
holder=$!
waits() { [ "$(sql -c "SELECT count(*) FROM pg_locks WHERE NOT granted")" -gt 0 ]; }
begin backup undisturbed
until_so "the backup waits for the table" waits
pod=$(shop get pods --selector=job-name=undisturbed --output=name)
restart kubelet
until_so "the kubelet answers" sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
wait "$holder" || true
until_so "the backup ends well" succeeded undisturbed
[ "$(shop get pods --selector=job-name=undisturbed --output=name)" = "$pod" ] || die "it was begun again"
close_shop
