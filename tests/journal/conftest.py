import pytest
from journals.notebook import Notebook


@pytest.fixture
def notebook(tmp_path):
    return Notebook(tmp_path / "runs.db")
