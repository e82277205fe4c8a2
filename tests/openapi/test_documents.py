"""OpenAPI documents of every dialect, read into operations."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from inline_snapshot import snapshot

from orchestrion.core import Json, UserError
from orchestrion.openapi import Api, Operation, fitted, read_api

SWAGGER = """
swagger: '2.0'
info: { title: Shop, version: '1.2' }
host: shop.example
basePath: /v1
schemes: [http, https]
consumes: [application/json]
produces: [application/json]
securityDefinitions:
  key: { type: apiKey, in: header, name: X-Shop-Key }
  login: { type: basic }
security: [{ key: [] }]
paths:
  /orders/{orderId}:
    parameters:
      - { name: orderId, in: path, required: true, type: integer, minimum: 0, exclusiveMinimum: true }
    get:
      operationId: getOrder
      parameters:
        - { name: expand, in: query, type: array, items: { type: string }, collectionFormat: pipes }
      responses:
        200: { schema: { $ref: '#/definitions/Order' } }
    put:
      operationId: putOrder
      security: []
      parameters:
        - { name: order, in: body, required: true, schema: { $ref: '#/definitions/Order' } }
      responses: { 204: { description: done } }
  /pictures:
    post:
      operationId: addPicture
      consumes: [multipart/form-data]
      parameters:
        - { name: title, in: formData, type: string, required: true }
        - { name: file, in: formData, type: file }
      responses: { 201: { description: made } }
definitions:
  Order:
    type: object
    required: [id, total]
    properties:
      id: { type: integer, readOnly: true }
      total: { type: number }
      next: { $ref: '#/definitions/Order' }
"""

MODERN = """
openapi: 3.1.0
info: { title: Parcels, version: '3' }
servers:
  - url: https://{region}.parcels.example/api
    variables: { region: { default: eu, enum: [eu, us] } }
components:
  securitySchemes:
    token: { type: http, scheme: bearer }
  parameters:
    Trace: { name: X-Trace, in: header, schema: { type: string } }
  schemas:
    Parcel:
      type: object
      required: [id]
      properties:
        id: { type: string }
        note: { type: [string, 'null'] }
        inner: { $ref: '#/components/schemas/Parcel' }
paths:
  /parcels:
    get:
      summary: All parcels
      description: Newest first.
      parameters:
        - { $ref: '#/components/parameters/Trace' }
        - { name: filter, in: query, style: deepObject, schema: { type: object } }
        - { name: id, in: query, schema: { type: string } }
        - { name: id, in: header, schema: { type: string } }
        - { name: Authorization, in: header, schema: { type: string } }
      security: [{ token: [] }, {}]
      responses:
        '200':
          content:
            application/xml: {}
            application/json: { schema: { type: array, items: { $ref: '#/components/schemas/Parcel' } } }
    post:
      operationId: sendParcel
      parameters:
        - { name: Idempotency-Key, in: header, required: true, schema: { type: string } }
      requestBody:
        required: true
        content:
          application/x-www-form-urlencoded: { schema: { type: object } }
          application/json: { schema: { $ref: '#/components/schemas/Parcel' } }
      responses: { default: { content: { application/json: { schema: { type: object } } } } }
"""

NULLABLE = """
openapi: 3.0.3
info: { title: Old, version: '1' }
servers: [{ url: /api }]
paths:
  /things:
    post:
      operationId: addThing
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                name: { type: string, nullable: true, example: Ana }
                kind: { type: string, nullable: true, enum: [a, b] }
                size: { type: integer, minimum: 1, exclusiveMinimum: true, nullable: false }
                pair: { type: array, items: [{ type: string }, { type: integer, nullable: true }] }
      responses: {}
"""


def api(text: str, base: str = "") -> Api:
    return read_api(text.encode(), base=base)


def properties(operation: Operation) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", operation.arguments["properties"])


def test_swagger_parameters_bodies_and_places() -> None:
    order = api(SWAGGER).operation("getOrder")
    assert order.address == "https://shop.example/v1/orders/{orderId}"
    assert [(each.argument, each.location, each.style) for each in order.parameters] == [
        ("orderId", "path", "simple"),
        ("expand", "query", "pipeDelimited"),
    ]
    assert properties(order)["orderId"] == {"type": "integer", "exclusiveMinimum": 0}
    assert [[each.parameter for each in several] for several in order.schemes] == [["X-Shop-Key"]]
    assert list(order.responses) == ["200"]


def test_what_the_server_alone_writes_is_not_asked_of_callers() -> None:
    put = api(SWAGGER).operation("putOrder")
    definitions = cast("Mapping[str, Mapping[str, Json]]", put.arguments["$defs"])
    assert definitions["Order"]["required"] == ["total"]
    got = cast(
        "Mapping[str, Mapping[str, Json]]",
        cast("dict[str, Json]", api(SWAGGER).operation("getOrder").responses["200"])["$defs"],
    )
    assert got["Order"]["required"] == ["id", "total"]
    assert put.schemes == ()


def test_a_swagger_body_is_also_called_body() -> None:
    put = api(SWAGGER).operation("putOrder")
    assert fitted(put, {"orderId": 1, "body": {"total": 2}}) == {"orderId": 1, "order": {"total": 2}}


def test_a_swagger_form_has_its_fields_as_arguments() -> None:
    picture = api(SWAGGER).operation("addPicture")
    assert picture.body is not None
    assert (picture.body.fields, picture.body.media_type, picture.body.binary) == (
        ("title", "file"),
        "multipart/form-data",
        ("file",),
    )
    assert picture.arguments["required"] == ["title"]


def test_modern_parameters_servers_and_names() -> None:
    listed = api(MODERN).operation("get /parcels")
    assert listed.description == "All parcels\nNewest first."
    assert listed.address == "https://{region}.parcels.example/api/parcels"
    assert listed.variables["region"].allowed == ("eu", "us")
    assert list(properties(listed)) == ["X-Trace", "filter", "id", "header_id"]
    assert listed.accepts == "application/json, application/xml"
    assert [[each.kind for each in several] for several in listed.schemes] == [["bearer"], []]


def test_an_idempotency_key_is_the_platforms_to_fill_in() -> None:
    send = api(MODERN).operation("sendParcel")
    assert send.idempotent is True
    assert list(properties(send)) == ["body"]
    assert send.body is not None
    assert send.body.media_type == "application/json"
    assert api(MODERN).operation("get /parcels").idempotent is None


def test_schemas_of_old_dialects_become_those_of_today() -> None:
    thing = api(NULLABLE, base="https://old.example/docs/openapi.yaml").operation("addThing")
    assert thing.address == "https://old.example/api/things"
    assert properties(thing)["body"] == snapshot(
        {
            "type": "object",
            "properties": {
                "name": {"type": ["string", "null"]},
                "kind": {"type": ["string", "null"], "enum": ["a", "b", None]},
                "size": {"type": "integer", "exclusiveMinimum": 1},
                "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": ["integer", "null"]}]},
            },
        }
    )


def test_operations_survive_being_recorded() -> None:
    for text in (SWAGGER, MODERN):
        read = api(text)
        for name in read.places:
            operation = read.operation(name)
            assert Operation.model_validate(json.loads(operation.model_dump_json())) == operation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "It has no `paths`."),
        ("{", "This is not an OpenAPI document"),
        ("a: [", "line 1"),
        ("swagger: '1.2'\npaths: {}", "Its version is '1.2'."),
        ("paths: { /a: { get: { operationId: x }, put: { operationId: x } } }", "Two operations are called 'x'."),
    ],
)
def test_what_is_no_document_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        api(text)
    assert caught.value.code == "bad-api-document"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("getOrders", "Did you mean 'getOrder'"), ("nothing", "It has: getOrder, putOrder, addPicture.")],
)
def test_an_unknown_operation_names_near_ones(name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        api(SWAGGER).operation(name)
    assert caught.value.code == "unknown-operation"
    assert "Shop 1.2" in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("$ref: '#/components/schemas/Parcel' } } }", "$ref: other.yaml } } }", "bad-reference"),
        ("$ref: '#/components/parameters/Trace'", "$ref: '#/components/parameters/Gone'", "bad-reference"),
        ("in: query, style: deepObject", "in: body, style: deepObject", "bad-api-document"),
        ("https://{region}.parcels.example/api", "/api", "no-server"),
    ],
)
def test_what_an_operation_lacks_is_said_with_its_place(old: str, new: str, code: str) -> None:
    with pytest.raises(UserError) as caught:
        api(MODERN.replace(old, new)).operation("get /parcels")
    assert caught.value.code == code
    assert caught.value.message.startswith("GET /parcels: ")


def test_a_pattern_that_looks_around_is_left_to_the_service() -> None:
    text = NULLABLE.replace("{ type: string, nullable: true, example: Ana }", "{ type: string, pattern: '^(?!x)a+$' }")
    thing = api(text, base="https://old.example/").operation("addThing")
    assert cast("dict[str, dict[str, Json]]", properties(thing)["body"])["properties"]["name"] == {"type": "string"}


def test_what_is_described_badly_is_said() -> None:
    nested = '{"items":' * 5000 + "{}" + "}" * 5000
    for text in (
        MODERN.replace("style: deepObject", "style: wavy"),
        MODERN.replace("{ type: object } }\n", nested + " }\n", 1),
    ):
        with pytest.raises(UserError) as caught:
            api(text).operation("get /parcels")
        assert caught.value.code == "bad-api-document"


def test_the_petstore_is_read(test_data: Path) -> None:
    petstore = read_api((test_data / "open-workflow/petstore.json").read_bytes())
    assert [petstore.operation(name).method for name in petstore.places] == snapshot(
        ["post", "get", "get", "post", "get"]
    )
