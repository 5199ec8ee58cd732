"""A place for files that fails as long as a test wants it to."""


class BrokenFiles:
    """``Files`` that raise ``error``, where one is set, and else do what ``files`` do."""

    def __init__(self, files):
        self.error = None
        self.failed = 0
        self._files = files

    def __getattr__(self, name):
        work = getattr(self._files, name)

        def asked(*arguments):
            if self.error is not None:
                self.failed += 1
                raise self.error
            return work(*arguments)

        return asked
