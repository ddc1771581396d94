"""A function that uses the layer as our code does, the parts that are imported late included.

It is run by `lambda_runtime`, in place of one of ours.
"""

import importlib
from typing import Any


def handler(event: dict[str, Any], _: Any) -> list[str]:
    """What of `event` cannot be had: `imports` are pairs of module and name (or none), `services` boto3's clients."""
    missing = []
    import boto3

    for service in event["services"]:
        boto3.client(service)
    for module, name in event["imports"]:
        try:
            found = importlib.import_module(module)
            if name and name != "*" and not hasattr(found, name):
                importlib.import_module(f"{module}.{name}")
        except ImportError as error:
            missing.append(f"{module}: {error}")
    return missing + _slimmed()


def _slimmed() -> list[str]:
    """What the layer's packages still do though parts of them were left out; what they do not."""
    import email_validator
    import phonenumbers
    import pygal  # type: ignore[import-untyped]
    import pywebpush  # type: ignore[import-untyped]

    email_validator.validate_email("someone@example.org", check_deliverability=False)
    pywebpush.requests.Session().close()
    works = {
        "phonenumbers": phonenumbers.is_valid_number(phonenumbers.parse("+442079460958")),
        "pygal": b"<rect" in pygal.StackedBar(js=()).add("", [1]).render(),
    }
    return [name for name, fine in works.items() if not fine]
