"""`catwalk traffic`: requests to a champion as a service gets them, clean or corrupted, in a real Prometheus."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pytest

from catwalk.service import corruptions
from catwalk.service.pictures import features
from stack.ports import free_port
from tests.grafana.measured import Prometheus, faster
from tests.support.servers import wait_until
from tests.support.traffic import command

KINDS = ("brightness", "rotation", "blur", "noise")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(20, 12, 16), (20, 12, 16, 3)])
def test_a_corruption_moves_a_feature_and_keeps_type_and_range(kind: corruptions.Corruption, shape: tuple[int]) -> None:
    random = np.random.default_rng(0)
    whole = np.zeros(shape, np.uint8)
    whole[:, 2:-2, 3:8] = random.integers(60, 220, size=whole[:, 2:-2, 3:8].shape)
    for pictures in (whole, (whole / 255).astype(np.float32)):
        changed = corruptions.corrupted(pictures, kind, np.random.default_rng(1))
        assert (changed.dtype, changed.shape) == (pictures.dtype, shape)
        assert changed.min() >= 0 and changed.max() <= (255 if pictures.dtype == np.uint8 else 1)
        moved = np.abs(features(changed) - features(pictures)).mean(0)
        assert moved.max() > 0.02, kind


def test_a_rotation_turns_about_the_middle() -> None:
    line = np.zeros((1, 41, 41))
    line[0, 20, :] = 1
    turned = corruptions.corrupted(line, "rotation", np.random.default_rng(0))[0]
    rows, columns = np.nonzero(turned)
    assert turned[20, 20] == 1
    assert abs(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))) == pytest.approx(15, abs=1)


def test_a_class_mix_has_one_class_four_times_as_often_and_leaves_pictures_unchanged() -> None:
    labels = np.repeat(np.arange(10), 50)
    for kind, share in (("class-mix", 4 / 13), ("none", 1 / 10)):
        chosen = corruptions.drawn(labels, 20_000, kind, np.random.default_rng(0))  # type: ignore[arg-type]
        assert (labels[chosen] == 0).mean() == pytest.approx(share, abs=0.02)
    picture = np.ones((1, 4, 4))
    assert corruptions.corrupted(picture, "class-mix", np.random.default_rng(0)) is picture


def one_line(*arguments: str) -> str:
    """Returns what a command prints when it refuses."""
    process = command("traffic", *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode and not out, out + err
    return err


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("corruption", "number", "drifts"), [("brightness", signal.SIGTERM, True), ("none", signal.SIGINT, False)]
)
def test_corrupted_traffic_exceeds_its_limit_and_clean_traffic_does_not(
    small_champion: str, tmp_path: Path, corruption: str, number: int, drifts: bool
) -> None:
    port = free_port()
    process = command("traffic", small_champion, "--rate", "100", "--corruption", corruption, "--port", str(port))
    prometheus = None
    try:
        assert process.stdout
        assert process.stdout.readline().endswith(f"metrics at http://127.0.0.1:{port}/metrics\n")
        prometheus = Prometheus(tmp_path, {"service": port}, faster(tmp_path))
        excess = f'max(model:service_feature:excess{{model="{small_champion}", side="input"}})'
        enough = f'min(model:service_feature:examples{{model="{small_champion}", window="hour"}}) > 1000'
        wait_until(lambda: prometheus.query(enough) and prometheus.query(excess), "an hour's figure", seconds=240)
        [(_, value)] = prometheus.query(excess)
        assert (value > 1) is drifts, value
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        made = re.fullmatch(r"([\d,]+) predictions made\n", out)
        assert made and int(made[1].replace(",", "")) > 1000
    finally:
        process.kill()
        process.communicate()
        if prometheus:
            prometheus.stop()


@pytest.mark.integration
def test_it_ends_by_itself_and_reports_what_it_cannot_do_in_one_line(small_champion: str) -> None:
    process = command("traffic", "--rate", "50", "--seconds", "2", "--port", "0")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("\n100 predictions made\n")
    known = f"models with a champion: {small_champion} (--model)"
    assert one_line("other") == f"catwalk: other has no champion yet: no run of it has shipped; {known}\n"
    assert "--rate" in one_line("--rate", "nan") and "--rate" in one_line("--rate", "0")
    port = free_port()
    holding = command("traffic", "--port", str(port))
    try:
        assert holding.stdout and holding.stdout.readline()
        assert one_line("--port", str(port)).startswith(f"catwalk: can't listen on port {port}: Address already in use")
    finally:
        holding.terminate()
        holding.communicate(timeout=60)
