"""Clips: same container, rate and sound; calm exposure; breaks and bad files named."""
from fractions import Fraction

import av
import numpy as np
import pytest

import enhance
import lowlight as ll

CODERS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx265", ".webm": "libvpx-vp9"}


def write_clip(path, frames=12, size=(48, 64), rate=24, sound=True, turned=0, title="",
               **colour):
    """A dark clip of a bright square that moves over a slope, with a tone."""
    quiet = {"x265-params": "log-level=none"} if path.suffix == ".mkv" else {}
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as file:
        video = file.add_stream(CODERS[path.suffix], rate=rate, options=quiet)
        file.metadata["title"] = title
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        for name, value in colour.items():
            setattr(video.codec_context, name, value)
        if turned:
            video.set_display_rotation(turned)
        tone = file.add_stream("libopus" if path.suffix == ".webm" else "aac",
                               rate=48000) if sound else None
        for number in range(frames):
            photo = np.full((*size, 3), np.linspace(8, 40, size[1])[:, None]).astype(np.uint8)
            photo[10:20, 2 * number:2 * number + 10] = 90
            frame = av.VideoFrame.from_ndarray(photo, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if tone:
            for start in range(0, 48000 * frames // rate - 960, 960):
                wave = np.sin(np.arange(start, start + 960) / 20, dtype=np.float32)[None]
                frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                frame.rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                file.mux(tone.encode(frame))
            file.mux(tone.encode(None))
    return path


def look(path):
    """(frames as uint8 RGB, their times, frame rate, sound packets as bytes) of a clip."""
    with av.open(str(path)) as file:
        rate = file.streams.video[0].average_rate
        frames = [(ll.upright(frame), frame.time) for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        sound = [bytes(packet) for packet in file.demux(audio=0)] if file.streams.audio else []
    return *zip(*frames), rate, sound


@pytest.mark.parametrize("suffix", CODERS)
def test_container_rate_times_and_sound_stay(tmp_path, random_model, suffix):
    source = write_clip(tmp_path / f"dark{suffix}")
    target = tmp_path / "out" / f"bright{suffix}"
    model = random_model()
    assert ll.enhance_clip(model, source, target).megapixels == pytest.approx(0.036864)
    before, after = look(source), look(target)
    assert len(after[0]) == 12 and after[1] == pytest.approx(before[1], abs=0.002)
    assert after[2] == before[2] and after[3] == before[3] and len(after[3]) > 10
    steady = ll.SteadyEnhancer(model, 24)
    wanted = [steady(frame) for frame in before[0]]
    for a, b in zip(wanted, after[0]):          # coded, so alike rather than equal
        assert np.abs(a.mean((0, 1)) - b.mean((0, 1))).max() < 6
    with av.open(str(target)) as file, av.open(str(source)) as first:
        assert file.format.name == first.format.name


def test_colours_survive_a_round_trip(tmp_path):
    """A clip copied with nothing done to it keeps its colours, tagged or not, at any size."""
    for number, (size, space) in enumerate((((48, 64), 2), ((720, 64), 2), ((48, 64), 1))):
        source = write_clip(tmp_path / f"{number}.mp4", 3, size, sound=False, colorspace=space)
        with av.open(str(source)) as inside, av.open(str(tmp_path / "copy.mp4"), "w") as copy:
            ll.run_copy(ll.ClipCopy(inside, copy, ll.first_frame(source)), lambda frame: frame)
        before, after = look(source)[0][1], look(tmp_path / "copy.mp4")[0][1]
        assert np.abs(before.mean((0, 1)) - after.mean((0, 1))).max() < 0.5


def test_a_plain_colour_is_read_as_it_is():
    picture = av.VideoFrame(64, 64, "yuv420p")
    for plane, value in zip(picture.planes, (100, 90, 180)):
        plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    assert np.abs(ll.upright(picture)[30, 30] - [181.0, 70.0, 21.0]).max() <= 1


def test_a_turned_clip_comes_out_upright(tmp_path, random_model):
    source = write_clip(tmp_path / "turned.mp4", 3, turned=90)
    ll.enhance_clip(random_model(), source, tmp_path / "out.mp4")
    assert look(tmp_path / "out.mp4")[0][0].shape == (64, 48, 3)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert next(file.decode(video=0)).rotation == 0


@pytest.mark.parametrize("coder, pixels", [("libx264", "yuv444p"), ("libsvtav1", "yuv420p")])
def test_odd_sizes_and_a_clip_without_sound(tmp_path, random_model, coder, pixels):
    frames = [np.full((65, 67, 3), 20 + number, np.uint8) for number in range(4)]
    with av.open(str(tmp_path / "odd.mkv"), "w") as file:
        video = file.add_stream(coder, rate=10)
        video.height, video.width, video.pix_fmt = 65, 67, pixels
        for photo in frames:
            file.mux(video.encode(av.VideoFrame.from_ndarray(photo, "rgb24")))
        file.mux(video.encode(None))
    ll.enhance_clip(random_model(), tmp_path / "odd.mkv", tmp_path / "out.mkv")
    result = look(tmp_path / "out.mkv")
    assert result[0][0].shape == (65, 67, 3) and len(result[0]) == 4 and result[3] == []


@pytest.mark.parametrize("suffix", CODERS)
def test_a_truncated_clip_is_enhanced_up_to_the_break(tmp_path, random_model, suffix):
    whole = write_clip(tmp_path / f"whole{suffix}", 96)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[:whole.stat().st_size * 6 // 10])
    target = tmp_path / f"out{suffix}"
    with pytest.raises(ValueError, match=f"cut{suffix}: breaks off after .* missing"):
        ll.enhance_clip(random_model(), cut, target)
    assert 10 < len(look(target)[0]) < 90


def test_bad_clips_through_the_command_line(tmp_path, random_model, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mkv").write_text("no clip")
    write_clip(folder / "hdr.mov", 2, color_trc=16)
    with av.open(str(folder / "sound.mp4"), "w") as file:
        tone = file.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 48000
        file.mux(tone.encode(frame) + tone.encode(None))
    write_clip(folder / "good.mp4", 3)
    random_model().save(tmp_path / "weights.keras")
    status = enhance.main([str(folder), "--out", str(tmp_path / "out"), "--weights",
                           str(tmp_path / "weights.keras"), "--brightness", "0.4"])
    printed, errors = capsys.readouterr()
    assert status == 1 and printed.startswith("1 files") and "4 failed" in printed
    assert "sound.mp4: no pictures" in errors
    assert "empty.mp4: not a readable clip" in errors and "text.mkv: not a" in errors
    assert "hdr.mov: an HDR clip" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.mp4"]
    assert ll.mean_luma(look(tmp_path / "out/good.mp4")[0][1]) == pytest.approx(0.4, abs=0.03)


def test_a_title_that_is_not_utf_8_is_no_obstacle(tmp_path, random_model):
    source = write_clip(tmp_path / "dark.mp4", 3, title="Caf?")
    data = source.read_bytes()
    assert data.count(b"Caf?") == 1
    source.write_bytes(data.replace(b"Caf?", "Café".encode("latin-1")))
    ll.enhance_clip(random_model(), source, tmp_path / "bright.mp4")
    assert len(look(tmp_path / "bright.mp4")[0]) == 3


def test_exposure_is_calm_and_starts_anew_at_a_cut(random_model, rng):
    model = random_model()
    calm, wild = ll.SteadyEnhancer(model, 25), ll.SteadyEnhancer(model, 25, seconds=0)
    scene = rng.integers(0, 40, (48, 64, 3)).astype(np.uint8)
    lamp = scene.copy()
    lamp[10:20, 10:20] = 120                    # changes the picture, is no cut
    other = rng.integers(60, 200, (48, 64, 3)).astype(np.uint8)
    for enhancer in (calm, wild):
        assert np.array_equal(enhancer(scene), ll.enhance(model, scene))
    assert np.array_equal(wild(lamp), ll.enhance(model, lamp))
    before, after = (ll.mean_luma(ll.enhance(model, frame)) / ll.mean_luma(frame)
                     for frame in (scene, lamp))
    gain = ll.mean_luma(calm(lamp)) / ll.mean_luma(lamp)
    assert abs(gain - before) < 0.2 * abs(after - before)      # it follows over a second
    assert np.array_equal(calm(other), ll.enhance(model, other))


def test_what_a_container_refuses_is_left_out_and_said(tmp_path, random_model):
    source = write_clip(tmp_path / "dark.mov", 4, sound=False)
    with av.open(str(source)) as inside, av.open(str(tmp_path / "sound.mov"), "w") as file:
        picture = file.add_stream_from_template(inside.streams.video[0])
        sound = file.add_stream("pcm_mulaw", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
        frame.rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        packets = [packet for packet in inside.demux() if packet.dts is not None]
        for packet in packets:
            packet.stream = picture
            file.mux(packet)
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    (tmp_path / "sound.mov").rename(tmp_path / "camera.mp4")
    done = ll.enhance_clip(random_model(), tmp_path / "camera.mp4", tmp_path / "out.mp4")
    assert "camera.mp4: its audio track cannot be kept" in done.note
    assert len(look(tmp_path / "out.mp4")[0]) == 4


def test_a_last_frame_that_stays_long_is_no_break(tmp_path, random_model):
    short = write_clip(tmp_path / "short.mp4", 4, rate=10, sound=False, max_b_frames=0)
    with av.open(str(short)) as inside, av.open(str(tmp_path / "screen.mp4"), "w") as file:
        stream = file.add_stream_from_template(inside.streams.video[0])
        packets = [packet for packet in inside.demux() if packet.dts is not None]
        last = max(packets, key=lambda packet: packet.pts)
        last.duration *= 30
        for packet in packets:
            packet.stream = stream
            file.mux(packet)
    ll.enhance_clip(random_model(), tmp_path / "screen.mp4", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.duration / 1e6 == pytest.approx(3.3, abs=0.1)


def test_one_damaged_packet_costs_no_more_than_itself(tmp_path, random_model):
    source = write_clip(tmp_path / "whole.mp4", 24)
    with av.open(str(source)) as file:
        packet = [packet for packet in file.demux(video=0) if packet.pos][12]
        place, size = packet.pos, packet.size
    content = bytearray(source.read_bytes())
    content[place:place + size] = bytes(size)
    (tmp_path / "hurt.mp4").write_bytes(content)
    done = ll.enhance_clip(random_model(), tmp_path / "hurt.mp4", tmp_path / "out.mp4")
    assert "hurt.mp4: 1 damaged packets passed over" in done.note
    assert len(look(tmp_path / "out.mp4")[0]) >= 20
    assert look(tmp_path / "out.mp4")[3] == look(source)[3]
