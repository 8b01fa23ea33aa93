"""What a type checker sees of the library: `test_manager_typing.py` has mypy read this file."""

from collections.abc import AsyncGenerator
from typing import Any, assert_type

from proxy import AIProviderManager, FailoverStrategy
from proxy.manager.results import ErrorResult, HealthResult, TextPiece, TextResult


async def use() -> None:
    manager = AIProviderManager.connect("http://127.0.0.1:8080")
    assert_type(manager, AIProviderManager)
    async with AIProviderManager.from_files("routes.yaml") as entered:
        assert_type(entered, AIProviderManager)

    result = await manager.generate_text([{"role": "user", "content": "Hello!"}], temperature=0.7, top_p=1)
    assert_type(result, TextResult | ErrorResult)
    if "error" in result:
        assert_type(result, ErrorResult)
        assert_type(result["status"], int)
    else:
        assert_type(result, TextResult)
        assert_type(result["content"], str)

    stream = manager.stream_text([{"role": "user", "content": "Hello!"}])
    assert_type(stream, AsyncGenerator[TextPiece | TextResult | ErrorResult, None])
    async for piece in stream:
        if "error" not in piece:
            assert_type(piece["content"], str)

    assert_type(await manager.generate_texts([[{"role": "user", "content": "Hello!"}]]), list[TextResult | ErrorResult])
    assert_type(await manager.generate_image("A sunset", seed=1), str | ErrorResult)
    assert_type(await manager.health_check_all(), dict[str, HealthResult])
    assert_type((await manager.force_health_check("p1")).response_time, float)
    assert_type(manager.get_statistics(), dict[str, Any])
    manager.set_failover_strategy(FailoverStrategy.BEST_PERFORMANCE)


async def misuse(manager: AIProviderManager) -> None:
    await manager.generate_text("Hello!")  # type: ignore[arg-type]
    await manager.generate_text([], temperature="hot")  # type: ignore[arg-type]
    manager.set_failover_strategy("cheapest")  # type: ignore[arg-type]
    manager.enable_provider()  # type: ignore[call-arg]
    (await manager.generate_text([]))["content"]  # type: ignore[typeddict-item]
