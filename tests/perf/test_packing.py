"""What preparing a data set costs: processor time an image, and memory. Figures on standard output (`-s`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.inputs import natural_image
from tests.rigs.bench import ROOT

pytestmark = pytest.mark.perf

COUNT = 1000

PACK = """
import json, resource, sys, time
from pathlib import Path
from models.datasets import open_dataset
from models.datasets.packed import pack
from models.preprocessing import Preprocessing
how = Preprocessing(resize=256, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3)
dataset = open_dataset(sys.argv[1])
begun = time.process_time()
packed = pack(dataset, how, Path(sys.argv[2]))
cost = (time.process_time() - begun) / packed.samples
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"images": packed.samples, "cpu_ms": 1000 * cost, "peak_mib": peak}))
"""


def photographs(folder: Path, count: int, side: int, **options: object) -> None:
    pixels = (natural_image((1, 3, side, side), 0)[0].transpose(1, 2, 0) * 48 + 128).clip(0, 255).astype(np.uint8)
    for index in range(count):
        path = folder / f"class{index % 10}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(pixels, index, axis=1)).save(path, quality=90, **options)


def found(expression: Path, tmp_path: Path) -> dict[str, float]:
    command = [sys.executable, "-c", PACK, str(expression), str(tmp_path / "packed")]
    said: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    print(f"\n{expression.name}: {said}")
    return said


def test_a_folder_and_parquet(tmp_path: Path) -> None:
    photographs(tmp_path / "folder", COUNT, 430)
    files = sorted((tmp_path / "folder").rglob("*.jpg"))
    columns = {"image": [file.read_bytes() for file in files], "label": [int(file.parent.name[5:]) for file in files]}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet", row_group_size=100)
    for expression in ("folder", "d.parquet"):
        assert found(tmp_path / expression, tmp_path)["peak_mib"] < 500


def test_photographs_of_36_million_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photographs(tmp_path / "large", 6, 6000, exif=exif)
    assert found(tmp_path / "large", tmp_path)["peak_mib"] < 500
