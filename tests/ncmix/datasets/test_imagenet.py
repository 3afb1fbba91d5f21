"""ImageNet and Tiny-ImageNet in the layouts in which they are published, with two classes instead of all."""

import pytest
import torch
from PIL import Image

from ncmix import datasets
from ncmix.datahome import DataHome
from ncmix.spec import FACTS, Builtin, Facts, ImageNet, parse

WNIDS = ("n01443537", "n01629819")
CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder, and facts that fit the few pictures that the tests write: 3 + 2 to train on, 2 to validate."""
    monkeypatch.setitem(FACTS, "tiny_imagenet", Facts(2, 5, 2, 2, (3, 64, 64)))
    monkeypatch.setitem(FACTS, "imagenet", Facts(2, 5, 2, 2, (3, 224, 224)))
    return DataHome(tmp_path / "data")


def save(path, gray, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (gray, gray, gray)).save(path)


def write_train(folder, inside="", size=(64, 64)):
    for wnid, count in zip(WNIDS, (3, 2), strict=True):
        for i in range(count):
            save(folder / "train" / wnid / inside / f"{wnid}_{i}.JPEG", 10 * i + 100 * WNIDS.index(wnid), size)


def write_tiny(folder):
    """As tiny-imagenet-200.zip unpacks: pictures below images/, bounding boxes beside, one list for validation."""
    write_train(folder, "images")
    for wnid in WNIDS:
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
    for i in range(2):
        save(folder / "val" / "images" / f"val_{i}.JPEG", 200 + i)
    lines = [f"val_{i}.JPEG\t{wnid}\t0\t0\t63\t63\n" for i, wnid in enumerate(reversed(WNIDS))]
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "words.txt").write_text("n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\n")
    save(folder / "test" / "images" / "test_0.JPEG", 0)


def write_kaggle(folder):
    """As the archive of the Kaggle competition unpacks: deep folders, the lists at the root."""
    inner = folder / "ILSVRC" / "Data" / "CLS-LOC"
    write_train(inner, size=(80, 60))
    for i in (1, 2):
        save(inner / "val" / f"ILSVRC2012_val_0000000{i}.JPEG", 200 + i, (60, 90))
    rows = [f"ILSVRC2012_val_0000000{i},{wnid} 1 2 3 4 {wnid} 5 6 7 8\n" for i, wnid in enumerate(reversed(WNIDS), 1)]
    (folder / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))
    (folder / "LOC_synset_mapping.txt").write_text("n01443537 goldfish, Carassius auratus\nn01629819 salamander\n")


def load(home, kind="tiny_imagenet", **fields):
    dataset = ImageNet(**fields) if kind == "imagenet" else Builtin(kind=kind, **fields)
    return datasets.load(dataset, home, CPU, 0)


def test_tiny_imagenet_as_it_unpacks(home):
    write_tiny(home.root / "tiny-imagenet-200")
    data = load(home)
    assert data.shape == (3, 64, 64)
    assert data.classes == ("goldfish", "n01629819")
    assert data.train.y.tolist() == [0, 0, 0, 1, 1]
    assert data.train.x[:, 0, 0, 0].tolist() == [0, 10, 20, 100, 110]
    assert data.test.y.tolist() == [1, 0]


def test_tiny_imagenet_sorted_by_class_in_a_registered_folder_and_another_size(home, tmp_path):
    write_train(tmp_path / "elsewhere", "images")
    for i, wnid in enumerate(WNIDS):
        save(tmp_path / "elsewhere" / "val" / wnid / f"val_{i}.JPEG", 200 + i)
    data = load(DataHome(home.root, {"tiny_imagenet": tmp_path / "elsewhere"}), image_size=32)
    assert data.shape == (3, 32, 32)
    assert data.test.y.tolist() == [0, 1]
    assert data.classes == WNIDS


def test_imagenet_with_the_lists_of_kaggle(home):
    write_kaggle(home.root / "imagenet")
    data = load(home, "imagenet", image_size=48)
    assert data.shape == (3, 48, 48)
    assert data.classes == ("goldfish", "salamander")
    assert data.test.y.tolist() == [1, 0]
    assert data.test.x[:, 0, 0, 0].tolist() == [201, 202]


def test_imagenet_sorted_by_class(home):
    write_train(home.root / "imagenet", size=(300, 260))
    for i, wnid in enumerate(WNIDS):
        save(home.root / "imagenet" / "val" / wnid / f"{i}.JPEG", 200 + i, (230, 240))
    assert load(home, "imagenet").shape == (3, 224, 224)


def test_a_copy_that_lacks_pictures_is_refused(home):
    write_tiny(home.root / "tiny_imagenet")
    (home.root / "tiny_imagenet" / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_1.JPEG").unlink()
    with pytest.raises(datasets.DataError, match="has 2 classes, 4 training and 2 validation pictures instead of 2, 5"):
        load(home)


def test_validation_pictures_without_their_classes_are_refused(home):
    write_tiny(home.root / "tiny_imagenet")
    answers = home.root / "tiny_imagenet" / "val" / "val_annotations.txt"
    answers.write_text("val_0.JPEG\tn01443537\t0\t0\t63\t63\n")
    with pytest.raises(datasets.DataError, match=r"gives .*val_1.JPEG the class none, which .*train lacks"):
        load(home)
    answers.unlink()
    with pytest.raises(datasets.DataError, match=r"neither in folders val/<wnid>, nor is there the list .*annotations"):
        load(home)


@pytest.mark.parametrize("kind", ["tiny_imagenet", "imagenet"])
def test_where_to_put_them_is_said(kind, home):
    with pytest.raises(datasets.DataError, match=f"The data set {kind} is not here.*NCMIX_IMAGE_FOLDERS={kind}=/path"):
        load(home, kind)


def test_facts_follow_the_size_asked_for():
    fields = {"dataset": {"kind": "imagenet", "image_size": 64}, "model": "resnet18", "epochs": 1}
    with pytest.raises(ValueError, match="allowed are 1 to 732"):
        parse({**fields, "dataset": {**fields["dataset"], "per_class": 733}})
    assert parse(fields).dataset.image_size == 64
    assert parse({**fields, "dataset": "imagenet"}).dataset.image_size == 224
