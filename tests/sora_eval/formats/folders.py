"""Folders of clips in every layout that is read, each with two prompts and five seeds, or five clips, of each."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from sora_eval.records.clip import Clip
from sora_eval.video.codec import write_clip

PROMPTS = ("a red ball, falling", "a dog runs")
SEEDS = range(5)
BOTH = [(i, seed) for i in range(len(PROMPTS)) for seed in SEEDS]


def frames(i: int, seed: int) -> npt.NDArray[np.uint8]:
    """Frames (4, 16, 18, 3) of a clip that no other one has."""
    return np.random.default_rng([i, seed]).integers(0, 256, (4, 16, 18, 3), dtype=np.uint8)


def video(path: Path, i: int, seed: int) -> str:
    """Write a clip, with its folders; returns the name of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(Clip(frames(i, seed), 8.0), path)
    return path.name


def table(path: Path, *rows: dict[str, object]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def manifest(root: Path) -> None:
    rows = [
        {"path": video(root / f"{i}_{s}.mkv", i, s), "prompt": PROMPTS[i], "prompt_id": f"p{i}", "seed": s} for i, s in BOTH
    ]
    table(root / "manifest.csv", *rows)


def vbench(root: Path) -> None:
    for i, s in BOTH:
        video(root / ("spatial_relationship", "human_action")[i] / f"{PROMPTS[i]}-{s}.mkv", i, s)


def prompts(root: Path) -> None:
    for i, s in BOTH:
        video(root / f"{i:04d}-{s}.mkv", i, s)
    (root / "prompts.txt").write_bytes("\ufeff".encode() + "\r\n".join([*PROMPTS, ""]).encode())


def prompts_in_turn(root: Path) -> None:
    for number, (i, s) in enumerate(BOTH):
        video(root / "videos" / f"{number:04d}.mkv", i, s)
    (root / "prompts.txt").write_text("".join(PROMPTS[i] + "\n" for i, _ in BOTH))


def videofolder(root: Path) -> None:
    rows = [{"file_name": f"train/{video(root / 'train' / f'{i}{s}.mkv', i, s)}", "text": PROMPTS[i]} for i, s in BOTH]
    pq.write_table(pa.Table.from_pylist(rows), root / "metadata.parquet")


def webdataset(root: Path) -> None:
    for number, (i, s) in enumerate(BOTH):
        file = root / "00000" / f"{number:09d}.mkv"
        video(file, i, s)
        file.with_suffix(".txt").write_text(PROMPTS[i] + "\r\n")
        file.with_suffix(".json").write_text(json.dumps({"key": number, "caption": PROMPTS[i], "seed": s}))


def openvid(root: Path) -> None:
    rows = [{"video": video(root / "video" / f"x{i}{s}.mkv", i, s), "caption": PROMPTS[i], "fps": 8} for i, s in BOTH]
    table(root / "OpenVid-1M.csv", *rows, {"video": "elsewhere.mp4", "caption": "not here", "fps": 8})


def webvid(root: Path) -> None:
    for i, s in BOTH:
        video(root / "000001_000050" / f"10{i}{s}.mkv", i, s)
    columns = {"contentUrl": "https://x", "duration": "PT00H00M04S", "page_dir": "000001_000050"}
    table(root / "results_2M_val.csv", *({"videoid": f"10{i}{s}", **columns, "name": PROMPTS[i]} for i, s in BOTH))


def vidprom(root: Path) -> None:
    for i, s in BOTH:
        video(root / "example" / f"pika-0002-{i}-{s}.mkv", i, s)
    table(root / "VidProM_example.csv", *({"uuid": f"0002-{i}-{s}", "prompt": PROMPTS[i], "time": "now"} for i, s in BOTH))


def panda(root: Path) -> None:
    for i, s in BOTH:
        video(root / f"--v{i}_{s}.mkv", i, s)
    times = str([["0:00:01", "0:00:02"]] * len(SEEDS))
    rows = [
        {"videoID": f"--v{i}", "url": "u", "timestamp": times, "caption": str([p] * len(SEEDS))} for i, p in enumerate(PROMPTS)
    ]
    table(root / "panda70m_testing.csv", *rows)


def physics_iq(root: Path) -> None:
    names = ["0001_perspective-left_trimmed-ball-fall", "0004_perspective-center_trimmed-dog-run"]
    for i, s in BOTH:
        video(root / f"seed_{s}" / f"{names[i]}.mkv", i, s)
    rows = [
        {"scenario": f"take {n}", "description": p, "generated_video_name": f"{n}.mp4"}
        for n, p in zip(names, PROMPTS, strict=True)
    ]
    table(root / "descriptions.csv", *rows)


def steps(root: Path) -> None:
    for step in (500, 1000):
        for i, s in BOTH:
            video(root / f"step_{step}" / f"{PROMPTS[i]}-{s}.mkv", i, s)


def plain(root: Path) -> None:
    for i, s in BOTH:
        video(root / f"{('ball', 'dog')[i]}_seed{s}.mkv", i, s)


def frame_folders(root: Path) -> None:
    for i, s in BOTH:
        folder = root / f"{PROMPTS[i]}-{s}"
        folder.mkdir(parents=True)
        for number, frame in enumerate(frames(i, s)):
            Image.fromarray(frame).save(folder / f"frame_{number + 1:03d}.png")


def gif(root: Path) -> None:
    for i, s in BOTH:
        _animated(root / f"{PROMPTS[i]}-{s}.gif", i, s)


def webp(root: Path) -> None:
    for i, s in BOTH:
        _animated(root / f"{PROMPTS[i]}-{s}.webp", i, s, lossless=True)


def _animated(path: Path, i: int, seed: int, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = map(Image.fromarray, frames(i, seed))
    first.save(path, save_all=True, append_images=rest, duration=125, loop=0, **options)


def npy(root: Path) -> None:
    root.mkdir(parents=True)
    for i, s in BOTH:
        np.save(root / f"{PROMPTS[i]}-{s}.npy", frames(i, s).transpose(3, 0, 1, 2).astype(np.float32) / 255)


def npz(root: Path) -> None:
    root.mkdir(parents=True)
    for i, s in BOTH:
        np.savez(root / f"{PROMPTS[i]}-{s}.npz", video=frames(i, s), fps=8)


def pt(root: Path) -> None:
    root.mkdir(parents=True)
    for i, s in BOTH:
        torch.save(torch.from_numpy(frames(i, s)).permute(0, 3, 1, 2)[None], root / f"{PROMPTS[i]}-{s}.pt")


Maker = Callable[[Path], None]
LAYOUTS: dict[str, tuple[Maker, str, str]] = {
    "manifest": (manifest, "manifest", ""),
    "vbench": (vbench, "vbench", ""),
    "prompts": (prompts, "prompts", ""),
    "prompts-in-turn": (prompts_in_turn, "prompts", ""),
    "videofolder": (videofolder, "videofolder", ""),
    "webdataset": (webdataset, "webdataset", ""),
    "openvid": (openvid, "openvid", ""),
    "webvid": (webvid, "webvid", ""),
    "vidprom": (vidprom, "vidprom", ""),
    "panda": (panda, "panda", ""),
    "physics-iq": (physics_iq, "physics-iq", ""),
    "steps": (steps, "vbench", "?step=1000"),
    "plain": (plain, "plain", ""),
    "frames": (frame_folders, "vbench", ""),
    "gif": (gif, "vbench", ""),
    "webp": (webp, "vbench", ""),
    "npy": (npy, "vbench", ""),
    "npz": (npz, "vbench", ""),
    "pt": (pt, "vbench", ""),
}
"""By name: what makes the folder, the layout that is found in it, and the options that a spec needs."""
