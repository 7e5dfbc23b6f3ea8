#!/usr/bin/env python3
"""So many megabytes of rows as COPY writes them, that compress well: rows.py MEGABYTES."""

import sys


def main(megabytes):
    written, number = 0, 0
    while written < int(megabytes) * 1_000_000:
        number += 1
        words = "the same words that stand in every row of this table; " * 4
        row = f"{number}\t{number % 997}\t2026-11-22 03:00:{number % 60:02}+00\t{words}\\\\n{number}\n"
        written += sys.stdout.write(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
