# Runs that keep an application at zero and come to their end: killed, deleted, lost with their pod. Whoever comes next gives it back, and
# who is told to end does so itself. Sourced by `run`.

open_live

# Killed in the dump, the Job's next pod gives back, rests anew, and saves.
begin_held killed
kill_hard killed
let_go
until_so "the Job's next pod saves" succeeded killed
ended_with killed 137 || die "not killed: $(ended killed)"
[ "$(shop get pods --selector=job-name=killed --output=name | wc -l)" = 2 ] || die "not two pods"
log_of killed
said "left deployment/web scaled to zero when it died; giving it back"
[ "$(grep -c "scaled deployment/web from 3 to 0" "$work/said")" = 2 ] || die "not paused twice: $(cat "$work/said")"
is_as_before

# Killed, and nobody tries again: `bkp resume`, in a pod that knows nothing of it.
begin_held lost
quietly shop patch job lost --patch '{"spec": {"backoffLimit": 0}}'
kill_hard lost
let_go
until_so "exit code 137" ended_with lost 137
rests || die "who is killed gives nothing back: $(replicas)"
is_noted
open_operator
exits 0 operator bkp resume
said "scaled deployment/web back to 3"
said "scaled statefulset/queue back to 2"
is_as_before

# Deleted in the dump, it gives back before it is gone.
begin_held deleted
quietly shop delete job deleted --timeout=60s
until_so "the backup's end" no_pod job-name=deleted
is_as_before
let_go

close_operator
close_live
