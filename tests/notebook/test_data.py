"""Pairing, reading, scenes, splits and batches, with every odd file."""
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import huge_png, write_photo
from lowlight import cnn, photo as tool


def noise(rng, *size, most=255):
    return rng.integers(0, most, (*size, 3)).astype(np.uint8)


@pytest.fixture
def write(tmp_path, rng):
    """write("low/a.png", "high/a.png"): photos of noise below tmp_path; returns it."""
    def write(*names, size=(20, 30)):
        for name in names:
            write_photo(tmp_path / name, noise(rng, *size))
        return tmp_path
    return write


# Pairing

@pytest.mark.parametrize("low, normal, name", [
    ("low_light/1.png", "normal_light/1.png", "1"), ("low/1.png", "high/1.png", "1"),
    ("low/1.png", "normal/1.png", "1"), ("input/1.png", "target/1.png", "1"),
    ("short/1.png", "long/1.png", "1"), ("dark/1.png", "GT/1.png", "1"),
    ("deep/er/Low/1.png", "deep/er/Normal/1.png", "deep/er/1"),
    ("low/sub/1.png", "high/sub/1.png", "sub/1"), ("low/1.PNG", "high/1.webp", "1"),
    ("low/x 1.jpg", "high/x 1.JPEG", "x 1"),
    ("Low/low00001.png", "Normal/normal00001.png", "00001"),
    ("low/low-light_7.png", "high/high_7.png", "7"), ("low/1_low.png", "high/1_high.png", "1"),
    ("low light/1.png", "Normal-Light/1.png", "1"), ("trainA/1.png", "trainB/1.png", "train/1"),
    ("train/lq/1.png", "train/gt/1.png", "train/1"), ("input/1.png", "label/1.png", "1"),
    ("input/a1.png", "expertC/a1.png", "a1"), ("Low/img_1.jpg", "High/IMG_1.JPG", "IMG_1"),
    ("Train/Set-Cap-Low/low1.png", "Train/Set-Cap-Normal/normal1.png", "Train/Set-Cap/1"),
    ("Set-Syn-Low_train/1.png", "Set-Syn-Normal_train/1.png", "Set-Syn train/1"),
    ("LOL-Low/1.png", "references/1.png", "1"), ("low_light/1.png", "high_light/1.png", "1"),
    ("Low Light Images/1.png", "Normal Light Images/1.png", "1"),
    ("train/INPUT_IMAGES/1.png", "train/GT_IMAGES/1.png", "train/1"),
    ("underexposed/1.png", "well_exposed/1.png", "1"), ("source/1.png", "target/1.png", "1"),
    ("input/a1.png", "expert_c/a1.png", "a1"), ("low/1.png", "high/0001.png", "0001"),
    ("low/dark-IMG_1.png", "high/bright-IMG_1.png", "bright-IMG_1"),
    ("low/p1 (low).png", "high/p1 (high).png", "p1"),
    ("low/Nacht über Köln.png", "high/Nacht über Köln.png", "Nacht über Köln"),
    ("low/caf\u00e9.png", "high/cafe\u0301.png", "caf\u00e9"),
    ("my/7_low.png", "my/7_high.png", "my/7"), ("low_7.jpg", "normal_7.png", "7")])
def test_the_usual_layouts(write, low, normal, name):
    root = write(low, normal)
    assert cnn.find_pairs(root) == [cnn.Pair(name, root / low, root / normal)]


@pytest.mark.parametrize("lows, normal", [
    (("low/7_1.png", "low/7_2.png"), "gt/7.png"),
    (("short/7_00_0.04s.png", "short/7_00_0.1s.png"), "long/7_00_10s.png"),
    (("Part1/7/1.png", "Part1/7/2.png"), "Part1/Label/7.png"),
    (("low/7/1.png", "low/7/2.png"), "gt/7.png"),
    (("short/7_00_0.1s.png", "short/7_01_0.1s.png"), "long/7_00_10s.png"),
    (("input/a7_0.png", "input/a7_N1.5.png"), "gt/a7.png")])
def test_several_exposures_of_one_scene_share_a_bright_photo(write, lows, normal):
    pairs = cnn.find_pairs(write(*lows, normal))
    assert {pair.low.name for pair in pairs} == {Path(low).name for low in lows}
    assert {pair.normal.name for pair in pairs} == {Path(normal).name}
    assert len({pair.name for pair in pairs}) == 2


def test_exposures_with_partners_of_their_own_keep_them(write):
    root = write("low/7_1.png", "low/7_2.png", "high/7_1.png", "high/7_2.png")
    assert [pair.name for pair in cnn.find_pairs(root)] == ["7_1", "7_2"]


@pytest.mark.parametrize("train, test", [
    (("train_low", "train_high"), ("test_low", "test_high")),
    (("low_train", "high_train"), ("low_test", "high_test")),
    (("trainA", "trainB"), ("testA", "testB")), (("Cap-Low", "Cap-Normal"), ("Syn-Low", "Syn-Normal"))])
def test_folders_of_two_sets_side_by_side_stay_apart(write, train, test):
    root = write(*(f"{folder}/{number}.png" for folder in train + test for number in (1, 2)))
    pairs = cnn.find_pairs(root)
    assert len({pair.name for pair in pairs}) == 4
    assert ({(pair.low.parent.name, pair.normal.parent.name) for pair in pairs}
            == {train, test})


def test_zeros_tell_photos_apart_where_both_have_partners(write):
    root = write("low/1.png", "low/01.png", "high/1.png", "high/01.png")
    assert {pair.name for pair in cnn.find_pairs(root)} == {"1", "01"}


def test_many_orphans_are_counted_and_the_nearest_name_is_told(write):
    root = write(*(f"low/night{number:03}.png" for number in range(40)), "high/nigth007.png")
    with pytest.raises(ValueError) as error:
        cnn.find_pairs(root)
    lines = str(error.value).splitlines()
    assert len(lines) == 7
    assert "36 more photos have no partner" in lines[-1]
    assert "the nearest name is nig" in str(error.value)


def test_sets_keep_their_names_apart_in_natural_order(write):
    for number in (10, 9, 100):
        root = write(f"b/low/{number}.png", f"b/high/{number}.png")
    write("a/low/1.png", "a/high/1.png")
    assert [pair.name for pair in cnn.find_pairs(root)] == ["a/1", "b/9", "b/10", "b/100"]


def test_hidden_files_and_notes_are_passed_over(write):
    root = write("low/1.png", "high/1.png")
    for name in ("low/.DS_Store", "low/Thumbs.db", "high/notes.txt", ".hidden/low/2.png",
                 "low/.ipynb_checkpoints/1.png", "__MACOSX/low/1.png", "high/__x.png",
                 "low/@eaDir/1.png/SYNO.png", "#recycle/high/2.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"nothing")
    assert len(cnn.find_pairs(root)) == 1


def test_files_of_other_kinds_are_passed_over_in_one_line(write, capsys):
    root = write("low/1.png", "high/1.png")
    (root / "low/report.docx").write_bytes(b"PK")
    assert len(cnn.find_pairs(root)) == 1
    out = capsys.readouterr().out
    assert out == f"{root}: passed over 1 file(s) of other kinds, such as low/report.docx\n"


def test_one_error_lists_all_that_is_wrong(write, rng):
    top = write("set/low/good.png", "set/high/good.png", "set/low/orphan.png",
                "set/high/widow.png", "set/low/size.png", "set/low/twice.png",
                "set/low/twice.jpg", "set/high/twice.png", "set/high/empty.png",
                "set/high/text.png", "set/low/cut.jpg", "set/high/cut.jpg",
                "set/low/low1.png", "set/low/1.png", "set/high/1.png",
                "lonely/low/1.png", "lonely/elsewhere/1.png")
    root = top / "set"
    write_photo(root / "high/size.png", noise(rng, 20, 31))
    (root / "low/empty.png").write_bytes(b"")
    (root / "low/text.png").write_text("not a photo")
    for side in ("low", "high"):
        write_photo(root / side / "cut.jpg", noise(rng, 200, 200))
    (root / "high/cut.jpg").write_bytes((root / "high/cut.jpg").read_bytes()[:2000])
    with pytest.raises(ValueError) as error:
        cnn.find_pairs(top)
    lines = str(error.value).splitlines()
    assert "9 problem(s)" in lines[0] and len(lines) == 10
    for name, remedy in (("low/orphan.png", "add it or remove"), ("high/widow.png", "add it"),
                         ("low/size.png", "30x20, its partner 31x20"), ("twice", "keep one"),
                         ("low1.png", "keep one"), ("low/empty.png", "replace it"),
                         ("low/text.png", "replace it"), ("high/cut.jpg", "replace it"),
                         ("lonely/low/1.png", "normal_light")):
        assert any(name in line and remedy in line for line in lines), name


def test_missing_empty_and_half_folders(write, tmp_path):
    with pytest.raises(ValueError, match="no such folder; set DATASET"):
        cnn.find_pairs(tmp_path / "nowhere")
    (tmp_path / "low").mkdir()
    with pytest.raises(ValueError, match="no pairs; put the dark photos into low_light"):
        cnn.find_pairs(tmp_path)
    write("high/1.png")
    with pytest.raises(ValueError, match="high/1.png: has no partner .* low_light"):
        cnn.find_pairs(tmp_path)


def test_locate_dataset(write, tmp_path, monkeypatch):
    monkeypatch.setattr(cnn, "SAMPLE_PHOTOS", cnn.SAMPLE_PHOTOS[1:2])
    sample = tmp_path / "dataset/sample"
    assert cnn.locate_dataset("some/where", tmp_path) == Path("some/where")
    assert cnn.locate_dataset("auto", tmp_path) == sample
    next(sample.glob("low_light/*")).unlink()           # cut off while it was written
    assert cnn.locate_dataset("sample", tmp_path) == sample
    assert len(cnn.find_pairs(sample)) == 3
    write("dataset/dark.png")                           # a photo, not a data set
    assert cnn.locate_dataset("auto", tmp_path) == sample
    write("dataset/mine/low/1.png", "dataset/mine/hihg/1.png")
    mine = cnn.locate_dataset("auto", tmp_path)         # broken, but not passed over
    assert mine == tmp_path / "dataset/mine"
    with pytest.raises(ValueError, match="no partner"):
        cnn.find_pairs(mine)
    assert cnn.locate_dataset("sample", tmp_path) == sample
    write("dataset/low-light/a/low/1.png", "dataset/low-light/a/high/1.png")
    assert cnn.locate_dataset("auto", tmp_path) == tmp_path / "dataset/low-light"
    write("dataset/low/1.png", "dataset/high/1.png")
    assert cnn.locate_dataset("auto", tmp_path) == tmp_path / "dataset"


def test_photos_without_partners_stay_in_their_part(write, tmp_path):
    names = [f"trip {number % 3}/{number}.png" for number in range(120)]
    before = cnn.find_clean(write(*names[:80]))
    after = cnn.find_clean(write(*names[80:]))
    for part, more in zip(before, after):
        assert set(part) < set(more) and all(pair.low is None for pair in part)
    assert sum(map(len, after)) == len(set(sum(after, []))) == 120
    assert all(6 <= len(part) <= 18 for part in after[1:])
    tested, trained = after[2][0], after[0][0]
    shutil.copy(tested.normal, trained.normal)          # the test keeps its scene
    parts = cnn.find_clean(tmp_path)
    assert parts[1:] == after[1:] and parts[0] == after[0][1:]
    (tmp_path / "no.jpg").write_text("no photo")
    with pytest.raises(ValueError, match="no.jpg: not a readable photo"):
        cnn.find_clean(tmp_path)
    with pytest.raises(ValueError, match="too few photos; set CLEAN"):
        cnn.find_clean(tmp_path / "trip 0/nothing here")


# Reading

def saved(tmp_path, image, name="photo.png", **options):
    image.save(tmp_path / name, **options)
    return cnn.load_photo(tmp_path / name)


def test_every_mode_of_8_bits_becomes_rgb(tmp_path, rng):
    colour = Image.fromarray(noise(rng, 8, 12))
    assert np.array_equal(saved(tmp_path, colour), np.asarray(colour))
    for mode in ("1", "L", "LA", "P", "RGBA"):
        read = saved(tmp_path, colour.convert(mode))
        assert np.array_equal(read, np.asarray(colour.convert(mode).convert("RGB"))), mode
    for mode, name in (("CMYK", "a.jpg"), ("YCbCr", "b.jpg"), ("CMYK", "a.tif")):
        assert saved(tmp_path, colour.convert(mode), name).shape == (8, 12, 3), mode
    for size in ((1, 1), (10, 20000)):
        assert saved(tmp_path, Image.fromarray(noise(rng, *size))).shape == (*size, 3)


def test_photos_are_upright_and_animations_their_first_frame(tmp_path, rng):
    exif, photo = Image.Exif(), noise(rng, 10, 20)
    exif[0x0112] = 6                                        # camera turned
    read = saved(tmp_path, Image.fromarray(photo), exif=exif)
    assert np.array_equal(read, np.rot90(photo, 3))
    odd = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack(       # a resolution of -1 / 0
        "<HHHIIHHII4xii", 2, 0x112, 3, 1, 6, 0x11A, 10, 1, 38, -1, 0)
    read = saved(tmp_path, Image.fromarray(photo), "odd.jpg", exif=odd)
    assert read.shape == (20, 10, 3)
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (cnn.load_photo(tmp_path / "a.gif") == [255, 0, 0]).all()


@pytest.mark.parametrize("levels", [np.uint16([[0, 65535]]), np.float32([[0, 1]]),
                                    np.int32([[0, 70000]])])
def test_more_than_8_bits_are_refused_not_clipped(tmp_path, levels):
    with pytest.raises(ValueError, match="deep.tif.*more than 8 bits.*convert it"):
        saved(tmp_path, Image.fromarray(levels), "deep.tif")


@pytest.mark.parametrize("content", [
    None, b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", huge_png()],
    ids=["missing", "empty", "text", "png", "jpeg", "bomb"])
def test_what_is_no_photo_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match="bad.png: not a readable photo.*replace it"):
        cnn.load_photo(tmp_path / "bad.png")


def test_a_title_may_hold_any_file_name(tmp_path, rng):
    """Dollar signs are no formula, and a name in no encoding is no error."""
    photos = [(name, noise(rng, 8, 8)) for name in ("IMG_$1_$2", "f\udcfcr")]
    cnn.save_figure(cnn.photo_grid(photos, 3), tmp_path / "new/names.png")
    assert cnn.load_photo(tmp_path / "new/names.png").shape[2] == 3


def test_a_photo_that_is_thin_and_tall_is_drawn_small(rng):
    figure = cnn.photo_grid([("", noise(rng, 20000, 10))], 5)
    assert figure.get_size_inches()[1] < 10


# The camera model and the sample set

def test_srgb_round_trip_and_known_value():
    encoded = np.arange(256) / 255
    assert np.allclose(cnn.to_srgb(cnn.to_linear(encoded)), encoded, atol=1e-7)
    assert cnn.to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_underexposing_follows_the_camera_model(rng):
    """Linear light falls by the stops; the variance is shot noise and read noise."""
    level, stops, shot = 180, 3.0, 1e-3
    dark = cnn.underexpose(np.full((400, 400, 3), level, np.uint8), rng, stops, shot)
    linear = cnn.to_linear(dark / 255)
    expected = cnn.to_linear(np.array(level / 255)) / 2 ** stops
    assert linear.mean() == pytest.approx(expected, rel=0.01)
    read = np.exp(2.18 * np.log(shot) + 1.20)
    assert linear.var() == pytest.approx(shot * expected + read, rel=0.05)
    photo = noise(rng, 16, 16)
    assert np.array_equal(cnn.underexpose(photo, rng, 0, shot=1e-12), photo)


def test_the_sample_set_is_real_paired_and_repeatable(sample, tmp_path, monkeypatch):
    assert len(sample) == 27 and len({pair.name.rsplit("-", 1)[0] for pair in sample}) == 9
    for pair in sample[::3]:                            # four stops, give or take a quarter
        low, normal, _ = cnn.load_pair(pair)
        light = [cnn.to_linear(photo[::3, ::3] / 255).mean() for photo in (normal, low)]
        assert 3.6 < np.log2(light[0] / light[1]) < 4.4
    monkeypatch.setattr(cnn, "SAMPLE_PHOTOS", ("camera.png",))
    one, same, other = (cnn.load_photo(cnn.write_sample_pairs(
        tmp_path / name, seed, draws=1)[0].low) for name, seed in (("1", 0), ("2", 0), ("3", 1)))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


# Scenes and splits

def test_scenes_of_the_sample_set(sample):
    names = [pair.name.rsplit("-", 1)[0] for pair in sample]
    assert len(set(cnn.group_scenes(sample))) == 9 == len(set(zip(
        names, cnn.group_scenes(sample))))
    assert cnn.group_scenes([]) == []


def test_a_scene_is_known_at_other_exposures_and_sizes(tmp_path):
    """Not what it was tuned on: brighter, darker, tinted, compressed, shifted, smaller."""
    def exposed(normal, gain):
        return cnn.as_uint8(cnn.to_srgb(np.clip(cnn.to_linear(normal / 255) * gain, 0, 1)))

    pairs, truth = [], []
    for scene, source in enumerate(cnn.sample_photos()):
        normal = cnn.load_photo(source)[::2, ::2]
        small = np.asarray(Image.fromarray(normal).resize((100, 75)))
        variants = [normal, exposed(normal, 2), exposed(normal, 0.25), normal[:-3, 3:],
                    exposed(normal, np.array([1.3, 1, 0.7])), small]
        paths = [write_photo(tmp_path / f"{scene}-{number}.png", variant)
                 for number, variant in enumerate(variants)]
        paths.append(tmp_path / f"{scene}.jpg")
        Image.fromarray(normal).save(paths[-1], quality=30)
        pairs += [cnn.Pair(path.stem, path, path) for path in paths]
        truth += [scene] * len(paths)
    scenes = cnn.group_scenes(pairs)
    assert len(set(zip(truth, scenes))) == 9 == len(set(scenes))


def test_skies_of_other_places_are_other_scenes(tmp_path, rng):
    """A smooth gradient over different ground is no reason to join two photos."""
    pairs = []
    for number in range(6):
        sky = np.linspace(230, 60, 200)[:, None, None] * np.ones((1, 300, 3))
        sky += rng.normal(0, 2, sky.shape)
        for _ in range(12):                             # some houses on the horizon
            top, left = rng.integers(110, 180), rng.integers(0, 280)
            sky[top:, left:left + rng.integers(10, 60)] = rng.integers(0, 120)
        path = write_photo(tmp_path / f"{number}.png", sky.clip(0, 255).astype(np.uint8))
        pairs.append(cnn.Pair(path.stem, path, path))
    assert len(set(cnn.group_scenes(pairs))) == 6


def test_scenes_are_the_same_in_blocks(sample):
    assert cnn.group_scenes(sample, block=4) == cnn.group_scenes(sample)


def numbered(count):
    return [cnn.Pair(str(number), number, number) for number in range(count)]


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)])
@pytest.mark.parametrize("seed", range(4))
def test_no_scene_is_in_two_parts(seed, fractions):
    rng = np.random.default_rng(seed)
    scenes = [0, 1, 2, *rng.integers(0, rng.integers(3, 14), rng.integers(0, 60))]
    pairs = numbered(len(scenes))
    parts = cnn.split_pairs(pairs, fractions, seed, scenes)
    used = [{scenes[pair.low] for pair in part} for part in parts]
    assert all(used) and sum(map(len, used)) == len(set(scenes)) == len(set.union(*used))
    assert sorted(pair.low for part in parts for pair in part) == list(range(len(scenes)))
    assert len(set(scenes)) < 8 or min(map(len, used)) >= 2
    assert parts == cnn.split_pairs(pairs, fractions, seed, scenes)


def test_fractions_of_a_split():
    pairs, scenes = numbered(480), [number // 2 for number in range(480)]
    for fractions, lengths in (((0.8, 0.1, 0.1), [384, 48, 48]), ((1, 0, 0), [480, 0, 0]),
                               ((0.9, 0.1, 0), [432, 48, 0])):
        assert [*map(len, cnn.split_pairs(pairs, fractions, 0, scenes))] == lengths
    assert cnn.split_pairs([], scenes=[]) == ([], [], [])
    with pytest.raises(ValueError, match="2 scene.*add other scenes"):
        cnn.split_pairs(numbered(4), scenes=[0, 0, 1, 1])


@pytest.mark.parametrize("fractions, lengths", [
    ((1, 0, 0), [1, 0, 0]), ((0.8, 0.2, 0), [1, 1, 0]), ((0.8, 0, 0.2), [1, 0, 1])])
def test_only_parts_that_are_wanted_need_a_scene(fractions, lengths):
    pairs = [cnn.Pair(str(number), None, Path("x")) for number in range(sum(lengths))]
    parts = cnn.split_pairs(pairs, fractions, 0, range(len(pairs)))
    assert [*map(len, parts)] == lengths
    with pytest.raises(ValueError, match="add other scenes"):
        cnn.split_pairs(pairs, (0.8, 0.1, 0.1), 0, range(len(pairs)))


# Thumbnails and batches

@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64), (130, 517), (1, 3000)])
def test_a_thumbnail_holds_the_means_of_its_cells(rng, size):
    photo = noise(rng, *size)
    thumbnail = cnn.make_thumbnail(photo)
    assert thumbnail.shape == (64, 64, 3) and thumbnail.dtype == np.float32
    assert np.array_equal(thumbnail, tool.make_thumbnail(photo))
    rows, columns = (np.append(np.arange(64) * length // 64, length) for length in size)
    for y, x in ((0, 0), (20, 50), (63, 63)):
        cell = photo[rows[y]:max(rows[y + 1], rows[y] + 1),
                     columns[x]:max(columns[x + 1], columns[x] + 1)]
        assert thumbnail[y, x] == pytest.approx(cell.mean((0, 1)) / 255, abs=1e-6)


def twins(tmp_path, photos):
    """Pairs whose dark photo equals the bright one: any misalignment shows."""
    paths = [write_photo(tmp_path / f"{number}.png", photo)
             for number, photo in enumerate(photos)]
    return [cnn.Pair(path.stem, path, path) for path in paths]


def pair_batches(pairs, **options):
    """A PairSequence of pairs alone."""
    return cnn.PairSequence([cnn.PairCrops(pairs)], **options)


def test_both_photos_thumbnail_and_window_are_turned_alike(tmp_path, rng):
    """A photo of 64 x 64 is its own thumbnail, and the crop is cut out of it there."""
    pairs, views = twins(tmp_path, [noise(rng, 64, 64) for _ in range(3)]), set()
    for index in range(3):
        (low, thumbnail, window), normal = pair_batches(pairs, crop=24, steps=3)[index]
        assert low.dtype == thumbnail.dtype == window.dtype == normal.dtype == np.float32
        assert low.shape == normal.shape == (8, 24, 24, 3) and window.shape == (8, 4)
        assert np.array_equal(low, normal)
        for crop, whole, place in zip(low, thumbnail, window):
            top, left, bottom, right = np.round(place * 64).astype(int)
            assert np.allclose(whole[top:bottom, left:right], crop, atol=1e-5)
        views |= {view.tobytes() for view in thumbnail}
    assert len(views) > 12                              # 3 photos, 8 ways to turn each


def test_a_crop_comes_with_the_thumbnail_of_its_whole_photo(tmp_path):
    """Of a photo that is black on the left and grey on the right."""
    photo = np.zeros((100, 160, 3), np.uint8)
    photo[:, 80:] = 120
    (low, thumbnail, _), _ = pair_batches(twins(tmp_path, [photo]), crop=16, steps=1)[0]
    assert thumbnail.mean((1, 2, 3)) == pytest.approx([60 / 255] * 8, rel=1e-4)
    assert np.ptp(low.mean((1, 2, 3))) > 0.2            # the crops are not whole photos


def test_batches_follow_from_seed_and_epoch(tmp_path, rng):
    pairs = twins(tmp_path, [noise(rng, 30, 40) for _ in range(5)])
    clean = [pair._replace(low=None) for pair in pairs[3:]]

    def sequence(seed=7):
        sources = [cnn.PairCrops(pairs[:3]), cnn.DarkenedCrops(clean)]
        return cnn.PairSequence(sources, 16, 4, 6, seed)

    def equal(one, other):
        return all(map(np.array_equal, (*one[0], one[1]), (*other[0], other[1])))
    first, second = sequence(), sequence()
    second[3], second[1]                                # other calls change nothing
    assert equal(first[2], second[2]) and not equal(first[2], first[3])
    first.on_epoch_end()
    assert not equal(first[2], second[2])
    second.epoch = 1                                    # as a resumed run sets it
    assert equal(first[2], second[2]) and not equal(sequence()[2], sequence(8)[2])


def test_each_photo_is_drawn_equally_often_and_sources_take_turns(tmp_path, rng):
    flat = [np.full((20, 20, 3), 40 * number, np.uint8) for number in range(1, 6)]
    pairs = cnn.PairCrops(twins(tmp_path / "pairs", flat))
    others = cnn.PairCrops(twins(tmp_path / "others", [noise(rng, 20, 20) for _ in range(2)]))
    sequence = cnn.PairSequence([pairs, others], 16, 4, 5)
    crops = np.concatenate([sequence[index][1] for index in range(5)])
    levels = (crops[::2] * 255).round().astype(int)     # the other half is noise
    assert (np.ptp(levels, (1, 2, 3)) == 0).all() and (np.ptp(crops[1::2], (1, 2, 3)) > 0.1).all()
    assert sorted(levels[:, 0, 0, 0]) == sorted([40, 80, 120, 160, 200] * 2)


def test_a_photo_smaller_than_the_crop_fits_all_the_same(tmp_path, rng):
    pairs = twins(tmp_path, [noise(rng, 5, 40)])
    darkened = cnn.DarkenedCrops([pairs[0]._replace(low=None)])
    for source in (cnn.PairCrops(pairs), darkened):
        (low, _, window), normal = cnn.PairSequence([source], 64, 2, 1)[0]
        assert low.shape == normal.shape == (2, 64, 64, 3)
        assert window.min() >= 0 and window.max() <= 1


def test_without_the_package_clean_says_how_to_get_it(monkeypatch, tmp_path, rng):
    pairs = twins(tmp_path, [noise(rng, 20, 20)])
    monkeypatch.setitem(sys.modules, "lowlight.camera", None)       # cannot be imported
    monkeypatch.delattr("lowlight.camera", raising=False)
    with pytest.raises(ValueError, match="pip install"):
        cnn.DarkenedCrops(pairs)


def test_photos_are_kept_while_they_fit():
    loaded = []

    def load(path):
        loaded.append(path)
        return [np.zeros((10, 10, 3), np.uint8)]
    photos = cnn.PhotoCache(load, limit=700)
    for path in "abab":
        photos[path]
    assert loaded == ["a", "b"]
    for path in "cc":
        photos[path]
    assert loaded == ["a", "b", "c", "c"]


def test_whole_photos_are_each_there_once_and_always_the_same(tmp_path, rng):
    sizes = ((40, 60), (40, 60), (40, 50), (30, 60), (40, 60))
    pairs = twins(tmp_path, [noise(rng, *size) for size in sizes])
    pairs[4] = pairs[4]._replace(low=None)              # to be darkened
    whole, again = (cnn.WholePhotos(pairs) for _ in range(2))
    assert sorted(pair.name for pair in whole.pairs) == list("01234")
    for index, pair in enumerate(whole.pairs):
        (low, thumbnail, window), normal = whole[index]
        assert np.array_equal(low, again[index][0][0])
        inner = (0, slice(cnn.MARGIN, -cnn.MARGIN), slice(cnn.MARGIN, -cnn.MARGIN))
        if pair.low:
            assert np.array_equal(normal[inner], cnn.load_photo(pair.normal) / np.float32(255))
        assert np.array_equal(thumbnail[0], cnn.make_thumbnail(cnn.as_uint8(low[inner])))
        height, width = low[inner].shape[:2]
        assert window[0] * [height, width, height, width] == pytest.approx(
            [-32, -32, height + 32, width + 32], abs=1e-3)


def test_fit_validates_on_three_sizes(tmp_path, rng):
    """On TensorFlow, Keras learns from the first two photos which sides vary."""
    pairs, columns = (twins(tmp_path / name, [noise(rng, *size) for size in sizes])
                      for name, sizes in (
                          ("both", ((20, 30), (20, 30), (20, 26), (18, 30))),
                          ("widths only", ((20, 30), (20, 26), (20, 9)))))
    model = cnn.build_model((8,))
    model.compile("sgd", cnn.LOSSES["l1_ssim"], jit_compile=False)
    history = model.fit(pair_batches(pairs, crop=16, batch_size=1, steps=1), epochs=2,
                        validation_data=cnn.WholePhotos(pairs), verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.isfinite(model.evaluate(cnn.WholePhotos(columns), verbose=0))
