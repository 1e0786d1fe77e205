"""With every integration around the order switched off, a push asks of CRM no more than it did without them."""

from __future__ import annotations

from tests.promises.conftest import Handful


def test_a_push_of_orders_alone_asks_only_for_what_orders_need(handful: Handful, live_metadata: None) -> None:
    asked = []
    for _ in range(3):
        start = len(handful.crm.requests)
        requests = handful.push().data["requests"]
        assert len(handful.crm.requests) - start == sum(requests.values())
        asked.append(requests)
    # The first asks by what name people know the rows that the changed orders referred to before, and, in two requests,
    # for links to what moves from then on; the others ask for what moved, and one more request for the records.
    assert asked == [{"read": 9, "write": 1}, {"read": 7, "write": 0}, {"read": 7, "write": 0}]
