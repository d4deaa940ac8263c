"""Shows how the tutorials of this folder train: a bar, and a picture."""

from collections.abc import Iterable, Mapping, Sequence


def progress(steps: Iterable[int]) -> Iterable[int]:
    """Returns `steps`, which show how far they are if tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return steps
    return tqdm(steps, leave=False)


def draw(curves: Mapping[str, Sequence[float]], file: str) -> None:
    """Writes the losses of every step to a PNG file, if matplotlib is there.

    Args:
      curves: By the name of a training.
      file: Where the picture goes.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no matplotlib: no picture")
        return
    axes = (figure := Figure()).subplots()
    for name, losses in curves.items():
        axes.semilogy(losses, label=name, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend()
    figure.savefig(file)
    print(f"losses: {file}")
