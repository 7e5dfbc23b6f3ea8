# bkp-db@ as postgres with restic, in the repository and under the name that bkp@ uses too. Sourced by `run`.

name=both
conf=etc/bkp/$name.conf
on_repository() { inside env RESTIC_REPOSITORY=/srv/both RESTIC_PASSWORD=both RESTIC_CACHE_DIR=/var/cache/by-hand "$@"; }
of() { on_repository restic snapshots --json --tag "item=$1" | grep -o '"short_id"' | wc -l; }

inside sh -c 'mkdir -p /media/both; echo data >/media/both/file; install -d -m 2770 -g postgres /srv/both'
put $conf 600 <<<$'RESTIC_REPOSITORY=/srv/both\nRESTIC_PASSWORD=both'
for unit in bkp@$name bkp-db@$name; do
    put etc/systemd/system/$unit.service.d/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/both\nEnvironment=BKP_LOCK_WAIT=0'
done
reload
as_postgres psql -qc "CREATE DATABASE both_shop" -c "\c both_shop" -c "CREATE TABLE orders AS SELECT generate_series(1, 500) AS i"
inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/$conf -E BKP_APP=$name -E BKP_FILES=/media/both bkp init >"$work/said" 2>&1 ||
    die "bkp init: $(cat "$work/said")"
# What root made is the group's too; restic goes by that.
inside sh -c 'chgrp -R postgres /srv/both && chmod -R g+rwX /srv/both && find /srv/both -type d -exec chmod g+s {} +'

succeeds bkp-db@$name
says bkp-db@$name "database both_shop"
[ "$(of database:both_shop)" = 1 ] || die "no snapshot of the database"
succeeds bkp@$name
[ "$(of files:/media/both)" = 1 ] || die "no snapshot of the files"

# A restic of root's that works there alone is no dead one, although postgres sees no process of root's.
inside systemd-run --quiet --unit=holder -p EnvironmentFile=/$conf restic --no-cache check --read-data --limit-download 1
locked() { inside sh -c '[ -n "$(ls /srv/both/locks)" ]'; }
until_so "a lock" locked
inside systemctl kill --signal=STOP holder
inside systemctl start bkp-db@$name 2>/dev/null && die "a backup while somebody works alone in the repository"
[ "$(property bkp-db@$name ExecMainStatus)" = 11 ] || die "ended with $(property bkp-db@$name ExecMainStatus), not 11"
locked || die "a living one's lock was removed"

# Killed, it is dead, and its lock no longer keeps anybody.
inside systemctl kill --signal=KILL holder
gone() { [ "$(property holder ActiveState)" != active ]; }
until_so "the holder's end" gone
locked || die "a killed one gave its lock back"
succeeds bkp-db@$name
says bkp-db@$name "removed the lock of one who is dead"

# Databases come back although the newest run is one of files.
as_postgres psql -qd both_shop -c "DROP TABLE orders"
on_terminal "$(block 6 | sed "s/demo/$name/g")"
said 'Go ahead?'
[ "$(as_postgres psql -Atd both_shop -c 'SELECT count(*) FROM orders')" = 500 ] || die "the table is not back"
