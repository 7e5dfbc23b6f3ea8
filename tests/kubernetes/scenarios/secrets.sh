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
close_shop
