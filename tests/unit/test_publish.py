"""Publishing: the same sources give the same bytes, and nothing but the data plane is in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from shared.errors import BadInput
from tests.sources import imported, sources
from workbench.publish import HASH_DIGITS, ROOT, build_zip, publish

# Runs main.py as a pool does, without an argument, and tells where its modules came from.
RUN_MAIN = """
import json, runpy, sys
main, sys.argv = sys.argv[1], sys.argv[1:2]
try:
    runpy.run_path(main, run_name="__main__")
except SystemExit as stop:
    code = stop.code
ours = {n: m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("shared", "spark")}
import importlib.resources, spark.hunts.mine_one
spec = importlib.resources.files("spark.hunts").joinpath("mine_one.yaml").read_text()
print(json.dumps({"code": code, "files": ours, "spec": spec, "is": spark.hunts.mine_one.IS}))
"""


def names(content: bytes) -> list[str]:
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def pair(folder: Path, module: str, code: str = "IS = 7\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    (folder / f"{module}.yaml").write_text(f"name: {module}\n", encoding="utf-8")
    return folder


# --- one hash -----------------------------------------------------------------------------------


def test_two_builds_are_one_hash(tmp_path: Path) -> None:
    digests = {publish(tmp_path / name) for name in ("a", "b", "a")}
    (digest,) = digests
    folders = [tmp_path / name / digest for name in ("a", "b")]
    assert len(digest) == HASH_DIGITS
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["code.zip", "main.py"]
    zips, mains = (
        {(folder / n).read_bytes() for folder in folders} for n in ("code.zip", "main.py")
    )
    assert len(zips) == len(mains) == 1
    assert hashlib.sha256(zips.pop() + mains.pop()).hexdigest().startswith(digest)


def test_a_copy_of_the_tree_has_the_same_hash_whatever_its_times_and_modes(tmp_path: Path) -> None:
    tree = tmp_path / "another place"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("shared", "spark", "workbench"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for path in tree.rglob("*.py"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o600)
    (tree / "spark" / "__pycache__").mkdir()
    (tree / "spark" / "__pycache__" / "job.cpython-311.pyc").write_bytes(b"x")
    code = "import sys, pathlib; from workbench.publish import publish, ROOT; print(ROOT); "
    code += "print(publish(pathlib.Path('code')))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told == [str(tree), publish(tmp_path / "code")]


def test_another_hunt_is_another_hash(tmp_path: Path) -> None:
    mine = pair(tmp_path / "mine", "mine_one")
    plain, with_mine = publish(tmp_path / "code"), publish(tmp_path / "code", [mine])
    changed = publish(tmp_path / "code", [pair(mine, "mine_one", "IS = 8\n")])
    assert len({plain, with_mine, changed}) == 3
    assert {path.name for path in (tmp_path / "code").iterdir()} == {plain, with_mine, changed}


# --- what is in it ------------------------------------------------------------------------------


def test_the_zip_is_the_data_plane_and_the_contract() -> None:
    found = names(build_zip())
    code = {path.as_posix() for path in sources("spark")} - {"spark/main.py"}
    specs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "spark").rglob("*.yaml")}
    assert set(found) == code | specs | {"shared/__init__.py", "shared/contract.py"}
    assert found == sorted(set(found))
    assert specs


def test_main_knows_the_job_and_nothing_else() -> None:
    assert imported(Path("spark/main.py")) == {"spark.job.main"}


def test_main_beside_the_zip_runs_from_the_zip_alone(tmp_path: Path) -> None:
    digest = publish(tmp_path, [pair(tmp_path / "mine", "mine_one")])
    archive = tmp_path / digest / "code.zip"
    done = subprocess.run(
        [sys.executable, "-c", RUN_MAIN, str(tmp_path / digest / "main.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert (told["code"], told["is"], told["spec"]) == (2, 7, "name: mine_one\n")
    assert "plan.json" in done.stderr
    assert {"spark.job", "shared.contract"} <= set(told["files"])
    assert [file for file in told["files"].values() if not file.startswith(f"{archive}/")] == []


# --- users' own pairs ---------------------------------------------------------------------------


def test_users_pairs_join_the_hunts(tmp_path: Path) -> None:
    one, other = (
        pair(tmp_path / "one", "mine_one"),
        pair(pair(tmp_path / "other", "two_a"), "two_b"),
    )
    (one / "README.md").write_text("notes", encoding="utf-8")
    (one / "__init__.py").touch()
    (one / "folder.py").mkdir()
    added = set(names(build_zip([one, other]))) - set(names(build_zip()))
    hunts = {f"{name}{end}" for name in ("mine_one", "two_a", "two_b") for end in (".py", ".yaml")}
    assert added == {f"spark/hunts/{name}" for name in hunts}


def test_a_hunt_with_the_name_of_ours_is_refused_and_both_are_named(tmp_path: Path) -> None:
    mine = pair(tmp_path / "mine", "beaconing")
    with pytest.raises(BadInput, match="two hunts are called beaconing") as refused:
        publish(tmp_path / "code", [mine])
    assert str(ROOT / "spark" / "hunts" / "beaconing.py") in str(refused.value)
    assert str(mine / "beaconing.py") in str(refused.value)
    assert not (tmp_path / "code").exists()


def test_two_users_with_one_name_are_refused_and_both_are_named(tmp_path: Path) -> None:
    folders = [pair(tmp_path / name, "mine_one") for name in ("one", "other")]
    with pytest.raises(BadInput, match="mine_one") as refused:
        build_zip(folders)
    assert all(str(folder / "mine_one.py") in str(refused.value) for folder in folders)


def test_a_folder_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TIDEHUNT_HUNT_FOLDERS") as refused:
        publish(tmp_path / "code", [tmp_path / "nowhere"])
    assert refused.value.where == str(tmp_path / "nowhere")
