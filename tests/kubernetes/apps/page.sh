# The pages in docs/ that operators have, played block by block as they are written, on a terminal. Sourced by `words.sh`.

# The kubectl of pages, on 1.20: a directory of manifests is rendered by today's, and CronJobs are handed over as they were called then.
make_kubectl() {
    mkdir -p "$work/bin"
    cat >"$work/bin/kubectl" <<SCRIPT
#!/bin/bash
set -euo pipefail
if [[ "\$1 \$2" != "apply -k" ]]; then exec "$programs/kubectl" "\$@"; fi
"$tools/kubectl" kustomize "\$3" | awk 'BEGIN { RS = "---\n"; ORS = "" } NR > 1 { print "---\n" }
    /(^|\n)kind: CronJob\n/ { sub("apiVersion: batch/v1\n", "apiVersion: batch/v1beta1\n") } { print }' | "$programs/kubectl" apply --validate=false -f -
SCRIPT
    chmod +x "$work/bin/kubectl"
}

# A block below a heading. What is typed before the question is asked would be thrown away with the terminal's buffer.
as_written() { # heading, number of the block below it, what it must hold, [where it is called]
    local commands
    commands=$(awk -v heading="$1" -v wanted="$2" '/^## / { here = $0 == "## " heading; n = 0 }
        here && /^```sh$/ { n++; inside = n == wanted; next } /^```$/ { inside = 0 } inside' "$project/docs/$page.md")
    [[ $commands == *"$3"* ]] || die "$page.md, $1, block $2 has no $3"
    played+=("$1 $2")
    printf 'set -ex\ncd %q\n%s\n' "${4:-$project}" "$commands" >"$work/block"
    : >"$work/said"
    rm -f "$work/over"
    answer | {
        inside env PATH="$work/bin:$PATH" timeout 300 script --quiet --return --command "bash $work/block" /dev/null >"$work/said" 2>&1 ||
            die "as $page.md says it: $1: $(cat "$work/said")"
        touch "$work/over"
    }
    # The idle pod is gone before another block finds it in its last second.
    if [[ $commands == *--replicas=0* ]]; then
        cp "$work/said" "$work/block.said"
        until_so "the end of the idle pod" no_pod
        cp "$work/block.said" "$work/said"
    fi
}
answer() {
    for _ in $(seq 3000); do
        if grep -qF 'Go ahead?' "$work/said"; then echo y && return; fi
        [ ! -e "$work/over" ] || return 0
        sleep 0.1
    done
}
no_pod() { [ -z "$(in_app get pods --selector=app=backup-restore --output=name)" ]; }

# Nothing stands on a page that was not played; what stands within its text is, now.
all_played() {
    local blocks command
    while read -r command; do
        quietly inside env PATH="$work/bin:$PATH" bash -ec "$command" </dev/null
        grep -q . "$work/said" || die "it says nothing: $command"
    done < <(grep -o '`kubectl [^`]*`' "$project/docs/$page.md" | tr -d '`')
    blocks=$(grep -c '^```sh$' "$project/docs/$page.md")
    [ "$(printf '%s\n' "${played[@]}" | sort -u | wc -l)" = "$blocks" ] || die "$page.md has $blocks blocks; played: ${played[*]}"
}
