# What benches that measure growth stand on: a directory, a server, bkp, and what one command costs. Sourced by benches/growth and
# benches/load, which set `major`, `only` and, for the server, `conf`. What is stored lies below $WORK and is gone with the bench.

. demo/server.sh
. benches/data.sh

begun=$SECONDS
WORK=$(mktemp -d "${TMPDIR:-/tmp}/bkp-bench.XXXXXX")
chmod 755 "$WORK"
clean_up() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    stop_server
    if [ -n "${STORE_PID:-}" ]; then kill "$STORE_PID" 2>/dev/null || true; wait "$STORE_PID" 2>/dev/null || true; fi
    if [ "$code" != 0 ]; then tail -n 5 "$WORK"/log/* >&2 || true; fi
    rm -rf "$WORK"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
say() { printf '%5ds  %s\n' "$((SECONDS - begun))" "$*" >&2; }
chosen() { case " $only " in *" $1 "*) true ;; *) false ;; esac; }
room_for() { [ "$(df -m --output=avail "$WORK" | tail -1)" -ge "$1" ] || { say "no room: $1 MB are wanted"; return 1; }; } # megabytes

# --- The parts --------------------------------------------------------------------------------------------------------------

tests/support/install "$major"
tests/support/install-restic
eval "$(tests/support/install-stores | sed -n 's/^weed=/WEED=/p')"
if [ -z "${BKP:-}" ]; then
    make --no-print-directory build >&2
    BKP=target/$(uname -m)-unknown-linux-gnu/release/bkp
fi
mkdir -p "$WORK"/{bin,log,store,gcs}
cp "$BKP" "$WORK/bin/bkp"
start_server "$major" "$WORK/server" "shared_buffers = 256MB
max_wal_size = 8GB
autovacuum = off
max_locks_per_transaction = 1024
${conf:-}"
SERVER_PID=$(head -1 "$WORK/server/data/postmaster.pid")
RESTIC=$(tests/support/install --where)/restic/0.18/restic
head -c 12 /dev/urandom | od -An -tx1 | tr -d ' ' >"$WORK/restic.password"
# What benches/rivals asks for.
export WORK BIN PORT GCS_PORT='' RESTIC

measured() { # kind, name, how many, command
    sync -f "$WORK"
    benches/measure.py --out "$WORK/runs" --log "$WORK/log/$1" --server "$SERVER_PID" --note kind="$1" --note name="$2" --note count="$3" -- "${@:4}"
}

saved_and_restored() { # kind, how many
    content shop >"$WORK/wanted"
    benches/rivals prepare bkp >>"$WORK/log/$1" 2>&1
    measured "$1" backup "$2" benches/rivals backup bkp
    spoil_something
    measured "$1" restore "$2" benches/rivals restore bkp
    content shop | cmp -s "$WORK/wanted" - || { echo "what was restored is not what was saved" >&2; return 1; }
    drop_databases shop
    say "$1 $2"
}
spoil_something() { sql -d shop -c 'DROP TABLE IF EXISTS pgbench_tellers' -c 'CREATE TABLE too_many ()' 2>/dev/null; }

grow_in_size() { # megabytes, small tables besides
    local size
    for size in $1; do
        if [ $((SECONDS - begun)) -gt $((${BKP_BENCH_MINUTES:-30} * 60)) ]; then say "no time for $size MB"; continue; fi
        room_for $((size * 4 + 2000)) || continue
        fill shop "$size" "$2"
        saved_and_restored size "$(sql -d shop -c "SELECT pg_database_size('shop') / 1000000")"
    done
}
grow_in_tables() { # numbers
    local count
    for count in $1; do
        "$BIN/createdb" shop
        sql -v "tables=$count" -d shop -f benches/sql/small.sql >/dev/null
        saved_and_restored tables "$count"
    done
}

# Prints what was measured, and keeps it.
told() { # name, `table` or `brief`
    local result
    mkdir -p benches/results
    result=benches/results/$1-$(date -u +%Y%m%d_%H%M%S).json
    benches/growth.py gather "$WORK/runs" "$WORK/bin/bkp" >"$result"
    benches/growth.py "$2" "$result"
    say "$result"
}
