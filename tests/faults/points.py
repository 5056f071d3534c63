"""The failpoints of the library, as they stand in its code."""

import ast
from pathlib import Path


def points() -> list[str]:
    """Give the names of all failpoints."""
    sources = (path.read_text("utf-8") for path in sorted((Path(__file__).parents[2] / "eqn").rglob("*.py")))
    calls = (
        node
        for source in sources
        if "reached(" in source
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reached"
    )
    return [ast.literal_eval(call.args[0]) for call in calls]
