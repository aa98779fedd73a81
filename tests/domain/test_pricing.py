"""Price lists: which are accepted, and what a seat costs."""

import pytest

from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import (
    LARGEST_PRICE,
    MAX_LINES,
    PriceLine,
    PriceList,
    price_violations,
    single_price,
)

EUR = Money("EUR", 1_000)


def line(category: str = "standard", ticket_type: str = "adult", price: Money = EUR, proof: str = "") -> PriceLine:
    return PriceLine(category, ticket_type, price, proof)


STANDARD = line()


def fields(*lines: PriceLine, categories: tuple[str, ...] = ("standard",)) -> list[str]:
    """Return the fields of what is wrong with a price list, as refusing it names them."""
    violations = [each.field for each in price_violations(lines, categories)]
    if violations:
        with pytest.raises(InvalidRequest) as refusal:
            PriceList(lines, categories)
        assert [each.field for each in refusal.value.violations] == violations
    else:
        assert PriceList(lines, categories).lines == lines
    return violations


def test_a_price_list() -> None:
    """The first line's ticket type is the default one; the lowest of its prices is what the showtime costs "from"."""
    prices = PriceList(
        [
            line("vip", "adult", Money("EUR", 1_500)),
            line("vip", "child", Money("EUR", 500), "student card"),
            line("standard", "adult", Money("EUR", 900)),
            line("vip", "late-bird2", Money("EUR", 0)),
        ],
        ["standard", "vip"],
    )
    assert (prices.currency_code, prices.default_ticket_type) == ("EUR", "adult")
    assert prices.lowest == Money("EUR", 900)
    child = prices.find("vip", "child")
    assert child is not None
    assert (child.price, child.proof) == (Money("EUR", 500), "student card")
    assert prices.find("standard", "child") is None
    assert prices.find("balcony", "adult") is None


def test_equal_lines_make_equal_lists() -> None:
    """In the same order: the first line counts."""
    child = line(ticket_type="child")
    assert PriceList([STANDARD, child]) == PriceList([STANDARD, child])
    assert hash(PriceList([STANDARD])) == hash(PriceList([STANDARD]))
    assert PriceList([STANDARD, child]) != PriceList([child, STANDARD])


@pytest.mark.parametrize("categories", [(), ("standard",), ("vip", "balcony"), ("standard", "vip")])
def test_a_single_price_is_for_every_category(categories: tuple[str, ...]) -> None:
    """At the ticket type "standard"."""
    prices = single_price(EUR, categories)
    assert (prices.default_ticket_type, prices.lowest) == ("standard", EUR)
    assert price_violations(prices.lines, categories) == []
    for category in {"standard", *categories}:
        found = prices.find(category, "standard")
        assert found is not None
        assert (found.price, found.proof) == (EUR, "")


@pytest.mark.parametrize("count", [1, MAX_LINES])
def test_the_number_of_lines(count: int) -> None:
    """1 to 200."""
    assert fields(*(line(ticket_type=f"t{number}") for number in range(count))) == []


@pytest.mark.parametrize("count", [0, MAX_LINES + 1])
def test_too_few_or_too_many_lines(count: int) -> None:
    assert fields(*(line(ticket_type=f"t{number}") for number in range(count))) == ["prices"]


@pytest.mark.parametrize("name", ["a", "a1", "a-", "under-16", "x" * 32])
def test_names(name: str) -> None:
    """Of categories and of ticket types."""
    assert fields(line(name, name), categories=()) == []


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a b", "a_b", "ä", "a\n", "x" * 33])
def test_what_is_no_name(name: str) -> None:
    assert fields(STANDARD, line(category=name)) == ["prices[1].category"]
    assert fields(STANDARD, line(ticket_type=name)) == ["prices[1].ticket_type"]


def test_no_pair_twice() -> None:
    """Each repetition refers to the first one."""
    assert fields(STANDARD, line(ticket_type="child"), line(proof="id"), STANDARD) == ["prices[2]", "prices[3]"]
    for violation in price_violations([STANDARD, STANDARD, STANDARD], ()):
        assert "prices[0]" in violation.description


def test_one_currency() -> None:
    """That of the first line."""
    dollars = line(ticket_type="child", price=Money("USD", 1))
    assert fields(STANDARD, dollars) == ["prices[1].price.currency_code"]


@pytest.mark.parametrize(
    ("amount", "fits"), [(0, True), (LARGEST_PRICE, True), (-1, False), (LARGEST_PRICE + 1, False)]
)
def test_an_amount_is_0_to_10_to_the_12(amount: int, *, fits: bool) -> None:
    assert fields(line(price=Money("EUR", amount))) == ([] if fits else ["prices[0].price.minor_units"])


@pytest.mark.parametrize(
    ("proof", "fits"), [("", True), ("x" * 100, True), ("x" * 101, False), ("a\nb", False), ("\u200b", False)]
)
def test_a_proof_has_up_to_100_characters(proof: str, *, fits: bool) -> None:
    assert fields(line(proof=proof)) == ([] if fits else ["prices[0].proof"])


def test_every_category_has_a_line_for_the_default_ticket_type() -> None:
    """Those of the auditorium. Lines for other categories do no harm."""
    vip_child = line("vip", "child")
    assert fields(STANDARD, vip_child, categories=("standard", "vip", "balcony")) == ["prices"]
    (violation,) = price_violations([STANDARD, vip_child], ("standard", "vip", "balcony"))
    assert violation.description.endswith("missing: balcony, vip")
    assert "'adult'" in violation.description
    assert fields(STANDARD, line("vip"), line("balcony"), categories=("standard", "vip")) == []


def test_all_that_is_wrong_is_named() -> None:
    bad = line("VIP", "child", Money("USD", -1), "x" * 101)
    assert fields(STANDARD, bad, categories=("standard", "vip")) == [
        "prices[1].category",
        "prices[1].price.currency_code",
        "prices[1].price.minor_units",
        "prices[1].proof",
        "prices",
    ]
