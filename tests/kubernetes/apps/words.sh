# What the scenarios of the applications say: stores on the node, and a namespace as it is before anybody saves anything. Sourced by them.

# shellcheck source=tests/kubernetes/apps/page.sh
. "$here/apps/page.sh"
node_address=10.99.0.1 # where pods find what runs on the node

in_app() { kubectl --namespace "$app" "$@"; }
quietly() { "$@" >"$work/said" 2>&1 || die "$*: $(cat "$work/said")"; }
said() { grep -qF -e "$1" "$work/said" || die "not said: $1: $(cat "$work/said")"; }
sql() { in_app exec postgresql-0 -- psql -h /tmp -U postgres -AtX -v ON_ERROR_STOP=1 "$@"; }
same() { [ "$2" = "$3" ] || die "$1: $(diff <(echo "$2") <(echo "$3"))"; } # what, before, after

# --- Stores -------------------------------------------------------------------------------------------------------------------

store_program() { "$project/tests/support/install-stores" | sed -n "s/^$1=//p"; }
answers() { inside bash -c "exec 3<>/dev/tcp/$node_address/$1" 2>/dev/null; }
# One that speaks Amazon's protocol: SeaweedFS.
start_s3() {
    mkdir -p "$work/s3"
    echo '{"identities": [{"name": "bkp", "credentials": [{"accessKey": "KEY", "secretKey": "canary of the store"}],
        "actions": ["Admin", "Read", "Write", "List"]}]}' >"$work/s3.json"
    ! answers 8333 || return 0
    inside "$(store_program weed)" server -ip=$node_address -ip.bind=$node_address -s3 -s3.config="$work/s3.json" -filer -dir="$work/s3" \
        -volume.max=20 -master.volumeSizeLimitMB=64 >"$work/s3.log" 2>&1 &
    until_so "the store" answers 8333
}
# One that speaks Google's, with a bucket.
start_gcs() {
    mkdir -p "$work/gcs/backups"
    inside "$(store_program fake-gcs-server)" -scheme http -backend filesystem -filesystem-root "$work/gcs" -host $node_address -port 4443 \
        -external-url http://$node_address:4443 -public-host $node_address:4443 >"$work/gcs.log" 2>&1 &
    until_so "the store" answers 4443
}

# --- An application -----------------------------------------------------------------------------------------------------------

# Its image, under the name that its manifests have.
import_image() {
    local archive=$work/images/$app.tar ctr=(inside ctr --address /run/bkp-test/containerd.sock --namespace k8s.io)
    podman save --quiet --format oci-archive --uncompressed --output "$archive" "localhost/backup-restore-$app"
    quietly "${ctr[@]}" images import --all-platforms "$archive"
    quietly "${ctr[@]}" images tag --force "localhost/backup-restore-$app:latest" "docker.io/library/backup-restore-$app:latest"
    rm -f "$archive"
}
# Its namespace, with the objects that the manifests read, and its volume.
open_app() { # name, its volume's claim and account, where it has one
    app=$1 page=$1 played=() files=/run/bkp-test/volumes/$1
    make_kubectl
    import_image
    quietly kubectl create namespace "$app"
    quietly in_app create configmap backup-config --from-literal=restic-repository=s3:http://$node_address:8333/backups/"$app" \
        --from-literal=gcp-backup-bucket=gs://backups
    quietly in_app create secret generic backup-secret --from-literal=aws-access-key-id=KEY --from-literal=credentials.json='{}' \
        --from-literal=aws-secret-access-key="canary of the store" --from-literal=restic-password="canary); of \$restic"
    [ -z "${2:-}" ] || volume "$2" "$3"
}
volume() { # claim, account
    claim=$1
    inside rm -rf "$files"
    inside install -d -o "$2" -g "$2" "$files"
    quietly kubectl apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $app}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: $app, name: $claim}
  hostPath: {path: $files, type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $claim, namespace: $app}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: $app, resources: {requests: {storage: 1Gi}}}
YAML
    until_so "the volume" has_volume
}
has_volume() { [ "$(in_app get persistentvolumeclaim "$claim" --output=jsonpath='{.status.phase}')" = Bound ]; }
database() { # its name
    local password="canary); of \$the server"
    quietly in_app create configmap postgres-config --from-literal=postgres-db="$1"
    quietly in_app create secret generic postgres-secret --from-literal=postgres-user=postgres \
        --from-literal=postgres-password="$password" --from-literal=superuser-password="$password"
    quietly in_app apply -f - <"$here/apps/postgres.yaml"
    until_so "PostgreSQL" sql -c "SELECT 1"
}
# Deployments of the application's, which do nothing.
stand_ins() { # names
    local name
    for name in "$@"; do
        quietly in_app apply -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: $name}
spec:
  replicas: 1
  selector: {matchLabels: {app: $name}}
  template:
    metadata: {labels: {app: $name}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: $name, image: localhost/bkp-test-postgres, imagePullPolicy: Never, command: [sleep, infinity]}]
YAML
    done
}
# As the application's account, on the node.
as_owner() { inside setpriv --reuid="$(inside stat -c %u "$files")" --regid="$(inside stat -c %g "$files")" --clear-groups sh -c "cd $files && $1"; }
# What is on the volume, without what a restore put aside: names, owners, modes and content.
tree() { inside sh -c "cd $files && find . -mindepth 1 -name '.bkp-*' -prune -o -printf '%p %u:%g %m\n' -type f -exec sha256sum {} + | sort"; }

# The CronJob fires, as it does at night; then its schedule is as it was.
night() { # CronJob
    local schedule
    schedule=$(in_app get cronjob "$1" --output=jsonpath='{.spec.schedule}')
    quietly in_app patch cronjob "$1" --patch '{"spec": {"schedule": "* * * * *"}}'
    until_so "$1 fires" nightly_job "$1"
    quietly in_app patch cronjob "$1" --patch "{\"spec\": {\"schedule\": \"$schedule\"}}"
    until_so "the nightly backup" succeeded "$(nightly_job "$1")"
    quietly in_app logs "$(nightly_job "$1")"
}
# The newest that the CronJob made.
nightly_job() { in_app get jobs --sort-by=.metadata.creationTimestamp --output=name | grep "^job.batch/$1-[0-9]*$" | tail -n 1 | grep .; }
succeeded() { [ "$(in_app get "$1" --output=jsonpath='{.status.succeeded}')" = 1 ]; }
job_of() { # CronJob, name
    quietly in_app create job --from="cronjob/$1" "$2"
    until_so "$2 ends well" succeeded "job/$2"
    quietly in_app logs "job/$2"
}

# All that the page says was played, and no log holds a secret.
close_app() {
    local pod
    all_played
    for pod in $(in_app get pods --output=name); do
        if in_app logs "$pod" --all-containers | grep -F canary >"$work/said"; then die "$pod: $(cat "$work/said")"; fi
    done
    quietly kubectl delete namespace "$app" --timeout=120s
    quietly kubectl delete persistentvolume "$app" --ignore-not-found --timeout=60s
}
