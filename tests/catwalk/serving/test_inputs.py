"""What a model is asked, read from requests by the types and shapes of its test examples."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catwalk.errors import ArtifactError
from catwalk.serving.inputs import Input, Inputs
from catwalk.serving.limits import RefusedError
from ml.fashion_mnist import CLASSIFIER
from tests.models.shapes import SHAPES

LABELS = np.zeros(3, dtype=np.int64)
TABLE = {
    "age": np.array([1.0, np.nan, 3.0], dtype=np.float32),
    "calls": np.array([1.0, 2.0, 3.0]),
    "member": np.array([True, False, True]),
    "labels": LABELS,
}


def table(**columns: Any) -> Any:
    return Inputs.of(TABLE, SHAPES).from_json({"age": [1], "calls": [2], "member": [True], **columns})


def test_columns_keep_their_types_and_a_single_example_needs_no_list() -> None:
    found = table(age=1, calls=2.5, member=False)
    assert {name: (values.dtype, values.shape) for name, values in found.items()} == {
        "age": (np.float32, (1,)),
        "calls": (np.float64, (1,)),
        "member": (np.bool_, (1,)),
    }


def test_what_was_missing_in_the_test_may_be_null_and_nothing_else_may() -> None:
    assert np.isnan(table(age=[None])["age"]).all()
    with pytest.raises(RefusedError, match="calls: expected finite numbers, of shape"):
        table(calls=[None])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"age": [1, 2]}, "equally many examples"),
        ({"age": [1e39]}, "not finite"),
        ({"age": [10**400]}, "too large"),
        ({"age": [True]}, "another type"),
        ({"age": ["1.5"]}, "another type"),
        ({"calls": ["1"]}, "another type"),
        ({"member": [1]}, "member: expected true or false"),
        ({"more": [1]}, "expected age, calls, member, by name"),
    ],
)
def test_other_values_are_refused(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        table(**columns)
    assert refused.value.status == 422


def test_whole_numbers_are_exact_up_to_the_ends_of_their_type() -> None:
    values = [[0, 2**63 - 1], [2**63 + 1, 2**64 - 1]]
    taken = Input.of("key", np.zeros((3, 2), np.uint64))
    assert taken.read(values).tolist() == values
    for other in (-1, 2**64, 10**400):
        with pytest.raises(RefusedError, match="key: expected whole numbers from 0 to 18446744073709551615"):
            taken.read([[0, other]])


def test_a_long_text_among_short_ones_takes_no_more_memory_than_it_has() -> None:
    taken = Input.of("images", np.zeros((3, 28, 28), np.uint8))
    value = ["a" * 10_000, *["b"] * 20_000]
    tracemalloc.start()
    with pytest.raises(RefusedError, match="another type"):
        taken.read(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 2**20


def test_examples_that_no_request_can_hold_are_no_inputs() -> None:
    with pytest.raises(ArtifactError, match="names has the type"):
        Inputs.of({"names": np.array(["a"]), "labels": LABELS}, SHAPES)


PICTURES = Inputs.of({"images": np.zeros((3, 28, 28), np.uint8), "labels": LABELS}, CLASSIFIER)


def file(width: int, height: int, kind: str = "PNG") -> bytes:
    picture, written = Image.new("L", (width, height)), io.BytesIO()
    picture.paste(255, (width // 4, height // 4, width // 2, height // 2))
    picture.save(written, kind)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_read_as_its_trainable_reads_files(kind: str) -> None:
    found = PICTURES.from_picture(file(56, 56, kind), "no")["images"]
    assert (found.dtype, found.shape) == (np.uint8, (1, 28, 28))
    assert found[0, 10, 10] > 200 > 50 > found[0, 20, 20]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "no picture that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, 422, "no picture that can be read"),
        (file(56, 56)[:60], 422, "the picture can't be read"),
        (file(5_000, 5_000), 413, "more than 16,777,216 pixels"),
    ],
    ids=["nothing", "noise", "cut short", "huge"],
)
def test_what_is_no_picture_or_unfolds_to_a_huge_one_is_refused(body: bytes, status: int, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        PICTURES.from_picture(body, "auto")
    assert refused.value.status == status and "/tmp" not in refused.value.sentence
