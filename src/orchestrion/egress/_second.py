"""The same transport for httpx2, which model providers use."""

from collections.abc import AsyncIterator

import httpx
import httpx2

from ._transport import GuardedTransport


class SecondTransport(httpx2.AsyncBaseTransport):
    """Hands httpx2's requests to the guarded transport and its responses back."""

    def __init__(self, transport: GuardedTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError(type(request.stream).__name__)
        response = await self._transport.handle_async_request(
            httpx.Request(
                request.method,
                str(request.url),
                headers=request.headers.raw,
                stream=_RequestBody(request.stream),
                extensions=dict(request.extensions),
            )
        )
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError(type(response.stream).__name__)
        return httpx2.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=_ResponseBody(response.stream),
            extensions=dict(response.extensions),
        )


class _RequestBody(httpx.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ResponseBody(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
