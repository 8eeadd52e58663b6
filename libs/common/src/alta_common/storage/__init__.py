"""Object storage: a Cloud Storage bucket when one is named, else a local folder."""

from alta_common.settings import StorageSettings
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.storage.object_storage import ObjectNotFoundError, ObjectStorage, StoredObject

__all__ = ["ObjectNotFoundError", "ObjectStorage", "StoredObject", "create_storage"]


def create_storage(settings: StorageSettings) -> ObjectStorage:
    """Return the storage that the settings name."""
    if settings.gcs_bucket_name:
        # Google's libraries take half a second and 40 MB to import; who keeps files locally needs none of that.
        from alta_common.storage.gcs import GcsObjectStorage, create_client

        return GcsObjectStorage(create_client(settings), settings.gcs_bucket_name)
    return FilesystemObjectStorage(settings.storage_dir)
