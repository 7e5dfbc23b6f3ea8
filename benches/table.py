#!/usr/bin/env python3
"""Prints a result of benches/run as tables: medians, and how many times as fast as the first line, paired round by round."""

import json
import sys
from statistics import median

# Kind, its title, its names in order: the first is what the others are held against.
TABLES = [
    ("backup", "backup", [
        ("dumpall-gzip", "pg_dumpall --clean | gzip --rsyncable"),
        ("dump-custom", "pg_dump -Fc"),
        ("dump-directory", "pg_dump -Fd -j2"),
        ("dump-pigz", "pg_dump | pigz"),
        ("dump-zstd", "pg_dump | zstd -T0"),
        ("borgmatic", "borgmatic (pg_dump -Fc, borg)"),
        ("pgbackrest", "pgBackRest (the cluster's files)"),
        ("bkp", "bkp backup, a directory"),
    ]),
    ("backup", "backup to Google Cloud Storage (an emulator)", [("dumpall-gsutil", "pg_dumpall | gzip, then gsutil cp"), ("bkp-gs", "bkp backup")]),
    ("backup", "backup into restic", [("restic-stdin", "pg_dump | restic backup --stdin"),
                                     ("restic-gzip", "pg_dump | gzip | restic backup --stdin"), ("bkp-restic", "bkp backup")]),
    ("night", "the next night, after 1 % of the rows changed", [
        ("dumpall-gzip", "pg_dumpall --clean | gzip --rsyncable"),
        ("dump-custom", "pg_dump -Fc"),
        ("dump-directory", "pg_dump -Fd -j2"),
        ("dump-pigz", "pg_dump | pigz"),
        ("dump-zstd", "pg_dump | zstd -T0"),
        ("bkp", "bkp backup, a directory"),
        ("borgmatic", "borgmatic"),
        ("pgbackrest", "pgBackRest, differential"),
        ("restic-gzip", "pg_dump | gzip | restic backup --stdin"),
        ("restic-stdin", "pg_dump | restic backup --stdin"),
        ("bkp-restic", "bkp backup into restic"),
    ]),
    ("restore", "restore of one plain dump", [
        ("dump-pigz", "gunzip -c | psql"),
        ("dump-zstd", "zstd -dc | psql"),
        ("dump-custom", "pg_restore -j2, -Fc"),
        ("dump-directory", "pg_restore -j2, -Fd"),
        ("bkp", "bkp restore"),
    ]),
    ("restore", "restore from restic", [("restic-stdin", "restic dump | psql"), ("bkp-restic", "bkp restore")]),
    ("files", "files: the first backup", [("restic-files", "restic backup"), ("bkp-files", "bkp backup")]),
    ("files-unchanged", "files: nothing has changed", [("restic-files", "restic backup"), ("bkp-files", "bkp backup")]),
    ("files-night", "files: 1 % has changed", [("restic-files", "restic backup"), ("bkp-files", "bkp backup")]),
    ("files-restore", "files: restore", [("restic-files", "restic restore"), ("bkp-files", "bkp restore --to")]),
]


def rounds(result, kind, name):
    return {one["round"]: one for one in result["runs"] if one["kind"] == kind and one["name"] == name}


def middle(of, figure):
    found = [one[figure] for one in of.values() if figure in one]
    return median(found) if found else None


def faster(of, base):
    """How many times as fast as the base: the median of the rounds' own ratios."""
    ratios = [base[number]["wall_s"] / one["wall_s"] for number, one in of.items() if number in base and one["wall_s"] > 0]
    return median(ratios) if ratios else None


def cell(value, form):
    return format(value, form) if value is not None else "-"


def megabytes(count):
    return None if count is None else count / 1e6


def print_table(result, kind, title, names):
    found = [(label, rounds(result, kind, name)) for name, label in names]
    found = [(label, of) for label, of in found if of]
    if not found:
        return
    print(f"\n{title:<42}{'wall s':>9}{'least-most':>15}{'speed':>8}{'CPU client':>12}{'server':>9}{'memory MB':>11}{'stored MB':>11}{'new MB':>9}")
    base = found[0][1]
    for label, of in found:
        walls = [one["wall_s"] for one in of.values()]
        # bkp's own mark is exact; what is sampled may miss a peak.
        spread = f"{min(walls):.1f}-{max(walls):.1f}"
        print(f"  {label:<40}{middle(of, 'wall_s'):>9.2f}{spread:>15}{cell(faster(of, base), '.2f') + ' x':>8}"
              f"{middle(of, 'client_cpu_s'):>12.2f}{middle(of, 'server_cpu_s'):>9.2f}{middle(of, 'peak_mb'):>11.0f}"
              f"{cell(megabytes(middle(of, 'stored_bytes')), '.1f'):>11}{cell(megabytes(middle(of, 'new_bytes')), '.1f'):>9}")


def main(path):
    with open(path) as file:
        result = json.load(file)
    machine, data = result["machine"], result["data"]
    print(f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_mb'] // 1024} GB, {machine['system']}, Linux {machine['kernel']}")
    print("; ".join(filter(None, result["versions"].values())))
    if "tables" in data:
        print(f"database: {data['database_bytes'] / 1e6:.0f} MB, {data['tables']} tables, {data['indexes']} indexes, {data['sql_bytes'] / 1e6:.0f} MB of SQL"
              f"; files: {data['files']}, {data['incompressible_mb']} MB of them incompressible")
    print(f"rounds: {max((one['round'] for one in result['runs']), default=0)}; medians; speed is paired within the rounds; CPU in seconds")
    for kind, title, names in TABLES:
        print_table(result, kind, title, names)
    peak = max((one["bkp_peak_mb"] for one in result["runs"]), default=0)
    print(f"\nlargest memory of one bkp process in all of these: {peak:.0f} MB")
    for name, why in result["left_out"].items():
        print(f"left out: {name}: {why}")


if __name__ == "__main__":
    main(sys.argv[1])
