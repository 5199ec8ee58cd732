"""Limner's own calls: what is free, stored requests, pictures, replay, the operator's."""

from tests.recorded.call import Call
from tests.recorded.calls.pictures import SOURCE, text
from tests.recorded.calls.vendor import MIX

SMALL = {"img_width": 64, "img_height": 96, "num_inference_steps": 4, "seed": 41}


def asked(name, path, **body):
    return Call(name, "POST", path, json=body)


def requested(name, *bodies, **fields):
    """A submission, and its first request once it has ended."""
    body = {"requests": list(bodies)} if bodies else {"prompt": "an elf", **SMALL, **fields}
    id = f"$({name}.requests.0.request_id)"
    return [
        Call(name, "POST", "/api/requests", json=body),
        Call(f"{name}-show", "GET", f"/api/requests/{id}", wait=True),
    ]


KEYS = [
    Call("key-me", "POST", "/api/admin/keys", key="admin", json={"name": "me", "credits": 10}),
    Call("key-other", "POST", "/api/admin/keys", key="admin", json={"name": "two", "credits": 1}),
    Call("key-reader", "POST", "/api/admin/keys", key="admin",
         json={"name": "reader", "scopes": ["read"]}),
    Call("key-poor", "POST", "/api/admin/keys", key="admin",
         json={"name": "poor", "credits": 0.0001}),
    Call("key-slow", "POST", "/api/admin/keys", key="admin",
         json={"name": "slow", "credits": 1, "requests_per_minute": 1}),
    Call("key-capped", "POST", "/api/admin/keys", key="admin",
         json={"name": "capped", "credits": 1, "spend_cap": 0.001}),
]  # fmt: skip

FREE = [
    asked("quote", "/api/quote", prompt="x", samples=3, base64=True, scheduler="heun"),
    asked("quote-img2img", "/api/quote", prompt="x AND y", image=text(SOURCE), strength=0.5),
    asked("quote-lines", "/api/quote", prompt="x", style_mix={"sequence": ["a", "b", "c"]}),
    asked("quote-one", "/api/quote", prompt="x", guidance_scale=1, img_width=1024),
    asked("quote-bad", "/api/quote", prompt="x", samples=99),
    asked("explain", "/api/explain", prompt="(skull:0.8) [a:b:0.5] x AND y BREAK z <lora:q:1>",
          negative_prompt="[fog|rain]"),
    asked("explain-broken", "/api/explain", prompt="a (b [c"),
    asked("preview", "/api/styles/preview", prompt="an old wizard", seed=7, style_mix=MIX),
    asked("preview-lines", "/api/styles/preview", prompt="x", seed=7,
          style_mix={"sequence": ["a", "b"], "subsequence": ["c", "d"], "mood": "random"}),
    asked("preview-none", "/api/styles/preview", prompt="x", seed=1),
    Call("schedulers-list", "GET", "/api/schedulers"),
    Call("styles", "GET", "/api/styles"),
    Call("model", "GET", "/api/model"),
    Call("license", "GET", "/license", key=""),
    Call("license-accept", "POST", "/api/license/accept"),
    Call("live", "GET", "/health/live", key=""),
    Call("ready", "GET", "/health/ready", key=""),
]  # fmt: skip

STORED = [
    *requested("request"),
    *requested("requests", {"prompt": "one", **SMALL}, {"prompt": "two", **SMALL, "samples": 3}),
    *requested("request-lines", style_mix={"sequence": ["x", "y"]}),
    *requested("request-img2img", image=text(SOURCE), strength=0.5),
    *requested("request-fault", prompt="!fault"),
    *requested("request-part", prompt="[x|!black]", samples=2),
    Call("requests-beside", "POST", "/api/requests",
         json={"requests": [{"prompt": "x", **SMALL}], "seed": 5}),
    Call("requests-none", "POST", "/api/requests", json={"requests": []}),
    Call("requests-bad", "POST", "/api/requests",
         json={"requests": [{"prompt": "x", **SMALL}, {"prompt": "x", "samples": 99}]}),
    Call("requests-too-many", "POST", "/api/requests", json={"requests": [{"prompt": "x"}] * 65}),
    Call("requests-other", "POST", "/api/requests", json={"prompt": "x", **SMALL}, key="key-other"),
    Call("requests-other-list", "GET", "/api/requests?limit=5", key="key-other", wait=True),
    Call("requests-list", "GET", "/api/requests?limit=3", wait=True),
    Call("requests-list-bad", "GET", "/api/requests?limit=0"),
    Call("events", "GET", "/api/requests/$(request.requests.0.request_id)/events"),
    Call("events-fault", "GET", "/api/requests/$(request-fault.requests.0.request_id)/events"),
    Call("long", "POST", "/api/requests",
         json={"prompt": "long", **SMALL, "num_inference_steps": 150, "scheduler": "Heun"}),
    Call("long-cancelled", "DELETE", "/api/requests/$(long.requests.0.request_id)"),
    Call("long-result", "GET", "/v2/requests/$(long.requests.0.request_id)"),
    Call("request-not-mine", "GET", "/api/requests/$(request.requests.0.request_id)",
         key="key-other"),
]  # fmt: skip

_PICTURE = "/api/pictures/$(request-show.pictures.0.id)"
_RECEIPT = "/api/receipts/$(request-show.pictures.0.id)"
PICTURES = [
    Call("picture", "GET", _PICTURE),
    Call("picture-png", "GET", f"{_PICTURE}.png?metadata=false"),
    Call("picture-jpg", "GET", f"{_PICTURE}.jpg"),
    Call("picture-webp", "GET", f"{_PICTURE}.webp"),
    Call("picture-sprite", "GET", f"{_PICTURE}.sprite.png"),
    Call("picture-not-mine", "GET", _PICTURE, key="key-other"),
    Call("picture-unknown", "GET", "/api/pictures/pic_0"),
    Call("receipt", "GET", _RECEIPT),
    Call("receipt-not-mine", "GET", _RECEIPT, key="key-other"),
    Call("source", "GET", "/api/sources/$(request-img2img-show.generation.source.sha256)"),
    Call("source-none", "GET", "/api/sources/" + "0" * 64),
    Call("replay", "POST", "/api/replay",
         json={"picture_id": "$(request-show.pictures.0.id)"}),
    Call("replay-img2img", "POST", "/api/replay",
         json={"picture_id": "$(request-img2img-show.pictures.0.id)"}),
    Call("replay-nothing", "POST", "/api/replay", json={}),
    Call("replay-no-receipt", "POST", "/api/replay", json={"receipt": {"receipt": 99}}),
    Call("picture-deleted", "DELETE", _PICTURE),
    Call("picture-gone", "GET", _PICTURE),
    Call("request-gone", "GET", "/v2/requests/$(request.requests.0.request_id)"),
    Call("request-forgotten", "DELETE", "/api/requests/$(requests.requests.1.request_id)"),
]  # fmt: skip

OPERATOR = [
    Call("grant", "POST", "/api/admin/credits", key="admin",
         json={"key_id": "$(key-poor.id)", "credits": 2, "id": "gift"}),
    Call("grant-again", "POST", "/api/admin/credits", key="admin",
         json={"key_id": "$(key-poor.id)", "credits": 2, "id": "gift"}),
    Call("grant-bad", "POST", "/api/admin/credits", key="admin",
         json={"key_id": "$(key-poor.id)", "credits": -2}),
    Call("key-changed", "PATCH", "/api/admin/keys/$(key-slow.id)", key="admin",
         json={"requests_per_minute": 5, "concurrency": 2}),
    Call("key-rotated", "POST", "/api/admin/keys/$(key-capped.id)/rotate", key="admin"),
    Call("key-refused", "DELETE", "/api/admin/keys/$(key-reader.id)", key="admin"),
    Call("reader-refused", "GET", "/v1/get-user-credits", key="key-reader"),
    Call("key-nameless", "POST", "/api/admin/keys", key="admin", json={"credits": 1}),
    Call("keys", "GET", "/api/admin/keys", key="admin"),
    Call("ledger", "GET", "/api/admin/credits?check=true", key="admin"),
    Call("usage", "GET", "/api/admin/usage?days=30", key="admin"),
]  # fmt: skip

CALLS = [*FREE, *STORED, *PICTURES]
