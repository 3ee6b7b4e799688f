"""The presets cover what the admin offers, and say something."""

from dataclasses import fields

import pytest

from portal.saml.presets import PRESETS, Preset
from teams.models import IdentityProvider

FIELDS = ("user", "team", "groups", "email", "name")


def test_the_admin_offers_exactly_the_presets() -> None:
    assert set(PRESETS) == set(IdentityProvider.Flavour.values)


@pytest.mark.parametrize("flavour", sorted(set(PRESETS) - {"generic"}))
def test_a_vendors_preset_names_every_attribute_once(flavour: str) -> None:
    preset = PRESETS[flavour]

    for field in FIELDS:
        names: tuple[str, ...] = getattr(preset, field)
        assert names
        assert len(set(names)) == len(names)
        assert all(name == name.strip() != "" for name in names)
    assert not set(preset.unknown_groups) & set(preset.groups)
    assert preset.help


def test_the_generic_preset_leaves_the_names_to_the_settings() -> None:
    assert [getattr(PRESETS["generic"], field) for field in FIELDS] == [()] * len(FIELDS)
    assert {each.name for each in fields(Preset)} == {*FIELDS, "label", "unknown_groups", "help"}
