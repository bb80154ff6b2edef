"""Take figures/app.png, the picture of the page in the README: python figures/app.py

Needs pip install 'lowlight[app]' playwright scikit-image, and Chromium.
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

SIZE = {"width": 1100, "height": 800}
CLIP = {"x": 40, "y": 0, "width": 1020, "height": 680}      # without the empty margins
PORT = "7995"


def darken(photo, rng):
    """A uint8 photo taken with a twentieth of the light, with the noise of few photons."""
    light = (photo / 255) ** 2.2 / 20
    photons = rng.poisson(light * 6000) / 6000
    return np.round(255 * np.clip(photons, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def take_picture(page, photo, target):
    """Drop the file `photo` on the open page, move the handle, and write the picture."""
    page.locator("input[type=file]").set_input_files(photo)
    page.locator("a[download$='-bright.jpg']").wait_for(timeout=300_000)
    page.locator("img[data-testid=imageslider-image]").last.wait_for()
    page.wait_for_timeout(2000)                 # until the pictures are drawn
    box = page.locator("[data-testid=slider] .icon-wrap").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y, steps=5)
    page.mouse.up()
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    page.screenshot(path=target, clip=CLIP)
    levels = np.asarray(Image.open(target).convert("RGB"), np.float32)
    rounded = (5 * np.round(levels / 5)).astype(np.uint8)       # half as many bytes
    Image.fromarray(rounded).save(target, optimize=True)


with tempfile.TemporaryDirectory() as folder, sync_playwright() as program:
    photo = Path(folder, "night.jpg")
    Image.fromarray(darken(data.coffee(), np.random.default_rng(0))).save(photo, quality=95)
    server = subprocess.Popen([sys.executable, "-m", "lowlight.app", "--port", PORT],
                              stdout=subprocess.PIPE, text=True)
    try:
        server.stdout.readline()                # it tells its address once it is ready
        browser = program.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE)
        page.goto(f"http://127.0.0.1:{PORT}/")
        take_picture(page, photo, Path(__file__).with_suffix(".png"))
        browser.close()
    finally:
        server.terminate()
        server.wait()
