"""Ids that follow from what they stand for."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from loader.sync.ids import derived_id


@given(st.uuids(), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_id_is_the_uuid5_of_its_name(namespace: uuid.UUID, name: str) -> None:
    assert derived_id(namespace, name) == str(uuid.uuid5(namespace, name))
