"""The HTML that puts a form into somebody else's page: no script, no style but what hides the trap."""

from html import escape

from mailengine.models import SignupForm

HONEYPOT = "website"  # no person sees it; programs that fill in every field do
_HIDDEN = "position:absolute;left:-5000px"


def embed_code(form: SignupForm, base_url: str) -> str:
    """To be pasted into a page; it posts to the form's own address."""
    lines = [
        f'<form action="{escape(base_url)}/f/{escape(form.uid)}" method="post">',
        '  <label>E-mail <input type="email" name="email" required maxlength="320" autocomplete="email"></label>',
    ]
    if form.ask_name:
        lines += [
            '  <label>First name <input name="first_name" maxlength="200" autocomplete="given-name"></label>',
            '  <label>Last name <input name="last_name" maxlength="200" autocomplete="family-name"></label>',
        ]
    lines += [
        f'  <div style="{_HIDDEN}" aria-hidden="true">'
        f'<input name="{HONEYPOT}" tabindex="-1" autocomplete="off"></div>',
        f"  <p>{escape(form.wording)}</p>",
        "  <button>Subscribe</button>",
        "</form>",
    ]
    return "\n".join(lines)
