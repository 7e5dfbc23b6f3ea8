#!/usr/bin/env python3
"""Draws a result of benches/run as SVG, for the README: on a light ground and on a dark one.

    chart.py RESULT.json >chart.svg
"""

import json
import sys
from html import escape

sys.dont_write_bytecode = True
from table import faster, middle, rounds

# Panel: title, the runs' kind, the figure, its unit, what it is divided by, and the rows: name, label.
PANELS = [
    ("Backup of a database", "backup", "wall_s", "s", 1, [
        ("bkp", "bkp backup"),
        ("dump-zstd", "pg_dump | zstd -T0"),
        ("dump-directory", "pg_dump -Fd -j2"),
        ("dump-pigz", "pg_dump | pigz"),
        ("pgbackrest", "pgBackRest (files, not SQL)"),
        ("borgmatic", "borgmatic"),
        ("dump-custom", "pg_dump -Fc"),
        ("dumpall-gzip", "pg_dumpall --clean | gzip --rsyncable"),
        ("bkp-gs", "bkp backup to gs://"),
        ("dumpall-gsutil", "pg_dumpall | gzip, gsutil cp"),
    ]),
    ("Restore of it, compared row by row", "restore", "wall_s", "s", 1, [
        ("bkp", "bkp restore"),
        ("dump-directory", "pg_restore -j2, from -Fd"),
        ("dump-custom", "pg_restore -j2, from -Fc"),
        ("dump-zstd", "zstd -dc | psql"),
        ("dump-pigz", "gunzip -c | psql"),
    ]),
    ("New bytes of the next night's dump, 1 % of the rows changed", "night", "new_bytes", "MB", 1e6, [
        ("bkp", "bkp backup"),
        ("bkp-restic", "bkp backup into restic"),
        ("restic-stdin", "pg_dump | restic backup --stdin"),
        ("restic-gzip", "pg_dump | gzip | restic backup --stdin"),
        ("dumpall-gzip", "pg_dumpall | gzip --rsyncable"),
        ("dump-pigz", "pg_dump | pigz"),
        ("dump-zstd", "pg_dump | zstd -T0"),
        ("dump-directory", "pg_dump -Fd"),
        ("borgmatic", "borgmatic"),
        ("pgbackrest", "pgBackRest, differential"),
    ]),
]
# What ratios are held against, by kind.
BASES = {"backup": "dumpall-gzip", "restore": "dump-pigz"}

WIDTH, LEFT, RIGHT, ROW, BAR = 860, 300, 150, 25, 15

STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #24292f }
  .ours { font-weight: 600; fill: #0a5fc2 }
  .small { font-size: 11px }
  .bar { fill: #b3bcc6 }
  .bar.ours { fill: #1a73e8 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa5b1 }
    .title { fill: #e6edf3 }
    .ours { fill: #79b8ff }
    .bar { fill: #57626e }
    .bar.ours { fill: #3d8bfd }
  }
"""


def values(result, kind, figure, unit_of, rows):
    """Each row that was measured: label, whether it is bkp's, its value, how many times as fast as the base."""
    base = rounds(result, kind, BASES.get(kind, ""))
    for name, label in rows:
        of = rounds(result, kind, name)
        value = middle(of, figure)
        if value is not None:
            # The next night's ratio would be one of sizes: said by the bar alone.
            ratio = faster(of, base) if figure == "wall_s" and base else None
            yield label, name.startswith("bkp"), value / unit_of, ratio


def panel(result, top, title, kind, figure, unit, unit_of, rows):
    found = sorted(values(result, kind, figure, unit_of, rows), key=lambda one: one[2])
    if not found:
        return [], top
    longest = max(value for _, _, value, _ in found) or 1
    out = [f'<text class="title" x="0" y="{top + 15}">{escape(title)}</text>']
    top += 28
    out.append(f'<line class="axis" x1="{LEFT}" y1="{top - 2}" x2="{LEFT}" y2="{top + ROW * len(found) - 4}"/>')
    for label, ours, value, ratio in found:
        kind_of = " ours" if ours else ""
        length = max(1, value / longest * (WIDTH - LEFT - RIGHT))
        told = f"{value:.1f} {unit}" + (f" · {ratio:.1f} ×" if ratio else "")
        out.append(f'<text class="{kind_of.strip()}" x="{LEFT - 10}" y="{top + 13}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect class="bar{kind_of}" x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>')
        out.append(f'<text class="{kind_of.strip()}" x="{LEFT + length + 8:.1f}" y="{top + 13}">{told}</text>')
        top += ROW
    return out, top + 16


def caption(result):
    machine, data, versions = result["machine"], result["data"], result["versions"]
    count = max((one["round"] for one in result["runs"] if one["kind"] in ("backup", "restore")), default=0)
    yield (f"Database of {data.get('database_bytes', 0) / 1e6:.0f} MB ({data.get('tables', 0)} tables, {data['sql_bytes'] / 1e6:.0f} MB of SQL); "
           f"{count} round{'s' if count > 1 else ''}, medians; × is the speed against "
           "pg_dumpall | gzip and gunzip | psql.")
    yield f"{machine['cores']} cores of {machine['cpu']}, {versions['postgresql'].replace('postgres (PostgreSQL)', 'PostgreSQL')}, {machine['system']}; {result['date']}; drawn from benches/result.json"


def main(path):
    with open(path) as file:
        result = json.load(file)
    body, top = [], 8
    for one in PANELS:
        drawn, top = panel(result, top, *one)
        body += drawn
    for line in caption(result):
        body.append(f'<text class="small" x="0" y="{top + 8}">{escape(line)}</text>')
        top += 17
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 6}" width="{WIDTH}" height="{top + 6}" role="img">')
    print(f"<title>bkp beside other ways of backing up PostgreSQL</title>\n<style>{STYLE}</style>")
    print("\n".join(body))
    print("</svg>")


if __name__ == "__main__":
    main(sys.argv[1])
