"""The S3 services are fixtures of all tests of stores."""

from tests.store.servers import ceph_server, moto_server, moto_store

__all__ = ["ceph_server", "moto_server", "moto_store"]
