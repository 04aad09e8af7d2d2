"""Each route reaches its work with what the platform brought: path, query, headers and body."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from shared import http_routes
from shared.adapters import functions_http
from shared.callers import Asked
from shared.http_routes import ROUTES
from tests.unit import house
from tests.unit.house import House


@pytest.fixture
def home() -> House:
    return house.build()


def handlers(home: House) -> dict[str, func.Function]:
    """The functions as the host indexes them."""
    app = func.FunctionApp()

    def answered(name: str, asked: Asked) -> tuple[int, Any]:
        return http_routes.answer(lambda: home.deployment, name, asked)

    functions_http.bind(app, func.AuthLevel.FUNCTION, http_routes.PATHS, answered)
    return {str(one.get_function_name()): one for one in app.get_functions()}


@pytest.mark.parametrize(
    ("name", "named", "body", "code"),
    [
        ("status", {}, {}, 200),
        ("show_run", {"id": "20260309-nothing-r0"}, {}, 404),
        ("start_run", {}, {"hunt": "nothing"}, 400),
        ("start_run", {}, {"hunt": "beaconing", "end_date": "2026-03-01"}, 202),
        ("change_run", {"id": "20260309-nothing-r0", "change": "cancel"}, {}, 404),
        ("change_run", {"id": "x", "change": "explode"}, {}, 404),
        ("pause", {}, {}, 400),
        ("pause", {}, {"reason": "why"}, 202),
        ("resume", {}, {}, 202),
        ("list_gaps", {}, {}, 200),
        ("fill_gaps", {}, {"hunt": "nothing"}, 400),
        ("list_quiet", {}, {}, 200),
        ("revoke_quiet", {"case": "nothing"}, {}, 404),
        ("examine", {}, {}, 200),
    ],
)
def test_the_platform_s_request_reaches_the_work(
    home: House, name: str, named: dict[str, str], body: dict[str, str], code: int
) -> None:
    request = func.HttpRequest(
        ROUTES[name].method, "/api/x", route_params=named, body=json.dumps(body).encode()
    )
    answer = handlers(home)[name].get_user_function()(request)
    assert answer.status_code == code
    assert isinstance(json.loads(answer.get_body()), dict)


def test_every_route_is_bound_under_its_name_with_method_path_and_guard(home: House) -> None:
    found = {}
    for name, function in handlers(home).items():
        (told,) = [one for one in function.get_bindings() if one.type == "httpTrigger"]
        trigger = told.get_dict_repr()
        (method,) = trigger["methods"]
        found[name] = (method, trigger["route"], trigger["authLevel"])
    guard = func.AuthLevel.FUNCTION
    assert found == {
        name: (func.HttpMethod(route.method), route.path, guard) for name, route in ROUTES.items()
    }


def test_a_page_is_asked_for_by_the_query(home: House) -> None:
    request = func.HttpRequest("GET", "/api/quiet", params={"after": "cases/zz"}, body=b"")
    answer = handlers(home)["list_quiet"].get_user_function()(request)
    assert json.loads(answer.get_body()) == {"quiet": [], "next": None}
