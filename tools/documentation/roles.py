"""Shows cross-references of docstrings, such as ``:meth:`speak```, as code in the API reference."""

import re

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?(?:[\w.]*\.)?(\w+)`")


class Roles(Extension):
    """Rewrites the docstring of each object that is shown."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Drop the roles, keep the names."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
