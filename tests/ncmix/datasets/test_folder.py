"""A user's own pictures: `train/<class>/*` and `test/<class>/*` in a folder the operator registered under a name."""

import os
import shutil
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from ncmix import datasets, memory
from ncmix.datahome import DataHome
from ncmix.datasets import cache
from ncmix.datasets.pictures import in_memory
from ncmix.datasets.raw import channel_statistics
from ncmix.spec import ImageFolder, Imbalance


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def home(tmp_path, generator):
    """Three colour pictures of cats and dogs to train on, two to test; 10 wide and 8 high."""
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for i in range(count):
                save(tmp_path / "pets" / split / name / f"{i}.png", generator.integers(0, 256, (8, 10, 3), np.uint8))
    return DataHome(tmp_path / "data", {"pets": tmp_path / "pets"})


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def load(home, **fields):
    return datasets.load(ImageFolder(name="pets", **fields), home, torch.device("cpu"), 0)


def kept(home):
    """The files of the cache; the lock beside them is hidden."""
    return sorted(file for file in (home.root / "cache").iterdir() if not file.name.startswith("."))


def pixels(path):
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


def rewrite_with_old_clock(path, content):
    """Change a file's bytes, not its name, size or time."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_classes_are_folders_in_alphabetical_order(home):
    pets = load(home)
    assert pets.classes == ("cat", "dog")
    assert pets.shape == (3, 8, 10)
    assert pets.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert pets.test.y.tolist() == [0, 0, 1, 1]
    assert np.array_equal(pets.train.x[4].numpy(), pixels(home.folders["pets"] / "train" / "dog" / "1.png"))
    assert np.array_equal(pets.test.x[0].numpy(), pixels(home.folders["pets"] / "test" / "cat" / "0.png"))


def test_pictures_are_decoded_once(home):
    first = load(home)
    before = [(file, file.stat().st_mtime_ns) for file in kept(home)]
    picture = home.folders["pets"] / "train" / "cat" / "0.png"
    rewrite_with_old_clock(picture, b"x" * picture.stat().st_size)  # would fail if it were read again
    again = load(home)
    assert [(file, file.stat().st_mtime_ns) for file in kept(home)] == before
    assert torch.equal(again.train.x, first.train.x)
    assert torch.equal(again.test.y, first.test.y)
    assert again.classes == first.classes


@pytest.mark.parametrize("change", ["touched", "renamed", "added", "removed"])
def test_a_changed_folder_is_decoded_again(home, change, generator):
    load(home)
    picture = home.folders["pets"] / "train" / "cat" / "0.png"
    match change:
        case "touched":
            os.utime(picture, ns=(0, 0))
        case "renamed":
            picture.rename(picture.with_name("z.png"))
        case "added":
            save(picture.with_name("9.png"), generator.integers(0, 256, (8, 10, 3), np.uint8))
        case "removed":
            picture.unlink()
    load(home)
    assert len(kept(home)) == 4


def test_each_size_has_its_own_cache(home):
    assert load(home, image_size=8).shape == (3, 8, 8)
    assert load(home, image_size=4).shape == (3, 4, 4)


def test_a_damaged_cache_is_replaced(home):
    first = load(home)
    for file in kept(home):
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], content[:300] + b"?" + content[301:], b""):
            file.write_bytes(damaged)
            assert torch.equal(load(home).train.x, first.train.x)
            assert file.read_bytes() == content


@pytest.mark.parametrize("colours", [1, 3], ids=["gray", "colour"])
def test_what_is_kept_on_disk_is_what_would_be_in_memory(home, generator, colours):
    for picture in home.folders["pets"].rglob("*.png"):
        save(picture, generator.integers(0, 256, (8, 10) if colours == 1 else (8, 10, 3), np.uint8))
    fresh, again = load(home), load(home)
    paths = sorted((home.folders["pets"] / "train").rglob("*.png"))
    for data in (fresh, again):
        assert data.shape == (colours, 8, 10)
        assert np.array_equal(data.train.x.numpy(), in_memory(paths, None))
        mean, std = channel_statistics(data.train.x)
        assert torch.equal(data.mean, mean)
        assert torch.equal(data.std, std)
    assert np.load(kept(home)[0]).shape == (10, colours, 8, 10)


def test_a_cache_is_used_where_nothing_can_be_written(home, monkeypatch):
    load(home)
    monkeypatch.setattr(cache, "alone", lambda _: pytest.fail("a lock is a file that is written"))
    assert len(load(home).train) == 6


def test_what_a_killed_process_left_is_overwritten(home):
    load(home)
    pixels_file, facts = kept(home)
    whole = pixels_file.read_bytes()
    facts.unlink()
    pixels_file.rename(pixels_file.with_suffix(".part"))
    pixels_file.with_suffix(".part").write_bytes(whole + whole)
    assert len(load(home).train) == 6
    assert kept(home) == [pixels_file, facts]
    assert pixels_file.read_bytes() == whole


def test_a_disk_without_room_is_known_before_a_picture_is_read(home, monkeypatch):
    full = shutil.disk_usage(home.folders["pets"])._replace(free=2000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.warns(UserWarning, match="cannot be kept in .*and the disk has 0.0 GB free"):
        assert len(load(home).train) == 6
    assert kept(home) == []


def test_without_a_place_for_the_cache_the_data_still_load(home):
    home.root.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be kept in"):
        assert len(load(home).train) == 6


def test_two_loading_at_once_leave_one_whole_cache(home):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(f.train.x, found[0].train.x) for f in found)
    assert len(kept(home)) == 2


def test_pictures_of_different_sizes_are_named_unless_a_size_is_given(home, generator):
    odd = save(home.folders["pets"] / "test" / "dog" / "9.png", generator.integers(0, 256, (12, 9, 3), np.uint8))
    with pytest.raises(datasets.DataError, match=f"{odd} is 9×12, the first is 10×8 .dataset.image_size"):
        load(home)
    assert load(home, image_size=6).shape == (3, 6, 6)


def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path):
    stripes = np.repeat(np.array([0, 100, 200], np.uint8), (8, 16, 8))
    wide = save(tmp_path / "wide.png", np.tile(stripes, (16, 1)))
    x_N = in_memory([wide, save(tmp_path / "high.png", np.tile(stripes, (16, 1)).T.copy())], 8)
    assert x_N.shape == (2, 1, 8, 8)
    assert (x_N[:, :, 2:-2, 2:-2] == 100).all()


def test_gray_pictures_become_colour_unless_all_are_gray(tmp_path, generator):
    gray = save(tmp_path / "gray.png", generator.integers(0, 256, (4, 5), np.uint8))
    colour = save(tmp_path / "colour.png", generator.integers(0, 256, (4, 5, 3), np.uint8))
    assert in_memory([gray, gray], None).shape == (2, 1, 4, 5)
    x_N = in_memory([gray, colour], None)
    assert x_N.shape == (2, 3, 4, 5)
    assert (x_N[0] == np.asarray(Image.open(gray))).all()
    assert np.array_equal(x_N[1], pixels(colour))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_usual_pixel_format_is_read(tmp_path, mode):
    Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode).save(tmp_path / "white.png")
    assert (in_memory([tmp_path / "white.png"], None) == 255).all()


def test_sixteen_bits_are_refused_not_clipped(tmp_path):
    deep = save(tmp_path / "deep.png", np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(datasets.DataError, match=r"deep.png has more than 8 bits a channel \(mode I;16\)"):
        in_memory([deep], None)


@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
@pytest.mark.parametrize("place", ["train/cat/0.png", "test/dog/1.png"])
def test_a_corrupt_picture_is_named(home, place, content):
    picture = home.folders["pets"] / place
    picture.write_bytes(picture.read_bytes()[:150] if content == "half" else content)
    with pytest.raises(datasets.DataError, match=rf"1 picture\(s\) cannot be used: {picture} cannot be read"):
        load(home)
    assert not (home.root / "cache").exists() or kept(home) == []


def test_of_many_corrupt_pictures_the_first_are_named(tmp_path, generator):
    paths = [tmp_path / f"{i:03}.png" for i in range(300)]
    save(paths[0], generator.integers(0, 256, (4, 4), np.uint8))
    for path in paths[1:]:
        path.write_bytes(b"")
    with pytest.raises(datasets.DataError, match=r"299 .*001\.png .*002\.png .*003\.png .* and 296 more\.$"):
        in_memory(paths, None)


def test_jpeg_is_read_too(tmp_path, generator):
    smooth = np.linspace(0, 255, 64 * 64, dtype=np.uint8).reshape(64, 64)
    picture = save(tmp_path / "smooth.jpg", np.stack([smooth] * 3, 2), quality=95)
    assert np.abs(in_memory([picture], None)[0, 0].astype(int) - smooth).max() < 16
    assert in_memory([picture], 8).shape == (1, 3, 8, 8)


def test_hidden_files_and_loose_files_are_no_pictures(home):
    pets = home.folders["pets"]
    (pets / "train" / "cat" / ".DS_Store").write_bytes(b"?")
    (pets / "train" / ".ipynb_checkpoints").mkdir()
    (pets / "train" / "labels.csv").write_text("0,cat")
    assert len(load(home).train) == 6


def test_an_unregistered_name_lists_the_registered(home):
    with pytest.raises(datasets.DataError, match="'birds' is not registered on this machine; registered are: pets"):
        datasets.load(ImageFolder(name="birds"), home, torch.device("cpu"), 0)


def test_different_classes_in_the_splits_are_named(home):
    shutil.move(home.folders["pets"] / "test" / "dog", home.folders["pets"] / "test" / "wolf")
    with pytest.raises(datasets.DataError, match="only in train: dog; only in test: wolf"):
        load(home)


def test_one_class_is_none(home):
    for split in ("train", "test"):
        shutil.rmtree(home.folders["pets"] / split / "dog")
    with pytest.raises(datasets.DataError, match=r"has 1 class\(es\); at least 2 are needed"):
        load(home)


def test_an_empty_class_is_named(home):
    for picture in (home.folders["pets"] / "test" / "dog").iterdir():
        picture.unlink()
    with pytest.raises(datasets.DataError, match=r"test/dog has no pictures"):
        load(home)


def test_a_folder_among_the_pictures_is_named(home):
    (home.folders["pets"] / "train" / "dog" / "more").mkdir()
    with pytest.raises(datasets.DataError, match=r"dog/more is a folder"):
        load(home)


@pytest.mark.parametrize("missing", ["", "train", "test"])
def test_a_missing_folder_is_named(home, missing):
    shutil.rmtree(home.folders["pets"] / missing)
    with pytest.raises(datasets.DataError, match=r"form train/<class>/\* and test/<class>/\*, but .* cannot be read"):
        load(home)


def test_what_the_spec_could_not_check_is_checked_here(home):
    with pytest.raises(datasets.DataError, match=r"dataset.per_class: 4 is more .* allowed are 1 to 3"):
        load(home, per_class=4)


def test_the_options_work_on_folders_too(home):
    pets = load(home, imbalance=Imbalance(kind="step", ratio=3), label_noise=1.0)
    assert pets.train.y.tolist() == [1, 1, 1, 0]


def test_the_names_in_the_cache_begin_with_that_of_the_folder(home):
    load(home)
    assert [file.suffix for file in kept(home)] == [".npy", ".npz"]
    assert all(file.name.startswith("pets-") for file in kept(home))


def test_with_room_neither_on_disk_nor_in_memory_pictures_are_refused(home, monkeypatch):
    home.root.write_text("a file where the folder should be")
    monkeypatch.setattr(memory, "available", lambda: 2000)
    with (
        pytest.warns(UserWarning, match="cannot be kept"),
        pytest.raises(datasets.DataError, match=r"10 pictures of 10×8 pixels take 0.0 GB, and 0.0 GB of memory are"),
    ):
        load(home)
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert load(home, image_size=4).shape == (3, 4, 4)
