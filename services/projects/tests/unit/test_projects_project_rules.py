"""What a project and its members hold themselves to."""

from typing import Any

import pytest

from alta_common.errors import InvalidError
from alta_common.ids import new_id
from alta_projects.models.access import Right, Role
from alta_projects.models.member import LastOwnerError, Member
from alta_projects.models.project import MAX_SETTINGS_BYTES, Project, merged


# The examples of RFC 7396, appendix A, whose target and patch are objects.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_settings_are_merged_as_the_standard_says(
    target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(target, patch) == result


def test_a_change_that_changes_nothing_makes_no_version() -> None:
    project = Project.new("Letters", None, {"review": {"blind": True}}, new_id())

    assert project.change({"name": "Letters", "settings": {"review": {"blind": True}}}) == []
    assert project.version == 1


def test_settings_cannot_grow_without_end() -> None:
    project = Project.new("Letters", None, {"a": "x" * (MAX_SETTINGS_BYTES // 2)}, new_id())

    with pytest.raises(InvalidError) as refusal:
        project.change({"settings": {"b": "x" * (MAX_SETTINGS_BYTES // 2)}})

    assert refusal.value.errors[0].pointer == "/settings"


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, {Right.READ}),
        (Role.REVIEWER, {Right.READ, Right.REVIEW}),
        (Role.CONTRIBUTOR, {Right.READ, Right.UPLOAD}),
        (Role.MANAGER, {Right.READ, Right.UPLOAD, Right.REVIEW, Right.MANAGE}),
        (Role.OWNER, set(Right)),
    ],
)
def test_a_role_allows_these_and_no_others(role: Role, rights: set[Right]) -> None:
    assert {right for right in Right if role.allows(right)} == rights


def test_the_last_owner_stays() -> None:
    owner = Member.founder(new_id(), new_id())

    with pytest.raises(LastOwnerError):
        owner.change_role(Role.MANAGER, owners=1)
    with pytest.raises(LastOwnerError):
        owner.refuse_loss_of_last_owner(1)

    owner.change_role(Role.MANAGER, owners=2)
    assert owner.role is Role.MANAGER
