"""What a model's answer cost, where prices are known."""

from decimal import Decimal

from pydantic_ai.messages import ModelResponse

from orchestrion.core import Cost

from ._settings import Price


def cost_of(response: ModelResponse, price: Price | None = None) -> tuple[Cost, bool]:
    """Tokens and price of an answer, and whether the price is known: the project's own, else that of genai-prices, without network."""
    usage = response.usage
    if price is not None:
        usd = (price.input * usage.input_tokens + price.output * usage.output_tokens) / 1_000_000
    else:
        try:
            usd = response.cost().total_price if response.model_name else None
        except (LookupError, ValueError):
            usd = None
    micros = int((usd or Decimal(0)) * 1_000_000)
    cost = Cost(usd_micros=micros, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    return cost, usd is not None
