"""A finetuned model in MLflow: its settings, losses and scores as a run, and itself as a model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from dibs.encoders.base import needs
from dibs.training.outcome import Outcome

_PACKAGES = ("sentence-transformers", "torch", "transformers")
"""What serving it needs; said here, since MLflow would load the model in another process to find out."""
_TEXT = "a text"


def log_model(found: Outcome, scores: Mapping[str, float], *, trust_remote_code: bool = False) -> str:
    """Log the model to the server or folder that MLFLOW_TRACKING_URI names; the model's address there.

    Whoever serves it says with the parameter `prompt_name` whether the texts are queries or documents.

    Args:
        scores: Further metrics by their names, such as `DocsQA/recall@10`.

    Raises:
        MissingError: MLflow is not installed.
    """
    needs("mlflow", "mlflow")
    import mlflow
    from mlflow.models import infer_signature
    from sentence_transformers import SentenceTransformer

    about = found.about
    model = SentenceTransformer(
        str(found.folder), device="cpu", local_files_only=True, trust_remote_code=trust_remote_code
    )
    asked: dict[str, Any] = {"prompt_name": "document", "normalize_embeddings": True}
    signature = infer_signature(
        [_TEXT], model.encode([_TEXT], show_progress_bar=False, **asked), params=asked
    )
    with mlflow.start_run(run_name=found.name):
        mlflow.log_params(
            {"base": about["base"], "pairs_sha256": about["pairs"]["sha256"], **about["settings"]}
        )
        for point in about["losses"]:
            mlflow.log_metric("loss", point["loss"], step=point["step"])
        for one in about["evaluations"]:
            mlflow.log_metric("development/recall_at_10", one["recall"], step=one["step"])
            mlflow.log_metric("development/loss", one["loss"], step=one["step"])
        mlflow.log_metrics({name.replace("@", "_at_"): value for name, value in scores.items()})
        mlflow.log_dict(about, f"{found.name}.json")
        logged = mlflow.sentence_transformers.log_model(
            model,
            name="model",
            signature=signature,
            pip_requirements=[f"{package}=={version(package)}" for package in _PACKAGES],
        )
    return str(logged.model_uri)
