"""Drives Microsoft's execution engine (azure-functions-runtime) over one function app.

Run as a script with the engine on PYTHONPATH: a question as JSON on stdin, the answers as JSON on
stdout. The engine speaks protobuf with its host; it only ever builds and reads messages through
the `protos` that it is handed, so plain objects with the same fields stand in for them.

    {"app": folder, "http": [{function, method, url, headers, query, params, body}],
     "events": [{function, event}]}
    -> {"error": why nothing could be loaded, or "", "functions": {name: bindings},
        "http": [{error} or {status, headers, body}], "events": [{error}]}
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from types import SimpleNamespace
from typing import Any

Json = dict[str, Any]


class Message(SimpleNamespace):
    """A message, or a oneof: then the field beside `name` that is set is the one."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's own name
        fields = {name: value for name, value in vars(self).items() if name != "name"}
        return next((name for name, value in fields.items() if value is not None), None)


class StatusResult(Message):
    Failure, Success = 0, 1


class BindingInfo(Message):
    undefined = 0
    out, inout = 1, 2


PROTOS = SimpleNamespace(
    StatusResult=StatusResult,
    BindingInfo=BindingInfo,
    **dict.fromkeys(
        (
            "WorkerInitResponse",
            "WorkerMetadata",
            "RpcFunctionMetadata",
            "FunctionMetadataResponse",
            "FunctionLoadResponse",
            "InvocationResponse",
            "RpcException",
            "TypedData",
            "RpcHttp",
            "ParameterBinding",
        ),
        Message,
    ),
)


def wrap(**request: Any) -> Message:
    return Message(request=Message(**request), properties={"host": "127.0.0.1", "protos": PROTOS})


async def answer(question: Json) -> Json:
    engine: Any = importlib.import_module("azure_functions_runtime")
    sys.path.insert(0, question["app"])
    begin = Message(capabilities={}, function_app_directory=question["app"])
    started = await engine.worker_init_request(wrap(worker_init_request=begin))
    if started.result.status != StatusResult.Success:
        return {"error": started.result.exception.message, "functions": {}}
    listed = await engine.functions_metadata_request(wrap())
    functions = {found.name: found for found in listed.function_metadata_results or []}
    for found in functions.values():
        load = Message(function_id=found.function_id)
        loaded = await engine.function_load_request(wrap(function_load_request=load))
        assert loaded.result.status == StatusResult.Success
    engine.start_threadpool_executor()

    async def invoke(name: str, data: Message) -> Any:
        found = functions[name]
        trigger = next(
            binding
            for binding in map(json.loads, found.raw_bindings)
            if binding["type"].endswith("Trigger")
        )
        request = Message(
            invocation_id="1",
            function_id=found.function_id,
            input_data=[Message(name=trigger["name"], data=data)],
            trigger_metadata={},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        return await engine.invocation_request(wrap(invocation_request=request))

    return {
        "error": "",
        "functions": {
            name: [json.loads(binding) for binding in found.raw_bindings]
            for name, found in functions.items()
        },
        "http": [
            http_answer(await invoke(asked["function"], http_request(asked)))
            for asked in question.get("http", [])
        ],
        "events": [
            {"error": failure(await invoke(sent["function"], Message(json=sent["event"])))}
            for sent in question.get("events", [])
        ],
    }


def http_request(asked: Json) -> Message:
    return Message(
        http=Message(
            method=asked["method"],
            url=asked["url"],
            headers=asked["headers"],
            query=asked["query"],
            params=asked["params"],
            body=Message(bytes=asked["body"].encode()),
        )
    )


def http_answer(response: Any) -> Json:
    if error := failure(response):
        return {"error": error}
    value = response.return_value
    if value.WhichOneof("data") == "string":
        return {"status": 200, "headers": {}, "body": value.string}
    http = value.http
    return {
        "status": int(http.status_code),
        "headers": {name.lower(): header for name, header in http.headers.items()},
        "body": http.body.bytes.decode(),
    }


def failure(response: Any) -> str:
    if response.result.status == StatusResult.Success:
        return ""
    return str(response.result.exception.message)


if __name__ == "__main__":
    json.dump(asyncio.run(answer(json.load(sys.stdin))), sys.stdout)
