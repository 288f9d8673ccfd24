"""Questions: yes or no before anything is lost, a line of text, one of several."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList
from textual.widgets.option_list import Option

from mailengine.core.terminal import one_line

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None], Generic[Answer]):
    """Escape answers nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        width: 64; max-width: 95%; height: auto; max-height: 90%;
        padding: 1 2; background: $surface; border: round $primary;
    }
    Dialog Label { width: 100%; margin-bottom: 1; }
    Dialog Horizontal { height: auto; align-horizontal: right; }
    Dialog Button { margin-left: 2; }
    Dialog OptionList { max-height: 15; }
    """

    def action_leave(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """True only for a yes; the way out has the focus, so that Enter alone loses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n", "answer(False)", "No"),
    ]

    def __init__(self, question: str, *, yes: str) -> None:
        super().__init__()
        self._question, self._yes = one_line(question), yes

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._question, markup=False, id="question")
            with Horizontal():
                yield Button("No (n)", id="no")
                yield Button(f"{self._yes} (y)", variant="error", id="yes")

    def on_mount(self) -> None:
        self.query_one("#no", Button).focus()

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class Ask(Dialog[str]):
    """A line of text; None when it was left."""

    def __init__(
        self, question: str, *, placeholder: str = "", value: str = "", required: bool = True
    ) -> None:
        super().__init__()
        self._question, self._placeholder, self._required = one_line(question), placeholder, required
        self._value = value

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._question, markup=False, id="question")
            yield Input(self._value, placeholder=self._placeholder, select_on_focus=False, id="answer")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() or not self._required:
            self.dismiss(event.value.strip())


class Choose(Dialog[str]):
    """One of several, by its id."""

    def __init__(self, question: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question, self._choices = one_line(question), choices

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._question, markup=False, id="question")
            yield OptionList(
                *(Option(one_line(label), id=key) for key, label in self._choices), markup=False, id="choices"
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)
