"""The addresses, and what each answers. Whatever a request is, it gets JSON with a code, never a traceback."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from iqa_cli import __version__
from iqa_cli.errors import ClosedError
from iqa_cli.gate.gate import Gate
from iqa_cli.gate.verdict import Verdict, describe_verdict
from iqa_cli.library import Scorer
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.writers import clean, round_record
from iqa_cli.server.bodies import Memory, Upload, read_uploads
from iqa_cli.server.limits import Limits
from iqa_cli.server.metrics import Metrics
from iqa_cli.server.openapi import describe_api, write_page
from iqa_cli.server.refusals import SCHEMA_VERSION, Refusal
from iqa_cli.server.work import WorkQueue

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
THREADS_A_WORKER = 2  # one image is decoded while the network runs on another
SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
SAFE_PAGE = {**SAFE, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
Handler = Callable[[Request], Awaitable[Response]]


class Service:
    """What stands behind the addresses. gate: None where there is no policy; its scorer is the other one."""

    def __init__(self, scorer: Scorer, gate: Gate | None, limits: Limits) -> None:
        self.scorer, self.gate, self.limits = scorer, gate, limits
        self.metrics = Metrics()
        self.memory = Memory(limits.memory)
        self.queue = WorkQueue(limits, THREADS_A_WORKER * scorer.workers)

    async def score(self, request: Request) -> Response:
        """POST /score."""
        records = await self._work(request, self._score_upload)
        for record in records:
            self.metrics.count("iqa_images_total", status=record.status)
        results = [describe_record(record) for record in records]
        if len(records) == 1 and records[0].status is not Status.OK:
            raise Refusal("unreadable", f"{records[0].status}: {records[0].detail}", results)
        return answer({"schema_version": SCHEMA_VERSION, **self._describe_model(), "results": results})

    async def judge(self, request: Request) -> Response:
        """POST /gate."""
        gate = self.gate
        if gate is None:
            raise Refusal("no-policy")
        verdicts = await self._work(request, lambda upload: gate.judge(upload.data, name=upload.name))
        for verdict in verdicts:
            self._count(verdict)
        return answer({"schema_version": SCHEMA_VERSION, "results": [describe_verdict(each, gate.policy) for each in verdicts]})

    async def show_health(self, _: Request) -> Response:
        """GET /healthz."""
        return answer({"status": "ok", "version": __version__, **self._describe_model(), "policy": self.gate is not None})

    async def show_metrics(self, _: Request) -> Response:
        """GET /metrics."""
        now = {
            "iqa_queue_images": self.queue.unfinished,
            "iqa_queue_limit": self.limits.queue,
            "iqa_body_bytes": self.memory.held,
        }
        text = self.metrics.write(now, {"version": __version__, **self._describe_model()})
        return PlainTextResponse(text, headers=SAFE, media_type=METRICS_TYPE)

    async def show_api(self, _: Request) -> Response:
        """GET /openapi.json."""
        return answer(describe_api(self.limits))

    async def show_page(self, _: Request) -> Response:
        """GET / and /docs."""
        return HTMLResponse(write_page(describe_api(self.limits)), headers=SAFE_PAGE)

    async def _work(self, request: Request, task: Callable[[Upload], Any]) -> list[Any]:
        """The result of a task for each image of a request. Raises Refusal."""
        self.queue.refuse_if_full()  # before anything is read
        with self.memory.holding() as body:
            uploads = await read_uploads(request, self.limits, self.memory, body)
            try:
                return await self.queue.run(task, uploads)
            except ClosedError:
                raise Refusal("closing") from None

    def _score_upload(self, upload: Upload) -> ScoreRecord:
        return self.scorer.score(upload.data, name=upload.name)

    def _count(self, verdict: Verdict) -> None:
        self.metrics.count("iqa_images_total", status=verdict.record.status)
        self.metrics.count("iqa_verdicts_total", band=verdict.band)
        for finding in verdict.findings:
            self.metrics.count("iqa_reasons_total", reason=finding.reason)

    def _describe_model(self) -> dict[str, str]:
        return {"model": self.scorer.card.name, "model_sha256": self.scorer.sha256}

    def guard(self, handle: Handler) -> Handler:
        """A handler whose every failure is an answer, and which is counted."""

        async def guarded(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handle(request)
            except Refusal as refusal:
                response = refuse(refusal)
            except Exception:  # a mistake of ours costs this request only
                sys.stderr.write(traceback.format_exc())
                response = refuse(Refusal("internal"))
            path = request.url.path
            self.metrics.count("iqa_requests_total", path=path, status=response.status_code)
            if request.method == "POST":
                self.metrics.observe(path, time.perf_counter() - began)
            return response

        return guarded


def answer(data: Any, status: int = 200, **headers: str) -> Response:
    """JSON that any parser reads."""
    return JSONResponse(clean(data), status, {**SAFE, **headers})


def refuse(refusal: Refusal) -> Response:
    """A refusal as it is sent."""
    again = {"Retry-After": "1"} if refusal.status in (429, 503) else {}
    return answer(refusal.describe(), refusal.status, **again)


def describe_record(record: ScoreRecord) -> dict[str, Any]:
    """A record as JSON data."""
    shown = round_record(record)
    return {"name": shown.pop("path"), **{name: value for name, value in shown.items() if name != "model"}}


def make_app(service: Service) -> Starlette:
    """The application. When it ends, so does the work; the scorer is its owner's to close."""

    @asynccontextmanager
    async def live(_: Starlette) -> AsyncIterator[None]:
        yield
        service.queue.close()

    async def refuse_unknown(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        code = {404: "not-found", 405: "method-not-allowed"}.get(status, "internal")
        service.metrics.count("iqa_requests_total", path="other", status=status)
        return answer(Refusal(code).describe(), status, **headers)

    routes = [
        Route("/score", service.guard(service.score), methods=["POST"]),
        Route("/gate", service.guard(service.judge), methods=["POST"]),
        Route("/healthz", service.guard(service.show_health)),
        Route("/metrics", service.guard(service.show_metrics)),
        Route("/openapi.json", service.guard(service.show_api)),
        Route("/docs", service.guard(service.show_page)),
        Route("/", service.guard(service.show_page)),
    ]
    app = Starlette(routes=routes, lifespan=live, exception_handlers={HTTPException: refuse_unknown})
    app.router.redirect_slashes = False  # it would send whoever asks to the host that they name
    return app
