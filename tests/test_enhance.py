"""Photos through the command line: kept tags, kept structure, bad files named."""
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import enhance
import lowlight as ll
from conftest import ROOT


@pytest.fixture
def weights(tmp_path, random_model):
    random_model().save(tmp_path / "weights.keras")
    return tmp_path / "weights.keras"


@pytest.fixture
def run(tmp_path, weights, capsys):
    """run("in", "--overwrite") -> (exit status, printed, errors)."""
    def call(*arguments):
        status = enhance.main([str(tmp_path / arguments[0]), "--out", str(tmp_path / "out"),
                               "--weights", str(weights), *arguments[1:]])
        return status, *capsys.readouterr()
    return call


def put(path, rng, size=(30, 40), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(rng.integers(0, 60, (*size, 3)).astype(np.uint8))
    image.save(path, **options)
    return path


def test_a_folder_keeps_its_structure_and_formats(tmp_path, rng, run):
    for name in ("a.jpg", "sub/b.PNG", "sub/Nacht über Köln.webp", "c.gif", "c.png", "d.bmp"):
        put(tmp_path / "in" / name, rng)
    (tmp_path / "in/.hidden.png").write_text("x")
    (tmp_path / "in/Thumbs.db").write_text("x")
    status, printed, _ = run("in")
    assert status == 0 and printed.startswith("6 files")
    made = {path.relative_to(tmp_path / "out").as_posix()
            for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert made == {"a.jpg", "sub/b.PNG", "sub/Nacht über Köln.webp", "c.png", "c.png.png",
                    "d.bmp"}
    model = ll.load_model(tmp_path / "weights.keras")
    assert np.array_equal(ll.load_photo(tmp_path / "out/sub/b.PNG"),
                          ll.enhance(model, ll.load_photo(tmp_path / "in/sub/b.PNG")))


def test_tags_stay_and_the_photo_is_upright(tmp_path, rng, run):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], profile = 6, "A camera", b"a colour profile"
    put(tmp_path / "in/turned.jpg", rng, exif=exif, icc_profile=profile)
    assert run("in")[0] == 0
    with Image.open(tmp_path / "out/turned.jpg") as result:
        assert result.size == (30, 40)                  # width, height: it was turned
        assert result.getexif()[0x0112] == 1 and result.getexif()[0x010F] == "A camera"
        assert result.info["icc_profile"] == profile


def test_one_bad_file_is_named_and_the_rest_is_done(tmp_path, rng, run):
    put(tmp_path / "in/good.png", rng)
    (tmp_path / "in/empty.jpg").write_bytes(b"")
    (tmp_path / "in/text.png").write_text("no photo")
    cut = put(tmp_path / "in/cut.jpg", rng, (300, 300))
    cut.write_bytes(cut.read_bytes()[:3000])
    status, printed, errors = run("in")
    assert status == 1 and "1 files" in printed and "3 failed" in printed
    assert all(name in errors for name in ("empty.jpg", "text.png", "cut.jpg"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_nothing_is_overwritten_unless_told(tmp_path, rng, run):
    put(tmp_path / "in/a.png", rng)
    assert run("in")[0] == 0
    before = (tmp_path / "out/a.png").read_bytes()
    status, _, errors = run("in", "--brightness", "0.8")
    assert status == 1 and "exists" in errors
    assert (tmp_path / "out/a.png").read_bytes() == before
    assert run("in", "--brightness", "0.8", "--overwrite")[0] == 0
    luma = (ll.load_photo(tmp_path / "out/a.png") @ ll.LUMA).mean() / 255
    assert luma == pytest.approx(0.8, abs=0.02)


def test_a_photo_never_replaces_itself_nor_a_namesake(tmp_path, rng, weights):
    names = [put(tmp_path / folder / "1.png", rng) for folder in "abc"]
    before = names[0].read_bytes()
    model = ll.load_model(weights)
    (_, _, error), = ll.enhance_files(model, ll.find_photos(names[:1]), tmp_path / "a",
                                      overwrite=True)
    assert "would replace itself" in str(error) and names[0].read_bytes() == before
    made = [target for _, target, _ in ll.enhance_files(
        model, ll.find_photos(names), tmp_path / "out", overwrite=True)]
    assert len(set(made)) == 3 and all(path.exists() for path in made)


def test_a_brightness_out_of_reach_is_said(tmp_path, rng, run):
    half = np.zeros((40, 60, 3), np.uint8)
    Image.fromarray(half).save(tmp_path / "black.png")
    model = ll.load_model(tmp_path / "weights.keras")
    half[:, 30:] = 255                  # pure black and white cannot be moved
    assert ll.brightness_note("x", ll.set_brightness(half, 0.9), 0.9).startswith("x: mean")
    assert ll.brightness_note("x", ll.set_brightness(half, 0.5), 0.5) == ""
    assert ll.brightness_note("x", ll.enhance(model, half, 0.4), 0.4) == ""
    status, _, errors = run("black.png", "--brightness", "0.001")
    assert status == 0 and "mean luma" in errors and "black.png" in errors


def sixteen_bits(path, rng, shape=(40, 60), **options):
    """A dark photo of 16 bits a channel in `path`; returns its pixels."""
    photo = rng.integers(300, 9000, (*shape, 3)).astype(np.uint16)
    ll.save_deep(path, photo, **options)
    return photo


@pytest.mark.parametrize("name", ["scan.png", "scan.tif"])
def test_sixteen_bits_stay_sixteen(tmp_path, rng, run, name):
    photo = sixteen_bits(tmp_path / name, rng)
    assert np.array_equal(ll.load_deep(tmp_path / name), photo)
    assert np.abs(ll.load_photo(tmp_path / name) - photo / 257.0).max() <= 1
    assert run(name, "--depth", "16")[0] == 0
    result = ll.load_deep(tmp_path / "out" / name)
    model = ll.load_model(tmp_path / "weights.keras")
    wanted = ll.predict(model, photo).clip(0, 1) * 65535
    assert np.abs(result - wanted).max() <= 0.51        # far finer than 257, an 8-bit step
    assert np.abs(result - ll.enhance(model, ll.as_uint8(photo / 65535)) * 257.0).mean() < 600


def test_sixteen_bits_keep_tags_and_orientation(tmp_path, rng, run):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    profile = b"a colour profile" * 20
    photo = sixteen_bits(tmp_path / "a.png", rng, exif=exif.tobytes(), icc_profile=profile)
    assert np.array_equal(ll.load_deep(tmp_path / "a.png"), np.rot90(photo, -1))
    assert run("a.png", "--depth", "16", "--brightness", "0.4")[0] == 0
    with Image.open(tmp_path / "out/a.png") as result:
        assert result.size == (40, 60) and result.info["icc_profile"] == profile
        assert result.getexif()[0x0112] == 1 and result.getexif()[0x010F] == "A camera"
    assert ll.mean_luma(ll.load_deep(tmp_path / "out/a.png")) == pytest.approx(0.4, abs=0.02)


def test_eight_bit_files_and_jpegs_can_become_sixteen(tmp_path, rng, run):
    put(tmp_path / "in/a.jpg", rng)
    put(tmp_path / "in/b.tif", rng)
    assert run("in", "--depth", "16")[0] == 0
    for name in ("a.png", "b.tif"):
        assert len(np.unique(ll.load_deep(tmp_path / "out" / name) % 257)) > 50


def limited(tmp_path, weights, *inputs, limit=0):
    """Run the command line with no file allowed to grow beyond `limit` KiB."""
    return subprocess.run(
        ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "-", sys.executable,
         ROOT / "enhance.py", *inputs, "--out", tmp_path / "out", "--weights", weights],
        cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs ulimit")
def test_a_full_disk_loses_only_what_does_not_fit(tmp_path, rng, weights):
    large, small = put(tmp_path / "large.png", rng, (400, 500)), put(tmp_path / "small.png", rng)
    done = limited(tmp_path, weights, large, small, limit=64)
    assert done.returncode == 1 and "large.png: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr and "choose another" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


def test_killed_while_writing_leaves_no_half_photo(tmp_path, rng, weights):
    for number in range(40):
        put(tmp_path / f"in/{number}.png", rng, (300, 300))
    process = subprocess.Popen(
        [sys.executable, ROOT / "enhance.py", tmp_path / "in", "--out", tmp_path / "out",
         "--weights", weights], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "out").glob("[0-9]*.png"))) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    made = [path for path in (tmp_path / "out").iterdir() if path.name[0] != "."]
    assert 2 <= len(made) < 40
    assert all(ll.load_photo(path).shape == (300, 300, 3) for path in made)


def test_format_tile_and_extreme_sizes(tmp_path, rng, run):
    for number, size in enumerate(((1, 1), (10, 3000), (200, 150))):
        put(tmp_path / f"in/{number}.png", rng, size)
    assert run("in", "--format", "webp", "--tile", "64")[0] == 0
    for number, size in enumerate(((1, 1), (10, 3000), (200, 150))):
        assert ll.load_photo(tmp_path / f"out/{number}.webp").shape == (*size, 3)


@pytest.mark.parametrize("arguments, message", [
    (("nowhere.jpg",), "nowhere.jpg"), (("in", "--brightness", "7"), "between 0 and 1"),
    (("in", "--weights", "missing.keras"), "missing.keras"),
    (("in", "--format", "jpg", "--depth", "16"), "cannot hold"), (("in",), "no photo found")])
def test_wrong_calls_say_what_is_wrong(tmp_path, run, capsys, arguments, message):
    (tmp_path / "in").mkdir()
    try:
        status, _, errors = run(*arguments)
    except SystemExit as stop:                  # argparse's own way of refusing
        status, errors = stop.code, capsys.readouterr().err
    assert status != 0 and message in errors


def test_from_the_shell(tmp_path, rng, weights):
    photo = put(tmp_path / "dark photo.png", rng)
    done = subprocess.run(
        [sys.executable, ROOT / "enhance.py", photo, tmp_path / "gone.png", "--out",
         tmp_path / "out", "--weights", weights], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "gone.png" in done.stderr
    assert (tmp_path / "out/dark photo.png").exists() and "1 files" in done.stdout
    assert "Traceback" not in done.stderr and "oneDNN" not in done.stderr
