from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.errors import MissingError
from dibs.training.mlflow_log import log_model
from dibs.training.outcome import Outcome
from tests.encoders.local_models import make_model

ABOUT: dict[str, Any] = {
    "base": "tiny",
    "pairs": {"sha256": "0" * 64},
    "settings": {"epochs": 1, "matryoshka": []},
    "losses": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}],
    "evaluations": [{"step": 0, "recall": 0.5, "loss": 1.5}, {"step": 2, "recall": 0.75, "loss": 1.0}],
}


@pytest.mark.filterwarnings("default")
def test_a_model_is_logged_and_served_with_its_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    from sentence_transformers import SentenceTransformer

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    model = SentenceTransformer(str(make_model(tmp_path)), device="cpu")
    model.prompts = {"query": "net ", "document": ""}
    model.save(str(tmp_path / "tuned"), create_model_card=False)
    uri = log_model(Outcome(tmp_path / "tuned", ABOUT), {"Tiny/recall@10": 0.5})
    wanted = model.encode_query(["sales rose"], normalize_embeddings=True)
    served = mlflow.pyfunc.load_model(uri)
    found = served.predict(["sales rose"], params={"prompt_name": "query"})
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.metrics["loss"] == 1.0
    assert run.data.metrics["development/recall_at_10"] == 0.75
    assert run.data.metrics["Tiny/recall_at_10"] == 0.5
    assert run.data.params["base"] == "tiny"


def test_without_mlflow_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dibs.encoders.base.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    with pytest.raises(MissingError, match=r'pip install "dibs\[mlflow\]"'):
        log_model(Outcome(tmp_path, ABOUT), {})
