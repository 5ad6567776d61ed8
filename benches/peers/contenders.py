"""The contenders, each started the way its users would, on the same targets at the same rate.

A contender has `process`, whose CPU and memory are measured, and after its end tells by
`pairs(truth, begin, end)` what it reported of each probe beside what the capture says, in seconds.
"""

import re
import struct
from collections import defaultdict

import hotspare
from host import Process, free_port, listens, wait_until
from plan import PERIOD_S, TIMEOUT_S
from targets import HOST, addresses

RECORD = struct.Struct("=IIqqq")  # struct record of paced.h
NS = 1e9
FPING_LINE = re.compile(r"^\[(\d+)\.(\d+)\] (\S+) +: \[\d+\], .* bytes, ([\d.]+) ms ", re.M)


class Contender:
    kinds = ("http", "tcp", "icmp", "https")
    second_pass = False  # whether telling of each probe costs so much that it needs its own pass
    process = None
    driver = None

    def __init__(self, world, case, telling=False):
        self.world, self.case, self.telling = world, case, telling
        self.targets = addresses(int(case.rate * PERIOD_S))
        self.port = world.targets.port(case.kind)
        self.list = world.file("targets.txt")
        self.list.write_text("\n".join(self.targets) + "\n")
        self.env = {"SSL_CERT_FILE": str(world.targets.ca)}  # OpenSSL, Go and hotspare honour it

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.driver, self.process):
            if process:
                process.end()

    def mark(self):
        """Called before and after the window, outside of what is measured."""

    def facts(self):
        """What it says of the window beside latencies, once it has ended."""
        return {}

    def pairs(self, _truth, _begin, _end):
        return []


class Recorded(Contender):
    """One whose records are a file of `struct record`."""

    def records(self, begin, end):
        data = self.world.file("records").read_bytes()
        data = data[:len(data) // RECORD.size * RECORD.size]
        for number, ok, at, latency, phases in RECORD.iter_unpack(data):
            if begin <= at < end:
                yield self.targets[number], ok, at, latency / NS, phases / NS

    def pairs(self, truth, begin, end):
        return joined(truth, ((t, at, phases or latency)
                              for t, ok, at, latency, phases in self.records(begin, end) if ok))

    def healthy(self, begin, end):
        """The share of the probes that it reported as a success: all targets are healthy."""
        oks = [ok for _, ok, *_ in self.records(begin, end)]
        return sum(oks) / len(oks) if oks else None


def joined(truth, reports):
    """(reported, true) seconds, a report being of its target's latest flow before it."""
    pairs = []
    for target, at, seconds in reports:
        flow = truth.last_before(target, at)
        true = flow.latency_s(truth.kind) if flow else None
        if true is not None:
            pairs.append((seconds, true))
    return pairs


class Limit(Recorded):
    name = "limit"

    def start(self):
        self.process = Process([self.world.limit, self.case.kind, self.case.rate, self.port,
                                self.list, self.world.file("records")],
                               stderr=self.world.file("limit.err"), env=self.env)


BBE_CONFIG = f"""
modules:
  http: {{ prober: http, timeout: {TIMEOUT_S}s, http: {{ preferred_ip_protocol: ip4 }} }}
  https:
    prober: http
    timeout: {TIMEOUT_S}s
    http:
      preferred_ip_protocol: ip4
      headers: {{ Host: {HOST} }}
      tls_config: {{ server_name: {HOST} }}
  tcp: {{ prober: tcp, timeout: {TIMEOUT_S}s, tcp: {{ preferred_ip_protocol: ip4 }} }}
  icmp: {{ prober: icmp, timeout: {TIMEOUT_S}s, icmp: {{ preferred_ip_protocol: ip4 }} }}
"""


def start_bbe(world, env=None):
    """blackbox_exporter and its port."""
    config, said = world.file("bbe.yml"), world.file("bbe.err")
    config.write_text(BBE_CONFIG)
    port = free_port()
    process = Process(["prometheus-blackbox-exporter", f"--config.file={config}",
                       f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
                      stderr=said, env=env)
    wait_until("blackbox_exporter listens", lambda: listens(port), process)
    return process, port


class Bbe(Recorded):
    name = "bbe"
    scheme = {"http": "http://", "https": "https://", "tcp": "", "icmp": ""}

    def start(self):
        self.process, port = start_bbe(self.world, self.env)
        kind = self.case.kind
        self.driver = Process([self.world.driver, kind, self.scheme[kind], self.case.rate, port,
                               self.port, self.list, self.world.file("records")],
                              stderr=self.world.file("driver.err"))


class Fping(Contender):
    name = "fping"
    kinds = ("icmp",)
    second_pass = True  # a line per reply; quiet it is as cheap as it gets

    def start(self):
        period_ms = PERIOD_S * 1000
        how = ["-D"] if self.telling else ["-q"]
        self.process = Process(["fping", "-l", *how, "-p", f"{period_ms:.0f}",
                                "-i", f"{1000 / self.case.rate:g}", "-f", "-"],
                               stdin=self.list, stdout=self.world.file("fping.out"),
                               stderr=self.world.file("fping.err"))

    def pairs(self, truth, begin, end):
        text = self.world.file("fping.out").read_text()
        lines = ((m[3], int(m[1]) * 10**9 + int(m[2].ljust(9, "0")), float(m[4]) / 1e3)
                 for m in FPING_LINE.finditer(text))
        return joined(truth, ((t, at, s) for t, at, s in lines if begin <= at < end))


class Hotspare(Contender):
    name = "hotspare"
    second_pass = True  # scraped twice a period, or at --log.level=debug

    def start(self):
        level = "debug" if self.telling and self.world.latency_from == "log" else "info"
        config = hotspare.config(self.case.kind, self.targets, self.port, PERIOD_S, TIMEOUT_S)
        self.daemon = hotspare.start(self.world, config, self.env, level)
        self.process = self.daemon.process
        self.pages = []

    def mark(self):
        self.pages.append(self.daemon.page())

    def tell(self, until):
        """Keeps pages, two a period, so that at most one probe lies between two."""
        if self.world.latency_from == "metrics":
            self.daemon.collect(self.pages, PERIOD_S / 2, until)

    def facts(self):
        return hotspare.difference(self.pages[0], self.pages[-1])

    def pairs(self, truth, _begin, _end):
        """The n-th success that it reports of a target is that target's n-th answered flow."""
        answered = defaultdict(list)
        for target, flows in truth.by_target.items():
            took = (f.latency_s(truth.kind) for f in flows)
            answered[target] = [t for t in took if t is not None]
        if self.world.latency_from == "log":
            reports = hotspare.logged(self.daemon.log.read_text())
        else:
            reports = hotspare.singled(self.pages)
        return [(seconds, answered[t][n - 1]) for t, n, seconds in reports if n <= len(answered[t])]


BY_NAME = {c.name: c for c in (Limit, Bbe, Fping, Hotspare)}
