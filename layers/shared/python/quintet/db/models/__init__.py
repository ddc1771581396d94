"""Every table, one file per area; an area imports those it refers to, and a function only those it needs."""

from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import MetaData

from quintet.db.models.base import Base


def every_table() -> MetaData:
    """The whole schema, all areas imported: for migrations and tests."""
    for area in iter_modules(__path__, f"{__name__}."):
        import_module(area.name)
    return Base.metadata
