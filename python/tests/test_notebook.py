"""The notebook of first steps: it runs, and is kept without outputs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first-steps.ipynb"

# Those of its parts, which are not this project's.
pytestmark = pytest.mark.filterwarnings("default")


def test_the_notebook_runs_and_separates(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = "".join(output.get("text", "") for output in outputs)
    gains = [float(line.split()[3]) for line in text.splitlines() if line.endswith(" dB")]
    assert len(gains) == 2 and min(gains) > 5, text
    assert "1 of 1 files separated: ['mix.piano.wav', 'mix.speech.wav']" in text


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert len(cells) == 10 and not any(cell.outputs or cell.execution_count for cell in code)
