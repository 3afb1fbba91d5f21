"""torchvision's data sets through the real loading code, from small files in each one's own format, without a network.

torchvision checks MD5 sums, so the sums of the small files take the place of the published ones.
"""

import gzip
import hashlib
import pickle
import struct
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, KMNIST, MNIST, STL10, SVHN, FashionMNIST

from ncmix import datasets
from ncmix.datahome import DataHome
from ncmix.spec import Builtin

PUBLIC = ("mnist", "kmnist", "fashion_mnist", "svhn", "cifar10", "cifar100", "stl10")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def home(tmp_path):
    return DataHome(tmp_path / "data")


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def load(kind, home):
    return datasets.load(Builtin(kind=kind), home, torch.device("cpu"), 0)


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_cifar(cls, folder, generator, monkeypatch):
    """Batches of five images; returns train x (N, 3, 32, 32) and y."""
    key = "labels" if cls is CIFAR10 else "fine_labels"
    written = {}
    for name, _ in cls.train_list + cls.test_list:
        x_N, y_N = generator.integers(0, 256, (5, 3072), np.uint8), generator.integers(0, 10, 5).tolist()
        written[name] = (x_N.reshape(5, 3, 32, 32), y_N)
        write(folder / name, pickle.dumps({"data": x_N, key: y_N}))
    names = [f"class {i}" for i in range(10 if cls is CIFAR10 else 100)]
    meta = write(folder / cls.meta["filename"], pickle.dumps({cls.meta["key"]: names}))
    for field in ("train_list", "test_list"):
        monkeypatch.setattr(cls, field, [[name, md5(folder / name)] for name, _ in getattr(cls, field)])
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5(meta)})
    parts = [written[name] for name, _ in cls.train_list]
    return np.concatenate([x for x, _ in parts]), [y for _, labels in parts for y in labels]


@pytest.mark.parametrize(("kind", "cls"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_cifar(kind, cls, home, generator, monkeypatch):
    x_N, y_N = write_cifar(cls, home.root / cls.base_folder, generator, monkeypatch)
    data = load(kind, home)
    assert np.array_equal(data.train.x.numpy(), x_N)
    assert data.train.y.tolist() == y_N
    assert data.test.x.shape == (5, 3, 32, 32)
    assert data.train.x.is_contiguous()
    assert data.classes[:2] == ("class 0", "class 1")


def test_an_archive_put_there_by_hand_is_unpacked(home, generator, monkeypatch, tmp_path):
    x_N, _ = write_cifar(CIFAR10, tmp_path / CIFAR10.base_folder, generator, monkeypatch)
    home.root.mkdir()
    archive = home.root / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / CIFAR10.base_folder, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    assert np.array_equal(load("cifar10", home).train.x.numpy(), x_N)


def idx(array):
    """The IDX format of MNIST: magic number with the number of dimensions, sizes, bytes."""
    return struct.pack(f">{array.ndim + 1}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write_mnist(cls, folder, generator, monkeypatch):
    """Packed files as they are downloaded; returns the arrays by the start of their names."""
    arrays = {
        f"{split}-{what}": array
        for split, count in (("train", 7), ("t10k", 3))
        for what, array in (
            ("images", generator.integers(0, 256, (count, 28, 28), np.uint8)),
            ("labels", generator.integers(0, 10, count, np.uint8)),
        )
    }
    resources = []
    for name, _ in cls.resources:
        array = next(a for start, a in arrays.items() if name.startswith(start))
        resources.append((name, md5(write(folder / name, gzip.compress(idx(array))))))
    monkeypatch.setattr(cls, "resources", resources)
    return arrays


@pytest.mark.parametrize(
    ("kind", "cls", "name"),
    [("mnist", MNIST, "0"), ("kmnist", KMNIST, "o"), ("fashion_mnist", FashionMNIST, "T-shirt/top")],
)
def test_mnist(kind, cls, name, home, generator, monkeypatch):
    arrays = write_mnist(cls, home.root / cls.__name__ / "raw", generator, monkeypatch)
    data = load(kind, home)
    assert np.array_equal(data.train.x.numpy()[:, 0], arrays["train-images"])
    assert data.test.y.tolist() == arrays["t10k-labels"].tolist()
    assert data.shape == (1, 28, 28)
    assert data.classes[0] == name
    assert len(data.classes) == 10


def test_a_truncated_file_is_called_damaged(home, generator, monkeypatch):
    """Unpacked MNIST files have no checksum: what is in them has to fit together."""
    write_mnist(MNIST, home.root / "MNIST" / "raw", generator, monkeypatch)
    load("mnist", home)
    unpacked = home.root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:-100])
    with pytest.raises(datasets.DataError, match=r"The files of mnist in .*raw are damaged .* Delete them"):
        load("mnist", home)


def test_labels_that_do_not_go_with_the_images_are_called_damaged(home, generator, monkeypatch):
    write_mnist(MNIST, home.root / "MNIST" / "raw", generator, monkeypatch)
    load("mnist", home)
    write(home.root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", idx(np.array([1, 2], np.uint8)))
    with pytest.raises(datasets.DataError, match="3 images do not go with 2 labels"):
        load("mnist", home)


def test_svhn(home, generator, monkeypatch):
    """Class 10 stands for the digit 0; pictures are stored height first and number last."""
    published = {}
    splits = dict(SVHN.split_list)
    for split, count in (("train", 6), ("test", 4)):
        address, name, _ = splits[split]
        x_N = generator.integers(0, 256, (32, 32, 3, count), np.uint8)
        y_N = np.array([10, *range(1, count)], np.uint8)[:, None]
        published[split] = x_N
        home.root.mkdir(exist_ok=True)
        savemat(home.root / name, {"X": x_N, "y": y_N})
        splits[split] = [address, name, md5(home.root / name)]
    monkeypatch.setattr(SVHN, "split_list", splits)
    data = load("svhn", home)
    assert data.train.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert np.array_equal(data.train.x.numpy(), published["train"].transpose(3, 2, 0, 1))
    assert data.test.x.shape == (4, 3, 32, 32)


def write_stl10(folder, generator, monkeypatch):
    """Pictures column after column, labels from 1; the unlabelled pictures are not there. Returns x (N, 3, 96, 96)."""
    sums, published = {}, {}
    for split, count in (("train", 10), ("test", 4)):
        published[split] = generator.integers(0, 256, (count, 3, 96, 96), np.uint8)
        columns = np.ascontiguousarray(published[split].transpose(0, 1, 3, 2))
        sums[f"{split}_X.bin"] = md5(write(folder / f"{split}_X.bin", columns.tobytes()))
        sums[f"{split}_y.bin"] = md5(
            write(folder / f"{split}_y.bin", np.arange(1, count + 1, dtype=np.uint8).tobytes())
        )
    write(folder / "class_names.txt", b"airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n")
    for field in ("train_list", "test_list"):
        monkeypatch.setattr(STL10, field, [[name, sums.get(name, "")] for name, _ in getattr(STL10, field)])
    return published


def test_stl10(home, generator, monkeypatch):
    published = write_stl10(home.root / "stl10_binary", generator, monkeypatch)
    data = load("stl10", home)
    assert np.array_equal(data.train.x.numpy(), published["train"])
    assert np.array_equal(data.test.x.numpy(), published["test"])
    assert data.train.y.tolist() == list(range(10))
    assert (data.classes[0], data.classes[9]) == ("airplane", "truck")


def test_a_changed_byte_of_stl10_is_called_damaged(home, generator, monkeypatch):
    write_stl10(home.root / "stl10_binary", generator, monkeypatch)
    labels = home.root / "stl10_binary" / "test_y.bin"
    labels.write_bytes(b"\x05" + labels.read_bytes()[1:])
    with pytest.raises(datasets.DataError, match=r"The files of stl10 in .*stl10_binary are damaged"):
        load("stl10", home)


def test_pictures_are_resized_as_pillow_does_it(home, generator, monkeypatch):
    x_N, y_N = write_cifar(CIFAR10, home.root / CIFAR10.base_folder, generator, monkeypatch)
    small = datasets.load(Builtin(kind="cifar10", image_size=20), home, torch.device("cpu"), 0)
    assert small.shape == (3, 20, 20)
    assert small.train.y.tolist() == y_N
    pictures = [Image.fromarray(x.transpose(1, 2, 0)).resize((20, 20), Image.Resampling.BILINEAR) for x in x_N]
    wanted = np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])
    assert np.abs(small.train.x.numpy().astype(int) - wanted).max() <= 1
    torch.testing.assert_close(small.normalize(small.train.x).mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", PUBLIC)
def test_without_files_and_network_the_error_says_what_to_do(kind, home):
    with pytest.raises(datasets.DataError) as caught:
        load(kind, home)
    sentence = str(caught.value)
    assert sentence.startswith(f"The data set {kind} is not here: ")
    assert f"missing from {home.root}" in sentence
    assert "the download failed" in sentence
    assert "no route to host" in sentence
    assert "To put them there by hand, fetch http" in sentence
    assert "\n" not in sentence


def test_the_missing_files_are_named_and_only_they(home, generator, monkeypatch):
    folder = home.root / CIFAR10.base_folder
    write_cifar(CIFAR10, folder, generator, monkeypatch)
    (folder / "data_batch_3").unlink()
    with pytest.raises(datasets.DataError, match=r"not here: data_batch_3 is missing from .*cifar-10-batches-py,"):
        load("cifar10", home)


def test_a_folder_that_cannot_be_written_is_no_other_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(datasets.DataError, match="The data set svhn is not here"):
        load("svhn", DataHome(tmp_path / "file" / "data"))
