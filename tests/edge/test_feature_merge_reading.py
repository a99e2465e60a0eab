"""A shard whose data cannot be read is named; the place that is written to is not blamed for it."""

from __future__ import annotations

import errno
import os

import pytest
from made_shards import make_shard
from stored_features import refused

from edge.feature_merge import merge_shards


@pytest.mark.parametrize("what", ["missing", "broken"])
def test_a_shard_that_cannot_be_read(tmp_path, monkeypatch, what):
    shards = [make_shard(tmp_path, 1, (4, 2, 0)), make_shard(tmp_path, 2, (5, 3, 1))]
    if what == "missing":
        (shards[1] / "features.bin").unlink()
    else:
        second, real = (shards[1] / "features.bin").stat(), os.pread

        def pread(descriptor, size, offset):
            if os.path.samestat(os.fstat(descriptor), second):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, size, offset)

        monkeypatch.setattr(os, "pread", pread)
    error = refused(merge_shards, shards, tmp_path / "out")
    assert error.what == f"the shard {shards[1]} cannot be read"
    assert "features.bin" in error.expected and error.exit_code == 8
    assert ("No such file" if what == "missing" else "Input/output error") in error.found
    assert not list(tmp_path.glob("*out*"))
