"""The artifact store: what is added is found again intact, and nothing else ever is."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from models.artifacts import Artifact
from models.errors import ModelError
from models.store import ArtifactStore

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "store")


def add(store, tmp_path, key=KEY, content=b"model bytes", array=1.0, **fields):
    file = tmp_path / "made"
    file.write_bytes(content)
    given = {"format": "onnx", "model": "m", "precision": "fp32", "inputs": (), "outputs": (), "weights": "own"}
    given |= {"tolerance": 1e-3, "reference": "onnxruntime", "key": key} | fields
    return store.add(file, [np.full((1, 2), array, np.float32)], [np.arange(3)], **given)


def test_what_is_added_is_found(store, tmp_path):
    artifact = add(store, tmp_path)
    assert store.find(KEY) == artifact
    assert store.all() == [artifact]
    assert store.model_path(artifact).read_bytes() == b"model bytes"
    assert store.model_path(artifact) == store.root / artifact.file
    assert artifact.size_bytes == 11
    with np.load(store.io_path(artifact), allow_pickle=False) as io:
        assert sorted(io.files) == ["in0", "out0"]
        np.testing.assert_array_equal(io["out0"], [0, 1, 2])
    assert list((store.root / "partial").iterdir()) == []


def test_nothing_is_found_in_an_empty_store(store):
    assert store.find(KEY) is None
    assert store.all() == []


def test_the_same_bytes_under_two_keys_keep_their_own_references(store, tmp_path):
    one, two = add(store, tmp_path), add(store, tmp_path, key=OTHER, array=2.0)
    assert one.sha256 == two.sha256
    assert one.io_sha256 != two.io_sha256
    assert store.find(KEY) == one
    assert store.find(OTHER) == two


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("part", ["model", "io", "record"])
def test_a_damaged_artifact_is_reported_and_can_be_added_again(store, tmp_path, caplog, damage, part):
    artifact = add(store, tmp_path)
    record = store.root / "keys" / f"{KEY}.json"
    damage({"model": store.model_path(artifact), "io": store.io_path(artifact), "record": record}[part])
    with caplog.at_level(logging.WARNING):
        assert store.find(KEY) is None
    never_was = damage is Path.unlink and part == "record"
    assert ("made again" in caplog.text) is not never_was
    assert store.find(KEY) is None
    again = add(store, tmp_path)
    assert store.find(KEY) == again
    assert again.sha256 == artifact.sha256


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "null", '{"sha256": 1}', "\0", "[" * 100_000],
    ids=["empty", "list", "null", "type", "nul", "deep"],
)
def test_a_record_that_is_none_is_not_trusted(store, tmp_path, content):
    add(store, tmp_path)
    (store.root / "keys" / f"{KEY}.json").write_text(content)
    assert store.all() == []
    assert store.find(KEY) is None


def test_a_record_under_another_key_or_too_large_is_not_trusted(store, tmp_path):
    add(store, tmp_path)
    record = store.root / "keys" / f"{KEY}.json"
    (store.root / "keys" / f"{OTHER}.json").write_bytes(record.read_bytes())
    assert store.find(OTHER) is None
    record.write_bytes(record.read_bytes() + b" " * (5 * 2**20))
    assert store.find(KEY) is None


def test_records_are_strict(store, tmp_path):
    document = json.loads(add(store, tmp_path).model_dump_json())
    for change in ({"sha256": "../x"}, {"size_bytes": -1}, {"surprise": 1}, {"precision": "int5"}, {"tolerance": 0}):
        with pytest.raises(ValidationError):
            Artifact.model_validate(document | change)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_a_hash_is_a_key(store, key):
    with pytest.raises(ValueError, match="not a key"):
        store.find(key)


def test_a_recipe_finds_its_latest_intact_artifact(store, tmp_path):
    first = add(store, tmp_path, recipe=OTHER, content=b"one")
    second = add(store, tmp_path, key=OTHER, recipe=OTHER, content=b"two")
    assert store.find_recipe(OTHER) == second
    flip(store.model_path(second))
    assert store.find_recipe(OTHER) == first
    assert store.find_recipe(KEY) is None


def test_leftovers_of_killed_processes_are_swept(store, tmp_path):
    add(store, tmp_path)
    leftover, recent = store.root / "partial" / "leftover", store.root / "partial" / "recent"
    leftover.mkdir()
    (leftover / "model.onnx").write_bytes(b"half")
    recent.mkdir()
    old = time.time() - 2 * 86_400
    os.utime(leftover, (old, old))
    with store.scratch() as slow:
        os.utime(slow, (old, old))
        add(store, tmp_path)
        assert slow.exists()  # old, but somebody is at work in it
    assert not leftover.exists()
    assert recent.exists()


def test_the_lock_holds_against_another_process(store):
    code = (
        "import sys, pathlib; from models.store import ArtifactStore\n"
        "with ArtifactStore(pathlib.Path(sys.argv[1])).lock('a' * 64):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        taken = threading.Event()

        def take():
            with store.lock(KEY):
                taken.set()

        waiting = threading.Thread(target=take)
        waiting.start()
        with store.lock(OTHER):  # another key is free
            assert not taken.wait(0.3)
        other.stdin.close()
        assert taken.wait(120)
        waiting.join()


@contextmanager
def small_disk(folder):
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_in_words_and_leaves_nothing_behind(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = ArtifactStore(disk / "store")
        kept = add(store, tmp_path, content=b"x" * 1000)
        before = sorted(path for path in store.root.rglob("*") if path.is_file())
        with pytest.raises(ModelError, match="no space left") as caught:
            add(store, tmp_path, key=OTHER, content=os.urandom(2 * 2**20))
        assert str(store.root) in str(caught.value)
        assert sorted(path for path in store.root.rglob("*") if path.is_file()) == before
        assert store.find(KEY) == kept
        assert store.find(OTHER) is None


def test_a_store_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    store = ArtifactStore(tmp_path / "file")
    with pytest.raises(ModelError, match="cannot write the artifact store"), store.lock(KEY):
        pass
    with pytest.raises(ModelError, match="cannot write"):
        add(store, tmp_path)
