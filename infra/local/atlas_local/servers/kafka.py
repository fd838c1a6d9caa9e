"""Apache Kafka: one broker that is its own controller (KRaft)."""

import asyncio
import os
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from atlas_local.home import Home
from atlas_local.jars import ensure_jars, read_lock
from atlas_local.java import find_java, start_cache
from atlas_local.ports import Ports
from atlas_local.supervising.component import NotReady, StartFailed
from atlas_local.supervising.processes import Command

_HEAP = "512m"
_STORAGE_TOOL = "kafka.tools.StorageTool"
_LOG4J = """Configuration:
  status: warn
  Appenders:
    Console: {name: out, PatternLayout: {pattern: "[%d] %p %m (%c{1})%n"}}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: out}}
    Logger:
      - {name: org.apache.kafka.clients, level: WARN}
      - {name: kafka.coordinator.transaction, level: WARN}
      - {name: org.apache.kafka.common.config, level: WARN}
      - {name: kafka.server.KafkaConfig, level: WARN}
"""


class Kafka:
    """A broker on the loopback address; topics exist only when made, and the log is flushed by the kernel."""

    name = "kafka"
    ready_s = 60.0
    port_names = ("kafka", "kafka-controller")

    def __init__(
        self, home: Home, ports: Ports, java_options: tuple[str, ...] | None = None, proxy_port: int | None = None
    ) -> None:
        """`java_options` instead of those that make the start faster. `proxy_port`: where a proxy listens for clients;
        they are told that port, and the proxy is to go to `behind_proxy`."""
        self._ports, self._java_options, self._proxy_port = ports, java_options, proxy_port
        self._data = home.data("kafka")
        self._jars = Path()

    @property
    def brokers(self) -> str:
        """The bootstrap address."""
        return f"127.0.0.1:{self._ports.get('kafka')}"

    @property
    def url(self) -> str:
        """The bootstrap address."""
        return self.brokers

    @property
    def behind_proxy(self) -> int:
        """The port of the listener whose clients are told the proxy's port."""
        return self._ports.get("kafka-behind-proxy")

    async def prepare(self) -> None:
        """Fetch the jars, write the configuration, format the log directory once."""
        self._jars = await asyncio.to_thread(ensure_jars)
        self._data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self._configuration())
        (self._data / "log4j2.yaml").write_text(_LOG4J)
        if not (self._data / "log" / "meta.properties").exists():
            await self._format()

    def command(self) -> Command:
        """One Java process."""
        # As Kafka's own start script has it: a pause is a delay of every record that is under way.
        pauses = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
        heap = (f"-Xms{_HEAP}", f"-Xmx{_HEAP}", *pauses)
        argv = [*self.java(), *self._start_options(), *heap, "kafka.Kafka", str(self._properties)]
        return Command(argv=argv, cwd=self._data, stop_s=20)

    async def ping(self) -> None:
        """Ask the broker for the cluster's metadata."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._ports.get("kafka"))
        writer.close()
        from aiokafka.admin import AIOKafkaAdminClient
        from aiokafka.errors import KafkaError

        admin = AIOKafkaAdminClient(bootstrap_servers=self.brokers, client_id="atlas-local", request_timeout_ms=3000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
        except KafkaError as error:
            raise NotReady(f"{type(error).__name__}: {error}") from error
        finally:
            await admin.close()
        if not cluster["brokers"]:
            raise NotReady("the cluster has no broker yet")

    @property
    def _properties(self) -> Path:
        return self._data / "server.properties"

    def java(self) -> list[str]:
        """A Java with every jar of Kafka on its class path: a main class and its arguments follow."""
        logging = f"-Dlog4j2.configurationFile={self._data / 'log4j2.yaml'}"
        # In a fixed order and not by a wildcard: the cache of the start is good for one class path.
        class_path = os.pathsep.join(sorted(str(self._jars / jar.file_name) for jar in read_lock()))
        return [find_java(), "-cp", class_path, logging]

    def _start_options(self) -> tuple[str, ...]:
        if self._java_options is not None:
            return self._java_options
        cache = start_cache(find_java(), self._jars)
        return (f"-XX:AOTCache={cache}",) if cache is not None and cache.exists() else ()

    def _configuration(self) -> str:
        broker, controller = self._ports.get("kafka"), self._ports.get("kafka-controller")
        values = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._data / "log",
            "auto.create.topics.enable": "false",
            "num.partitions": 4,
            # The default of any broker, said aloud: what passes here passes elsewhere.
            "message.max.bytes": 1_048_588,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # After a kill the broker is let in again only when its former session has run out, nine seconds by default.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 500,
            # A lone broker has no one to wait for.
            "group.initial.rebalance.delay.ms": 0,
            # The least that ATLAS_KAFKA_SESSION_S may be; 6000 is the default of any broker.
            "group.min.session.timeout.ms": 1000,
        }
        if self._proxy_port is not None:
            values["listeners"] = f"{values['listeners']},PROXIED://127.0.0.1:{self.behind_proxy}"
            told = f"{values['advertised.listeners']},PROXIED://127.0.0.1:{self._proxy_port}"
            protocols = ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", "PROXIED"))
            values |= {"advertised.listeners": told, "listener.security.protocol.map": protocols}
            values["inter.broker.listener.name"] = "PLAINTEXT"
        return "".join(f"{key}={value}\n" for key, value in values.items())

    async def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        process = await asyncio.create_subprocess_exec(
            *self.java(),
            _STORAGE_TOOL,
            *("format", f"--cluster-id={cluster}", "--config", str(self._properties), "--ignore-formatted"),
            cwd=self._data,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            text = output.decode(errors="replace")[-1000:]
            raise StartFailed(f"kafka: the log directory could not be formatted: {text}")
