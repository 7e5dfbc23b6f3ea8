#!/usr/bin/env python3
"""Draws monitoring/dashboard.json from a Prometheus, as SVG on standard output.

monitoring/picture.py http://prometheus:9090 BEGIN END > monitoring/dashboard.svg      (seconds since 1970)

It asks the panels' own queries, so a query that finds nothing is an empty panel. A picture for documents, not Grafana's.
"""

import json
import pathlib
import sys
import urllib.parse
import urllib.request
from html import escape

COLOURS = ["#3274d9", "#e0752d", "#37872d", "#8f3bb8", "#c4162a", "#806eb7", "#0a9a9a", "#a16a00"]
NAMED = {"green": "#37872d", "red": "#c4162a", "orange": "#e0752d", "blue": "#3274d9", "dark-red": "#7a0a18", "purple": "#8f3bb8"}
COLUMN, ROW, GAP, WIDTH = 40, 26, 8, 24 * 40

prometheus, begin, end = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])


def ask(expression):
    """Lines of an expression: labels, and pairs of time and value."""
    query = {"query": expression.replace("$app", ".+"), "start": begin, "end": end, "step": max((end - begin) / 240, 1)}
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as answer:
        return [(one["metric"], [(float(t), float(v)) for t, v in one["values"]]) for one in json.load(answer)["data"]["result"]]


def named(legend, labels):
    for label in ("app", "command", "item"):
        legend = legend.replace("{{" + label + "}}", labels.get(label, ""))
    return legend.strip()


def told(value, unit):
    if unit == "bytes":
        for name in ("B", "KiB", "MiB", "GiB"):
            if value < 1024 or name == "GiB":
                return f"{value:.3g} {name}"
            value /= 1024
    if unit == "s":
        return f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    return f"{value:,.0f}".replace(",", " ")


def text(x, y, words, size=11, fill="#333", anchor="start", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def across(time, x, width):
    return x + (time - begin) / (end - begin) * width


def stat(lines, panel, x, y, width, height):
    unit, steps = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for at, (name, values) in enumerate(lines):
        part = width / len(lines)
        value = values[-1][1]
        colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
        left = x + at * part
        yield f'<rect x="{left + 2:.1f}" y="{y}" width="{part - 4:.1f}" height="{height}" rx="3" fill="{NAMED[colour]}"/>'
        yield text(left + part / 2, y + height / 2 - 4, name, 12, "#fff", "middle")
        yield text(left + part / 2, y + height / 2 + 20, told(value, unit), 20, "#fff", "middle", "bold")


def timeline(lines, panel, x, y, width, height):
    words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    step, x, width = height / max(len(lines), 1), x + 90, width - 90
    for at, (name, values) in enumerate(lines):
        top = y + at * step
        yield text(x - 6, top + step / 2 + 4, name, 11, anchor="end")
        since = None
        for now, following in zip(values, values[1:] + [(end, None)]):
            since = now[0] if since is None else since
            if now[1] == following[1]:
                continue
            word = words.get(str(int(now[1])), {"text": str(int(now[1])), "color": "red"})
            left, right = across(since, x, width), across(following[0], x, width)
            yield f'<rect x="{left:.1f}" y="{top + 2:.1f}" width="{right - left:.1f}" height="{step - 4:.1f}" fill="{NAMED[word["color"]]}"/>'
            if right - left > 7 * len(word["text"]):
                yield text(left + 4, top + step / 2 + 4, word["text"], 10, "#fff")
            since = None


def curves(lines, panel, x, y, width, height):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    x, width, bottom = x + 62, width - 62, y + height - 34
    highest = max((value for _, values in lines for _, value in values), default=1) or 1
    for part in range(5):
        level = bottom - (bottom - y) * part / 4
        yield f'<line x1="{x}" y1="{level:.1f}" x2="{x + width}" y2="{level:.1f}" stroke="#e3e3e3"/>'
        yield text(x - 5, level + 4, told(highest * part / 4, unit), 9, "#777", "end")
    spot, shown = x - 50, bottom + 22
    for at, (name, values) in enumerate(lines):
        colour = COLOURS[at % len(COLOURS)]
        points = " ".join(f"{across(t, x, width):.1f},{bottom - v / highest * (bottom - y):.1f}" for t, v in values)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        if spot + 5.6 * len(name) > x + width:
            spot, shown = x - 50, shown + 11
        yield f'<rect x="{spot}" y="{shown - 6}" width="10" height="4" fill="{colour}"/>' + text(spot + 14, shown, name, 10)
        spot += 24 + 5.6 * len(name)


DRAW = {"stat": stat, "state-timeline": timeline, "timeseries": curves}
dashboard = json.loads(pathlib.Path(__file__).with_name("dashboard.json").read_text())
height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"]) * ROW
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"><rect width="{WIDTH}" height="{height}" fill="#f4f5f5"/>')
for panel in dashboard["panels"]:
    place = panel["gridPos"]
    x, y, w, h = place["x"] * COLUMN, place["y"] * ROW, place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    lines = [(named(t["legendFormat"], labels), values) for t in panel["targets"] for labels, values in ask(t["expr"])]
    print(f'<rect x="{x + 2}" y="{y + 2}" width="{w}" height="{h}" rx="3" fill="#fff" stroke="#ddd"/>', text(x + 12, y + 19, panel["title"], 12, "#222", weight="bold"))
    for shape in DRAW[panel["type"]](sorted(lines), panel, x + 10, y + 28, w - 18, h - 36):
        print(shape)
print("</svg>")
