"""The page to drop photos on, served by a process of its own and used in a real browser.

No test waits for a time: each waits as long as the page shows progress.
"""
import base64
import contextlib
import re
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import CHROMIUM, huge_png
from lowlight import cli, files, photo as photos

if not find_spec("gradio"):     # which takes long to import, and is not needed here
    pytest.skip("needs pip install 'lowlight[app]'", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
if not CHROMIUM:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

PATIENCE = 300              # seconds without any progress
# The command, which also prints every other machine whose address it looks up or calls.
SERVER = """
import sys
def watch(event, arguments):
    host = {"socket.getaddrinfo": lambda: arguments[0],
            "socket.connect": lambda: arguments[1][0]}.get(event, lambda: None)()
    if host not in (None, "127.0.0.1", "localhost", "0.0.0.0", "::1"):
        print("CALLS", host, flush=True)
sys.addaudithook(watch)
from lowlight.app import main
sys.exit(main(sys.argv[1:]))
"""
DROP = """(zone, [name, content]) => {
    const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name));
    for (const kind of ["dragenter", "dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true,
                                                cancelable: true}));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(address, file of what it prints) of a page served by a process of its own."""
    folder = tmp_path_factory.mktemp("server")
    log = folder / "log.txt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(log, "w") as printed:
        process = subprocess.Popen([sys.executable, "-c", SERVER, "--port", str(port)],
                                   cwd=folder, stdout=printed, stderr=subprocess.STDOUT)
    try:
        while "Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/", log
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:       # a busy machine
            process.kill()
            process.wait()


@pytest.fixture
def open_page(browser, server):
    """open_page() -> a page of another person; nothing but the server can be reached."""
    contexts, elsewhere = [], []

    def route(request):
        if re.match(r"http://127\.0\.0\.1:|data:|blob:", request.request.url):
            request.continue_()
        else:
            elsewhere.append(request.request.url)
            request.abort()

    def call():
        contexts.append(browser.new_context(viewport={"width": 1100, "height": 820}))
        contexts[-1].route("**/*", route)
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(server[0])
        page.get_by_text("Drop File Here").wait_for()
        return page
    yield call
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert "CALLS" not in server[1].read_text()


@pytest.fixture
def dark(rng, tmp_path):
    """dark(name, size, level) -> path of a dark JPEG with EXIF and a colour profile."""
    def write(name, size=(300, 400), level=50):
        exif = Image.Exif()
        exif[0x010E] = "a night"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        ramp = np.linspace(0, level, size[0] * size[1] * 3).reshape(*size, 3)
        noise = rng.integers(0, 6, ramp.shape)
        Image.fromarray((ramp + noise).astype(np.uint8)).save(
            tmp_path / name, exif=exif, icc_profile=profile)
        return tmp_path / name
    return write


def drop(page, path):
    """Drop the file `path` on the page with the mouse's events."""
    zone = page.locator("button", has_text="Drop File Here")
    zone.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def wait_for(page, locator):
    """Wait until `locator` is seen, as long as the shares of progress change."""
    seen, since = None, time.monotonic()
    while not locator.first.is_visible():
        shares = re.findall(r"\S+ - \d+\.\d%", page.locator("body").inner_text())
        if shares != seen:
            seen, since = shares, time.monotonic()
        assert time.monotonic() - since < PATIENCE, page.locator("body").inner_text()
        page.wait_for_timeout(250)


def result_link(page, name):
    return page.locator(f"a[download='{name}']")


def download(page, name, target):
    """Wait for the result of this name and download it to `target`."""
    wait_for(page, result_link(page, name))
    for _ in range(10):             # a click is lost on a link that is drawn anew
        with contextlib.suppress(playwright.TimeoutError):
            with page.expect_download(timeout=30_000) as waiting:
                result_link(page, name).first.click()
            break
    assert waiting.value.suggested_filename == name
    waiting.value.save_as(target)
    return target


def pictures(page):
    """The two pictures under the handle, once both are drawn."""
    images = page.locator("img[data-testid=imageslider-image]")
    page.wait_for_function("""() => {
        const images = [...document.querySelectorAll("img[data-testid=imageslider-image]")];
        return images.length == 2 && images.every(image => image.complete
                                                  && image.naturalWidth > 0);
    }""")
    return images


def test_drop_compare_and_download(open_page, dark, tmp_path):
    page, path = open_page(), dark("night over Köln (1).jpg")
    drop(page, path)
    saved = download(page, "night over Köln (1)-bright.jpg", tmp_path / "saved.jpg")

    assert cli.main([str(path), "--out", str(tmp_path / "command")]) == 0
    written = tmp_path / "command" / path.name
    with Image.open(saved) as ours, Image.open(written) as theirs:
        assert ours.size == theirs.size == (400, 300)
    assert files.load_tags(saved) == files.load_tags(written)
    assert files.load_tags(saved).exif and files.load_tags(saved).icc_profile
    difference = np.abs(np.int16(files.load_photo(saved)) - files.load_photo(written))
    assert difference.mean() < 0.1

    after = pictures(page).last
    clip, seen = after.evaluate("image => image.style.clipPath"), after.screenshot()
    handle = page.locator("[data-testid=slider] .icon-wrap")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 150, y, steps=5)
    page.mouse.up()
    assert after.evaluate("image => image.style.clipPath") != clip
    assert after.screenshot() != seen


def test_brightness_and_strength(open_page, dark, tmp_path):
    page = open_page()
    drop(page, dark("night.jpg"))
    download(page, "night-bright.jpg", tmp_path / "first.jpg")
    link = result_link(page, "night-bright.jpg").get_attribute("href")
    number = page.get_by_label("number input for Brightness")
    assert number.is_disabled()
    page.get_by_label("Automatic brightness").uncheck()
    playwright.expect(number).to_be_enabled(timeout=1000 * PATIENCE)
    number.fill("0.6")
    number.press("Tab")
    page.get_by_label("number input for Strength").fill("0.5")
    page.get_by_role("button", name="Brighten again").click()
    page.wait_for_function("""link => {
        const now = document.querySelector("a[download='night-bright.jpg']");
        return now && now.getAttribute("href") != link;
    }""", arg=link)
    saved = download(page, "night-bright.jpg", tmp_path / "second.jpg")
    assert abs(photos.mean_luma(files.load_photo(saved)) - 0.6) < 0.02


def test_several_photos_and_bad_files(open_page, dark, tmp_path):
    page = open_page()
    (tmp_path / "broken.jpg").write_text("no photo")
    (tmp_path / "huge.png").write_bytes(huge_png())
    paths = [dark("a.jpg"), tmp_path / "broken.jpg", tmp_path / "huge.png",
             dark("b.jpg", (200, 120))]
    page.locator("input[type=file]").first.set_input_files(paths)
    for name, size in (("a-bright.jpg", (400, 300)), ("b-bright.jpg", (120, 200))):
        with Image.open(download(page, name, tmp_path / name)) as image:
            assert image.size == size
    message = page.get_by_label("Messages").input_value()
    assert "broken.jpg: not a readable photo" in message and "huge.png: refused" in message
    assert "/" not in message

    last = pictures(page).last.get_attribute("src")
    page.get_by_role("radio", name="a-bright.jpg").check()
    page.wait_for_function("""last => document.querySelectorAll(
        "img[data-testid=imageslider-image]")[1].getAttribute("src") != last""", arg=last)


def test_two_people_at_once(open_page, dark, tmp_path):
    people = {open_page(): dark("one.jpg", (300, 400)),
              open_page(): dark("two.jpg", (500, 200))}
    for page, path in people.items():
        drop(page, path)
    for page, path in people.items():
        saved = download(page, f"{path.stem}-bright.jpg", tmp_path / "saved.jpg")
        with Image.open(saved) as ours, Image.open(path) as theirs:
            assert ours.size == theirs.size
    for page, path in people.items():
        assert page.locator("a[download$='-bright.jpg']").count() == 1
