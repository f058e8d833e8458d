"""Optional packages, loaded when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from gansynth_server.errors import UserError


def require(module: str, purpose: str, extra: str) -> Any:
    """Import an optional module; UserError says which extra of this package brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{purpose} needs: pip install 'gansynth-server[{extra}]'") from error
