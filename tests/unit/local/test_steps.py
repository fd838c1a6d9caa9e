"""What a step says when it fails."""

import pytest
from atlas_local.steps import migrate
from atlas_local.supervising.component import StartFailed


async def test_migrations_without_a_database_give_the_reason_and_no_traceback() -> None:
    with pytest.raises(StartFailed, match="connection failed") as caught:
        await migrate("postgresql://atlas:a-secret@127.0.0.1:1/atlas")
    said = str(caught.value)
    assert 'File "' not in said
    assert "a-secret" not in said
    assert "Traceback" not in said
