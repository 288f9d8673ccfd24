"""docs/configuration.md lists every setting as the code has it."""

from mailengine.core.config import setting_fields, variable_of
from support.settings_table import PAGE, renewed


def test_the_table_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page == renewed(page), "run `python tests/support/settings_table.py`"


def test_every_setting_says_what_it_is() -> None:
    page = PAGE.read_text()
    for name, field in setting_fields().items():
        assert field.description, name
        assert f"`{name}`" in page
        assert f"`{variable_of(name)}`" in page
