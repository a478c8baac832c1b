"""Integer expressions of linker scripts: `0x20000000 + 96K - LENGTH(boot)`, with C's operators and precedence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+)(?P<unit>[KkMm])?\b|(?P<name>[A-Za-z_.$][\w.$]*)|(?P<sign><<|>>|[-+*/%&|~()?:]))"
)
_UNITS = {"": 1, "k": 1024, "m": 1024**2}
_LEVELS: tuple[Mapping[str, Callable[[int, int], int]], ...] = (
    {"|": lambda a, b: a | b},
    {"&": lambda a, b: a & b},
    {"<<": lambda a, b: a << min(b, 64), ">>": lambda a, b: a >> b},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: a // b, "%": lambda a, b: a % b},
)
_MAX_TOKENS = 200

Lookup = Callable[[str, str | None], int]
"""(symbol, None) or (function, argument) → its value; raises ValueError with the reason where there is none."""


def evaluate(text: str, lookup: Lookup) -> int:
    """The value of `text`. Raises ValueError with what is wrong with it."""
    tokens = _tokens(text)
    parser = _Parser(tokens, lookup)
    try:
        value = parser.level(0)
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None
    if parser.rest:
        raise ValueError(f"cannot make sense of {text.strip()!r}")
    return value


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) > _MAX_TOKENS:
            raise ValueError(f"cannot make sense of {text.strip()!r}")
        if match["number"]:
            number = int(match["number"], 0) if match["number"][:2].lower() == "0x" else int(match["number"][:20])
            tokens.append(str(number * _UNITS[(match["unit"] or "").lower()]))
        else:
            tokens.append(match["name"] or match["sign"])
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the precedence levels."""

    def __init__(self, tokens: list[str], lookup: Lookup) -> None:
        self.rest = tokens
        self.lookup = lookup

    def level(self, number: int) -> int:
        if number == len(_LEVELS):
            return self.unary()
        value = self.level(number + 1)
        while self.rest and self.rest[0] in _LEVELS[number]:
            operator = _LEVELS[number][self.rest.pop(0)]
            right = self.level(number + 1)
            try:
                value = operator(value, right)
            except (ArithmeticError, ValueError):
                raise ValueError("the expression divides by zero or shifts by a negative number") from None
        return value

    def unary(self) -> int:
        token = self.rest.pop(0) if self.rest else ""
        if token in {"-", "+", "~"}:
            value = self.unary()
            return -value if token == "-" else ~value if token == "~" else value
        if token == "(":
            value = self.level(0)
            self.expect(")")
            return value
        if token.isdigit():
            return int(token)
        if not token or not (token[0].isalpha() or token[0] in "_.$"):
            raise ValueError(f"a value is missing before {token!r}" if token else "a value is missing")
        if self.rest and self.rest[0] == "(":
            self.rest.pop(0)
            argument = self.rest.pop(0) if self.rest else ""
            self.expect(")")
            return self.lookup(token, argument)
        return self.lookup(token, None)

    def expect(self, sign: str) -> None:
        if not self.rest or self.rest.pop(0) != sign:
            raise ValueError(f"{sign!r} is missing")
