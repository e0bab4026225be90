"""The only door to MTEB: our tasks and models there, theirs here.

    ours there     mteb_task, mteb_task_class, mteb_model, mteb_pipeline; register() for their names
    theirs here    task_from_mteb, model_from_mteb; has_task, has_model

Importing this imports MTEB, which takes seconds; nothing else of DIBS does.
"""

from dibs.mteb.models import PipelineModel, mteb_model, mteb_pipeline
from dibs.mteb.register import register
from dibs.mteb.tasks import DibsTask, mteb_task, mteb_task_class
from dibs.mteb.their_models import has_model, model_from_mteb
from dibs.mteb.their_tasks import TaskFromMteb, WithoutOwnIds, has_task, task_from_mteb

__all__ = [
    "DibsTask",
    "PipelineModel",
    "TaskFromMteb",
    "WithoutOwnIds",
    "has_model",
    "has_task",
    "model_from_mteb",
    "mteb_model",
    "mteb_pipeline",
    "mteb_task",
    "mteb_task_class",
    "register",
    "task_from_mteb",
]
