#!/usr/bin/env python3
"""Runs one command and appends what it cost to a file, one JSON object a line.

    measure.py --out FILE --log FILE [--server PID] [--store PID] [--note NAME=VALUE]... -- COMMAND...

wall_s        seconds by the monotonic clock
client_cpu_s  user and system time of the command and all its children, by the kernel's account when they have ended
server_cpu_s  the same of the process tree below --server (a postmaster: its backends, those that ended meanwhile too)
store_cpu_s   the same of --store
peak_mb       the largest sum of memory that the command's processes had for themselves at one moment, sampled every 30 ms
bkp_peak_mb   the largest resident set that one process called bkp ever had, by the kernel's own mark

Ends as the command does; one that failed is written down with its exit code, and its log's end is shown.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # it has ended
        return ""


def children(pid):
    found = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:  # a child belongs to the thread that started it
        found += [int(child) for child in read(f"/proc/{pid}/task/{thread}/children").split()]
    return found


def tree(pid):
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children(pid)
    return found


def cpu_of(pid):
    """Seconds of the tree below a living process, of what it has waited for too."""
    ticks = 0
    for member in tree(pid) if pid else []:
        fields = read(f"/proc/{member}/stat").rpartition(")")[2].split()
        if len(fields) > 14:
            ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / TICK


class Memory(threading.Thread):
    """Watches the memory of a process tree until told to stop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_kb, self.bkp_peak_kb = pid, 0, 0
        self.done = threading.Event()

    def run(self):
        # What lives for a moment only is caught too.
        looks = 0
        while not self.done.wait(0.003 if looks < 20 else 0.03):
            looks += 1
            self.look()

    def look(self):
        total = 0
        for member in tree(self.pid):
            status = dict(line.split(":", 1) for line in read(f"/proc/{member}/status").splitlines() if ":" in line)
            kb = {name: int(status.get(name, "0").split()[0]) for name in ("RssAnon", "RssShmem", "VmHWM")}
            total += kb["RssAnon"] + kb["RssShmem"]
            if status.get("Name", "").strip() == "bkp":
                self.bkp_peak_kb = max(self.bkp_peak_kb, kb["VmHWM"])
        self.peak_kb = max(self.peak_kb, total)


def measure(command, log, server, store):
    before = cpu_of(server), cpu_of(store)
    begun = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    memory = Memory(child.pid)
    memory.start()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begun
    memory.done.set()
    memory.join()
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "wall_s": round(wall, 3),
        "client_cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "server_cpu_s": round(cpu_of(server) - before[0], 2),
        "store_cpu_s": round(cpu_of(store) - before[1], 2),
        "peak_mb": round(memory.peak_kb / 1024, 1),
        "bkp_peak_mb": round(memory.bkp_peak_kb / 1024, 1),
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--out", required=True)
    arguments.add_argument("--log", required=True)
    arguments.add_argument("--server", type=int)
    arguments.add_argument("--store", type=int)
    arguments.add_argument("--note", action="append", default=[])
    arguments.add_argument("command", nargs="+")
    given = arguments.parse_args()
    notes = dict(note.split("=", 1) for note in given.note)
    with open(given.log, "a") as log:
        found = measure(given.command, log, given.server, given.store)
    with open(given.out, "a") as out:
        out.write(json.dumps({**notes, **found}) + "\n")
    if found["exit"]:
        with open(given.log, errors="replace") as log:
            sys.stderr.writelines(log.readlines()[-12:])
    sys.exit(found["exit"] if found["exit"] >= 0 else 128 - found["exit"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
