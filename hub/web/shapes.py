"""The shapes of answers: typed dictionaries that are built by, and described from, one declaration."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Annotated, TypeVar

from pydantic import Field

Shape = TypeVar("Shape", bound=type)


def described(shape: Shape) -> Shape:
    """Take the docstring under each member of a typed dictionary for that member's description.

    Pydantic can do so itself, but leaves out the members that another typed dictionary hands down.
    """
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(shape))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - it is the class that was decorated
    for member, text in pairwise(tree.body):
        match member, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(about))):
                hint = shape.__annotations__[name]
                shape.__annotations__[name] = Annotated[hint, Field(description=inspect.cleandoc(about))]
    return shape


class Raw:
    """Stands for the reply of an operation whose answers are no envelope."""
