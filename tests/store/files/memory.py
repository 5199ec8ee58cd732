"""The files of pictures in a dictionary, as a bucket would keep them: with links."""

import threading
import time

from limner.store.files.protocol import missing


class MemoryFiles:
    """``Files`` of this process; ``written_at`` holds the moments of the last writes by key."""

    def __init__(self):
        self.written_at = {}
        self._files = {}
        self._lock = threading.Lock()

    def write(self, key, data):
        with self._lock:
            if key not in self._files:
                self._files[key] = bytes(data)
                self.written_at[key] = time.time()

    def read(self, key):
        try:
            return self._files[key]
        except KeyError:
            raise missing(key, "not in memory") from None

    def delete(self, key):
        with self._lock:
            self._files.pop(key, None)

    def exists(self, key):
        return key in self._files

    def older_than(self, seconds):
        limit = time.time() - seconds
        for key in list(self._files):
            if self.written_at[key] < limit:
                yield key

    def link(self, key, seconds):
        return f"https://bucket.test/{key}?for={seconds:g}"
