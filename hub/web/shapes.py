"""The shapes of answers: typed dictionaries that are built by, and described from, one declaration."""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from typing import Annotated, TypeVar

from pydantic import Field

Shape = TypeVar("Shape", bound=type)


def described(shape: Shape) -> Shape:
    """Take the docstring under each member of a typed dictionary for that member's description.

    Pydantic can do so itself, but leaves out the members that another typed dictionary hands down.
    """
    for member, about in _descriptions(shape.__module__)[shape.__name__].items():
        hint = shape.__annotations__[member]
        shape.__annotations__[member] = Annotated[hint, Field(description=about)]
    return shape


@cache
def _descriptions(module: str) -> dict[str, dict[str, str]]:
    """Return what each class at the top of *module* says of its members; a module is read but once."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        shape.name: {
            name: inspect.cleandoc(about)
            for member, text in pairwise(shape.body)
            if (name := _name(member)) and (about := _text(text))
        }
        for shape in tree.body
        if isinstance(shape, ast.ClassDef)
    }


def _name(member: ast.stmt) -> str | None:
    match member:
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _text(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


class Raw:
    """Stands for the reply of an operation whose answers are no envelope."""
