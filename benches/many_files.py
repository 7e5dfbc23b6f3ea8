#!/usr/bin/env python3
"""So many small files, each with its own content: many_files.py DIR COUNT."""

import os
import sys


def main(top, count):
    for number in range(int(count)):
        folder = os.path.join(top, f"d{number % 10}", f"e{number // 10 % 1000}")
        if number < 10_000:
            os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"f{number}"), "w") as file:
            file.write(f"file {number}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
