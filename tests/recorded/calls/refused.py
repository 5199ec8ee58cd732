"""Requests that are refused: what is said, and that it costs nothing."""

from tests.recorded.call import Call
from tests.recorded.calls.pictures import BLACK, SOURCE, THIN, text
from tests.recorded.calls.vendor import PATH, drawn

JSON = {"content-type": "application/json"}


def raw(name, content, headers=JSON):
    return Call(name, "POST", PATH, content=content, headers=headers)


FIELDS = [
    drawn("steps-too-few", num_inference_steps=10),
    drawn("steps-no-number", num_inference_steps="many"),
    drawn("guidance-too-high", guidance_scale=40),
    drawn("samples-too-many", samples=9),
    drawn("samples-fraction", samples=1.5),
    drawn("width-odd", img_width=500),
    drawn("seed-negative", seed=-2),
    drawn("prompt-empty", prompt=""),
    drawn("prompt-a-number", prompt=5),
    drawn("prompt-too-long", prompt="x" * 10_001),
    Call("prompt-missing", "POST", PATH, json={"seed": 1}),
    drawn("format-unknown", output_format="gif"),
    drawn("output-unknown", output="poster"),
    drawn("resize-unknown", image=text(SOURCE), resize_mode="wrap"),
    drawn("flag-unknown", base64="maybe"),
    drawn("clip-skip-too-high", clip_skip=13),
    drawn("strength-too-low", image=text(SOURCE), strength=0.01),
    drawn("image-no-base64", image="%%%"),
    drawn("image-no-picture", image="aGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gcGljdHVyZQ=="),
    drawn("image-too-small", image=text(THIN)),
    drawn("image-cut-off", image=text(SOURCE[: len(SOURCE) // 2])),
    drawn("image-from-this-machine", image="http://127.0.0.1:9/a.png"),
    drawn("image-of-another-scheme", image="ftp://example.org/a.png"),
    drawn("mask-of-nothing", image=text(SOURCE), mask=text(BLACK)),
    drawn("mix-unknown-name", style_mix={"mood": "no such mood"}),
    drawn("mix-unknown-field", style_mix={"weather": "rain"}),
    drawn("mix-no-object", style_mix=[1]),
    drawn("template-broken", template=True, prompt="a {red|blue knight"),
    drawn("weights-broken", prompt="a (knight:1.2 [x:"),
]

BODIES = [
    raw("json-broken", b'{"prompt": '),
    raw("json-list", b"[1, 2]"),
    raw("json-empty", b""),
    raw("json-nan", b'{"prompt": "x", "guidance_scale": NaN}'),
    raw("json-twice", b'{"prompt": "x", "prompt": "y"}'),
    raw("text", b"a knight", {"content-type": "text/plain"}),
    raw("no-content-type", b'{"prompt": "x"}', {}),
    raw("form-urlencoded", b"prompt=x", {"content-type": "application/x-www-form-urlencoded"}),
    raw("multipart-broken", b"--x", {"content-type": "multipart/form-data; boundary=x"}),
]

STRANGERS = [
    Call("no-key", "POST", PATH, json={"prompt": "x"}, key=""),
    Call("bad-key", "POST", PATH, json={"prompt": "x"}, key="",
         headers={"x-api-key": "SG_" + "0" * 32}),
    Call("reader-draws", "POST", PATH, json={"prompt": "x"}, key="key-reader"),
    Call("reader-looks", "GET", "/v1/get-user-credits", key="key-reader"),
    Call("reader-administers", "GET", "/api/admin/keys", key="key-reader"),
    Call("no-such-path", "GET", "/v1/nothing/here"),
    Call("no-such-model", "POST", "/v1/sdxl", json={"prompt": "x"}),
    Call("wrong-verb", "GET", PATH),
    Call("preflight", "OPTIONS", PATH, key="", headers={
        "origin": "https://example.org", "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key,content-type"}),
    Call("head", "HEAD", "/v1/get-user-credits"),
    Call("poor", "POST", PATH, json={"prompt": "x", "seed": 1}, key="key-poor"),
    Call("poor-credits", "GET", "/v1/get-user-credits", key="key-poor"),
    Call("slow-first", "POST", PATH, json={"prompt": "x", "seed": 1}, key="key-slow"),
    Call("slow-second", "POST", PATH, json={"prompt": "x", "seed": 2}, key="key-slow"),
    Call("capped", "POST", PATH, json={"prompt": "x", "seed": 2}, key="key-capped"),
]  # fmt: skip

FAULTS = [
    drawn("fault", prompt="a !fault knight"),
    drawn("fault-black", prompt="a !black knight", base64=True),
    Call("balance-after-faults", "GET", "/v1/get-user-credits"),
]

CALLS = [*FIELDS, *BODIES, *STRANGERS, *FAULTS]
