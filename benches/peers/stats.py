"""Quantiles and medians, of plain lists."""

from statistics import median


def quantile(values, q):
    """The nearest-rank quantile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def middle(values):
    """The median of those that are not None; None when none is."""
    known = [v for v in values if v is not None]
    return median(known) if known else None


def ratio(a, b):
    """a / b, or None when either is missing or b is zero."""
    return a / b if a is not None and b else None
