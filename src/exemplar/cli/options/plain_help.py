"""Help in plain words: no `{None}|PATH`, no `(default: None)`, and text that fills its lines."""

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from typing import Annotated, Any

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

_WORDS = {
    "None": "",
    "": "",
    "inf": "",
    "''": "",
    "False": "(default: no)",
    "True": "(default: yes)",
}


def registry() -> ConstructorRegistry:
    """tyro's rules for dataclasses, with words for defaults."""
    rules, asked = ConstructorRegistry(), set[Any]()

    @rules.struct_rule
    def worded(info: StructTypeInfo) -> StructConstructorSpec | None:
        if not is_dataclass(info.type) or info.type in asked:
            return None
        asked.add(info.type)
        spec = ConstructorRegistry.get_struct_spec(info)
        asked.remove(info.type)
        if not isinstance(spec, StructConstructorSpec):
            return None
        said = tyro.conf.arg(help_behavior_hint=_in_words)
        return replace(
            spec,
            fields=tuple(
                replace(
                    field,
                    type=Annotated[field.type, said, tyro.conf.DisallowNone],
                    helptext=_filled(field.helptext),
                )
                for field in spec.fields
            ),
        )

    return rules


def _in_words(default: str) -> str:
    return _WORDS.get(default, f"(default: {default})")


def _filled(text: str | Callable[[], str | None] | None) -> Callable[[], str | None]:
    """A field's docstring without its line breaks, found when help is asked for."""

    def found() -> str | None:
        said = text() if callable(text) else text
        return said and " ".join(said.split())

    return found
