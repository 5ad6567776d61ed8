"""Medians, the table, and the generated block of docs/performance.md."""

import os
import platform
from numbers import Number

import goals
from plan import CASES, CONTENDERS
from stats import middle, ratio

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
COMPARED = ["cpu_us", "jitter_p99_us"]
NAMES = {"bbe": "blackbox_exporter"}
COLUMNS = ["case", "who", "CPU us/probe", "x limit", "x bbe", "RSS MB", "achieved", "healthy",
           "jitter us p50 / p99", "error us p50 / p99"]


def medians(rows):
    """The median of each number in a list of flat dictionaries."""
    keys = dict.fromkeys(k for r in rows for k in r)
    return {k: middle([r.get(k) for r in rows]) for k in keys
            if any(isinstance(r.get(k), Number) for r in rows)}


def ratios(runs, case, name):
    """Medians of the ratios within each run."""
    found = {}
    for field in COMPARED:
        for peer in ("limit", "bbe"):
            if peer != name:
                key = f"{field}_x_{peer}".replace("cpu_us_x", "cpu_x")
                rows_of_runs = [r["cases"][case] for r in runs]
                found[key] = middle([ratio(of[name].get(field), of.get(peer, {}).get(field))
                                     for of in rows_of_runs])
    return found


def summary(runs, window_s):
    """All that results.json holds."""
    names = [c.name for c in CASES if c.name in runs[0]["cases"]]
    cases = {case: {who: medians([r["cases"][case][who] for r in runs])
                    for who in CONTENDERS if who in runs[0]["cases"][case]} for case in names}
    results = {
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(),
                    "arch": platform.machine()},
        "runs": len(runs), "window_s": window_s,
        "cases": cases,
        "ratios": {case: {who: ratios(runs, case, who) for who in cases[case]} for case in names},
        "scenarios": {name: medians([r["scenarios"][name] for r in runs])
                      for name in runs[0]["scenarios"]},
        "raw": runs,
    }
    results["goals"] = goals.all_of(results)
    return results


def shown(value, form):
    return "-" if value is None else format(value, form)


def rows(results):
    for case, contenders in results["cases"].items():
        for who, row in contenders.items():
            x = results["ratios"][case][who]
            cpu = shown(row.get("cpu_us"), ",.0f")
            if row.get("driver_us") is not None:
                cpu += f" (+{row['driver_us']:,.0f})"
            pair = [" / ".join(shown(row.get(f"{what}_{q}_us"), ",.0f") for q in ("p50", "p99"))
                    for what in ("jitter", "error")]
            yield [case, NAMES.get(who, who), cpu, shown(x.get("cpu_x_limit"), ".2f"),
                   shown(x.get("cpu_x_bbe"), ".3f"), shown(row.get("rss_mb"), ".1f"),
                   shown(row.get("achieved"), ".2%"), shown(row.get("healthy"), ".2%"), *pair]


def table(results):
    """A Markdown table with even columns."""
    lines = [COLUMNS, *rows(results)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    padded = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines]
    padded.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(padded)


def facts(results):
    """The scenarios' numbers, a line each."""
    return [f"{name}: " + ", ".join(f"{k} {v:,.4g}" for k, v in values.items() if v is not None)
            for name, values in results["scenarios"].items()]


def measured(results):
    """(what, row) of everything that was tried in any run."""
    for run in results["raw"]:
        for case, contenders in run["cases"].items():
            for who, row in contenders.items():
                yield f"{case} {who}", row
        yield from run["scenarios"].items()


def failures(results):
    return [f"FAILED: {what}: {row['failed']}"
            for what, row in measured(results) if "failed" in row]


def lost_packets(results):
    """A warning when a capture was not whole, for then its truth is not either."""
    return [f"WARNING: {what}: the capture lost {row['capture_dropped']:,.0f} packets"
            for what, row in measured(results) if row.get("capture_dropped")]


def text(results):
    m = results["machine"]
    head = (f"{results['runs']} run(s) of {results['window_s']:g} s per pass, medians; "
            f"{m['cpus']} CPUs, Linux {m['kernel']}, {m['arch']}")
    return "\n".join([head, "", table(results), "", *facts(results), *lost_packets(results),
                      *failures(results), "", *[goals.line(g) for g in results["goals"]]])


def write_docs(results, path):
    """Replaces what is between the two markers."""
    before, rest = path.read_text().split(BEGIN)
    after = rest.split(END)[1]
    m = results["machine"]
    head = (f"Medians of {results['runs']} run(s), {results['window_s']:g} s per pass, on "
            f"{m['cpus']} CPUs ({m['arch']}, Linux {m['kernel']}).")
    block = [head, "", table(results), ""]
    if results["scenarios"]:
        block += [*[f"- {fact}" for fact in facts(results)], ""]
    block += [*[f"- {goals.line(g)}" for g in results["goals"]]]
    path.write_text("\n".join([before + BEGIN, *block, END + after]))
