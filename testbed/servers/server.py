"""A real Synapse in a folder of its own, on 127.0.0.1 and free ports, and its workers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.servers.process import SynapseProcess, free_port

MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"
SERVER_NAME = "bgthrottle.test"
REGISTRATION_SECRET = "only-for-this-server"

_LIMITLESS = {"per_second": 1e6, "burst_count": 1_000_000}
_LOG_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s"
_LOG_DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
_SIGNING_KEY = "ed25519 a_test uS6Bb0Xl2oRPsM7zPIV3qIFEdBT4ZzDd2wUyUqO6kzE\n"


class SynapseServer(SynapseProcess):
    """A main process, on SQLite unless `extra` says otherwise.

    Args:
        folder: for its database, configuration and log.
        module_config: the module's configuration; None: without the module.
        extra: further keys of homeserver.yaml, which take precedence.
        redis_port: for a server with workers.
        event_writer: name of the worker that writes events; None: the main process.
        module_log_level: of the module.
        metrics_port: for its metrics; None: no metrics.
        python: of another virtual environment with another Synapse; None: ours.

    Attributes:
        replication_ports: of workers that write, by name.
        database_path: of SQLite.
        config_path: homeserver.yaml.
    """

    def __init__(
        self,
        folder: Path,
        module_config: Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None = None,
        redis_port: int | None = None,
        event_writer: str | None = None,
        module_log_level: str = "DEBUG",
        metrics_port: int | None = None,
        python: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.replication_ports: dict[str, int] = {}
        self.module_log_level = module_log_level
        self.database_path = folder / "homeserver.db"
        self.config_path = folder / "homeserver.yaml"
        port = free_port()
        log_path = folder / "homeserver.log"
        super().__init__(
            "synapse.app.homeserver", [self.config_path], folder, port, log_path, python
        )
        modules = [] if module_config is None else [{"module": MODULE, "config": module_config}]
        key_path = folder / "signing.key"
        if not key_path.exists():
            key_path.write_text(_SIGNING_KEY)
        config: dict[str, Any] = {
            "server_name": SERVER_NAME,
            "report_stats": False,
            "signing_key_path": str(key_path),
            "pid_file": str(folder / "homeserver.pid"),
            "media_store_path": str(folder / "media"),
            "log_config": str(_write_log_config(log_path, module_log_level)),
            "registration_shared_secret": REGISTRATION_SECRET,
            "suppress_key_server_warning": True,
            "trusted_key_servers": [],
            "database": {"name": "sqlite3", "args": {"database": str(self.database_path)}},
            "listeners": [_listener(port, "client")],
            "rc_message": _LIMITLESS,
            "rc_profile": _LIMITLESS,
            "rc_registration": _LIMITLESS,
            "rc_login": {"address": _LIMITLESS, "account": _LIMITLESS},
            "rc_joins": {"local": _LIMITLESS, "remote": _LIMITLESS},
            "rc_joins_per_room": _LIMITLESS,
            "rc_room_creation": _LIMITLESS,
            "modules": modules,
            **(extra or {}),
        }
        if metrics_port is not None:
            config["enable_metrics"] = True
            config["listeners"].append(_metrics_listener(metrics_port))
        if redis_port is not None:
            replication_port = free_port()
            config["listeners"].append(_listener(replication_port, "replication"))
            config["redis"] = {"enabled": True, "host": "127.0.0.1", "port": redis_port}
            config["instance_map"] = {"main": {"host": "127.0.0.1", "port": replication_port}}
            if event_writer is not None:
                port = self.replication_ports[event_writer] = free_port()
                config["instance_map"][event_writer] = {"host": "127.0.0.1", "port": port}
                config["stream_writers"] = {"events": event_writer}
        self.config_path.write_text(yaml.safe_dump(config))

    def configure_module(self, module_config: Mapping[str, Any]) -> None:
        """Set another configuration of the module, for the next start."""
        config = yaml.safe_load(self.config_path.read_text())
        config["modules"] = [{"module": MODULE, "config": dict(module_config)}]
        self.config_path.write_text(yaml.safe_dump(config))


class SynapseWorker(SynapseProcess):
    """A generic worker of a server that has a Redis."""

    def __init__(self, main: SynapseServer, name: str, metrics_port: int | None = None) -> None:
        port = free_port()
        log_path = main.folder / f"{name}.log"
        config_path = main.folder / f"{name}.yaml"
        config: dict[str, Any] = {
            "worker_app": "synapse.app.generic_worker",
            "worker_name": name,
            "worker_log_config": str(_write_log_config(log_path, main.module_log_level)),
            "worker_listeners": [_listener(port, "client")],
        }
        if name in main.replication_ports:
            listener = _listener(main.replication_ports[name], "replication")
            config["worker_listeners"].append(listener)
        if metrics_port is not None:
            config["worker_listeners"].append(_metrics_listener(metrics_port))
        config_path.write_text(yaml.safe_dump(config))
        paths = [main.config_path, config_path]
        super().__init__("synapse.app.generic_worker", paths, main.folder, port, log_path)


def _listener(port: int, resource: str) -> dict[str, Any]:
    return {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "resources": [{"names": [resource]}],
    }


def _metrics_listener(port: int) -> dict[str, Any]:
    return {"port": port, "bind_addresses": ["127.0.0.1"], "type": "metrics"}


def _write_log_config(log_path: Path, module_log_level: str) -> Path:
    log_config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": _LOG_FORMAT, "datefmt": _LOG_DATE_FORMAT}},
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": str(log_path),
                "formatter": "plain",
            }
        },
        "loggers": {
            "synapse_bgthrottle": {"level": module_log_level},
            "synapse.access": {"level": "WARNING"},
        },
        "root": {"level": "INFO", "handlers": ["file"]},
    }
    path = log_path.with_suffix(".log.yaml")
    path.write_text(yaml.safe_dump(log_config))
    return path
