"""What is measured: cases, times, goals. Every number of the harness that is a choice is here."""

from dataclasses import dataclass

PERIOD_S = 1.0  # every target is probed once a second, so targets = rate
TIMEOUT_S = 0.9  # of every contender
WARM_UP_S = 2.0  # start-up, first round and connection pools are not measured
WINDOW_S = 8.0  # whole periods, so that each target counts equally
QUICK_WARM_UP_S = 1.0
QUICK_WINDOW_S = 2.0
SETTLE_S = 0.5  # between two passes, for the kernel to close what the last one left
RUNS = 5

# Latency is compared with the wire up to this rate: above it the second pass, which prints or
# scrapes every probe, would measure its own load.
ERROR_RATE_MAX = 1000


@dataclass(frozen=True)
class Case:
    """Probes of one kind at one rate, in probes per second."""

    kind: str
    rate: int

    @property
    def name(self):
        return f"{self.kind}-{self.rate}"


CASES = [
    Case("http", 100),
    Case("http", 1000),
    Case("http", 5000),
    Case("tcp", 100),
    Case("tcp", 1000),
    Case("tcp", 5000),
    Case("icmp", 100),
    Case("icmp", 1000),
    Case("icmp", 5000),
    Case("https", 200),
    Case("https", 500),
]
QUICK_CASES = ["http-1000", "icmp-1000"]
SCENARIOS = ["memory", "large", "freeze", "overload", "scale"]
QUICK_SCENARIOS = []
CONTENDERS = ["limit", "bbe", "fping", "hotspare"]

# The hotspare-only scenarios.
LARGE_TARGETS = 5000
LARGE_INTERVAL_S = 5.0  # 5,000 targets: 1,000 probes/s
LARGE_WINDOW_S = 20.0  # four periods, thus three intervals per target
SCRAPES = 5
SCRAPE_INTERVAL_S = 1.0
MIXED_KINDS = ["tcp", "http", "https", "icmp"]
MIXED_TARGETS = 52  # as many of each kind
FREEZE_S = 3.0
FREEZES = 3
FREEZE_RATE = 5000  # so that nearly every freeze catches some runs in flight
OVERLOAD_RATE = 24000  # three times the 8,000 HTTP probes/s that goal 10 asks of two cores
OVERLOAD_WINDOW_S = 8.0
SCALE_TARGETS = [1000, 5000, 10000, 20000]
SCALE_INTERVAL_S = 10.0
SCALE_WINDOW_S = 20.0
SCALE_REPLACED = 5  # with a reload, each of so many targets is another one

US = 1e6  # microseconds per second
MB = 1e6

# The goals: a limit each, compared with `<=` unless the goal says otherwise.
GOAL_HTTP_X_LIMIT = 1.5
GOAL_HTTP_X_BBE = 1 / 5
GOAL_HTTPS_X_BBE = 0.45
GOAL_TCP_X_BBE = 1 / 5
GOAL_ICMP_X_BBE = 1 / 6
GOAL_ICMP_ERROR_P50_US = 60
GOAL_HTTP_ERROR_P50_US = 60
GOAL_RATE_OFF = 0.001
GOAL_JITTER_P50_US = 30
GOAL_JITTER_P99_X_LIMIT = 1.5
GOAL_IDLE_MB = 10
GOAL_MIXED_MB = 40
GOAL_GROWTH_MB = 40
GOAL_SCRAPE_PLAIN_MS = 10
GOAL_SCRAPE_GZIP_MS = 35
GOAL_SCRAPED_JITTER_X = 1.2
