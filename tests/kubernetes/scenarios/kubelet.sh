# The node's kubelet, then its API server, is restarted while a backup is under way, as an upgrade does: the backup goes on, and the
# application comes back. Sourced by `run`.

open_live
begin_held undisturbed
pod=$(shop get pods --selector=job-name=undisturbed --output=name)
stop kubelet
start kubelet
# What `exec` asks is the kubelet.
until_so "the kubelet answers" sql -c "SELECT 1"
rests || die "it does not rest any more: $(replicas)"

# Without an API server nothing can be given back, and kubectl leads nowhere: what holds the backup is ended on the node.
container=$(shop get pod postgresql-0 --output=jsonpath='{.status.containerStatuses[0].containerID}')
# Asked to end, it waits a minute for whoever watches.
stop apiserver KILL
quietly inside ctr -a /run/bkp-test/containerd.sock -n k8s.io tasks exec --exec-id let-go "${container#containerd://}" \
    psql -h /tmp -U postgres -c "SELECT pg_terminate_backend(pid) $holders"
wait "$holder" || true
asks_again() { inside grep -rqF "does not succeed yet, trying again" /var/log/pods --include=*.log; }
until_so "the backup finds no API server" asks_again
start apiserver
until_so "the backup ends well" succeeded undisturbed
[ "$(shop get pods --selector=job-name=undisturbed --output=name)" = "$pod" ] || die "it was begun again"
is_as_before
close_live
