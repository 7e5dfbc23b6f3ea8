# A throwaway PostgreSQL for shell scripts: sourced by demo/run, benches/run and benches/growth.
#
# start_server MAJOR DIR starts one in DIR (made here, emptied by stop_server) and sets BIN, PORT, and libpq's variables for
# the superuser `postgres` with a password. Nothing else on the machine is touched.

# Servers refuse to run as root.
as_server_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid="$(id -u nobody)" --regid="$(id -g nobody)" --clear-groups -- "$@"
    else
        "$@"
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_server() { # major, directory, further lines of postgresql.conf
    local set
    set=$(tests/support/install --where)/pg/$1
    BIN=$set/bin SERVER_DIR=$2
    # The set's own libpq, for extensions that use it.
    SERVER_LIB=$set/lib
    mkdir -p "$SERVER_DIR"
    chmod 755 "$SERVER_DIR"
    PGPASSWORD=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf '%s\n' "$PGPASSWORD" >"$SERVER_DIR/password")
    if [ "$(id -u)" = 0 ]; then chown nobody "$SERVER_DIR" "$SERVER_DIR/password"; fi
    (cd / && LD_LIBRARY_PATH=$SERVER_LIB as_server_user "$BIN/initdb" --no-sync -U postgres --auth=scram-sha-256 \
        --pwfile="$SERVER_DIR/password" --encoding=UTF8 --locale=C.UTF-8 -D "$SERVER_DIR/data" >/dev/null)
    rm -f "$SERVER_DIR/password"
    PORT=$(free_port)
    {
        echo "port = $PORT"
        echo "listen_addresses = '127.0.0.1'"
        echo "unix_socket_directories = '$SERVER_DIR'"
        echo "fsync = off"
        printf '%s\n' "${3:-}"
    } >>"$SERVER_DIR/data/postgresql.conf"
    (cd / && LD_LIBRARY_PATH=$SERVER_LIB as_server_user "$BIN/pg_ctl" -D "$SERVER_DIR/data" -l "$SERVER_DIR/log" -w start >/dev/null) || {
        cat "$SERVER_DIR/log" >&2
        return 1
    }
    export PGHOST=127.0.0.1 PGPORT=$PORT PGUSER=postgres PGPASSWORD
    unset PGDATABASE PGSERVICE PGPASSFILE PGOPTIONS
}

# Safe to call at any moment, also before the server is up.
stop_server() {
    if [ -n "${SERVER_DIR:-}" ] && [ -d "$SERVER_DIR/data" ]; then
        (cd / && LD_LIBRARY_PATH=$SERVER_LIB as_server_user "$BIN/pg_ctl" -D "$SERVER_DIR/data" -m immediate stop) >/dev/null 2>&1 || true
    fi
    if [ -n "${SERVER_DIR:-}" ]; then rm -rf "$SERVER_DIR"; fi
}
