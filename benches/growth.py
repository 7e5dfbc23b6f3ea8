#!/usr/bin/env python3
"""What benches/growth and benches/load measured, put together (gather RUNS BKP) and printed with a verdict (table RESULT.json, or brief RESULT.json).

The verdict is of the exponent e in cost = c * count^e: 1 is linear. It is fitted over all points by least squares of the logarithms, and
over the last two alone, where fixed costs weigh least; the larger one is judged, with a quarter for noise and caches: what is quadratic in part shows more.
"""

import json
import math
import sys
import time

sys.dont_write_bytecode = True
from result import lines, machine, said

ALLOWED = 1.25

KINDS = [("size", "database, MB"), ("tables", "tables"), ("list", "backups listed"), ("rules", "backups judged by retention"),
    ("row", "one row, MB"), ("objects", "objects"), ("files", "small files"), ("pipe", "generated, GB")]


def gather(runs, bkp):
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "versions": {"bkp": said(bkp, "--version")},
        "runs": [one for one in map(json.loads, lines(runs)) if one.get("exit", 0) == 0],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def exponent(points):
    """The slope of a line through the points' logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(logs) < 2:
        return None
    mean_x, mean_y = (sum(part) / len(logs) for part in zip(*logs))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread if spread else None


def verdict(points):
    found = [value for value in (exponent(points), exponent(points[-2:])) if value is not None]
    if not found:
        return "one point only"
    said_so = "no worse than linear" if max(found) <= ALLOWED else "WORSE THAN LINEAR"
    return f"exponent {found[0]:.2f}, at the end {found[-1]:.2f}: {said_so}"


def table(path):
    with open(path) as file:
        result = json.load(file)
    where = result["machine"]
    print(f"{result['versions']['bkp']}; {where['cores']} cores of {where['cpu']}, {where['memory_mb'] // 1024} GB; {result['date']}")
    for kind, counted in KINDS:
        for name in sorted({one["name"] for one in result["runs"] if one["kind"] == kind}):
            grown(counted, name, [one for one in result["runs"] if one["kind"] == kind and one["name"] == name])
    print()
    for one in result["runs"]:
        if one["kind"] == "start":
            print(f"{one['name']}: {one['median_ms']} ms (median of {one['runs']}; least {one['least_ms']}, 95 % within {one['p95_ms']})")
        elif one["kind"] == "binary":
            print(f"binary: {one['bytes'] / 1e6:.1f} MB")
        elif one["kind"] == "build":
            print(f"build from nothing: {one['wall_s']:.0f} s, {one['client_cpu_s']:.0f} s of CPU")


def least(runs, count):
    """The least of the repetitions: what disturbs a run only ever adds to it."""
    same = [one for one in runs if int(one["count"]) == count]
    row = {figure: min(one[figure] for one in same) for figure in ("wall_s", "client_cpu_s", "server_cpu_s", "bkp_peak_mb", "peak_mb")}
    return {**row, "cpu_s": row["client_cpu_s"] + row["server_cpu_s"]}


def brief(path):
    """One line for each amount; the exponents are of CPU time and of bkp's own memory, over all points."""
    with open(path) as file:
        result = json.load(file)
    where = result["machine"]
    print(f"{result['versions']['bkp']}; {where['cores']} cores of {where['cpu']}, {where['memory_mb'] // 1024} GB; {result['date']}\n")
    print(f"{'':<42}{'amount':>9}{'wall s':>9}{'CPU s':>8}{'bkp MB':>8}   exponents of CPU and memory")
    for kind, counted in KINDS:
        for name in sorted({one["name"] for one in result["runs"] if one["kind"] == kind}):
            runs = [one for one in result["runs"] if one["kind"] == kind and one["name"] == name]
            counts = sorted({int(one["count"]) for one in runs})
            rows = [(count, least(runs, count)) for count in counts]
            grows = [exponent([(count, row[figure]) for count, row in rows]) for figure in ("cpu_s", "bkp_peak_mb")]
            for count, row in rows:
                told = "   " + " ".join(f"{value:5.2f}" for value in grows if value is not None) if count == counts[-1] else ""
                label = f"{counted}: {name}" if count == counts[0] else ""
                print(f"{label:<42}{count:>9}{row['wall_s']:>9.1f}{row['cpu_s']:>8.1f}{row['bkp_peak_mb']:>8.0f}{told}")


def grown(counted, name, runs):
    print(f"\n{counted + ': ' + name:<46}{'wall s':>10}{'CPU client':>12}{'server':>9}{'bkp MB':>9}{'all MB':>9}")
    counts = sorted({int(one["count"]) for one in runs})
    points = {"wall_s": [], "cpu_s": [], "bkp_peak_mb": []}
    for count in counts:
        row = least(runs, count)
        for figure, of in points.items():
            of.append((count, row[figure]))
        print(f"{count:>46}{row['wall_s']:>10.2f}{row['client_cpu_s']:>12.2f}{row['server_cpu_s']:>9.2f}{row['bkp_peak_mb']:>9.0f}{row['peak_mb']:>9.0f}")
    for figure, of in (("time", "wall_s"), ("CPU", "cpu_s"), ("memory", "bkp_peak_mb")):
        print(f"  {figure}: {verdict(points[of])}")


if __name__ == "__main__":
    {"gather": gather, "table": table, "brief": brief}[sys.argv[1]](*sys.argv[2:])
