"""What answers as Postgres does, and then with an answer that is cut short: what a proxy may do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

NO_ENCRYPTION = b"N"
HALF_AN_AUTHENTICATION = b"R\0\0\0\5\0"


@asynccontextmanager
async def torn_server() -> AsyncIterator[str]:
    """The URL of a server that no client can understand."""

    async def answer(asked: asyncio.StreamReader, answered: asyncio.StreamWriter) -> None:
        await asked.readexactly(8)
        answered.write(NO_ENCRYPTION)
        await asked.read(1000)
        answered.write(HALF_AN_AUTHENTICATION)
        await answered.drain()
        answered.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://creditrisk_service:secret@127.0.0.1:{port}/creditrisk"
