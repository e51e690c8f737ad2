"""Nodes of a rehearsal: verify passes for what is planned, says that it is simulated, and measures nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Level
from nixl_efa.launch import Launch, launch_of
from nixl_efa.nodes import files, rules, transfer
from nixl_efa.nodes.facts import node_facts, planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.pair_rules import agreement, versions
from nixl_efa.nodes.run_command import OUTPUT_LIMIT_CHARACTERS
from nixl_efa.nodes.sections import Section, sections
from nixl_efa.rehearse.simulated_nodes import answer_as_planned, node_output
from nixl_efa.settings import Settings
from tests.records import answer


def launch_of_type(name: str) -> Launch:
    """The launch of an environment with this type."""
    return launch_of(Settings(name="prod", instance_type=name, region="us-east-1"))


P5 = launch_of_type("p5.48xlarge")


class Answers(dict[str, str]):
    """What each instance answers."""

    def command_output(self, instance_id: str = "*", *, stdout: str = "") -> None:
        """Keeps it."""
        self[instance_id] = stdout


@pytest.mark.parametrize(
    "name", ["p5.48xlarge", "p6-b300.48xlarge", "trn2.48xlarge", "g7e.8xlarge", "g7e.2xlarge"]
)
def test_simulated_nodes_are_as_planned_and_say_that_they_are_simulated(name: str, pair: PairOutputs) -> None:
    known = instance_types.find(name)
    assert known is not None
    plan = planned(name, known, known.efa_interfaces, nixl_version="1.5.0")
    pair = replace(pair, nodes=tuple(replace(one, efa_interfaces=known.efa_interfaces) for one in pair.nodes))
    answers = Answers()
    launch = launch_of_type(name)
    answer_as_planned(answers, pair, launch)
    assert set(answers) == {node.instance_id for node in pair.nodes}
    assert max(map(len, answers.values())) < OUTPUT_LIMIT_CHARACTERS
    read = {node.name: sections(answers[node.instance_id]) for node in pair.nodes}
    facts = {name: node_facts(found) for name, found in read.items()}
    found = [finding for one in facts.values() for finding in rules.node_findings(one, plan)]
    found += [agreement(pair, facts), versions(pair, facts)]
    written = files.wanted(pair, launch, dict.fromkeys(("producer", "consumer"), name))
    found += [files.finding(pair.environment, written[node], one) for node, one in read.items()]
    assert {finding.level for finding in found} == {Level.PASS}, found
    told = {finding.check for finding in found if "simulated" in finding.message}
    assert {"boot report", "NIXL", "libfabric", "EFA driver"} <= told


def keys(text: str) -> list[str]:
    """The words before the colons of an output, in order."""
    return [line.partition(":")[0].strip() for line in text.strip().splitlines()]


def test_the_outputs_have_the_shape_of_what_the_real_tools_print(pair: PairOutputs) -> None:
    def printed(name: str) -> Mapping[str, Section]:
        known = instance_types.find(name)
        assert known is not None
        plan = planned(name, known, known.efa_interfaces, nixl_version="1.5.0")
        return sections(node_output(pair.nodes[0], pair, plan))

    gpu, neuron = printed("p5.4xlarge"), printed("trn2.48xlarge")
    assert keys(gpu["cloud_init"].text) == keys(answer("cloud_init/done"))
    assert keys(gpu["fi_info"].text) == keys(answer("fi_info/libfabric-2.1-rdm-alone"))
    assert keys(gpu["libfabric"].text) == keys(answer("fi_info/version"))[1:]
    assert keys(gpu["gpu_fabric"].text)[:2] == keys(answer("nvidia/fabric-in-progress"))[1:3]
    assert len(gpu["nvidia"].text.split(", ")) == len(answer("nvidia/l40s-csv").splitlines()[0].split(", "))
    assert gpu["efa_installer"].text.startswith(answer("fi_info/installed-packages-file").partition(" 1.")[0])
    (real,) = answer("neuron/guide-array")
    for device in json.loads(neuron["neuron"].text):
        assert set(device) <= set(real)


def test_no_transfer_is_made_up(pair: PairOutputs) -> None:
    answers = Answers()
    answer_as_planned(answers, pair, P5)
    ends = {node.name: sections(answers[node.instance_id]) for node in pair.nodes}
    for tool in (transfer.NIXL, transfer.NIXLBENCH, transfer.FI_PINGPONG):
        attempt = transfer.Attempt(tool, "efa", transfer.DRAM)
        (measured,) = transfer.results(attempt, [transfer.Link(*pair.nodes)], ends)
        assert measured.rows == ()
        assert "there is no machine to measure on" in measured.error


def test_a_node_that_is_not_the_planned_one_is_still_found_out(pair: PairOutputs) -> None:
    answers = Answers()
    moved = replace(pair, nodes=(pair.nodes[0], Node("consumer", "consumer", "i-0", "10.0.0.99", "", 32)))
    answer_as_planned(answers, moved, P5)
    facts = {node.name: node_facts(sections(answers[node.instance_id])) for node in moved.nodes}
    assert agreement(pair, facts).level is Level.FAIL
