"""The OpenAPI document against the application: schemathesis sends what it allows, and more."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from limner.settings import Settings
from limner.web.app import create_app
from tests.web import fakes

# Collecting this file works out a thousand cases for each drawing route: conftest.py leaves it
# out where its plugin is switched off.
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


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_documented(case):
    case.call_and_validate(headers={"x-api-key": fakes.KEY}, checks=CHECKS)
