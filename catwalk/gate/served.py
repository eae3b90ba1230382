"""Whether a model serves as it was tested: what it did in a server process of its own, before it may ship."""

from __future__ import annotations

from dataclasses import dataclass

from catwalk.gate.config import GateConfig
from catwalk.ledger.records.decision import CheckRecord, Verdict

CHECK = "serves"


@dataclass(frozen=True)
class Served:
    """What a candidate did when it was asked about test examples, one by one."""

    examples: int
    other_answers: int
    """Of these, how many it answered otherwise than in the test."""
    start_seconds: float
    """From the start of the process until it was ready."""
    p99_seconds: float
    """99th percentile of the requests."""
    memory_bytes: int
    """Resident, after all of them."""


def serves(served: Served, config: GateConfig) -> CheckRecord:
    """The check; value and threshold are the 99th percentile's, in seconds."""
    same = served.examples - served.other_answers
    alone = " alone" if served.other_answers else ""
    told = [f"answers {same:,} of {served.examples:,} examples as in its test{alone}"]
    limits = [
        ("answers one in a hundred after", served.p99_seconds, config.serve_p99_seconds_cap, "{:.3f} s"),
        ("is ready after", served.start_seconds, config.serve_start_seconds_cap, "{:.1f} s"),
        ("uses", served.memory_bytes, config.serve_memory_bytes_cap, "{:,} bytes"),
    ]
    told += [_told(*limit) for limit in limits]
    failed = served.other_answers or any(cap is not None and value > cap for _, value, cap, _ in limits)
    verdict: Verdict = "failed" if failed else "passed"
    sentence = f"In a server of its own it {', '.join(told[:-1])}, and {told[-1]}."
    return CheckRecord(CHECK, verdict, served.p99_seconds, config.serve_p99_seconds_cap, None, None, sentence)


def does_not_serve(why: str) -> CheckRecord:
    """Of a candidate whose server was never ready, or broke down."""
    return CheckRecord(CHECK, "failed", None, None, None, None, f"In a server of its own it does not answer: {why}.")


def not_asked(why: str) -> CheckRecord:
    """Where nobody has asked; it blocks nothing."""
    return CheckRecord(CHECK, "skipped", None, None, None, None, f"It was not asked in a server: {why}.")


def _told(what: str, value: float, cap: float | None, form: str) -> str:
    beyond = cap is not None and value > cap
    return f"{what} {form.format(value)}" + (f", above the cap of {form.format(cap)}" if beyond else "")
