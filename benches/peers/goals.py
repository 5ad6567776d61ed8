"""The goals, judged on the medians of a set of results."""

import plan


def judged(number, what, measured, allowed, unit=""):
    """One goal: met when `measured` is at most `allowed`, unknown when it was not measured."""
    return {"goal": number, "what": what, "measured": measured, "allowed": allowed, "unit": unit,
            "met": None if measured is None else measured <= allowed}


def line(goal):
    """`goal 1: HTTP CPU 1.32x of limit (asked <= 1.5x) met`"""
    name, unit = f"goal {goal['goal']}: {goal['what']}", goal["unit"]
    if goal["met"] is None:
        return f"{name} not measured"
    verdict = "met" if goal["met"] else "MISSED"
    return f"{name} {goal['measured']:.4g}{unit} (asked <= {goal['allowed']:.4g}{unit}) {verdict}"


def all_of(results):
    """Every goal; those without a measurement stay unknown."""
    return [*cpu(results), *precision(results), *alone(results["scenarios"])]


def reader(results):
    def of(case, field, part="cases"):
        return results[part].get(case, {}).get("hotspare", {}).get(field)
    return of


def cpu(results):
    of = reader(results)

    def against(number, kind, rate, peer, allowed):
        return judged(number, f"{kind.upper()} {rate}/s CPU of {peer}",
                      of(f"{kind}-{rate}", f"cpu_x_{peer}", "ratios"), allowed, "x")

    return [
        against(1, "http", 1000, "limit", plan.GOAL_HTTP_X_LIMIT),
        against(1, "http", 1000, "bbe", plan.GOAL_HTTP_X_BBE),
        against("2 (first step)", "icmp", 1000, "bbe", plan.GOAL_ICMP_X_BBE),
        against(3, "https", 500, "bbe", plan.GOAL_HTTPS_X_BBE),
        against(4, "tcp", 1000, "bbe", plan.GOAL_TCP_X_BBE),
    ]


def precision(results):
    of = reader(results)

    def off(case):
        achieved = of(case, "achieved")
        return None if achieved is None else abs(achieved - 1) * 100

    found = []
    for kind in ("http", "tcp", "icmp"):
        at = f"{kind}-1000"
        found += [
            judged(5, f"{kind.upper()} 5000/s rate off by", off(f"{kind}-5000"),
                   plan.GOAL_RATE_OFF * 100, "%"),
            judged(5, f"{kind.upper()} 1000/s jitter p50", of(at, "jitter_p50_us"),
                   plan.GOAL_JITTER_P50_US, " us"),
            judged(5, f"{kind.upper()} 1000/s jitter p99 of limit",
                   of(at, "jitter_p99_us_x_limit", "ratios"), plan.GOAL_JITTER_P99_X_LIMIT, "x"),
        ]
    return found + [
        judged("6 (first step)", "ICMP 1000/s error p50", of("icmp-1000", "error_p50_us"),
               plan.GOAL_ICMP_ERROR_P50_US, " us"),
        judged(6, "HTTP 1000/s error p50", of("http-1000", "error_p50_us"),
               plan.GOAL_HTTP_ERROR_P50_US, " us"),
    ]


def alone(scenarios):
    memory, large = scenarios.get("memory", {}), scenarios.get("large", {})
    freeze, overload = scenarios.get("freeze", {}), scenarios.get("overload", {})
    before, after = large.get("jitter_p99_us"), large.get("scraped_jitter_p99_us")
    few = f"memory with {plan.MIXED_TARGETS} targets of four kinds"
    lost = "slots of the freezes neither run nor counted as missed"
    return [
        judged(8, "memory idle", memory.get("idle_mb"), plan.GOAL_IDLE_MB, " MB"),
        judged(8, few, memory.get("mixed_mb"), plan.GOAL_MIXED_MB, " MB"),
        judged(8, "memory growth at 5,000 targets, scraped", large.get("scraped_growth_mb"),
               plan.GOAL_GROWTH_MB, " MB"),
        judged(9, "/metrics of 5,000 targets", large.get("plain_ms"),
               plan.GOAL_SCRAPE_PLAIN_MS, " ms"),
        judged(9, "/metrics of 5,000 targets, gzip", large.get("gzip_ms"),
               plan.GOAL_SCRAPE_GZIP_MS, " ms"),
        judged(9, "jitter p99 while scraped of unscraped", after / before if before else None,
               plan.GOAL_SCRAPED_JITTER_X, "x"),
        judged(11, "failures invented by freezes of 3 s", freeze.get("failures"), 0),
        judged(11, lost, freeze.get("slots_unaccounted"), 0),
        judged(11, "failures invented at 24,000 HTTP/s", overload.get("invented"), 0),
    ]
