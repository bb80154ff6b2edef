"""Pairing, reading, scenes, splits and batches, with every odd file we could think of."""
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from PIL import Image

import lowlight as ll
from conftest import LOL, ROOT


def photo(rng, *size):
    return rng.integers(0, 255, (*size, 3)).astype(np.uint8)


# ---- pairing

@pytest.mark.parametrize("low, normal", [
    ("low_light/1.png", "normal_light/1.png"), ("low/1.png", "high/1.png"),
    ("low/1.png", "normal/1.png"), ("input/1.png", "target/1.png"),
    ("deep/er/Low/1.png", "deep/er/Normal/1.png"), ("low/sub/1.png", "high/sub/1.png"),
    ("low/1.PNG", "high/1.webp"), ("low/x 1.jpg", "high/x 1.JPEG"),
    ("low/Nacht über Köln.png", "high/Nacht über Köln.png")])
def test_find_pairs_knows_the_usual_layouts(write_pair, low, normal):
    root = write_pair(low, normal)
    pair, = ll.find_pairs(root)
    assert pair.low == root / low and pair.normal == root / normal


def test_names_with_a_role_in_front_pair_up(write_pair):
    write_pair("Low/low00002.png", "Normal/normal00002.png")
    root = write_pair("Low/low00010.png", "Normal/normal00010.png")
    assert [pair.name for pair in ll.find_pairs(root)] == ["00002", "00010"]


def test_a_role_in_front_is_kept_where_it_tells_photos_apart(write_pair):
    write_pair("low/low1.png", "high/9.png")
    root = write_pair("low/1.png", "high/8.png")
    with pytest.raises(ValueError, match="4 problem"):
        ll.find_pairs(root)


def test_accents_written_in_two_ways_are_one_name(write_pair):
    root = write_pair("low/caf\u00e9.png", "high/cafe\u0301.png")
    assert len(ll.find_pairs(root)) == 1


def test_several_sets_keep_their_names_apart(write_pair):
    write_pair("a/low/1.png", "a/high/1.png")
    root = write_pair("b/low/1.png", "b/high/1.png")
    assert [pair.name for pair in ll.find_pairs(root)] == ["a/1", "b/1"]


def test_order_is_natural(write_pair):
    for number in (10, 9, 100):
        root = write_pair(f"low/{number}.png", f"high/{number}.png")
    assert [pair.name for pair in ll.find_pairs(root)] == ["9", "10", "100"]


def test_hidden_files_and_notes_are_passed_over(write_pair):
    root = write_pair("low/1.png", "high/1.png")
    for name in ("low/.DS_Store", "low/Thumbs.db", "high/notes.txt", ".hidden/low/2.png",
                 "low/.ipynb_checkpoints/1.png", "high/__MACOSX/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"nothing")
    assert len(ll.find_pairs(root)) == 1


def test_one_error_lists_all_that_is_wrong(write_pair, rng):
    top = write_pair("set/low/good.png", "set/high/good.png")
    root = top / "set"
    write_pair("set/low/orphan.png", "set/high/widow.png")
    write_pair("set/low/size.png", "set/high/size.png")
    ll.save_photo(root / "high/size.png", photo(rng, 20, 31))
    write_pair("set/low/twice.png", "set/high/twice.png")
    ll.save_photo(root / "low/twice.jpg", photo(rng, 20, 30))
    write_pair("set/low/empty.png", "set/high/empty.png")
    (root / "low/empty.png").write_bytes(b"")
    write_pair("set/low/text.png", "set/high/text.png")
    (root / "low/text.png").write_text("not a photo")
    write_pair("set/low/cut.jpg", "set/high/cut.jpg", (200, 200))
    (root / "high/cut.jpg").write_bytes((root / "high/cut.jpg").read_bytes()[:2000])
    write_pair("lonely/low/1.png", "lonely/elsewhere/1.png")
    with pytest.raises(ValueError) as error:
        ll.find_pairs(top)
    lines = str(error.value).splitlines()
    assert "8 problem(s)" in lines[0] and len(lines) == 9
    for name, remedy in (("low/orphan.png", "add it or remove"), ("high/widow.png", "add it"),
                         ("low/size.png", "30x20, its partner 31x20"),
                         ("twice.jpg", "keep one"), ("low/empty.png", "replace it"),
                         ("low/text.png", "replace it"), ("high/cut.jpg", "replace it"),
                         ("lonely/low", "normal_light")):
        assert any(name in line and remedy in line for line in lines), name


def test_missing_empty_and_half_folders(tmp_path):
    with pytest.raises(ValueError, match="no such folder.*DATASET"):
        ll.find_pairs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no photos; put the dark ones into low_light"):
        ll.find_pairs(tmp_path)
    (tmp_path / "low").mkdir()
    with pytest.raises(ValueError, match="no partner folder.*normal_light"):
        ll.find_pairs(tmp_path)
    (tmp_path / "high").mkdir()
    with pytest.raises(ValueError, match="no photos"):
        ll.find_pairs(tmp_path)


def test_locate_dataset(write_pair, tmp_path):
    assert ll.locate_dataset("some/where", tmp_path) == ll.Path("some/where")
    sample = ll.locate_dataset("auto", tmp_path)
    assert sample == tmp_path / "dataset/sample"
    assert len(list(sample.glob("low_light/*.png"))) == 27
    (sample / "low_light/coffee-1.png").unlink()        # cut off while it was written
    ll.locate_dataset("sample", tmp_path)
    assert len(ll.find_pairs(sample)) == 27
    write_pair("dataset/mine/low/1.png", "dataset/mine/high/1.png")
    assert ll.locate_dataset("auto", tmp_path) == tmp_path / "dataset/mine"
    assert ll.locate_dataset("sample", tmp_path) == sample
    write_pair("dataset/low/1.png", "dataset/high/1.png")
    assert ll.locate_dataset("auto", tmp_path) == tmp_path / "dataset"
    assert len(ll.find_pairs(tmp_path / "dataset")) == 1        # without the sample set


def test_a_broken_set_is_not_passed_over_for_the_sample(write_pair, tmp_path):
    write_pair("dataset/mine/low/1.png", "dataset/mine/hihg/1.png")
    folder = ll.locate_dataset("auto", tmp_path)
    with pytest.raises(ValueError, match="no partner folder"):
        ll.find_pairs(folder)


# ---- reading

def saved(tmp_path, image, name="photo.png", **options):
    image.save(tmp_path / name, **options)
    return ll.load_photo(tmp_path / name)


def test_every_mode_becomes_rgb(tmp_path, rng):
    colour = Image.fromarray(photo(rng, 8, 12))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        read = saved(tmp_path, colour.convert(mode))
        assert read.shape == (8, 12, 3) and read.dtype == np.uint8, mode
    assert np.array_equal(saved(tmp_path, colour), np.asarray(colour))
    for mode, name in (("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("YCbCr", "b.jpg"), ("LAB", "c.tif")):
        assert saved(tmp_path, colour.convert(mode), name).shape == (8, 12, 3), mode


def test_sixteen_bits_and_floats_are_scaled(tmp_path):
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        assert saved(tmp_path, Image.fromarray(levels), name)[0, :, 0].tolist() == [0, 1, 128, 255]
    floats = Image.fromarray(np.array([[0, 0.5, 1]], np.float32))
    assert saved(tmp_path, floats, "float.tif")[0, :, 1].tolist() == [0, 128, 255]


def test_alpha_is_dropped_not_blended(tmp_path):
    clear = Image.new("RGBA", (4, 4), (200, 100, 50, 0))
    assert (saved(tmp_path, clear) == [200, 100, 50]).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    assert (saved(tmp_path, palette, transparency=1) == [200, 100, 50]).all()


def test_exif_orientation_is_applied(tmp_path, rng):
    exif = Image.Exif()
    exif[0x0112] = 6                                        # camera turned: rotate 270
    image = Image.fromarray(photo(rng, 10, 20))
    read = saved(tmp_path, image, exif=exif)
    assert read.shape == (20, 10, 3) and np.array_equal(read, np.rot90(np.asarray(image), 3))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (ll.load_photo(tmp_path / "a.gif") == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(1, 1), (10, 20000)])
def test_extreme_shapes(tmp_path, rng, size):
    assert saved(tmp_path, Image.fromarray(photo(rng, *size))).shape == (*size, 3)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_photo_is_named(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match="bad.png.*(replace it|convert it)"):
        ll.load_photo(tmp_path / "bad.png")
    with pytest.raises(ValueError, match="gone.png"):
        ll.load_photo(tmp_path / "gone.png")


def test_heic_and_raw_say_how_to_convert(tmp_path):
    for name in ("a.HEIC", "b.dng"):
        (tmp_path / name).write_bytes(b"raw")
        with pytest.raises(ValueError, match=f"{name}.*export it as JPEG"):
            ll.load_photo(tmp_path / name)


def test_a_decompression_bomb_is_refused(tmp_path):
    def chunk(kind, data):
        import struct
        import zlib
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    header = (50000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="bomb.png.*refused.*scale it down"):
        ll.load_photo(tmp_path / "bomb.png")


# ---- writing

def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    ll.write_csv(path, [{"a": 1}])
    with pytest.raises(RuntimeError), ll.whole_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text().split() == ["a", "1"] and len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_is_named_with_the_remedy(tmp_path, rng):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file.*cannot be written.*choose another OUTPUT"):
        ll.save_photo(tmp_path / "file" / "photo.png", photo(rng, 5, 5))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    code = ("import resource, signal, sys, numpy as np, lowlight as ll\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "photo = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype('uint8')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
            "try:\n    ll.save_photo(sys.argv[1], photo)\n"
            "except OSError as error:\n    print('refused:', error)\n")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "big.png"], cwd=ROOT,
                          capture_output=True, text=True)
    assert "refused:" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


# ---- the camera model and the sample set

def test_darken_follows_the_camera_model(rng):
    level, stops, shot = 180, 3.0, 1e-3
    dark = ll.darken(np.full((400, 400, 3), level, np.uint8), stops, rng, shot)
    linear, expected = ll.to_linear(dark / 255), ll.to_linear(level / 255) / 2 ** stops
    assert linear.mean() == pytest.approx(expected, rel=0.01)
    read = np.exp(2.18 * np.log(shot) + 1.20)
    assert linear.var() == pytest.approx(shot * expected + read, rel=0.1)


def test_srgb_round_trip_and_known_value():
    encoded = np.arange(256) / 255
    assert np.allclose(ll.to_srgb(ll.to_linear(encoded)), encoded, atol=1e-7)
    assert ll.to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_sample_set_is_real_paired_and_repeatable(sample, tmp_path):
    assert len(sample) == 27 and len({pair.name.rsplit("-", 1)[0] for pair in sample}) == 9
    again = ll.write_sample_pairs(tmp_path, seed=0)
    assert all(np.array_equal(ll.load_photo(a.low), ll.load_photo(b.low))
               for a, b in zip(sample, again))
    other = ll.write_sample_pairs(tmp_path / "other", seed=1)
    assert not np.array_equal(ll.load_photo(sample[0].low), ll.load_photo(other[0].low))
    for pair in sample[::3]:                            # four stops, give or take a quarter
        low, normal = (ll.to_linear(ll.load_photo(path) / 255).mean() for path in pair[1:])
        assert 3.6 < np.log2(normal / low) < 4.4


# ---- scenes and splits

def test_scenes_of_the_sample_set(sample):
    names = [pair.name.rsplit("-", 1)[0] for pair in sample]
    scenes = ll.group_scenes(sample)
    assert len(set(scenes)) == 9 == len(set(zip(names, scenes)))


def test_a_scene_is_known_at_other_exposures_and_sizes(sample, tmp_path, rng):
    """Not what it was tuned on: brighter, darker, tinted, compressed, shifted, smaller."""
    def variants(normal):
        linear = ll.to_linear(normal / 255)
        yield normal
        yield ll.as_uint8(ll.to_srgb(np.clip(linear * 2, 0, 1)))        # a stop over, clipped
        yield ll.as_uint8(ll.to_srgb(linear / 4))
        yield ll.as_uint8(ll.to_srgb(np.clip(linear * [1.3, 1, 0.7], 0, 1)))
        yield np.asarray(Image.open(jpeg(normal)))
        yield normal[:-6, 6:]
        yield np.asarray(Image.fromarray(normal).resize((200, 150)))

    def jpeg(normal):
        buffer = io.BytesIO()
        Image.fromarray(normal).save(buffer, "JPEG", quality=30)
        return buffer
    pairs, truth = [], []
    for scene, pair in enumerate(sample[::3]):
        for number, normal in enumerate(variants(ll.load_photo(pair.normal))):
            path = tmp_path / f"{scene}-{number}.png"
            ll.save_photo(path, normal)
            pairs.append(ll.Pair(path.stem, path, path))
            truth.append(scene)
    scenes = ll.group_scenes(pairs)
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
        path = tmp_path / f"{number}.png"
        ll.save_photo(path, sky.clip(0, 255).astype(np.uint8))
        pairs.append(ll.Pair(path.stem, path, path))
    assert len(set(ll.group_scenes(pairs))) == 6


@pytest.mark.skipif(not (LOL / "scenes.json").is_file(),
                    reason="needs LOL and its scenes.json: dataset/lol, or $LOL")
def test_scenes_of_lol():
    truth = {name: number for number, group in enumerate(
        json.loads((LOL / "scenes.json").read_text())) for name in group}
    pairs = ll.find_pairs(LOL)
    assert len(pairs) == 485
    real = np.array([truth[pair.name] for pair in pairs])
    found = np.array(ll.group_scenes(pairs))
    upper = np.triu_indices(len(pairs), 1)
    same, joined = ((part[:, None] == part)[upper] for part in (real, found))
    assert (same & joined).sum() >= 0.97 * same.sum()
    assert (joined & ~same).sum() <= 20


@settings(max_examples=60, deadline=None)
@given(strategies.lists(strategies.integers(0, 12), min_size=3, max_size=60).filter(
    lambda scenes: len(set(scenes)) >= 3), strategies.integers(0, 2 ** 31),
    strategies.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)]))
def test_no_scene_is_on_two_sides(scenes, seed, fractions):
    pairs = [ll.Pair(str(number), number, number) for number in range(len(scenes))]
    parts = ll.split_pairs(pairs, fractions, seed, scenes)
    used = [{scenes[pair.low] for pair in part} for part in parts]
    assert all(used) and sum(map(len, used)) == len(set(scenes)) == len(set.union(*used))
    assert sorted(pair.low for part in parts for pair in part) == list(range(len(scenes)))
    assert parts == ll.split_pairs(pairs, fractions, seed, scenes)


def test_fractions_are_kept_on_a_large_set():
    scenes = [number // 2 for number in range(480)]
    pairs = [ll.Pair(str(number), number, number) for number in range(480)]
    assert [len(part) for part in ll.split_pairs(pairs, (0.8, 0.1, 0.1), 0, scenes)] == [
        384, 48, 48]


def test_too_few_scenes_are_refused():
    pairs = [ll.Pair(str(number), number, number) for number in range(4)]
    with pytest.raises(ValueError, match="2 scene.*add other scenes"):
        ll.split_pairs(pairs, scenes=[0, 0, 1, 1])


# ---- batches

def twin_pairs(tmp_path, rng, count=3, size=(64, 64)):
    """Pairs whose dark photo equals the bright one: any misalignment shows."""
    pairs = []
    for number in range(count):
        path = tmp_path / f"{number}.png"
        ll.save_photo(path, photo(rng, *size))
        pairs.append(ll.Pair(str(number), path, path))
    return pairs


def test_the_same_crop_flip_and_turn_on_both_and_on_the_thumbnail(tmp_path, rng):
    sequence = ll.PairSequence(twin_pairs(tmp_path, rng), crop=64, batch_size=8, steps=4)
    views = set()
    for (low, thumbnail), normal in (sequence[index] for index in range(4)):
        assert low.shape == normal.shape == (8, 64, 64, 3) and thumbnail.shape == (8, 64, 64, 3)
        assert low.dtype == normal.dtype == thumbnail.dtype == np.float32
        assert np.array_equal(low, normal)
        # a 64 x 64 photo is its own thumbnail, so it must be turned like its crop
        assert np.allclose(low, thumbnail, atol=1e-6)
        views |= {view.tobytes() for view in low}
    assert len(views) > 3                               # they were turned and flipped
    small = ll.PairSequence(twin_pairs(tmp_path, rng, size=(90, 70)), crop=32, steps=3)
    (low, _), normal = small[0]
    assert low.shape == (8, 32, 32, 3) and np.array_equal(low, normal)


def test_order_is_a_function_of_seed_and_epoch(tmp_path, rng):
    pairs = twin_pairs(tmp_path, rng, 5)
    first, second = (ll.PairSequence(pairs, 16, 4, 6, seed=7) for _ in range(2))
    second[3], second[1]                                # other calls change nothing
    assert np.array_equal(first[2][1], second[2][1])
    first.on_epoch_end()
    assert not np.array_equal(first[2][1], second[2][1])
    second.epoch = 1
    assert np.array_equal(first[2][1], second[2][1])
    other = ll.PairSequence(pairs, 16, 4, 6, seed=8, )
    assert not np.array_equal(other[2][1], ll.PairSequence(pairs, 16, 4, 6, seed=7)[2][1])


def test_every_photo_is_drawn_equally_often(tmp_path, rng):
    sequence = ll.PairSequence(twin_pairs(tmp_path, rng, 5), 16, 4, 5)
    drawn = [sequence.photo_number(position) for position in range(40)]
    assert np.bincount(drawn).tolist() == [8] * 5


def test_beyond_the_memory_budget_photos_are_read_again(tmp_path, rng):
    pairs = twin_pairs(tmp_path, rng, 4)
    each = 2 * 64 * 64 * 3 + 64 * 64 * 3 * 4
    tight = ll.PairSequence(pairs, 16, 4, 3, memory_gb=2.5 * each / 1e9)
    roomy = ll.PairSequence(pairs, 16, 4, 3)
    for index in range(3):
        assert np.array_equal(tight[index][1], roomy[index][1])
    assert len(tight.store.kept) == 2 and len(roomy.store.kept) == 4


def test_a_photo_smaller_than_the_crop_is_mirrored_out(tmp_path, rng):
    sequence = ll.PairSequence(twin_pairs(tmp_path, rng, 1, (5, 40)), 32, 2, 1)
    (low, _), normal = sequence[0]
    assert low.shape == (2, 32, 32, 3) and np.array_equal(low, normal)


def test_gamma_changes_the_dark_side_only(tmp_path, rng):
    pairs = twin_pairs(tmp_path, rng, 1)
    plain = ll.PairSequence(pairs, 64, 2, 1)
    varied = ll.PairSequence(pairs, 64, 2, 1, gamma=(0.5, 0.5))
    assert np.array_equal(plain[0][1], varied[0][1])
    for before, after in zip(plain[0][0], varied[0][0]):
        assert np.allclose(np.sqrt(before), after, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64), (130, 517)])
def test_thumbnail_is_the_mean_of_its_cells(rng, size):
    image = photo(rng, *size)
    thumbnail = ll.make_thumbnail(image)
    assert thumbnail.shape == (64, 64, 3) and thumbnail.dtype == np.float32
    rows, columns = (np.append(np.arange(64) * length // 64, length) for length in size)
    for y, x in ((0, 0), (20, 50), (63, 63)):
        cell = image[rows[y]:max(rows[y + 1], rows[y] + 1),
                     columns[x]:max(columns[x + 1], columns[x] + 1)]
        assert thumbnail[y, x] == pytest.approx(cell.mean((0, 1)) / 255, abs=1e-6)


def test_a_title_may_hold_any_file_name(tmp_path, rng):
    """Dollar signs are no formula, and a name in no encoding is no error."""
    figure = ll.Figure()
    photo = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    for axes, name in zip(figure.subplots(1, 2), ("IMG_$1_$2", "f\udcfcr")):
        ll.show_photo(axes, photo, name)
    ll.save_figure(figure, tmp_path / "names.png")
    ll.write_csv(tmp_path / "names.csv", [{"photo": "f\udcfcr"}])
    assert (tmp_path / "names.csv").read_text() == "photo\nf?r\n"
