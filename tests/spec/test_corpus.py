"""The standard's own examples and conformance kit; and nothing is accepted that the standard's schema refuses."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import cast

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import Json
from orchestrion.spec import read


@pytest.fixture(scope="module")
def official(test_data: Path) -> jsonschema_rs.Validator:
    schema = read((test_data / "open-workflow/schema/workflow.yaml").read_text()).source
    assert schema is not None
    return jsonschema_rs.validator_for(cast("dict[str, object]", schema.json))


def examples(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted((folder / "open-workflow/examples").glob("*.yaml")):
        yield file.stem, file.read_bytes()


def scenarios(folder: Path) -> list[str]:
    found: list[str] = []
    for feature in sorted((folder / "open-workflow/ctk").glob("*.feature")):
        found += re.findall(r'definition:\n\s*"""yaml\n(.*?)\n\s*"""', feature.read_text(), re.DOTALL)
    return found


def test_every_example_is_read_or_refused_with_a_reason(test_data: Path, official: jsonschema_rs.Validator) -> None:
    refused: dict[str, list[str]] = {}
    accepted: list[str] = []
    for name, text in examples(test_data):
        reading = read(text, file=name)
        if reading.document is None:
            refused[name] = sorted({finding.code for finding in reading.errors})
        else:
            accepted.append(name)
            assert official.is_valid(reading.document.json)
    assert len(refused) + len(accepted) == 68
    assert refused == snapshot(
        {
            "authentication-oauth2": ["secret-in-clear"],
            "authentication-oidc": ["secret-in-clear"],
            "call-asyncapi-publish": ["unsupported-call-asyncapi"],
            "call-asyncapi-subscribe-consume-amount": ["unsupported-call-asyncapi"],
            "call-asyncapi-subscribe-consume-forever-foreach": ["unsupported-call-asyncapi"],
            "call-asyncapi-subscribe-consume-until": ["unsupported-call-asyncapi"],
            "call-asyncapi-subscribe-consume-while": ["unsupported-call-asyncapi"],
            "call-grpc": ["unsupported-call-grpc"],
            "call-mcp": ["unsupported-mcp-stdio"],
            "run-container-cleanup-always": ["unsupported-run-container"],
            "run-container-cleanup-eventually": ["unsupported-run-container"],
            "run-container-stdin-and-arguments": ["unsupported-run-container"],
            "run-container-with-name": ["unsupported-run-container"],
            "run-container-with-pull-policy": ["unsupported-run-container"],
            "run-container": ["unsupported-run-container"],
            "run-return-all": ["unsupported-run-container"],
            "run-return-code": ["unsupported-run-container"],
            "run-return-none": ["unsupported-run-container"],
            "run-return-stderr": ["unsupported-run-container"],
            "run-script-with-stdin-and-arguments": ["unsupported-run-script"],
            "run-shell-stdin-and-arguments": ["unsupported-run-shell"],
        }
    )
    assert accepted == snapshot(
        [
            "accumulate-room-readings",
            "authentication-bearer-uri-format",
            "authentication-bearer",
            "authentication-oauth2-secret",
            "authentication-oidc-secret",
            "authentication-reusable",
            "call-custom-function-cataloged",
            "call-custom-function-inline",
            "call-http-endpoint-interpolation-shorthand",
            "call-http-endpoint-interpolation",
            "call-http-query-headers-expressions",
            "call-http-query-parameters",
            "call-http-redirect",
            "call-openapi-redirect",
            "call-openapi",
            "conditional-task",
            "do-multiple",
            "do-single",
            "emit",
            "for-inline-array",
            "for",
            "fork",
            "listen-to-all read-envelope",
            "listen-to-all",
            "listen-to-any-filter",
            "listen-to-any-forever-foreach",
            "listen-to-any-until-condition",
            "listen-to-any-until-consumed",
            "listen-to-any",
            "listen-to-one",
            "mock-service-extension",
            "raise-inline",
            "raise-reusable",
            "run-subflow",
            "schedule-cron",
            "schedule-event-driven",
            "set-expression",
            "set",
            "star-wars-homeworld",
            "switch-then-string",
            "try-catch-retry-inline",
            "try-catch-retry-reusable",
            "try-catch-then-directive",
            "try-catch-then",
            "try-catch",
            "wait-duration-inline",
            "wait-duration-iso8601",
        ]
    )


def test_the_conformance_kit_is_read(test_data: Path, official: jsonschema_rs.Validator) -> None:
    codes = [sorted({finding.code for finding in read(text).errors}) for text in scenarios(test_data)]
    assert len(codes) == 21
    assert [code for code in codes if code] == []
    for text in scenarios(test_data):
        found = read(text).document
        assert found is not None
        assert official.is_valid(found.json)


class Writer:
    """Writes documents of the profile, as varied as the choices it is given."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._tasks = 0

    def document(self) -> Json:
        return {
            "document": {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"},
            "use": {
                "timeouts": {"short": {"after": "PT1S"}},
                "errors": {"broke": self.error()},
                "retries": {"often": self.retry()},
                "authentications": {"policy": {"bearer": {"token": "${ .t }"}}},
                "functions": {"mine": {"set": {"a": 1}}},
                "secrets": ["secret"],
            },
            "do": self.tasks(3),
            **self.some(input=self.shaped("from"), output=self.shaped("as"), timeout=self.timeout()),
        }

    def pick(self, *choices: Json) -> Json:
        return self._chance.choice(choices)

    def some(self, **fields: Json) -> dict[str, Json]:
        """Any of the fields."""
        return {name: value for name, value in fields.items() if self._chance.random() < 0.3}

    def word(self) -> Json:
        return self.pick("a", "two words", "", "Straße", "${ .a }", "${ .a\n }", "x: y", "- z", "5")

    def expression(self) -> Json:
        return self.pick("${ .a }", "${.b|length}", " ${ $context + { c: . } } ")

    def anything(self, depth: int = 2) -> Json:
        flat = self.pick(None, True, 3, 1.5, self.word())
        return flat if depth == 0 else self.pick(flat, [self.anything(depth - 1)], self.object(depth - 1))

    def object(self, depth: int = 1) -> Json:
        return {"a": self.anything(depth), **self.some(b=self.anything(depth))}

    def length(self) -> Json:
        units = {"days": 1, **self.some(hours=2, minutes=3, seconds=4, milliseconds=5)}
        return self.pick("PT1S", "P1DT2H", "PT0.5S", "P2W", self.expression(), units)

    def timeout(self) -> Json:
        return self.pick("short", {"after": self.length()})

    def shaped(self, by: str) -> Json:
        schema = self.pick({"document": {"type": "object"}}, {"format": "json", "document": True})
        return self.some(**{"schema": schema, by: self.pick(".a", self.object())})

    def error(self) -> Json:
        kind = self.pick("https://example.com/e", self.expression())
        return {"type": kind, "status": 400, **self.some(title="T", detail=self.expression(), instance="/do/0")}

    def address(self) -> Json:
        return self.pick("https://example.com/{id}?q=1#f", "http://localhost:1/", self.expression())

    def endpoint(self) -> Json:
        secret: Json = {"use": "secret"}
        inline: Json = {"username": "u", "password": "${ .p }"}
        policy = self.pick({"use": "policy"}, {"basic": inline}, {"bearer": secret}, {"digest": secret})
        return self.pick(self.address(), {"uri": self.address(), **self.some(authentication=policy)})

    def http(self) -> Json:
        texts = self.pick(self.expression(), {"x-a": self.word()})
        output = self.pick("raw", "content", "response")
        fields = self.some(headers=texts, query=texts, body=self.anything(), output=output, redirect=True)
        return {"method": self.pick("get", "POST"), "endpoint": self.endpoint(), **fields}

    def resource(self, *places: Json) -> Json:
        return {"endpoint": self.pick(self.endpoint(), *places), **self.some(name="it")}

    def token(self) -> Json:
        secret: Json = {"use": "secret"}
        client: Json = {"id": "${ .id }", **self.some(authentication=self.pick("none", "client_secret_post"))}
        inline: Json = {
            "authority": "https://login.example.com/{realm}",
            "grant": "client_credentials",
            **self.some(client=client, scopes=["a"], audiences=[], request={"encoding": "application/json"}),
        }
        return self.pick({"oauth2": secret}, {"oidc": secret}, {"oauth2": inline}, {"oidc": inline})

    def openapi(self) -> Json:
        more = self.some(
            parameters=self.object(), authentication=self.token(), output=self.pick("raw", "content"), redirect=False
        )
        return {
            "document": self.resource("apis/pets.yaml", "file:pets.json"),
            "operationId": self.pick("a", "get /pets/{id}"),
            **more,
        }

    def mcp(self) -> Json:
        http: Json = {"endpoint": self.endpoint(), **self.some(headers={"x-a": self.word()})}
        asked = self.pick(
            {"method": "tools/list"},
            {"method": "tools/call", "parameters": {"name": "t", "arguments": self.object()}},
            {"method": "resources/read", "parameters": {"uri": "a:b"}},
            {"method": "prompts/get", "parameters": "${ .given }"},
        )
        more = self.some(timeout=self.length(), protocolVersion="2025-06-18", client={"name": "me", "version": "1"})
        return {**cast("dict[str, Json]", asked), "transport": {"http": http}, **more}

    def a2a(self) -> Json:
        place = self.pick({"agentCard": self.resource()}, {"server": self.endpoint()})
        asked = self.pick(
            {"method": "message/send", "parameters": {"message": self.object()}},
            {"method": "tasks/get", "parameters": {"id": "${ .id }"}},
            {"method": "tasks/cancel", "parameters": "${ . }"},
        )
        return {**cast("dict[str, Json]", place), **cast("dict[str, Json]", asked)}

    def retry(self) -> Json:
        attempt = self.some(count=3, duration=self.length())
        return self.some(
            when=self.expression(),
            exceptWhen=".a",
            delay=self.length(),
            backoff=self.pick({"constant": {}}, {"linear": {}}, {"exponential": {}}),
            limit=self.some(attempt=attempt, duration=self.length()),
            jitter={"from": "PT0S", "to": {"seconds": 1}},
        )

    def event(self) -> Json:
        extra = self.some(source=self.address(), data=self.anything(), time="2030-01-31T08:00:00Z", subject="s", mine=1)
        return {"type": "com.example.it", **extra}

    def catch(self, depth: int) -> Json:
        return self.some(
            errors={"with": {"status": 503}},
            when=self.expression(),
            retry=self.pick("often", self.retry()),
            do=self.tasks(depth),
            then="end",
            **{"as": "oops"},
        )

    def tasks(self, depth: int) -> Json:
        return [self.named(depth) for _ in range(self._chance.randint(1, 2))]

    def named(self, depth: int) -> Json:
        self._tasks += 1
        return {f"t{self._tasks}": self.task(depth - 1)}

    def task(self, depth: int) -> Json:
        kinds: list[Callable[[int], dict[str, Json]]] = [
            lambda _: {"set": self.pick(self.object(), self.expression())},
            lambda _: {"wait": self.length()},
            lambda _: {"call": "http", "with": self.http()},
            lambda _: {"call": "openapi", "with": self.openapi()},
            lambda _: {"call": "mcp", "with": self.mcp()},
            lambda _: {"call": "a2a", "with": self.a2a()},
            lambda _: {"call": self.pick("mine", "agent:1.0.0@default"), **self.some(**{"with": self.object()})},
            lambda _: {"raise": {"error": self.pick("broke", self.error())}},
            lambda _: {"emit": {"event": {"with": self.event()}}},
            lambda _: {"switch": [{"c": {"then": "end", **self.some(when=self.expression())}}]},
            lambda _: {
                "run": {
                    "workflow": {"namespace": "a", "name": "b", "version": "1.0.0"},
                    **self.some(**{"await": False}),
                }
            },
        ]
        composites: list[Callable[[int], dict[str, Json]]] = [
            lambda d: {"do": self.tasks(d)},
            lambda d: {"for": {"in": self.pick(".a", [{"a": 1}]), **self.some(each="e", at="n")}, "do": self.tasks(d)},
            lambda d: {"fork": {"branches": self.tasks(d), **self.some(compete=True)}},
            lambda d: {"try": self.tasks(d), "catch": self.catch(d)},
        ]
        kind = self._chance.choice(kinds + composites if depth > 0 else kinds)
        common = {"if": self.expression(), "then": self.pick("continue", "exit", "end"), "metadata": self.object()}
        shapes = {"input": self.shaped("from"), "output": self.shaped("as"), "export": self.shaped("as")}
        return {**kind(depth), **self.some(**common, **shapes, timeout=self.timeout())}

    def damage(self, value: Json) -> Json:
        """The document with something odd in one place."""
        at = self._chance.choice(list(places(value)))
        extra = self._chance.choice([(), (), ("extra",), ("with",), ("use",), ("set",), ("authentication",)])
        odd = self.pick(
            "", " ", "${ .a\n }", "${}", "${ .a", " ${ .b } ", "P", "P1Y", "a b", "1.0.0", 1.5, 10**15, [], {}, "/a"
        )
        bad = self.pick(
            {"use": "policy"}, [{"n": {"set": {"x": 1}}}], "\u2028", "https://a\ufeffb", None, True, self.anything()
        )
        return put(value, (*at, *extra), self.pick(odd, bad))


def places(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield at
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from places(inner, (*at, name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, inner in enumerate(value):
            yield from places(inner, (*at, i))


def put(value: Json, at: tuple[str | int, ...], new: Json) -> Json:
    if not at:
        return new
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [put(inner, at[1:], new) if i == at[0] else inner for i, inner in enumerate(value)]
    fields: Mapping[str, Json] = value if isinstance(value, Mapping) else {}
    return {**fields, str(at[0]): put(fields.get(str(at[0])), at[1:], new)}


@pytest.mark.parametrize(
    "task",
    [
        {"wait": "${ .a |\n .b }"},
        {"wait": "${}"},
        {"set": {}},
        {"for": {"in": [1]}, "do": []},
        {"emit": {"event": {"with": {"type": "t", "time": "${ now }"}}}},
        {"raise": {"error": {"type": "https://example.com/e", "status": 400, "instance": "${ .a }"}}},
        {"raise": {"error": {"type": "https://example.com/e", "status": "${ .status }"}}},
        {"call": "http", "with": {"method": "get", "endpoint": "${ .a |\n .b }"}},
        {"call": "http", "with": {"method": "get", "endpoint": "https://example.com/a b"}},
        {"call": "http", "with": {"method": "get", "endpoint": "https://example.com", "headers": {"x": 5}}},
        {"call": "http", "with": {"method": "get", "endpoint": "https://example.com", "query": "a=b"}},
        {"try": [], "catch": {"retry": {"jitter": {"from": "PT1S"}}}},
        {"try": [], "catch": {"errors": {"with": {}}}},
        {"switch": [{"a": {"when": ".x"}}]},
        {"run": {"workflow": {"namespace": "a", "name": "b"}}},
    ],
)
def test_what_the_standard_refuses_is_refused(task: Json, official: jsonschema_rs.Validator) -> None:
    head: Json = {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"}
    value: Json = {"document": head, "do": [{"it": task}]}
    assert not official.is_valid(value)
    assert [finding.path.startswith("/do/0/it") for finding in read(json.dumps(value)).errors] == [True]


SEEDS = st.integers(0, 2**32)
SHARED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=50, deadline=None, suppress_health_check=SHARED)
@given(seed=SEEDS)
def test_documents_of_the_profile_are_accepted_here_and_by_the_standard(
    seed: int, official: jsonschema_rs.Validator
) -> None:
    value = Writer(Random(seed)).document()
    assert [str(finding) for finding in read(json.dumps(value)).errors] == []
    assert [error.message for error in official.iter_errors(value)] == []


@settings(max_examples=80, deadline=None, suppress_health_check=SHARED)
@given(seed=SEEDS)
def test_a_damaged_document_is_accepted_only_if_the_standard_accepts_it(
    seed: int, official: jsonschema_rs.Validator
) -> None:
    writer = Writer(Random(seed))
    damaged = writer.damage(writer.document())
    if read(json.dumps(damaged)).document is not None:
        assert [error.message for error in official.iter_errors(damaged)] == []
