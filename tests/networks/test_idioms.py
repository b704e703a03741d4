"""The networks of the package idioms against the table idioms.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

from nets.networks.dataflow import UnknownStructure
from nets.networks.layers import network_structure
from tests.networks.idioms import IDIOMS
from tests.support.networks import demand_table_adds_up

TABLE = tomllib.loads(Path(__file__).with_name("idioms.toml").read_text())
COUNTED = [name for name, entry in TABLE.items() if "refused" not in entry]
REFUSED = [name for name, entry in TABLE.items() if "refused" in entry]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_the_table_is_whole() -> None:
    """Every builder has an entry with its derivation, and every entry a builder."""
    assert sorted(TABLE) == sorted(IDIOMS)
    assert [name for name, entry in TABLE.items() if not entry["why"]] == []


def _attributes(model: nn.Module) -> list[list[str]]:
    plain = (module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule))
    return [list(vars(module)) for module in plain]


@pytest.mark.parametrize("name", COUNTED)
def test_counted(name: str) -> None:
    """Layers, multiply-accumulates and what is named as not counted are the table's; nothing of the network changes."""
    entry = TABLE[name]
    model = IDIOMS[name]()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    before = {name: (value, value.detach().clone(), value.requires_grad, value.grad) for name, value in tensors.items()}
    random, attributes = torch.get_rng_state(), _attributes(model)
    found = network_structure(model, tuple(entry.get("image", (1, 4, 4))))
    assert (found.layers, found.macs_per_image) == (entry["layers"], entry["macs"]), entry["why"]
    assert found.macs_per_batch == entry.get("batch_macs", 0), entry["why"]
    assert found.not_counted == tuple(entry.get("not_counted", ())), entry["why"]
    demand_table_adds_up(found)
    assert torch.equal(torch.get_rng_state(), random)
    assert _attributes(model) == attributes
    after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert after.keys() == before.keys()
    for key, (tensor, values, requires_grad, grad) in before.items():
        now = after[key]
        assert (now is tensor, now.requires_grad, now.grad) == (True, requires_grad, grad)
        assert now.is_meta or torch.equal(now, values)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What can't be followed is refused, in one sentence that says what it is and what to do."""
    with pytest.raises(UnknownStructure, match=TABLE[name]["refused"]) as refusal:
        network_structure(IDIOMS[name](), (1, 4, 4))
    assert "\n" not in str(refusal.value)
