# Secrets that change under running manifests: a wrong password is told where an operator looks, and put right without anything being
# rolled out; the run book's way to a new one. Sourced by `run`.

open_shop
as_written 1 backup-init

quietly shop patch secret backup-secret --patch '{"stringData": {"restic-password": "a canary that is wrong"}}'
begin backup wrong-password
until_so "exit code 12" ended_with wrong-password 12
[[ $(ended wrong-password) == *hint:* ]] || die "no hint in the pod's status: $(ended wrong-password)"
quietly shop delete job wrong-password --timeout=120s

quietly shop patch secret backup-secret --patch '{"stringData": {"restic-password": "canary of restic"}}'
job backup right-password

as_written 4 change-password
job backup new-password

# The database's password is another one, and the pod that an operator works in finds it where it was.
open_operator
quietly sql -c "ALTER ROLE postgres PASSWORD 'another canary'"
exits 1 operator bkp backup
said "password authentication failed"
said "hint:"
quietly shop patch secret postgres-secret --patch '{"stringData": {"postgres-password": "another canary"}}'
in_place() { operator grep -qx "another canary" /var/run/secrets/postgres/postgres-password; }
until_so "the kubelet puts it in place" in_place
exits 0 operator bkp backup
close_operator
close_shop
