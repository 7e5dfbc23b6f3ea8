#!/usr/bin/env python3
"""Many backups, cheaply: the same dump under the names of so many hours.

    copies.py DUMP COUNT directory DIR            hard links
    copies.py DUMP COUNT filer PORT FOLDER        uploads by a SeaweedFS filer
"""

import datetime
import http.client
import os
import sys

FIRST = datetime.datetime(2010, 1, 1, 3, 0, 0)


def names(count):
    for number in range(count):
        yield (FIRST + datetime.timedelta(hours=number)).strftime("db_dump-%Y%m%d_%H%M%S.bak.gz")


def main(dump, count, kind, place, folder=None):
    if kind == "directory":
        os.makedirs(place, exist_ok=True)
        for name in names(int(count)):
            if not os.path.exists(os.path.join(place, name)):
                os.link(dump, os.path.join(place, name))
        return
    with open(dump, "rb") as file:
        content = file.read()
    connection = http.client.HTTPConnection("127.0.0.1", int(place), timeout=60)
    for name in names(int(count)):
        connection.request("PUT", f"{folder}/{name}", body=content, headers={"Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            sys.exit(f"the filer says {answer.status} to {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
