"""The same hosts, after a release that could not become ready."""

import importlib.util
from pathlib import Path

_shared = Path(__file__).parent.parent / "tests" / "conftest.py"
_spec = importlib.util.spec_from_file_location("site_conftest", _shared)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
Node, pi, vps = _module.Node, _module.pi, _module.vps
