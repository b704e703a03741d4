"""Ways of writing a network that counting must see through or refuse: a builder for each entry of idioms.toml."""

from tests.networks.idioms import forms, passes, products, refused
from tests.networks.idioms.registry import IDIOMS

__all__ = ["IDIOMS", "forms", "passes", "products", "refused"]
