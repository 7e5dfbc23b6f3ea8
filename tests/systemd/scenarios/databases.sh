# bkp-db@: a timer saves the databases by the socket; then what goes wrong, and is told. Sourced by `run`.

conf=etc/bkp/demo.conf
dropin=etc/systemd/system/bkp-db@demo.service.d
dumps() { inside find /srv/dumps/db -name '*.gz' 2>/dev/null | wc -l; }
more_than() { [ "$(dumps)" -gt "$1" ]; }

as_postgres psql -qc "CREATE TABLE shop AS SELECT generate_series(1, 1000) AS i"
inside install -d -o postgres /srv/dumps
put $dropin/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/dumps'
put etc/systemd/system/bkp-db@demo.timer.d/often.conf 644 <<<$'[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms'
reload

# Without a configuration nothing is saved anywhere.
fails bkp-db@demo 0
says bkp-db@demo "no repository is set"
[ "$(property bkp-db@demo Result)" = exit-code ] || die "no configuration is no failure"

# No repository, made by nobody: exit 10, and the notice.
put $conf 600 <<<'BKP_BUCKET=file:///srv/dumps/not-there'
fails bkp-db@demo 10
says bkp-db@demo "bkp init"

# As the README says it is made.
put $conf 600 <<<'BKP_BUCKET=file:///srv/dumps'
inside systemd-run --quiet --pipe --wait --uid=postgres -p EnvironmentFile=/etc/bkp/demo.conf -E BKP_APP=demo bkp init >/dev/null 2>&1 ||
    die "bkp init"

# The timer does it, more than once.
inside systemctl enable --quiet --now bkp-db@demo.timer
until_so "a backup by the timer" more_than 0
until_so "another one" more_than 1
inside systemctl disable --quiet --now bkp-db@demo.timer
ended() { [ "$(property bkp-db@demo ActiveState)" = inactive ]; }
until_so "the end of the last one" ended
[ "$(property bkp-db@demo Result)" = success ] || die "bkp-db@demo: $(property bkp-db@demo Result)"
says bkp-db@demo "application demo"
says bkp-db@demo "1000 rows"
journal --unit=bkp-db@demo --priority=err | grep Deactivated >/dev/null && die "an error of a good run"

# The older hosts' configuration alone.
inside mv /etc/bkp/demo.conf /etc/restic/demo.conf
before=$(dumps)
succeeds bkp-db@demo
more_than "$before" || die "nothing was saved with /etc/restic/demo.conf"

# A password that only root can read reaches it as a credential, and the journal not at all.
as_postgres psql -qc "ALTER ROLE postgres PASSWORD 'as secret as can be'"
put etc/bkp/demo.password 600 <<<'as secret as can be'
put etc/bkp/demo.conf 600 <<<'POSTGRES_HOST=127.0.0.1'
fails bkp-db@demo 12
put $dropin/password.conf 644 <<<$'[Service]\nLoadCredential=postgres:/etc/bkp/demo.password\nEnvironment=POSTGRES_PASSWORD_FILE=%d/postgres'
reload
succeeds bkp-db@demo
! journal | grep -F 'as secret' >/dev/null || die "the password is in the journal"

# Stopped in the middle: cleaned up, and no failure.
notices=$(notices bkp-db@demo) before=$(dumps)
coproc holder { as_postgres psql -qAt; }
echo "BEGIN; LOCK TABLE shop IN ACCESS EXCLUSIVE MODE; SELECT 'held';" >&"${holder[1]}"
read -r -t 10 held <&"${holder[0]}" && [ "$held" = held ] || die "no lock"
inside systemctl start --no-block bkp-db@demo
waits() { [ "$(as_postgres psql -Atc "SELECT count(*) FROM pg_locks WHERE NOT granted")" != 0 ]; }
until_so "pg_dump waits" waits
inside systemctl stop bkp-db@demo
says bkp-db@demo "stopped before the end"
[ "$(property bkp-db@demo ActiveState)" = inactive ] || die "a stop is a failure: $(property bkp-db@demo Result)"
echo "COMMIT;" >&"${holder[1]}"
eval "exec ${holder[1]}>&-"
wait "$holder_PID" || true
[ "$(dumps)" = "$before" ] || die "half a dump is listed"
[ "$(notices bkp-db@demo)" = "$notices" ] || die "a stop was told as a failure"
