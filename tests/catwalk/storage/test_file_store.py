"""A folder as a store: what killed processes leave, concurrent writers, and one clear line for each error."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.errors import ConfigError, StoreError, StoreUnavailableError
from catwalk.storage import file_systems
from catwalk.storage.file_store import FileStore
from catwalk.storage.opening import open_store, open_store_or_local
from catwalk.storage.store import Patience

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore((tmp_path / "ledger").as_uri())


def script(name: str, *arguments: str) -> Any:
    """Returns what one of the tests' scripts prints."""
    command = [sys.executable, str(ROOT / "tests" / "support" / name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if "OSError: [Errno 1] ptrace" in done.stderr:
        pytest.skip("NOT TESTED: a kill at each system call, because this user may not trace processes")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def temporary(store: FileStore) -> list[Path]:
    return list((store.root / ".catwalk-store" / "temporary").iterdir())


@pytest.mark.parametrize("write", ["first", "create", "replace", "remove"])
def test_a_kill_before_and_after_every_system_call_leaves_the_old_or_the_new_object(tmp_path: Path, write: str) -> None:
    left = script("killed_writes.py", str(tmp_path / "ledger"), write)
    assert len(left) > 40
    assert {"old", "new"} == set(left)
    assert left == sorted(left, reverse=True), "what is new stays new"


@pytest.mark.parametrize("condition", ["create", "swap"])
def test_of_32_processes_at_once_one_wins(store: FileStore, condition: str) -> None:
    (winner,) = script("racing_writers.py", store.url, condition)
    assert store.get("champions/model.json").body == f"writer {winner}".encode()


def test_32_processes_that_increment_a_counter_lose_no_increment(store: FileStore) -> None:
    assert script("racing_writers.py", store.url, "count") == 32 * 5


class TestDurability:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Returns the system calls, in order."""
        seen: list[str] = []

        def spy(name: str, describe: Callable[..., str]) -> None:
            real = getattr(os, name)

            def call(*arguments: Any, **named: Any) -> Any:
                seen.append(describe(*arguments))
                return real(*arguments, **named)

            monkeypatch.setattr(os, name, call)

        spy("fsync", lambda descriptor: f"sync {'folder' if Path(f'/proc/self/fd/{descriptor}').is_dir() else 'file'}")
        spy("link", lambda *_: "link")
        spy("replace", lambda *_: "rename")
        spy("unlink", lambda *_: "unlink")
        return seen

    def test_data_reaches_the_disk_before_its_name_and_then_the_name_does(
        self, store: FileStore, calls: list[str]
    ) -> None:
        store.put("runs/1/other", b"")
        calls.clear()
        store.put("runs/1/x", b"1", create=True)
        assert calls == ["sync file", "link", "sync folder", "unlink"]
        calls.clear()
        store.put("runs/1/x", b"2")
        assert calls[:3] == ["sync file", "rename", "sync folder"]
        calls.clear()
        store.delete("runs/1/x")
        assert calls == ["unlink", "sync folder"]

    def test_new_folders_are_on_the_disk_before_their_content(self, store: FileStore, calls: list[str]) -> None:
        store.put("warm", b"")
        calls.clear()
        store.put("a/b/c", b"", create=True)
        assert calls == ["sync file", "sync folder", "sync folder", "link", "sync folder", "unlink"]


class TestVersions:
    def test_a_clock_that_is_set_back_repeats_no_version(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
        etags = [store.put("x", b"%d" % number) for number in range(5)]
        assert len(set(etags)) == 5
        with pytest.raises(StoreError, match="was changed by another writer"):
            store.put("x", b"9", if_match=etags[0])

    def test_a_copy_of_the_folder_has_the_same_versions(self, store: FileStore, tmp_path: Path) -> None:
        etag = store.put("runs/1/run.json", b"1")
        subprocess.run(["cp", "-a", store.root, tmp_path / "copy"], check=True)
        assert FileStore((tmp_path / "copy").as_uri()).etag("runs/1/run.json") == etag


class TestKeys:
    STRANGE = (
        "a", "a/b", "a/b/c", "a.json", "a.json/b", "a%.", "a%2E", "a%+", "%", "%.", "%+", "/", "//", "a//b", "a/", ".",
        "..", "../x", "x/../../y", ".catwalk-store/locks/00", ".hidden", "x/.hidden/y.z", "CON", "a b\tc\nd", "\0", "~",
        "\\", "*?[", "-rf", "日本語/モデル.json", "ключ", "e\u0301", "\u00e9", "😀" * 200, "x" * 1_024, "." * 300,
        "y" * 250 + ".json", "y" * 250 + "/z", "y" * 200, "y" * 201, "y" * 200 + "!", "y" * 200 + "/", "%" * 400,
    )  # fmt: skip

    def test_any_text_is_a_key_and_no_two_keys_collide(self, store: FileStore) -> None:
        for key in self.STRANGE:
            store.put(key, key.encode(), create=True)
        assert [entry.key for entry in store.list("")] == sorted(self.STRANGE, key=str.encode)
        assert all(store.get(key).body == key.encode() for key in self.STRANGE)

    @pytest.mark.parametrize("seed", range(2))
    def test_keys_of_special_characters_do_not_collide_either(self, store: FileStore, seed: int) -> None:
        chance = random.Random(seed)
        pieces = [".", "..", "/", "%", "%.", "%2E", "%+", "a", "A", "é", "y" * 199, "-"]
        keys = {"".join(chance.choices(pieces, k=chance.randint(1, 5))) for _ in range(150)}
        for key in keys:
            store.put(key, key.encode(), create=True)
        assert [entry.key for entry in store.list("")] == sorted(keys, key=str.encode)
        for prefix in chance.sample(sorted(keys), 40):
            below = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
            assert [entry.key for entry in store.list(prefix)] == below, prefix
        for key in keys:
            store.delete(key)
        assert [path.name for path in store.root.iterdir()] == [".catwalk-store"], "empty folders are removed, too"

    def test_nothing_is_written_outside_the_folder(self, store: FileStore, tmp_path: Path) -> None:
        for key in self.STRANGE:
            store.put(key, b"")
        assert [path.name for path in tmp_path.iterdir()] == ["ledger"]

    def test_usual_keys_are_plain_paths(self, store: FileStore) -> None:
        """So people can open reports in place, and `aws s3 sync` can make a folder from a bucket."""
        key = "runs/20261123T030000Z-7f3a90c1/report.html"
        store.put(key, b"<html>")
        assert (store.root / key).read_bytes() == b"<html>"

    @pytest.mark.parametrize(
        ("key", "reason"),
        [("", "a key of 0 bytes"), ("é" * 600, "a key of 1,200 bytes"), ("\ud800", "it is not valid UTF-8 text")],
    )
    def test_keys_that_s3_would_refuse_are_refused(self, store: FileStore, key: str, reason: str) -> None:
        with pytest.raises(StoreError, match=reason) as caught:
            store.put(key, b"")
        one_line(caught.value)

    def test_files_of_others_are_not_objects(self, store: FileStore) -> None:
        store.put("runs/1.json", b"")
        for name in (".DS_Store", "README", "a%2Ejson"):
            (store.root / "runs" / name).write_text("")
        (store.root / os.fsdecode(b"\xff.json")).write_text("")
        (store.root / "folder.d").mkdir()
        (store.root / "empty").mkdir()
        assert [entry.key for entry in store.list("")] == ["runs/1.json"]


class TestOthers:
    def test_a_process_that_is_forked_in_the_middle_blocks_no_one(self, store: FileStore) -> None:
        """A loader's workers inherit open files, and locks with them."""
        ready, stay = os.pipe()
        with store._alone("x"), store._writing():
            child = os.fork()
            if not child:
                os.close(stay)
                os.read(ready, 1)
                os._exit(0)
        try:
            hasty = FileStore(store.url, patience=Patience(read_seconds=0))
            hasty.put("x", b"1")
            assert temporary(store) == []
        finally:
            os.close(stay)
            os.close(ready)
            os.waitpid(child, 0)

    def test_waiting_for_a_stuck_writer_has_a_limit(self, store: FileStore) -> None:
        store.put("x", b"1")
        with store._alone("x"), pytest.raises(StoreUnavailableError, match=r"x is still locked .* 0\.1 s .*; retry$"):
            FileStore(store.url, patience=Patience(read_seconds=0.1)).put("x", b"2")
        assert store.get("x").body == b"1"
        assert temporary(store) == []

    def test_readers_never_wait(self, store: FileStore) -> None:
        store.put("x", b"1")
        hasty = FileStore(store.url, patience=Patience(read_seconds=0))
        with store._alone("x"), store._writing():
            assert hasty.get("x").body == b"1"
            assert [entry.key for entry in hasty.list("")] == ["x"]

    def test_files_of_running_writers_are_not_removed(self, store: FileStore) -> None:
        with store._writing() as (file, path):
            FileStore(store.url).put("x", b"1")
            assert path.exists() and not file.closed

    def test_the_next_writer_removes_files_of_dead_ones(self, store: FileStore) -> None:
        store.put("x", b"1")
        (store.root / ".catwalk-store" / "temporary" / "0123").write_text("half")
        FileStore(store.url).put("x", b"2")
        assert temporary(store) == []

    def test_the_file_of_a_lock_stays(self, store: FileStore) -> None:
        """A process that waits for a lock on a removed file gets it, beside another process that has created a new
        file.
        """
        store.put("x", b"1")
        (lock,) = (store.root / ".catwalk-store" / "locks").iterdir()
        before = lock.stat().st_ino
        store.delete("x")
        store.put("x", b"2")
        assert lock.stat().st_ino == before

    def test_a_folder_that_is_removed_while_it_is_filled_is_created_again(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, removed = os.link, []

        def link(source: Any, target: Any, **named: Any) -> None:
            if not removed:
                removed.append(target)
                Path(target).parent.rmdir()  # by another process, which has deleted the last object in it
            real(source, target, **named)

        monkeypatch.setattr(os, "link", link)
        store.put("runs/1/x", b"1", create=True)
        assert removed
        assert store.get("runs/1/x").body == b"1"


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
41 40 8:1 / /home/me/fast\\040disk rw,relatime - xfs /dev/sda1 rw
42 27 0:52 / /mnt/bucket rw,nosuid - fuse.sshfs me@there: rw
43 27 0:53 / /mnt/c rw - 9p C: rw,aname=drvfs
44 27 0:54 / /layers rw - overlay overlay rw
45 27 0:55 / /rootless rw - fuse.fuse-overlayfs fuse-overlayfs rw
46 27 0:56 / /tmp rw - tmpfs tmpfs rw
47 27 0:57 / /again rw - cifs //server/share rw
48 27 0:58 / /again rw - ext4 /dev/vdb rw
49 27 0:59 / /host rw - virtiofs host rw
"""


class TestFileSystems:
    @pytest.fixture(autouse=True)
    def mounts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        found = tmp_path / "mountinfo"
        found.write_text(MOUNTS)
        monkeypatch.setattr(file_systems, "MOUNTS", found)
        return found

    @pytest.mark.parametrize(
        ("folder", "kind"),
        [
            ("/home", "nfs4"),
            ("/home/me/ledger", "nfs4"),
            ("/homes/ledger", ""),
            ("/home/me/fast disk/ledger", ""),
            ("/mnt/bucket/x", "fuse.sshfs"),
            ("/mnt/c/Users/me", "9p"),
            ("/layers/x", ""),
            ("/rootless/x", ""),
            ("/tmp/x", ""),
            ("/again/x", ""),
            ("/host/x", "virtiofs"),
        ],
    )
    def test_file_systems_that_other_machines_write_to_are_recognised(self, folder: str, kind: str) -> None:
        assert file_systems.shared_kind(Path(folder)) == kind

    def test_it_is_refused_in_one_line_by_reads_and_writes(self, store: FileStore, mounts: Path) -> None:
        mounts.write_text(f"{MOUNTS}50 27 0:60 / {store.root.parent} rw - nfs server:/x rw\n")
        for ask in (store.check, lambda: store.put("x", b""), lambda: store.find("x"), lambda: list(store.list(""))):
            with pytest.raises(StoreError, match=r"other machines may write to \(nfs\).*; choose a folder") as caught:
                ask()
            one_line(caught.value)
        assert not store.root.exists()

    def test_no_link_to_it_hides_it(self, store: FileStore, mounts: Path, tmp_path: Path) -> None:
        (tmp_path / "far").mkdir()
        store.root.symlink_to(tmp_path / "far")
        mounts.write_text(f"{MOUNTS}50 27 0:60 / {tmp_path / 'far'} rw - nfs server:/x rw\n")
        with pytest.raises(StoreError, match="nfs"):
            store.put("x", b"")

    def test_if_mounts_are_not_listed_nothing_is_refused(self, store: FileStore, mounts: Path) -> None:
        mounts.unlink()
        store.put("x", b"")


def test_this_machines_own_disk_is_not_a_network_disk(tmp_path: Path) -> None:
    assert file_systems.shared_kind(tmp_path) == ""
    assert file_systems.shared_kind(Path("/proc")) == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full or read-only disk, because this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def as_nobody(work: Callable[[], object]) -> None:
    """Runs as a user that permissions apply to; they don't apply to root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        work()
    finally:
        os.seteuid(before)


@pytest.fixture
def shut() -> Iterator[FileStore]:
    """A store in a folder that everyone can reach, and that only its owner may read or write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = FileStore((Path(folder) / "ledger").as_uri())
        store.put("x", b"1")
        yield FileStore(store.url)
        store.root.chmod(0o755)


class TestRefusals:
    def test_a_full_disk_leaves_nothing_half_written_and_is_temporary(self, small_disk: Path) -> None:
        store = FileStore(small_disk.as_uri())
        store.put("checkpoint", b"old")
        before = sorted(small_disk.rglob("*"))
        with pytest.raises(StoreUnavailableError, match=r"can't use .*checkpoint: No space left.*free some") as caught:
            store.put("checkpoint", os.urandom(4 << 20))
        one_line(caught.value)
        assert store.get("checkpoint").body == b"old"
        assert sorted(small_disk.rglob("*")) == before
        store.put("checkpoint", b"new")

    def test_the_error_names_the_file_that_does_not_fit_on_its_disk(self, store: FileStore, small_disk: Path) -> None:
        store.put("model", os.urandom(4 << 20))
        with pytest.raises(OSError, match="No space left"):
            store.get_file("model", small_disk / "model.bin")
        assert list(small_disk.iterdir()) == []

    def test_a_folder_that_can_only_be_read_is_read(self, small_disk: Path) -> None:
        store = FileStore(small_disk.as_uri())
        store.put("x", b"1")
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        again = FileStore(small_disk.as_uri())
        assert again.get("x").body == b"1"
        assert [entry.key for entry in again.list("")] == ["x"]
        for write in (lambda: again.put("x", b"2"), lambda: again.delete("x")):
            with pytest.raises(StoreError, match=r"can't use .*x: Read-only file system.*correct CATWALK_STORE") as no:
                write()
            one_line(no.value)
            assert not isinstance(no.value, StoreUnavailableError)

    @pytest.mark.parametrize("name", ["put", "get", "list", "etag", "check", "delete"])
    def test_the_folder_of_another_user_is_one_line(self, shut: FileStore, name: str) -> None:
        calls: dict[str, Callable[[], object]] = {
            "put": lambda: shut.put("x", b"2"),
            "get": lambda: shut.get("x"),
            "list": lambda: list(shut.list("")),
            "etag": lambda: shut.etag("x"),
            "check": shut.check,
            "delete": lambda: shut.delete("x"),
        }
        shut.root.chmod(0o555 if name in ("put", "delete") else 0)
        with pytest.raises(StoreError, match=r"Permission denied.*; this user needs read and write") as caught:
            as_nobody(calls[name])
        one_line(caught.value)
        shut.root.chmod(0o755)
        assert shut.get("x").body == b"1"

    def test_a_path_that_is_not_a_folder_is_one_line(self, store: FileStore) -> None:
        store.root.write_text("a file")
        for ask in (store.check, lambda: store.put("x", b""), lambda: list(store.list("")), lambda: store.get("x")):
            with pytest.raises(StoreError, match=r"Not a directory.*must name a folder") as caught:
                ask()
            one_line(caught.value)
        assert store.root.read_text() == "a file"

    def test_a_folder_that_is_not_there_yet_holds_nothing_and_is_not_listed(self, store: FileStore) -> None:
        assert store.find("x") is store.etag("x") is None
        store.delete("x")
        for ask in (store.check, lambda: list(store.list(""))):
            with pytest.raises(StoreError, match=r"there is no folder .*; correct CATWALK_STORE") as caught:
                ask()
            one_line(caught.value)
        assert not store.root.exists(), "reading creates nothing"

    def test_a_file_system_without_nanoseconds_is_refused(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.utime
        coarse = 10**9
        monkeypatch.setattr(
            os, "utime", lambda file, ns: real(file, ns=(ns[0] // coarse * coarse, ns[1] // coarse * coarse))
        )
        with pytest.raises(StoreError, match="doesn't store nanoseconds"):
            store.put("x", b"1")
        assert temporary(store) == [] == list(store.list(""))

    def test_a_file_system_without_hard_links_is_refused(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def link(source: Any, target: Any, **named: Any) -> None:
            raise PermissionError(1, "Operation not permitted", str(source), None, str(target))  # as on FAT

        monkeypatch.setattr(os, "link", link)
        with pytest.raises(StoreError, match="with hard links and locks") as caught:
            store.put("x", b"1", create=True)
        one_line(caught.value)


class TestAddresses:
    def test_percent_encoding_is_understood(self, tmp_path: Path) -> None:
        for name in ("a b", "ключ", "50%", "x?y#z"):
            folder = tmp_path / name
            open_store(folder.as_uri()).put("x", b"1")
            assert (folder / "x%.").read_bytes() == b"1"
            assert open_store(folder.as_uri()).root == folder  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "url", ["file:", "file://", "file:///", "file:////", "file://folder", "file:/x", "file://~/x", "file:///a\n",
                "file:///a ", "file:///%00"]
    )  # fmt: skip
    def test_an_address_without_a_folder_is_one_line(self, url: str) -> None:
        with pytest.raises(ConfigError, match="CATWALK_STORE must look like file:///folder") as caught:
            open_store(url)
        one_line(caught.value)

    @pytest.mark.parametrize("url", ["", "ledger", "/ledger", "gs://bucket", "http://x", "FILE:///x"])
    def test_an_address_of_another_kind_is_one_line(self, url: str) -> None:
        with pytest.raises(ConfigError, match=r"CATWALK_STORE must look like s3://bucket, .* or file:///folder, not"):
            open_store(url)

    def test_boto3_is_only_for_s3(self, tmp_path: Path) -> None:
        code = (
            "import sys; from catwalk.storage.opening import open_store; open_store(sys.argv[1]).put('x', b'');"
            "from catwalk.ledger.summaries import Summaries; assert Summaries(open_store(sys.argv[1])).read() == [];"
            "assert not {'boto3', 'botocore', 'numpy'} & set(sys.modules)"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code, tmp_path.as_uri()], env=environment, check=True, timeout=60)

    def test_without_a_store_runs_are_kept_here_and_a_line_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("CATWALK_STORE", raising=False)
        open_store_or_local().put("x", b"1")
        url = (tmp_path / ".catwalk-ledger").as_uri()
        assert capsys.readouterr().err == f"catwalk: CATWALK_STORE is not set, so runs are stored in {url}\n"
        monkeypatch.setenv("CATWALK_STORE", url)
        assert open_store_or_local().get("x").body == b"1"
        assert capsys.readouterr().err == ""


def test_locks_reach_other_open_files_of_the_same_process(store: FileStore) -> None:
    """Other threads, that is."""
    store.put("warm", b"")
    before = {*(store.root / ".catwalk-store" / "locks").iterdir()}
    with store._alone("x"):
        (path,) = {*(store.root / ".catwalk-store" / "locks").iterdir()} - before
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
