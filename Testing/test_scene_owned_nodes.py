"""Which nodes are a session's own: not what the user makes of them, and still after a scene was saved."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer

from CEKWorldLib.scene.owned_nodes import OwnedNodes, role_of

VOLUME = "vtkMRMLScalarVolumeNode"
output = partial(OwnedNodes.get, role="output", class_name=VOLUME, name="shown")


def test_a_clone_of_an_owned_node_is_the_users_and_never_takes_its_place(scene):
    own, _ = output(OwnedNodes(scene))
    clone = scene.CreateNodeByClass(VOLUME)
    clone.Copy(own)
    scene.AddNode(clone)
    assert role_of(own) == "output" and role_of(clone) is None
    scene.RemoveNode(own)
    renewed, is_new = output(OwnedNodes(scene))
    assert is_new and renewed is not clone and role_of(clone) is None


def test_an_owned_node_is_found_again_in_a_scene_that_was_added_to_another(scene, tmp_path):
    output(OwnedNodes(scene))
    scene.SetURL(str(tmp_path / "saved.mrml"))
    scene.Commit()
    other = slicer.vtkMRMLScene()
    taken = other.AddNewNodeByClass(VOLUME, "has the number of the saved one")
    other.SetURL(scene.GetURL())
    other.Import()
    assert role_of(taken) is None
    assert output(OwnedNodes(other))[0] is other.GetFirstNodeByName("shown")
