"""What the shell offers for an argument when Tab is pressed: from files and code alone, so it is instant."""

from collections.abc import Iterator


def parts(incomplete: str) -> Iterator[str]:
    """The parts of the mesh on this machine."""
    from atlas_local.topology import MESH

    yield from (part.name for part in MESH if part.name.startswith(incomplete))


def topics(incomplete: str) -> Iterator[str]:
    """The declared topics and where their dead letters go; none when the schemas can't be read."""
    from atlas_cli.connect import load_registry
    from atlas_cli.settings import load_settings
    from atlas_cli.terminal.output import CommandError

    try:
        declared = load_registry(load_settings()).topics.values()
    except CommandError:
        return
    names = (name for topic in declared for name in (topic.name, topic.dead_letter))
    yield from (name for name in names if name.startswith(incomplete))
