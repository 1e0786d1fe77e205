"""With every integration around the order switched off, a push asks of CRM no more than it did without them."""

from __future__ import annotations

from tests.promises.conftest import Handful


def test_a_push_of_orders_alone_asks_only_for_what_orders_need(handful: Handful, live_metadata: None) -> None:
    asked = []
    for _ in range(2):
        start = len(handful.crm.requests)
        requests = handful.push().data["requests"]
        assert len(handful.crm.requests) - start == sum(requests.values())
        asked.append(requests)
    # The seventh tells by what name people know the rows that the changed orders referred to before.
    assert asked == [{"read": 7, "write": 1}, {"read": 6, "write": 0}]
