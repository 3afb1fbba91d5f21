"""A bar where the output is no terminal: a line at every quarter of the way, the last one when all is over."""

import io

from rich.console import Console

from ncmix.terminal import Bar


def lines(total: int, *way: tuple[int, float]) -> list[str]:
    """What is written while so many epochs are over, and so much in all."""
    written = io.StringIO()
    with Bar("toy", total, console=Console(file=written, width=200)) as bar:
        for count, done in way:
            bar.show(count, done, {})
    return [line.split("loss")[0].split("  ", 1)[1].strip() for line in written.getvalue().splitlines()]


def test_a_line_at_every_quarter():
    assert lines(4, (0, 0.5), (1, 1.0), (1, 1.9), (2, 2.2), (3, 3.0), (4, 4.0)) == [
        "epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"
    ]  # fmt: skip


def test_the_last_line_is_of_the_last_epoch_and_not_of_its_last_batch():
    assert lines(10, (8, 8.0), (9, 9.5), (9, 10.0), (10, 10.0)) == ["epoch  8/10", "epoch 10/10"]
