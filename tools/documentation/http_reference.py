"""The HTTP reference as Markdown, from the OpenAPI document of the server's own application."""

import json
from typing import Any

from vocoder.server.app import build_app

Document = dict[str, Any]


def http_reference() -> str:
    """Every operation: parameters, body, responses."""
    document = build_app().openapi()
    parts = ["## Reference\n\nGenerated from the server's OpenAPI document (`/openapi.json`).\n"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(f"{method.upper()} {path}", operation, document))
    return "\n".join(parts)


def _operation(name: str, operation: Document, document: Document) -> str:
    parts = [f"### {name}\n", f"{operation['summary']}. {operation.get('description', '')}\n"]
    if parameters := operation.get("parameters"):
        rows = [
            (f"`{p['name']}` ({p['in']})", _type(p["schema"], document), p.get("description", ""))
            for p in parameters
        ]
        parts.append(_table(("parameter", "type", "meaning"), rows))
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Request body, `{media_type}`:\n")
        schema = _resolved(body.get("schema", {}), document)
        if properties := schema.get("properties"):
            required = schema.get("required", ())
            rows = [
                (
                    f"`{key}`" + (" (required)" if key in required else ""),
                    _type(value, document),
                    value.get("description", ""),
                )
                for key, value in properties.items()
            ]
            parts.append(_table(("field", "type", "meaning"), rows))
        if "example" in body:
            example = json.dumps(body["example"], ensure_ascii=False, indent=2)
            parts.append(f"```json\n{example}\n```\n")
    rows = [
        (status, ", ".join(f"`{kind}`" for kind in answer.get("content", {})), _answer(answer))
        for status, answer in operation["responses"].items()
    ]
    parts.append(_table(("status", "content", "meaning"), rows))
    return "\n".join(parts)


def _answer(answer: Document) -> str:
    """Description of a response, and the names of its headers."""
    headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}))
    return f"{answer['description']} Headers: {headers}" if headers else answer["description"]


def _resolved(schema: Document, document: Document) -> Document:
    if "$ref" in schema:
        found: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _type(schema: Document, document: Document) -> str:
    """A schema in a few words: its type, values or range, and its default."""
    resolved = _resolved(schema, document)
    alternatives = resolved.get("anyOf") or resolved.get("oneOf")
    if alternatives:
        kinds = [_type(part, document) for part in alternatives if part.get("type") != "null"]
        text = " or ".join(dict.fromkeys(kinds))
    elif "enum" in resolved:
        text = ", ".join(str(value) for value in resolved["enum"])
    elif resolved.get("type") == "array":
        text = f"list of {_type(resolved.get('items', {}), document)}"
    else:
        low = resolved.get("minimum", resolved.get("exclusiveMinimum"))
        high = resolved.get("maximum", resolved.get("exclusiveMaximum"))
        text = resolved.get("type", "any")
        if low is not None and high is not None:
            text += f", {low} to {high}"
        elif low is not None:
            text += f", from {low}"
    default = schema.get("default")
    return text if default in (None, [], ()) else f"{text}; default {json.dumps(default)}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"
