# SPDX-License-Identifier: Apache-2.0
"""The rows as text: for a terminal, and as a table for a README."""


def header(report):
    m = report["machine"]
    pinned = "pinned" if report["pinned"] else f"not pinned: {report['not_pinned']}"
    store = f"; store of couch://: {report['store']}" if report["store"] else ""
    return (f"{m['cpus']} processors ({m['model'] or 'unknown'}), Linux {m['kernel']}, load before {m['load_before']:.1f}, {pinned}"
            f"{store}")


def plain(report):
    out = [header(report)]
    for r in report["rows"]:
        out.append(f"\nrow {r['row']}: {'ok' if r['ok'] else 'NOT OK'}: {r['title']} ({r['took_s']} s)")
        if "why" in r:
            out.append(f"    {r['why']}")
        for p in r.get("parts", []):
            runs = f"   runs {' '.join(str(v) for v in p['runs'])}" if "runs" in p else ""
            out.append(f"    {'ok    ' if p['ok'] else 'NOT OK'} {p['name']:<60} {p['figure']:>10} {p['unit']:<12} {p['goal']}{runs}")
            if not p["ok"]:
                out += [f"           {k}: {v}" for k, v in p.items() if k in ("others", "failures", "why") and v]
        for key in ("ceiling", "collector", "baseline", "one", "two", "changed", "same"):
            if key in r:
                v = r[key]
                out.append(f"           {key}: {v['median']:.0f}/s ({v['min']:.0f} to {v['max']:.0f})")
        for key in ("cpu_us", "best"):
            if key in r:
                out.append(f"           {key}: {r[key]}")
        for line in r.get("table", []):
            out.append(f"           {line}")
    out.append(f"\n{sum(r['ok'] for r in report['rows'])} of {len(report['rows'])} rows ok, {report['took_s']} s")
    return "\n".join(out)


def markdown(report):
    """Each figure a line; a row whose measuring failed has its reason instead."""
    out = [f"`{report['command']}`, {header(report)}:", "", "| row | what | measured | goal | |", "|---|---|---|---|---|"]

    def line(*cells):
        out.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")

    for r in report["rows"]:
        if not r.get("parts"):
            line(r["row"], r["title"], r.get("why", "nothing"), r["goal"], "not ok")
        for p in r.get("parts", []):
            unit = "" if p["unit"] == "ratio" else f" {p['unit']}"
            runs = f" ({min(p['runs'])} to {max(p['runs'])})" if p.get("runs") else ""
            line(r["row"], p["name"], f"{p['figure']}{unit}{runs}", p["goal"], "ok" if p["ok"] else "not ok")
        for each in r.get("table", []):
            seconds = each["seconds_to_last"]
            shared = "" if each["connections"] == "own" else f" on {each['connections']} connections"
            line(r["row"], f"{each['hosts']} hosts{shared}: to the last answer; CPU per response; memory of collector, broker",
                 f"{seconds['median']:.3g} s; {each['cpu_us']} us; {each['collector_mb']} MB, {each['broker_mb']} MB",
                 "", "ok" if each["closed"] else "not ok")
    return "\n".join(out)
