"""The page to drop photos on, without a browser: names, previews, progress, refusals."""
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import huge_png, load_once
from lowlight import files, photo as photos


@pytest.fixture
def app():
    pytest.importorskip("gradio", reason="needs pip install 'lowlight[app]'")
    from lowlight import app
    return app


@pytest.fixture(scope="module")
def network():
    return load_once()


def put(path, rng, size=(60, 80), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 60, (*size, 3)).astype(np.uint8)).save(path, **options)
    return path


def all_of(app, network, paths, folder, brightness=None, strength=1.0):
    """(results, messages, reports) once all photos are done."""
    reports = []

    def progress(share, desc):
        reports.append((share, desc))
    folder.mkdir(exist_ok=True)
    *_, (results, messages) = app.brighten(network, paths, brightness, strength, folder,
                                           progress)
    return results, messages, reports


@pytest.mark.parametrize("name, expected", [
    ("night.jpg", "night-bright.jpg"), ("a.b.PNG", "a.b-bright.PNG"),
    ("Köln (1).tif", "Köln (1)-bright.tif"), ("phone.HEIC", "phone-bright.jpg"),
    ("camera.nef", "camera-bright.jpg"), ("cat.gif", "cat-bright.png"),
    ("x", "x-bright.png")])
def test_the_download_is_named_as_by_the_command(app, name, expected):
    assert app.result_name(Path(name)) == expected


def test_progress_rises_to_the_end_and_changes_nothing(app, network, rng):
    photo, shares = rng.integers(0, 60, (150, 420, 3)).astype(np.uint8), []
    watched = app.watched(network, shares.append)
    assert np.array_equal(photos.enhance(watched, photo, tile=64),
                          photos.enhance(network, photo, tile=64))
    assert len(shares) > 5 and shares == sorted(shares) and shares[-1] == 1


def test_a_photo_is_what_the_command_writes(app, network, rng, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x010E] = "a night"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = put(tmp_path / "in/night.jpg", rng, exif=exif, icc_profile=profile)
    monkeypatch.setattr(app, "PREVIEW", 50)
    (result,), messages, reports = all_of(app, network, [path], tmp_path / "out", 0.5, 0.8)
    app.enhance(network, path, tmp_path / "expected.jpg", 0.5, 0.8)
    assert result.path.name == "night-bright.jpg" and messages == []
    assert result.path.read_bytes() == (tmp_path / "expected.jpg").read_bytes()
    assert files.load_tags(result.path).icc_profile == profile
    for preview in (result.before, result.after):
        with Image.open(preview) as image:
            assert image.size == (50, 38) and image.info["icc_profile"] == profile
    assert reports[-1] == (1, "night.jpg (1 of 1)")


def test_a_bad_file_is_named_and_the_rest_is_done(app, network, rng, tmp_path):
    paths = [put(tmp_path / "1/a.png", rng), tmp_path / "2/broken.jpg",
             put(tmp_path / "3/a.png", rng), tmp_path / "2/clip.mp4",
             tmp_path / "2/huge.png", tmp_path / "2/gone.png"]
    (tmp_path / "2").mkdir()
    for path in (paths[1], paths[3]):
        path.write_text("no photo")
    paths[4].write_bytes(huge_png())
    results, messages, _ = all_of(app, network, paths, tmp_path / "out")
    assert [result.path.name for result in results] == 2 * ["a-bright.png"]
    assert len({result.path for result in results}) == 2
    broken, clip, huge, gone = messages
    assert broken.startswith("broken.jpg: not a readable photo") and "PNG" in broken
    assert clip.startswith("clip.mp4: a clip") and "lowlight" in clip
    assert huge.startswith("huge.png: refused") and "scale it down" in huge
    assert gone.startswith("gone.png: deleted") and "drop it again" in gone
    assert not any(str(tmp_path) in message for message in messages)
    assert len(list((tmp_path / "out").iterdir())) == 2         # the bad ones left nothing
    app.delete_results(results)
    assert not list((tmp_path / "out").iterdir())


def test_a_failure_that_nobody_thought_of_costs_one_photo(app, network, tmp_path,
                                                           monkeypatch):
    enhance = app.enhance

    def without_memory(loaded, path, *others):
        if path.name == "a.png":
            raise MemoryError("Unable to allocate 1.2 GiB")
        return enhance(loaded, path, *others)
    monkeypatch.setattr(app, "enhance", without_memory)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    results, messages, _ = all_of(app, network, [tmp_path / "a.png", tmp_path / "b.png"],
                                  tmp_path / "out")
    assert [result.path.name for result in results] == ["b-bright.png"]
    assert messages == ["a.png: failed (MemoryError: Unable to allocate 1.2 GiB)"]


def test_the_page_reports_to_nobody(app):
    page = app.build()
    assert page.analytics_enabled is False and page.delete_cache == (app.CLEAN_UP, app.KEPT)


def test_without_gradio_one_line_says_what_to_install():
    code = "import sys; sys.modules['gradio'] = None; import lowlight.app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'lowlight[app]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_command_gets_one_line(app, tmp_path):
    """For a port that is taken, and for weights that are not there."""
    code = ("import sys; from lowlight.app import main\n"
            "print(main(sys.argv[1:3]), main(sys.argv[3:]))")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-c", code, "--port", str(taken.getsockname()[1]),
             "--weights", str(tmp_path / "none.onnx")], capture_output=True, text=True)
    port, weights = done.stderr.splitlines()
    assert port.startswith("error: the port") and weights.startswith("error: ")
    assert "none.onnx" in weights and done.stdout == "2 2\n"


@pytest.mark.parametrize("port", ["99999", "0"])
def test_a_port_that_cannot_be_is_named(app, capsys, port):
    with pytest.raises(SystemExit):
        app.main(["--port", port])
    assert f"--port {port}: must lie between" in capsys.readouterr().err


def test_a_note_names_no_folder_of_the_server(app, network, rng, tmp_path):
    first, second = (Image.fromarray(rng.integers(0, 60, (40, 50, 3)).astype(np.uint8))
                     for _ in range(2))
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in/a.gif", save_all=True, append_images=[second])
    _, (message,), _ = all_of(app, network, [tmp_path / "in/a.gif"], tmp_path / "out")
    assert message.startswith("a.gif: holds several pictures")
