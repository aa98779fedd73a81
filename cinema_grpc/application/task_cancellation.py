"""Whether a CancelledError is the task's own, or that of something it waited for."""

import asyncio


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
