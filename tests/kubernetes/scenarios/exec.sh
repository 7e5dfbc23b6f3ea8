# An operator's pod is deleted while a restore that was typed there is under way. Sourced by `run`.

open_live
job backup once
open_operator

# The operator's pod is deleted in the middle of a restore that was typed there: that one gives back and cleans up, and can be begun again.
databases() { sql -c "SELECT datname FROM pg_database ORDER BY 1"; }
before=$(databases)
hold postgres "LOCK TABLE pg_database IN SHARE MODE"
operator bkp restore --yes >"$work/typed" 2>&1 &
typed=$!
until_so "the restore waits for a database of its own" waits
rests || die "it restores what does not rest: $(who_is_there)"
is_noted
quietly shop scale deployment backup-restore --replicas=0
code=0
wait "$typed" || code=$?
[ $code = 143 ] || die "exit code $code instead of 143: $(cat "$work/typed")"
until_so "the end of the operator's pod" no_pod app=backup-restore
is_as_before
let_go
[ "$(databases)" = "$before" ] || die "left behind: $(databases)"
open_operator
exits 0 operator bkp restore --yes
is_as_before
close_operator
close_live
