"""Lets schemathesis send NDJSON: a body of one row. The answers, line by line, are compared with the description by the suite `api`."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def rows(ctx, value):
    return json.dumps(value).encode() + b"\n"
