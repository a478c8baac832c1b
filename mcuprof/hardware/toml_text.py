"""Writing the few forms of TOML that device files have."""

from __future__ import annotations

import json


def quoted(text: str) -> str:
    """A basic string. Its escapes are those of JSON but for DEL and lone surrogates, which TOML does not allow."""
    valid = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps(valid, ensure_ascii=False).replace("\x7f", "\\u007F")


def key_value(key: str, text: str) -> str:
    """`key = "text"`."""
    return f"{key} = {quoted(text)}"
