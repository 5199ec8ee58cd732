"""Progress and interruption of a call that another server of the same database draws."""

import base64
import threading

from limner import imaging
from limner.store import followed
from limner.usecases.queueing import telling
from tests.waiting import LONG_S, HeldEngine, wait_for
from tests.web.served import serve


def test_a_call_is_followed_and_interrupted_at_another_server(tmp_path, monkeypatch):
    monkeypatch.setattr(telling, "PERIOD_S", 0.01)
    monkeypatch.setattr(followed, "ASKED_S", 3600.0)
    answers, engine = [], HeldEngine()
    body = {"prompt": "x", "steps": 150}
    with serve(tmp_path, engine=engine) as drawing, serve(tmp_path) as asked:

        def call():
            with drawing.http() as http:
                answers.append(http.post("/sdapi/v1/txt2img", json=body))

        with asked.http(drawing.key) as http, asked.http(asked.key) as strange:
            thread = threading.Thread(target=call)
            thread.start()

            def a_step_later():
                engine.release(steps=1)
                return http.get("/sdapi/v1/progress").json()

            seen = wait_for(a_step_later, lambda p: p["progress"] > 0 and p["current_image"])
            assert strange.get("/sdapi/v1/progress").json()["state"]["job_count"] == 0
            http.post("/sdapi/v1/interrupt")
            engine.release()
            thread.join(LONG_S)
    assert (seen["state"]["sampling_steps"], seen["state"]["job_count"]) == (150, 1)
    assert 0 < seen["progress"] < 1
    assert imaging.read_image(base64.b64decode(seen["current_image"])).shape == (16, 16, 3)
    assert (answers[0].status_code, answers[0].json()["images"]) == (200, [])
