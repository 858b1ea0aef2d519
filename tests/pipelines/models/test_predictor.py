"""A predictor is kept as JSON and a slice of source, and comes back the same, in isolation, without
what only training used.
"""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.formats import decode
from isthmus.errors import Invalid, NotFound
from isthmus.pipelines.models import code_slice, predictor
from isthmus.pipelines.models.call_parameters import CallParameter
from isthmus.project.specs.description import Feature, Model

DOCUMENTS = Path(__file__).parents[2] / "documents"
RANKER = Path(__file__).parents[3] / "examples" / "openbandit"
MODEL = Model(
    name="logistic",
    path="models/logistic.yaml",
    model="ranker",
    objective="ctr",
    features=(
        Feature(view=None, name="position"),
        Feature(view="item_profile", name="item_ctr_prior"),
    ),
    trainer="mine.train",
    serve_as={"position": 1},
)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a trainer's module and import it as a user's project does."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    made = set()

    def write(source, name="mine"):
        path = root.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        made.add(name)
        return path

    yield write
    for name in [n for n in sys.modules if n.split(".")[0] in {m.split(".")[0] for m in made}]:
        del sys.modules[name]


def loaded_without(folder, *absent):
    """Load and use the model in a fresh interpreter; return its prediction, asserting that modules
    were not imported.
    """
    code = (
        "import json, sys; from pathlib import Path; from isthmus.pipelines.models.predictor "
        "import load\n"
        f"found = load(Path({str(folder)!r}))\n"
        "rows = json.loads(sys.argv[1])\n"
        "answer = found.predictor.predict(rows)\n"
        f"assert not set({absent!r}) & set(sys.modules), set({absent!r}) & set(sys.modules)\n"
        "print(json.dumps(answer))"
    )

    def predict(rows):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(rows)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return predict


@pytest.mark.slow
def test_the_example_s_logistic_serves_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(RANKER))
    import ranker

    made = ranker.Logistic(
        -5.0, {"item_ctr_prior": (0.004, 0.001, 0.3)}, {"position": {"1": 0.1, "2": -0.1}}
    )
    predictor.save(made, tmp_path / "model", model=MODEL)
    rows = [{"item_ctr_prior": 0.006, "position": 1}, {"item_ctr_prior": None, "position": 3}]
    assert loaded_without(tmp_path / "model", "sklearn", "numpy", "pandas", "ranker")(
        rows
    ) == made.predict(rows)
    code = (tmp_path / "model" / "code" / "ranker.py").read_text()
    assert "class Logistic" in code
    assert "class Popularity" not in code
    assert "sklearn" not in code


def test_the_slice_keeps_what_the_class_needs_and_nothing_else(module, tmp_path):
    module(
        "import os\nimport math as m\nimport json\nFACTOR = 3; UNUSED = os\nTABLE = "
        "{}\nTABLE['x'] = FACTOR\n"
        "def helper(v):\n    return m.floor(v) * TABLE['x']\n"
        "def train():\n    return P(2)\n"
        "class Base:\n    def predict(self, rows):\n        return [helper(r['a']) + self.b "
        "for r in rows]\n"
        "class P(Base):\n    def __init__(self, b):\n        self.b = b\n"
        "if __name__ == '__main__':\n    json.dumps(P(1))\n"
    )
    import mine

    predictor.save(mine.P(2), tmp_path / "model", model=MODEL)
    code = (tmp_path / "model" / "code" / "mine.py").read_text()
    assert predictor.load(tmp_path / "model").predictor.predict([{"a": 1.5}]) == [5]
    assert not any(word in code for word in ("import os", "json", "UNUSED", "def train"))


@pytest.mark.slow
def test_local_modules_travel_with_the_model(module, tmp_path):
    module("from . import deep\nOFFSET = deep.OFFSET\n", "kit.shapes")
    module("OFFSET = 10\n", "kit.deep")
    module(
        "import kit.shapes\nfrom plain import twice as double\nclass P:\n    def "
        "predict(self, rows):\n"
        "        import plain\n        return [double(kit.shapes.OFFSET) + plain.ONE for _ "
        "in rows]\n"
    )
    module("ONE = 1\ndef twice(x):\n    return 2 * x\n", "plain")
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    assert loaded_without(tmp_path / "model", "kit", "plain", "mine")([{}]) == [21]


def test_a_module_that_cannot_be_followed_is_kept_whole(module, tmp_path):
    module(
        "import colorsys\ndef rate():\n    return 4\n"
        "class P:\n    def predict(self, rows):\n        return [globals()['rate']() for _ "
        "in rows]\n"
    )
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    found = predictor.load(tmp_path / "model")
    assert found.predictor.predict([{}]) == [4]
    assert found.manifest.code == "module"
    assert "P uses names that cannot be followed" in found.manifest.whole_because


def test_star_imports_keep_the_module_whole(module, tmp_path):
    module(
        "from math import *\nclass P:\n    def predict(self, rows):\n        return "
        "[floor(2.5) for _ in rows]\n"
    )
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    assert predictor.load(tmp_path / "model").predictor.predict([{}]) == [2]


def test_two_models_of_one_class_do_not_share_a_module(module, tmp_path):
    module(
        "class P:\n    seen = []\n    def predict(self, rows):\n        "
        "self.seen.extend(rows)\n        return self.seen\n"
    )
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    first, second = (predictor.load(tmp_path / "model").predictor for _ in range(2))
    first.predict([{}])
    assert second.predict([]) == [] == mine.P.seen


def test_the_same_model_has_the_same_digest_and_another_has_another(module, tmp_path):
    module(
        "class P:\n    def __init__(self, w):\n        self.w = w\n    def predict(self, "
        "rows):\n        return rows\n"
    )
    import mine

    digests = [
        predictor.save(mine.P(w), tmp_path / f"model{i}", model=MODEL)
        for i, w in enumerate((1.5, 1.5, 1.6))
    ]
    assert digests[0] == digests[1] != digests[2]
    assert predictor.load(tmp_path / "model0").manifest.digest == digests[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{1: 2}", "P.w has the key 1"),
        ("float('nan')", "P.w is nan"),
        ("[0, {'a': object()}]", r"P.w\[1\]\['a'\] is a builtins.object"),
        ("b'x'", "P.w is a builtins.bytes"),
    ],
)
def test_attributes_that_json_cannot_carry_are_refused_by_name(module, tmp_path, value, said):
    module(
        "class P:\n    def __init__(self, w):\n        self.w = w\n    def predict(self, "
        f"rows):\n        return rows\nmade = P({value})\n"
    )
    import mine

    with pytest.raises(Invalid, match=said) as refusal:
        predictor.save(mine.made, tmp_path / "model", model=MODEL)
    assert "save(folder) and load(folder)" in refusal.value.remedy
    assert list(tmp_path.glob("*model*")) == []


def test_an_attribute_that_init_does_not_take_is_refused_unless_it_is_derived(module, tmp_path):
    module(
        "class P:\n    def __init__(self, w):\n        self.w, self._twice = w, 2 * w\n"
        "    def predict(self, rows):\n        return [self._twice for _ in rows]\n"
    )
    import mine

    made = mine.P(4)
    predictor.save(made, tmp_path / "model", model=MODEL)
    assert predictor.load(tmp_path / "model").predictor.predict([{}]) == [8]
    made.extra = 1
    with pytest.raises(Invalid, match=r"P\.extra is not a parameter of P\.__init__"):
        predictor.save(made, tmp_path / "model", model=MODEL)


def test_a_class_with_save_and_load_keeps_its_own_files(module, tmp_path):
    module(
        "class P:\n    def __init__(self, raw):\n        self.raw = raw\n    def "
        "predict(self, rows):\n        return list(self.raw)\n"
        "    def save(self, folder):\n        (folder / 'w.bin').write_bytes(self.raw)\n"
        "    @classmethod\n    def load(cls, folder):\n        return cls((folder / "
        "'w.bin').read_bytes())\n"
    )
    import mine

    predictor.save(mine.P(b"\x01\x02"), tmp_path / "model", model=MODEL)
    assert predictor.load(tmp_path / "model").predictor.predict([]) == [1, 2]
    (tmp_path / "model" / "files" / "w.bin").write_bytes(b"\x03")
    with pytest.raises(Invalid, match="was changed after it was saved"):
        predictor.load(tmp_path / "model")


def test_an_incomplete_copy_is_not_loaded(module, tmp_path):
    module("class P:\n    def predict(self, rows):\n        return rows\n")
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    (tmp_path / "model" / "attributes.json").unlink()
    with pytest.raises(Invalid, match=r"attributes\.json is missing"):
        predictor.load(tmp_path / "model")
    with pytest.raises(NotFound, match=r"holds no model\.json"):
        predictor.load(tmp_path)


def test_what_is_not_a_predictor_is_refused(tmp_path):
    with pytest.raises(Invalid, match=r"mine\.train returned a dict, which has no predict\(rows\)"):
        predictor.save({}, tmp_path / "model", model=MODEL)


def test_a_local_class_is_refused(tmp_path):
    class P:
        def predict(self, rows):
            return rows

    with pytest.raises(Invalid, match="cannot be found again by its name"):
        predictor.save(P(), tmp_path / "model", model=MODEL)


def test_the_manifest_says_what_the_model_reads(module, tmp_path):
    module("class P:\n    def predict(self, rows):\n        return rows\n")
    import mine

    types = {"position": "int64", "item_ctr_prior": "float64"}
    predictor.save(
        mine.P(), tmp_path / "model", model=MODEL, types=types, keys={"item_profile": "item_id"}
    )
    found = predictor.load(tmp_path / "model").manifest
    assert [(f.name, f.view, f.key, f.type) for f in found.features] == [
        ("position", None, None, "int64"),
        ("item_ctr_prior", "item_profile", "item_id", "float64"),
    ]
    assert (found.serve_as, found.objective, found.model) == ({"position": 1}, "ctr", "ranker")


BLENDED = (
    "class P:\n    def predict(self, rows, *, blend={0}):\n        return [blend for _ in rows]\n"
)


def test_the_manifest_lists_what_predict_takes_with_a_call(module, tmp_path):
    module(BLENDED.format(0.5))
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    model = predictor.load(tmp_path / "model")
    assert model.manifest.accepted == {"blend": CallParameter(type="float", default=0.5)}
    assert json.loads((tmp_path / "model" / "model.json").read_bytes())["predict_parameters"] == {
        "blend": {"type": "float", "default": 0.5}
    }


def test_a_manifest_without_parameters_has_no_such_key_and_the_digest_that_it_always_had(
    module, tmp_path
):
    module("class P:\n    def predict(self, rows):\n        return rows\n")
    import mine

    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    assert "predict_parameters" not in json.loads((tmp_path / "model" / "model.json").read_bytes())
    assert predictor.load(tmp_path / "model").manifest.accepted == {}
    released = decode(
        (DOCUMENTS / "0.1.0" / "model.json").read_bytes(),
        predictor.ModelManifest,
        what="model.json",
    )
    assert predictor._digest(released) == released.digest


def test_an_installed_class_that_takes_other_parameters_by_now_is_not_loaded(
    module, tmp_path, monkeypatch
):
    module(BLENDED.format(0.5))
    import mine

    monkeypatch.setattr(predictor, "_is_installed", lambda _path: True)
    predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    monkeypatch.setattr(mine.P, "predict", lambda _self, rows, *, share=0.5: [share for _ in rows])
    with pytest.raises(
        Invalid,
        match=r"^ranker: mine\.P\.predict takes share=0\.5, and took blend=0\.5 when it was saved$",
    ):
        predictor.load(tmp_path / "model")


def test_a_parameter_without_a_default_is_refused_when_the_model_is_saved(module, tmp_path):
    module(
        "class P:\n    def predict(self, rows, *, blend):\n        return [blend for _ in rows]\n"
    )
    import mine

    with pytest.raises(Invalid, match=r"P\.predict has no default for blend"):
        predictor.save(mine.P(), tmp_path / "model", model=MODEL)
    assert not (tmp_path / "model").exists()


@given(st.permutations(["a", "b", "c", "d"]), st.sets(st.sampled_from(["a", "b", "c", "d"])))
def test_a_slice_holds_exactly_the_chain_of_needs(order, used):
    """Functions call the one before them in a random order; the class calls a random subset."""
    source = "import zlib\n"
    for before, name in zip([None, *order], order, strict=False):
        source += f"def {name}():\n    return {before + '() + 1' if before else '1'}\n"
    source += (
        "class P:\n    def predict(self, rows):\n        return ["
        + " + ".join([f"{u}()" for u in sorted(used)] or ["0"])
        + "]\n"
    )
    text = code_slice.cut("mine", source, Path("/nowhere"), "P").files["mine.py"]
    last = max((order.index(u) for u in used), default=-1)
    assert [name for name in order if f"def {name}()" in text] == list(order[: last + 1])
    space = {}
    exec(text, space)
    assert space["P"]().predict([]) == [sum(order.index(u) + 1 for u in used)]


def test_a_folder_that_was_exchanged_or_added_to_is_not_the_registered_model(module, tmp_path):
    module(
        "class P:\n    def __init__(self, w=1):\n        self.w = w\n    def predict(self, "
        "rows):\n        return [self.w for _ in rows]\n"
    )
    import mine

    folder = tmp_path / "model"
    registered = predictor.save(mine.P(1), folder, model=MODEL)
    assert predictor.load(folder, digest=registered).predictor.predict([{}]) == [1]
    cached = folder / "code" / "__pycache__" / "mine.cpython-311.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"compiled from something else")
    with pytest.raises(
        Invalid, match=r"__pycache__/mine\.cpython-311\.pyc, which was not saved with the model"
    ):
        predictor.load(folder, digest=registered)
    predictor.save(mine.P(2), folder, model=MODEL)
    predictor.load(folder)  # whole in itself
    with pytest.raises(Invalid, match="is not the model that was registered"):
        predictor.load(folder, digest=registered)


def test_the_libraries_of_code_are_those_that_python_finds_for_its_imports():
    """PyYAML's module has another name, Google's packages share one, json is Python's own, and
    `nowhere` is not installed.
    """
    names = ("yaml", "pyarrow", "google")
    installed = packages_distributions()
    wanted = {
        distribution: version(distribution)
        for name in names
        for distribution in installed.get(name, ())
    }
    code = {
        "a.py": "import yaml, json, nowhere.at_all\nfrom google.cloud import storage",
        "b.py": "import pyarrow.compute as pc",
    }
    libraries = code_slice.libraries(code)
    assert libraries.pop("python").count(".") == 2
    assert libraries == wanted
    assert {"PyYAML", "pyarrow"} <= wanted.keys()
