"""The import contracts: what they catch, and that a fresh interpreter agrees about the kernel."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk.settings import PROJECT_ROOT
from local.import_contracts import imports_at_the_top, is_within

HEAVY = ("airflow", "pyspark", "fastapi", "pandas", "pyarrow", "sklearn", "mlflow", "matplotlib")

PYPROJECT = """
[tool.importlinter]
root_packages = ["shop"]
include_external_packages = true
exclude_type_checking_imports = true
contract_types = [
    "third_parties: local.import_contracts.ThirdParties",
    "at_the_top: local.import_contracts.AtTheTop",
]

[[tool.importlinter.contracts]]
name = "Third parties"
type = "third_parties"
package = "shop"
allowed = ["numpy", "orjson"]

[[tool.importlinter.contracts]]
name = "At the top"
type = "at_the_top"
packages = ["shop"]
allowed = ["numpy"]
"""


def lint(folder: Path, besides: str = "[]", **modules: str) -> tuple[int, str]:
    """Run import-linter's command over a package ``shop`` made of the given modules."""
    (folder / "shop").mkdir(exist_ok=True)
    (folder / "shop" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(f"{PYPROJECT}besides = {besides}\n")
    for name, source in modules.items():
        (folder / "shop" / f"{name}.py").write_text(source)
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-cache",
    ]
    ran = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{PROJECT_ROOT}", "PATH": "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_listed_libraries_pass_inside_functions_and_where_allowed_at_the_top(tmp_path: Path) -> None:
    source = "import json\nimport numpy.typing\nfrom shop import other\n\ndef f():\n    import orjson\n"
    code, said = lint(tmp_path, till=source, other="")
    assert code == 0, said
    assert "2 kept, 0 broken" in said


def test_an_unlisted_library_is_caught_inside_a_function_too(tmp_path: Path) -> None:
    source = "import numpy\n\ndef f():\n    import orjson\n    import pandas\n"
    code, said = lint(tmp_path, till=source)
    assert code == 1
    assert "shop.till:5 imports pandas" in said
    assert "imports numpy" not in said


def test_a_listed_library_that_nothing_imports_is_caught(tmp_path: Path) -> None:
    code, said = lint(tmp_path, till="import numpy\n")
    assert code == 1
    assert "orjson is listed, and nothing imports it" in said


def test_a_heavy_import_at_the_top_is_caught(tmp_path: Path) -> None:
    source = "import numpy\ntry:\n    import orjson\nexcept ImportError:\n    orjson = None\n"
    code, said = lint(tmp_path, till=source)
    assert code == 1
    assert "shop/till.py:3 imports orjson at the top" in said


def test_a_package_that_something_else_loads_is_left_out_and_its_neighbours_are_not(tmp_path: Path) -> None:
    (tmp_path / "shop" / "office").mkdir(parents=True)
    (tmp_path / "shop" / "office" / "__init__.py").write_text("import numpy\nimport orjson\n")
    code, said = lint(tmp_path, besides='["shop.office"]', office_of_old="import orjson\n")
    assert code == 1
    assert "shop/office_of_old.py:1 imports orjson at the top" in said
    assert "shop/office/__init__.py" not in said


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a, b.c", [(1, "a"), (1, "b.c")]),
        ("from a.b import c", [(1, "a.b.c")]),
        ("def f():\n    import a", []),
        ("async def f():\n    import a", []),
        ("class C:\n    import a\n    def f(self):\n        import b", [(2, "a")]),
        ("if x:\n    import a\nelse:\n    import b", [(2, "a"), (4, "b")]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a", [(1, "typing.TYPE_CHECKING")]),
        ("with x:\n    import a", [(2, "a")]),
        ("from . import a", []),
    ],
)
def test_the_top_is_what_runs_on_import(source: str, found: list[tuple[int, str]]) -> None:
    assert list(imports_at_the_top(ast.parse(source))) == found


def test_a_name_is_within_itself_and_its_parents_but_not_within_its_beginning() -> None:
    assert is_within("creditrisk.settings.Settings", {"creditrisk.settings"})
    assert is_within("creditrisk.settings", {"creditrisk.settings"})
    assert not is_within("creditrisk.settings_of_old", {"creditrisk.settings"})
    assert not is_within("creditrisk", {"creditrisk.settings"})
    assert is_within("os.path", set())


def test_importing_the_whole_kernel_loads_no_heavy_library() -> None:
    """The contracts read source; this asks an interpreter, which sees what the libraries import in turn."""
    modules = sorted(
        f"creditrisk.{file.stem}"
        for file in (PROJECT_ROOT / "creditrisk").glob("*.py")
        if file.stem != "__main__"
    )
    code = f"""
import importlib, json, sys
found = {{}}
for module in {modules!r}:
    before = set(sys.modules)
    importlib.import_module(module)
    heavy = sorted(set({HEAVY!r}) & (set(sys.modules) - before))
    if heavy:
        found[module] = heavy
print(json.dumps(found))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == {}
    assert len(modules) >= 7
