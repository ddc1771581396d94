"""Positions: text that sorts by its bytes, and has room for more between any two.

Read as the digits of a fraction in base 62. Those at either end are whole steps apart (of 62^-6), so that a list to
which tasks are only added keeps short positions; between two of them is the shortest one near their middle. No
position ends with the digit 0, so none is another one's equal in value.
"""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE = len(_DIGITS)
_WIDTH = 6
_MIDDLE = _BASE**_WIDTH // 2


def between(low: str | None, high: str | None) -> str:
    """A position after `low` and before `high`; None where nothing is."""
    if low is None and high is None:
        return _written(_MIDDLE)
    if high is None:
        step = _steps(low or "") + 1
        return _written(step) if step < _BASE**_WIDTH else _halfway(low or "", None)
    if low is None:
        step = _steps(high) - 1
        return _written(step) if step > 0 else _halfway("", high)
    return _halfway(low, high)


def _halfway(low: str, high: str | None) -> str:
    """Digits common to both, then the middle of the first two that leave room."""
    digits = ""
    while True:
        at = len(digits)
        below = _DIGITS.index(low[at]) if at < len(low) else 0
        above = _BASE if high is None else _DIGITS.index(high[at]) if at < len(high) else 0
        if above - below > 1:
            return digits + _DIGITS[(below + above) // 2]
        if above > below:
            high = None  # whatever follows is before it
        digits += _DIGITS[below]


def _steps(position: str) -> int:
    steps = 0
    for digit in position[:_WIDTH].ljust(_WIDTH, _DIGITS[0]):
        steps = steps * _BASE + _DIGITS.index(digit)
    return steps


def _written(steps: int) -> str:
    digits = ""
    for _ in range(_WIDTH):
        steps, digit = divmod(steps, _BASE)
        digits = _DIGITS[digit] + digits
    return digits.rstrip(_DIGITS[0])
