"""The notebook in JupyterLab, run and used in a real browser, and as a static page.

It learns from good photos alone. Set SCREENSHOTS to a folder to keep pictures of what the
browser shows.
"""
import contextlib
import csv
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from conftest import CHROMIUM, NOTEBOOK, ROOT, write_photo

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
if not CHROMIUM:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

SMOKE = {"CLEAN": "mine", "EPOCHS": 3, "STEPS_PER_EPOCH": 1, "CROP": 32, "WIDTHS": (8,)}
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
TRAINING = "slow_down, PATIENCE_STOP"       # what only the cell that trains holds
FIGURES = 11                                # pictures that the whole run shows
PATIENCE = 300                              # seconds without any progress


def smoke_notebook(folder, parameters):
    """The notebook without outputs and with these parameters, in `folder`."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            if "parameters" in cell["metadata"].get("tags", []):
                source = "".join(cell["source"])
                for name, value in parameters.items():
                    source, found = re.subn(rf"^{name} = \S.*?(?=\s+#|$)",
                                            f"{name} = {value!r}", source, flags=re.M)
                    assert found == 1, name
                cell["source"] = source
    (folder / NOTEBOOK.name).write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def lab(folder, tmp_path_factory):
    """The address of CNN.ipynb in a JupyterLab of its own on loopback."""
    smoke_notebook(folder, SMOKE)
    rng = np.random.default_rng(0)
    for number in range(40):
        write_photo(folder / f"mine/{number}.png",
                    rng.integers(0, 255, (72, 96, 3)).astype(np.uint8))
    settings = tmp_path_factory.mktemp("settings")
    for name, content in {"notebook-extension/tracker": {"windowingMode": "none"},
                          "apputils-extension/notification": {"fetchNews": "false"}}.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = os.environ | {"KAGGLE_CONFIG_DIR": str(settings),     # downloads nothing
                                "PYTHONPATH": str(ROOT)}                # has the camera
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
         "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
         f"--IdentityProvider.token={token}", f"--LabApp.user_settings_dir={settings}",
         f"--LabApp.workspaces_dir={settings}",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert server.poll() is None
        time.sleep(0.5)
    yield f"http://127.0.0.1:{port}/lab/tree/CNN.ipynb?token={token}"
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:           # a busy machine
        server.kill()
        server.wait()


def screenshot(page, name):
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["SCREENSHOTS"], f"{name}.png"))


def slide(page, area):
    """Drag the slider in `area` to a quarter; the clip before and after."""
    handle = area.locator("input[type=range]")
    handle.scroll_into_view_if_needed()
    before = area.locator("img[alt=before]")
    clips = [before.evaluate("image => image.style.clipPath")]
    pictures = [area.locator("img[alt=after]").screenshot()]
    handle.scroll_into_view_if_needed()         # a tall photo has pushed it away
    box = handle.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    clips.append(before.evaluate("image => image.style.clipPath"))
    pictures.append(area.locator("img[alt=after]").screenshot())
    assert clips[0] != clips[1] and pictures[0] != pictures[1]
    return clips


def test_the_static_page(browser, tmp_path):
    """What nbconvert makes of the committed notebook: fits both screens, and slides.

    Before JupyterLab is opened: beside its page, this one came to a standstill.
    """
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html",
                    "--output-dir", tmp_path, NOTEBOOK], check=True, capture_output=True)
    for width, size in {"desktop": DESKTOP, "phone": PHONE}.items():
        page = browser.new_page(viewport=size)
        page.route(re.compile("^https?:"), lambda route: route.abort())
        page.goto((tmp_path / "CNN.html").as_uri())
        images = page.locator("img")
        assert images.evaluate_all("images => images.every(image => image.naturalWidth > 99)")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels to the side"
        slide(page, page.locator("main"))
        for number in range(images.count()) if os.environ.get("SCREENSHOTS") else ():
            images.nth(number).scroll_into_view_if_needed()
            screenshot(page, f"page-{width}-{number}")
        page.close()


def answer(dialog):
    """Press the button that a dialog suggests, and print what it was about."""
    with contextlib.suppress(playwright.Error):         # it may be gone by now
        print(dialog.inner_text(timeout=10_000))
        dialog.locator(".jp-mod-accept").click(timeout=10_000)


def has_kernel(sessions):
    """Whether a page is connected to a kernel that waits; `sessions`: address of the list."""
    with urllib.request.urlopen(sessions, timeout=PATIENCE) as answered:
        kernels = [session["kernel"] for session in json.load(answered)]
    return any(kernel["connections"] and kernel["execution_state"] == "idle"
               for kernel in kernels)


@pytest.fixture(scope="module")
def page(browser, lab):
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(1000 * PATIENCE)
    # Where the machine is busy, JupyterLab may ask about its kernel or its server.
    page.add_locator_handler(page.locator(".jp-Dialog").last, answer, no_wait_after=True)
    page.goto(lab)
    page.locator(".jp-Notebook .jp-CodeCell").nth(20).wait_for()
    sessions, since = lab.replace("/lab/tree/CNN.ipynb", "/api/sessions"), time.monotonic()
    while not has_kernel(sessions):             # the page says idle before it has one
        assert time.monotonic() - since < PATIENCE
        if page.locator(".jp-Dialog").count():
            answer(page.locator(".jp-Dialog").last)
        page.wait_for_timeout(500)
    yield page
    page.close()


def test_run_all_in_jupyterlab(page, folder):
    """Run All ends without an error, and the figure of the training changes in place. The
    settings are not those of the embedded set, and no photo of it is shown."""
    screenshot(page, "lab-opened")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    training = cells.filter(has_text=TRAINING).first
    last, seen, most = cells.last.locator(".jp-InputArea-prompt"), set(), 0
    for _ in range(3):          # a click may be lost where the machine is busy
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(AssertionError):
            playwright.expect(last.first).to_have_text(re.compile(r"\[(\*|\d+)\]"),
                                                       timeout=20_000)
            break
    state, since = None, time.monotonic()
    while not re.search(r"\[\d+\]", last.first.inner_text()):
        now = cells.locator(".jp-InputArea-prompt").all_inner_texts(), seen
        if now != state:
            state, since = now, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            screenshot(page, "lab-stuck")
            pytest.fail("the run does not end: " + cells.last.inner_text())
        assert page.locator(".jp-RenderedText[data-mime-type*=stderr]").count() == 0
        sources = training.locator(".jp-OutputArea img").evaluate_all(
            "images => images.map(image => image.src.slice(-60))")     # JPEGs end unlike
        most, seen = max(most, len(sources)), seen | set(sources)
        page.wait_for_timeout(500)
    assert most == 1 and len(seen) >= 2, (most, len(seen))
    outputs = page.locator(".jp-Notebook .jp-OutputArea-output")
    assert not outputs.filter(has_text="Traceback").count()
    assert outputs.filter(has_text="0 pairs of 0 scenes in mine/").count()
    with open(folder / "runs/mine/metrics.csv") as file:
        assert {row["set"] for row in csv.DictReader(file)} == {"photos darkened"}
    assert page.locator(".jp-Notebook .jp-RenderedImage img").count() == FIGURES
    for kind, least in ((".jp-RenderedImage", 99), (".jp-RenderedHTML", 71)):
        assert page.locator(f".jp-Notebook {kind} img").evaluate_all(     # figures; photos
            "(images, least) => images.every(image => image.complete"
            " && image.naturalWidth > least)", least)
    training.locator("img").scroll_into_view_if_needed()
    screenshot(page, "lab-training")
    page.keyboard.press("Control+s")


def test_the_slider_moves_the_picture(page):
    output = page.locator(".jp-RenderedHTML").filter(has=page.locator("input[type=range]"))
    assert slide(page, output) == ["inset(0px 50% 0px 0px)", output.locator(
        "img[alt=before]").evaluate("image => image.style.clipPath")]
    screenshot(page, "lab-slider")
