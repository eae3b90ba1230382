"""Compare-and-swap ends, whatever the other side does."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from catwalk.errors import CancelledError, PreconditionFailedError, StoreError, StoreUnavailableError
from catwalk.gate.promotion import promote_by_hand, rollback
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Fence, Ledger, Run
from catwalk.stages.decide import decide
from catwalk.stages.test import test as score
from catwalk.stages.train import train
from catwalk.storage.store import Store
from catwalk.storage.swap import swap
from catwalk.telemetry.observer import Silent
from stack.settings import PROJECT
from tests.support.between import Answer, Asked, BeforeS3
from tests.support.servers import S3Server, wait_until
from tests.support.small import SMALL

UNENDING = r"changes whenever it is read, 10 times in a row; does this S3 keep ETags\?"


def never() -> None:
    raise PreconditionFailedError("changed")


def test_success_is_returned_and_other_failures_are_raised() -> None:
    tries = iter([never, never, lambda: 7])
    assert swap("x", lambda: next(tries)()) == 7
    with pytest.raises(ZeroDivisionError):
        swap("x", lambda: 1 // 0)


def test_a_condition_that_never_holds_is_one_sentence() -> None:
    with pytest.raises(StoreError, match=f"^the summary {UNENDING}") as caught:
        swap("the summary", never)
    assert not isinstance(caught.value, StoreUnavailableError), "trying again does not help"


def test_a_check_between_two_tries_ends_it() -> None:
    tries = []

    def stop() -> None:
        raise CancelledError("stopped by a signal")

    with pytest.raises(CancelledError):
        swap("x", lambda: (tries.append(1), never()), stop)
    assert len(tries) == 1, "checked only after a try: a cancelled process may still save its work"


def weak(asked: Asked, ask: Callable[[], Answer]) -> Answer:
    """nginx and Cloudflare do this when they compress an answer."""
    answer = ask()
    headers = {name: f"W/{value}" if name.lower() == "etag" else value for name, value in answer.headers.items()}
    return replace(answer, headers=headers)


@pytest.fixture
def before(s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[BeforeS3]:
    """A proxy in front of the test's S3."""
    before = BeforeS3(s3_server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
    yield before
    before.stop()


@pytest.mark.integration
class TestWeakETags:
    """Each of these once retried without end, silently."""

    def test_the_summary(self, new_run: Callable[..., Run], before: BeforeS3) -> None:
        run = new_run()
        before.edit = weak
        before.seen.clear()
        with pytest.raises(StoreError, match=rf"^the summary of run {run.run_id} {UNENDING}"):
            run.update_summary(lambda summary: summary)
        assert [asked.method for asked in before.seen] == ["GET", "PUT", "GET"] * 10

    def test_a_fenced_object(self, s3_store: Store, before: BeforeS3) -> None:
        before.edit = weak
        fence = Fence(s3_store, "fenced", 1, lambda body: int(body))
        fence.write(b"1")
        with pytest.raises(StoreError, match=f"^fenced {UNENDING}"):
            fence.write(b"01")

    def test_the_champion(self, new_run: Callable[..., Run], before: BeforeS3) -> None:
        runs = [new_run(), new_run()]
        for run in runs:
            train(run, Silent())
            score(run, Silent())
        promote_by_hand(runs[0], "test", "first")
        promote_by_hand(runs[1], "test", "second")
        model = runs[0].record.model
        before.edit = weak
        asked = len(before.seen)
        for change in (
            lambda: promote_by_hand(runs[0], "test", "again"),
            lambda: rollback(runs[0].store, model, "test", "back"),
        ):
            with pytest.raises(StoreError, match=f"^the champion of {model} {UNENDING}"):
                change()
        current = Champions(runs[0].store).get(model)
        assert current is not None
        assert current[0].run_id == runs[1].run_id
        assert len(before.seen) - asked < 400

    def test_a_decision_against_a_champion(self, new_run: Callable[..., Run], before: BeforeS3) -> None:
        """Only the champion's ETag is changed, or the summary would be given up first."""
        run = new_run()
        train(run, Silent())
        score(run, Silent())
        spoilt = f"champions/{run.record.model}"
        taken = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
        before.edit = lambda asked, ask: Answer(412, taken) if spoilt in asked.path and asked.method == "PUT" else ask()
        with pytest.raises(StoreError, match=f"^the champion of {run.record.model} {UNENDING}"):
            decide(run, Silent())
        assert run.decision() is None

    def test_attempts_that_can_never_be_opened(self, new_run: Callable[..., Run], before: BeforeS3) -> None:
        run = new_run()
        refused = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
        before.edit = lambda asked, ask: Answer(412, refused) if asked.method == "PUT" else ask()
        with pytest.raises(StoreError, match=rf"^the list of attempts of run {run.run_id} {UNENDING}"):
            run.start_attempt("train", 1.0, "host", 1)

    def test_a_whole_run_ends_with_one_line(self, ledger: Ledger, before: BeforeS3) -> None:
        before.edit = weak
        done = subprocess.run(command(), capture_output=True, text=True, timeout=300, check=False)
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1
        assert re.fullmatch(rf"catwalk: the summary of run \S+ {UNENDING} .*", last), done.stderr
        assert len(before.seen) < 200

    def test_a_signal_ends_it_earlier(self, ledger: Ledger, before: BeforeS3) -> None:
        before.edit = weak
        process = subprocess.Popen(command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(
            lambda: sum("if-match" in asked.headers for asked in before.seen) >= 2, "the summary is written again"
        )
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        assert process.stderr is not None
        assert process.stderr.read().count("Traceback") == 0
        process.stderr.close()


def command() -> list[str]:
    flags = [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    return [str(PROJECT / ".venv" / "bin" / "catwalk"), "run", *flags]


@pytest.mark.integration
@pytest.mark.parametrize("token", ["the same", "another each time", ""])
def test_an_endless_listing_is_detected(s3_store: Store, before: BeforeS3, token: str) -> None:
    """A server without continuation returns its first page repeatedly."""
    pages = count()

    def page(asked: Asked, ask: Callable[[], Answer]) -> Answer:
        following = f"{token} {next(pages)}" if token == "another each time" else token
        body = (
            "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>"
            f"<Contents><Key>runs of tests/x</Key><ETag>e</ETag><Size>0</Size></Contents>"
            f"<NextContinuationToken>{following}</NextContinuationToken></ListBucketResult>"
        )
        return Answer(200, body.encode(), {"Content-Type": "application/xml"})

    before.edit = page
    with pytest.raises(StoreError, match="has no end"):
        list(s3_store.list(""))
    assert len(before.seen) <= 2
