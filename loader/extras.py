"""Parts that are there only where an extra of the package is installed."""

from __future__ import annotations

from loader.errors import UsageError


def require_emulator() -> None:
    """Raises UsageError where the demo extra is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError("The local CRM needs the demo extra.", "pip install 'gp-to-crm[demo]'") from None
