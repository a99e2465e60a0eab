"""Live sources: the newest frame wins, a slow consumer never lags, drop-outs are bridged."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge.errors import SourceError
from edge.live import LiveSource


class FakeCamera:
    """Makes a picture every `period_s`; the number of the picture is in its first pixel."""

    def __init__(self, period_s=0.01, fails_after=None, blocks_after=None):
        self.period_s, self.fails_after, self.blocks_after = period_s, fails_after, blocks_after
        self.made = 0
        self.released = threading.Event()

    def read(self):
        if self.blocks_after is not None and self.made >= self.blocks_after:
            self.released.wait(30)
            return False, None
        if self.fails_after is not None and self.made >= self.fails_after:
            return False, None
        time.sleep(self.period_s)
        self.made += 1
        image = np.zeros((4, 4, 3), np.uint8)
        image[0, 0] = self.made // 65536, self.made // 256 % 256, self.made % 256
        return True, image

    def release(self):
        self.released.set()


def number(frame):
    red, green, blue = frame.image[0, 0].tolist()  # BGR as read has become RGB
    return blue * 65536 + green * 256 + red


def test_a_slow_consumer_of_100_hz_gets_fresh_frames_and_the_rest_is_counted():
    camera = FakeCamera(period_s=0.01)
    source = LiveSource(lambda: camera, "fake camera")
    ages_ms, indices, lags = [], [], []
    for frame in source:
        ages_ms.append(source.age_ms)
        indices.append(frame.index)
        lags.append(camera.made - number(frame))
        assert abs(time.time() - frame.time_s) < 0.5
        time.sleep(0.12)  # twelve frames come meanwhile
        if len(indices) == 8:
            break
    source.close()
    assert indices == sorted(set(indices))
    assert indices[-1] >= 60  # it kept up with the camera: skipped, not queued
    # Never older than a few frames of the camera, however long the consumer took (120 ms).
    assert max(ages_ms) < 80
    assert max(lags) <= 5
    assert source.worst_age_ms == max(ages_ms)
    assert source.dropped >= indices[-1] - len(indices) - 5
    assert source.dropped > 40


def test_a_fast_consumer_misses_nothing():
    source = LiveSource(lambda: FakeCamera(period_s=0.02), "fake camera")
    indices = []
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 10:
            break
    source.close()
    assert indices == list(range(10))
    assert source.dropped == 0


def test_a_drop_out_is_bridged_by_opening_again():
    cameras = [FakeCamera(fails_after=5), FakeCamera()]
    opened = iter(cameras)
    source = LiveSource(lambda: next(opened, None), "fake stream")
    indices = []
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 12:
            break
    source.close()
    assert source.reopened == 1
    assert cameras[0].released.is_set()
    assert indices == sorted(set(indices))


@pytest.mark.parametrize("how", ["fails_after", "blocks_after"])
def test_silence_is_an_error_in_time(how):
    camera = FakeCamera(**{how: 2})
    cameras = iter([camera])
    source = LiveSource(lambda: next(cameras, None), "rtsp://cam/1", stall_s=0.4)
    frames, start_s = [], time.monotonic()
    with pytest.raises(SourceError) as caught:
        frames.extend(source)
    assert time.monotonic() - start_s < 2.5
    for word in ("rtsp://cam/1 is silent", "within 0.4 s", "opened again 0 times", "is kept"):
        assert word in str(caught.value)
    assert frames
    camera.release()
    source.close()


def test_closing_ends_the_iteration_and_frees_the_camera():
    camera = FakeCamera()
    source = LiveSource(lambda: camera, "fake camera", stall_s=30)
    threading.Timer(0.2, source.close).start()
    for _ in source:
        pass
    assert camera.released.wait(2)


def test_a_camera_that_cannot_be_opened():
    with pytest.raises(SourceError) as caught:
        LiveSource(lambda: None, "/dev/video9")
    for word in ("/dev/video9 cannot be opened", "camera index", "tilefix doctor"):
        assert word in str(caught.value)
