"""The page: `lowlight-app` serves it on this machine, to drop photos on.

As the app.py of a Hugging Face Space (SDK Gradio), two lines: `from lowlight.app import
serve` and `serve()`, beside the folder lowlight/ and a requirements.txt with onnxruntime,
numpy, pillow, pyvips[binary] and tqdm; tried with a Space's environment variables only.
The page loads nothing from elsewhere and reports to nobody.
"""
import argparse
import functools
import os
import shutil
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lowlight import files, network
from lowlight.cli import MADE, place, result_suffix, stop_as_by_ctrl_c

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"        # read when Gradio is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
try:
    import gradio as gr
except ImportError as error:
    raise SystemExit(f"error: the page needs Gradio ({error}): "
                     "pip install 'lowlight[app]'") from None

PREVIEW = 1600              # pixels of the longer side under the handle
LARGEST_UPLOAD = "1gb"
KEPT = 2 * 3600             # seconds until uploads and results are deleted
CLEAN_UP = 600              # seconds between two looks for files to delete
PEOPLE = 20                 # who may wait at once; the others queue
ONE_AT_A_TIME = threading.Lock()        # so memory is that of one photo
INTRODUCTION = f"""# lowlight
Brightens dark photos of any size. The photos go to the machine that serves this page, to
no other, and are deleted there after {KEPT // 3600} hours."""


class Brightened(NamedTuple):
    """The files of one result, in a folder of their own."""
    path: Path              # full size, to download
    before: Path            # previews
    after: Path
    note: str               # what the owner should know


# One photo

def result_name(path):
    """NAME-bright.EXT, in the format that the command would choose."""
    return f"{path.stem}{MADE}{result_suffix(path)}"


def write_preview(path, target):
    """A small JPEG of the photo file `path`, in the photo's own colour space."""
    image = Image.fromarray(files.load_photo(path))
    image.thumbnail((PREVIEW, PREVIEW))
    image.save(target, quality=90, icc_profile=files.load_tags(path).icc_profile)
    return target


def watched(loaded, report):
    """The Network; after each tile `report` gets the share of the photo that is done."""
    done = 0.0

    def run(pixels, thumbnail, window):
        nonlocal done
        output = loaded.run(pixels, thumbnail, window)
        top, _, bottom, right = window[0]       # tiles come row by row, left to right
        share = top + (bottom - top) * right
        done = max(done, float(np.clip(share, 0, 1)))       # neighbours overlap
        report(done)
        return output
    return replace(loaded, run=run)


def enhance(loaded, path, target, brightness, strength):
    """Enhance the photo file `path` into `target`, as the command does: a Result."""
    settings = files.Settings(brightness=brightness, strength=strength)
    return files.enhance_photo(loaded, path, target, settings)


def without_folders(message, *paths):
    """A message that calls the files `paths` by their names alone."""
    for path in paths:
        message = message.replace(f"{path.parent}{os.sep}", "")
    return message


def brighten_photo(loaded, path, brightness, strength, folder):
    """Brighten the photo file `path` into a new folder in `folder`: a Brightened.

    Raises ValueError or OSError, naming file and remedy, and leaves no folder then.
    """
    if not path.exists():
        raise ValueError(f"{path}: deleted since it was dropped; drop it again")
    if files.is_clip(path):
        raise ValueError(f"{path}: a clip; brighten it with the command `lowlight`")
    folder = Path(tempfile.mkdtemp(dir=folder))
    try:
        before = write_preview(path, folder / "before.jpg")
        target = folder / result_name(path)
        result = enhance(loaded, path, target, brightness, strength)
        after = write_preview(target, folder / "after.jpg")
    except BaseException:
        shutil.rmtree(folder)
        raise
    return Brightened(target, before, after, without_folders(result.note, target, path))


def brighten(loaded, paths, brightness, strength, folder, progress):
    """Brighten photo files; after each yields (list of Brightened, list of messages).

    `progress(share, desc=text)` is told of each tile.
    """
    results, messages = [], []
    for number, path in enumerate(paths, 1):
        name = f"{path.name} ({number} of {len(paths)})"
        report = functools.partial(progress, desc=name)
        progress(0, desc=f"{name}, waiting for another photo")
        try:
            with ONE_AT_A_TIME:
                report(0)
                results.append(brighten_photo(watched(loaded, report), path, brightness,
                                              strength, folder))
            messages += [results[-1].note] if results[-1].note else []
        except (ValueError, OSError) as error:
            messages.append(without_folders(str(error), path))
        except Exception as error:              # costs no other photo; such as no memory
            messages.append(f"{path.name}: failed ({files.describe(error)})")
        yield results, messages


def delete_results(results):
    """Delete the files of a list of Brightened."""
    for result in results:
        shutil.rmtree(result.path.parent, ignore_errors=True)


# The page

def shown(results, messages):
    """What the page shows of a list of Brightened, the last one under the handle."""
    names = [(result.path.name, number) for number, result in enumerate(results)]
    return (previews(results, -1) if results else None,
            gr.Radio(names, value=len(names) - 1, visible=len(names) > 1),
            gr.File([str(result.path) for result in results], visible=bool(results)),
            gr.Textbox("\n".join(messages), visible=bool(messages)),
            results)


def previews(results, number):
    """The two pictures under the handle."""
    return str(results[number].before), str(results[number].after)


def build(weights=None):
    """The page, as gradio.Blocks; `weights` as in `lowlight.load`."""
    loaded = network.load(weights)

    def on_brighten(paths, automatic, brightness, strength, earlier,
                    progress=gr.Progress()):
        delete_results(earlier)
        yield shown([], [])
        for results, messages in brighten(
                loaded, [Path(path) for path in paths or []],
                None if automatic else brightness, strength, page.GRADIO_CACHE, progress):
            yield shown(results, messages)

    with gr.Blocks(title="lowlight", analytics_enabled=False,
                   delete_cache=(CLEAN_UP, KEPT)) as page:
        results = gr.State([], time_to_live=KEPT, delete_callback=delete_results)
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1):
                photos = gr.File(label="Dark photos", file_count="multiple", height=180)
                automatic = gr.Checkbox(True, label="Automatic brightness")
                brightness = gr.Slider(0.05, 0.95, 0.4, step=0.01, interactive=False,
                                       label="Brightness", info="mean of the result")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength",
                                     info="0: the photo as it was")
                button = gr.Button("Brighten again", variant="primary")
            with gr.Column(scale=2):
                slider = gr.ImageSlider(label="Before and after", interactive=False,
                                        buttons=["fullscreen"])
                choice = gr.Radio(label="Photo", visible=False)
                downloads = gr.File(label="Download at full size", interactive=False,
                                    file_count="multiple", height=300, visible=False)
                notes = gr.Textbox(label="Messages", visible=False)
        automatic.change(lambda chosen: gr.Slider(interactive=not chosen), automatic,
                         brightness, api_visibility="private")
        choice.input(previews, [results, choice], slider, api_visibility="private")
        gr.on([photos.upload, photos.clear, button.click], on_brighten,
              [photos, automatic, brightness, strength, results],
              [slider, choice, downloads, notes, results], show_progress_on=slider,
              trigger_mode="always_last", api_visibility="private")
    return page.queue(default_concurrency_limit=PEOPLE)


def serve(weights=None, **where):
    """Serve the page until Ctrl-C; `where`: `server_name`, `server_port` of Gradio.

    Without them GRADIO_SERVER_NAME and GRADIO_SERVER_PORT decide, as in a Space, and
    then 127.0.0.1 and the first free port from 7860 on.
    """
    with tempfile.TemporaryDirectory(prefix="lowlight-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder          # uploads and results
        page = build(weights)
        _, address, _ = page.launch(
            share=False, quiet=True, prevent_thread_lock=True, show_error=True,
            footer_links=[], run_history=False, enable_monitoring=False, pwa=False,
            mcp_server=False, ssr_mode=False, max_file_size=LARGEST_UPLOAD,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"],
                                    font_mono=["monospace"]), **where)
        print(f"lowlight: {address} (Ctrl-C ends it)", flush=True)
        page.block_thread()


def main(arguments=None):
    """Serve the page to this machine alone; returns the exit status."""
    parser = argparse.ArgumentParser(
        "lowlight-app", description="A page on this machine to drop dark photos on.")
    parser.add_argument("--port", metavar="N", type=int,
                        help="of the page's address (default: the first free one of "
                        "7860 to 7959)")
    parser.add_argument("--weights", metavar="FILE", type=place, help=".onnx, or .keras as "
                        "CNN.ipynb writes it (default: the released weights)")
    options = parser.parse_args(arguments)
    stop_as_by_ctrl_c()
    if options.port is not None and not 0 < options.port < 65536:
        parser.error(f"--port {options.port}: must lie between 1 and 65535")
    try:
        serve(options.weights, server_name="127.0.0.1", server_port=options.port)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print("error: the port is taken, or there is no room for uploads; choose another "
              f"with --port, or make room ({error})", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
