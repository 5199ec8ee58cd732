import gc


def pytest_collection_finish():
    """What was imported stays: the collector need not walk through all of it again and again."""
    gc.collect()
    gc.freeze()
