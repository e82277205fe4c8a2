"""What an operation means with given arguments."""

from collections.abc import Mapping
from typing import cast

import pytest

from orchestrion.core import Json, UserError, dump
from orchestrion.openapi import Operation, fitted, read_api, request_of


def operation(parameter: Mapping[str, Json], path: str = "/things", **more: Json) -> Operation:
    document: Json = {
        "openapi": "3.0.0",
        "info": {},
        "servers": [{"url": "https://api.example"}],
        "paths": {path: {"get": {"operationId": "it", "parameters": [parameter], **more}}},
    }
    return read_api(dump(document).encode()).operation("it")


def address(parameter: Mapping[str, Json], value: Json, path: str = "/things") -> str:
    endpoint = request_of(operation({"name": "p", **parameter}, path), {"p": value})["endpoint"]
    return str(endpoint).removeprefix("https://api.example")


LIST: Json = ["blue", "black"]
OBJECT: Json = {"R": 100, "G": 200}


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("simple", False, "a/b c", "/x/a%2Fb%20c"),
        ("simple", False, LIST, "/x/blue,black"),
        ("simple", False, OBJECT, "/x/R,100,G,200"),
        ("simple", True, OBJECT, "/x/R=100,G=200"),
        ("label", False, "blue", "/x/.blue"),
        ("label", False, LIST, "/x/.blue,black"),
        ("label", True, LIST, "/x/.blue.black"),
        ("label", False, OBJECT, "/x/.R,100,G,200"),
        ("label", True, OBJECT, "/x/.R=100.G=200"),
        ("matrix", False, "blue", "/x/;p=blue"),
        ("matrix", False, LIST, "/x/;p=blue,black"),
        ("matrix", True, LIST, "/x/;p=blue;p=black"),
        ("matrix", False, OBJECT, "/x/;p=R,100,G,200"),
        ("matrix", True, OBJECT, "/x/;R=100;G=200"),
    ],
)
def test_path_parameters_are_written_in_their_style(style: str, explode: bool, value: Json, expected: str) -> None:
    assert address({"in": "path", "style": style, "explode": explode}, value, "/x/{p}") == expected


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("form", True, "a&b=c", "/things?p=a%26b%3Dc"),
        ("form", True, True, "/things?p=true"),
        ("form", True, LIST, "/things?p=blue&p=black"),
        ("form", False, LIST, "/things?p=blue,black"),
        ("form", True, OBJECT, "/things?R=100&G=200"),
        ("form", False, OBJECT, "/things?p=R,100,G,200"),
        ("spaceDelimited", False, LIST, "/things?p=blue%20black"),
        ("pipeDelimited", False, LIST, "/things?p=blue%7Cblack"),
        ("deepObject", True, OBJECT, "/things?p%5BR%5D=100&p%5BG%5D=200"),
        ("deepObject", True, {"a": {"b": [1, 2]}}, "/things?p%5Ba%5D%5Bb%5D=1&p%5Ba%5D%5Bb%5D=2"),
        ("form", False, [], "/things"),
    ],
)
def test_query_parameters_are_written_in_their_style(style: str, explode: bool, value: Json, expected: str) -> None:
    assert address({"in": "query", "style": style, "explode": explode}, value) == expected


def test_reserved_characters_stay_where_the_document_allows_them() -> None:
    assert address({"in": "query", "allowReserved": True}, "/a/b?c") == "/things?p=/a/b?c"


def test_a_parameter_may_be_json_text() -> None:
    parameter: Json = {"in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}
    assert address(parameter, {"a": 1}) == "/things?p=%7B%22a%22%3A1%7D"


def test_headers_and_cookies() -> None:
    request = request_of(operation({"name": "X-Ids", "in": "header", "schema": {"type": "array"}}), {"X-Ids": [1, 2]})
    assert request["headers"] == {"X-Ids": "1,2"}
    request = request_of(operation({"name": "session", "in": "cookie"}), {"session": "a;b"})
    assert request["headers"] == {"Cookie": "session=a%3Bb"}


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_no_argument_changes_the_path(value: str) -> None:
    with pytest.raises(UserError) as caught:
        address({"in": "path"}, value, "/x/{p}/secret")
    assert caught.value.code == "bad-argument"


def test_a_server_variable_takes_what_the_document_allows() -> None:
    document: Json = {
        "openapi": "3.1.0",
        "info": {},
        "servers": [
            {
                "url": "https://{region}.example/{base}",
                "variables": {"region": {"default": "eu", "enum": ["eu", "us"]}, "base": {"default": "v1/api"}},
            }
        ],
        "paths": {"/x": {"get": {"operationId": "it"}}},
    }
    it = read_api(dump(document).encode()).operation("it")
    assert request_of(it, {})["endpoint"] == "https://eu.example/v1/api/x"
    assert request_of(it, {"region": "us", "base": "v2"})["endpoint"] == "https://us.example/v2/x"
    for bad in ({"region": "evil.example/"}, {"base": "../admin"}, {"base": "a@b"}):
        with pytest.raises(UserError) as caught:
            request_of(it, cast("Mapping[str, Json]", bad))
        assert caught.value.code == "bad-argument"


def test_a_token_goes_where_the_document_wants_its_key() -> None:
    document: Json = {
        "openapi": "3.0.0",
        "info": {},
        "servers": [{"url": "https://api.example"}],
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "query", "name": "k"},
                "token": {"type": "http", "scheme": "bearer"},
            }
        },
        "paths": {
            "/a": {"get": {"operationId": "key"}},
            "/b": {"get": {"operationId": "token", "security": [{"token": []}]}},
        },
    }
    api = read_api(dump(document).encode())
    policy: Json = {"bearer": {"use": "SECRET"}}
    endpoint = request_of(api.operation("key"), {}, authentication=policy)["endpoint"]
    assert endpoint == {
        "uri": "https://api.example/a",
        "authentication": {"apiKey": {"use": "SECRET", "in": "query", "name": "k"}},
    }
    endpoint = request_of(api.operation("token"), {}, authentication=policy)["endpoint"]
    assert endpoint == {"uri": "https://api.example/b", "authentication": policy}


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, "7a", "7a"),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "string"}, 7, "7"),
        ({"type": "array", "items": {"type": "integer"}}, "7", [7]),
        ({"type": "array"}, ["a", "b"], ["a", "b"]),
    ],
)
def test_a_parameter_is_text_on_its_way(schema: Json, given: Json, expected: Json) -> None:
    assert fitted(operation({"name": "p", "in": "query", "schema": schema}), {"p": given, "q": None}) == {"p": expected}


def body(content: Json, given: Json) -> Mapping[str, Json]:
    it = operation({"name": "p", "in": "query"}, requestBody={"content": content})
    return request_of(it, {"body": given})


def test_bodies_by_media_type() -> None:
    binary: Json = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    assert body({"application/merge-patch+json": {}}, {"a": 1})["headers"] == {
        "Content-Type": "application/merge-patch+json"
    }
    assert body({"multipart/form-data": {"schema": binary}}, {"file": "aGk=", "title": "x"})["body"] == {
        "file": {"base64": "aGk=", "filename": "file"},
        "title": "x",
    }
    assert body({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}, "aGk=")["body"] == {
        "base64": "aGk="
    }
    assert body({"application/xml": {}}, "<a/>")["body"] == "<a/>"
    with pytest.raises(UserError) as caught:
        body({"application/xml": {}}, {"a": 1})
    assert caught.value.code == "unsupported-media-type"
