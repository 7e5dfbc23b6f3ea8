# A host as docs/opsocket.md has it, every block as it is written: an older host's configuration, timer and snapshots; the worst day; another
# password. Sourced by `run`.

page=docs/opsocket.md
conf=etc/restic/myconf.conf
on_repository() { inside env RESTIC_REPOSITORY=/srv/myconf "RESTIC_PASSWORD=$(sed -n 's/^RESTIC_PASSWORD=//p' "$root/$conf")" RESTIC_CACHE_DIR=/var/cache/by-hand restic "$@"; }
content() {
    inside sh -c "cd /media/myconf && find . -name '.bkp-*' -prune -o -type f -exec sha256sum {} + | sort"
    as_postgres psql -Atd myconf -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY i)) FROM orders o"
}

inside sh -c 'mkdir -p /media/myconf/deep && echo data >/media/myconf/deep/file && echo dot >/media/myconf/.dot && install -d -m 2770 -g postgres /srv/myconf'
as_postgres psql -qc "CREATE DATABASE myconf" -c "\c myconf" -c "CREATE TABLE orders AS SELECT i, md5(i::text) FROM generate_series(1, 500) i"
put $conf 600 <<<$'RESTIC_REPOSITORY=/srv/myconf\nRESTIC_PASSWORD=before'
put etc/systemd/system/restic@.service 644 <<<$'[Service]\nExecStart=/bin/true'
put etc/systemd/system/restic@.timer 644 <<<$'[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target'
for unit in bkp@myconf bkp-db@myconf; do
    put etc/systemd/system/$unit.service.d/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/myconf'
done
reload
inside systemctl enable --quiet --now restic@myconf.timer

as_written 1 restic@myconf.timer
[ "$(inside systemctl is-active restic@myconf.timer bkp@myconf.timer bkp-db@myconf.timer | paste -sd ' ')" = "inactive active active" ] ||
    die "not the new timers alone"
as_written 2 'bkp init'
# A repository in a directory of this host is postgres's too; restic goes by the modes of what is there.
inside sh -c 'chgrp -R postgres /srv/myconf && chmod -R g+rwX /srv/myconf && find /srv/myconf -type d -exec chmod g+s {} +'
as_written 3 'bkp-db@myconf'
said "saved files /media/myconf"
said "500 rows"

before=$(content)
inside sh -c 'rm -rf /media/myconf/deep && echo worse >/media/myconf/.dot'
as_postgres psql -qd myconf -c "DROP TABLE orders"
as_written 4 'bkp restore'
as_written 5 'bkp restore'
said 'Go ahead?'
[ "$(content)" = "$before" ] || die "what was restored is not what was saved"

as_written 6 'change-password'
! RESTIC_PASSWORD=before inside env RESTIC_REPOSITORY=/srv/myconf restic --no-cache cat config >/dev/null 2>&1 || die "the old password still opens it"
on_repository cat config >/dev/null || die "the new password does not"
succeeds bkp@myconf
succeeds bkp-db@myconf

# An older script's snapshot is there to restore, too.
as_postgres pg_dumpall --clean | gzip --rsyncable | on_repository backup --quiet --host myconf --stdin --stdin-filename postgres-myconf.sql.gz
on_terminal "$(block 5 | sed 's/bkp restore/bkp list/')"
said '  dump '
on_terminal "$(grep -o '`journalctl [^`]*`' "$project/$page" | tr -d '`')"
[ "$(grep -c '^```sh$' "$project/$page")" = 6 ] || die "$page has blocks that are not played"
inside systemctl disable --quiet --now bkp@myconf.timer bkp-db@myconf.timer
as_postgres psql -qc "DROP DATABASE myconf"
page=systemd/README.md
