"""What only hotspare is asked: memory, many targets, a freeze and overload."""

import signal
import subprocess
import threading
import time

import hotspare
import plan
from capture import Capture
from contenders import start_bbe
from measure import schedule, wall_ns
from plan import MB
from stats import middle
from targets import addresses

IDLE_INTERVAL_S = 10.0
CURL_S = 30  # a page that takes longer is a failure
REST_S = 4.0  # long enough for start-up's garbage to be returned


def resting_mb(world, text):
    """RSS some seconds after the start."""
    env = {"SSL_CERT_FILE": str(world.targets.ca)}
    with hotspare.start(world, text, env) as daemon:
        time.sleep(REST_S)
        daemon.process.check_alive()
        return daemon.process.memory_bytes() / MB


def memory(world):
    """Goal 8: idle, with a few targets of several kinds, and blackbox_exporter idle."""
    port = world.targets.port
    one = hotspare.config("tcp", addresses(1), port("tcp"), IDLE_INTERVAL_S, plan.TIMEOUT_S)
    each = addresses(plan.MIXED_TARGETS // len(plan.MIXED_KINDS))
    mixed = hotspare.whole([hotspare.probe(k, k, each, port(k)) for k in plan.MIXED_KINDS],
                           plan.PERIOD_S, plan.TIMEOUT_S)
    bbe, _ = start_bbe(world)
    with bbe:
        time.sleep(REST_S)
        bbe_mb = bbe.memory_bytes() / MB
    return {"idle_mb": resting_mb(world, one), "mixed_mb": resting_mb(world, mixed),
            "bbe_idle_mb": bbe_mb}


def curl_ms(url, *options):
    """(first byte, whole page) in milliseconds and bytes of one GET."""
    out = subprocess.run(
        ["curl", "-s", "-f", "-m", str(CURL_S), "-o", "/dev/null", *options,
         "-w", "%{time_starttransfer} %{time_total} %{size_download}", url],
        check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]) * 1e3, float(out[1]) * 1e3, int(out[2])


def scrape_times(url, name, *options):
    got = [curl_ms(url, *options) for _ in range(plan.SCRAPES)]
    return {f"{name}_first_byte_ms": middle([g[0] for g in got]),
            f"{name}_ms": middle([g[1] for g in got]), f"{name}_bytes": got[-1][2]}


def watched(world, daemon, scraped):
    """Jitter at many targets, scraped every second or not at all."""
    done = threading.Event()

    def scrape():
        while not done.wait(plan.SCRAPE_INTERVAL_S):
            curl_ms(daemon.url)

    thread = threading.Thread(target=scrape)
    with Capture(world.folder, "tcp", world.targets.port("tcp")) as capture:
        begin, cpu = wall_ns(), daemon.process.cpu_s()
        if scraped:
            thread.start()
        time.sleep(plan.LARGE_WINDOW_S)
        end, cpu = wall_ns(), daemon.process.cpu_s() - cpu
        done.set()
        if scraped:
            thread.join()
    rate = plan.LARGE_TARGETS / plan.LARGE_INTERVAL_S
    row = schedule(capture.truth(), begin, end, rate, plan.LARGE_INTERVAL_S)
    return row | {"cpu_us": cpu * plan.US / row["probes"] if row["probes"] else None}


def large(world):
    """Goals 8 and 9: 5,000 targets, their memory, their page and the page's price."""
    port = world.targets.port("tcp")
    few, many = (hotspare.config("tcp", addresses(n), port, plan.LARGE_INTERVAL_S, plan.TIMEOUT_S)
                 for n in (1, plan.LARGE_TARGETS))
    idle = resting_mb(world, few)
    with hotspare.start(world, many) as daemon:
        time.sleep(plan.LARGE_INTERVAL_S + plan.PERIOD_S)  # every target has been probed
        quiet = watched(world, daemon, scraped=False)
        growth = daemon.process.memory_bytes() / MB - idle
        page = daemon.page()
        times = scrape_times(daemon.url, "plain") | scrape_times(daemon.url, "gzip",
                                                                 "-H", "Accept-Encoding: gzip")
        if times["gzip_bytes"] >= times["plain_bytes"]:
            raise RuntimeError("/metrics was asked for gzip and did not compress")
        scraped = watched(world, daemon, scraped=True)
        scraped_growth = daemon.process.memory_bytes() / MB - idle
    buckets = page.count("hotspare_probe_duration_seconds_bucket{")
    return times | {
        "targets": plan.LARGE_TARGETS, "buckets": buckets / plan.LARGE_TARGETS,
        "growth_mb": growth, "scraped_growth_mb": scraped_growth,
        "jitter_p99_us": quiet["jitter_p99_us"], "cpu_us": quiet["cpu_us"],
        "scraped_jitter_p99_us": scraped["jitter_p99_us"], "scraped_cpu_us": scraped["cpu_us"],
    }


def freeze_once(process):
    process.child.send_signal(signal.SIGSTOP)
    try:
        time.sleep(plan.FREEZE_S)
    finally:
        process.child.send_signal(signal.SIGCONT)
    time.sleep(plan.WARM_UP_S)


def freeze(world):
    """Goal 11: stopped for some seconds and let go, some times over. The targets were healthy all
    the time, and every slot of the time between the two pages must be a run or a missed one."""
    targets = addresses(int(plan.FREEZE_RATE * plan.PERIOD_S))
    text = hotspare.config("http", targets, world.targets.port("http"), plan.PERIOD_S,
                           plan.TIMEOUT_S)
    with hotspare.start(world, text) as daemon:
        time.sleep(plan.WARM_UP_S)
        before, begin = daemon.page(), time.monotonic()
        for _ in range(plan.FREEZES):
            freeze_once(daemon.process)
        end, after = time.monotonic(), daemon.page()
    result = hotspare.difference(before, after)
    # One slot per target may be due and not yet decided when the page is made.
    slots = (end - begin) * plan.FREEZE_RATE - len(targets)
    counted = result["attempts"] + result["missed_slots"]
    return result | {"slots": slots, "slots_unaccounted": max(0, slots - counted)}


def overload(world):
    """Goal 11: asked three times what the machine can do.

    A failure is the target's when the wire shows it: no handshake, no answer, or the target's own
    share of the time beyond the timeout. Every other failure is invented."""
    port = world.targets.port("http")
    targets = addresses(int(plan.OVERLOAD_RATE * plan.PERIOD_S))
    text = hotspare.config("http", targets, port, plan.PERIOD_S, plan.TIMEOUT_S)
    with Capture(world.folder, "http", port) as capture:
        with hotspare.start(world, text) as daemon:
            begin = wall_ns()
            time.sleep(plan.OVERLOAD_WINDOW_S)
            end, rss = wall_ns(), daemon.process.memory_bytes("VmHWM")
            time.sleep(plan.TIMEOUT_S)  # the last runs end, and are counted
            daemon.process.check_alive()
            result = hotspare.difference("", daemon.page())
    truth = capture.truth()
    flows = [f for of_target in truth.by_target.values() for f in of_target if f.start < end]
    took = [f.target_took_s() for f in flows]
    guilty = sum(t is None or t > plan.TIMEOUT_S for t in took)
    return result | {
        "asked_per_s": plan.OVERLOAD_RATE,
        "done_per_s": truth.count(begin, end) / ((end - begin) / 1e9),
        "failures_on_the_wire": guilty, "invented": max(0, result["failures"] - guilty),
        "peak_rss_mb": rss / MB, "capture_dropped": truth.dropped,
    }


def reload_ms(daemon, text):
    """How long the order to take another configuration is waited for."""
    daemon.file.write_text(text)
    return curl_ms(daemon.url.replace("/metrics", "/-/reload"), "-X", "POST")[1]


def scale(world):
    """What some numbers of targets cost, each probed over HTTP every ten seconds."""
    port, values = world.targets.port("http"), {}
    for n in plan.SCALE_TARGETS:
        targets = addresses(n)
        text = hotspare.config("http", targets, port, plan.SCALE_INTERVAL_S, plan.TIMEOUT_S)
        with hotspare.start(world, text) as daemon:
            time.sleep(plan.SCALE_INTERVAL_S + plan.PERIOD_S)  # every target has been probed
            before, cpu = daemon.page(), daemon.process.cpu_s()
            time.sleep(plan.SCALE_WINDOW_S)
            cpu = daemon.process.cpu_s() - cpu
            result = hotspare.difference(before, daemon.page())
            gzip = scrape_times(daemon.url, "gzip", "-H", "Accept-Encoding: gzip")
            other = hotspare.config("http", targets[len(targets) // plan.SCALE_REPLACED:], port,
                                    plan.SCALE_INTERVAL_S, plan.TIMEOUT_S)
            out, back = reload_ms(daemon, other), reload_ms(daemon, text)
            rss = daemon.process.memory_bytes() / MB
        values |= {f"{n}_cpu_percent": 100 * cpu / plan.SCALE_WINDOW_S, f"{n}_rss_mb": rss,
                   f"{n}_missed_slots": result["missed_slots"], f"{n}_failures": result["failures"],
                   f"{n}_gzip_ms": gzip["gzip_ms"], f"{n}_gzip_mb": gzip["gzip_bytes"] / MB,
                   f"{n}_reload_out_ms": out, f"{n}_reload_in_ms": back}
    return values


BY_NAME = {"memory": memory, "large": large, "freeze": freeze, "overload": overload,
           "scale": scale}
