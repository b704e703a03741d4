"""Names the pairing in both sides' files: the sign by which the gate takes their rounds for pairs."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

from nets import files
from nets.gate.comparable import Pairing
from nets.results import Unusable


def name_pairing(paths: tuple[Path, Path], looks: int) -> None:
    """Write one new pairing into the block `nets` of both. Raises Unusable for a file without that block."""
    pairing = Pairing(id=uuid4().hex, looks=looks)
    for path in paths:
        try:
            content = json.loads(path.read_bytes())
            content["nets"]["pairing"] = pairing.to_json()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unusable(f"{path}: it is no file of nets: {error}") from error
        files.replace(path, json.dumps(content, allow_nan=False, indent=4) + "\n")
