# An application that writes all the time is saved, and restored, while it rests: no write is lost between its rest and the dump, none
# lands in what is replaced. Rows, files and what writers were told are compared one by one. Sourced by `run`.

open_live

# It is saved at rest: what is in the database, in the volume and acknowledged is one, and stays so as long as the backup takes.
begin_held at-rest
resting=$(rows shop)
same "rows and files of who rests" "$resting" "$(lines $media/entries)"
same "rows and what was acknowledged" "$resting" "$(lines $acknowledged)"
# All that the database's clients do without being an application's pod goes on.
quietly sql -d shop -c "SELECT count(*) FROM entries"
let_go
until_so "the backup" succeeded at-rest
is_as_before
until_so "five others write" wrote 10

# It is restored: who wrote before is put aside with every row, who comes after finds what was saved, and nobody has both.
open_operator
exits 0 operator bkp restore --yes
said "scaled statefulset/queue back to 2"
said "scaled deployment/web back to 3"
is_as_before
until_so "five others write" wrote 15
quietly shop scale deployment/web statefulset/queue --replicas=0
until_so "the end of all writers" no_pod app=live
aside=$(sql -c "SELECT datname FROM pg_database WHERE datname LIKE 'shop%' AND datname <> 'shop'")
[ "$(wc -w <<<"$aside")" = 1 ] || die "not one database put aside: $aside"
replaced=$(rows "$aside")
restored=$(rows shop)
added=$(comm -13 <(echo "$resting") <(echo "$restored"))
same "what was saved, and what is there again" "$resting" "$(comm -12 <(echo "$resting") <(echo "$restored"))"
same "all that was acknowledged, and the two databases" "$(lines $acknowledged)" "$(printf '%s\n' "$replaced" "$added" | LC_ALL=C sort)"
same "rows and files of what is restored" "$restored" "$(lines $media/entries)"
writers() { cut -d/ -f1 <<<"$1" | LC_ALL=C sort -u; }
both=$(comm -12 <(writers "$replaced") <(writers "$added"))
[ -z "$both" ] || die "wrote into what was replaced, and after: $both"
quietly shop scale statefulset/queue --replicas=2
quietly shop scale deployment/web --replicas=3
close_operator
close_live
