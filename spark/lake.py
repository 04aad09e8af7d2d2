"""Small files and folders of the lake, through Hadoop's FileSystem: abfss in Synapse, any
mounted folder elsewhere. Large data is read and written by Spark itself.
"""

from __future__ import annotations

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession


class Lake:
    """Reads, writes and lists by URL. Errors of the store come as Py4JJavaError."""

    def __init__(self, session: SparkSession) -> None:
        jvm: Any = session.sparkContext._jvm
        self._path = jvm.org.apache.hadoop.fs.Path
        self._conf: Any = session.sparkContext._jsc.hadoopConfiguration()
        self._bytes = jvm.org.apache.commons.io.IOUtils.toByteArray

    def read(self, url: str) -> bytes:
        """A whole small file. FileNotFoundError when it is not there."""
        path, system = self._open(url)
        if not system.exists(path):
            raise FileNotFoundError(url)
        stream = system.open(path)
        try:
            return bytes(self._bytes(stream))
        finally:
            stream.close()

    def create(self, url: str, content: bytes) -> None:
        """Write a file that must not exist: FileExistsError when it does.

        One conditional request on Azure. On a local disk Hadoop looks first and writes then:
        who needs to be alone reads back what was written.
        """
        try:
            self._write(url, content, overwrite=False)
        except Py4JJavaError as error:
            if "AlreadyExists" in str(error.java_exception.toString()):
                raise FileExistsError(url) from None
            raise

    def write(self, url: str, content: bytes) -> None:
        """Write a file under its final name, over whatever is there."""
        self._write(url, content, overwrite=True)

    def exists(self, url: str) -> bool:
        """True when there is a file or a folder."""
        path, system = self._open(url)
        return bool(system.exists(path))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, sorted; empty when it is not there."""
        path, system = self._open(folder)
        if not system.exists(path):
            return []
        return sorted(str(status.getPath().getName()) for status in system.listStatus(path))

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a name that is free. OSError when the store refuses."""
        path, system = self._open(source)
        if not system.rename(path, self._path(target)):
            raise OSError(f"cannot rename {source} to {target}")

    def make_folder(self, url: str) -> None:
        """Make a folder and those above it; fine when it is there."""
        path, system = self._open(url)
        system.mkdirs(path)

    def delete(self, url: str) -> None:
        """Delete a file, or a folder with all that is in it; fine when it is not there."""
        path, system = self._open(url)
        system.delete(path, True)

    def _open(self, url: str) -> tuple[Any, Any]:
        path = self._path(url)
        return path, path.getFileSystem(self._conf)

    def _write(self, url: str, content: bytes, *, overwrite: bool) -> None:
        path, system = self._open(url)
        stream = system.create(path, overwrite)
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()
