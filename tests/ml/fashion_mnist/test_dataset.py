"""The real Fashion-MNIST, synthetic images, and files that are not what they should be."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from catwalk.errors import ArtifactError, DatasetError
from catwalk.ledger.examples import digests, training_examples
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.stages.artifacts.datasets import load_split, store_data
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, DataConfig, RunConfig
from ml.fashion_mnist.dataset import Split, dataset_root, read_splits, stratified

SMALL = DataConfig(source="synthetic", train_examples=200, validation_examples=100)


@pytest.fixture
def splits(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Split]:
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    return read_splits(SMALL)


def store_dataset(store: Store, config: DataConfig) -> DatasetRecord:
    """Reads the splits and uploads them."""
    return store_data(store, CLASSIFIER.load(RunConfig(data=config)), CLASSES, synthetic=True)


def test_the_real_data_is_split_class_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATWALK_DATASET_ROOT", raising=False)
    if not (dataset_root() / "FashionMNIST" / "raw").is_dir():
        pytest.skip("NOT TESTED: the real Fashion-MNIST, which is not on this machine")
    splits = read_splits(DataConfig())
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [55_000, 5_000, 10_000]
    assert splits["train"].class_counts == [5_500] * 10
    assert splits["validation"].class_counts == [500] * 10
    assert splits["test"].class_counts == [1_000] * 10
    assert splits["train"].images.dtype == torch.uint8
    assert splits["train"].images.shape == (55_000, 28, 28)
    pixels = splits["train"].images.double() / 255
    assert float(pixels.mean()) == pytest.approx(0.2860, abs=0.001)
    assert float(pixels.std()) == pytest.approx(0.3530, abs=0.001)


def test_train_and_validation_never_share_an_example() -> None:
    labels = torch.arange(60_000).remainder(10).to(torch.uint8)
    train, validation = stratified(labels, DataConfig())
    assert len(set(train.tolist()) & set(validation.tolist())) == 0
    assert len(train) + len(validation) == 60_000
    assert torch.equal(stratified(labels, DataConfig())[0], train)
    assert not torch.equal(stratified(labels, DataConfig(split_seed=1))[1], validation)


def test_a_class_with_too_few_examples_is_named() -> None:
    labels = torch.arange(1_000).remainder(10).to(torch.uint8)
    with pytest.raises(DatasetError, match="class t-shirt-top has 100 examples"):
        stratified(labels, DataConfig(train_examples=2_000, validation_examples=100))


def test_synthetic_images_are_the_same_everywhere_and_have_all_classes(
    splits: dict[str, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert splits["train"].class_counts == [20] * 10
    assert len(splits["test"]) == 10_000
    assert splits["test"].class_counts == [1_000] * 10
    assert float(splits["train"].images.float().std()) > 50
    first = hashlib.sha256(splits["test"].images.numpy().tobytes()).hexdigest()
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
    again = read_splits(SMALL)["test"].images
    assert hashlib.sha256(again.numpy().tobytes()).hexdigest() == first


@pytest.fixture
def home(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with its own synthetic files."""
    shutil.copytree(stand_in / "synthetic", tmp_path / "synthetic")
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
    return tmp_path


def test_damaged_synthetic_files_are_generated_again(splits: dict[str, Split], home: Path) -> None:
    images = home / "synthetic" / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:1_000])
    assert torch.equal(read_splits(SMALL)["test"].images, splits["test"].images)
    assert images.read_bytes() == whole


def test_without_a_place_to_keep_them_synthetic_images_are_generated_anyway(
    splits: dict[str, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path / "file"))
    assert torch.equal(read_splits(SMALL)["train"].images, splits["train"].images)
    [record] = caplog.records
    assert "synthetic images are drawn again for each run; set CATWALK_HOME" in record.getMessage()
    assert "(Not a directory)" in record.getMessage()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "train-images-idx3-ubyte is missing"),
        (lambda file: file.write_bytes(b"\0" * 100), "is truncated or a different file: 100 bytes, not 47,040,016"),
        (lambda file: None, "is corrupt: its MD5 is not"),  # what is synthetic never passes for the real data
        (lambda file: shutil.rmtree(file.parent), "has no folder FashionMNIST/raw; correct or unset it"),
    ],
)
def test_a_missing_truncated_or_corrupt_file_is_one_line(
    damage: Callable[[Path], None], message: str, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    shutil.copytree(stand_in / "synthetic" / "FashionMNIST" / "raw", raw)
    damage(raw / "train-images-idx3-ubyte")
    monkeypatch.setenv("CATWALK_DATASET_ROOT", str(tmp_path))
    with pytest.raises(DatasetError, match=message) as caught:
        read_splits(DataConfig())
    assert "\n" not in str(caught.value)


@pytest.mark.integration
def test_an_upload_is_skipped_if_the_content_is_there(s3_store: Store, splits: dict[str, Split]) -> None:
    puts: list[str] = []
    store = S3Store(s3_store.url, lambda operation, seconds, failed: puts.append(operation))
    first = store_dataset(store, SMALL)
    assert puts.count("put") == 5
    puts.clear()
    assert store_dataset(store, SMALL) == first
    assert puts.count("put") == 0
    other = DataConfig(source="synthetic", train_examples=100, validation_examples=100)
    assert store_dataset(store, other).sha256 != first.sha256
    loaded = load_split(store, first, "validation")
    assert np.array_equal(loaded["images"], splits["validation"].images.numpy())
    assert first.splits["train"].class_counts == [20] * len(CLASSES)
    assert first.classes == list(CLASSES)
    exact = splits["train"].images.double() / 255
    assert first.statistics["pixel_mean"] == pytest.approx(float(exact.mean()), abs=1e-9)
    assert first.statistics["pixel_stddev"] == pytest.approx(float(exact.std(correction=0)), abs=1e-9)


@pytest.mark.integration
def test_a_dataset_that_has_lost_an_object_is_stored_again(s3_store: Store, splits: dict[str, Split]) -> None:
    record = store_dataset(s3_store, SMALL)
    for name in ("train.safetensors", "train.digests"):
        s3_store.delete(f"datasets/{record.sha256}/{name}")
    with pytest.raises(ArtifactError, match="a new run stores it again"):
        load_split(s3_store, record, "train")
    assert store_dataset(s3_store, SMALL) == record
    assert np.array_equal(load_split(s3_store, record, "train")["images"], splits["train"].images.numpy())


@pytest.mark.integration
@pytest.mark.parametrize("kept", ["digests", "other digests", "images", "nothing"])
def test_training_examples_are_known_without_their_digests_too(
    kept: str, s3_store: Store, splits: dict[str, Split]
) -> None:
    """An older version stored none."""
    record = store_dataset(s3_store, SMALL)
    folder = f"datasets/{record.sha256}"
    assert len(training_examples(s3_store, record)) == 200
    if kept == "digests":
        s3_store.delete(f"{folder}/train.safetensors")
    elif kept == "other digests":
        s3_store.put(f"{folder}/train.digests", b"0" * 16)
    else:
        s3_store.delete(f"{folder}/train.digests")
        record = dataclasses.replace(record, digests_sha256="")
    if kept == "nothing":
        s3_store.delete(f"{folder}/train.safetensors")
        with pytest.raises(ArtifactError, match=r"train\.safetensors is missing"):
            training_examples(s3_store, record)
        return
    body = digests({"images": splits["train"].images.numpy(), "labels": splits["train"].labels.numpy()})
    assert training_examples(s3_store, record) == {body[start : start + 16] for start in range(0, len(body), 16)}


def test_an_example_is_its_image_and_its_label() -> None:
    images = np.arange(3 * 784, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    labels = np.asarray([1, 2, 3], dtype=np.uint8)
    whole = digests({"images": images, "labels": labels})
    assert len(whole) == 3 * 16
    order = [2, 0, 1, 1]
    assert digests({"labels": labels[order], "images": images[order]}) == whole, "the order and repetitions don't count"
    assert digests({"images": images, "labels": labels[::-1]}) != whole


@pytest.mark.integration
def test_a_changed_or_missing_split_is_never_loaded(s3_store: Store, splits: dict[str, Split]) -> None:
    record = store_dataset(s3_store, SMALL)
    key = f"datasets/{record.sha256}/test.safetensors"
    body = bytearray(s3_store.get(key).body)
    body[-1] ^= 1
    s3_store.put(key, bytes(body))
    with pytest.raises(ArtifactError, match="doesn't match its sha256"):
        load_split(s3_store, record, "test")
    s3_store.delete(key)
    with pytest.raises(ArtifactError, match="is missing"):
        load_split(s3_store, record, "test")
