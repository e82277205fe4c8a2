"""`orchestrion.yaml`: what it may say, and what is said about mistakes in it."""

from collections.abc import Mapping
from typing import Any, cast

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import Json, dump
from orchestrion.project import Secret, SecretReference, Settings, read_settings, settings_schema

FULL = """
name: my-bank
store: .orchestrion/orchestrion.db
egress: { allow: [api.example.com, "*.example.org", "127.0.0.1:8080", "[::1]:80"], timeout: 30 }
connections:
  bank: { url: "sqlite:///data/bank.db", write: true, timeout: 5 }
  ledger: { url: { secret: LEDGER } }
models:
  default: playbook
  big:
    provider: "openai:gpt-5.2"
    base_url: "http://127.0.0.1:9000/v1"
    key: { secret: OPENAI_API_KEY }
    fallback: [default, playbook, "ollama:qwen3"]
    timeout: 60
secrets: { OPENAI_API_KEY: { env: OPENAI_API_KEY }, LEDGER: { file: secrets/ledger } }
roles: [support-lead, fraud-analyst]
users: { ana: [support-lead] }
routers: { support-intents: { examples: routers/support-intents.csv, text: text, label: label, threshold: 0.6 } }
guards: { outbound: { schema: { type: string }, personal_data: review, allow: [service@bank.example], max_length: 4000 } }
mcp:
  crm: { url: "https://crm.example.com/mcp", authentication: { oauth2: { use: LEDGER } }, headers: { X-Tenant: acme }, trust: true, timeout: 20 }
batches: { customer-triage: { map: { message: text }, defaults: { customerId: C-1 } } }
limits: { concurrency: 50, backlog: 10000, turns: 12, usd: 0.5, seconds: 60 }
"""


def read(text: str) -> Settings:
    found, _, findings = read_settings(text, file="orchestrion.yaml")
    assert found, [str(each) for each in findings]
    return found


def complaints(text: str) -> list[str]:
    found, _, findings = read_settings(text, file="o")
    assert findings
    assert found is None or all(each.code.startswith(("unknown-", "repeated-", "no-")) for each in findings)
    return [str(each).removeprefix("o:").replace(" error", "") for each in findings]


def test_everything_that_may_be_set() -> None:
    found = read(FULL)
    assert found.models["default"].provider == "playbook"
    assert found.models["big"].key == SecretReference(secret="OPENAI_API_KEY")
    assert list(found.models["big"].fallback) == ["default", "playbook", "ollama:qwen3"]
    assert found.connections["ledger"].url == SecretReference(secret="LEDGER")
    assert not found.connections["ledger"].write
    assert found.connections["bank"].timeout_s == 5
    assert found.secrets["LEDGER"] == Secret(file="secrets/ledger")
    assert found.roles == ("support-lead", "fraud-analyst")
    assert found.guards["outbound"].json_schema == {"type": "string"}
    assert found.limits.usd == 0.5


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_nothing_need_be_set(text: str) -> None:
    found = read(text)
    assert found == Settings()
    assert found.models["default"].provider == "playbook"
    assert (found.limits.concurrency, found.limits.backlog) == (50, 10_000)


def test_yaml_is_1_2() -> None:
    assert read("users: { no: [], on: [] }").users == {"no": (), "on": ()}


def test_all_mistakes_are_told_at_once_with_place_and_way_out() -> None:
    assert complaints("""\
stroe: x
egress: { allow: ["http://x", "*"], timeout: -1 }
connections:
  bank: { url: "postgresql://ana:s3cret@db/x", wirte: true }
  file: { url: data/bank.db }
  other: { url: { secret: nope }, timeout: "10" }
  nothing: {}
  1st: { url: "sqlite://" }
models: { big: { provider: "openai:x", key: sk-12345 }, odd: [1] }
secrets: { A: hunter2, B: { env: X, file: y }, C: { value: hunter2 } }
limits: { turns: many }
guards: { g: { personal_data: maybe } }
""") == snapshot(
        [
            "1:1[unknown-setting] `stroe` is not a setting. Did you mean 'store'?",
            "2:19[bad-host] `egress.allow[0]`: This is not a host that can be allowed. It is 'http://x'. Write a host name, *.domain, or an address, with :port if need be; no scheme, no path.",
            "2:31[bad-host] `egress.allow[1]`: This is not a host that can be allowed. It is '*'. Write a host name, *.domain, or an address, with :port if need be; no scheme, no path.",
            "2:46[bad-setting] `egress.timeout`: Input should be greater than 0. It is -1.",
            "4:16[secret-in-clear] `connections.bank.url`: A password must not stand here in clear. Keep the whole URL as a secret. Write {secret: NAME} here, and NAME: {env: VARIABLE} or NAME: {file: path} under `secrets`.",
            "4:48[unknown-setting] `wirte` is not a setting. Did you mean 'write'?",
            "5:16[bad-url] `connections.file.url`: This is not a database URL. For example: sqlite:///data/bank.db",
            "6:44[bad-setting] `connections.other.timeout`: Input should be a valid number. It is '10'.",
            "7:12[missing-setting] `connections.nothing.url` is missing. Add `url:`.",
            "8:3[bad-setting] '1st' is not a name. Use letters, digits, - and _, a letter first.",
            "9:45[secret-in-clear] `models.big.key`: A key must not stand here in clear. Write {secret: NAME} here, and NAME: {env: VARIABLE} or NAME: {file: path} under `secrets`.",
            "9:62[bad-setting] `models.odd`: Input should be an object. It is [1].",
            "10:15[secret-in-clear] `secrets.A`: A secret is given by reference, never by its value. Write {env: VARIABLE} or {file: path}; if a real secret stood here, replace it with a new one.",
            "10:27[secret-place] `secrets.B`: A secret is found in exactly one place. Write {env: VARIABLE} or {file: path}.",
            "10:53[unknown-setting] `value` is not a setting. There are: env, file.",
            "11:18[bad-setting] `limits.turns`: Input should be a valid integer. It is 'many'.",
            "12:31[bad-setting] `guards.g.personal_data`: Input should be 'block', 'review' or 'allow'. It is 'maybe'.",
        ]
    )


def test_names_that_refer_to_nothing() -> None:
    assert complaints("""\
connections: { b: { url: { secret: nope } } }
models: { big: { provider: "a:b", key: { secret: KEY }, fallback: [smal] }, small: playbook }
secrets: { KEYS: { env: X } }
roles: [a, b, a]
users: { ana: [c] }
""") == snapshot(
        [
            "1:36[unknown-secret] There is no secret 'nope'. There are: KEYS.",
            "2:50[unknown-secret] There is no secret 'KEY'. Did you mean 'KEYS'?",
            "2:68[unknown-model] There is no model 'smal'. Did you mean 'small'?",
            "4:15[repeated-role] Role 'a' stands here twice. Each role stands once; their order is their power.",
            "5:16[unknown-role] There is no role 'c'. There are: a, b.",
        ]
    )


def test_what_comes_in_and_goes_out_refers_to_something() -> None:
    assert complaints("""\
secrets: { KEY: { env: X } }
users: { lea: [] }
server: { notify: { lia: lia@example.com, lea: nowhere } }
webhooks: { shop: { type: a b, secret: whsec_1234 }, git: { secret: { secret: KEI }, type: push } }
""") == snapshot(
        [
            "3:48[bad-setting] `server.notify.lea`: String should match pattern '^[^@\\s<>,;\\\"]+@[^@\\s<>,;\\\"]+$'. It is 'nowhere'.",
            "4:27[bad-setting] `webhooks.shop.type`: String should match pattern '^[!-~]+$'. It is 'a b'.",
            "4:40[secret-in-clear] `webhooks.shop.secret`: A key must not stand here in clear. Write {secret: NAME} here, and NAME: {env: VARIABLE} or NAME: {file: path} under `secrets`.",
        ]
    )
    assert complaints("""\
secrets: { KEY: { env: X } }
users: { lea: [] }
server: { notify: { lia: lia@example.com } }
webhooks: { git: { secret: { secret: KEI }, type: push } }
""") == snapshot(
        [
            "3:19[no-mail-server] Notices go by mail, and the project says no server that takes it. Write `mail: { server: smtp.example.com, from: desk@example.com }`.",
            "3:26[unknown-user] There is no user 'lia'. Did you mean 'lea'?",
            "4:38[unknown-secret] There is no secret 'KEI'. Did you mean 'KEY'?",
        ]
    )
    assert complaints("mail: { server: m, from: a@b, user: u, password: { secret: NO } }") == snapshot(
        ["1:60[unknown-secret] There is no secret 'NO'. There are none."]
    )


@pytest.mark.parametrize(
    "text",
    [
        "secrets: { A: hunter2 }",
        "webhooks: { w: { type: x, secret: hunter2 } }",
        "secrets: { A: [hunter2] }",
        "secrets: { A: { value: hunter2 } }",
        "secrets: { A: { env: [hunter2] } }",
        "models: { m: { provider: x, key: hunter2 } }",
        "models: { m: { provider: x, key: { secret: [hunter2] } } }",
        "models: { m: { provider: x, key: { value: hunter2 } } }",
        "connections: { c: { url: 'postgresql://u:hunter2@h/d' } }",
        "connections: { c: { url: ['postgresql://u:hunter2@h/d'] } }",
        "store: 'postgresql://u:hunter2@h/d'",
    ],
)
def test_a_secret_in_clear_is_refused_and_not_repeated(text: str) -> None:
    assert not any("hunter2" in each for each in complaints(text))


@pytest.mark.parametrize(
    "host", ["https://a.b", "a.b/c", "*", "*.*.b", "a b", "a.b:port", "user@a.b", "", "-a.b", "a..b", "a.b:123456"]
)
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    assert "bad-host" in complaints(f"egress: {{ allow: ['{host}'] }}")[0]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("{ url: crm }", "`mcp.crm.url`: String should match pattern"),
        ("{ url: https://a/, authentication: { bearer: { token: x } } }", "This does not say how to authenticate"),
        ("{ url: https://a/, authentication: { digest: { use: A } } }", "This does not say how to authenticate"),
        ("{ url: https://a/, authentication: { bearer: { use: GONE } } }", "There is no secret 'GONE'."),
    ],
)
def test_a_wrong_mcp_server_is_told(server: str, expected: str) -> None:
    assert any(expected in each for each in complaints(f"mcp: {{ crm: {server} }}"))


def test_broken_yaml_is_one_finding_with_its_place() -> None:
    assert complaints("name: [a\n")[0].startswith("2:1")
    assert "not UTF-8" in str(read_settings(b"name: \xff", file="o")[2][0])


def test_every_setting_is_documented() -> None:
    schema = cast("Mapping[str, Any]", settings_schema())

    def defined(member: Mapping[str, Any]) -> str:
        return schema["$defs"][member["$ref"].rpartition("/")[2]]["description"] if "$ref" in member else ""

    undocumented = [
        f"{where}.{name}"
        for where, each in [("Settings", schema), *schema["$defs"].items()]
        for name, member in each.get("properties", {}).items()
        if len(member.get("description") or defined(member)) < 10
    ]
    assert undocumented == []


def test_the_schema_for_editors_agrees_with_what_is_read() -> None:
    validator = jsonschema_rs.validator_for(cast("dict[str, object]", settings_schema()))
    found = read(FULL)
    assert validator.is_valid({})
    assert validator.is_valid({"models": {"a": "playbook", "b": {"provider": "x", "key": {"secret": "K"}}}})
    assert validator.is_valid({"connections": {"c": {"url": {"secret": "K"}}}})
    assert not validator.is_valid({"secrets": {"A": "hunter2"}})
    assert not validator.is_valid({"secrets": {"A": {}}})
    assert not validator.is_valid({"nmae": "x"})
    assert found.name == "my-bank"


keys = st.sampled_from(
    [
        "name",
        "store",
        "egress",
        "connections",
        "models",
        "secrets",
        "roles",
        "users",
        "routers",
        "guards",
        "batches",
        "limits",
        "allow",
        "url",
        "secret",
        "env",
        "key",
        "provider",
        "fallback",
        "a",
        "1",
        "examples",
        "map",
    ]
)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=5))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_yaml_gives_settings_or_findings(value: dict[str, Json]) -> None:
    found, _, findings = read_settings(dump(value), file="o")
    assert (found is not None) or findings
