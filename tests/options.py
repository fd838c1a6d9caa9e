"""What the programs below tests take: whole numbers, each with its default."""

import argparse


def options(about: str | None, **defaults: int) -> argparse.Namespace:
    """What was asked for: `--rounds 50` where `rounds` is among the defaults."""
    parser = argparse.ArgumentParser(description=about)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()
