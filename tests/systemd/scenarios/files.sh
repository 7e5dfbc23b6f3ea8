# bkp@ as its README says it: installed, configured, saved by the timer, told of, lost, restored. Sourced by `run`.

dropin=etc/systemd/system/bkp@demo.service.d
tree() { inside sh -c 'cd /media/demo && find . -path "./.bkp-*" -prune -o -printf "%P %y %m %U:%G %T@ %l\n" -type f -exec sha256sum {} + | grep -v "^ d" | sort'; }
runs() { inside sh -c 'RESTIC_PASSWORD=demo restic -r /srv/files --no-cache snapshots --json | grep -o "\"item=[^\"]*" | wc -l'; }
more_runs() { [ "$(runs)" -gt "$1" ]; }

inside sh -c 'umask 077; mkdir -p /media/demo/private/deep; cd /media/demo; echo hidden >private/file; ln -s file private/link
    echo dot >.dot; head -c 3000000 /dev/urandom >private/deep/large; printf x >"odd name, with
line"; chown -R 1234:1235 .; chmod 2751 private; ln private/file hard; install -d /srv/files'
inside rm -rf /usr/local/bin/bkp /etc/systemd/system/bkp@.service /etc/bkp/demo.conf /etc/restic/demo.conf
as_written 1 systemctl
inside test -x /usr/local/bin/bkp || die "not installed"
put etc/bkp/demo.conf 600 <<<$'RESTIC_REPOSITORY=/srv/files\nRESTIC_PASSWORD=demo'
put $dropin/repository.conf 644 <<<$'[Service]\nReadWritePaths=/srv/files'
reload

# No repository, made by nobody.
fails bkp@demo 10
as_written 3 'bkp init'
says bkp@demo "saved files /media/demo"
inside systemctl is-active --quiet bkp@demo.timer || die "the timer is off"
inside systemctl list-timers bkp@demo.timer --no-legend | grep -q 'bkp@demo.service' || die "the timer has no next time"
before=$(runs)
put etc/systemd/system/bkp@demo.timer.d/often.conf 644 <<<$'[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms'
reload
until_so "a backup by the timer" more_runs "$before"
inside systemctl disable --quiet --now bkp@demo.timer
ended() { [ "$(property bkp@demo ActiveState)" = inactive ]; }
until_so "the end of the last one" ended
inside test -d /var/cache/bkp/demo || die "restic has no cache of its own"
journal | grep -E 'unable to (open|locate) cache' >/dev/null && die "restic misses its cache"

# A disaster; the dry run changes nothing, the restore brings back all of it.
tree >"$work/whole"
inside sh -c 'cd /media/demo && rm -rf private .dot && echo worse >hard && echo new >new'
tree >"$work/broken"
as_written 4 'bkp list' 'bkp list'
said 'files /media/demo'
as_written 4 'bkp restore' 'dry-run'
tree | cmp -s "$work/broken" - || die "a dry run changes something"
as_written 4 'bkp restore' 'restore$'
said 'Go ahead?'
tree | diff "$work/whole" - >&2 || die "what was restored is not what was saved"
replaced() { inside sh -c 'ls -d /media/demo/.bkp-*' >/dev/null 2>&1; }
replaced || die "what was replaced is not kept"

# The unit cannot remove what was replaced, and is no failure for it; a backup by hand does.
succeeds bkp@demo
replaced || die "a unit that may only read has written"
says bkp@demo "could not be dropped"
as_written 5 'bkp backup'
! replaced || die "what was replaced is still there"

# What cannot be read is told, the rest is saved: without its one right root is nobody special.
before=$(runs)
# What is left is much less than the night before had, and is meant to be.
put $dropin/powerless.conf 644 <<<$'[Service]\nCapabilityBoundingSet=\nEnvironment=BKP_SHRINK_LIMIT=off'
inside sh -c 'chmod 755 /media/demo && echo open >/media/demo/open && chmod 644 /media/demo/open'
reload
fails bkp@demo 3
says bkp@demo "not saved: private"
more_runs "$before" || die "exit 3 without a snapshot"
inside rm /$dropin/powerless.conf

# A password outside the environment, as a credential; the journal has none.
inside sed -i '/^RESTIC_PASSWORD=/d' /etc/bkp/demo.conf
put etc/bkp/demo.password 600 <<<demo
put $dropin/password.conf 644 <<<"$(awk '/^LoadCredential=/ { print "[Service]" } /^LoadCredential=|^Environment=RESTIC/' "$root/root/bkp/systemd/README.md")"
reload
succeeds bkp@demo
! journal --unit=bkp@demo | grep -F 'RESTIC_PASSWORD=' >/dev/null || die "the password is in the journal"
inside rm /$dropin/password.conf /etc/bkp/demo.conf

# The times of the timers are what their comments say.
next() { inside systemd-analyze calendar --iterations="$2" --base-time='2026-11-21 10:20:00 UTC' "$1" | grep -oE '[0-9]{4}-[0-9-]+ [0-9:]+ UTC' | sort -u | paste -sd,; }
when() { inside systemctl cat "$1" | sed -n 's/^OnCalendar=//p' | head -n 1; }
[ "$(next "$(when bkp@other.timer)" 2)" = "2026-11-21 11:00:00 UTC,2026-11-21 12:00:00 UTC" ] || die "bkp@.timer is not hourly"
[ "$(next "$(when bkp-db@other.timer)" 2)" = "2026-11-22 01:00:00 UTC,2026-11-23 01:00:00 UTC" ] || die "bkp-db@.timer is not nightly"
