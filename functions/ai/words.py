"""The words of a question that say what it is about."""

import re

MAX_WORDS = 24

_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    _WORD.findall(
        """
        a about after all also am an and any are as at be been before being but by can could did do does for from
        get give had has have he her him his how i if in into is it its just know let like me more most my need no
        not now of on one or our out over own please say says shall she should show so some such tell than that the
        their them then there these they this those to too under up us want was we were what when where which while
        who whom whose why will with would you your create make task tasks summarise summarize
        """
    )
)


def sought(text: str) -> frozenset[str]:
    """Its words in lower case, without the most common ones of English."""
    return frozenset(word.lower() for word in _WORD.findall(text)) - _COMMON


def query(text: str) -> str:
    """What `words_sought` is to look for: any of the text's words, those that come first when there are many."""
    words = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    telling = [word for word in words if word not in _COMMON][:MAX_WORDS]
    return " or ".join(f'"{word}"' for word in telling)
