"""The parameters of a parameterNodeWrapper class, read without importing it."""

from __future__ import annotations

import ast

_PLAIN = {"bool", "int", "float", "str"}


def parameters_of(source: str) -> dict[str, str]:
    """Kinds by name, as ``UiFile.binding_problems`` takes them.

    Raises:
        ValueError: the source has no wrapped class.
    """
    body = ast.parse(source).body
    aliases = {ast.unparse(n.targets[0]): n.value for n in body if isinstance(n, ast.Assign)}
    for node in body:
        if isinstance(node, ast.ClassDef) and any(
            "parameterNodeWrapper" in ast.unparse(d) for d in node.decorator_list
        ):
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
            return {f.target.id: _kind(aliases.get(ast.unparse(f.annotation), f.annotation)) for f in fields}
    raise ValueError("no class is decorated with parameterNodeWrapper")


def _kind(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)
        inner, *notes = annotation.slice.elts
        return _kind(inner) + ("+" if any("WithinRange" in ast.unparse(n) for n in notes) else "")
    text = ast.unparse(annotation)
    if "vtkMRML" in text:
        return "node"
    return text if text in _PLAIN else "enum"
