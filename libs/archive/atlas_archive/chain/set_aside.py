"""Setting an object aside that stands in the archive's way: at a manifest's place, and no manifest.

    set-aside/<the key it had>/<the first 16 digits of its sha256>

Nothing is lost by it: the bytes stay, under a key that nobody reads.
"""

import hashlib
from dataclasses import dataclass

from atlas_archive.chain.manifests import ROOT, BadManifest, offset_of, read_manifest
from atlas_archive.store import ObjectStore

FOLDER = "set-aside/"
_BEGIN_BYTES = 60


class NotInTheWay(Exception):
    """The object is not at a manifest's place, or it reads as what belongs there."""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """An object that does not read; `begins_with` is its first bytes as Python writes them."""

    key: str
    bytes: int
    reason: str
    begins_with: str
    moves_to: str


async def look_at(store: ObjectStore, key: str, *, anyway: bool = False) -> InTheWay:
    """What is wrong with the object, and where it would go. Raises MissingObject, and NotInTheWay unless `anyway`.

    `anyway` is for a manifest that reads and is wrong all the same; its place must be a manifest's even so.
    """
    parts = key.split("/")
    if not key.startswith(ROOT) or len(parts) < 6 or parts[3] not in ("manifest", "compacted", "floor"):
        raise NotInTheWay(f"{key}: not the place of a manifest, which is {ROOT}<topic>/<incarnation>/manifest/…")
    data = await store.get(key)
    reason = "reads well, set aside all the same"
    try:
        if parts[3] == "floor":
            offset_of(key)
        else:
            read_manifest(key, data)
        if not anyway:
            raise NotInTheWay(f"{key}: reads as it should")
    except BadManifest as error:
        reason = error.reason
    to = f"{FOLDER}{key}/{hashlib.sha256(data).hexdigest()[:16]}"
    return InTheWay(key, len(data), reason, repr(data[:_BEGIN_BYTES]), to)


async def set_aside(store: ObjectStore, key: str, *, anyway: bool = False) -> InTheWay:
    """Move the object away, its bytes first. Raises what `look_at` raises."""
    found = await look_at(store, key, anyway=anyway)
    await store.put_if_absent(found.moves_to, await store.get(key))
    await store.delete(key)
    return found
