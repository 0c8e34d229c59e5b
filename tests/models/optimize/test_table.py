"""Transformations by name: in options, in the names of models, one after the other, and made again from a record."""

import copy
import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import models
from models.errors import ModelError
from models.optimize import table
from models.optimize.base import Applied
from models.optimize.cluster import Cluster
from models.optimize.lowrank import LowRank
from tests.models.optimize.networks import SIDE, answer, build

SHARES = st.integers(10, 990).map(lambda thousandths: thousandths / 1000)


def test_an_option_names_transformations():
    assert table.parse("lowrank=0.5 + cluster=16") == (LowRank(0.5), Cluster(16))
    assert table.parse("lowrank0.50") == (LowRank(0.5),)
    assert table.parse("none") == table.parse("") == ()


def test_a_training_after_several_has_the_rate_that_all_of_them_bear():
    rates = [table.rate(table.parse(text)) for text in ("none", "prune=0.5", "qat", "prune=0.5+cluster=16")]
    assert rates == [0.02, 0.02, 0.005, 0.0002]


@given(SHARES, st.integers(2, 256), st.sampled_from(["", "@48"]))
def test_a_name_carries_what_was_done(removed, values, resolution):
    done = (LowRank(removed), Cluster(values))
    name = table.join(f"mobilenet_v2_0.35{resolution}", done)
    assert name.startswith("mobilenet_v2_0.35+lowrank")
    assert table.split(name) == (f"mobilenet_v2_0.35{resolution}", done)
    assert table.parse("+".join(map(str, done))) == done


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("shrink=0.5", "'shrink=0.5' is no transformation of a network; there are"),
        ("lowrank", "lowrank takes the share of multiply-adds to remove, from 0.01 to 0.99"),
        ("lowrank=1.5", r"\(lowrank=0\.5\), not '1\.5'"),
        ("lowrank=0.5.5", "not '0.5.5'"),
        ("cluster=1", r"cluster takes the number of values in a layer, from 2 to 256 \(cluster=16\), not '1'"),
        ("cluster=2.5", "not '2.5'"),
        ("cluster=16+cluster=8", "each transformation at most once"),
        ("cluster=16+lowrank=0.5", "in this order: .*lowrank, cluster"),
        ("lowrank=0.5++", "'' is no transformation"),
        ("lowrank=-0.5", "is no transformation"),
    ],
)
def test_what_cannot_be_is_refused(option, words):
    with pytest.raises(ModelError, match=words):
        table.parse(option)


@given(st.text(max_size=40))
def test_any_name_is_read_or_refused(text):
    try:
        name, done = table.split(text)
    except ModelError:
        return
    assert table.split(table.join(name, done)) == (name, done)


@pytest.mark.parametrize("option", ["lowrank=0.5", "cluster=16", "lowrank=0.4+cluster=8"])
def test_a_network_is_made_again_from_its_record_alone(option):
    network = build("mobilenet_v2_0.35")
    applied = table.apply(network, table.parse(option), (3, SIDE, SIDE))
    kept = [Applied.model_validate(one) for one in json.loads(json.dumps([one.model_dump() for one in applied]))]
    again = models.create("mobilenet_v2_0.35", num_classes=10)
    assert table.rebuild(again, kept) == table.parse(option)
    again.load_state_dict(network.state_dict(), strict=True)
    torch.testing.assert_close(answer(again), answer(network), rtol=0, atol=0)


def test_the_same_weights_are_changed_in_the_same_way():
    network, other = build("mobilenet_v1_0.25"), build("mobilenet_v1_0.25")
    done = table.parse("lowrank=0.5+cluster=16")
    assert table.apply(network, done, (3, SIDE, SIDE)) == table.apply(other, done, (3, SIDE, SIDE))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_the_record_of_another_network_is_refused():
    applied = table.apply(build("mobilenet_v2_0.35"), table.parse("lowrank=0.5"), (3, SIDE, SIDE))
    with pytest.raises(ModelError, match=r"no layer 'features\.\S+' of rank"):
        table.rebuild(models.create("squeezenet_1.1"), applied)


def test_training_ends_in_the_network_itself():
    network = build("mobilenet_v1_0.25")
    done = table.parse("lowrank=0.5+cluster=8")
    table.apply(network, done, (3, SIDE, SIDE))
    before = copy.deepcopy(network.state_dict())
    with table.training(network, done, (3, SIDE, SIDE)) as trained:
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.05)
        trained.train()(torch.randn(4, 3, SIDE, SIDE)).square().sum().backward()
        optimizer.step()
    assert set(network.state_dict()) == set(before)
    assert not any(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())


def test_names_are_read_without_pytorch():
    code = "import sys; from models.optimize import table; table.split('a+lowrank0.5'); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
