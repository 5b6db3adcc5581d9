"""Access to the lake and the registry: ``file://`` and ``s3://`` URLs behind one small interface.

Objects are created, read, listed and, where half-done work is cleaned up or retention ends, removed. They
are never overwritten: :meth:`Storage.create` is atomic on disk and on S3, one of any number of racing
writers wins.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import LocalStore, S3Store

from creditrisk.errors import ObjectExists, ObjectMissing, StorageError
from creditrisk.settings import file_url


class Storage:
    """A folder of objects, named by URL. Keys are relative, with forward slashes."""

    def __init__(self, url: str, *, patience: timedelta | None = None) -> None:
        """Open ``url``; a local folder is made when something is first written.

        S3 credentials, region and endpoint come from the usual ``AWS_*`` environment.

        Args:
            url: of the folder.
            patience: how long S3 is waited for, and about as long again for another try; None: for minutes.

        Raises:
            StorageError: the URL is neither ``file:///…`` nor ``s3://bucket/…``.
        """
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self.local_root: Path | None = None
        self._store: Any
        if parts.scheme == "file" and not parts.netloc:
            self.local_root = Path(unquote(parts.path))
            self._store = LocalStore()
            self._prefix = str(self.local_root).strip("/")
        elif parts.scheme == "s3" and parts.netloc:
            self._store = S3Store(parts.netloc, **_limited(patience))
            self._prefix = parts.path.strip("/")
        else:
            raise StorageError(f"{url}: not a file:///folder or s3://bucket/folder URL")

    def __repr__(self) -> str:
        return f"Storage({self.url!r})"

    def url_of(self, key: str) -> str:
        """The URL of an object or folder below this one."""
        return file_url(self.local_root / key) if self.local_root else f"{self.url}/{key}"

    def read(self, key: str) -> bytes:
        """The whole object.

        Raises:
            ObjectMissing: there is none of that name.
        """
        with self._translated(key):
            return bytes(obstore.get(self._store, self._path(key)).bytes())

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The object as a file to read and seek in, without fetching all of it.

        Raises:
            ObjectMissing: there is none of that name.
        """
        with self._translated(key):
            found = _ObjectReader(obstore.open_reader(self._store, self._path(key)))
            with io.BufferedReader(found) as file:
                yield file

    def exists(self, key: str) -> bool:
        """Whether there is an object of that name: one request, no listing."""
        try:
            with self._translated(key):
                obstore.head(self._store, self._path(key))
        except ObjectMissing:
            return False
        return True

    def create(self, key: str, content: bytes | Path) -> None:
        """Write an object that must not exist yet, from bytes or from a local file.

        Raises:
            ObjectExists: the name is taken; what is there stays as it is.
        """
        with self._translated(key):
            obstore.put(self._store, self._path(key), content, mode="create")

    def download(self, key: str, target: Path) -> None:
        """Write the object to a local file, in bounded memory.

        Raises:
            ObjectMissing: there is none of that name.
        """
        with self._translated(key):
            found = obstore.get(self._store, self._path(key))
            with target.open("wb") as file:
                for chunk in found.stream():
                    file.write(chunk)

    def keys(self, prefix: str = "") -> list[str]:
        """Keys of all objects below a folder, however deep, sorted."""
        with self._translated(prefix):
            found = [
                self._relative(meta["path"])
                for batch in obstore.list(self._store, prefix=self._path(prefix))
                for meta in batch
            ]
        return sorted(found)

    def folders(self, prefix: str = "") -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        with self._translated(prefix):
            listing = obstore.list_with_delimiter(self._store, prefix=self._path(prefix))
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in listing["common_prefixes"])

    def names(self, prefix: str = "") -> list[str]:
        """Names of the objects directly in a folder, sorted."""
        with self._translated(prefix):
            listing = obstore.list_with_delimiter(self._store, prefix=self._path(prefix))
        return sorted(meta["path"].rsplit("/", 1)[-1] for meta in listing["objects"])

    def remove_unfinished(self, prefix: str) -> None:
        """Remove a folder that nothing names yet: the leavings of work that was interrupted."""
        keys = self.keys(prefix)
        if keys:
            with self._translated(prefix):
                obstore.delete(self._store, [self._path(key) for key in keys])

    def newest_change(self, prefix: str) -> datetime | None:
        """When the newest object below a folder was written; None where there is none."""
        with self._translated(prefix):
            times: list[datetime] = [
                meta["last_modified"]
                for batch in obstore.list(self._store, prefix=self._path(prefix))
                for meta in batch
            ]
        return max(times, default=None)

    def remove(self, key: str) -> None:
        """Remove one object; nothing happens where there is none of that name."""
        with suppress(ObjectMissing), self._translated(key):
            obstore.delete(self._store, self._path(key))

    def remove_folder(self, prefix: str) -> None:
        """Remove all objects below a folder; on disk the folder too, and the one above where it is then empty.

        It can be interrupted and done again. What makes readers believe in the folder is to be removed before.
        """
        self.remove_unfinished(prefix)
        if self.local_root:
            folder = self.local_root / prefix
            below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
            for directory in (*below, folder, folder.parent):
                with suppress(OSError):
                    directory.rmdir()

    def _path(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, key.strip("/")) if part)

    def _relative(self, path: str) -> str:
        return path[len(self._prefix) :].lstrip("/") if self._prefix else path

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotFoundError):
            raise ObjectMissing(f"{self.url_of(key)}: no such object") from None
        except (AlreadyExistsError, PreconditionError):
            raise ObjectExists(f"{self.url_of(key)}: exists already, and nothing is overwritten") from None
        except BaseError as error:
            raise StorageError(f"{self.url_of(key)}: {str(error).splitlines()[0]}") from error


def _limited(patience: timedelta | None) -> dict[str, Any]:
    """Options of an S3 store; not as client options, in whose place those of the environment would be lost."""
    if patience is None:
        return {}
    limit = f"{patience.total_seconds():g}s"
    return {
        "config": {"timeout": limit, "connect_timeout": limit},
        "retry_config": {"retry_timeout": patience, "max_retries": 1},
    }


class _ObjectReader(io.RawIOBase):
    """An object as Python's own kind of file, which other libraries know how to read."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._reader.read(len(buffer))
        buffer[: len(content)] = bytes(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


def spark_path(url: str) -> str:
    """What Spark reads for a lake URL: a plain path for ``file://`` (Hadoop does not unescape), ``s3a://`` for S3."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "file:" + unquote(parts.path)
    if parts.scheme == "s3":
        return f"s3a://{parts.netloc}{parts.path}"
    raise StorageError(f"{url}: not a file:///folder or s3://bucket/folder URL")
