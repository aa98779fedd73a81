"""A line: many are served at once, each gets an answer, and what goes wrong is told to those whom it concerns."""

import asyncio
from contextvars import ContextVar

from cinema_grpc.application.line import MOST_TURNS, Line, until_quiet

MANY = 50


async def doubled(line: Line[int, int]) -> None:
    async def answer(questions: list[int]) -> list[int]:
        return [2 * each for each in questions]

    await line.answer_all(answer)


async def test_each_gets_the_answer_to_its_own_question() -> None:
    line: Line[int, int] = Line(lambda: doubled(line), most_each=7)
    assert await asyncio.gather(*map(line.ask, range(MANY))) == [2 * each for each in range(MANY)]
    assert not line.tasks


async def test_what_fails_before_anybody_was_taken_is_told_to_all() -> None:
    async def fail() -> None:
        raise ConnectionError("nothing answers")

    line: Line[int, int] = Line(fail, most_tasks=3)
    answers = await asyncio.gather(*map(line.ask, range(MANY)), return_exceptions=True)
    assert [type(each) for each in answers] == [ConnectionError] * MANY


async def test_where_others_get_on_it_is_told_to_nobody() -> None:
    """As when a fifth connection is refused while four work."""
    begun = asyncio.Event()

    async def serve() -> None:
        if begun.is_set():
            await asyncio.sleep(0)
            raise ConnectionError("one too many")
        begun.set()
        while asked := line.take():
            await asyncio.sleep(0)
            asked.answer(asked.question)

    line: Line[int, int] = Line(serve, most_tasks=2)
    assert await asyncio.gather(*map(line.ask, range(MANY))) == list(range(MANY))


async def test_nothing_is_asked_for_those_who_have_gone() -> None:
    served: list[list[int]] = []

    async def note(questions: list[int]) -> list[int]:
        served.append(questions)
        return questions

    line: Line[int, int] = Line(lambda: line.answer_all(note))
    asking = [asyncio.create_task(line.ask(number)) for number in range(3)]
    await asyncio.sleep(0)
    for each in asking:
        each.cancel()
    await asyncio.wait(line.tasks)
    assert served == []


async def test_what_is_logged_meanwhile_is_not_put_down_to_who_came_first() -> None:
    call: ContextVar[str] = ContextVar("call")
    seen: list[str] = []

    async def note(questions: list[int]) -> list[int]:
        seen.append(call.get("nobody's"))
        return questions

    line: Line[int, int] = Line(lambda: line.answer_all(note))
    call.set("the first one's")
    assert await line.ask(1) == 1
    assert seen == ["nobody's"]


async def test_those_who_come_one_by_one_for_ever_hold_nobody_up() -> None:
    turns = 0

    def count() -> int:
        nonlocal turns
        turns += 1
        return turns

    await until_quiet(count)
    assert turns <= 2 * MOST_TURNS
