#!/usr/bin/env python3
"""Many restic snapshots, cheaply: those of the last run, again for so many earlier days, until there are so many in all.

    snapshots.py RESTIC REPOSITORY PASSWORD_FILE COUNT

To make them by restic would take half a second each. They are written as restic's design document says: the key file's data and each
snapshot are AES-256-CTR with a Poly1305-AES code, after the nonce; a file's name is its SHA-256. The standard library has no AES:
openssl encrypts the counters of all at once.
"""

import base64
import datetime
import hashlib
import json
import os
import subprocess
import sys


def aes(key, blocks):
    """Each block of 16 bytes encrypted by itself."""
    command = ["openssl", "enc", f"-aes-{len(key) * 8}-ecb", "-nopad", "-K", key.hex()]
    return subprocess.run(command, input=blocks, stdout=subprocess.PIPE, check=True).stdout


def counters(nonce, length):
    first = int.from_bytes(nonce, "big")
    return b"".join(((first + at) % 2**128).to_bytes(16, "big") for at in range(-(-length // 16)))


def mixed(text, stream):
    return (int.from_bytes(text, "big") ^ int.from_bytes(stream[: len(text)], "big")).to_bytes(len(text), "big")


def poly1305(r, s, text):
    r = int.from_bytes(r, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    code = 0
    for at in range(0, len(text), 16):
        code = (code + int.from_bytes(text[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((code + int.from_bytes(s, "little")) % 2**128).to_bytes(16, "little")


class Keys:
    def __init__(self, encrypt, mac_k, mac_r):
        self.encrypt, self.mac_k, self.mac_r = encrypt, mac_k, mac_r

    def sealed(self, texts):
        """nonce, ciphertext and code of each."""
        nonces = [os.urandom(16) for _ in texts]
        stream = aes(self.encrypt, b"".join(counters(nonce, len(text)) for nonce, text in zip(nonces, texts)))
        masks = aes(self.mac_k, b"".join(nonces))
        at = 0
        for number, (nonce, text) in enumerate(zip(nonces, texts)):
            hidden = mixed(text, stream[at : at + len(text)])
            at += -(-len(text) // 16) * 16
            yield nonce + hidden + poly1305(self.mac_r, masks[number * 16 : number * 16 + 16], hidden)

    def opened(self, data):
        nonce, hidden, code = data[:16], data[16:-16], data[-16:]
        if poly1305(self.mac_r, aes(self.mac_k, nonce), hidden) != code:
            sys.exit("restic's key does not open with this password")
        return mixed(hidden, aes(self.encrypt, counters(nonce, len(hidden))))


def master(repository, password):
    folder = os.path.join(repository, "keys")
    with open(os.path.join(folder, os.listdir(folder)[0])) as file:
        key = json.load(file)
    salt, n, r, p = base64.b64decode(key["salt"]), key["N"], key["r"], key["p"]
    user = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=256 * n * r + 2**26)
    found = json.loads(Keys(user[:32], user[32:48], user[48:]).opened(base64.b64decode(key["data"])))
    return Keys(*(base64.b64decode(part) for part in (found["encrypt"], found["mac"]["k"], found["mac"]["r"])))


def earlier(snapshot, days):
    """The same of so many days before, as a run of its own."""
    when = datetime.datetime(2026, 1, 1, 3) - datetime.timedelta(days=days)
    run = when.strftime("%Y%m%dT%H%M%SZ") + f"-{days:06x}"
    tags = [f"run={run}" if tag.startswith("run=") else tag for tag in snapshot.get("tags") or []]
    return json.dumps({**snapshot, "time": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "tags": tags}).encode()


def main(restic, repository, password_file, count):
    def ask(*arguments):
        command = [restic, "--repo", repository, "--password-file", password_file, "--no-cache", "--quiet", *arguments]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    with open(password_file) as file:
        keys = master(repository, file.read().rstrip("\n"))
    there = ask("snapshots", "--json")
    newest = [ask("cat", "snapshot", one["id"]) for one in there if one["time"] >= "2026-01-02"]
    # The fewest of whole runs that make up the number: those that are there stand at the near end.
    days = range((len(there) - len(newest)) // len(newest), -(-(int(count) - len(newest)) // len(newest)))
    texts = [earlier(snapshot, day) for day in days for snapshot in newest]
    for content in keys.sealed(texts) if texts else []:
        name = hashlib.sha256(content).hexdigest()
        with open(os.path.join(repository, "snapshots", name), "wb") as file:
            file.write(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
