"""354 requests over all surfaces with their answers: proof that a rework changes none.

``python -m tests.recorded`` sends the requests (``calls/``) to servers of its own and writes the
answers to ``answers.jsonl.gz``; ``test_recorded.py`` sends them again and compares. What may
differ between two runs is listed in ``normal.py``, and nowhere else.
``python -m tests.recorded --of FOLDER --show`` compares another checkout, such as an older one.
"""
