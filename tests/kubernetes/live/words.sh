# What the scenarios say of a shop that lives: who writes, and how it rests. Sourced by `run`, after those of the shop.

acknowledged=/run/bkp-test/volumes/acknowledged

# A shop in which five pods write.
open_live() {
    inside rm -rf $acknowledged
    inside install -d -o 65532 -g 65532 $acknowledged
    open_shop "$here/live"
    as_pod mkdir $media/entries
    quietly sql -d shop -c "SET ROLE seller" -c "CREATE TABLE entries (what text PRIMARY KEY)"
    until_so "everybody writes" wrote 5
    job backup-init init
}
close_live() { close_shop; }

# So many pods have written since the shop was opened.
wrote() { [ "$(inside ls $acknowledged | wc -l)" -ge "$1" ]; }

# What was written, sorted: rows of a database, lines in the volume, lines of what was acknowledged.
rows() { sql -d "$1" -c "SELECT what FROM entries" | LC_ALL=C sort; }
lines() { inside sh -c "cat $1/*" | LC_ALL=C sort; }
same() { # what, one, another
    [ "$2" = "$3" ] || die "$1: $(diff <(echo "$2") <(echo "$3") | head -n 20)"
    [ "$(wc -l <<<"$2")" -ge 5 ] || die "$1: next to nothing was written: $2"
}

replicas() { shop get deployment/web statefulset/queue --output=jsonpath='{.items[*].spec.replicas}'; }
notes() { shop get deployment/web statefulset/queue --output=json | grep -o '"bkp/paused": .*' || true; }
as_before() { [ "$(replicas)" = "${1:-3 2}" ] && [ -z "$(notes)" ]; }
rests() { [ "$(replicas)" = "0 0" ] && no_pod app=live; }
who_is_there() { replicas && shop get pods --selector=app=live --output=wide; }
# At rest, by a run that says what there was.
noted() {
    local notes
    notes=$(notes)
    [ "$(wc -l <<<"$notes")" = 2 ] && [[ $notes == *'replicas\":3}'*'replicas\":2}'* ]]
}
is_noted() { noted || die "not noted: $(replicas): $(notes)"; }
is_as_before() { as_before "$@" || die "not as it was: $(replicas): $(notes)"; }

# A backup that stands still in its dump, at rest.
begin_held() { # name
    hold_dump
    begin backup "$1"
    until_so "the dump of $1 waits" waits
    rests || die "it saves what does not rest: $(who_is_there)"
    is_noted
}
