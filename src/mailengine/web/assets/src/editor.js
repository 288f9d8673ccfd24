// The code editor of templates: CodeMirror over a textarea, which stays what the form sends. It lives in a shadow root,
// because there its styles are constructed sheets: `style-src 'self'` would refuse the <style> it makes elsewhere.
import { html } from "@codemirror/lang-html";
import { basicSetup } from "codemirror";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import { show } from "./preview.js";

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text-primary)", backgroundColor: "var(--bg-card)", fontSize: "13px" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", lineHeight: "1.5" },
  ".cm-gutters": { backgroundColor: "var(--bg-card)", color: "var(--text-muted)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--bg-hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text-primary)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--border-strong) !important" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
});
const colours = HighlightStyle.define([
  { tag: [tags.tagName, tags.angleBracket], color: "var(--accent-text)" },
  { tag: tags.attributeName, color: "var(--accent-purple-text)" },
  { tag: [tags.attributeValue, tags.string], color: "var(--success-text)" },
  { tag: [tags.comment, tags.documentMeta], color: "var(--text-muted)" },
  { tag: [tags.propertyName, tags.keyword], color: "var(--warning-text)" },
]);

export function start(host) {
  host.dataset.started = "";
  const area = host.querySelector("textarea");
  const root = host.attachShadow({ mode: "open" });
  const label = EditorView.contentAttributes.of({ "aria-label": area.getAttribute("aria-label"), tabindex: "0" });
  const tell = EditorView.updateListener.of((update) => {
    if (!update.docChanged) return;
    area.value = update.state.doc.toString();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const state = EditorState.create({
    doc: area.value,
    extensions: [basicSetup, html(), look, syntaxHighlighting(colours), EditorView.lineWrapping, label, tell],
  });
  const view = new EditorView({ state, root, parent: root });
  // A merge tag from the guide goes where the cursor is.
  host.addEventListener("insert", (event) => {
    view.dispatch(view.state.replaceSelection(event.detail));
    view.focus();
  });
  // A frame without a saved version, or one whose form came back with a mistake, shows what is typed.
  show();
}
