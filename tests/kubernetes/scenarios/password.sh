# The database's password changes under a pod that an operator works in. Sourced by `run`.

open_shop
job backup-init init

# The database's password is another one, and the pod that an operator works in finds it where it was.
open_operator
quietly sql -c "ALTER ROLE postgres PASSWORD 'another canary'"
exits 12 operator bkp backup
said 'the password of the account "postgres" was not accepted'
said "hint:"
quietly shop patch secret postgres-secret --patch '{"stringData": {"postgres-password": "another canary"}}'
in_place() { operator grep -qx "another canary" /var/run/secrets/postgres/postgres-password; }
until_so "the kubelet puts it in place" in_place
exits 0 operator bkp backup
close_operator
close_shop
