"""Function apps for the tests of the functions host, as source text."""

from __future__ import annotations

from tests.system.functions_process import HEAD

APP = (
    HEAD
    + """
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


SEEN = os.environ["SEEN"]
def note(**what):
    with open(SEEN, "a") as file:
        file.write(json.dumps(what) + "\\n")


@app.route(route="echo/{id}", methods=["POST"])
def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    body = {"method": req.method, "url": req.url, "params": dict(req.params),
            "route": dict(req.route_params), "header": req.headers.get("X-Asked"),
            "json": req.get_json(), "function": context.function_name,
            "invocation": context.invocation_id, "trace": context.trace_context.trace_parent}
    return func.HttpResponse(json.dumps(body), status_code=201, mimetype="application/json",
                             headers={"X-Answer": "42", "Set-Cookie": "a=1; Path=/"})


@app.route(route="echo/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def read(req: func.HttpRequest) -> str:
    return "read " + req.route_params["id"]


@app.route(route="echo/newest", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def newest(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("newest")


@app.route(route="number/{n:int}/{*rest}", auth_level=func.AuthLevel.ANONYMOUS)
async def number(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(dict(req.route_params)))

@app.route(route="maybe/{page?}", auth_level=func.AuthLevel.ANONYMOUS)
def maybe(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("page", "none"))


@app.route(route="locked", auth_level=func.AuthLevel.ADMIN)
def locked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route(route="broken/{how}", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    how = req.route_params["how"]
    if how == "exit":
        sys.exit(3)
    if how == "nothing":
        return None
    raise ValueError("broken on purpose\\nforged line")


@app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
def slow(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(float(req.params["seconds"]))
    return func.HttpResponse("slept")


@app.route(route="unseen", auth_level=func.AuthLevel.ANONYMOUS)
def unseen(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str("TIDEHUNT_HOST_KEY" in os.environ))


@app.event_grid_trigger(arg_name="event")
def taken(event: func.EventGridEvent) -> None:
    if event.subject == "poison":
        raise RuntimeError("cannot take it")
    kind = event.type if isinstance(event, func.CloudEvent) else event.event_type
    note(kind=kind, subject=event.subject, cls=type(event).__name__, data=event.get_json())


@app.event_grid_trigger(arg_name="event")
def off(event: func.EventGridEvent) -> None:
    note(never=True)


@app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
def queued(msg: func.QueueMessage) -> None:
    note(never=True)


@app.timer_trigger(arg_name="timer", schedule="%NOWHERE%")
def unset(timer: func.TimerRequest) -> None:
    note(never=True)


@app.timer_trigger(arg_name="timer", schedule="every second")
def misspelt(timer: func.TimerRequest) -> None:
    note(never=True)


@app.route(route="/rooted")
def rooted(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("never")
"""
)

TIMERS = (
    HEAD
    + """
app = func.FunctionApp()


def note(**what):
    with open(os.environ["SEEN"], "a") as file:
        file.write(json.dumps(what) + "\\n")


@app.timer_trigger(arg_name="timer", schedule="%BEAT%")
def quick(timer: func.TimerRequest) -> None:
    note(name="quick", at=time.time(), late=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="%BEAT%")
def overlong(timer: func.TimerRequest) -> None:
    began = time.time()
    time.sleep(1.3)
    note(name="overlong", at=began, end=time.time(), late=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="%BEAT%")
def failing(timer: func.TimerRequest) -> None:
    raise RuntimeError("every time")


@app.timer_trigger(arg_name="timer", schedule="0 0 5 29 2 *", run_on_startup=True)
def at_start(timer: func.TimerRequest) -> None:
    note(name="at_start", at=time.time(), late=timer.past_due)
"""
)
