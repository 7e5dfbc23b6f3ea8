# The way of every night and of the worst day, as the run book says it: the repository is made, a CronJob fires, another backup by hand, a
# disaster, a restore, a drill. Sourced by `run`.

open_shop
as_written 1 backup-init

# The CronJob fires, within the minute.
nightly_job() { shop get jobs --output=name | sed -n 's|^job.batch/\(backup-[0-9]*\)$|\1|p' | head -n 1; }
fired() { [ -n "$(nightly_job)" ]; }
before=$(content)
quietly shop patch cronjob backup --patch '{"spec": {"suspend": false}}'
until_so "the CronJob fires" fired
quietly shop patch cronjob backup --patch '{"spec": {"suspend": true}}'
until_so "the nightly backup" succeeded "$(nightly_job)"

# Another one, by hand.
as_written 2 backup-by-hand
said "saved 1 database (5000 rows"

# Disaster, and what comes back.
quietly sql -d shop -c "DROP TABLE orders"
inside rm -rf $media/photos
as_pod sh -c "echo damaged >$media/.hidden"
as_written 3 "bkp restore"
[ "$(grep -cE "Z-[0-9a-f]{6}  sealed" "$work/said")" = 2 ] || die "not two backups: $(cat "$work/said")"
after=$(content)
[ "$before" = "$after" ] || die "not what was saved: $before / $after"

# What was saved is proven beside what is live.
as_written 5 backup-drill
grep -qF '"rows":5000' <(tr -d ' ' <"$work/said") || die "no evidence of 5000 rows: $(cat "$work/said")"
[ "$before" = "$(content)" ] || die "the drill touched what is live"
close_shop
