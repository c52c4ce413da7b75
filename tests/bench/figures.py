"""How figures are summed up."""

from __future__ import annotations

from collections.abc import Sequence


def spread(seconds: Sequence[float]) -> dict[str, float | int]:
    """p50, p95 and maximum in milliseconds, with the number of samples."""
    values = sorted(value * 1000 for value in seconds)
    if not values:
        return {"n": 0, "p50": 0.0, "p95": 0.0, "max": 0.0}

    def at(share: float) -> float:
        value = values[min(len(values) - 1, int(share * len(values)))]
        return round(value, 1) if value >= 10 else round(value, 2)

    return {"n": len(values), "p50": at(0.5), "p95": at(0.95), "max": round(values[-1], 1)}
