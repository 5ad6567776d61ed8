#!/usr/bin/env python3
"""Measures hotspare beside its peers, on one machine in one run. See docs/performance.md."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import host
import measure
import plan
import report
import scenarios
from contenders import BY_NAME
from targets import Targets

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class World:
    """What all passes share."""

    def __init__(self, folder, args):
        self.folder = Path(folder)
        self.hotspare = Path(args.bin)
        self.latency_from = args.latency_from
        self.window_s = args.window
        self.warm_up_s = plan.QUICK_WARM_UP_S if args.quick else plan.WARM_UP_S
        self.limit = self.compiled("limit", "-lssl", "-lcrypto")
        self.driver = self.compiled("driver")

    def file(self, name):
        return self.folder / name

    def compiled(self, name, *libraries):
        out = self.file(name)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", out, HERE / f"{name}.c",
                        *libraries], check=True)
        return out


def arguments():
    p = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    p.add_argument("--bin", default=ROOT / "target/release/hotspare",
                   help="the hotspare to measure (default: this tree's release build)")
    p.add_argument("--runs", type=int,
                   help=f"runs, of which the medians count (default {plan.RUNS})")
    p.add_argument("--quick", action="store_true", help="a smoke run, under a minute")
    p.add_argument("--window", type=float, help=f"seconds per pass (default {plan.WINDOW_S:g})")
    p.add_argument("--cases", help="e.g. http-1000,icmp-100; 'none' for the scenarios alone")
    p.add_argument("--scenarios", help=f"of {','.join(plan.SCENARIOS)}; or 'none'")
    p.add_argument("--contenders", default=",".join(plan.CONTENDERS),
                   help="who is measured (default all: %(default)s)")
    p.add_argument("--latency-from", choices=["metrics", "log"], default="metrics",
                   help="where hotspare's reported latencies come from")
    p.add_argument("--json", type=Path, default=ROOT / "target/bench/results.json",
                   help="where the results go (default target/bench/results.json)")
    p.add_argument("--write-docs", action="store_true",
                   help="put the results into docs/performance.md")
    p.add_argument("--report-only", action="store_true",
                   help="measure nothing, report the last results")
    args = p.parse_args()
    args.runs = args.runs or (1 if args.quick else plan.RUNS)
    args.window = args.window or (plan.QUICK_WINDOW_S if args.quick else plan.WINDOW_S)
    args.contenders = chosen(p, args.contenders, plan.CONTENDERS)
    names = [c.name for c in plan.CASES]
    picked = chosen(p, args.cases, names, plan.QUICK_CASES if args.quick else names)
    args.cases = [c for c in plan.CASES if c.name in picked]
    args.scenarios = chosen(p, args.scenarios, plan.SCENARIOS,
                            plan.QUICK_SCENARIOS if args.quick else plan.SCENARIOS)
    return args


def chosen(parser, text, known, default=()):
    """The names in a comma-separated argument, all of which must be known."""
    if text is None:
        return list(default)
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in known:
            parser.error(f"{name!r} is none of {', '.join(known)}")
    return names


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def attempt(measured, *args):
    """The measurement, or why there is none: one that fails must not lose the others."""
    try:
        return measured(*args)
    except (RuntimeError, OSError, subprocess.SubprocessError) as e:
        say(f"FAILED: {e}")
        return {"failed": str(e)}


def one_run(world, args, number):
    """{case: {contender: row}} and {scenario: values}; the order of contenders rotates."""
    cases, extras = {}, {}
    turn = number % len(args.contenders)
    order = args.contenders[turn:] + args.contenders[:turn]
    for case in args.cases:
        for name in order:
            if case.kind not in BY_NAME[name].kinds:
                continue
            say(f"run {number + 1}/{args.runs} {case.name} {name}")
            cases.setdefault(case.name, {})[name] = attempt(measure.row, world, name, case)
    if "hotspare" in args.contenders:
        for name in args.scenarios:
            say(f"run {number + 1}/{args.runs} {name}")
            extras[name] = attempt(scenarios.BY_NAME[name], world)
    return {"cases": cases, "scenarios": extras}


def main():
    args = arguments()
    if args.report_only:
        results = json.loads(args.json.read_text())
    else:
        if os.geteuid() != 0:
            sys.exit("scripts/bench: run as root: tcpdump, ICMP and full packet buffers need it")
        host.raise_file_limit()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, which ends what runs
        with tempfile.TemporaryDirectory(prefix="hotspare-bench-") as folder:
            world = World(folder, args)
            with Targets(folder) as targets:
                world.targets = targets
                runs = [one_run(world, args, n) for n in range(args.runs)]
        results = report.summary(runs, args.window)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(report.text(results))
    if args.write_docs:
        report.write_docs(results, ROOT / "docs/performance.md")
    if report.failures(results):
        sys.exit(1)


if __name__ == "__main__":
    main()
