"""Models by name: from a word in an agent file to something that can be asked."""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from orchestrion.core import Clock, Secrets, SystemClock, UserError

from ._audience import Audience, Voice
from ._breaker import Breaker
from ._health import Health
from ._local import PROVIDER as LOCAL
from ._local import LocalModel
from ._patience import Patience
from ._playbook import Playbook
from ._router_store import Routers
from ._settings import ModelLimits, ModelSettings, Price
from ._slots import Slots

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.providers import Provider
    from pydantic_ai.settings import ModelSettings as RequestSettings

PLAYBOOK = "playbook"
_KEY_VARIABLE = re.compile(r"[Ss]et the `([A-Z][A-Z0-9_]*)` environment variable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model's answer, and what it took to get it."""

    response: "ModelResponse"
    attempts: int
    waited_s: float
    """For a free slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model that may answer. Several are asked in order, until one does."""

    name: str
    """As the project or the agent file calls it."""
    model: "Model"
    timeout_s: float
    patience: Patience
    effect: Literal["none", "read"]
    """Rules compute within this process; a language model is asked outside it."""
    clock: Clock
    slots: Slots
    breaker: Breaker
    health: Health
    target: str = ""
    """What the name leads to: the provider's model, and where it is asked."""
    region: str | None = None
    price: Price | None = None
    limits: ModelLimits | None = None
    retires: date | None = None
    local: LocalModel | None = None
    """What serves it on this machine."""

    async def ask(
        self,
        messages: "Sequence[ModelMessage]",
        settings: "RequestSettings | None",
        parameters: "ModelRequestParameters",
        *,
        run_id: str,
        timeout_s: float | None = None,
        voice: Voice | None = None,
    ) -> Asked:
        """The model's answer, asked again where that is sensible. `voice` speaks it as it comes. Raises: OrchestrionError."""
        from ._asking import ask

        limit = self.timeout_s if timeout_s is None else min(self.timeout_s, timeout_s)
        return await ask(replace(self, timeout_s=limit), messages, settings, parameters, run_id, voice)

    def require_in_service(self) -> None:
        """Raises: UserError `model-retired` from the day on that the project names."""
        if self.retires is not None and datetime.fromtimestamp(self.clock.now(), UTC).date() >= self.retires:
            raise UserError(
                "model-retired",
                f"The model {self.name!r} is retired since {self.retires.isoformat()}.",
                hint="Name its successor: another `provider`, or a `fallback`.",
            )


class Models:
    """The models a project may use.

    `http` gives the client that leads outside; it is called once for each model, when it is first needed. `serve` gives what serves a
    file of the project on this machine, by the model's name and the file's.
    """

    def __init__(
        self,
        settings: Mapping[str, ModelSettings],
        *,
        http: "Callable[[], httpx2.AsyncClient]",
        secrets: Secrets,
        playbooks: Mapping[str, Playbook],
        patience: Patience | None = None,
        clock: Clock | None = None,
        routers: Routers | None = None,
        serve: Callable[[str, str], LocalModel] | None = None,
    ) -> None:
        self._serve = serve
        self._settings = settings
        self._http = http
        self._secrets = secrets
        self._playbooks = playbooks
        self._patience = patience or Patience()
        self._clock = clock or SystemClock()
        self._routers = routers
        self._known: dict[str, Candidate] = {}
        self.slots = Slots(self._clock)
        self.health = Health(clock=self._clock)
        self.audience = Audience()

    def share(self, slots: Slots, health: Health | None = None) -> None:
        """Keep the models' limits, and what is known of their health, together with whoever else uses these. Before anything is asked."""
        self.slots = slots
        self.health = health or self.health
        self._known.clear()

    def join(self, others: "Models") -> None:
        """Keep limits and health together with them, and speak to who listens to them. Before anything is asked."""
        self.audience = others.audience
        self.share(others.slots, others.health)

    def candidates(self, names: Sequence[str], playbook: Playbook | None = None) -> list[Candidate]:
        """The models of these names and their fallbacks, each once. `playbook` is what `playbook` alone means.

        Raises: UserError `unknown-model`, `unknown-playbook`, `model-not-usable`, `unknown-secret`.
        """
        found: dict[str, Candidate] = {}
        for name in self._expanded(names):
            if name == PLAYBOOK:
                if playbook is None:
                    raise UserError(
                        "unknown-playbook",
                        "The model is `playbook`, and there are no rules.",
                        hint="Write them under `playbook:` in the agent file, or name one as `playbook:NAME`.",
                    )
                found[name] = self._rules(name, playbook)
                continue
            if name not in self._known:
                self._known[name] = self._made(name)
            found[name] = self._known[name]
        return list(found.values())

    def check(self, name: str) -> str | None:
        """What is wrong with a model's name, without connecting or importing anything; None when it may work."""
        if name in self._settings or name == PLAYBOOK:
            return None
        provider, _, rest = name.partition(":")
        if provider == PLAYBOOK:
            return None if rest in self._playbooks else f"There is no playbook {rest!r}.{_near(rest, self._playbooks)}"
        if not rest:
            known = [*self._settings, PLAYBOOK]
            return f"There is no model {name!r}, and it is no provider string such as `openai:…`.{_near(name, known)}"
        return None

    def target(self, name: str) -> str:
        """What a model's name leads to."""
        settings = self._settings.get(name)
        return (
            target_of(settings) if settings is not None and not settings.provider.startswith(f"{PLAYBOOK}:") else name
        )

    def _expanded(self, names: Sequence[str]) -> Iterator[str]:
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            yield name
            waiting = [*(self._settings[name].fallback if name in self._settings else ()), *waiting]

    def _made(self, name: str) -> Candidate:
        if (wrong := self.check(name)) is not None:
            raise UserError("unknown-model", wrong)
        settings = self._settings.get(name) or ModelSettings(provider=name)
        provider, _, rest = settings.provider.partition(":")
        if provider == PLAYBOOK:
            if rest not in self._playbooks:
                raise UserError("unknown-playbook", f"There is no playbook {rest!r}.{_near(rest, self._playbooks)}")
            return self._rules(name, self._playbooks[rest])
        # The library would print an advertisement with the first answer.
        os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")
        local = self._serve(name, rest) if provider == LOCAL and self._serve is not None else None
        if local is not None:
            model = self._at(rest, local.base_url, local.key)
        else:
            model = (
                self._compatible(rest or provider, settings) if settings.base_url else self._provided(name, settings)
            )
        return Candidate(
            local=local,
            name=name,
            model=model,
            timeout_s=settings.timeout_s,
            patience=self._patience,
            effect="read",
            clock=self._clock,
            slots=self.slots,
            breaker=Breaker(clock=self._clock),
            health=self.health,
            target=target_of(settings),
            region=settings.region,
            price=settings.price,
            limits=settings.limits,
            retires=settings.retires,
        )

    def _rules(self, name: str, playbook: Playbook) -> Candidate:
        os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")
        from ._playbook_model import PlaybookModel

        once = Patience(attempts=1)
        return Candidate(
            name=name,
            model=PlaybookModel(playbook, self._routers),
            timeout_s=60.0,
            patience=once,
            effect="none",
            clock=self._clock,
            slots=self.slots,
            breaker=Breaker(clock=self._clock),
            health=self.health,
            target=name,
        )

    def _key(self, settings: ModelSettings) -> str | None:
        if settings.key is None:
            return None
        value = self._secrets.get(settings.key)
        if not isinstance(value, str) or not value:
            raise UserError("bad-secret", f"The secret {settings.key!r} is not text, so it cannot be an API key.")
        return value

    def _compatible(self, model_name: str, settings: ModelSettings) -> "Model":
        # Without a key of its own the client must not send OPENAI_API_KEY to another company's address.
        return self._at(model_name, settings.base_url, self._key(settings) or "no-key")

    def _at(self, model_name: str, base_url: str | None, key: str) -> "Model":
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(base_url=base_url, api_key=key, http_client=self._http())
        return OpenAIChatModel(model_name, provider=provider)

    def _provided(self, name: str, settings: ModelSettings) -> "Model":
        from pydantic_ai.exceptions import UserError as Unusable
        from pydantic_ai.models import infer_model

        try:
            return infer_model(settings.provider, provider_factory=lambda kind: self._provider(kind, settings))
        except (Unusable, ValueError, ImportError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if missing := _KEY_VARIABLE.search(reason):
                raise UserError(
                    "model-not-usable",
                    f"The model {name!r} has no API key: the environment variable {missing[1]} is not set.",
                    hint=f"Set it, or keep the key as a secret and name that: models.{name}.key: {{secret: NAME}}.",
                ) from error
            raise UserError("model-not-usable", f"The model {name!r} cannot be used: {reason}") from error

    def _provider(self, kind: str, settings: ModelSettings) -> "Provider[object]":
        import inspect

        from pydantic_ai.providers import infer_provider_class

        provider_class = infer_provider_class(kind)
        accepted = inspect.signature(provider_class.__init__).parameters
        if "http_client" not in accepted:
            raise UserError(
                "model-not-usable",
                f"The provider {kind!r} opens connections of its own, which cannot be governed.",
                hint="Reach it through an OpenAI-compatible address: `base_url`.",
            )
        given: dict[str, object] = {"http_client": self._http()}
        if (key := self._key(settings)) is not None:
            given["api_key"] = key
        make: Callable[..., Provider[object]] = provider_class
        return make(**given)


def target_of(settings: ModelSettings) -> str:
    """What a model's name leads to."""
    return settings.provider + (f" at {settings.base_url}" if settings.base_url else "")


def _near(name: str, known: "Mapping[str, object] | Sequence[str]") -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    listed = ", ".join(sorted(known)) or "none"
    return f" Did you mean {near[0]!r}?" if near else f" Known: {listed}."
