"""Photos through the command line: kept tags, kept structure, bad files named."""
import pickle
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tifffile
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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_names_in_tags_keep_their_letters(tmp_path, rng, run, suffix):
    """Cameras write UTF-8 or Latin-1 where EXIF wants ASCII; the bytes stay what they were."""
    exif, name, owner = Image.Exif(), "José".encode(), "Zoë".encode("latin-1")
    exif[0x013B] = "?" * len(name)
    exif.get_ifd(0x8769)[0xA430] = "!" * len(owner)
    data = exif.tobytes().replace(b"?" * len(name), name).replace(b"!" * len(owner), owner)
    put(tmp_path / f"in/a{suffix}", rng, exif=data)
    assert run("in")[0] == 0
    with Image.open(tmp_path / f"out/a{suffix}") as result:
        assert result.getexif()[0x013B].encode("latin-1") == name
        assert result.getexif().get_ifd(0x8769)[0xA430].encode("latin-1") == owner


def test_results_may_lie_above_the_photos(tmp_path, rng, run, monkeypatch):
    put(tmp_path / "out/night/a.png", rng)
    assert run("out/night")[0] == 0
    assert (tmp_path / "out/a.png").exists()


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
    assert "would replace" in str(error) and names[0].read_bytes() == before
    made = [target for _, target, _ in ll.enhance_files(
        model, ll.find_photos(names), tmp_path / "out", overwrite=True)]
    assert len(set(made)) == 3 and all(path.exists() for path in made)


def test_a_brightness_out_of_reach_is_said(tmp_path, rng, run, random_model):
    half = np.zeros((40, 60, 3), np.uint8)
    half[:, 30:] = 255                          # pure black and white cannot be moved
    assert ll.brightness_note("x", ll.set_brightness(half, 0.9), 0.9).startswith("x: mean")
    assert ll.brightness_note("x", ll.set_brightness(half, 0.5), 0.5) == ""
    put(tmp_path / "a.png", rng)
    white = random_model()
    white.get_layer("output").bias.assign([9.0] * 3)
    white.save(tmp_path / "weights.keras")
    status, _, errors = run("a.png", "--brightness", "0.4")
    assert status == 0 and "a.png: mean luma 1.00 instead of 0.4" in errors


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


def test_a_tiff_keeps_its_tags_and_stays_readable(tmp_path, rng, run):
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x010F] = "A scanner"
    exif.get_ifd(0x8769)[0x9003] = "2026:11:22 00:00:00"
    grey = Image.fromarray(rng.integers(0, 60, (20, 30)).astype(np.uint8))
    for mode in ("L", "RGB", "RGBA", "CMYK", "1", "P"):
        grey.convert("RGB").convert(mode).save(tmp_path / f"in/{mode}.tif", exif=exif)
    status, _, errors = run("in")
    assert status == 0, errors
    for path in (tmp_path / "out").iterdir():
        assert ll.load_photo(path).shape == (20, 30, 3)
    with Image.open(tmp_path / "out/RGB.tif") as result:
        assert result.getexif()[0x010F] == "A scanner"


def test_sixteen_bits_that_are_misread_are_refused(tmp_path, rng, run):
    photo = rng.integers(300, 9000, (100, 120, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "tiles.tif", photo, photometric="rgb", tile=(64, 64))
    status, _, errors = run("tiles.tif", "--depth", "16")
    assert status == 1 and "tiles.tif: its 16 bits cannot be read" in errors
    assert run("tiles.tif")[0] == 0


def test_originals_and_results_are_not_mistaken_for_each_other(tmp_path, rng, weights, capsys):
    folder = tmp_path / "in"
    put(folder / "x.png", rng)
    put(folder / "x.gif", rng)
    before = (folder / "x.png").read_bytes()
    call = [str(folder), "--weights", str(weights), "--overwrite", "--out"]
    assert enhance.main([*call, str(folder)]) == 1
    (folder / "x.png.png").unlink()             # the result of x.png
    assert (folder / "x.png").read_bytes() == before and "would replace" in capsys.readouterr().err
    for _ in range(2):
        assert enhance.main([*call, str(folder / "out")]) == 0
    assert sorted(path.name for path in (folder / "out").rglob("*")) == ["x.png", "x.png.png"]


def odd_photos(folder, rng):
    """Photos that are unusual but whole; returns {name: (height, width)}."""
    grey = rng.integers(0, 60, (20, 30)).astype(np.uint8)
    photo = Image.fromarray(np.dstack([grey] * 3))
    folder.mkdir(parents=True)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "grey16.png")
    photo.convert("RGBA").quantize(16).save(folder / "palette.png", transparency=0)
    photo.save(folder / "UPPER.JPG")
    photo.save(folder / "moving.gif", save_all=True, append_images=[photo.rotate(180)])
    Image.new("RGB", (1, 1), (9, 9, 9)).save(folder / "one.png")
    Image.fromarray(rng.integers(0, 60, (10, 20000, 3)).astype(np.uint8)).save(
        folder / "panorama.png")
    return dict.fromkeys(("cmyk.jpg", "grey16.png", "palette.png", "UPPER.JPG", "moving.png"),
                         (20, 30)) | {"one.png": (1, 1), "panorama.png": (10, 20000)}


def test_unusual_photos_are_photos(tmp_path, rng, run):
    sizes = odd_photos(tmp_path / "in", rng)
    status, printed, errors = run("in")
    assert status == 0 and printed.startswith("7 files"), errors
    for name, size in sizes.items():
        assert ll.load_photo(tmp_path / "out" / name).shape == (*size, 3)


def test_what_cannot_be_read_gets_a_remedy(tmp_path, rng, run):
    put(tmp_path / "in/good.png", rng)
    Image.new("1", (20000, 20000)).save(tmp_path / "in/bomb.png")
    for name in ("phone.heic", "camera.DNG"):
        (tmp_path / "in" / name).write_bytes(b"raw")
    status, printed, errors = run("in")
    assert status == 1 and "1 files" in printed and "3 failed" in printed
    assert "bomb.png: refused, more than" in errors and "scale it down" in errors
    for name in ("phone.heic", "camera.DNG"):
        assert f"{name}: HEIC and camera raw are not read; export it" in errors


class Malicious:
    def __reduce__(self):
        return open, ("stolen", "w")


def test_bad_weights_are_refused(tmp_path, rng, weights, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo = put(tmp_path / "a.png", rng)
    (tmp_path / "cut.keras").write_bytes(weights.read_bytes()[:5000])
    (tmp_path / "pickle.keras").write_bytes(pickle.dumps(Malicious()))
    (tmp_path / "pickle.pkl").write_bytes(pickle.dumps(Malicious()))
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "other.keras")
    for name in ("cut.keras", "pickle.keras", "pickle.pkl", "other.keras", "none.keras"):
        status = enhance.main([str(photo), "--out", "out", "--weights", name])
        assert status == 2 and name in capsys.readouterr().err
    assert not (tmp_path / "stolen").exists() and not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(tmp_path, rng, weights, capsys):
    photo = put(tmp_path / "a.png", rng)
    (tmp_path / "file").write_text("no folder")
    status = enhance.main([str(photo), "--out", str(tmp_path / "file"), "--weights",
                           str(weights)])
    errors = capsys.readouterr().err
    assert status == 1 and "cannot be written" in errors and "a.png" in errors


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
