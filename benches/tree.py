#!/usr/bin/env python3
"""A tree of files with the same content in every run: made, changed, and summed up to compare.

    tree.py make DIR FILES MEGABYTES    so many small files (0.2 to 20 KB) and so many megabytes that do not compress
    tree.py change DIR                  every hundredth small file, in a large one a hundredth of its bytes
    tree.py sum DIR                     a digest of names, kinds, modes, times and content
"""

import hashlib
import os
import random
import stat
import sys

LARGE = 10


def make(top, files, megabytes):
    chance = random.Random(42)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(4000)]
    for number in range(files):
        folder = os.path.join(top, f"d{number % 200:03}", f"e{number // 200 % 5}")
        os.makedirs(folder, exist_ok=True)
        size = int(200 * 100 ** chance.random())
        text = " ".join(chance.choices(words, k=size // 6 + 1))[:size]
        write(os.path.join(folder, f"page {number}.html"), text.encode(), number)
    for number in range(LARGE):
        write(os.path.join(top, f"film{number}.mp4"), chance.randbytes(megabytes * 1000000 // LARGE), number)


def write(path, content, number):
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, ns=(1700000000 * 10**9 + number * 1000003,) * 2)


def change(top):
    chance = random.Random(43)
    for place, _, names in os.walk(top):
        for name in names:
            path = os.path.join(place, name)
            number = int("".join(filter(str.isdigit, name)))
            if name.endswith(".html") and number % 100 == 0:
                with open(path, "ab") as file:
                    file.write(b"changed")
            elif name == "film0.mp4":
                with open(path, "r+b") as file:
                    file.seek(os.path.getsize(path) // 2)
                    file.write(chance.randbytes(os.path.getsize(path) // LARGE))


def summed(top):
    digest = hashlib.blake2b(digest_size=12)
    for place, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            found = os.lstat(path)
            digest.update(f"{os.path.relpath(path, top)}\0{stat.S_IFMT(found.st_mode)} {found.st_mode} {found.st_mtime_ns}\0".encode())
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "change":
        change(sys.argv[2])
    else:
        print(summed(sys.argv[2]))
