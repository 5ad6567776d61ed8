"""Runs hotspare, and reads its /metrics and its log."""

import re
import time
import urllib.request
from collections import defaultdict

from host import Process, free_port, wait_until
from targets import HOST

ADDRESS = re.compile(r"127\.10\.\d+\.\d+")
SAMPLE = re.compile(r"^(hotspare_\w+|process_\w+)(\{[^\n]*\})? (\S+)", re.M)
REASON = re.compile(r'reason="([^"]*)"')
SUM, COUNT = "hotspare_probe_duration_seconds_sum", "hotspare_probe_duration_seconds_count"
ATTEMPTS = "hotspare_probe_attempts_total"
FAILURES = "hotspare_probe_failures_total"
MISSED = "hotspare_schedule_missed_slots_total"
KEPT = {SUM, COUNT, ATTEMPTS, FAILURES, MISSED}
LOG_TARGET = re.compile(r"\btarget=\S*?(127\.10\.\d+\.\d+)")
LOG_SECONDS = re.compile(r"\bseconds=([\d.e-]+)")
START_S = 20
# More than any case asks for.
MAX_TARGETS = 100_000

CHECKS = {
    "http": ("{ http: {} }", "http://{}:{}/"),
    "https": (f"{{ http: {{ host: {HOST} }} }}", "https://{}:{}/"),
    "tcp": ("{ tcp: {} }", "{}:{}"),
    "icmp": ("{ ping: { count: 1 } }", "{}"),
}


def ms(seconds):
    return f"{round(seconds * 1000)}ms"


def probe(name, kind, targets, port):
    """One probe's part of a configuration; a target's name is its IP address."""
    check, address = CHECKS[kind]
    lines = [f"  - name: {name}", f"    check: {check}", "    targets:", "      r1:"]
    lines += [f'        - {{ name: "{t}", address: "{address.format(t, port)}" }}' for t in targets]
    return "\n".join(lines)


def whole(probes, interval_s, timeout_s):
    """A configuration file of one region."""
    return "\n".join(["region: r1", "regions: [{ name: r1 }]",
                      f"defaults: {{ interval: {ms(interval_s)}, timeout: {ms(timeout_s)} }}",
                      f"limits: {{ max_targets: {MAX_TARGETS} }}",
                      "probes:", *probes]) + "\n"


def config(kind, targets, port, interval_s, timeout_s):
    return whole([probe("bench", kind, targets, port)], interval_s, timeout_s)


class Daemon:
    def __init__(self, process, port, log, file):
        self.process, self.port, self.log, self.file = process, port, log, file
        self.url = f"http://127.0.0.1:{port}/metrics"

    def page(self):
        with urllib.request.urlopen(self.url, timeout=START_S) as reply:
            return reply.read().decode()

    def answers(self):
        try:
            return bool(self.page())
        except OSError:
            return False

    def collect(self, pages, every_s, until):
        """Adds a page each `every_s` seconds to `pages`."""
        while (now := time.monotonic()) < until:
            pages.append(self.page())
            time.sleep(max(0, now + every_s - time.monotonic()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()


def start(world, text, env=None, level="info"):
    """Starts the daemon on the configuration `text` and waits for /metrics."""
    file, log = world.file("hotspare.yaml"), world.file("hotspare.log")
    file.write_text(text)
    port = free_port()
    process = Process([world.hotspare, "run", "--config.file", file, "--region", "r1",
                       "--web.listen-address", f"127.0.0.1:{port}", f"--log.level={level}"],
                      stdout=world.file("hotspare.out"), stderr=log, env=env)
    daemon = Daemon(process, port, log, file)
    try:
        wait_until("hotspare answers /metrics", daemon.answers, process, START_S)
    except BaseException:
        process.end()
        raise
    return daemon


def samples(page):
    """(family, labels, value) of the few families that are read here."""
    for m in SAMPLE.finditer(page):
        if m[1] in KEPT:
            yield m[1], m[2] or "", float(m[3])


def totals(page):
    sums = defaultdict(float)
    reasons = defaultdict(float)
    for family, labels, value in samples(page):
        sums[family] += value
        if family == FAILURES and (reason := REASON.search(labels)):
            reasons[reason[1]] += value
    return sums, reasons


def difference(before, after):
    """What happened between two pages."""
    (a, reasons_a), (b, reasons_b) = totals(before), totals(after)
    if ATTEMPTS not in b:
        raise RuntimeError(f"/metrics has no {ATTEMPTS}")
    return {
        "attempts": b[ATTEMPTS] - a[ATTEMPTS],
        "failures": b[FAILURES] - a[FAILURES],
        "missed_slots": b[MISSED] - a[MISSED],
        "reasons": {r: n - reasons_a[r] for r, n in reasons_b.items() if n != reasons_a[r]},
    }


def by_target(page):
    """{address: (sum, count)} of the duration histogram."""
    found = defaultdict(lambda: [0.0, 0])
    for family, labels, value in samples(page):
        address = ADDRESS.search(labels)
        if address and family in (SUM, COUNT):
            found[address[0]][family == COUNT] = value
    return found


def singled(pages):
    """(target, ordinal, seconds) of every success that alone lies between two pages."""
    reports = []
    last = by_target(pages[0]) if pages else {}
    for page in pages[1:]:
        now = by_target(page)
        for target, (total, count) in now.items():
            before_total, before_count = last.get(target, (0.0, 0))
            if count == before_count + 1:
                reports.append((target, int(count), total - before_total))
        last = now
    return reports


def logged(text):
    """(target, ordinal, seconds) of every success in a debug log."""
    seen = defaultdict(int)
    reports = []
    for line in text.splitlines():
        if "outcome=ok" not in line:
            continue
        target, seconds = LOG_TARGET.search(line), LOG_SECONDS.search(line)
        if target and seconds:
            seen[target[1]] += 1
            reports.append((target[1], seen[target[1]], float(seconds[1])))
    return reports
