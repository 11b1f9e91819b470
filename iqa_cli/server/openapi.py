"""The description of the addresses as OpenAPI 3.1, and a page of it that needs nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from iqa_cli import __version__
from iqa_cli.records import Status
from iqa_cli.server.limits import Limits
from iqa_cli.server.refusals import CODES, SCHEMA_VERSION

ANY_IMAGE = "application/octet-stream"
NUMBER, TEXT, WHOLE = {"type": ["number", "null"]}, {"type": "string"}, {"type": ["integer", "null"]}
HEAD = {"schema_version": {"type": "integer", "const": SCHEMA_VERSION}}
RECORD = {
    "type": "object",
    "properties": {
        "name": {**TEXT, "description": "What the sender called the image, without folders."},
        "score": {**NUMBER, "description": "0 to 100, higher is better; null where the status is not ok."},
        "percentile": {**NUMBER, "description": "The share of rated photos that people rated no higher."},
        "uncertainty": {
            **NUMBER,
            "description": "Half of the interval that holds the mean opinion with 90 %.",
        },
        "status": {"type": "string", "enum": list(map(str, Status))},
        "detail": {**TEXT, "description": "Why there is no score."},
        "width": WHOLE,
        "height": WHOLE,
    },
}
REASON = {
    "type": "object",
    "properties": {"reason": TEXT, "band": TEXT, "measure": TEXT, "value": NUMBER, "limit": NUMBER, "message": TEXT},
}
VERDICT = {
    "type": "object",
    "properties": {
        **HEAD,
        "path": TEXT,
        "band": {"type": "string", "enum": ["pass", "review", "fail"]},
        "message": {**TEXT, "description": "What the uploader is to do."},
        "reasons": {"type": "array", "items": REASON},
        "values": {"type": "object"},
        "status": TEXT,
        "detail": TEXT,
        "thresholds": {"type": "object"},
        "model": TEXT,
        "model_sha256": TEXT,
    },
}
ERROR = {
    "type": "object",
    "properties": {
        **HEAD,
        "error": {"type": "object", "properties": {"code": {"type": "string", "enum": list(CODES)}, "message": TEXT}},
        "results": {"type": "array"},
    },
}


def describe_api(limits: Limits) -> dict[str, Any]:
    """The document."""
    info = {
        "title": "iqa",
        "version": __version__,
        "description": "How good photographs look to people: a score from 0 to 100, without a reference image.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    score = describe_post("Score one image or several", "record", limits, {"model": TEXT, "model_sha256": TEXT})
    paths = {
        "/score": {"post": score},
        "/gate": {"post": describe_post("Judge one image or several by the server's policy", "verdict", limits, {})},
        "/healthz": {"get": describe_get("Whether the server works, and what runs", "application/json")},
        "/metrics": {"get": describe_get("Counts for Prometheus", "text/plain")},
    }
    schemas = {"record": RECORD, "verdict": VERDICT, "error": ERROR}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def describe_post(summary: str, result: str, limits: Limits, more: dict[str, Any]) -> dict[str, Any]:
    """An address that takes images."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": limits.max_images}
    bodies = {
        ANY_IMAGE: {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"image": files}}},
    }
    results = {"type": "array", "items": {"$ref": f"#/components/schemas/{result}"}}
    fine = {"type": "object", "properties": {**HEAD, **more, "results": results}}
    failures: dict[str, list[str]] = {}
    for code, (status, words) in CODES.items():
        if status not in (404, 405) or (code == "no-policy" and result == "verdict"):
            failures.setdefault(str(status), []).append(f"{code}: {words}")
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}
    name = {"name": "name", "in": "query", "schema": TEXT, "description": "What to call an image that is all of the body."}
    return {
        "summary": summary,
        "description": f"At most {limits.max_body:,} bytes and {limits.max_images} images a request.",
        "parameters": [name],
        "requestBody": {"required": True, "content": bodies},
        "responses": {
            "200": {"description": "A result an image, in order.", "content": {"application/json": {"schema": fine}}},
            **{status: {"description": "; ".join(words), "content": error} for status, words in sorted(failures.items())},
        },
    }


def describe_get(summary: str, kind: str) -> dict[str, Any]:
    """An address that only tells."""
    return {"summary": summary, "responses": {"200": {"description": "As asked.", "content": {kind: {}}}}}


# ---- the page ----

STYLE = "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}code,pre{background:#8882}"


def write_page(api: dict[str, Any]) -> str:
    """A page that describes all addresses and has a form to try them: no script, nothing from other servers."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>iqa</title>",
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>",
        f"<h1>iqa {escape(api['info']['version'])}</h1><p>{escape(api['info']['description'])}</p>",
        "<form method=post enctype=multipart/form-data action=/score><input type=file name=image multiple required>",
        " <button>Score</button> <button formaction=/gate>Judge</button></form>",
        "<pre>curl --data-binary @photo.jpg http://127.0.0.1:8000/score\n",
        "curl -F image=@a.jpg -F image=@b.jpg http://127.0.0.1:8000/score</pre>",
    ]
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}.")
            parts.append(f" {escape(operation.get('description', ''))}</p><ul>")
            for status, response in operation["responses"].items():
                parts.append(f"<li><code>{status}</code> {escape(response['description'])}")
            parts.append("</ul>")
    parts.append("<p>All of it for programs: <a href=/openapi.json>openapi.json</a>.")
    return "".join(parts)
