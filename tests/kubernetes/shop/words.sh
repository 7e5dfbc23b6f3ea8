# What the scenarios say of the shop. Sourced by `run`.

media=/run/bkp-test/volumes/media
repository=/run/bkp-test/volumes/repository
# As the pods are, on the node.
as_pod() { inside setpriv --reuid=65532 --regid=65532 --clear-groups "$@"; }

shop() { kubectl --namespace shop "$@"; }
quietly() { "$@" >"$work/said" 2>&1 || die "$*: $(cat "$work/said")"; }
sql() { shop exec postgresql-0 -- psql -h /tmp -U postgres -AtX -v ON_ERROR_STOP=1 "$@"; }

# The run book's commands, block by block, as they are written in k8s/README.md; after what makes images and applies manifests.
as_written() { # number of the block, what it must hold
    local commands
    commands=$(awk -v wanted="$(($1 + 1))" '/^```sh$/ { n++; inside = n == wanted; next } /^```$/ { inside = 0 } inside' "$project/k8s/README.md")
    [[ $commands == *"$2"* ]] || die "block $1 of the run book has no $2"
    typed "$commands"
}
# Commands, as somebody types them who works in the shop's namespace.
typed() {
    sed "s/{cluster: test, user: admin}/{cluster: test, user: admin, namespace: shop}/" \
        "$work/admin.kubeconfig" >"$work/shop.kubeconfig"
    inside env KUBECONFIG="$work/shop.kubeconfig" PATH="$programs:$PATH" bash -exc "$1" >"$work/said" 2>&1 </dev/null ||
        die "as the run book says it: $(cat "$work/said")"
}
said() { grep -qF "$1" "$work/said" || die "not said: $1: $(cat "$work/said")"; }

# What an operator does not want to lose, without what a restore put aside.
content() {
    sql -d shop -c "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
    inside sh -c "cd $media && find . -name '.bkp-*' -prune -o -type f -exec sha256sum {} + | sort"
}

succeeded() { [ "$(shop get "job/$1" --output=jsonpath='{.status.succeeded}')" = 1 ]; }
begin() { quietly shop create job --from="cronjob/$1" "$2"; } # CronJob, name
job() { # CronJob, name
    begin "$1" "$2"
    until_so "$2 ends well" succeeded "$2"
}
# Exit code and last words of a job's first pod that ended.
ended() {
    shop get pods --selector=job-name="$1" --sort-by=.metadata.creationTimestamp \
        --output=jsonpath='{.items[0].status.containerStatuses[0].state.terminated.exitCode} {.items[0].status.containerStatuses[0].state.terminated.message}'
}
ended_with() { [[ $(ended "$1") == "$2 "* ]]; } # job, exit code

# Ends a job's process as the kernel does, with nothing said before.
kill_hard() { # job
    local id
    id=$(shop get pods --selector=job-name="$1" --output=jsonpath='{.items[0].status.containerStatuses[0].containerID}')
    quietly inside ctr -a /run/bkp-test/containerd.sock -n k8s.io tasks kill --signal SIGKILL "${id#containerd://}"
}

# A lock that somebody holds, which keeps a run where it asks for it.
hold() { # database, the statement
    shop exec postgresql-0 -- psql -h /tmp -U postgres -d "$1" -c BEGIN -c "$2" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 &
    holder=$!
    until_so "the lock of $1" held
}
holders="FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
held() { [ "$(sql -c "SELECT count(*) $holders")" = 1 ]; }
# A client whom that lock keeps, and not one that waits a moment for another writer.
waits() {
    [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
        AND pg_blocking_pids(pid) && ARRAY(SELECT pid $holders)")" -gt 0 ]
}
let_go() {
    quietly sql -c "SELECT pg_terminate_backend(pid) $holders"
    wait "$holder" || true
}
# What stops a dump in its middle.
hold_dump() { hold shop "LOCK TABLE orders"; }

# The idle pod, and what is typed there.
open_operator() {
    quietly shop scale deployment backup-restore --replicas=1
    quietly shop rollout status deployment backup-restore --timeout=120s
}
close_operator() {
    quietly shop scale deployment backup-restore --replicas=0
    until_so "no operator's pod" no_pod app=backup-restore
}
operator() { shop exec deployment/backup-restore --container backup-app -- "$@"; }
no_pod() { [ -z "$(shop get pods --selector="$1" --output=name)" ]; }
exits() { # exit code, command; what it says is in `said`
    local code=0
    "${@:2}" >"$work/said" 2>&1 || code=$?
    [ $code = "$1" ] || die "exit code $code instead of $1: ${*:2}: $(cat "$work/said")"
}
log_of() { shop logs --selector=job-name="$1" --tail=-1 >"$work/said" 2>&1 || true; } # job, all its pods; for `said`

# A shop with a server, rows, files and an empty repository, in which nobody works.
open_shop() { # the overlay, unless it is this one
    inside rm -rf $media $repository
    inside install -d -o 65532 -g 65532 $media $repository
    as_pod sh -c "mkdir $media/photos && echo a photo >$media/photos/1 && echo settings >$media/.hidden"
    # Before any pod, which a scheduler tries again late if its volume is not there yet.
    quietly kubectl apply --filename "$here/shop/namespace.yaml"
    quietly shop apply --filename "$here/shop/volumes.yaml"
    until_so "the volumes" bound
    apply "${1:-$here/shop}"
    # A pod of that name that is just ending would answer as well.
    until_so "PostgreSQL" serves
    quietly sql -c "CREATE ROLE seller LOGIN PASSWORD 'a canary'" -c "CREATE DATABASE shop OWNER seller"
    quietly sql -d shop -c "SET ROLE seller" \
        -c "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS what FROM generate_series(1, 5000) i"
}
serves() {
    shop get pod postgresql-0 --output=jsonpath='{.status.conditions[?(@.type=="Ready")].status}' | grep -qx True && sql -c "SELECT 1"
}
bound() { [ "$(shop get persistentvolumeclaims --output=jsonpath='{.items[*].status.phase}')" = "Bound Bound" ]; }
# No secret in any log.
close_shop() {
    local pod
    for pod in $(shop get pods --output=name); do
        if shop logs "$pod" --all-containers | grep -F canary >"$work/said"; then die "$pod: $(cat "$work/said")"; fi
    done
    quietly kubectl delete namespace shop --timeout=120s
    quietly kubectl delete persistentvolume repository media --timeout=60s
}
