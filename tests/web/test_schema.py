"""The OpenAPI document against the application: schemathesis sends what it allows, and more."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from limner.settings import Settings
from limner.web.app import create_app
from tests.web import fakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
services = fakes.services()
services.generate.side = 16
app = create_app(
    Settings(data_dir="/nonexistent", key_max_free_calls_per_minute=1_000_000), services
)
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
OPERATIONS = [
    (verb.upper(), path) for path, verbs in app.openapi()["paths"].items() for verb in verbs
]


# schemathesis' own way gives all operations one name, of which several processes run one alone.
@pytest.mark.parametrize(("verb", "path"), OPERATIONS)
def test_answers_are_as_documented(verb, path):
    @given(schema[path][verb].as_strategy())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def holds(case):
        case.call_and_validate(headers={"x-api-key": fakes.KEY}, checks=CHECKS)

    holds()
