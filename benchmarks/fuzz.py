#!/usr/bin/env python3
"""Damaged photos, clips and weights: each must give a result or an error of ours.

    python benchmarks/fuzz.py [--seconds 600] [--seed 0] [--kinds jpg png ...] [--keep FOLDER]

A good file of each kind is damaged at random (bytes flipped, cut out, doubled, replaced by
numbers that break things; in .keras files the text inside) and goes through all that the
command does with it, in a child process that may take 2 GB more than it has after its
imports, and 20 seconds a file. A finding is a crash, a hang, more memory, an error of
another type, or one that does not name the file; its file goes to --keep.
"""
import argparse
import io
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

PHOTOS = ("jpg", "png", "webp", "tif", "heic")
KINDS = (*PHOTOS, "mp4", "onnx", "keras")
MEMORY, SECONDS = 2 * 2 ** 30, 20
NUMBERS = [value.to_bytes(size, order) for size in (1, 2, 4) for order in ("big", "little")
           for value in (0, 1, 0x7F, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)]


def make_seeds(folder):
    """{kind: bytes of a good small file}."""
    import av
    from PIL import Image
    from pillow_heif import register_heif_opener

    from lowlight import cnn, export_model
    register_heif_opener()
    photo = Image.fromarray(cnn.load_photo(cnn.sample_photos()[3])[80:200, 100:260])
    exif, seeds = Image.Exif(), {}
    exif[0x0112], exif[0x010E] = 6, "a cup"
    for kind in PHOTOS:
        path = folder / f"seed.{kind}"
        photo.save(path, exif=exif, **({"compression": "tiff_lzw"} if kind == "tif" else {}))
    with av.open(str(folder / "seed.mp4"), "w") as clip:
        stream = clip.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(6):
            clip.mux(stream.encode(av.VideoFrame.from_image(photo)))
        clip.mux(stream.encode())
    model = cnn.build_model((8, 8))
    model.save(folder / "seed.keras")
    export_model(model, folder / "seed.onnx")
    for kind in KINDS:
        seeds[kind] = (folder / f"seed.{kind}").read_bytes()
    return seeds


def damage(data, rng):
    """The bytes with one to eight faults, more often near the beginning."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        size = len(data) if rng.random() < 0.5 else min(len(data), 400)
        if not size:
            break
        place, length = rng.randrange(size), rng.choice((1, 2, 4, 16, 200))
        part, kind = data[place:place + length], rng.randrange(6)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place:place + length]
        elif kind == 2:
            data[place:place] = part * rng.choice((1, 50))
        elif kind == 3:
            number = rng.choice(NUMBERS)
            data[place:place + len(number)] = number
        elif kind == 4:
            data[place:place + length] = rng.randbytes(len(part))
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def damage_inside(data, rng):
    """A zip file one of whose members is damaged, with checksums that are right."""
    made, names = io.BytesIO(), None
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(made, "w") as target:
        names = source.namelist()
        broken = rng.choice(names)
        for name in names:
            content = source.read(name)
            target.writestr(name, damage(content, rng) if name == broken else content)
    return made.getvalue()


def work():
    """The child: reads paths, puts each through the tool, answers a line for each."""
    kinds = sys.stdin.readline().split()
    import lowlight
    from lowlight import clips, files
    from lowlight.network import Network
    network = Network(lambda photo, thumbnail, window: photo, 1, 0)      # costs nothing
    if {"onnx", "keras"} & set(kinds):
        lowlight.load()
    if "keras" in kinds:
        from lowlight import cnn
        lowlight.load(Path(kinds[-1]))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        path = Path(line.strip())
        target = path.with_name("bright" + (".mp4" if path.suffix == ".mp4" else ".png"))
        try:
            if path.suffix in (".onnx", ".keras"):
                loaded = lowlight.load(path)
                lowlight.enhance(loaded, np.zeros((24, 32, 3), np.uint8))
            elif path.suffix == ".mp4":
                clips.enhance_clip(network, path, target)
            else:
                depth = 16 if path.name[0] < "c" else 8
                files.enhance_photo(network, path, target, files.Settings(depth=depth))
            answer = "result"
        except (ValueError, OSError) as error:
            named = str(path) in str(error) or str(target) in str(error)
            answer = "refused" if named else f"no name: {type(error).__name__}: {error}"
        except BaseException as error:
            answer = f"other error: {type(error).__name__}: {error}"
        print(answer.replace("\n", " ")[:300], flush=True)


class Child:
    """A child process and the answers that it gives."""

    def __init__(self, kind, seed):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child"], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1)
        if self.ask(f"{kind} {seed}", 120) != "ready":
            raise RuntimeError(f"the child for {kind} does not start")

    def ask(self, line, seconds=SECONDS):
        """The child's answer to a line; None after a crash, "hang" where none comes."""
        try:
            self.process.stdin.write(line + "\n")
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                return "hang"
            return self.process.stdout.readline().strip() or None
        except BrokenPipeError:
            return None

    def stop(self):
        self.process.kill()
        return self.process.wait()


def fuzz(kind, seed, folder, rng, seconds, keep):
    """Counter of the outcomes of one kind; findings are printed and kept."""
    good = folder / f"seed.{kind}"
    child, outcomes, end = Child(kind, good), Counter(), time.monotonic() + seconds
    while time.monotonic() < end:
        inside = kind == "keras" and rng.random() < 0.7
        path = folder / f"{rng.choice('ad')}{outcomes.total()}.{kind}"
        path.write_bytes((damage_inside if inside else damage)(seed, rng))
        answer = child.ask(str(path))
        outcome = answer if answer in ("result", "refused", "hang") else "finding"
        if answer is None or answer == "hang":
            answer = answer or f"crash: exit status {child.stop()}"
            child.stop()
            child, outcome = Child(kind, good), answer.split(":")[0]
        if outcome not in ("result", "refused"):
            print(f"{path.name}: {answer}", flush=True)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / path.name).write_bytes(path.read_bytes())
        outcomes[outcome] += 1
        path.unlink(missing_ok=True)
    child.stop()
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        seeds, total = make_seeds(Path(folder)), Counter()
        for kind in options.kinds:
            outcomes = fuzz(kind, seeds[kind], Path(folder), rng,
                            options.seconds / len(options.kinds), options.keep)
            total += outcomes
            print(f"{kind}: {outcomes.total()} files: {dict(outcomes)}", flush=True)
    print(f"all: {total.total()} files: {dict(total)}")
    return int(bool(total.keys() - {"result", "refused"}))


if __name__ == "__main__":
    sys.exit(work() if "--child" in sys.argv else main())
