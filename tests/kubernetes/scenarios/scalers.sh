# Others who scale while bkp keeps something at zero: a HorizontalPodAutoscaler, an operator, a tool that sets it back again and again.
# Sourced by `run`.

open_live

# An autoscaler has looked, and leaves alone what is at zero.
quietly shop autoscale deployment web --min=2 --max=4
scaling_is() { # the reason that the autoscaler gives
    shop get horizontalpodautoscalers.v2beta2.autoscaling web --output=jsonpath='{.status.conditions[?(@.type=="ScalingActive")].reason}' | grep -qx "$1"
}
begin_held autoscaled
until_so "the autoscaler looks" scaling_is ScalingDisabled
rests || die "the autoscaler scales what rests: $(replicas)"
let_go
until_so "the backup" succeeded autoscaled
is_as_before
quietly shop delete horizontalpodautoscaler web

# An operator scales it up amid a backup: it is told, and he has his way.
begin_held disturbed
quietly shop scale deployment web --replicas=1
until_so "his pod writes" wrote 11
let_go
until_so "the backup" succeeded disturbed
log_of disturbed
said "deployment/web was scaled to 1 by "
said "it was not at rest all the time"
is_as_before "1 2"
quietly shop scale deployment web --replicas=3
until_so "three of them" wrote 13

# A tool that knows another number, for ever: a restore gives up before it exchanges anything, and says what to do.
insisting() {
    while [ -e "$work/insists" ]; do
        [ "$(replicas)" = "3 2" ] || shop scale deployment web --replicas=3
    done
}
databases() { sql -c "SELECT datname FROM pg_database ORDER BY 1"; }
before=$(databases)
open_operator
touch "$work/insists"
insisting >/dev/null 2>&1 &
tool=$!
exits 1 operator bkp restore --yes
rm "$work/insists"
wait "$tool" || true
said "deployment/web was scaled to 3 by "
said "deployment/web does not stay at zero"
said "hint: suspend what scales it"
same_databases() { [ "$before" = "$(databases)" ]; }
same_databases || die "not as before: $(databases)"
[ -n "$(lines $media/entries)" ] || die "the files are gone"
is_as_before
close_operator

close_live
