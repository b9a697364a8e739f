"""Counts a stream's rollups anew from its log, and lets them take the place of those that are there in one swing.

For rollups that are damaged: parts that are missing, figures that an audit does not find in the log. Until the swing
readers and folds go on with what there is; what was appended meanwhile is counted as well.
"""

from dataclasses import replace

from .errors import BrokenLog, Conflict
from .log import read_manifest, tail
from .manifest import Manifest
from .segments import unpack
from .sweeping import ATTEMPTS, Sweeper


class Rebuilder(Sweeper):
    """Rebuilds the rollups of streams. It needs no part that is there."""

    def rebuild(self, stream: str) -> int:
        """Rebuilds a stream's rollups; how many segments they hold then. A sealed stream is left as it is.

        Raises:
            BrokenLog: the log itself is damaged; the rollups are as they were.
            Conflict: others kept changing the stream; it may be done again.
        """
        for _ in range(ATTEMPTS):
            before = read_manifest(self._rollups, stream)
            through = self._rewritten(stream, before)
            found = self._count(stream, Manifest())
            if found is None:
                return 0
            if self._replace(stream, before, found, rewritten=through):
                return found.watermark
        raise Conflict(f"others kept changing the rollups of {stream}")

    def _rewritten(self, stream: str, manifest: Manifest) -> bool:
        """Whether the redaction that the manifest waits for has rewritten the whole log, and only has to say so."""
        if not manifest.redacting:
            return False
        found = self._log.read(stream, after=manifest.redacting - 1, up_to=manifest.redacting)
        return not found or unpack(found[0].data).orders is None

    def _count(self, stream: str, manifest: Manifest) -> Manifest | None:
        """What the manifest becomes with everything that follows it in the log; None if the stream is sealed.

        The parts are written. Those that its own steps made and replaced are deleted, for nobody ever named them.
        """
        while items := self._log.read(stream, after=manifest.watermark, at_most=self._step):
            found = [segment for segment, _ in tail(items, manifest.watermark)]
            if not found:
                raise BrokenLog(f"the log of {stream} does not go on after {manifest.watermark}")
            if any(segment.sealed for segment in found):
                return None
            changes = self._changes()
            manifest = self._take(stream, manifest, found, changes)
            self._write(stream, changes)
            self._rollups.remove(stream, changes.replaced)
        return manifest

    def _replace(self, stream: str, before: Manifest, found: Manifest, *, rewritten: bool) -> bool:
        """Lets what was counted follow whatever manifest there is now; false if it has to be counted again.

        A redaction rewrites segments in order, and its marker last. If one did while they were read, some may have been
        read before and some after it; that is well only if it has yet to swing the manifest.
        """
        for _ in range(ATTEMPTS):
            current = read_manifest(self._rollups, stream)
            if (current.epoch, current.redacting) != (before.epoch, before.redacting):
                return False
            if before.redacting and found.redacting != before.redacting and not rewritten:
                return False
            if found.watermark < current.watermark:
                more = self._count(stream, found)
                if more is None:
                    return False
                found = more
                if found.watermark < current.watermark:
                    raise BrokenLog(f"the log ends at {found.watermark}, before the watermark {current.watermark}")
            following = replace(
                found,
                version=current.version + 1,
                compacted=current.compacted,
                compacting=current.compacting,
                merged=current.merged,
                cleaned=current.cleaned,
            )
            if self._rollups.missing(stream, following.parts()):
                return False  # it took so long that they were swept up
            changes = self._changes()
            changes.replaced = current.parts() - following.parts()
            if self._swing(stream, following, changes):
                return True
            if (read_manifest(self._rollups, stream).parts() & following.parts()) - current.parts():
                break  # it may have been done, and followed: what was counted is somebody's now
        return False
