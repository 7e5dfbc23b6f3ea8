# What docs/runbook.md has operators type at kubectl: the pod that idles, and an application that stays down by hand. Sourced by `run`.

elsewhere() { # number among the page's blocks of this kind, what it must hold
    local commands
    commands=$(awk -v wanted="$1" '/^```sh elsewhere$/ { n++; inside = n == wanted; next } /^```$/ { inside = 0 } inside' "$project/docs/runbook.md")
    [[ $commands == *"$2"* ]] || die "block $1 of the run book has no $2"
    typed "$commands"
}

open_live

# The shell that opens there ends at once, because nobody types; what is typed there otherwise is run by `make test`.
elsewhere 1 "exec -it deployment/backup-restore"
exits 0 operator bkp list
close_operator

# A run dies while the application rests for it: nothing of it can give back, and somebody does it by hand.
begin_held dead
quietly shop patch job dead --patch '{"spec": {"backoffLimit": 0}}'
kill_hard dead
let_go
until_so "exit code 137" ended_with dead 137
is_noted
elsewhere 2 "deployment web"
said '"replicas":3'
[ "$(replicas)" = "2 0" ] || die "not what was typed: $(replicas)"
[ "$(notes | wc -l)" = 1 ] || die "not one note is left: $(notes)"

# The rest is given back by bkp, which leaves alone what has no note any more.
open_operator
exits 0 operator bkp resume
is_as_before "2 2"
close_operator
close_live
