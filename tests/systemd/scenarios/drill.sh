# bkp-drill@: a run of databases and files is proven whole, beside the live server and in one of its own. Sourced by `run`.

name=mixed
conf=etc/bkp/$name.conf
evidence=/var/lib/bkp-drill/$name/evidence.json
as_root() { inside systemd-run --quiet --pipe --wait -p EnvironmentFile=/$conf -E BKP_APP=$name -E BKP_FILES=/media/$name "$@" >"$work/said" 2>&1 || die "$*: $(cat "$work/said")"; }
shows() { inside grep -qE "$1" "$evidence" || die "the evidence does not say $1: $(inside cat "$evidence")"; }
live() { as_postgres psql -Atc "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles ORDER BY 1"; inside sh -c "cd /media/$name && find . -type f -exec sha256sum {} + | sort"; }

inside sh -c 'mkdir -p /media/mixed/private; umask 077; echo hidden >/media/mixed/private/file; echo open >/media/mixed/open; chown -R 1234:1235 /media/mixed; install -d -m 2770 -g postgres /srv/mixed'
as_postgres psql -qc "ALTER ROLE postgres PASSWORD 'mixed'" -c "CREATE DATABASE mixed" -c "\c mixed" -c "CREATE TABLE orders AS SELECT generate_series(1, 700) AS i"
put $conf 600 <<<$'RESTIC_REPOSITORY=/srv/mixed\nRESTIC_PASSWORD=mixed\nPOSTGRES_HOST=127.0.0.1\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=mixed\nPOSTGRES_DB=mixed\nBKP_DRILL_SQL=SELECT count(*) = 700 FROM orders;'
for unit in bkp@$name bkp-drill@$name; do
    put etc/systemd/system/$unit.service.d/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/mixed\nEnvironment=BKP_LOCK_WAIT=0'
done
reload
as_root bkp init
inside sh -c 'chgrp -R postgres /srv/mixed && chmod -R g+rwX /srv/mixed && find /srv/mixed -type d -exec chmod g+s {} +'
succeeds bkp@$name
says bkp@$name "database mixed"
says bkp@$name "files /media/mixed"

# Beside the live server.
before=$(live)
succeeds bkp-drill@$name
shows '"result": "proven"'
shows '"where": "configured"'
shows '"not_tried": \[\]'
shows '"files /media/mixed"'
[ "$(live)" = "$before" ] || die "something live is other than before"
inside grep -q '^bkp_drill_success{app="mixed"} 1' /var/lib/bkp-drill/$name/bkp.prom || die "no metric"
left() { inside sh -c 'ls -A /var/lib/bkp-drill/mixed/scratch'; }
[ -z "$(left)" ] || die "left in the scratch directory: $(left)"

# In one of its own: in the sandbox, with no word to the live one. The newest run of files alone is not what it tries.
as_root env BKP_DATABASES=none bkp backup
inside sh -c "echo BKP_DRILL_SERVER=throwaway >>/$conf"
as_postgres psql -qc "ALTER SYSTEM SET log_connections = on" -c "SELECT pg_reload_conf()" >/dev/null
heard() { inside sh -c 'cat /var/log/postgresql/*.log' | grep -c 'database=mixed' || true; }
before_heard=$(heard)
succeeds bkp-drill@$name
shows '"result": "proven"'
shows '"where": "throwaway"'
shows '"not_tried": \[\]'
[ "$(heard)" = "$before_heard" ] || die "the live server was connected to"
[ -z "$(left)" ] || die "left in the scratch directory: $(left)"

# Stopped in the middle: no server stays.
inside sed -i '/^BKP_DRILL_SQL=/d' /$conf
inside sh -c "echo 'BKP_DRILL_SQL=SELECT pg_sleep(60) IS NOT NULL;' >>/$conf"
inside systemctl start --no-block bkp-drill@$name
# The name is written so that who looks does not find himself.
working() { inside sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n" | grep "postgres mixed__dril[l].*$1"' sh "$1" >/dev/null; }
until_so "the drill's own query" working SELECT
inside systemctl stop bkp-drill@$name
! working '' || die "its server stays"
[ -z "$(left)" ] || die "left in the scratch directory: $(left)"
[ "$(property bkp-drill@$name ActiveState)" = inactive ] || die "a stop is a failure: $(property bkp-drill@$name Result)"
as_postgres psql -qc "DROP DATABASE mixed" -c "ALTER SYSTEM RESET log_connections" -c "SELECT pg_reload_conf()" >/dev/null
inside rm -rf /$conf /media/$name
