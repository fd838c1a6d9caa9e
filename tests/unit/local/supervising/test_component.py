import pytest
from atlas_local.supervising.component import Runner, StartFailed


@pytest.fixture
async def runner(standins, tmp_path):
    runner = Runner(standins.add("server"), tmp_path / "server.log")
    yield runner
    await runner.stop()


async def test_start_returns_when_it_is_ready(runner):
    await runner.start()
    assert runner.running
    assert runner.component.flag.exists()


async def test_a_second_start_leaves_it_alone(runner):
    await runner.start()
    pid = runner.process.pid
    await runner.start()
    assert runner.process.pid == pid
    assert runner.component.prepared == 1


async def test_one_that_ends_is_reported_with_its_last_lines(runner):
    runner.component.code = "print('no such file: x.conf'); raise SystemExit(7)"
    with pytest.raises(StartFailed, match=r"(?s)ended with exit code 7.*no such file: x\.conf"):
        await runner.start()
    assert not runner.running


async def test_one_that_is_never_ready_is_killed_and_what_it_lacked_is_said(runner):
    runner.component.code = "import time; time.sleep(60)"
    runner.component.ready_s = 0.3
    with pytest.raises(StartFailed, match=r"server is not ready after 0 s: no file yet"):
        await runner.start()
    assert not runner.running


async def test_stop_and_kill_can_be_repeated(runner):
    await runner.stop()
    await runner.start()
    await runner.stop()
    await runner.stop()
    assert not runner.running
    await runner.start()
    runner.kill()
    runner.kill()
    assert not runner.running


async def test_the_spawned_process_is_told_before_it_is_ready(runner):
    seen = []
    runner.on_spawn = lambda: seen.append((runner.process.pid, runner.component.flag.exists()))
    await runner.start()
    assert seen == [(runner.process.pid, False)]


async def test_that_nobody_listens_yet_is_told_only_when_it_takes_long(runner, monkeypatch):
    told = []
    runner.on_missing = told.append
    await runner.start()
    assert not told, "as every start is"
    await runner.stop()
    monkeypatch.setattr("atlas_local.supervising.component._TOLD_AFTER_S", 0.0)
    runner.component.code = "import time; time.sleep(60)"
    runner.component.ready_s = 0.3
    with pytest.raises(StartFailed):
        await runner.start()
    assert told == ["no file yet"]
