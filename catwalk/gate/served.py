"""The check of whether a model serves what was tested: its behaviour in a separate server, before it may ship."""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.gate.config import GateConfig
from catwalk.ledger.records.decision import CheckRecord, Verdict

CHECK = "serves"


@dataclass(frozen=True)
class Served:
    """The behaviour of a challenger when its server was asked about test examples, one by one."""

    examples: int
    other_answers: int
    """How many of these it answered differently from the test."""
    start_seconds: float
    """Seconds from the start of the process until it was ready."""
    p99_seconds: float
    """The 99th percentile of the request durations."""
    memory_bytes: int
    """The resident memory after all requests."""


def serves(served: Served, config: GateConfig) -> CheckRecord:
    """Returns the check; value and threshold are those of the 99th percentile, in seconds."""
    same = served.examples - served.other_answers
    alone = " only" if served.other_answers else ""
    findings = [f"gives the same answer as in its test to{alone} {same:,} of {served.examples:,} examples"]
    limits = [
        ("has a 99th percentile of", served.p99_seconds, config.serve_p99_seconds_cap, "{:.3f} s"),
        ("is ready after", served.start_seconds, config.serve_start_seconds_cap, "{:.1f} s"),
        ("uses", served.memory_bytes, config.serve_memory_bytes_cap, "{:,} bytes"),
    ]
    findings += [_limit_text(*limit) for limit in limits]
    failed = served.other_answers or any(cap is not None and value > cap for _, value, cap, _ in limits)
    verdict: Verdict = "failed" if failed else "passed"
    sentence = f"In a separate server it {', '.join(findings[:-1])}, and {findings[-1]}."
    return CheckRecord(CHECK, verdict, served.p99_seconds, config.serve_p99_seconds_cap, None, None, sentence)


def does_not_serve(why: str) -> CheckRecord:
    """Returns the check of a challenger whose server was never ready, or failed."""
    return CheckRecord(CHECK, "failed", None, None, None, None, f"In a separate server it does not answer: {why}.")


def not_asked(why: str) -> CheckRecord:
    """Returns the check if no server was tested; it blocks nothing."""
    return CheckRecord(CHECK, "skipped", None, None, None, None, f"It was not tested in a server: {why}.")


def _limit_text(what: str, value: float, cap: float | None, form: str) -> str:
    beyond = cap is not None and value > cap
    return f"{what} {form.format(value)}" + (f", above the cap of {form.format(cap)}" if beyond else "")
