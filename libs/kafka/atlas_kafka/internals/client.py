"""The client beneath aiokafka's consumer and admin client: it sends any request to any broker."""

from aiokafka import AIOKafkaClient, AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import ConnectionGroup, CoordinationType

__all__ = ["ConnectionGroup", "CoordinationType", "client_of"]
# ConnectionGroup, CoordinationType: for requests to a group's or a transaction's coordinator. AIOKafkaClient's public
# methods take them, but the package does not export them.


def client_of(owner: AIOKafkaConsumer | AIOKafkaAdminClient) -> AIOKafkaClient:
    """The client of a consumer or an admin client, once that is started.

    For requests that aiokafka does not speak (topic ids, producers, groups of the newer protocol). A client of our own
    would do too, but costs connections to every broker beside those that are open. A producer's is public: `client`.
    """
    return owner._client
