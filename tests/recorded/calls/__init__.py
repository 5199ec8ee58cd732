"""The recorded requests, a file for each surface, in the order in which they are sent."""

from tests.recorded.calls import automatic1111, later, native, openai, refused, squire, vendor

FAKE = [
    *native.KEYS,
    *vendor.CALLS,
    *refused.CALLS,
    *later.CALLS,
    *openai.CALLS,
    *automatic1111.CALLS,
    *native.CALLS,
    *native.OPERATOR,
]
SQUIRE = squire.CALLS
