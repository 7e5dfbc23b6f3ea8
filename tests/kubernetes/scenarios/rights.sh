# What the API server lets bkp do, and whom it takes it for: a right that is missing is told as the rule that gives it; one that is taken
# away, or a token that is replaced, in the middle of a pause. Sourced by `run`.

open_live
open_operator
rules() { shop patch role backup-restore --type=json --patch="[{op: add, path: /rules, value: $1}]"; } # kubectl takes YAML as well
# The API server learns of a Role a moment after it is written.
may() { shop auth can-i "$1" "$2" --quiet --as=system:serviceaccount:shop:backup-restore; }
may_not() { ! may "$@"; }
whole=$(shop get role backup-restore --output=jsonpath='{.rules}')

# Without any, each rule that is told is added as it stands there. Nothing is paused until the last of them is there.
quietly rules "[]"
until_so "no right is left" may_not get deployments.apps/web
rounds=0 given=
until operator bkp backup >"$work/told" 2>&1; do
    rounds=$((rounds + 1))
    [ $rounds -lt 9 ] || die "no end of rules: $(cat "$work/told")"
    is_as_before
    mapfile -t missing < <(grep -o 'hint: .* with the rule {.*}' "$work/told" | sed 's/.*with the rule //')
    [ ${#missing[@]} -gt 0 ] || die "no rule is told: $(cat "$work/told")"
    for rule in "${missing[@]}"; do given+=${given:+, }$rule; done
    quietly rules "[$given]"
done
[ $rounds -gt 0 ] || die "it needs no right"
is_as_before
verbs() { # of rules: what, whose, may be done; sorted
    python3 -c 'import json, sys
for rule in json.load(sys.stdin):
    for name in rule.get("resourceNames", [""]):
        for verb in rule["verbs"]: print(rule["resources"][0], name, verb)' | LC_ALL=C sort -u
}
granted=$(shop get role backup-restore --output=jsonpath='{.rules}' | verbs)
[ "$granted" = "$(verbs <<<"$whole")" ] || die "not what the component grants: $granted"

# Taken away in the middle: it is said that the application is still paused, and how it comes back.
hold_dump
operator bkp backup >"$work/typed" 2>&1 &
typed=$!
until_so "the dump waits" waits
quietly rules '[{apiGroups: [apps], resources: [deployments, statefulsets], verbs: [get]}]'
until_so "the right is taken away" may_not patch deployments.apps/web
let_go
code=0
wait "$typed" || code=$?
cp "$work/typed" "$work/said"
[ $code = 1 ] || die "exit code $code: $(cat "$work/said")"
said "is still paused"
said 'resourceNames: ["web"], verbs: ["patch"]'
said "bkp resume"
rests || die "given back without a right: $(replicas)"
is_noted
quietly rules "$whole"
until_so "the right is back" may patch deployments.apps/web
exits 0 operator bkp resume
is_as_before
close_operator

# The token is replaced while the application rests, and the old one is worth nothing any more.
token_of() { # secret
    shop get secret "$1" --output=jsonpath='{.data.token}' | base64 --decode
}
issued() { # the account's secret that is not this one
    shop get serviceaccount backup-restore --output=jsonpath='{.secrets[0].name}' | grep -vx "${1:-}"
}
first=$(issued)
old=$(token_of "$first")
shop get secret "$first" --output=jsonpath='{.data}' >"$work/account.json"
quietly shop create secret generic account
quietly shop patch secret account --patch "{\"data\": $(cat "$work/account.json")}"
quietly shop patch cronjob backup --patch '{"spec": {"jobTemplate": {"spec": {"template": {"spec": {
    "containers": [{"name": "backup-app", "env": [{"name": "BKP_SERVICE_ACCOUNT_DIR", "value": "/account"}],
        "volumeMounts": [{"name": "account", "mountPath": "/account"}]}],
    "volumes": [{"name": "account", "secret": {"secretName": "account", "defaultMode": 292}}]}}}}}}'
begin_held replaced
quietly shop delete secret "$first"
until_so "another token" issued "$first"
second=$(issued "$first")
quietly shop patch secret account --patch "{\"data\": $(shop get secret "$second" --output=jsonpath='{.data}')}"
as_bearer() { # token
    inside env KUBECONFIG=/dev/null "$programs/kubectl" --server=https://127.0.0.1:6443 --certificate-authority="$work/pki/ca.crt" \
        --token="$1" --namespace=shop get pods
}
refused() { ! as_bearer "$old" 2>"$work/refused" && grep -q Unauthorized "$work/refused"; }
until_so "the old token is refused" refused
quietly as_bearer "$(token_of "$second")"
has_new() { [ "$(shop exec job/replaced -- cat /account/token)" = "$(token_of "$second")" ]; }
until_so "the kubelet puts the new one in place" has_new
let_go
until_so "the backup" succeeded replaced
is_as_before
close_live
