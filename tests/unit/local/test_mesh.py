import pytest
from atlas_local import mesh as mesh_module
from atlas_local.home import Home
from atlas_local.mesh import Mesh
from atlas_local.topology import MESH, Kind


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(mesh_module, "ROOT", tmp_path)  # no .env of the developer's
    return Home(tmp_path / "home")


def part(name: str):
    return next(part for part in MESH if part.name == name)


def test_everything_is_started_here_unless_the_user_names_another(home):
    mesh = Mesh(home, environ={})
    assert mesh.outside == {}
    assert {"kafka", "postgres", "valkey", "s3"} <= set(mesh.components)
    assert {name for name in mesh.components if part(name).kind is Kind.SERVICE} == {
        item.name for item in MESH if item.kind is Kind.SERVICE
    }
    assert set(mesh.steps) == {item.name for item in MESH if item.kind is Kind.STEP}


def test_an_outside_server_is_used_and_not_started(home):
    mesh = Mesh(home, environ={"ATLAS_POSTGRES_DSN": "postgresql://me:secret@db.example:5432/atlas"})
    assert "postgres" not in mesh.components
    assert mesh.environment()["ATLAS_POSTGRES_DSN"] == "postgresql://me:secret@db.example:5432/atlas"
    assert mesh.address(part("postgres")) == "db.example:5432"
    assert "ATLAS_POSTGRES_ADMIN_DSN" not in mesh.environment()


def test_the_dotenv_of_the_checkout_counts_and_the_environment_wins(home, tmp_path):
    (tmp_path / ".env").write_text("ATLAS_KAFKA_BROKERS=a.example:9092\nATLAS_REDIS_URL=redis://r.example:6379/0\n")
    mesh = Mesh(home, environ={"ATLAS_KAFKA_BROKERS": "b.example:9092"})
    assert mesh.outside == {"kafka": "b.example:9092", "valkey": "redis://r.example:6379/0"}


def test_an_isolated_mesh_cares_for_no_setting_of_the_user(home, tmp_path):
    (tmp_path / ".env").write_text("ATLAS_KAFKA_BROKERS=a.example:9092\n")
    mesh = Mesh(home, isolated=True, environ={"ATLAS_REDIS_URL": "redis://r.example:6379/0", "PATH": "/bin"})
    assert mesh.outside == {}
    assert mesh.service_env()["PATH"] == "/bin"


def test_its_own_addresses_in_the_environment_are_not_outside_ones(home):
    first = Mesh(home, environ={})
    first.write_env()
    again = Mesh(home, environ=home.read_env())
    assert again.outside == {}
    assert again.environment() == first.environment()


def test_secrets_are_made_once_and_differ_between_homes(home, tmp_path):
    mesh = Mesh(home, environ={})
    mesh.write_env()
    secrets = {key: value for key, value in mesh.environment().items() if "SECRET" in key or "PASSWORD" in key}
    assert len(secrets) == 3
    assert Mesh(home, environ={}).environment() == mesh.environment()
    other = Mesh(Home(tmp_path / "other"), environ={}).environment()
    assert all(other[key] != value for key, value in secrets.items())


def test_a_service_gets_every_address_and_no_administrator_s_password(home):
    env = Mesh(home, environ={"ATLAS_LOG_LEVEL": "DEBUG"}).service_env()
    assert env["ATLAS_LOG_LEVEL"] == "DEBUG"
    assert {"ATLAS_KAFKA_BROKERS", "ATLAS_POSTGRES_DSN", "ATLAS_REDIS_URL", "ATLAS_S3_ENDPOINT"} <= set(env)
    assert not [key for key in env if "ADMIN" in key]


def test_no_address_shows_a_secret(home):
    mesh = Mesh(home, environ={})
    shown = " ".join(mesh.address(item) for item in MESH)
    secrets = [value for key, value in mesh.environment().items() if "SECRET" in key or "PASSWORD" in key]
    assert not any(secret in shown for secret in secrets)


def test_a_taken_port_changes_the_address(home, monkeypatch):
    mesh = Mesh(home, isolated=True, environ={})
    before = mesh.environment()["ATLAS_REDIS_URL"]
    taken = mesh.ports.get("valkey")
    monkeypatch.setattr("atlas_local.ports.is_free", lambda port: port != taken)
    assert mesh.replace_taken_ports(["valkey", "topics"]) == ["valkey"]
    assert mesh.environment()["ATLAS_REDIS_URL"] != before
