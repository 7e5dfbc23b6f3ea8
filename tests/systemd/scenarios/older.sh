# A host that restic's own unit saved until now: its configuration alone is enough, its repository goes on, its seven days hold.
# Sourced by `run`.

on_host() { inside env RESTIC_REPOSITORY=/srv/old RESTIC_PASSWORD=old RESTIC_CACHE_DIR=/var/cache/by-hand TZ=UTC "$@"; }
snapshots() { on_host restic snapshots --json "$@" | grep -o '"short_id"' | wc -l; }
ago() { date -u -d "$1 ago" '+%F %T'; }
# The distribution's restic is what such a host has.
before_us() { on_host /usr/bin/restic backup --quiet --host shop --time "$(ago "$1")" "${@:2}"; }

inside sh -c 'mkdir -p /media/shop/img; echo first >/media/shop/img/one; chown -R 1234 /media/shop'
on_host /usr/bin/restic init --quiet
for age in '10 days' '9 days' '6 days'; do before_us "$age" /media/shop; done
as_postgres pg_dumpall --clean | gzip --rsyncable | before_us '8 days' --stdin --stdin-filename postgres-shop.sql.gz
as_postgres pg_dumpall --clean | gzip --rsyncable | before_us '5 days' --stdin --stdin-filename postgres-shop.sql.gz
put etc/restic/shop.conf 600 <<<$'# as it was\nRESTIC_REPOSITORY="/srv/old"\nRESTIC_PASSWORD=old\n'
put etc/systemd/system/bkp@shop.service.d/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/old'
reload

# The first backups go beside what is there; nothing goes before there are three.
by_hand() { inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/etc/restic/shop.conf -E BKP_APP=shop -E BKP_FILES=/media/shop "$@"; }
by_hand bkp restore --to /srv/look latest >"$work/said" 2>&1 || die "an old tree: $(cat "$work/said")"
inside diff -r /media/shop /srv/look || die "an old tree is not what it was"
succeeds bkp@shop
inside sh -c 'echo second >/media/shop/img/one'
succeeds bkp@shop
[ "$(snapshots)" = 7 ] || die "$(snapshots) snapshots, not 7"
succeeds bkp@shop
# Of five old ones two trees are too old. The dumps are older than the databases' new backups, of which there are none.
[ "$(snapshots)" = 6 ] || die "$(snapshots) snapshots, not 6"
[ "$(snapshots --path /postgres-shop.sql.gz)" = 2 ] || die "dumps are gone that nothing took the place of"

# Ours grow old as well. Two of them aged in place: one is among the last three of its kind, the other goes.
ids=$(on_host restic snapshots --json --tag bkp | grep -oE '"short_id": ?"[0-9a-f]+"' | grep -oE '[0-9a-f]{8}' | head -n 2)
# shellcheck disable=SC2086
on_host restic rewrite --quiet --forget --new-time "$(ago '8 days')" $ids >"$work/said" 2>&1 || die "aging: $(cat "$work/said")"
[ "$(snapshots --tag bkp)" = 3 ] || die "aged: $(snapshots --tag bkp)"
succeeds bkp@shop
[ "$(snapshots --tag bkp)" = 3 ] || die "7 days are not what is kept: $(snapshots --tag bkp)"

# restic's own check, and the restore of a day before the change.
on_host restic check --quiet --read-data || die "restic finds a fault"
by_hand bkp restore "6d ago" >"$work/said" 2>&1 || die "of six days ago: $(cat "$work/said")"
[ "$(inside cat /media/shop/img/one)" = first ] || die "not the state of six days ago"
