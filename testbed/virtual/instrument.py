"""Loads the module so that each call in its functions can be made to fail."""

import ast
import importlib.abc
import importlib.machinery
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_PACKAGE = "synapse_bgthrottle"
# The server does not load these.
_NOT_AT_RUN_TIME = ("cli", "client")


class InjectedError(Exception):
    """An error of the module itself."""


class Sites:
    """All calls, by number; one of them may be made to fail.

    Attributes:
        names: `file:line:column call` by number.
        hits: how often each was made while `active`.
        failing: the call that fails; None: none.
        skip: how often it succeeds first.
        times: how often it then fails.
        active: whether calls are counted and may fail now.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.hits: Counter[int] = Counter()
        self.failing: int | None = None
        self.skip = 0
        self.times = 0
        self.active = False

    def hit(self, number: int) -> None:
        if not self.active:
            return
        self.hits[number] += 1
        if number == self.failing and self.skip < self.hits[number] <= self.skip + self.times:
            raise InjectedError(f"an error of our own at {self.names[number]}")


SITES = Sites()


class _Instrumenter(ast.NodeTransformer):
    """Puts a call of `hit` before every call in a function."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._depth = 0

    def visit_FunctionDef(self, node: Any) -> Any:
        self._depth += 1
        node.body = [self.visit(child) for child in node.body]
        self._depth -= 1
        return node

    def visit_AsyncFunctionDef(self, node: Any) -> Any:
        return self.visit_FunctionDef(node)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if not self._depth:
            return node
        number = len(SITES.names)
        SITES.names.append(f"{self._name}:{node.lineno}:{node.col_offset} {ast.unparse(node)[:60]}")
        question = ast.Call(
            ast.Attribute(ast.Name("_sites", ast.Load()), "hit", ast.Load()),
            [ast.Constant(number)],
            [],
        )
        both = ast.Tuple([question, node], ast.Load())
        return ast.Subscript(both, ast.Constant(1), ast.Load())


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:  # not from the cache of bytecode
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        name = self.name.removeprefix(f"{_PACKAGE}.")
        tree = ast.fix_missing_locations(_Instrumenter(name).visit(tree))
        code: types.CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["_sites"] = SITES
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        parts = fullname.split(".")
        if parts[0] != _PACKAGE or (parts[1:2] and parts[1] in _NOT_AT_RUN_TIME):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path or [str(_ROOT)])
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def instrument() -> None:
    """From now on, load the module with these checks."""
    assert _PACKAGE not in sys.modules
    sys.meta_path.insert(0, _Finder())
