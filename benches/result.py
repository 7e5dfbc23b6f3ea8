#!/usr/bin/env python3
"""Puts together what benches/run left in its directory: one JSON document on standard output.

machine, versions, data, left_out (rival: why), runs: one object for each measured command, of benches/measure.py's figures and
kind, name, round, stored_bytes, new_bytes.
"""

import json
import os
import platform
import re
import subprocess
import sys
import time


def said(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), None)


def lines(path):
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = int(re.search(r"\d+", lines("/proc/meminfo")[0]).group()) // 1024
    system = next((line.split("=", 1)[1].strip('"') for line in lines("/etc/os-release") if line.startswith("PRETTY_NAME")), "Linux")
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_mb": memory, "system": system, "kernel": platform.release()}


def versions(work):
    asked = {
        "bkp": [f"{work}/bin/bkp", "--version"],
        "postgresql": [f"{os.environ['BIN']}/postgres", "--version"],
        "gzip": ["gzip", "--version"],
    }
    for name, ask in {"pigz": "--version", "zstd": "--version", "rsync": "--version", "restic": "version", "borg": "--version",
                      "borgmatic": "--version", "pgbackrest": "version", "gsutil": "version"}.items():
        if path := os.environ.get("RESTIC" if name == "restic" else f"AT_{name.upper()}"):
            asked[name] = [path, ask]
    found = {name: said(*command) for name, command in asked.items()}
    # Some print their number alone.
    return {name: f"{name} {text}" if text and text[0].isdigit() else text for name, text in found.items()}


def runs(work):
    """A run's figures and what was noted of it later, in one."""
    found = {}
    for line in lines(f"{work}/runs"):
        one = json.loads(line)
        found.setdefault((one["kind"], one["name"], int(one["round"])), {}).update(one, round=int(one["round"]))
    return [one for one in found.values() if one.get("exit") == 0]


def main(work):
    data = json.loads("".join(lines(f"{work}/data")) or "{}")
    data.update(megabytes=int(os.environ["MB"]), sql_bytes=int("".join(lines(f"{work}/sql_bytes")) or 0),
                files=int(os.environ["FILES"]) + 10, incompressible_mb=int(os.environ["TREE_MB"]))
    left_out = dict(line.split(" ", 1) for line in lines(f"{work}/left_out"))
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": int(os.environ["SECONDS_ALL"]),
        "machine": machine(),
        "versions": versions(work),
        "data": data,
        # What failed midway shows none of its figures: they are not proven.
        "left_out": left_out,
        "runs": [one for one in runs(work) if one["name"] not in left_out],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
