#!/usr/bin/env python3
"""How long a program takes to start and end: startup.py RUNS COMMAND..., one JSON object with milliseconds."""

import json
import os
import subprocess
import sys
import time


def once(command):
    begun = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (time.monotonic() - begun) * 1000


def main(runs, command):
    once(command)
    # What it costs to start anything at all stands beside it.
    found = {"bkp": [], "true": []}
    for _ in range(runs):
        found["bkp"].append(once(command))
        found["true"].append(once(["/bin/true"]))
    for name, took in found.items():
        took.sort()
        print(json.dumps({"kind": "start", "name": name if name == "true" else " ".join([os.path.basename(command[0]), *command[1:]]), "runs": runs,
                          "median_ms": round(took[runs // 2], 2), "least_ms": round(took[0], 2), "p95_ms": round(took[runs * 95 // 100], 2)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
