# Pods come to their end at any moment: the idle one at once, a backup without leaving a lock or half a snapshot; and two of them never work
# at once. Sourced by `run`.

open_shop
job backup-init init
open_operator

# What a command leaves behind is process 1's child, and does not stay when it is dead.
adopted() { operator sh -c 'grep -lsE "^PPid:.1$" /proc/[0-9]*/status || true'; }
quietly operator sh -c "(until [ -e /tmp/over ]; do sleep 0.1; done) >/dev/null 2>&1 & exit 0"
[ -n "$(adopted)" ] || die "nothing is left behind"
quietly operator touch /tmp/over
reaped() { local left && left=$(adopted) && [ -z "$left" ]; }
until_so "process 1 reaps" reaped

# It ends by itself, and is not killed, which a kubelet does after the two minutes of its grace.
idle() { shop get pods --selector=app=backup-restore --output="jsonpath={.items[0].status.containerStatuses[0].$1}"; }
operator sh -c 'kill -TERM 1' >"$work/said" 2>&1 || true # and with it, whoever typed that
started_again() { [ "$(idle restartCount)" = 1 ]; }
until_so "the idle container is started again" started_again
[ "$(idle lastState.terminated.exitCode)" = 0 ] || die "idling ended badly: $(idle lastState)"
quietly shop delete pod --selector=app=backup-restore --timeout=60s
quietly shop scale deployment backup-restore --replicas=0

# While one backup waits for a table, another one says whose turn it is.
hold_dump
begin backup first
until_so "the backup waits for the table" waits
begin backup second
until_so "exit code 11" ended_with second 11
holder_of() { shop get pods --selector=job-name="$1" --output=jsonpath='{.items[0].status.podIP}'; }
[[ $(ended second) == *"application shop is locked by "*"from $(holder_of first),"*hint:* ]] || die "who holds it: $(ended second)"
quietly shop delete job second --timeout=60s
# It is tried again, and the next try must not be the one that holds the lock below.
until_so "the end of its pods" no_pod job-name=second

# The first one is deleted. The next one finds no lock of it, and is the only one.
quietly shop delete job first --timeout=60s
until_so "the backup's end" no_pod job-name=first
let_go
job backup after-that
ended_with after-that 0 || die "it was tried more than once: $(ended after-that)"
open_operator
exits 0 operator bkp list
[ "$(grep -cE "Z-[0-9a-f]{6}  sealed" "$work/said")" = 1 ] || die "not one backup: $(cat "$work/said")"
close_operator
close_shop
