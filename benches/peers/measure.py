"""One pass of one contender over one case, and what it cost."""

import time

from capture import Capture
from contenders import BY_NAME
from plan import ERROR_RATE_MAX, MB, PERIOD_S, SETTLE_S, US
from stats import quantile

NS = 1e9


def wall_ns():
    return time.clock_gettime_ns(time.CLOCK_REALTIME)  # the clock of the capture


def jitter_us(starts, period_s):
    """How far each interval between two probes of a target is from the period."""
    return [abs((b - a) / NS - period_s) * US
            for times in starts.values() for a, b in zip(times, times[1:])]


def stretch(starts, period_s):
    """By how much the mean interval differs from the period: 0.01 is one per cent longer."""
    spans = [(times[-1] - times[0], len(times) - 1) for times in starts.values() if len(times) > 1]
    count = sum(n for _, n in spans)
    return sum(span for span, _ in spans) / NS / count / period_s - 1 if count else None


def schedule(truth, begin, end, rate, period_s=PERIOD_S):
    """Rate and jitter, by the capture."""
    starts = truth.starts(begin, end)
    jitter = jitter_us(starts, period_s)
    count = sum(len(s) for s in starts.values())
    return {
        "probes": count,
        "achieved": count / ((end - begin) / NS) / rate,
        "jitter_p50_us": quantile(jitter, 0.5),
        "jitter_p99_us": quantile(jitter, 0.99),
        "stretch": stretch(starts, period_s),
        "capture_dropped": truth.dropped,
    }


def errors(pairs):
    """How far the reported latency is from the wire's."""
    off = [abs(reported - true) * US for reported, true in pairs]
    return {
        "error_p50_us": quantile(off, 0.5),
        "error_p99_us": quantile(off, 0.99),
        "error_mean_us": sum((r - t) * US for r, t in pairs) / len(pairs) if pairs else None,
        "compared": len(pairs),
        "true_p50_us": quantile([t * US for _, t in pairs], 0.5),
    }


def cost(world, name, case):
    """CPU, memory, rate and jitter; latencies too where telling them costs nothing."""
    contender = BY_NAME[name](world, case)
    with contender, Capture(world.folder, case.kind, contender.port) as capture:
        time.sleep(world.warm_up_s)
        contender.mark()
        process, driver = contender.process, contender.driver
        process.check_alive()
        begin, cpu, driver_cpu = wall_ns(), process.cpu_s(), driver.cpu_s() if driver else 0
        time.sleep(world.window_s)
        end, cpu = wall_ns(), process.cpu_s() - cpu
        driver_cpu = driver.cpu_s() - driver_cpu if driver else None
        rss = process.memory_bytes()
        contender.mark()
        process.check_alive()
    truth = capture.truth()
    row = schedule(truth, begin, end, case.rate)
    probes = row["probes"] or None
    row |= {
        "cpu_us": cpu * US / probes if probes else None,
        "driver_us": driver_cpu * US / probes if driver and probes else None,
        "rss_mb": rss / MB,
    }
    row |= contender.facts()
    if hasattr(contender, "healthy"):
        row["healthy"] = contender.healthy(begin, end)
    elif row.get("attempts"):
        row["healthy"] = 1 - row["failures"] / row["attempts"]
    if not contender.second_pass:
        row |= errors(contender.pairs(truth, begin, end))
    return row


def error(world, name, case):
    """A second pass for those to which telling of every probe is work."""
    contender = BY_NAME[name](world, case, telling=True)
    with Capture(world.folder, case.kind, contender.port) as capture:
        with contender:
            begin = wall_ns()
            until = time.monotonic() + world.warm_up_s + world.window_s
            if hasattr(contender, "tell"):
                contender.tell(until)
            time.sleep(max(0, until - time.monotonic()))
            contender.process.check_alive()
            end = wall_ns()
    return errors(contender.pairs(capture.truth(), begin, end))


def row(world, name, case):
    """All that is measured of a contender in a case, or None when it cannot do the kind."""
    contender = BY_NAME[name]
    if case.kind not in contender.kinds:
        return None
    result = cost(world, name, case)
    time.sleep(SETTLE_S)
    if contender.second_pass and case.rate <= ERROR_RATE_MAX:
        result |= error(world, name, case)
        time.sleep(SETTLE_S)
    return result
