"""schemathesis against our own specification: no answer that the specification does not know.

A real server, real requests; few examples an address, so that it stays quick. The same over
more of them is `st run http://127.0.0.1:7860/api/v1/openapi.json`.
"""

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.shop import Api

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


EXAMPLES = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_answer_is_one_that_the_specification_names(tmp_path: Path) -> None:
    with Api(tmp_path, rate_limit="") as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/api/v1/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        assert len(operations) >= 20
        for operation in operations:

            @EXAMPLES
            @given(case=operation.as_strategy())
            def answered(case: Any) -> None:
                case.call_and_validate(checks=CHECKS)

            answered()
