# The data of the bench: sourced by benches/run and benches/growth. Needs what start_server sets.

sql() { "$BIN/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# About so many megabytes, indexes counted: pgbench's accounts a quarter, documents, attachments, orders, and small tables.
fill() { # database, megabytes, small tables
    "$BIN/createdb" "$1"
    "$BIN/pgbench" --quiet -i -s "$(($2 / 60 + 1))" "$1" >/dev/null 2>&1
    # What stays for the rest; never less than a few rows.
    sql -v "mb=$(($2 * 3 / 4 + 1))" -d "$1" -f benches/sql/fill.sql
    sql -v "tables=$3" -d "$1" -f benches/sql/small.sql
    sql -d "$1" -c 'VACUUM (FREEZE, ANALYZE)'
}

change() { sql -d "$1" -f benches/sql/night.sql; }

# Every table with its rows and a checksum of them, indexes, constraints, sequences.
content() { sql -d "$1" -f benches/sql/content.sql; }

# What a restore would have to mend: a table gone, one emptied, one changed, one too many.
spoil() {
    sql -d "$1" -c 'DROP TABLE pgbench_tellers; DELETE FROM pgbench_branches; UPDATE customers SET name = $$nobody$$ WHERE id % 10 = 0; CREATE TABLE too_many ()'
}

# One, and those that restores put aside.
drop_databases() {
    sql -d postgres -c "SELECT format('DROP DATABASE %I WITH (FORCE);', datname) FROM pg_database WHERE datname LIKE '%\_\_%' OR datname = '$1'" | sql -d postgres
}
