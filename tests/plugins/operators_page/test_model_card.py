from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.model_card import Block, blocks_of  # noqa: E402

CARD = """# Model v

**Accepted** by the gate:
it may serve.

|  | this |
| --- | --- |
| Snapshot | `s-1` |

- *one*: [the first](one.md#a) of
  two lines
- two * 3

![ROC](roc.png)
## After
text <b>
"""


def test_a_card_is_read_as_blocks_without_its_marks_and_pictures() -> None:
    assert blocks_of(CARD) == [
        Block("heading", "Model v"),
        Block("text", "Accepted by the gate: it may serve."),
        Block("table", head=["", "this"], rows=[["Snapshot", "s-1"]]),
        Block("list", rows=[["one: the first of two lines"], ["two * 3"]]),
        Block("heading", "After"),
        Block("text", "text <b>"),
    ]
