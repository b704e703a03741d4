"""Networks of one's own: pytest benchmarks/ --nets examples/my_nets.py --cells digits-mlp4,digits-lenet5."""

from torch import Tensor, nn

from nets import network


@network(dataset=["digits", "mnist"], layers=4, classical="deep")
def mlp4() -> nn.Module:
    """Four fully connected layers, three of them hidden."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


@network(dataset="shapes")
class Residual(nn.Module):
    """A convolution, two more around which the input skips, and a mean over the image; built for any shape."""

    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image[0], 8, kernel_size=3, stride=2, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, kernel_size=3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, kernel_size=3, padding=1)
        )
        self.out = nn.Linear(8, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to logits (N, n_classes)."""
        hidden = self.stem(images).relu()
        hidden = (hidden + self.block(hidden)).relu()
        logits: Tensor = self.out(hidden.mean((2, 3)))
        return logits
