"""devices.toml: what is right is read, what is wrong is told with line and field."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError, UnknownDevice
from harness.fleet import devices as fleet
from harness.fleet import file as fleet_file
from tests.rigs.bench import ROOT


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "devices.toml"
    path.write_text(text)
    return path


def test_the_repository_s_own_file_is_valid() -> None:
    devices = fleet.load(ROOT / "devices.toml")
    assert devices["local"].transport == "local"


def test_the_repository_s_own_file_shows_every_field_and_its_examples_are_valid(tmp_path: Path) -> None:
    lines = (ROOT / "devices.toml").read_text().splitlines()
    shown = [line.removeprefix("# ") for line in lines if re.match(r"(# )?(\[|[\w.]+ = )", line)]
    devices = fleet.load(write(tmp_path, "\n".join(shown)))
    assert list(devices) == ["local", "pi5", "pixel", "jetson", "server"]
    fields = (set(fleet.Device.model_fields) - {"own"}).union(
        *(type(device.own).model_fields for device in devices.values())
    )
    shown_fields = (device.model_fields_set | device.own.model_fields_set for device in devices.values())
    assert fields == set().union(*shown_fields) - {"own"}


@pytest.mark.parametrize("root", ["bench", "~/bench", "{home}/bench"])
def test_a_folder_on_this_machine_does_not_depend_on_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path, f'[devices.a]\ntransport = "local"\nroot = "{root.format(home=tmp_path)}"\n')
    assert fleet.load(path)["a"].folder == str(tmp_path / "bench")


def test_without_a_file_there_is_this_machine() -> None:
    assert list(fleet.load(None)) == ["local"]


def test_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path, '[devices.a]\ntransport = "local"\nthreads = [1, 2]\ntags = ["x"]\npython = "/usr/bin/python3"\n'
    )
    device = fleet.load(path)["a"]
    assert (device.threads, device.tags, device.interpreter) == ((1, 2), ("x",), "/usr/bin/python3")
    path = write(tmp_path, '[devices.a]\ntransport = "local"\nbackend_options.openvino.device = "GPU"\n')
    assert fleet.load(path)["a"].backend_options == {"openvino": {"device": "GPU"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[devices.a]\ntransport = local\n", "line 2, column 13"),
        ("[devices.a\n", "line 1"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ('[device.a]\ntransport = "local"\n', ":1: unknown field 'device'"),
        ("", "no devices"),
        ("devices = 3\n", ":1: devices stand in tables of their own"),
        ("[devices]\na = 3\n", ":2: devices.a must be a table"),
        ("[devices.a]\nthreads = [1]\n", ":1: devices.a.transport: this field is missing"),
        (
            '[devices.a]\ntransport = "carrier pigeon"\n',
            ":2: devices.a.transport: no transport is called 'carrier pigeon'; there are: local, ssh, adb, simulated",
        ),
        (
            '[devices.a]\ntransport = "local"\nthread = [1]\n',
            ":3: devices.a.thread: unknown field, did you mean threads?",
        ),
        ('[devices.a]\ntransport = "local"\n\nthreads = [0]\n', ":4: devices.a.threads.0: "),
        ('[devices.a]\ntransport = "local"\nthreads = []\n', ":3: devices.a.threads: "),
        ('[devices.a]\ntransport = "local"\nthreads = "two"\n', ":3: devices.a.threads: "),
        ('[devices.a]\ntransport = "local"\nthreads = 2\n', "threads: input should be a list, like [1, 2], got 2"),
        ('[devices.a]\ntransport = "local"\nthreads = [true]\n', ":3: devices.a.threads.0: "),
        ('[devices.a]\ntransport = "local"\ntimeout_s = "9"\n', ":3: devices.a.timeout_s: "),
        ('[devices.a]\ntransport = "local"\nmax_temperature_c = true\n', ":3: devices.a.max_temperature_c: "),
        ('[devices.a]\ntransport = "local"\nmax_temperature_c = nan\n', ":3: devices.a.max_temperature_c: "),
        ('[devices.a]\ntransport = "local"\nbackend_options = 3\n', "backend_options: input should be a table, got 3"),
        ("a = 1" + "0" * 5000, "integer string"),
        ('[devices.a]\ntransport = "local"\n[devices.b]\ntransport = 1\n', ":4: devices.b.transport: "),
        ('[devices."a b/c"]\ntransport = "local"\n', ":1: devices.a b/c: a device's name is letters"),
        ('[devices.a]\ntransport = "local"\nname = "b"\n', ":3: devices.a.name: unknown field"),
        ('[devices.a]\ntransport = "local"\nhost = "b"\n', ":3: devices.a.host: only a device with transport 'ssh'"),
        ('[devices.a]\ntransport = "ssh"\nserial = "b"\n', ":3: devices.a.serial: only a device with transport 'adb'"),
        ('[devices.a]\ntransport = "ssh"\nport = 0\n', ":3: devices.a.port: "),
        ('[devices.a]\ntransport = "ssh"\nhost = "-oX"\n', ":3: devices.a.host: "),
        ('[devices.a]\ntransport = "ssh"\nroot = "-rf"\n', ":3: devices.a.root: "),
        ('[devices.a]\ntransport = "local"\nown = {}\n', ":3: devices.a.own: unknown field. Known fields: "),
        *(
            (f'[devices.a]\ntransport = "{transport}"\n{field} = "a\\u0000"\n', f":3: devices.a.{field}: ")
            for transport, field in (
                ("local", "python"),
                ("local", "root"),
                ("local", "class"),
                ("local", "backend_options.benchmark_model.binary"),
                ("ssh", "host"),
                ("ssh", "identity_file"),
                ("ssh", "jump"),
                ("adb", "serial"),
            )
        ),
        ('[devices.a]\ntransport = "ssh"\ncores = "4-"\n', ":3: devices.a.cores: "),
        ('[devices.a]\ntransport = "ssh"\nclass = 3\n', ":3: devices.a.class: "),
        ('[devices.a]\ntransport = "local"\ntransport = "local"\n', "line 3"),
        (
            '[devices.a]\ntransport = "local"\n[devices.a.backend_options]\nopenwine.device = "GPU"\n',
            ":3: devices.a.backend_options: no backend is called 'openwine'; there are: onnxruntime, openvino",
        ),
        (
            '[devices.a]\ntransport = "local"\n[devices.a.backend_options]\nfake.sleep_ms = 2\n',
            ":4: devices.a.backend_options.fake.sleep_ms: input should be a valid string, got 2",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fleet.load(write(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "devices.toml"))
    assert message in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff[devices.a]\ntransport = "local"\n')
    assert list(fleet.load(path)) == ["a"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_what_is_no_file_is_not_passed_over(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "devices.toml")
    with pytest.raises(ConfigError, match=r"devices\.toml cannot be read: not a file"):
        fleet.load(fleet.find_file(tmp_path))


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_bytes(b"[devices.a]\n\xff\xfe\n")
    with pytest.raises(ConfigError, match=":2: not UTF-8 text"):
        fleet.load(path)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        fleet.load(tmp_path)


@given(st.text(max_size=200))
def test_any_text_is_devices_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fleet") / "devices.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ConfigError):
        assert fleet.load(path)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
TABLES = ("", "threads = [\n  1,\n]\n", "[devices.{}.backend_options]\nfake.sleep_ms = '2'\n", "# mine\n")


@given(st.lists(st.tuples(NAMES, st.sampled_from(TABLES)), min_size=1, max_size=4, unique_by=lambda one: one[0]))
def test_a_device_is_added_and_forgotten_beside_others(
    tmp_path_factory: pytest.TempPathFactory, tables: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("fleet") / "devices.toml"
    path.write_text("# The fleet\n")
    path.chmod(0o600)
    for name, more in tables:
        fleet_file.add(path, name, {"transport": "ssh", "host": f"{name}.lan", "port": 2222})
        path.write_text(path.read_text() + more.format(f'"{name}"'))
    devices = fleet.load(path)
    assert [(name, device.own.host) for name, device in devices.items()] == [
        (name, f"{name}.lan") for name, _ in tables
    ]
    for name, _ in tables:
        assert fleet.parse(path, path.read_text()) == devices
        fleet_file.forget(path, name)
        del devices[name]
    assert path.read_text().startswith("# The fleet\n")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="no devices"):
        fleet.load(path)


def test_a_device_whose_name_begins_another_s_is_forgotten_alone(tmp_path: Path) -> None:
    path = write(tmp_path, '[devices.a]\ntransport = "ssh"\n[devices."a."]\ntransport = "ssh"\n')
    fleet_file.forget(path, "a")
    assert list(fleet.load(path)) == ["a."]


def test_a_device_that_cannot_be_taken_out_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    text = '[devices.a]\ntransport = "ssh"\n[devices.b]\ntransport = "ssh"\n[devices.a.backend_options]\n'
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"devices\.toml:1: devices\.a\.transport: this field is missing"):
        fleet_file.forget(path, "a")
    with pytest.raises(ConfigError, match="is not a table of its own"):
        fleet_file.forget(path, "c")
    assert path.read_text() == text


def test_choose() -> None:
    devices = {
        name: fleet.Device(name=name, transport="local", class_=name[:2], tags=("arm", name[-1]))
        for name in ("pi4", "pi5", "pixel")
    }
    names = lambda *given: [device.name for device in fleet.choose(devices, given)]  # noqa: E731
    assert names("pi5,pi4", "pi5") == ["pi5", "pi4"]
    assert names("all") == ["pi4", "pi5", "pixel"]
    assert names("pi?") == ["pi4", "pi5"]
    assert names("tag:5", "class:pi") == ["pi5", "pi4", "pixel"]
    with pytest.raises(UnknownDevice, match="no device has the class 'jetson'; there are: pi"):
        names("class:jetson")
    with pytest.raises(UnknownDevice, match="no device is called 'pixl'; did you mean pixel"):
        names("pixl")
    assert fleet.find(devices, "pi4").name == "pi4"
    with pytest.raises(UnknownDevice, match="no device is called 'pi\\*'"):
        fleet.find(devices, "pi*")


def test_the_nearest_file_above_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert fleet.find_file(deep) == path


def test_fields_of_a_device_over_ssh(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[devices.pi5]\ntransport = "ssh"\nhost = "pi5.lan"\nport = 2222\nuser = "pi"\ncores = "0,2-3"\nclass = "pi"\n',
    )
    device = fleet.load(path)["pi5"]
    assert (device.interpreter, device.folder, device.core_set()) == ("python3", ".cache/edgebench", [0, 2, 3])
    assert str(device.own.login(device, None).address) == "pi@pi5.lan:2222"
    assert fleet.LOCAL.folder is None
    assert device.model_copy(update={"root": "~/bench"}).folder == "bench"
