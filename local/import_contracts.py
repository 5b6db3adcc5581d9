"""Two kinds of import contract for import-linter, declared in ``pyproject.toml``.

``third_parties`` lists what a package may import from outside, wherever the import stands;
``at_the_top`` lists what it may import while it is itself being imported, so that a process loads
a heavy library only when it calls the function that needs it.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ThirdParties(Contract):
    """The package imports no third party but those listed, by their import names; every one listed is used."""

    type_name = "third_parties"
    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Compare the list with the import graph, which knows imports inside functions too."""
        package, allowed = cast("str", self.package), cast("set[str]", self.allowed)
        ours = {name.split(".")[0] for name in graph.modules if not graph.is_module_squashed(name)}
        problems = []
        used = set()
        for module in sorted({package, *graph.find_descendants(package)}):
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                root = imported.split(".")[0]
                if root in ours or root in sys.stdlib_module_names:
                    continue
                used.add(root)
                if root not in allowed:
                    details = graph.get_import_details(importer=module, imported=imported)
                    problems.append(f"{module}:{details[0]['line_number']} imports {root}")
        problems += [f"{name} is listed, and nothing imports it" for name in sorted(allowed - used)]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the problems, one a line."""
        _print_problems(check)


class AtTheTop(Contract):
    """Outside functions the packages import nothing but themselves, the standard library and what is listed."""

    type_name = "at_the_top"
    packages = fields.ListField(subfield=fields.StringField())
    allowed = fields.SetField(subfield=fields.StringField())
    besides = fields.SetField(subfield=fields.StringField(), required=False, default=set())
    """Packages below these that are not looked into: something else loads them, and in fewer processes."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Read the packages' source: the graph does not tell where in a module an import stands."""
        besides = cast("set[str]", self.besides)
        problems = []
        for package in cast("list[str]", self.packages):
            allowed = {package, *cast("set[str]", self.allowed)}
            spec = find_spec(package)
            folder = Path(cast("str", cast("object", spec and spec.origin))).parent
            for file in sorted(folder.rglob("*.py")):
                module = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
                if any(f"{module}.".startswith(f"{each}.") for each in besides):
                    continue
                for line, name in imports_at_the_top(ast.parse(file.read_text())):
                    if not is_within(name, allowed):
                        problems.append(f"{file.relative_to(folder.parent)}:{line} imports {name} at the top")
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the problems, one a line."""
        _print_problems(check)


def imports_at_the_top(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of what is imported when the module is: outside functions, not for type checkers only."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def is_within(name: str, allowed: Iterable[str]) -> bool:
    """Whether a dotted name is of the standard library, or one of the allowed ones, or lies below one."""
    return name.split(".")[0] in sys.stdlib_module_names or any(
        f"{name}.".startswith(f"{each}.") for each in allowed
    )


def _print_problems(check: ContractCheck) -> None:
    for problem in check.metadata["problems"]:
        output.print_error(f"- {problem}", bold=False)
    output.new_line()
