"""The command: names, structure, refusals, exit status; nothing lost or half-written."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lowlight
from conftest import huge_png, load_once
from lowlight import cli, files, network, photo as photos


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """run("in", "--out", "out") -> (exit status, printed, errors), from tmp_path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network, "load", load_once)

    def call(*arguments):
        return cli.main([str(one) for one in arguments]), *capsys.readouterr()
    return call


def put(path, rng, size=(30, 40), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(rng.integers(0, 60, (*size, 3)).astype(np.uint8))
    image.save(path, **options)
    return path


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")
            if path.is_file()}


def put_many(folder, rng, count, size):
    """Equal photos, as encoding each of them would take most of the time; and a last one
    that takes so long that a command can be stopped before its end on any machine."""
    first = put(folder / "0.png", rng, size)
    Image.new("RGB", (8000, 8000)).save(folder / "last.png")
    for number in range(1, count):
        shutil.copy(first, folder / f"{number}.png")


def command(tmp_path, *arguments, limit="unlimited", **options):
    """Start the command in a process whose files may not grow beyond `limit` KiB."""
    return subprocess.Popen(
        ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "-", sys.executable, "-m",
         "lowlight", *map(str, arguments)], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, **options)


def test_without_out_the_result_stands_beside_the_photo(tmp_path, rng, run):
    put(tmp_path / "in/a.jpg", rng)
    status, printed, errors = run("in/a.jpg")
    assert status == 0 and printed.startswith("1 files") and errors == ""
    assert names(tmp_path / "in") == {"a.jpg", "a-bright.jpg"}
    status, printed, errors = run("in")         # the result is not brightened again
    assert status == 1 and "a-bright.jpg: exists" in errors
    assert run("in", "--overwrite")[0] == 0
    assert names(tmp_path / "in") == {"a.jpg", "a-bright.jpg"}


def test_a_folder_keeps_its_structure_and_formats(tmp_path, rng, run):
    for name in ("a.jpg", "sub/b.PNG", "sub/Nacht über Köln.webp", "c.gif", "c.png", "d.bmp"):
        put(tmp_path / "in" / name, rng)
    (tmp_path / "in/.hidden.png").write_text("x")
    (tmp_path / "in/Thumbs.db").write_text("x")
    status, printed, _ = run("in", "--out", "out")
    assert status == 0 and printed.startswith("6 files")
    assert names(tmp_path / "out") == {"a.jpg", "sub/b.PNG", "sub/Nacht über Köln.webp",
                                       "c.png", "c.png.png", "d.bmp"}
    dark = lowlight.load_photo(tmp_path / "in/sub/b.PNG")
    assert np.array_equal(lowlight.load_photo(tmp_path / "out/sub/b.PNG"),
                          lowlight.enhance(load_once(), dark))


def test_results_inside_the_input_are_not_inputs(tmp_path, rng, run):
    put(tmp_path / "in/x.png", rng)
    for _ in range(2):
        assert run("in", "--out", "in/out", "--overwrite")[0] == 0
    assert names(tmp_path / "in/out") == {"x.png"}
    put(tmp_path / "out/night/a.png", rng)      # but results may lie above the photos
    assert run("out/night", "--out", "out")[0] == 0
    assert (tmp_path / "out/a.png").exists()


def test_the_folder_of_the_results_is_no_input_among_others(tmp_path, rng, run):
    """As of `lowlight * --out bright` in a second call."""
    put(tmp_path / "a.png", rng)
    assert run("a.png", "--out", "bright")[0] == 0
    put(tmp_path / "b.png", rng)
    assert run("a.png", "b.png", "bright", "--out", "bright", "--overwrite")[0] == 0
    assert names(tmp_path / "bright") == {"a.png", "b.png"}


def test_what_others_leave_beside_photos_is_passed_over(tmp_path, rng, run):
    """Systems, and then cameras and editors."""
    put(tmp_path / "in/a.png", rng)
    for name in ("@eaDir/a.png/SYNOFILE_THUMB_M.jpg", "#recycle/b.png", "._a.png",
                 "sub/@Recycle/c.jpg", "__MACOSX/d.png", "$Recycle.Bin/e.jpg"):
        put(tmp_path / "in" / name, rng)
    (tmp_path / "in/a.png:Zone.Identifier").write_text("[ZoneTransfer]")
    (tmp_path / "in/Thumbs.db").write_text("x")
    assert run("in/*", "--out", "matched")[0] == 0
    assert names(tmp_path / "matched") == {"a.png"}
    for name in ("a.png_original", "a.png~", "a.png.pp3", "a.DOP", "clip.LRV", "clip.srt",
                 "voice.WAV", "INDEX.BDM", "prices.docx", "b.jpg.crdownload", "rename.py",
                 "CaptureOne/Cache/Thumbnails/a.png.cot"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("x")
    assert run("in", "--out", "out")[0] == 0
    assert names(tmp_path / "out") == {"a.png"}
    put(tmp_path / "@eaDir/wanted.png", rng)            # asked for by name
    assert run("@eaDir", "--out", "named")[0] == 0
    assert names(tmp_path / "named") == {"wanted.png"}


def test_wildcards_are_expanded_where_no_shell_did(tmp_path, rng, run):
    for name in ("a.png", "b.png", "[1].png", "sub/c.png"):
        put(tmp_path / name, rng)
    assert run("?.png", "--out", "one")[0] == 0
    assert names(tmp_path / "one") == {"a.png", "b.png"}
    assert run("[1].png", "--out", "two")[0] == 0
    assert names(tmp_path / "two") == {"[1].png"}
    assert run("s*", "--out", "three")[0] == 0
    assert names(tmp_path / "three") == {"c.png"}
    put(tmp_path / "Prague [2026]/d.png", rng)
    assert run("Prague [2026]/*.png", "su*/c.png", "--out", "five")[0] == 0
    assert names(tmp_path / "five") == {"c.png", "d.png"}
    status, _, errors = run("*.webp", "--out", "four")
    assert status == 1
    assert "*.webp: there is no such file" in errors


@pytest.mark.parametrize("name, mode", [("bright.jpg", "JPEG"), ("new/b.TIF", "TIFF"),
                                        ("c.webp", "WEBP")])
def test_out_may_name_the_file_of_one_photo(tmp_path, rng, run, name, mode):
    put(tmp_path / "night.png", rng)
    assert run("night.png", "--out", name)[0] == 0
    with Image.open(tmp_path / name) as image:
        assert image.format == mode
    status, _, errors = run("night.png", "--out", name)
    assert status == 1
    assert "exists; move it or add --overwrite" in errors
    assert run("night.p*", "--out", name, "--overwrite")[0] == 0
    kind = {"JPEG": "jpg", "TIFF": "tif", "WEBP": "webp"}[mode]
    assert run("night.png", "--out", name, "--overwrite", "--format", kind)[0] == 0


@pytest.mark.parametrize("arguments, message", [
    (("a.png", "b.png", "--out", "c.jpg"), "name a folder"),
    (("?.png", "--out", "c.jpg"), "name a folder"),
    (("in", "--out", "c.jpg"), "name a folder"),
    (("a.png", "--out", "c.dng"), "photos are written as"),
    (("a.png", "b.png", "--out", "b.png", "--overwrite"), "name a folder"),
    (("a.png", "--out", "c.heic"), "written as JPEG"),
    (("a.png", "--out", "c.jpg", "--format", "png"), "contradicts --format png"),
    (("a.png", "--out", "c.jpg", "--depth", "16"), "take .png or .tif")])
def test_out_that_cannot_be_one_file_is_said(tmp_path, rng, run, arguments, message):
    for name in ("a.png", "b.png", "in/a.png"):
        put(tmp_path / name, rng)
    before = names(tmp_path)
    status, _, errors = run(*arguments)
    assert status == 2
    assert message in errors
    assert names(tmp_path) == before


def test_out_may_be_a_folder_with_a_dot(tmp_path, rng, run):
    put(tmp_path / "a.png", rng)
    (tmp_path / "old.jpg").mkdir()
    for folder in ("old.jpg", "2026.11 Rome"):
        assert run("a.png", "--out", folder)[0] == 0
        assert names(tmp_path / folder) == {"a.png"}


def test_strength_and_brightness(tmp_path, rng, run):
    dark = lowlight.load_photo(put(tmp_path / "a.png", rng))
    assert run("a.png", "--strength", "0", "--out", "none")[0] == 0
    assert np.array_equal(lowlight.load_photo(tmp_path / "none/a.png"), dark)
    lumas = []
    for strength in ("0.5", "1"):
        assert run("a.png", "--strength", strength, "--out", strength)[0] == 0
        lumas.append(photos.mean_luma(lowlight.load_photo(tmp_path / strength / "a.png")))
    assert photos.mean_luma(dark) < lumas[0] < lumas[1]
    assert run("a.png", "--brightness", "0.6", "--strength", "0.5", "--out", "set")[0] == 0
    assert photos.mean_luma(lowlight.load_photo(tmp_path / "set/a.png")) == pytest.approx(
        0.6, abs=0.02)


def test_format_depth_tile_and_extreme_sizes(tmp_path, rng, run):
    sizes = ((1, 1), (10, 1000), (100, 75))
    for number, size in enumerate(sizes):
        put(tmp_path / f"in/{number}.jpg", rng, size)
    assert run("in", "--format", "webp", "--tile", "64", "--out", "out")[0] == 0
    assert run("in", "--depth", "16", "--out", "deep")[0] == 0
    for number, size in enumerate(sizes):
        assert lowlight.load_photo(tmp_path / f"out/{number}.webp").shape == (*size, 3)
        deep = lowlight.load_photo(tmp_path / f"deep/{number}.png", depth=16)
        assert deep.shape == (*size, 3)
    assert len(np.unique(deep % 257)) > 50


def test_one_bad_file_is_named_and_the_rest_is_done(tmp_path, rng, run):
    put(tmp_path / "in/good.png", rng)
    (tmp_path / "in/empty.jpg").write_bytes(b"")
    (tmp_path / "in/text.png").write_text("no photo")
    (tmp_path / "in/clip.mp4").write_bytes(b"no clip")
    (tmp_path / "in/bomb.png").write_bytes(huge_png())
    cut = put(tmp_path / "in/cut.jpg", rng, (300, 300))
    cut.write_bytes(cut.read_bytes()[:3000])
    status, printed, errors = run("in", "--out", "out")
    assert status == 1 and "1 files" in printed and "5 failed" in printed
    assert all(name in errors for name in ("empty.jpg", "text.png", "clip.mp4", "cut.jpg"))
    assert "bomb.png: refused, more than" in errors and "Traceback" not in errors
    assert names(tmp_path / "out") == {"good.png"}


def test_originals_and_namesakes_are_safe(tmp_path, rng, run):
    before = [put(tmp_path / folder / "1.png", rng).read_bytes() for folder in "abc"]
    status, _, errors = run("a", "--out", "a", "--overwrite")
    assert status == 1 and "would replace" in errors
    assert run("a/1.png", "b/1.png", "c/1.png", "--out", "out")[0] == 0
    assert len(names(tmp_path / "out")) == 3
    assert [(tmp_path / folder / "1.png").read_bytes() for folder in "abc"] == before
    status, _, errors = run("a", "--out", "out")
    assert status == 1 and "exists; move it or add --overwrite" in errors


def test_a_brightness_out_of_reach_is_said(tmp_path, run):
    Image.new("RGB", (60, 40), "white").save(tmp_path / "a.png")
    status, _, errors = run("a.png", "--brightness", "0.4", "--strength", "0", "--out", "out")
    assert status == 0 and "a.png: mean luma 1.00 instead of 0.4" in errors


@pytest.mark.parametrize("arguments, message", [
    (("--brightness", "7"), "between 0 and 1"), (("--brightness", "0"), "between 0 and 1"),
    (("--strength", "1.5"), "between 0 and 1"), (("--quality", "0"), "invalid choice"),
    (("--depth", "16", "--format", "jpg"), "take png or tif")])
def test_a_wrong_command_ends_with_status_2(tmp_path, run, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run("a.png", *arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_nothing_to_do_is_status_1(tmp_path, run):
    (tmp_path / "empty").mkdir()
    status, _, errors = run("empty")
    assert status == 1 and "no photo found in empty" in errors
    status, _, errors = run("nowhere.jpg")
    assert status == 1 and "nowhere.jpg" in errors


def test_bad_weights_are_refused_by_name(tmp_path, rng, run):
    import onnx
    put(tmp_path / "a.png", rng)
    released = (lowlight.network.RELEASED).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(released[:5000])
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])]),
        opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(other, tmp_path / "other.onnx")
    unnamed = onnx.load_from_string(released)
    del unnamed.metadata_props[:]
    onnx.save(unnamed, tmp_path / "bare.onnx")
    for name in ("cut.onnx", "text.onnx", "model.pkl", "other.onnx", "bare.onnx",
                 "none.onnx"):
        status, _, errors = run("a.png", "--weights", name)
        assert status == 2 and errors.startswith(f"error: {name}"), errors
    assert names(tmp_path) >= {"a.png"} and not (tmp_path / "a-bright.png").exists()


def test_help_and_version(run, capsys):
    for flag, text in (("--help", "lowlight night.nef --depth 16"),
                       ("--version", lowlight.__version__)):
        with pytest.raises(SystemExit) as ended:
            run(flag)
        assert ended.value.code == 0 and text in capsys.readouterr().out


def test_an_output_that_cannot_be_written_is_named(tmp_path, rng, run):
    put(tmp_path / "a.png", rng)
    (tmp_path / "file").write_text("no folder")
    status, _, errors = run("a.png", "--out", "file")
    assert status == 1 and "cannot be written" in errors and "a.png" in errors


def test_a_full_disk_loses_only_what_does_not_fit(tmp_path, rng):
    put(tmp_path / "large.png", rng, (400, 500))
    put(tmp_path / "small.png", rng)
    process = command(tmp_path, "large.png", "small.png", "--out", "out", limit=64)
    _, errors = process.communicate()
    assert process.returncode == 1 and "large.png: cannot be written" in errors
    assert "Traceback" not in errors and "choose another" in errors
    assert names(tmp_path / "out") == {"small.png"}


def test_killed_while_writing_leaves_no_half_photo(tmp_path, rng):
    put_many(tmp_path / "in", rng, 40, (300, 300))
    process = command(tmp_path, "in", "--out", "out")
    while len(list(tmp_path.glob("out/[0-9]*.png"))) < 2 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    made = [path for path in (tmp_path / "out").iterdir() if path.name[0] != "."]
    assert len(made) >= 2 and "last.png" not in {path.name for path in made}
    assert all(lowlight.load_photo(path).shape == (300, 300, 3) for path in made)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_keeps_what_is_done_and_says_what_is_left(tmp_path, rng, name):
    put_many(tmp_path / "in", rng, 60, (300, 300))
    number = getattr(signal, name)          # which nohup and & let programs ignore
    process = command(tmp_path, "in", "--out", "out", start_new_session=True,
                      preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    while not list(tmp_path.glob("out/[0-9]*.png")) and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, number)
    printed, errors = process.communicate()
    assert process.returncode == 1 and "files are left" in errors
    assert "Traceback" not in errors and "results: out" in printed
    assert not list(tmp_path.glob("out/.part-*"))


def test_two_commands_at_once_leave_every_photo_whole(tmp_path, rng):
    for number in range(4):
        put(tmp_path / f"in/{number}.png", rng, (100, 100))
    processes = [command(tmp_path, "in", "--out", "out", "--overwrite") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert names(tmp_path / "out") == {f"{number}.png" for number in range(4)}
    for number in range(4):
        bright = lowlight.enhance(load_once(), lowlight.load_photo(tmp_path / f"in/{number}.png"))
        assert np.array_equal(lowlight.load_photo(tmp_path / f"out/{number}.png"), bright)


def test_nothing_is_left_at_home(tmp_path, rng):
    """ONNX Runtime would keep a number of the device there, for its telemetry."""
    put(tmp_path / "a.png", rng)
    (tmp_path / "home").mkdir()
    environment = {name: value for name, value in os.environ.items()
                   if name != "ORT_DISABLE_TELEMETRY" and not name.startswith("XDG_")}
    process = command(tmp_path, "a.png", env=environment | {"HOME": str(tmp_path / "home")})
    assert process.communicate()[1] == "" and process.returncode == 0
    assert not names(tmp_path / "home") and (tmp_path / "a-bright.png").exists()


def test_what_is_named_twice_is_done_once(tmp_path, rng, run):
    put(tmp_path / "in/a.png", rng)
    status, printed, _ = run("in/a.png", "./in/a.png", tmp_path / "in/a.png", "in",
                             "--out", "out")
    assert status == 0 and printed.startswith("1 files")
    assert names(tmp_path / "out") == {"a.png"}


@pytest.mark.parametrize("arguments", [("",), ("a.png", "--out", "")])
def test_an_empty_name_is_not_the_current_folder(tmp_path, rng, run, capsys, arguments):
    put(tmp_path / "a.png", rng)
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2 and "an empty name" in capsys.readouterr().err
    assert names(tmp_path) == {"a.png"}


@pytest.mark.parametrize("redirection", [
    "2>&-", "<&- >&- 2>&-", "> /dev/full", "| true"])
def test_streams_that_lead_nowhere_cost_no_result(tmp_path, rng, redirection):
    put(tmp_path / "a.tif", rng)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c",
         f'"{sys.executable}" -m lowlight a.tif --out out {redirection}'],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert names(tmp_path / "out") == {"a.tif"}


def test_a_name_that_the_terminal_cannot_show_costs_nothing(tmp_path, rng):
    put(tmp_path / "a.png", rng)
    process = command(tmp_path, "a.png", "--out", "夜",
                      env=os.environ | {"PYTHONIOENCODING": "ascii"})
    printed, errors = process.communicate()
    assert process.returncode == 0 and errors == "" and "results: \\u591c" in printed
    assert names(tmp_path / "夜") == {"a.png"}


def test_a_name_too_long_for_the_result_gets_the_remedy(tmp_path, rng, run):
    name = "x" * 250 + ".png"
    put(tmp_path / name, rng)
    status, _, errors = run(name)
    assert status == 1 and "cannot be written" in errors and "another folder" in errors
    assert run(name, "--out", "out")[0] == 0


def test_a_folder_that_may_not_be_listed_is_found(tmp_path, rng, monkeypatch):
    """So that reading it fails, and is reported; root may list every folder."""
    put(tmp_path / "in/a.png", rng)
    locked = tmp_path / "in/locked"
    locked.mkdir()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked
                        and allowed(path, mode))
    assert (locked, Path("locked")) in cli.find_inputs([tmp_path / "in"])
    assert cli.find_inputs([locked]) == [(locked, Path("locked"))]


def test_a_stop_before_the_first_file_is_one_line(tmp_path, rng, run, monkeypatch):
    put(tmp_path / "a.png", rng)

    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(cli, "find_inputs", interrupted)
    assert run("a.png") == (1, "", "stopped; nothing is done yet\n")


def test_a_place_that_may_not_be_looked_at_does_not_stop_the_rest(
        tmp_path, rng, run, monkeypatch):
    """Of a folder without the right to enter it, whose files have no status."""
    put(tmp_path / "in/a.png", rng)
    put(tmp_path / "in/half/b.png", rng)
    stat = os.stat

    def refuse(path, *arguments, **options):
        if Path(path).name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)
    monkeypatch.setattr(os, "stat", refuse)
    status, _, errors = run("in/half/b.png", "in", "--out", "out")
    assert status == 1 and "b.png" in errors
    assert "a.png" in names(tmp_path / "out")


def test_a_second_call_takes_no_result_for_an_input(tmp_path, rng, run):
    """Two photos of one stem have results beside them, of two names."""
    put(tmp_path / "in/a.png", rng)
    put(tmp_path / "in/a.gif", rng)
    for _ in range(2):
        assert run("in", "--overwrite")[0] == 0
        assert names(tmp_path / "in") == {"a.png", "a.gif", "a-bright.png",
                                          "a-bright-bright.png"}


def test_a_jfif_stays_a_jpeg(tmp_path, rng, run):
    for name in ("a.jfif", "b.JPE"):
        put(tmp_path / "in" / name, rng, format="JPEG")
    assert run("in", "--out", "out")[0] == 0
    assert names(tmp_path / "out") == {"a.jfif", "b.JPE"}
    with Image.open(tmp_path / "out/a.jfif") as image:
        assert image.format == "JPEG"


def test_links_in_circles_are_named_and_the_rest_is_done(tmp_path, rng, run):
    put(tmp_path / "in/a.png", rng)
    (tmp_path / "in/loop.png").symlink_to("loop.png")
    status, _, errors = run("in/loop.png", "in/a.png", "--out", "out")
    assert status == 1 and "loop.png: not a readable photo" in errors
    assert run("in", "--out", "in/out")[0] == 0
    assert names(tmp_path / "out") == names(tmp_path / "in/out") == {"a.png"}
    (tmp_path / "in/b.png").symlink_to("a.png")
    (tmp_path / "out/b.png").symlink_to("b.png")
    assert run("in/b.png", "--out", "out", "--overwrite")[0] == 0
    assert lowlight.load_photo(tmp_path / "out/b.png").shape == (30, 40, 3)


def test_a_format_may_be_written_otherwise(tmp_path, rng, run):
    put(tmp_path / "a.png", rng)
    for name in ("JPEG", "jpg", "Tiff"):
        assert run("a.png", "--format", name, "--out", name)[0] == 0
    assert names(tmp_path / "JPEG") == {"a.jpg"}
    assert names(tmp_path / "Tiff") == {"a.tif"}
    assert run("a.png", "--format", "jpeg", "--out", "b.jpe")[0] == 0


def test_no_result_replaces_another_where_case_makes_no_name(tmp_path, rng, run):
    """As on a Mac, with the raw photo beside its JPEG; a link stands for its disk."""
    heif = pytest.importorskip("pillow_heif")
    put(tmp_path / "in/1.JPG", rng, format="JPEG")
    with Image.open(tmp_path / "in/1.JPG") as image:
        heif.from_pillow(image).save(tmp_path / "in/1.heic")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/1.jpg").symlink_to("1.JPG")
    assert run("in", "--out", "out", "--overwrite")[0] == 0
    assert names(tmp_path / "out") == {"1.JPG", "1.jpg", "1.jpg.jpg"}
    assert (tmp_path / "out/1.jpg").is_symlink()


def test_a_home_is_meant_by_a_tilde_in_every_place(tmp_path, rng, run, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    put(tmp_path / "home/a.png", rng)
    assert run("~/a.png", "--out=~/bright")[0] == 0
    assert names(tmp_path / "home/bright") == {"a.png"}
    put(tmp_path / "~lock.png", rng)                    # the home of nobody
    assert run("~lock.png")[0] == 0 and (tmp_path / "~lock-bright.png").exists()


def test_a_jpeg_of_another_suffix_stays_one(tmp_path, rng, run):
    for name in ("stereo.mpo", "tweet.jpg_large", "IMG_1"):
        put(tmp_path / name, rng, format="JPEG")
        assert run(name, "--out", "out")[0] == 0
    assert run("IMG_1", "--out", "deep", "--depth", "16")[0] == 0
    assert names(tmp_path / "out") == {"stereo.jpg", "tweet.jpg", "IMG_1.jpg"}
    assert names(tmp_path / "deep") == {"IMG_1.png"}


def test_a_failure_that_nobody_thought_of_costs_one_file(tmp_path, rng, run, monkeypatch):
    for name in ("a.png", "b.png"):
        put(tmp_path / name, rng)
    enhance_photo = files.enhance_photo

    def without_memory(loaded, path, *others):
        if path.name == "a.png":
            raise MemoryError("Unable to allocate 1.2 GiB")
        return enhance_photo(loaded, path, *others)
    monkeypatch.setattr(files, "enhance_photo", without_memory)
    status, _, errors = run("a.png", "b.png", "--out", "out")
    assert status == 1 and names(tmp_path / "out") == {"b.png"}
    assert "a.png: failed (MemoryError: Unable to allocate 1.2 GiB); leave it out" in errors


def test_a_pipe_is_named_and_the_rest_is_done(tmp_path, rng, run):
    os.mkfifo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.mp4")
    put(tmp_path / "b.png", rng)
    status, _, errors = run("a.png", "a.mp4", "b.png", "--out", "out")
    assert status == 1 and names(tmp_path / "out") == {"b.png"}
    assert errors.count("a pipe or a device; save what comes from it as a file") == 2


def test_results_among_the_names_are_not_enhanced_again(tmp_path, rng, run):
    """As with *.png, expanded by a shell or by the command, in a second call."""
    for name in ("a.png", "b.png", "c-bright.png"):
        put(tmp_path / name, rng)
    assert run("a.png", "c-bright.png")[0] == 0
    assert names(tmp_path) == {"a.png", "a-bright.png", "b.png", "c-bright.png",
                               "c-bright-bright.png"}
    status, _, errors = run("*.png")
    assert status == 1 and "a-bright.png: exists" in errors
    assert names(tmp_path) == {"a.png", "a-bright.png", "b.png", "b-bright.png",
                               "c-bright.png", "c-bright-bright.png"}
    assert run("*.png", "--overwrite")[0] == 0
