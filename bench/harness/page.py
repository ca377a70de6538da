# SPDX-License-Identifier: Apache-2.0
"""One page with everything in it: no script, no image and no host besides."""
import html

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#65a30d")
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 220, 64, 28

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#111;background:#fff}
h1{font-size:1.5em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;margin:.5em 0}
td,th{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd;vertical-align:top}
.ok{color:#047857;font-weight:600}.bad{color:#b91c1c;font-weight:600}.num{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:.8em 0}figcaption{color:#444}svg text{font:11px system-ui,sans-serif;fill:#444}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}td,th{border-color:#333}svg text,figcaption{fill:#bbb;color:#bbb}
.ok{color:#34d399}.bad{color:#f87171}}"""


def esc(value):
    return html.escape(str(value))


def nice(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def chart(title, series, x_unit, y_unit):
    """series: (name, [(x, y), ...])"""
    series = [(n, p) for n, p in series if len(p) > 1]
    if not series:
        return ""
    top_x = max(x for _, p in series for x, _ in p) or 1
    top_y = max(y for _, p in series for _, y in p) or 1

    def place(x, y):
        return (LEFT + (WIDTH - LEFT - 8) * x / top_x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 12) * y / top_y)

    legend = "".join(f' <span style="color:{COLOURS[i % len(COLOURS)]}">&#9632; {esc(name)}</span>'
                     for i, (name, _) in enumerate(series)) if len(series) > 1 else ""
    out = [f'<figure><figcaption>{esc(title)}{legend}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
           f'height="{HEIGHT}" role="img" aria-label="{esc(title)}">']
    for i in range(5):
        x, y = place(top_x * i / 4, top_y * i / 4)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{nice(top_y * i / 4)}</text>'
                   f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{nice(top_x * i / 4)}</text>')
    out.append(f'<text x="{LEFT}" y="9">{esc(y_unit)}</text><text x="{WIDTH - 8}" y="{HEIGHT - 1}" text-anchor="end">{esc(x_unit)}</text>')
    for i, (name, points) in enumerate(series):
        line = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)
        out.append(f'<polyline fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.5" points="{line}">'
                   f'<title>{esc(name)}</title></polyline>')
    out.append("</svg></figure>")
    return "".join(out)


def rates(curve):
    """From what was done until then to what was done per second, in about forty steps."""
    if len(curve) < 3 or curve[-1][0] <= 0:
        return []
    step, out, last = curve[-1][0] / 40, [], curve[0]
    for t, n in curve[1:]:
        if t - last[0] >= step:
            out.append((t, (n - last[1]) / (t - last[0])))
            last = (t, n)
    return out


def histogram(title, h):
    """Times to the outcome, as bars over a logarithmic scale that is cut by powers of two."""
    bins = {}
    for start, count in h["buckets"]:
        power = max(0, int(start)).bit_length()
        bins[power] = bins.get(power, 0) + count
    if not bins:
        return ""
    low, high, top = min(bins), max(bins), max(bins.values())
    width = (WIDTH - LEFT - 8) / (high - low + 1)
    out = [f'<figure><figcaption>{esc(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
           f'aria-label="{esc(title)}">']
    for power in range(low, high + 1):
        n = bins.get(power, 0)
        tall = (HEIGHT - BOTTOM - 16) * n / top
        x = LEFT + width * (power - low)
        out.append(f'<rect x="{x + 1:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{max(1, width - 2):.1f}" height="{tall:.1f}" '
                   f'fill="{COLOURS[0]}"><title>{n}</title></rect>'
                   f'<text x="{x + width / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{nice(2 ** power / 1000)}</text>')
    out.append(f'<text x="{WIDTH - 8}" y="{HEIGHT - 1}" text-anchor="end">ms, at most</text></svg></figure>')
    return "".join(out)


def megabytes(curve):
    return [(t, kb / 1024) for t, kb in curve]


def lines_table(lines):
    """Dictionaries with the same keys, a line each."""
    keys = list(lines[0])
    out = ["<table><tr>" + "".join(f"<th>{esc(k)}" for k in keys) + "</tr>"]
    for line in lines:
        out.append("<tr>" + "".join(f'<td class="num">{esc(line.get(k, ""))}' for k in keys) + "</tr>")
    return "".join(out) + "</table>"


def row_part(r):
    out = [f'<h2>Row {r["row"]}: {esc(r["title"])} <span class="{"ok" if r["ok"] else "bad"}">{"ok" if r["ok"] else "not ok"}</span></h2>']
    if "why" in r:
        out.append(f'<p class="bad">{esc(r["why"])}</p>')
    if r.get("parts"):
        out.append("<table><tr><th>figure<th>measured<th>unit<th>goal<th>runs<th></tr>")
        for p in r["parts"]:
            out.append(f'<tr><td>{esc(p["name"])}<td class="num">{esc(p["figure"])}<td>{esc(p["unit"])}<td>{esc(p["goal"])}'
                       f'<td>{esc(" ".join(str(v) for v in p.get("runs", [])))}'
                       f'<td class="{"ok" if p["ok"] else "bad"}">{"ok" if p["ok"] else "not ok"}</tr>')
        out.append("</table>")
    facts = [(k, r[k]) for k in ("hosts", "store", "ceiling", "collector", "baseline", "one", "two", "changed", "same", "best",
                                 "cpu_us", "figures", "mean_bytes", "cache_mb") if k in r]
    if facts:
        out.append("<table>" + "".join(f"<tr><td>{esc(k)}<td>{esc(v)}</tr>" for k, v in facts) + "</table>")
    if r.get("table"):
        out.append(lines_table(r["table"]))
    for name, curves in r.get("curves", {}).items():
        if r.get("curve_unit"):
            out.append(chart(f"{name}: memory", [(n, megabytes(c)) for n, c in curves], "s", "MB PSS"))
        else:
            out.append(chart(f"{name}, per second", [(f"run {i + 1}", rates(c)) for i, c in enumerate(curves)], "s", "responses/s"))
    if r.get("memory"):
        out.append(chart("memory of each process", [(n, megabytes(c)) for n, c in r["memory"].items()], "s", "MB PSS"))
    if "latency" in r:
        out.append(histogram("from the intended moment of sending to the outcome on disk", r["latency"]))
    return "".join(out)


def page(report):
    m = report["machine"]
    pinned = "pinned" if report["pinned"] else f'not pinned: {report["not_pinned"]}'
    store = f'; store of couch:// {report["store"]}' if report["store"] else ""
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Vogeler: measured</title><style>{STYLE}</style>'
            f'<h1>Vogeler: measured</h1><p>Scenario {esc(report["scenario"])}, {report["took_s"]} s{esc(store)}; '
            f'{m["cpus"]} processors ({esc(m["model"])}), Linux {esc(m["kernel"])}, load before '
            f'{m["load_before"]:.1f}; {esc(pinned)}. Ratios of alternating halves; '            f'absolute values are of this machine.</p>' + "".join(row_part(r) for r in report["rows"]) + "</html>\n")
