"""The vendor's queue, ``/v2``."""

from tests.recorded.call import Call
from tests.recorded.calls.pictures import SOURCE, text

PATH = "/v2/sd1.5-rpg"


def queued(name, path=PATH, headers=None, **fields):
    """A submission, then its status and its result once it has ended."""
    body = {"prompt": f"a mage, {name}", "seed": 11, **fields}
    id = f"$({name}.request_id)"
    return [
        Call(name, "POST", path, json=body, headers=headers or {}),
        Call(f"{name}-status", "GET", f"/v2/requests/{id}/status", wait=True),
        Call(f"{name}-result", "GET", f"/v2/requests/{id}"),
    ]


CALLS = [
    *queued("queued"),
    *queued("queued-four", samples=4, output_format="png"),
    *queued("queued-webp", output_format="webp", metadata=False, scheduler="heun"),
    *queued("queued-lines", style_mix={"sequence": ["x", "y", "z"]}),
    *queued("queued-template", template=True, prompt="a {red|blue} mage"),
    *queued("queued-img2img", image=text(SOURCE), strength=0.5),
    *queued("queued-sibling", "/v2/sd1.5-img2img", image=text(SOURCE)),
    *queued("queued-fault", prompt="a !fault mage"),
    *queued("queued-key", headers={"idempotency-key": "later"}),
    Call("queued-key-again", "POST", PATH, headers={"idempotency-key": "later"},
         json={"prompt": "a mage, queued-key", "seed": 11}),
    Call("queued-key-otherwise", "POST", PATH, headers={"idempotency-key": "later"},
         json={"prompt": "another", "seed": 11}),
    Call("queued-poll", "GET", "/v1/requests/$(queued.request_id)"),
    Call("queued-show", "GET", "/api/requests/$(queued.request_id)"),
    Call("queued-four-show", "GET", "/api/requests/$(queued-four.request_id)"),
    Call("queued-picture", "GET", "/api/pictures/$(queued-show.pictures.0.id).jpg"),
    Call("queued-unknown", "GET", "/v2/requests/req_0/status"),
    Call("queued-not-mine", "GET", "/v2/requests/$(queued.request_id)", key="key-other"),
    Call("queued-refused", "POST", PATH, json={"prompt": "x", "samples": 9}),
    Call("queued-poor", "POST", PATH, json={"prompt": "x", "seed": 1}, key="key-poor"),
]  # fmt: skip
