"""The network that a library is given: cut, rewritten, compared with its source, written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from halfsecond.artifact import Artifact, Check
from halfsecond.errors import EngineBuildError
from halfsecond_export.engines.comparing import (
    compared,
    random_feeds,
    run_network,
    run_rewritten,
)
from halfsecond_export.engines.network import (
    Source,
    network_inputs,
    save_network,
    source_hashes,
)
from halfsecond_export.engines.planning import BuildRequest, read_network
from halfsecond_export.engines.recipes import find_recipe
from halfsecond_export.engines.rewriting import rewrite

# Networks from this size on are not compared: they would lie in memory several times.
LARGE_BYTES = 1_000_000_000


class Prepared(NamedTuple):
    """How many places each pass changed, and what that cost."""

    changes: dict[str, int]
    checks: tuple[Check, ...]


def prepare_network(
    request: BuildRequest, source: Source, planned: Artifact, target: Path
) -> Prepared:
    """Writes the network of a planned engine to `target`; nothing of it stays in memory.

    Raises as `rewrite` does; EngineBuildError where the source changes meanwhile.
    """
    model = read_network(request, source)
    if source_hashes(source.path) != planned.sources:
        raise EngineBuildError(f"{source.path} changed while it was read; build again")
    masks = find_recipe(request.recipe).masks
    feeds = random_feeds(network_inputs(model), planned.profiles, masks)
    is_compared = request.is_compared and model.ByteSize() < LARGE_BYTES
    before = run_network(model.SerializeToString(), feeds) if is_compared else None
    model, changes = rewrite(model, planned.precision, keeps_io=request.keeps_io)
    save_network(model, target)
    after = run_rewritten(model, feeds) if before is not None else None
    return Prepared(changes, compared(before, after, planned.precision, changes))
